// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What can be done to a guest from within.

use memfd_seals::init::{self, End};
use nix::fcntl::OFlag;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FORK: i32 = ptrace::Event::PTRACE_EVENT_FORK as i32;

/// One kind of damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// `lkdtm NAME`: a trigger of the kernel's own crash test module, pulled by a child.
    Lkdtm(String),
    /// `stall NAME`: the same on the last CPU, which does not come back from it; the machine ends
    /// once another has noticed.
    Stall(String),
    /// `taint`: a mark on the kernel, without a word on the console.
    Taint,
    /// `exit`: /init exits.
    Exit,
    /// `crash`: /init is killed by a fault of its own.
    Crash,
    /// `sleep`: /init does nothing more.
    Sleep,
    /// `end`: the machine ends at once.
    End,
    /// `cut`: the event is passed on by half, and the machine ends.
    Cut,
    /// `kill`: the suite is killed.
    Kill,
    /// `hang`: the suite's first test stops, and does not go on.
    Hang,
}

impl Damage {
    pub fn parse(words: &[&str]) -> Result<Damage, String> {
        Ok(match words {
            ["lkdtm", name] => Damage::Lkdtm(name.to_string()),
            ["stall", name] => Damage::Stall(name.to_string()),
            ["taint"] => Damage::Taint,
            ["exit"] => Damage::Exit,
            ["crash"] => Damage::Crash,
            ["sleep"] => Damage::Sleep,
            ["end"] => Damage::End,
            ["cut"] => Damage::Cut,
            ["kill"] => Damage::Kill,
            ["hang"] => Damage::Hang,
            _ => return Err(format!("no such damage: {words:?}")),
        })
    }

    /// Whether the kernel has to have LKDTM.
    pub fn needs_lkdtm(&self) -> bool {
        matches!(self, Damage::Lkdtm(_) | Damage::Stall(_))
    }

    /// Does what needs no suite.
    pub fn strike_first(&self) {
        match self {
            Damage::Lkdtm(name) => drop(striker(name, None).and_then(|mut child| child.wait())),
            Damage::Stall(name) => {
                let last = cpus() - 1;
                // Woken on a CPU that is gone, this would sleep for ever.
                pin(0);
                let _ = striker(name, Some(last));
                await_stall();
                init::end(End::Reboot);
            }
            // Bit 6, "a user asked for it": the kernel says nothing when it is set.
            Damage::Taint => say(std::fs::write("/proc/sys/kernel/tainted", "64")),
            Damage::Exit => std::process::exit(1),
            Damage::Crash => std::process::abort(),
            Damage::Sleep => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Damage::End | Damage::Cut => init::end(End::Reboot),
            Damage::Kill | Damage::Hang => {}
        }
    }

    /// Does it while the suite runs.
    pub fn strike(&self, suite: &mut Child) {
        match self {
            Damage::Kill => say(suite.kill()),
            other => other.strike_first(),
        }
    }

    /// For `hang`, follows the suite's forks from a thread: the first child after its hello is a
    /// test's, and stays stopped. To be told when hello has come.
    pub fn trace(&self, suite: u32) -> impl Fn() + use<> {
        let hello = Arc::new(AtomicBool::new(false));
        if *self == Damage::Hang {
            let (suite, hello) = (Pid::from_raw(suite as i32), hello.clone());
            let (ready, seized) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                let traced = ptrace::seize(suite, ptrace::Options::PTRACE_O_TRACEFORK);
                let _ = ready.send(());
                say(traced.and_then(|()| hold_first_test(suite, &hello)));
            });
            let _ = seized.recv();
        }
        move || hello.store(true, Ordering::SeqCst)
    }
}

/// Returns when the held child is dead. A tracer's end would let it go on.
fn hold_first_test(suite: Pid, hello: &AtomicBool) -> nix::Result<()> {
    loop {
        match waitpid(suite, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceEvent(_, _, FORK) => {
                let child = Pid::from_raw(ptrace::getevent(suite)? as i32);
                waitpid(child, Some(WaitPidFlag::__WALL))?;
                // The suite stands still meanwhile: what it wrote before it forked is read now.
                std::thread::sleep(Duration::from_millis(300));
                if !hello.load(Ordering::SeqCst) {
                    ptrace::detach(child, None)?;
                    ptrace::cont(suite, None)?;
                    continue;
                }
                ptrace::detach(suite, None)?;
                // The tracer is told of its end before the suite is.
                while !matches!(
                    waitpid(child, Some(WaitPidFlag::__WALL))?,
                    WaitStatus::Exited(..) | WaitStatus::Signaled(..)
                ) {}
                return Ok(());
            }
            WaitStatus::Stopped(_, signal) => ptrace::cont(suite, signal)?,
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(()),
            _ => ptrace::cont(suite, None)?,
        }
    }
}

/// Waits until the kernel says that RCU stalls: with CONFIG=debug after 8 s, its 3 and 5 more for
/// PROVE_RCU.
fn await_stall() {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(40) {
        // Inodes are freed by RCU: so there is a grace period to be stalled.
        let _ = std::fs::write("/tmp/x", "x").and_then(|()| std::fs::remove_file("/tmp/x"));
        std::thread::sleep(Duration::from_millis(200));
        if said("rcu: INFO: rcu_") {
            // The rest of its report.
            return std::thread::sleep(Duration::from_secs(1));
        }
    }
}

/// Whether the kernel's log has a text.
fn said(text: &str) -> bool {
    let log =
        OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/kmsg");
    let Ok(mut log) = log else { return false };
    // One read is one record; at the end it would block.
    let mut record = [0; 8192];
    while let Ok(length) = log.read(&mut record) {
        if String::from_utf8_lossy(&record[..length]).contains(text) {
            return true;
        }
    }
    false
}

fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    say(set.set(cpu).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set)));
}

/// A child that pulls an LKDTM trigger, as it may not survive that.
fn striker(name: &str, cpu: Option<usize>) -> std::io::Result<Child> {
    let cpu = cpu.map_or(String::from("any"), |cpu| cpu.to_string());
    Command::new("/init").args(["strike", name, &cpu]).spawn()
}

/// Pulls an LKDTM trigger on a CPU, or on any.
pub fn strike(name: &str, cpu: &str) {
    if let Ok(cpu) = cpu.parse() {
        pin(cpu);
    }
    say(std::fs::write(format!("{}/provoke-crash/DIRECT", init::DEBUGFS), name));
}

fn say<E: std::fmt::Display>(done: Result<(), E>) {
    if let Err(error) = done {
        eprintln!("saboteur: {error}");
    }
}
