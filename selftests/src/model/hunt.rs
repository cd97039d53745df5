// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs the model beside the kernel, and finds the shortest sequence that shows a disagreement.

use super::actual::{Actual, Tools};
use super::program;
use super::spec::step;
use super::state::{Op, State};
use crate::deviations::Table;
use crate::kind::Kind;
use serde::{Deserialize, Serialize};

/// Operations on a fresh file, each of which is checked; then `last`, each after the others.
pub struct Branch<'a> {
    pub kind: Kind,
    pub prefix: Vec<Op>,
    pub last: &'a [Op],
}

impl Branch<'_> {
    /// Those of `last` that can be asked for, with what the model is before them. None if the model
    /// does not take the prefix.
    pub fn checks(&self, all_seals: u32) -> Option<(State, impl Iterator<Item = Op>)> {
        let mut state = State::fresh(self.kind, all_seals);
        for &op in &self.prefix {
            if !state.takes(op) {
                return None;
            }
            step(&mut state, op);
        }
        let before = state.clone();
        Some((state, self.last.iter().copied().filter(move |&op| before.takes(op))))
    }
}

/// What a run found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Operations whose outcome was held against the model's, those of prefixes not counted.
    pub checks: u64,
    /// Sequences that disagreed.
    pub disagreements: u64,
    /// Sequences that ended in a disagreement that is known.
    pub explained: u64,
    /// Why, each reason once.
    pub reasons: Vec<String>,
    /// The shortest form of the first disagreement, and the C program that shows it.
    pub first: Option<String>,
}

impl Tally {
    /// Adds that of another part.
    pub fn add(&mut self, other: Tally) {
        self.checks += other.checks;
        self.disagreements += other.disagreements;
        self.explained += other.explained;
        for reason in other.reasons {
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
        self.first = self.first.take().or(other.first);
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Tally { checks, disagreements, explained, .. } = self;
        let explained = match explained {
            0 => String::new(),
            n => format!(", {n} explained: {}", self.reasons.join("; ")),
        };
        format!("{checks} checks, {disagreements} disagreements{explained}")
    }
}

/// The running kernel, and what is known of it.
pub struct Hunt<'a> {
    tools: Tools,
    /// The seals that it has.
    pub all_seals: u32,
    features: Vec<&'static str>,
    table: &'a Table,
    pub tally: Tally,
}

/// The place and the words of a disagreement.
#[derive(Clone, Debug)]
struct Found {
    /// How many operations there were, that one included.
    len: usize,
    what: String,
}

/// Why a sequence did not come to its end.
enum Stop {
    Found(Found),
    /// Nothing is known about the kernel.
    Broken(String),
}

