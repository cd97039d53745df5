// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs the tests through libtest-mimic and writes the event stream.

use crate::case::Test;
use crate::cases;
use crate::child;
use crate::events::{Chain, Event, Outcome};
use crate::kind::Kind;
use crate::need;
use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a run is set up.
pub struct Options {
    /// libtest's own: filter, --skip, --exact, --format …
    pub libtest: Arguments,
    /// Where the event stream goes, if anywhere.
    pub events: Option<File>,
    /// Echoed in `hello`.
    pub nonce: String,
    /// Time limit of one test.
    pub limit: Duration,
    /// What is done after the last test, before the stream says that all is done.
    pub last: Box<dyn FnOnce() -> Result<(), String>>,
}

/// The names that these arguments select, in the order in which they run.
pub fn selected(arguments: &Arguments) -> Vec<String> {
    let trial = |test: &Test| Trial::test(test.name(), || Ok(()));
    let tests = cases::all();
    let trials = tests.iter().map(trial).filter(|trial| !arguments.is_filtered_out(trial));
    trials.map(|trial| trial.name().to_owned()).collect()
}

/// Children alive at once, unless --test-threads says otherwise.
const WIDTH: usize = 2;

/// Runs what is selected. Errors: the event stream can't be written, or `last` failed.
pub fn run(options: Options) -> Result<Conclusion, String> {
    let Options { mut libtest, events, nonce, limit, last } = options;
    // Probed before any child runs, so that what one uses is not missing for the other.
    let _ = need::kind_missing(Kind::Hugetlb);
    let names = selected(&libtest);
    let due = cases::all().into_iter().filter(|test| names.contains(&test.name())).collect();
    let width = libtest.test_threads.unwrap_or(WIDTH).max(1);
    // Children are forked, which takes a process of one thread.
    libtest.test_threads = Some(1);
    let mut stream = Stream::new(events);
    stream.write(&hello(nonce)).map_err(unwritten)?;
    stream.write(&Event::Plan { tests: names }).map_err(unwritten)?;
    let lanes = Lanes { due, width, limit, running: VecDeque::new() };
    let run = Arc::new(Mutex::new((stream, lanes)));
    let trials = cases::all().into_iter().map(|test| trial(test, run.clone())).collect();
    let conclusion = libtest_mimic::run(&libtest, trials);
    last()?;
    run.lock().expect("one thread").0.finish().map_err(unwritten)?;
    Ok(conclusion)
}

fn unwritten(error: std::io::Error) -> String {
    format!("the event stream: {error}")
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
        while self.running.len() < self.width {
            let Some(test) = self.due.pop_front() else { break };
            self.running.push_back(child::start(test, self.limit));
        }
        match self.running.pop_front().expect("libtest runs what was selected, in order") {
            Ok(running) => running.finish(),
            Err(errno) => child::Report::error(format!("no child: {errno:?}")),
        }
    }
}

fn trial(test: Test, run: Arc<Mutex<(Stream, Lanes)>>) -> Trial {
    Trial::ignorable_test(test.name(), move || {
        let name = test.name();
        let (stream, lanes) = &mut *run.lock().expect("one thread");
        stream.write(&Event::Start { test: name.clone() })?;
        let report = lanes.next();
        for line in report.lines {
            stream.write(&Event::Output { test: name.clone(), line })?;
        }
        let (outcome, why, ms) = (report.outcome, report.why, report.ms);
        stream.write(&Event::Result { test: name.clone(), outcome, ms, why: why.clone() })?;
        match outcome {
            Outcome::Pass => Ok(Completion::Completed),
            Outcome::Skip => Ok(Completion::ignored_with(why)),
            other => {
                Err(Failed::from(format!("{other}: {why}\nagain: memfd-seals --exact {name}")))
            }
        }
    })
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

/// What `--list` prints: a name and a description a line.
pub fn list(arguments: &Arguments) -> String {
    let selected = selected(arguments);
    let tests = cases::all().into_iter().filter(|test| selected.contains(&test.name()));
    let rows: Vec<_> = tests.map(|test| (test.name(), test.case.about)).collect();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter().map(|(name, about)| format!("{name:width$}  {about}\n")).collect()
}
