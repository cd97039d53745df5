// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the guest reported, test by test, read leniently: for people to see. The verdict takes
//! only the surprises from here, and only after the stream has been proven sound.

use super::stream::Stream;
use memfd_seals::events::{Event, Outcome};
pub use memfd_seals::report::{Mark, Row};
use std::collections::HashMap;

/// How many tests came out how.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    pub skip: usize,
    pub timeout: usize,
}

/// One test's report, as the guest sent it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Test {
    pub name: String,
    pub outcome: Outcome,
    /// Wall time in the guest, milliseconds.
    pub ms: u64,
    pub why: String,
    /// Lines it wanted a person to see.
    pub output: Vec<String>,
    /// As how many it counts, where it is many in one; else 0.
    pub checks: u64,
}

/// A test that came out otherwise than predicted, or not at all.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Surprise {
    pub name: String,
    pub predicted: Outcome,
    /// None: no result.
    pub got: Option<Outcome>,
    pub why: String,
}

/// The results, each name's first.
pub fn tests(stream: &Stream) -> Vec<Test> {
    let mut outputs: HashMap<&str, Vec<String>> = HashMap::new();
    let mut checks: HashMap<&str, u64> = HashMap::new();
    let mut tests: Vec<Test> = Vec::new();
    for line in &stream.lines {
        match &line.event {
            Event::Output { test, line } => {
                outputs.entry(test).or_default().push(line.clone());
            }
            Event::Counted { test, checks: count } => {
                let sum = checks.entry(test).or_default();
                *sum = sum.saturating_add(*count);
            }
            Event::Result { test, outcome, ms, why } => tests.push(Test {
                name: test.clone(),
                outcome: *outcome,
                ms: *ms,
                why: why.clone(),
                output: outputs.remove(test.as_str()).unwrap_or_default(),
                checks: checks.remove(test.as_str()).unwrap_or_default(),
            }),
            _ => {}
        }
    }
    tests
}

/// Every expected test whose result is not the predicted one, in the expected order: empty only
/// if each has a result, and the predicted one.
pub fn surprises(expected: &[(String, Outcome)], tests: &[Test]) -> Vec<Surprise> {
    let by_name: HashMap<&str, &Test> = tests.iter().rev().map(|t| (&*t.name, t)).collect();
    let surprise = |(name, predicted): &(String, Outcome)| {
        let test = by_name.get(name.as_str());
        let got = test.map(|test| test.outcome);
        let why = test.map_or(String::from("no result"), |test| test.why.clone());
        (got != Some(*predicted)).then(|| Surprise {
            name: name.clone(),
            predicted: *predicted,
            got,
            why,
        })
    };
    expected.iter().filter_map(surprise).collect()
}

/// A row for each expected test in order, then one for each result that is left over.
pub fn rows(expected: &[(String, Outcome)], tests: &[Test]) -> Vec<Row> {
    let mut firsts: HashMap<&str, usize> = HashMap::new();
    for (at, test) in tests.iter().enumerate() {
        firsts.entry(&test.name).or_insert(at);
    }
    let mut taken = vec![false; tests.len()];
    let mut rows = Vec::new();
    for (name, predicted) in expected {
        // A name that is expected twice gets one result: the other row is missing its own.
        let at = firsts.remove(name.as_str());
        at.into_iter().for_each(|at| taken[at] = true);
        rows.push(row(name, Some(*predicted), at.map(|at| &tests[at])));
    }
    let left = tests.iter().zip(taken).filter(|(_, taken)| !taken);
    rows.extend(left.map(|(test, _)| row(&test.name, None, Some(test))));
    rows
}

fn row(name: &str, predicted: Option<Outcome>, test: Option<&Test>) -> Row {
    Row {
        name: name.to_owned(),
        predicted,
        reason: String::new(),
        outcome: test.map(|test| test.outcome),
        ms: test.map_or(0, |test| test.ms),
        why: test.map_or(String::new(), |test| test.why.clone()),
        output: test.map_or(Vec::new(), |test| test.output.clone()),
        checks: test.map_or(0, |test| test.checks),
    }
}

/// Results by outcome.
pub fn counts(tests: &[Test]) -> Counts {
    let of = |outcome| tests.iter().filter(|test| test.outcome == outcome).count();
    Counts {
        pass: of(Outcome::Pass),
        fail: of(Outcome::Fail),
        error: of(Outcome::Error),
        skip: of(Outcome::Skip),
        timeout: of(Outcome::Timeout),
    }
}