impl<'a> Hunt<'a> {
    /// Errors: the line to print.
    pub fn new(
        all_seals: u32,
        features: Vec<&'static str>,
        table: &'a Table,
    ) -> Result<Hunt<'a>, String> {
        Ok(Hunt { tools: Tools::new()?, all_seals, features, table, tally: Tally::default() })
    }

    /// Checks a branch. What leaves the model's state as it was leaves the file for the next check.
    /// Errors: it could not be set up.
    pub fn branch(&mut self, branch: &Branch) -> Result<(), String> {
        let Some((state, last)) = branch.checks(self.all_seals) else { return Ok(()) };
        let mut file: Option<Actual> = None;
        // All that was done to the file.
        let mut history = Vec::new();
        for op in last {
            let actual = match &mut file {
                Some(actual) => actual,
                None => {
                    history.clone_from(&branch.prefix);
                    match self.begun(branch.kind, &branch.prefix) {
                        Ok((actual, _)) => file.insert(actual),
                        Err(Stop::Found(found)) => {
                            history.truncate(found.len);
                            return self.found(branch.kind, &history, found);
                        }
                        Err(Stop::Broken(why)) => return Err(why),
                    }
                }
            };
            history.push(op);
            let mut after = state.clone();
            let out = step(&mut after, op);
            self.tally.checks += 1;
            let agreed = actual.step(&mut self.tools, &state, op, out, &after);
            let same = file_of(&state) == file_of(&after) && agreed.is_ok();
            // More descriptors and mappings can be taken back; what is gone can't.
            let kept = after.fds.starts_with(&state.fds) && after.maps.starts_with(&state.maps);
            if same && kept {
                actual.back_to(&state);
                history.extend((state.maps.len()..after.maps.len()).map(|_| Op::Unmap));
                history.extend((state.fds.len()..after.fds.len()).map(|_| Op::Close));
            } else {
                file = None;
            }
            if let Err(what) = agreed {
                let found = Found { len: history.len(), what: said(&state, op, &what) };
                // Most often what went before it on this file has no part in it.
                let alone = [&branch.prefix[..], &[op]].concat();
                let alone = self.sequence(branch.kind, &alone)?.map(|_| alone);
                self.found(branch.kind, &alone.unwrap_or(history.clone()), found)?;
            }
        }
        Ok(())
    }

    /// Checks one sequence, each operation of it that can be asked for. None: it agrees, or what it
    /// disagrees in is known. Errors: it could not be set up.
    pub fn sequence(&mut self, kind: Kind, ops: &[Op]) -> Result<Option<String>, String> {
        let ops = self.taken(kind, ops);
        match self.begun(kind, &ops) {
            Ok(_) => Ok(None),
            Err(Stop::Found(found)) if self.reason(&found.what).is_some() => Ok(None),
            Err(Stop::Found(found)) => Ok(Some(found.what)),
            Err(Stop::Broken(why)) => Err(why),
        }
    }

    /// Counts a sequence that agreed.
    pub fn passed(&mut self, kind: Kind, ops: &[Op]) {
        self.tally.checks += self.taken(kind, ops).len() as u64;
    }

    /// Takes note of a sequence that has disagreed in `what`, whether or not it does so again. Errors: it
    /// could not be set up.
    pub fn failed(&mut self, kind: Kind, ops: &[Op], what: &str) -> Result<(), String> {
        let ops = self.taken(kind, ops);
        let len = ops.len();
        self.tally.checks += len as u64;
        self.found(kind, &ops, Found { len, what: what.to_owned() })
    }

    /// Those of a list that the model takes when their turn comes.
    fn taken(&self, kind: Kind, ops: &[Op]) -> Vec<Op> {
        let mut state = State::fresh(kind, self.all_seals);
        let mut taken = Vec::new();
        for &op in ops.iter() {
            if state.takes(op) {
                step(&mut state, op);
                taken.push(op);
            }
        }
        taken
    }

    /// A fresh file, to which all of this was done.
    fn begun(&mut self, kind: Kind, ops: &[Op]) -> Result<(Actual, State), Stop> {
        let mut state = State::fresh(kind, self.all_seals);
        let mut actual = Actual::fresh(&state).map_err(Stop::Broken)?;
        for (at, &op) in ops.iter().enumerate() {
            let before = state.clone();
            let out = step(&mut state, op);
            actual.step(&mut self.tools, &before, op, out, &state).map_err(|what| {
                Stop::Found(Found { len: at + 1, what: said(&before, op, &what) })
            })?;
        }
        Ok((actual, state))
    }

    /// Why the disagreement is known.
    fn reason(&self, what: &str) -> Option<&'a str> {
        self.table.explains(what, &self.features)
    }

    /// Takes note of a disagreement.
    fn found(&mut self, kind: Kind, ops: &[Op], found: Found) -> Result<(), String> {
        if let Some(reason) = self.reason(&found.what) {
            self.tally.explained += 1;
            if !self.tally.reasons.iter().any(|known| known == reason) {
                self.tally.reasons.push(reason.to_owned());
            }
            return Ok(());
        }
        self.tally.disagreements += 1;
        if self.tally.first.is_none() {
            let (ops, what) = self.shortest(kind, ops)?;
            let (ops, what, once) = match what {
                Some(what) => (ops, what, ""),
                None => (ops, found.what, "It did not come again on a file of its own.\n"),
            };
            let program = program::c(kind, self.all_seals, &ops, &what);
            self.tally.first = Some(format!("{what}\n{once}{program}"));
        }
        Ok(())
    }

    /// The sequence without all that it does not take to disagree, and in what it does; none if it
    /// does not any more.
    fn shortest(&mut self, kind: Kind, ops: &[Op]) -> Result<(Vec<Op>, Option<String>), String> {
        let mut ops = self.taken(kind, ops);
        let Some(mut what) = self.sequence(kind, &ops)? else { return Ok((ops, None)) };
        let mut at = 0;
        while at < ops.len() {
            let fewer = [&ops[..at], &ops[at + 1..]].concat();
            let fewer = self.taken(kind, &fewer);
            match self.sequence(kind, &fewer)? {
                // What could be done without may have become more.
                Some(still) => (ops, what, at) = (fewer, still, 0),
                None => at += 1,
            }
        }
        Ok((ops, Some(what)))
    }
}

/// What can't be taken back.
fn file_of(s: &State) -> (u32, bool, &[u8]) {
    (s.seals, s.executable, &s.pages)
}

/// A disagreement in one line: on what, in which operation, how.
fn said(before: &State, op: Op, what: &str) -> String {
    let seals = match before.seals {
        0 => String::new(),
        seals => format!(" with {}", program::seals(seals)),
    };
    format!("{}{seals}: {}: {what}", before.kind.suffix(), program::call(before, op))
}
