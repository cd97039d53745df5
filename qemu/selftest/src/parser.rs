// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Damaged streams by the hundred thousand, given to the runner's own verdict: none may pass.

use crate::edits::{Input, inputs, on_lines};
use crate::fake::written;
use crate::lab::{self, Lab};
use crate::row::{On, ROW, Row};
use memfd_seals::events::{Event, Outcome};
use memfd_seals::init;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use qemu_test::class::Class;
use qemu_test::guest::boot::Ended;
use qemu_test::guest::splat::Patterns;
use qemu_test::guest::verdict::{Evidence, judge};
use std::fs;
use std::thread;
use std::time::Instant;

/// A row about the verdict alone: no run ends in a class.
const VERDICT: Row = Row { class: "", within: 60, ..ROW };

pub const ROWS: &[Row] = &[
    Row {
        name: "parser::any_input",
        about: "a million inputs: bytes without sense, a good stream edited, a guest that lies",
        on: On::Nothing,
        by: |_, row| timed(row, || survives(1_000_000)),
        within: 180,
        ..VERDICT
    },
    Row {
        name: "parser::line_dropped",
        about: "each line of a recorded run is left out",
        by: |lab, row| timed(row, || Good::recorded(lab)?.without_each_line()),
        ..VERDICT
    },
    Row {
        name: "parser::line_doubled",
        about: "each line of a recorded run comes twice",
        by: |lab, row| timed(row, || Good::recorded(lab)?.with_each_line_twice()),
        ..VERDICT
    },
    Row {
        name: "parser::bit_flipped",
        about: "each bit of a recorded run is turned over",
        by: |lab, row| timed(row, || Good::recorded(lab)?.with_each_bit_flipped()),
        within: 300,
        ..VERDICT
    },
];

/// Counts streams, and holds the time against the row's bound.
fn timed(row: &Row, work: impl FnOnce() -> Result<usize, String>) -> Result<String, String> {
    let start = Instant::now();
    let streams = work()?;
    let (took, within) = (start.elapsed().as_secs_f64(), row.within);
    let words = format!("{streams} streams, none judged wrongly, {took:.1} s of {within} s");
    if took > within as f64 { Err(words) } else { Ok(words) }
}

/// A stream that passes, and what makes it pass.
struct Good {
    /// All but `done`.
    events: Vec<Event>,
    bytes: Vec<u8>,
    expected: Vec<(String, Outcome)>,
    nonce: String,
    salt: String,
    release: String,
    cpus: u32,
    /// Whole, and quiet.
    console: String,
    patterns: Patterns,
}

impl Good {
    /// What a guest would have written. Refuses events that do not pass: they would prove nothing.
    fn new(events: Vec<Event>, bytes: Vec<u8>) -> Result<Good, String> {
        let Some(Event::Hello { nonce, salt, release, cpus, .. }) = events.first().cloned() else {
            return Err("the stream has no hello".into());
        };
        let last = format!("{}{nonce}", init::LAST_WORD);
        let console = format!("Linux version {release}\n{last}\nreboot: Restarting system\n");
        let cpus = cpus as u32;
        let results = events.iter().filter_map(|event| match event {
            Event::Result { test, outcome, .. } => Some((test.clone(), *outcome)),
            _ => None,
        });
        let expected = results.collect();
        let patterns = Patterns::parse(include_str!("../../splats.txt"))?;
        let good = Good { events, bytes, expected, nonce, salt, release, cpus, console, patterns };
        if good.passes(&good.bytes) { Ok(good) } else { Err("the good stream fails".into()) }
    }

    /// The recorded run of all tests.
    fn recorded(lab: &Lab) -> Result<Good, String> {
        let path = lab::recording(&lab.path).join("results.jsonl");
        let bytes = lab::tell(&path, fs::read(&path))?;
        let lines =
            bytes.split(|byte| *byte == b'\n').filter_map(|l| serde_json::from_slice(l).ok());
        let events = lines.filter(|event| !matches!(event, Event::Done { .. })).collect();
        Good::new(events, bytes)
    }

    /// Four tests, with each outcome that can be predicted, and with words that need escapes.
    fn small() -> Result<Good, String> {
        let plan = [
            ("a::one", Outcome::Pass),
            ("a::two", Outcome::Fail),
            ("b::three", Outcome::Skip),
            ("b::four", Outcome::Pass),
        ];
        let mut events = vec![
            Event::Hello {
                nonce: "00112233445566778899aabbccddeeff".into(),
                salt: "0123456789abcdef".into(),
                release: "7.3.4".into(),
                cpus: 2,
                seal: "enforced".into(),
            },
            Event::Plan { tests: plan.map(|(name, _)| name.to_owned()).to_vec() },
        ];
        for (index, (name, outcome)) in plan.into_iter().enumerate() {
            let test = || name.to_owned();
            events.push(Event::Start { test: test() });
            for line in 0..index {
                events.push(Event::Output {
                    test: test(),
                    line: format!("line {line} \"\u{e9}\"\\"),
                });
            }
            let why = if outcome == Outcome::Pass { "" } else { "expected EPERM, got 1" };
            events.push(Event::Result { test: test(), outcome, ms: 3, why: why.into() });
        }
        let bytes = written(&events);
        Good::new(events, bytes)
    }

