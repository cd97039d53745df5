// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What each kind of kernel is known to do with each test. The runner holds a run against this.

use crate::case::{Deviation, Expect, Test};
use crate::events::Outcome;

/// A kernel, by what was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// The series is applied: everything passes.
    Sealed,
    /// Nothing is applied: what needs the seal is skipped, known bugs fail, the rest passes.
    Stock,
    /// F_ADD_SEALS takes the bit and nothing enforces it: every refusal of the seal's must FAIL.
    Hollow,
}

impl Kernel {
    /// Whether the suite must run what needs the seal, whatever it finds by probing.
    pub fn requires_seal(self) -> bool {
        self != Kernel::Stock
    }

    /// What the test must come out as, and the reason where that is no pass.
    pub fn predicts(self, test: &Test) -> (Outcome, &'static str) {
        let needs_seal = test.needs_seal();
        let (deviation, otherwise) = match self {
            Kernel::Sealed => return (Outcome::Pass, ""),
            Kernel::Stock if needs_seal => (test.case.stock, (Outcome::Skip, "no F_SEAL_FS_WRITE")),
            Kernel::Stock => (test.case.stock, (Outcome::Pass, "")),
            Kernel::Hollow if needs_seal && matches!(test.case.expect, Expect::Fails(_)) => {
                (test.case.hollow, (Outcome::Fail, "nothing enforces the seal"))
            }
            Kernel::Hollow => (test.case.hollow, (Outcome::Pass, "")),
        };
        match deviation {
            Deviation::Fails(reason) => (Outcome::Fail, reason),
            Deviation::FailsOn(kind, reason) if kind == test.given.kind => (Outcome::Fail, reason),
            Deviation::Passes(reason) => (Outcome::Pass, reason),
            Deviation::None | Deviation::FailsOn(..) => otherwise,
        }
    }
}
