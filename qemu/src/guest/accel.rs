// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! KVM or TCG. That /dev/kvm exists, or opens, proves nothing: only this kernel saying hello
//! under KVM does. What was learnt is kept for this boot of the host, this QEMU, this kernel.

use super::stamp;
use crate::class::Step;
use crate::files;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What runs the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    Kvm,
    Tcg,
}

impl Accel {
    /// The word in summary.json.
    pub fn word(self) -> &'static str {
        match self {
            Accel::Kvm => "kvm",
            Accel::Tcg => "tcg",
        }
    }
}

/// Which one, and why, in words: "TCG: no /dev/kvm".
#[derive(Clone, Debug)]
pub struct Choice {
    pub accel: Accel,
    pub why: String,
}

impl Choice {
    pub fn tcg(why: impl std::fmt::Display) -> Choice {
        Choice { accel: Accel::Tcg, why: format!("TCG: {why}") }
    }

    pub fn kvm() -> Choice {
        Choice { accel: Accel::Kvm, why: "KVM".to_owned() }
    }
}

/// Where it is remembered that KVM failed.
pub struct Memory(PathBuf);

impl Memory {
    /// For the host's present boot, a QEMU version and a kernel's file; in the folder `cache`.
    pub fn open(cache: &Path, qemu_version: &str, vmlinux: &Path) -> Step<Memory> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let key = stamp::digest(&[&boot, qemu_version], &[vmlinux])?;
        let folder = cache.join("kvm");
        files::mkdir(&folder)?;
        Ok(Memory(folder.join(&key[..24])))
    }

    /// Keeps why KVM failed.
    pub fn failed(&self, why: &str) -> Step<()> {
        files::write(&self.0, why.as_bytes())?;
        stamp::prune(self.0.parent().unwrap_or(Path::new(".")), "", 64);
        Ok(())
    }

    fn recall(&self) -> Option<String> {
        fs::read_to_string(&self.0).ok()
    }
}

/// Chooses what to try: KVM if `device` (/dev/kvm) opens and is not known to fail.
/// `memory` is asked only then, as its key costs a hash of the kernel.
pub fn choose(
    device: &Path,
    memory: impl FnOnce() -> Step<Memory>,
) -> Step<(Choice, Option<Memory>)> {
    if let Err(error) = OpenOptions::new().read(true).write(true).open(device) {
        return Ok((Choice::tcg(unusable(device, &error)), None));
    }
    let memory = memory()?;
    let choice = match memory.recall() {
        Some(why) => Choice::tcg(format!("{why} (remembered)")),
        None => Choice::kvm(),
    };
    Ok((choice, Some(memory)))
}

fn unusable(device: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("no {}", device.display()),
        ErrorKind::PermissionDenied => format!("no permission on {}", device.display()),
        _ => format!("{} does not open: {error}", device.display()),
    }
}