    fn passes(&self, events: &[u8]) -> bool {
        let verdict = judge(&Evidence {
            expected: &self.expected,
            events,
            console: self.console.as_bytes(),
            words: "",
            ended: &Ended::Exited(0),
            nonce: &self.nonce,
            salt: &self.salt,
            release: &self.release,
            cpus: self.cpus,
            guarantees: self.events.iter().any(|event| matches!(event, Event::Guarantees(_))),
            patterns: &self.patterns,
        });
        verdict.class == Class::Pass
    }

    /// Whether these events say what the good ones say, by another way than the verdict's own.
    fn same_meaning(&self, events: &[Event]) -> bool {
        let mut due = self.events.iter().filter(|event| !matches!(event, Event::Output { .. }));
        let mut running = None;
        for event in events {
            if let Event::Output { test, .. } = event {
                if running == Some(test) { continue } else { return false }
            }
            let same = match (event, due.next()) {
                (
                    Event::Hello { nonce, salt, release, cpus, seal: _ },
                    Some(Event::Hello { nonce: n, salt: s, release: r, cpus: c, seal: _ }),
                ) => (nonce, salt, release, cpus) == (n, s, r, c),
                (
                    Event::Result { test, outcome, .. },
                    Some(Event::Result { test: due_test, outcome: due_outcome, .. }),
                ) => (test, outcome) == (due_test, due_outcome),
                // Why one is missing is words.
                (Event::Guarantees(said), Some(Event::Guarantees(due))) => {
                    (&said.shmem, &said.hugetlb) == (&due.shmem, &due.hugetlb)
                }
                (event, due) => Some(event) == due,
            };
            if !same {
                return false;
            }
            running = if let Event::Start { test } = event { Some(test) } else { None };
        }
        due.next().is_none()
    }

    /// What is wrong with the verdict on an input, if anything.
    fn fault(&self, input: &Input) -> Option<&'static str> {
        let (passes, may) = match input {
            Input::Bytes(bytes) => (self.passes(bytes), *bytes == self.bytes),
            Input::Edited(edits) => {
                let mut bytes = self.bytes.clone();
                edits.iter().for_each(|edit| edit.apply(&mut bytes));
                (self.passes(&bytes), bytes == self.bytes)
            }
            Input::Lied(lies) => {
                let mut events = self.events.clone();
                lies.iter().for_each(|lie| lie.apply(&mut events));
                (self.passes(&written(&events)), self.same_meaning(&events))
            }
        };
        match (passes, may) {
            (true, false) => Some("passes"),
            (false, true) => Some("is as good as the good one, and does not pass"),
            _ => None,
        }
    }

    fn without_each_line(&self) -> Result<usize, String> {
        self.on_each_line(|lines, at| drop(lines.remove(at)))
    }

    fn with_each_line_twice(&self) -> Result<usize, String> {
        self.on_each_line(|lines, at| lines.insert(at, lines[at].clone()))
    }

    fn on_each_line(&self, change: fn(&mut Vec<Vec<u8>>, usize)) -> Result<usize, String> {
        let count = self.bytes.split_inclusive(|b| *b == b'\n').count();
        let passing = (0..count).find(|at| {
            let mut bytes = self.bytes.clone();
            on_lines(&mut bytes, |lines| change(lines, *at));
            self.passes(&bytes)
        });
        passing.map_or(Ok(count), |at| Err(format!("passes with line {} changed", at + 1)))
    }

    fn with_each_bit_flipped(&self) -> Result<usize, String> {
        let bits = 8 * self.bytes.len();
        let width = width();
        // Taken in turns: a damage near the end costs more than one near the start.
        let passing = on_all_cpus(|worker| {
            let mut bytes = self.bytes.clone();
            (worker..bits).step_by(width).find(|bit| {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let passes = self.passes(&bytes);
                bytes[bit / 8] ^= 1 << (bit % 8);
                passes
            })
        });
        match passing.into_iter().flatten().next() {
            None => Ok(bits),
            Some(bit) => Err(format!("passes with bit {} of byte {} flipped", bit % 8, bit / 8)),
        }
    }
}

/// Whether none of `count` inputs is judged wrongly. An input that is comes shrunk to what matters.
fn survives(count: u32) -> Result<usize, String> {
    let good = Good::small()?;
    let each = count.div_ceil(width() as u32);
    let failures = on_all_cpus(|_| {
        let config = Config { cases: each, failure_persistence: None, ..Config::default() };
        let fault = |input| match good.fault(&input) {
            None => Ok(()),
            Some(fault) => Err(TestCaseError::fail(fault)),
        };
        TestRunner::new(config).run(&inputs(), fault).err().map(|failure| failure.to_string())
    });
    match failures.into_iter().flatten().next() {
        None => Ok(each as usize * width()),
        Some(failure) => Err(failure),
    }
}

fn width() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn on_all_cpus<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..width()).map(|n| scope.spawn(move || work(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a worker panicked")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_judged_rightly() {
        survives(5_000).unwrap();
    }

    #[test]
    fn lines_and_bits_count() {
        let good = Good::small().unwrap();
        good.without_each_line().unwrap();
        good.with_each_line_twice().unwrap();
        good.with_each_bit_flipped().unwrap();
    }
}
