// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs one test in a forked child of its own, with a time limit.

use crate::case::{Expect, Got, Starved, Stop, Test};
use crate::door::{self, Door};
use crate::events::Outcome;
use crate::fault::{self, Nth};
use crate::kind::Kind;
use crate::need::{self, Need};
use crate::sys;
use crate::world::World;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, setpgid};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
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
    /// Wall time in milliseconds.
    pub ms: u64,
    /// Whether an allocation was made to fail while the operation ran.
    pub fault: bool,
    /// As how many it counts, where it is many in one; else 0.
    pub checks: u64,
}

impl Report {
    /// The report of a test that could not be run.
    pub fn error(why: String) -> Report {
        Report::new(Outcome::Error, why)
    }

    /// The report of a test that is not run, and why.
    pub fn skip(why: &str) -> Report {
        Report::new(Outcome::Skip, why)
    }

    fn new(outcome: Outcome, why: impl Into<String>) -> Report {
        Report { outcome, why: why.into(), lines: Vec::new(), ms: 0, fault: false, checks: 0 }
    }
}

thread_local!(static CHECKS: Cell<u64> = const { Cell::new(0) });

/// Says that the test that is running in this child is many in one: so many more.
pub fn counts(checks: u64) {
    CHECKS.set(CHECKS.get() + checks);
}

thread_local!(static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) });

/// Adds a line to the report of the test that is running in this child.
pub fn say(line: &str) {
    LINES.with(|lines| lines.borrow_mut().push(line.to_owned()));
}

/// A test's child at work.
pub struct Running {
    child: Pid,
    pipe: File,
    started: Instant,
    deadline: Instant,
}

/// Forks and runs the test there. Children are started from one thread only.
pub fn start(test: Test, limit: Duration) -> Result<Running, Errno> {
    begin(limit, move || match (fault::on(), untried(&test)) {
        (false, _) => judged(test, 0),
        (true, None) => under_faults(test, limit),
        (true, Some(why)) => {
            let report = judged(test, 0);
            let line = format!("no allocation was made to fail: {why}");
            Report { lines: [report.lines, vec![line]].concat(), ..report }
        }
    })
}

/// Why allocations are not made to fail in this test.
fn untried(test: &Test) -> Option<&'static str> {
    match test.case.starved {
        Starved::Untried(why) => Some(why),
        _ if matches!(test.given.door, Door::Forked | Door::Execed | Door::Strange(_)) => {
            Some("a child acts")
        }
        _ if test.given.kind == Kind::Own => Some("it brings its own files and programs"),
        _ => None,
    }
}

/// What is found out in a child. Errors: it did not come to its end, or what it says itself.
pub fn found_out(
    limit: Duration,
    work: impl FnOnce() -> Result<Vec<String>, String>,
) -> Result<Vec<String>, String> {
    finding(limit, work)?.found()
}

/// As `found_out`, while this process goes on.
pub fn finding(
    limit: Duration,
    work: impl FnOnce() -> Result<Vec<String>, String>,
) -> Result<Running, String> {
    let running = begin(limit, || match work() {
        Ok(lines) => Report { lines, ..Report::new(Outcome::Pass, "") },
        Err(why) => Report::error(why),
    });
    running.map_err(|errno| format!("no child: {errno:?}"))
}

/// Forks and has the child make a report.
fn begin(limit: Duration, work: impl FnOnce() -> Report) -> Result<Running, Errno> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let started = Instant::now();
    let child = sys::fork(|| {
        sys::die_with_parent();
        let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
        let mut report = work();
        report.ms = started.elapsed().as_millis() as u64;
        let text = serde_json::to_string(&report).expect("a report is JSON");
        File::from(writer).write_all(text.as_bytes()).expect("the parent reads");
        0
    })?;
    // Also here, so that the group is there whoever comes first.
    let _ = setpgid(child, child);
    Ok(Running { child, pipe: File::from(reader), started, deadline: started + limit })
}

impl Running {
    /// What it found out. Errors: as `found_out`.
    pub fn found(self) -> Result<Vec<String>, String> {
        let report = self.finish();
        if report.outcome == Outcome::Pass { Ok(report.lines) } else { Err(report.why) }
    }

