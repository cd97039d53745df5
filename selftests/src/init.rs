// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What /init has to do before and after the tests.

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

/// What the suite needs to be mounted: source, place, type.
const MOUNTS: &[(&str, &str)] =
    &[("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")];

/// Whether this process is /init.
pub fn is_init() -> bool {
    std::process::id() == 1
}

/// Mounts what the tests need. Errors: the line to print.
pub fn mount_all() -> Result<(), String> {
    for &(kind, place) in MOUNTS {
        let _ = std::fs::create_dir(place);
        let none: Option<&str> = None;
        match mount(Some(kind), place, Some(kind), MsFlags::empty(), none) {
            // devtmpfs may have been mounted by the kernel.
            Ok(()) | Err(nix::errno::Errno::EBUSY) => {}
            Err(errno) => return Err(format!("mount {kind} on {place}: {errno:?}")),
        }
    }
    Ok(())
}

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
