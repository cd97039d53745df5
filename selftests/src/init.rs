// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What /init has to do before and after the tests.

use crate::kind::THP;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the suite needs to be mounted: source, place, type.
const MOUNTS: &[(&str, &str)] =
    &[("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")];
/// Where debugfs goes, for those who need it.
pub const DEBUGFS: &str = "/sys/kernel/debug";

/// Whether this process is /init.
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Mounts what the tests need. Errors: the line to print.
pub fn mount_all() -> Result<(), String> {
    for &(kind, place) in MOUNTS {
        let _ = std::fs::create_dir(place);
        mount_one(kind, place)?;
    }
    // So that files get huge pages where a test advises it, and nowhere else.
    let _ = std::fs::write(Path::new(THP).join("shmem_enabled"), "advise");
    Ok(())
}

/// Mounts debugfs, for fault injection and the leak scan. Errors: the line to print.
pub fn mount_debugfs() -> Result<(), String> {
    mount_one("debugfs", DEBUGFS)
}

fn mount_one(kind: &str, place: &str) -> Result<(), String> {
    let none: Option<&str> = None;
    match mount(Some(kind), place, Some(kind), MsFlags::empty(), none) {
        // devtmpfs may have been mounted by the kernel.
        Ok(()) | Err(nix::errno::Errno::EBUSY) => Ok(()),
        Err(errno) => Err(format!("mount {kind} on {place}: {errno:?}")),
    }
}

/// What kmemleak finds goes to the console, where the runner looks for it. Errors: the line to
/// print, as without a scan nothing is known about leaks.
fn scan_for_leaks() -> Result<(), String> {
    let path = Path::new(DEBUGFS).join("kmemleak");
    let word = |error: std::io::Error| format!("{}: {error}", path.display());
    let scan = || OpenOptions::new().write(true).open(&path)?.write_all(b"scan");
    // An object counts once a second scan finds it unchanged, and only after its first 5 s.
    scan().map_err(word)?;
    std::thread::sleep(Duration::from_secs(6));
    scan().map_err(word)?;
    let found = std::fs::read_to_string(&path).map_err(word)?;
    found.lines().try_for_each(|line| to_console(3, &format!("kmemleak: {line}")))
}

/// What is done after the last test: the scan and gcov's counts, if they are asked for, and as /init the last word on
/// the console, by which the runner knows that it has heard the kernel to the end. Errors: the
/// line to print.
pub fn finish(scan_leaks: bool, gcov: bool, nonce: &str) -> Result<(), String> {
    if scan_leaks {
        scan_for_leaks()?;
    }
    if gcov {
        crate::gcov::print(&Path::new(DEBUGFS).join("gcov"), &mut |line| to_console(5, line))?;
    }
    if is_init() { to_console(5, &format!("{LAST_WORD}{nonce}")) } else { Ok(()) }
}

/// What the last word begins with; the nonce follows.
pub const LAST_WORD: &str = "memfd-seals: the end of ";

/// A line of the kernel's log, at a level (3 is KERN_ERR, 5 is KERN_NOTICE).
fn to_console(level: u8, line: &str) -> Result<(), String> {
    // One write is one record of the log.
    let log = OpenOptions::new().write(true).open("/dev/kmsg");
    log.and_then(|mut log| log.write_all(format!("<{level}>{line}").as_bytes()))
        .map_err(|error| format!("/dev/kmsg: {error}"))
}

/// The time limit of one test where none is asked for. As /init it follows the time that this
/// machine took to boot: a kernel full of checks, or a busy host, is slow in both.
pub fn limit() -> Duration {
    if !is_init() {
        return BY_HAND;
    }
    let booted = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    let booted = booted.map_or(Duration::ZERO, Duration::from);
    (booted * TEST_IN_BOOTS).max(SHORTEST)
}

/// The limit of one test for people.
const BY_HAND: Duration = Duration::from_secs(20);
/// No test gets less as /init.
pub const SHORTEST: Duration = Duration::from_secs(5);
/// How many times as long as the boot one test may take.
pub const TEST_IN_BOOTS: u32 = 10;
/// How many times as long as others a test may take that runs alone, a race.
pub const ALONE: u32 = 12;

/// Opens the port of the results. As /init it waits a while for the driver to make it.
pub fn open_events(path: &Path) -> Result<File, String> {
    let deadline = Instant::now() + Duration::from_secs(if is_init() { 5 } else { 0 });
    loop {
        let opened =
            if is_init() { OpenOptions::new().write(true).open(path) } else { File::create(path) };
        match opened {
            Ok(file) => return Ok(file),
            Err(error) if Instant::now() >= deadline => {
                return Err(format!("{}: {error}", path.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The tests' own words are in the events; the console is the kernel's.
pub fn silence_stdout() {
    if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(&null);
    }
}

/// What goes to stdout goes to stderr from now on; gives what was stdout. Errors: the line to print.
pub fn leave_stdout() -> Result<File, String> {
    let refuse = |errno: nix::errno::Errno| format!("stdout: {errno:?}");
    let was = nix::unistd::dup(std::io::stdout()).map_err(refuse)?;
    nix::unistd::dup2_stdout(std::io::stderr()).map_err(refuse)?;
    Ok(File::from(was))
}

/// Ends the machine; comes back only if the kernel refuses.
pub fn end(mode: End) {
    nix::unistd::sync();
    let mode = match mode {
        End::PowerOff => RebootMode::RB_POWER_OFF,
        End::Reboot => RebootMode::RB_AUTOBOOT,
    };
    let Err(errno) = reboot(mode);
    eprintln!("memfd-seals: reboot: {errno:?}");
}

/// How /init ends the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum End {
    /// ACPI or firmware turns it off.
    PowerOff,
    /// It restarts: for QEMU's -no-reboot on a machine that can't turn itself off.
    Reboot,
}