    /// Waits for the child, until its limit at most.
    pub fn finish(self) -> Report {
        let text = read_until(self.pipe, self.deadline);
        // A child that has reported may still be killed by what the kernel does at its exit, so its
        // status counts; it is taken before the group is killed, or it would be our own doing.
        let status = wait_until(self.child, self.deadline);
        let _ = killpg(self.child, Signal::SIGKILL);
        let fault = match (status, text) {
            (Some(WaitStatus::Exited(_, 0)), Ok(text)) => match serde_json::from_slice(&text) {
                Ok(report) => return report,
                Err(_) => Report::new(Outcome::Error, "the child exited without a report"),
            },
            (Some(status), _) => {
                Report::new(Outcome::Error, format!("the child ended by {status:?}"))
            }
            (None, _) => {
                // Bounded: a child that hangs in the kernel can't even be killed.
                let dead = wait_until(self.child, Instant::now() + GRACE).is_some();
                let state = if dead { "was killed" } else { "can't be killed" };
                let why = format!("the child did not end in time and {state}");
                Report::new(Outcome::Timeout, why)
            }
        };
        Report { ms: self.started.elapsed().as_millis() as u64, ..fault }
    }
}

/// How long a killed child has to be gone.
const GRACE: Duration = Duration::from_secs(2);

/// More than a pipe holds: a child that writes for ever is not waited for.
const PIPE: usize = 1 << 20;

/// All that the child writes; or the error, or that the time is over.
fn read_until(mut pipe: File, deadline: Instant) -> Result<Vec<u8>, Errno> {
    let (mut text, mut late) = (Vec::new(), 0);
    loop {
        // What is there already counts even after the deadline: a child may have waited for its
        // turn behind one that did not end.
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return Err(Errno::ETIMEDOUT),
            Ok(_) if late > PIPE => return Err(Errno::ETIMEDOUT),
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(errno),
        }
        let mut chunk = [0; 4096];
        match pipe.read(&mut chunk) {
            Ok(0) => return Ok(text),
            Ok(count) => {
                text.extend_from_slice(&chunk[..count]);
                late += if left.is_zero() { count } else { 0 };
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err(Errno::EIO),
        }
    }
}

/// Reaps the child; none if the time is over first.
fn wait_until(child: Pid, deadline: Instant) -> Option<WaitStatus> {
    // A descriptor that becomes readable at the exit; where there is none, the child is polled.
    let exit = sys::pidfd_open(child).ok();
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            Ok(status) => return Some(status),
            Err(_) => return None,
        }
        if Instant::now() >= deadline {
            return None;
        }
        match &exit {
            Some(exit) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                let _ = poll(&mut [PollFd::new(exit.as_fd(), PollFlags::POLLIN)], timeout);
            }
            None => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// What a row panics with when a program that it runs did the wrong thing. Any other panic is the
/// suite's own: an ERROR, from which nothing follows about the kernel.
pub struct Wrong(pub String);

/// Fails the row that runs, for this reason.
pub fn wrong(why: impl Into<String>) -> ! {
    std::panic::panic_any(Wrong(why.into()))
}

/// The test without a fault, and then with each allocation of its operation failing in turn, in a
/// child of its own each time, until two in a row found none left to fail: how often the kernel
/// has to refill a cache differs a little between children.
fn under_faults(test: Test, limit: Duration) -> Report {
    let (mut failed, mut spared) = (0, 0);
    for nth in 0..=MOST_FAULTS {
        let report = match begin(limit, || judged(test, nth)) {
            Ok(running) => running.finish(),
            Err(errno) => return Report::error(format!("no child: {errno:?}")),
        };
        if report.outcome != Outcome::Pass {
            let why = match nth {
                0 => report.why,
                _ => format!("with allocation {nth} failing: {}", report.why),
            };
            return Report { why, ..report };
        }
        failed += u32::from(report.fault);
        spared = if report.fault || nth == 0 { 0 } else { spared + 1 };
        if spared == 2 {
            let line = format!("{failed} allocations made to fail, one at a time");
            return Report { lines: vec![line], ..report };
        }
    }
    Report::error(format!("more than {MOST_FAULTS} allocations in one operation"))
}

/// More than any operation of the suite allocates.
const MOST_FAULTS: u32 = 2000;

/// Runs the test in this process, with allocation `nth` of its operation failing if not 0.
fn judged(test: Test, nth: u32) -> Report {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or(String::new(), |at| format!("{at}: "));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or(payload.downcast_ref::<String>().map(String::as_str));
        PANIC.with(|panic| *panic.borrow_mut() = format!("{place}{}", text.unwrap_or("panic")));
    }));
    let mut report = match std::panic::catch_unwind(|| judge(test, nth)) {
        Ok(report) => report,
        Err(panic) => match panic.downcast::<Wrong>() {
            Ok(wrong) => Report::new(Outcome::Fail, format!("{}: {}", test.case.about, wrong.0)),
            Err(_) => Report::new(Outcome::Error, PANIC.with(|panic| panic.borrow().clone())),
        },
    };
    report.lines = LINES.with(|lines| lines.take());
    report.checks = CHECKS.take();
    report
}

