// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs the tests through libtest-mimic and writes the event stream.

use crate::case::Test;
use crate::child;
use crate::compare;
use crate::deviations::Table;
use crate::events::{Chain, Event, Outcome};
use crate::init;
use crate::kind::Kind;
use crate::need;
use crate::predict::Facts;
use crate::race;
use crate::report::{Mark, Row};
use crate::select::Due;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a run is set up.
pub struct Options {
    /// libtest's own: --format, --test-threads …
    pub libtest: Arguments,
    /// What runs, in order.
    pub plan: Vec<Due>,
    /// What is held against the results.
    pub known: Known,
    /// What goes before a test's name in the command that runs only that again.
    pub again: String,
    /// Where the event stream goes, if anywhere.
    pub events: Option<File>,
    /// Echoed in `hello`.
    pub nonce: String,
    /// Time limit of one test.
    pub limit: Duration,
    /// Whether the stream says what the kernel guarantees under each seal.
    pub guarantees: bool,
    /// Whether no further test runs once one came out otherwise than known.
    pub fail_fast: bool,
    /// What is done after the last test, before the stream says that all is done.
    pub last: Box<dyn FnOnce() -> Result<(), String>>,
}

/// What is known of the kernel.
pub struct Known {
    pub facts: Facts,
    pub table: Table,
}

/// Why a test has no outcome under --fail-fast.
const NOT_RUN: &str = "not run: an earlier test came out otherwise than known";
/// Children alive at once, unless --test-threads says otherwise.
const WIDTH: usize = 2;

/// Runs what is due; gives a row for each. Errors: the event stream can't be written, or `last`
/// failed.
pub fn run(options: Options) -> Result<Vec<Row>, String> {
    let Options { libtest, plan, known, again, events, nonce, limit, guarantees, fail_fast, last } =
        options;
    let width = libtest.test_threads.unwrap_or(WIDTH).max(1);
    need::at_once(width);
    // Probed before any child runs, so that what one uses is not missing for the other.
    let _ = need::kind_missing(Kind::Hugetlb);
    let mut stream = Stream::new(events);
    stream.write(&hello(nonce)).map_err(unwritten)?;
    let names = plan.iter().map(|due| due.name.clone()).collect();
    stream.write(&Event::Plan { tests: names }).map_err(unwritten)?;
    let due = plan.iter().map(|due| due.test).collect();
    let lanes = Lanes { due, width, limit, running: VecDeque::new() };
    let run = Run { stream, lanes, known, again, fail_fast, over: false, rows: Vec::new() };
    let run = Arc::new(Mutex::new(run));
    let trial = |due: &Due| {
        let (due, run) = (due.clone(), run.clone());
        Trial::ignorable_test(due.name.clone(), move || run.lock().expect("one thread").one(&due))
    };
    let trials: Vec<Trial> = plan.iter().map(trial).collect();
    // What is selected is here; children are forked, which takes a process of one thread.
    let Arguments { quiet, color, format, logfile, .. } = libtest;
    let shown = Arguments { quiet, color, format, logfile, ..Arguments::default() };
    let _ = libtest_mimic::run(&Arguments { test_threads: Some(1), ..shown }, trials);
    let mut run = run.lock().expect("one thread");
    if guarantees {
        run.stream.write(&Event::Guarantees(compare::guarantees())).map_err(unwritten)?;
    }
    last()?;
    run.stream.finish().map_err(unwritten)?;
    Ok(std::mem::take(&mut run.rows))
}

fn unwritten(error: std::io::Error) -> String {
    format!("the event stream: {error}")
}

/// How many times as long as others a race may take: more rounds take longer.
fn alone_limit() -> u32 {
    init::ALONE * race::rounds().div_ceil(race::ROUNDS)
}

/// Several children at work, reported in the order of the plan.
struct Lanes {
    due: VecDeque<Test>,
    width: usize,
    limit: Duration,
    running: VecDeque<Result<child::Running, nix::errno::Errno>>,
}

impl Lanes {
    /// The report of the next test in order, whose successors are started meanwhile.
    fn next(&mut self) -> child::Report {
        // One that is to be alone starts once all before it have ended, and the next one once it has.
        let mut alone = false;
        while self.running.len() < self.width {
            let waits = |test: &Test| alone || test.case.alone && !self.running.is_empty();
            if self.due.front().is_none_or(waits) {
                break;
            }
            let test = self.due.pop_front().expect("there is one");
            alone = test.case.alone;
            let limit = if alone { self.limit * alone_limit() } else { self.limit };
            self.running.push_back(child::start(test, limit));
        }
        match self.running.pop_front().expect("libtest runs what was selected, in order") {
            Ok(running) => running.finish(),
            Err(errno) => child::Report::error(format!("no child: {errno:?}")),
        }
    }
}

