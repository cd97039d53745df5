// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs QEMU once, and brings back what it and the guest said. Judges nothing.

use super::accel::Accel;
use super::watch::{Heard, Logs, Said, Watch};
use crate::class::{Class, Refusal, Step};
use crate::run;
use memfd_seals::init;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, pipe2};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// The time limits of a boot. All but the first are floors: what this very boot took so far
/// raises them, as a kernel full of checks or a busy host is slow throughout.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To the first byte of the console or of the events.
    pub first_byte: Duration,
    /// From the last byte of the console, until the first event.
    pub silence: Duration,
    /// Between two events.
    pub between_events: Duration,
    /// From `done`, or from the words of a panic, to QEMU's end.
    pub end: Duration,
    /// In all.
    pub total: Duration,
    /// How far the floors are raised.
    pub factors: Factors,
}

/// Limits as multiples of what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Factors {
    /// Of the time from the start to the console's last word.
    pub silence: u32,
    /// Of the time from the start to the first event, as are those that follow.
    pub between_events: u32,
    pub end: u32,
    pub total: u32,
}

const FACTORS: Factors = Factors {
    silence: 10,
    // Above what the suite gives one test, which is measured in boots too, and so gets to report it.
    between_events: (init::ALONE + 2) * init::TEST_IN_BOOTS,
    end: 5,
    total: 300,
};

impl Limits {
    /// Emulation gets what a machine ten times slower than a slow one would need. KVM is either
    /// quick or broken, and broken must cost seconds.
    pub fn of(accel: Accel) -> Limits {
        let seconds = Duration::from_secs;
        let (first_byte, silence) = match accel {
            Accel::Kvm => (seconds(3), seconds(3)),
            Accel::Tcg => (seconds(20), seconds(20)),
        };
        Limits {
            first_byte,
            silence,
            between_events: (init::ALONE + 2) * init::SHORTEST,
            end: seconds(10),
            total: seconds(900),
            factors: FACTORS,
        }
    }

    /// Before the first event, if the last byte came `spoke` after the start.
    pub fn while_booting(self, spoke: Duration) -> Limits {
        Limits { silence: self.silence.max(spoke * self.factors.silence), ..self }
    }

    /// Once the first event has come, `booted` after the start.
    pub fn once_booted(self, booted: Duration) -> Limits {
        Limits {
            between_events: self.between_events.max(booted * self.factors.between_events),
            end: self.end.max(booted * self.factors.end),
            total: self.total.max(booted * self.factors.total),
            ..self
        }
    }
}

/// How QEMU ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal that was not ours.
    Killed(i32),
    /// It was killed at a time limit, named in words.
    Limit(String),
    /// KVM said that it can't go on.
    Kvm(String),
}

/// One boot's evidence.
#[derive(Debug)]
pub struct Boot {
    pub console: Vec<u8>,
    pub events: Vec<u8>,
    /// QEMU's stderr.
    pub words: String,
    pub ended: Ended,
    /// From the start to the first event.
    pub hello_after: Option<Duration>,
    pub took: Duration,
}

/// Names by which QEMU opens the pipes that it inherits: its stdout is the console, its stdin,
/// used the wrong way round, the events. No other descriptor crosses the exec.
pub const CONSOLE: &str = "/dev/fd/1";
/// See [`CONSOLE`].
pub const EVENTS: &str = "/dev/fd/0";

/// Runs `qemu args` (made with [`CONSOLE`] and [`EVENTS`]) to its end, and writes what comes to
/// console.log and results.jsonl in `folder` as it comes; `heard` is told of the latter. `stop` ends
/// it (class interrupted).
pub fn run(
    qemu: &Path,
    args: &[String],
    folder: &Path,
    limits: Limits,
    stop: &AtomicBool,
    heard: Heard,
) -> Step<Boot> {
    let mut logs = Logs::create(folder)?;
    let (console_in, console_out) = pipe()?;
    let (events_in, events_out) = pipe()?;
    let start = Instant::now();
    // A QEMU that is stopped does not heed SIGTERM.
    let mut command = run::dying(qemu, "KILL");
    command.args(args).stdin(events_out).stdout(console_out).stderr(Stdio::piped());
    let child = command
        .spawn()
        .map_err(|e| Refusal::new(Class::Qemu, format!("{}: {e}", qemu.display())))?;
    // The parent's copies of the write ends must go, or no reader would see an end.
    drop(command);
    let mut guard = Running(child);
    let (send, said) = channel();
    listen(File::from(console_in), Said::Console, send.clone());
    listen(File::from(events_in), Said::Events, send.clone());
    if let Some(words) = guard.0.stderr.take() {
        listen(words, Said::Words, send);
    }
    let mut watch = Watch::new(limits, start);
    let cut_off = watch.follow(&said, &mut logs, stop, heard)?;
    let status = match &cut_off {
        Some(_) => guard.kill(),
        None => guard.wait(watch.limits.end),
    };
    watch.drain(&said, &mut logs, heard)?;
    let ended = match (cut_off, status.map(|s| (s.code(), s.signal()))) {
        (Some(ended), _) => ended,
        (None, Some((Some(code), _))) => Ended::Exited(code),
        (None, Some((None, Some(signal)))) => Ended::Killed(signal),
        (None, _) => Ended::Limit("QEMU closed its channels and did not end".to_owned()),
    };
    Ok(Boot {
        words: String::from_utf8_lossy(&watch.words).into_owned(),
        console: watch.console,
        events: watch.events,
        ended,
        hello_after: watch.hello.map(|at| at - start),
        took: start.elapsed(),
    })
}

fn pipe() -> Step<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC).map_err(|e| Refusal::new(Class::Internal, format!("pipe: {e}")))
}

fn listen(mut from: impl Read + Send + 'static, wrap: fn(Vec<u8>) -> Said, to: Sender<Said>) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    if to.send(wrap(buffer[..n].to_vec())).is_err() {
                        return;
                    }
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let _ = to.send(Said::Closed);
    });
}

/// QEMU and its group; dropped, it is killed: no way out of this module leaves it running.
struct Running(Child);

impl Running {
    fn kill(&mut self) -> Option<ExitStatus> {
        // Only while unreaped is the number surely ours.
        if let Ok(None) = self.0.try_wait() {
            let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        }
        self.0.wait().ok()
    }

    /// Waits for an end that must be near; None if it didn't come.
    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.kill();
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The first line of QEMU's stderr that is no mere warning: what follows a first error is its
/// consequence.
pub fn complaint(words: &str) -> Option<&str> {
    words.lines().map(bare).find(|line| !line.is_empty() && !line.starts_with("warning:"))
}

/// A line without the program's name in front.
pub fn bare(line: &str) -> &str {
    let line = line.trim();
    match line.split_once(": ") {
        Some((name, rest)) if name.contains("qemu-system") => rest,
        _ => line,
    }
}
