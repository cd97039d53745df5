// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! How the operations of a race met the seal.

use crate::race::Took;

/// When an operation was at work, by the call of F_ADD_SEALS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It ended before that began.
    Before,
    /// Both were at work at once.
    During,
    /// It began after that had returned.
    After,
}

/// How often each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub rounds: u64,
    before: u64,
    allowed: u64,
    refused: u64,
    after: u64,
}

impl Tally {
    /// One operation.
    pub fn count(&mut self, when: When, took: Took) {
        *match (when, took) {
            (When::Before, _) => &mut self.before,
            (When::During, Took::Allowed) => &mut self.allowed,
            (When::During, Took::Refused) => &mut self.refused,
            (When::After, _) => &mut self.after,
        } += 1;
    }

    /// One round more, with these operations.
    pub fn add(&mut self, round: &Tally) {
        self.rounds += 1;
        self.before += round.before;
        self.allowed += round.allowed;
        self.refused += round.refused;
        self.after += round.after;
    }

    /// What none of them reached, of what a race must.
    pub fn missing(&self, refused: bool) -> Option<&'static str> {
        match (self.allowed, self.refused) {
            (0, _) => Some("no operation was under way during F_ADD_SEALS and allowed"),
            (_, 0) if refused => Some("no operation was under way during F_ADD_SEALS and refused"),
            _ => None,
        }
    }

    /// For people.
    pub fn line(&self) -> String {
        let Tally { rounds, before, allowed, refused, after } = self;
        format!(
            "{rounds} rounds; operations before the seal {before}, during it allowed {allowed}, refused \
             {refused}, after it {after}"
        )
    }
}
