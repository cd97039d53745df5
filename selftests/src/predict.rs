// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a kernel is known to do with each test. The suite holds its own runs against this, and the
//! runner those of the guest.

use crate::case::{Deviation, Expect, Test};
use crate::deviations::{Row, Table};
use crate::events::Outcome;
use crate::feature::{self, FEATURES, FS_WRITE};
use crate::need::Need;

/// A kernel, by what was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// A series with the seal is applied: everything passes but what other patches fix.
    Sealed,
    /// No patch brings the seal: what needs it is skipped, known bugs fail, the rest passes.
    Stock,
    /// F_ADD_SEALS takes the bit and nothing enforces it: every refusal of the seal's must FAIL.
    Hollow,
}

/// What a prediction follows from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The features that the kernel has.
    pub features: Vec<&'static str>,
    /// The subjects of the patches that are known to be in it.
    pub patches: Vec<String>,
    hollow: bool,
}

/// What a test must come out as.
#[derive(Clone, Copy, Debug)]
pub struct Prediction<'a> {
    pub outcome: Outcome,
    /// Why that is no pass, or a pass after all; empty for what every kernel must do.
    pub reason: &'a str,
    /// The row of the deviations that says so.
    pub row: Option<&'a Row>,
}

impl Kernel {
    /// Whether the suite must run what needs the seal, whatever it finds by probing.
    pub fn requires_seal(self) -> bool {
        self != Kernel::Stock
    }

    /// What is known of it without asking it: a kernel that lies about itself must not choose what
    /// is expected of it.
    pub fn facts(self, patches: Vec<String>) -> Facts {
        let there = |name: &&str| self == Kernel::Sealed || *name != FS_WRITE;
        let features = FEATURES.iter().map(|feature| feature.name).filter(there).collect();
        Facts { features, patches, hollow: self == Kernel::Hollow }
    }
}

impl Facts {
    /// What probing the running kernel finds.
    pub fn probed() -> Facts {
        Facts { features: feature::probed(), patches: Vec::new(), hollow: false }
    }

    /// What the test must come out as on this kernel.
    pub fn predict<'a>(&self, table: &'a Table, test: &Test) -> Prediction<'a> {
        let plain = |outcome, reason| Prediction { outcome, reason, row: None };
        let needs_seal = test.needs_seal();
        // The suite looks for these before anything else.
        let lacks = |name: &&str| !self.features.contains(name);
        if let Some(name) = test.needs().filter_map(Need::feature).find(lacks) {
            return plain(Outcome::Skip, feature::means(name));
        }
        if self.hollow && needs_seal {
            match test.case.hollow {
                Deviation::Fails(reason) => return plain(Outcome::Fail, reason),
                Deviation::FailsOn(kind, reason) if kind == test.given.kind => {
                    return plain(Outcome::Fail, reason);
                }
                Deviation::Passes(reason) => return plain(Outcome::Pass, reason),
                Deviation::None | Deviation::FailsOn(..) => {}
            }
        }
        if let Some(row) = table.find(&test.name(), &self.features, &self.patches) {
            return Prediction { outcome: row.got, reason: &row.reason, row: Some(row) };
        }
        let refused = matches!(test.case.expect, Expect::Fails(_));
        match (needs_seal && !self.features.contains(&FS_WRITE), self.hollow) {
            (true, false) => plain(Outcome::Skip, "no F_SEAL_FS_WRITE"),
            (true, true) if refused => plain(Outcome::Fail, "nothing enforces the seal"),
            _ => plain(Outcome::Pass, ""),
        }
    }
}
