// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every way a run can end, and the exit code of each. This table is their one home:
//! `qemu-test classes` prints it, and the README points there.

use std::fmt;

macro_rules! classes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $word:literal;)+) => {
        /// A class of outcome, with its exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Class { $($(#[doc = $doc])+ $name = $code,)+ }

        impl Class {
            /// All classes, in the order of their exit codes.
            pub const ALL: &'static [Class] = &[$(Class::$name,)+];

            /// The exit code.
            pub fn code(self) -> u8 { self as u8 }

            /// The word used in `verdict: <word>` and in summary.json.
            pub fn word(self) -> &'static str { match self { $(Class::$name => $word,)+ } }

            /// One sentence saying what it means.
            pub fn about(self) -> &'static str {
                match self { $(Class::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

classes! {
    /// every planned test ran and came out as predicted
    Pass = 0, "pass";
    /// at least one test came out otherwise than predicted
    Fail = 1, "fail";
    /// the command line or a variable is wrong
    Usage = 2, "usage";
    /// a tool is missing and could not be installed
    Tools = 10, "tools";
    /// no kernel source could be had
    Source = 11, "source";
    /// KERNEL= is not a kernel source tree, git tree or tarball
    NotAKernel = 12, "not-a-kernel";
    /// the series does not apply to the base
    Series = 13, "series";
    /// olddefconfig dropped an option that was asked for
    Config = 14, "config";
    /// the kernel or the suite did not build
    Build = 15, "build";
    /// a file system is full
    NoSpace = 16, "no-space";
    /// the cache folder or the results folder cannot be written
    Cache = 17, "cache";
    /// QEMU is absent, too old, or ended with an error
    Qemu = 20, "qemu";
    /// the kernel panicked
    Panic = 21, "panic";
    /// the guest made no progress within its time limit
    Hang = 22, "hang";
    /// the console holds a splat (a warning, oops, lockdep or sanitizer report)
    Splat = 23, "splat";
    /// the guest never announced a plan, or an empty one
    NoPlan = 24, "no-plan";
    /// results are missing or cut short: no done event, or tests without a result
    Truncated = 25, "truncated";
    /// results contradict the plan, their own count or their own hash
    Corrupt = 26, "corrupt";
    /// the results come from another kernel or another boot than the one started
    WrongKernel = 27, "wrong-kernel";
    /// an internal error of the runner
    Internal = 70, "internal";
    /// stopped by SIGINT or SIGTERM; the same command can be run again
    Interrupted = 130, "interrupted";
}

/// A step's refusal: the class that decides the exit code, and one line that says what is wrong
/// and what to do.
#[derive(Debug)]
pub struct Refusal {
    /// Decides the exit code.
    pub class: Class,
    /// One clear line for a person.
    pub line: String,
    /// What it rests on: the end of a log, for example. It is shown first, so that the one line is
    /// the last that a person reads.
    pub detail: Vec<String>,
}

impl Refusal {
    /// A refusal without detail.
    pub fn new(class: Class, line: impl Into<String>) -> Refusal {
        Refusal { class, line: line.into(), detail: Vec::new() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.detail.iter().try_for_each(|line| writeln!(f, "    {line}"))?;
        write!(f, "{}: {}", self.class.word(), self.line)
    }
}

impl std::error::Error for Refusal {}

/// What a step gives.
pub type Step<T> = Result<T, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_cause_is_the_last_line() {
        let detail = vec!["x.c:1: error: y".to_owned()];
        let refusal = Refusal { class: Class::Build, line: "see the log".to_owned(), detail };
        assert_eq!(refusal.to_string(), "    x.c:1: error: y\nbuild: see the log");
    }

    #[test]
    fn codes_and_words_are_distinct() {
        let codes: HashSet<u8> = Class::ALL.iter().map(|c| c.code()).collect();
        let words: HashSet<&str> = Class::ALL.iter().map(|c| c.word()).collect();
        assert_eq!((codes.len(), words.len()), (Class::ALL.len(), Class::ALL.len()));
    }
}
