// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The live count while the guest runs. For eyes only: the verdict reads the stream's bytes itself,
//! and a line that is not understood here is none.

use memfd_seals::events::{Event, Outcome};
use memfd_seals::report::text::one_line;
use std::collections::HashMap;

/// A line longer than this is not one of the suite's.
const LONGEST: usize = 1 << 20;
/// How many failures are shown as they come; the report at the end has them all.
const SHOWN: usize = 10;

/// What has come so far.
pub struct Progress<'a> {
    predicted: HashMap<&'a str, Outcome>,
    /// Whether everything is predicted to pass: then what is not as predicted has failed.
    all_pass: bool,
    planned: usize,
    rest: Vec<u8>,
    done: usize,
    odd: usize,
}

impl<'a> Progress<'a> {
    pub fn new(expected: &'a [(String, Outcome)]) -> Progress<'a> {
        Progress {
            predicted: expected.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect(),
            all_pass: expected.iter().all(|(_, outcome)| *outcome == Outcome::Pass),
            planned: expected.len(),
            rest: Vec::new(),
            done: 0,
            odd: 0,
        }
    }

    /// Takes bytes as they come; gives a line for each test that did not come out as predicted.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut said = Vec::new();
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            if self.rest.len() + part.len() <= LONGEST {
                self.rest.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.rest);
                said.extend(self.line(&line));
            }
        }
        said
    }

    fn line(&mut self, line: &[u8]) -> Option<String> {
        if !line.starts_with(b"{\"event\":\"result\"") {
            return None;
        }
        let Ok(Event::Result { test, outcome, why, .. }) = serde_json::from_slice(line) else {
            return None;
        };
        self.done += 1;
        if self.predicted.get(test.as_str()) == Some(&outcome) {
            return None;
        }
        self.odd += 1;
        match self.odd {
            ..=SHOWN => {
                let why = one_line(&why);
                let colon = if why.is_empty() { "" } else { ": " };
                Some(format!("{outcome}: {}{colon}{why}", one_line(&test)))
            }
            n if n == SHOWN + 1 => Some("more to come in the report".to_owned()),
            _ => None,
        }
    }

    /// "123 of 279 tests, 2 failed"
    pub fn words(&self) -> String {
        let (done, planned) = (self.done, self.planned);
        let odd = if self.all_pass { "failed" } else { "not as predicted" };
        match self.odd {
            0 => format!("{done} of {planned} tests"),
            n => format!("{done} of {planned} tests, {n} {odd}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(outcome: Outcome) -> Vec<(String, Outcome)> {
        (0..30).map(|n| (format!("t{n}"), outcome)).collect()
    }

    fn result(test: &str, outcome: Outcome, why: &str) -> Vec<u8> {
        let event = Event::Result { test: test.into(), outcome, ms: 1, why: why.into() };
        [serde_json::to_vec(&event).unwrap(), b"\n".to_vec()].concat()
    }

    #[test]
    fn results_count_however_they_are_cut() {
        let expected = expected(Outcome::Pass);
        let mut stream = b"{\"event\":\"start\",\"test\":\"t0\"}\nnonsense\n".to_vec();
        stream.extend(result("t0", Outcome::Pass, ""));
        stream.extend(result("t1", Outcome::Fail, "open: expected EPERM,\ngot \x1b[31m4"));
        for size in [1, 7, stream.len()] {
            let mut progress = Progress::new(&expected);
            let said: Vec<String> = stream.chunks(size).flat_map(|c| progress.feed(c)).collect();
            assert_eq!(said, ["fail: t1: open: expected EPERM, got \u{fffd}[31m4"]);
            assert_eq!(progress.words(), "2 of 30 tests, 1 failed");
        }
    }

    #[test]
    fn a_known_failure_is_none() {
        let expected = expected(Outcome::Fail);
        let mut progress = Progress::new(&expected);
        assert!(progress.feed(&result("t0", Outcome::Fail, "")).is_empty());
        assert_eq!(progress.words(), "1 of 30 tests");
        assert_eq!(progress.feed(&result("t1", Outcome::Pass, "")), ["pass: t1"]);
        assert_eq!(progress.words(), "2 of 30 tests, 1 not as predicted");
    }

    #[test]
    fn many_failures_are_not_all_shown_and_a_mad_guest_is_not_kept() {
        let expected = expected(Outcome::Pass);
        let mut progress = Progress::new(&expected);
        let said: Vec<String> = (0..30)
            .flat_map(|n| progress.feed(&result(&format!("t{n}"), Outcome::Error, "")))
            .collect();
        assert_eq!((said.len(), said[SHOWN].as_str()), (SHOWN + 1, "more to come in the report"));
        for _ in 0..40 {
            progress.feed(&vec![b'x'; LONGEST / 10]);
        }
        assert!(progress.rest.len() <= LONGEST);
        assert_eq!(progress.words(), "30 of 30 tests, 30 failed");
    }
}
