// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs one test in a forked child of its own, with a time limit.

use crate::case::{Expect, Got, Stop, Test};
use crate::events::Outcome;
use crate::need;
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, setpgid};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What a test's child reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub outcome: Outcome,
    /// What was done, expected and got; the reason of a skip; empty for a pass.
    pub why: String,
    /// Lines that a person should see.
    pub lines: Vec<String>,
}

impl Report {
    fn new(outcome: Outcome, why: impl Into<String>) -> Report {
        Report { outcome, why: why.into(), lines: Vec::new() }
    }
}

thread_local!(static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

/// Adds a line to the report of the test that is running in this child.
pub fn say(line: &str) {
    LINES.with(|lines| lines.borrow_mut().push(line.to_owned()));
}

/// Forks, runs the test there, and gives its report and how long it took.
pub fn run(test: Test, limit: Duration) -> (Report, Duration) {
    let started = Instant::now();
    let report = supervise(test, limit)
        .unwrap_or_else(|errno| Report::new(Outcome::Error, format!("no child: {errno:?}")));
    (report, started.elapsed())
}

fn supervise(test: Test, limit: Duration) -> Result<Report, nix::errno::Errno> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let child = sys::fork(|| {
        sys::die_with_parent();
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        let report = judged(test);
        let text = serde_json::to_string(&report).expect("a report is JSON");
        File::from(writer).write_all(text.as_bytes()).expect("the parent reads");
        0
    })?;
    // Also here, so that the group is there whoever comes first.
    let _ = setpgid(child, child);

    let deadline = Instant::now() + limit;
    let mut text = Vec::new();
    let mut pipe = File::from(reader);
    let mut ended = false;
    while !ended {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout)?;
        let mut chunk = [0; 4096];
        if ready > 0 {
            let count = pipe.read(&mut chunk).map_err(|_| nix::errno::Errno::EIO)?;
            text.extend_from_slice(&chunk[..count]);
            ended = count == 0;
        }
    }
    // Whatever the child left behind goes with it.
    let _ = killpg(child, Signal::SIGKILL);
    let status = waitpid(child, None)?;
    if !ended {
        return Ok(Report::new(Outcome::Timeout, format!("killed after {} s", limit.as_secs())));
    }
    Ok(serde_json::from_slice(&text).unwrap_or_else(|_| {
        Report::new(Outcome::Fail, format!("the child ended without a report: {status:?}"))
    }))
}

/// Runs the test in this process.
fn judged(test: Test) -> Report {
    std::panic::set_hook(Box::new(|info| {
        let place =
            info.location().map_or(String::new(), |at| format!("{}:{}: ", at.file(), at.line()));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text =
            text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panicked");
        PANIC.with(|panic| *panic.borrow_mut() = format!("{place}{text}"));
    }));
    let result = std::panic::catch_unwind(|| judge(test));
    let mut report = result
        .unwrap_or_else(|_| Report::new(Outcome::Fail, PANIC.with(|panic| panic.borrow().clone())));
    report.lines = LINES.with(|lines| lines.take());
    report
}

thread_local!(static PANIC: RefCell<String> = const { RefCell::new(String::new()) });

/// The only place that turns what happened into an outcome.
fn judge(test: Test) -> Report {
    let lacks = test.case.needs.iter().find_map(|need| need.missing());
    if let Some(reason) = need::kind_missing(test.kind).or(lacks) {
        return Report::new(Outcome::Skip, reason);
    }
    let mut world = match (test.case.setup)(test.kind) {
        Ok(world) => world,
        Err(reason) => return Report::new(Outcome::Error, format!("setup: {reason}")),
    };
    if let Err(reason) = world.remember() {
        return Report::new(Outcome::Error, format!("setup: {reason}"));
    }
    let got = (test.case.op)(&mut world);
    if !meets(test.case.expect, got) {
        let why =
            format!("{}: expected {}, got {}", test.case.about, words(test.case.expect), said(got));
        return Report::new(Outcome::Fail, why);
    }
    let refused = matches!(test.case.expect, Expect::Fails(_));
    let checked = if refused { world.unchanged() } else { Ok(()) };
    match checked.and_then(|()| (test.case.after)(&mut world)) {
        Ok(()) => Report::new(Outcome::Pass, ""),
        Err(what) => Report::new(Outcome::Fail, format!("{}: afterwards, {what}", test.case.about)),
    }
}

fn meets(expect: Expect, got: Got) -> bool {
    match (expect, got) {
        (Expect::Fails(errno), Err(Stop::Errno(other))) => errno == other,
        (Expect::Dies(signal), Err(Stop::Signal(other))) => signal == other,
        (Expect::Returns(value), Ok(other)) => value == other,
        (Expect::Works, Ok(_)) => true,
        _ => false,
    }
}

fn words(expect: Expect) -> String {
    match expect {
        Expect::Fails(errno) => format!("{errno:?}"),
        Expect::Dies(signal) => format!("death by {signal:?}"),
        Expect::Returns(value) => format!("{value}"),
        Expect::Works => "success".into(),
    }
}

fn said(got: Got) -> String {
    match got {
        Ok(value) => format!("{value}"),
        Err(Stop::Errno(errno)) => format!("{errno:?}"),
        Err(Stop::Signal(signal)) => format!("death by {signal:?}"),
    }
}
