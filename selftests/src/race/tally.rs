// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! How the operations of a race met the seal.

use super::Took;

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Phase {
    Open,
    /// F_ADD_SEALS is being called.
    Sealing,
    /// It has returned.
    Sealed,
}

/// When an operation was at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It ended before F_ADD_SEALS was called.
    Before,
    /// It was under way when F_ADD_SEALS was called, or was called while that was under way.
    During,
    /// The same, and it was under way when F_ADD_SEALS returned.
    Across,
    /// It began after that.
    After,
}

impl When {
    /// From the phase at its beginning and the one at its end.
    pub fn of(begun: Phase, ended: Phase) -> When {
        match (begun, ended) {
            (Phase::Open, Phase::Open) => When::Before,
            (Phase::Sealed, _) => When::After,
            (_, Phase::Sealed) => When::Across,
            _ => When::During,
        }
    }
}

/// How often each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rounds: u64,
    before: u64,
    allowed: u64,
    refused: u64,
    across: u64,
    after: u64,
}

impl Tally {
    /// One operation.
    pub fn count(&mut self, when: When, took: Took) {
        match (when, took) {
            (When::Before, _) => self.before += 1,
            (When::After, _) => self.after += 1,
            (_, Took::Allowed) => self.allowed += 1,
            (_, Took::Refused) => self.refused += 1,
        }
        self.across += u64::from(when == When::Across);
    }

    /// One round more, with these operations.
    pub fn add(&mut self, round: &Tally) {
        self.rounds += 1;
        self.before += round.before;
        self.allowed += round.allowed;
        self.refused += round.refused;
        self.across += round.across;
        self.after += round.after;
    }

    /// What none of them reached, of what a race must: `refused` if the seal ends it.
    pub fn missing(&self, refused: bool) -> Option<&'static str> {
        match self {
            Tally { allowed: 0, .. } => Some("no operation met F_ADD_SEALS and was allowed"),
            Tally { refused: 0, .. } if refused => {
                Some("no operation met F_ADD_SEALS and was refused")
            }
            Tally { across: 0, .. } => Some("no operation was under way when F_ADD_SEALS returned"),
            _ => None,
        }
    }

    /// For people.
    pub fn line(&self) -> String {
        let Tally { rounds, before, allowed, refused, across, after } = self;
        format!(
            "{rounds} rounds; operations before the seal {before}; during it allowed {allowed}, refused \
             {refused}, {across} of them when it returned; after it {after}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_must_reach_each_outcome() {
        let mut tally = Tally::default();
        tally.count(When::of(Phase::Open, Phase::Open), Took::Allowed);
        tally.count(When::of(Phase::Sealed, Phase::Sealed), Took::Refused);
        assert!(tally.missing(false).is_some_and(|what| what.ends_with("allowed")));
        tally.count(When::of(Phase::Open, Phase::Sealing), Took::Allowed);
        assert!(tally.missing(true).is_some_and(|what| what.ends_with("refused")));
        assert!(tally.missing(false).is_some_and(|what| what.ends_with("returned")));
        tally.count(When::of(Phase::Open, Phase::Sealed), Took::Refused);
        assert_eq!(tally.missing(true), None);
    }
}
