// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a run tells the outside: one JSON object a line, in this order.
//!
//! `hello`, `plan`, then for each test `start`, any `output`, `counted` if it is many in one, `result`;
//! `guarantees` if they are asked for; and last `done`. `done` carries the SHA-256 of every byte before its own line, so that a stream that was cut,
//! mixed or edited cannot end well. The reader decides the verdict; nothing here does.

use crate::compare::Guarantees;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The kernel did exactly what the case expects.
    Pass,
    /// It did something else.
    Fail,
    /// The case could not be set up: nothing is known about the kernel.
    Error,
    /// The kernel or the machine lacks what the case needs; the reason says what.
    Skip,
    /// The case's child did not end in time and was killed.
    Timeout,
}

impl Outcome {
    /// The word used in events and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::Error => "error",
            Outcome::Skip => "skip",
            Outcome::Timeout => "timeout",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// First line: which boot of which kernel is talking.
    Hello {
        /// The word given with `--nonce`, echoed: a new one for each boot.
        nonce: String,
        /// `CONFIG_BUILD_SALT` of the running kernel, read from `/sys/kernel/notes`; empty if none.
        salt: String,
        /// `uname -r`.
        release: String,
        /// CPUs online.
        cpus: usize,
        /// What probing F_SEAL_FS_WRITE by its meaning found, in words.
        seal: String,
    },
    /// The name of every test that will run, in order.
    Plan { tests: Vec<String> },
    /// The test is the next to report; its child may have been started a little before.
    Start { test: String },
    /// A line that the test printed and that a person should see.
    Output { test: String, line: String },
    /// The test is as good as this many: checks of the model, or rounds of a race.
    Counted { test: String, checks: u64 },
    /// The test ended.
    Result {
        test: String,
        outcome: Outcome,
        /// Wall time in milliseconds.
        ms: u64,
        /// What was done, expected and got, or the reason of a skip; empty for a pass.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        why: String,
    },
    /// What calls gave under each seal.
    Guarantees(Guarantees),
    /// Last line.
    Done {
        /// Number of `result` lines.
        count: usize,
        /// Lower-case hex SHA-256 of all bytes before this line.
        sha256: String,
        /// `/proc/sys/kernel/tainted` at the end; none where it can't be read.
        taint: Option<u64>,
    },
}

/// The running hash over a stream's lines.
#[derive(Clone, Default)]
pub struct Chain(Sha256);

impl Chain {
    /// Adds a line's bytes, its newline included.
    pub fn add(&mut self, line: &[u8]) {
        self.0.update(line);
    }

    /// Lower-case hex of the hash over all lines so far.
    pub fn hex(&self) -> String {
        self.0.clone().finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}