thread_local!(static PANIC: RefCell<String> = const { RefCell::new(String::new()) });

/// The only place that turns what happened into an outcome.
fn judge(test: Test, nth: u32) -> Report {
    let lacks = test.needs().find_map(Need::missing);
    let seal = if test.needs_seal() { need::seal_missing() } else { None };
    if let Some(reason) = need::kind_missing(test.given.kind).or(seal).or(lacks) {
        return Report::new(Outcome::Skip, reason);
    }
    let mut world = match (test.case.setup)(test.given).and_then(World::enter) {
        Ok(world) => world,
        Err(reason) => return Report::new(Outcome::Error, format!("setup: {reason}")),
    };
    if let Err(reason) = world.remember() {
        return Report::new(Outcome::Error, format!("setup: {reason}"));
    }
    let mapped = world.old.is_some();
    let (mut got, fault) = match operated(test, nth, &mut world) {
        Ok(done) => done,
        Err(reason) => return Report::error(reason),
    };
    let refused = matches!(test.case.expect, Expect::Fails(_));
    let mut starved = Ok(());
    if fault && runs_dry(test.case.starved, got) {
        // Nothing has changed, but that a hole which was filled before the memory ran out shows
        // in st_blocks; and with memory, the same operation gives what it should.
        starved = if refused { world.unchanged() } else { world.unchanged_but_blocks() };
        if starved.is_ok() && world.old.is_some() != mapped {
            // The operation took its mapping with it: it can't be repeated.
            return Report { fault, ..Report::new(Outcome::Pass, "") };
        }
        got = (test.case.op)(&mut world);
    }
    let about = test.case.about;
    let report = if let Err(what) = starved {
        Report::new(Outcome::Fail, format!("{about}: after running out of memory, {what}"))
    } else if !meets(test.case.expect, got) {
        let (expected, got) = (words(test.case.expect), said(got));
        Report::new(Outcome::Fail, format!("{about}: expected {expected}, got {got}"))
    } else {
        let checked = if refused { world.unchanged() } else { Ok(()) };
        match checked.and_then(|()| (test.case.after)(&mut world)) {
            Ok(()) => Report::new(Outcome::Pass, ""),
            Err(what) => Report::new(Outcome::Fail, format!("{about}: afterwards, {what}")),
        }
    };
    Report { fault, ..report }
}

/// What the operation gave, and whether its allocation `nth` was made to fail.
fn operated(test: Test, nth: u32, world: &mut World) -> Result<(Got, bool), String> {
    if nth == 0 {
        return Ok((door::perform(test, world), false));
    }
    let counter = Nth::open()?;
    counter.arm(nth)?;
    let got = (test.case.op)(world);
    Ok((got, counter.disarm()?))
}

/// Whether the operation says that the kernel had no memory for it.
fn runs_dry(starved: Starved, got: Got) -> bool {
    match (starved, got) {
        (_, Err(Stop::Errno(Errno::ENOMEM))) => true,
        (Starved::Or(errno, _), Err(Stop::Errno(other))) => errno == other,
        _ => false,
    }
}

pub(crate) fn meets(expect: Expect, got: Got) -> bool {
    match (expect, got) {
        (Expect::Fails(errno), Err(Stop::Errno(other))) => errno == other,
        (Expect::Dies(signal), Err(Stop::Signal(other))) => signal == other,
        (Expect::Returns(value), Ok(other)) => value == other,
        (Expect::Works, Ok(_)) => true,
        _ => false,
    }
}

pub(crate) fn words(expect: Expect) -> String {
    match expect {
        Expect::Fails(errno) => format!("{errno:?}"),
        Expect::Dies(signal) => format!("death by {signal:?}"),
        Expect::Returns(value) => format!("{value}"),
        Expect::Works => "success".into(),
    }
}

pub(crate) fn said(got: Got) -> String {
    match got {
        Ok(value) => format!("{value}"),
        Err(Stop::Errno(errno)) => format!("{errno:?}"),
        Err(Stop::Signal(signal)) => format!("death by {signal:?}"),
    }
}