/// A run under way.
struct Run {
    stream: Stream,
    lanes: Lanes,
    known: Known,
    again: String,
    fail_fast: bool,
    /// No further test runs.
    over: bool,
    rows: Vec<Row>,
}

impl Run {
    /// Reports the next test and holds it against what is known.
    fn one(&mut self, due: &Due) -> Result<Completion, Failed> {
        let name = due.name.clone();
        self.stream.write(&Event::Start { test: name.clone() })?;
        let report = if self.over { child::Report::skip(NOT_RUN) } else { self.lanes.next() };
        for line in &report.lines {
            self.stream.write(&Event::Output { test: name.clone(), line: line.clone() })?;
        }
        if report.checks != 0 {
            let counted = Event::Counted { test: name.clone(), checks: report.checks };
            self.stream.write(&counted)?;
        }
        let (outcome, why, ms) = (report.outcome, report.why.clone(), report.ms);
        self.stream.write(&Event::Result { test: name, outcome, ms, why })?;
        let (row, told) = self.known.judge(due, report);
        let told = match row.mark() {
            Mark::Passed => Ok(Completion::Completed),
            Mark::Skipped => Ok(Completion::ignored_with(&row.why)),
            Mark::KnownToFail => Ok(Completion::ignored_with(format!("known: {}", row.reason))),
            Mark::Failed | Mark::TimedOut | Mark::Error => {
                let again = format!("again: {}{}", self.again, due.test.name());
                let output = row.output.iter().map(|line| format!("    | {line}\n"));
                Err(Failed::from(format!("{told}\n{}{again}", output.collect::<String>())))
            }
        };
        self.over |= self.fail_fast && row.is_wrong();
        self.rows.push(row);
        told
    }
}

impl Known {
    /// The row of a report, and what is told of it if that is wrong: what was done, expected, got.
    fn judge(&self, due: &Due, report: child::Report) -> (Row, String) {
        let predicted = self.facts.predict(&self.table, &due.test);
        let child::Report { outcome, why, lines, ms, checks, .. } = report;
        // A machine may lack anything. Only the runner, whose guest lacks nothing, wants to be told.
        let skipped = outcome == Outcome::Skip;
        let row = Row {
            name: due.name.clone(),
            predicted: Some(if skipped { outcome } else { predicted.outcome }),
            reason: if skipped { String::new() } else { predicted.reason.to_owned() },
            outcome: Some(outcome),
            ms,
            why,
            output: lines,
            checks,
        };
        let about = due.test.case.about;
        let done = if row.why.starts_with(about) { "" } else { about };
        let colon = if done.is_empty() || row.why.is_empty() { "" } else { ": " };
        let told = format!("{outcome}: {done}{colon}{}", row.why);
        let told = match predicted.row {
            None => told,
            Some(known) if outcome == Outcome::Pass => format!(
                "{told}\nit passes, but {} knows that it comes out as {} ({}): delete that row, or say \
                 where it holds",
                known.place(),
                known.got,
                known.reason
            ),
            Some(known) => {
                format!("{told}\n{} knows it as {}: {}", known.place(), known.got, known.reason)
            }
        };
        (row, told)
    }
}

fn hello(nonce: String) -> Event {
    let uname = nix::sys::utsname::uname().expect("uname");
    Event::Hello {
        nonce,
        salt: build_salt(Path::new("/sys/kernel/notes")).unwrap_or_default(),
        release: uname.release().to_string_lossy().into_owned(),
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        seal: need::probe_seal().to_string(),
    }
}

/// The running kernel's CONFIG_BUILD_SALT: the note of type 0x100 with the name "Linux".
fn build_salt(notes: &Path) -> Option<String> {
    let notes = std::fs::read(notes).ok()?;
    let word =
        |at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?) as usize);
    let mut at = 0;
    loop {
        let (name_len, text_len, kind) = (word(at)?, word(at + 4)?, word(at + 8)?);
        let name = at + 12;
        let text = name + name_len.next_multiple_of(4);
        if kind == 0x100 && notes.get(name..name + name_len)? == b"Linux\0" {
            let text = notes.get(text..text + text_len)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
        at = text + text_len.next_multiple_of(4);
    }
}

/// The event stream as it is written.
struct Stream {
    to: Option<File>,
    chain: Chain,
    results: usize,
}

impl Stream {
    fn new(to: Option<File>) -> Stream {
        Stream { to, chain: Chain::default(), results: 0 }
    }

    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        self.results += usize::from(matches!(event, Event::Result { .. }));
        let Some(to) = &mut self.to else { return Ok(()) };
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.chain.add(&line);
        to.write_all(&line)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        let taint = std::fs::read_to_string("/proc/sys/kernel/tainted");
        let done = Event::Done {
            count: self.results,
            sha256: self.chain.hex(),
            taint: taint.ok().and_then(|text| text.trim().parse().ok()),
        };
        self.write(&done)
    }
}
