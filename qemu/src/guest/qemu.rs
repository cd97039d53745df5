// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! QEMU's command line, and which QEMU it is.

use super::accel::Accel;
use crate::arch::Arch;
use crate::class::{Class, Refusal, Step};
use crate::{files, run};
use memfd_seals::report::text::shell_word;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The oldest QEMU whose microvm has `acpi=`.
const OLDEST: (u32, u32) = (5, 2);

/// A QEMU that is new enough.
pub struct Qemu {
    pub path: PathBuf,
    /// As it says itself: "7.2.22".
    pub version: String,
}

/// Finds `name` (a path, or a name looked up in PATH) and asks its version; the answer is kept in
/// `cache` for as long as the file stays the same. Refuses (class qemu) an absent or old one.
pub fn find(name: &str, arch: Arch, cache: &Path) -> Step<Qemu> {
    let (_, package) = arch.qemu();
    let absent = || Refusal::new(Class::Qemu, format!("{name}: not found: install {package}"));
    let path = which(name).ok_or_else(absent)?;
    let stat = std::fs::metadata(&path).map_err(|_| absent())?;
    let key = format!(
        "{} {} {} {}.{:09} {}.{:09}",
        path.display(),
        stat.ino(),
        stat.size(),
        stat.mtime(),
        stat.mtime_nsec(),
        stat.ctime(),
        stat.ctime_nsec()
    );
    let memo = cache.join(format!("qemu-version-{}", arch.name()));
    let known = std::fs::read_to_string(&memo).unwrap_or_default();
    let version = match known.split_once('\n') {
        Some((of, version)) if of == key && parse(version).is_some() => version.to_owned(),
        _ => {
            let version = ask(&path, package)?;
            files::mkdir(cache)?;
            files::write(&memo, format!("{key}\n{version}").as_bytes())?;
            version
        }
    };
    match parse(&version) {
        Some(numbers) if numbers >= OLDEST => Ok(Qemu { path, version }),
        _ => Err(Refusal::new(
            Class::Qemu,
            format!(
                "{}: version {version} is too old: {}.{} is the least",
                path.display(),
                OLDEST.0,
                OLDEST.1
            ),
        )),
    }
}

/// A file that was named is taken as it is: what is wrong with it shows when it is asked.
fn which(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).is_file().then(|| PathBuf::from(name));
    }
    run::which(name)
}

fn ask(path: &Path, package: &str) -> Step<String> {
    let refuse =
        |why: &str| Refusal::new(Class::Qemu, format!("{} --version: {why}", path.display()));
    let output = run::output(run::inheriting(path).arg("--version"), &mut || ());
    let output = output.map_err(|refusal| match refusal.class {
        Class::Tools => refuse(&refusal.line),
        _ => refusal,
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_once("version ").and_then(|(_, rest)| rest.split_whitespace().next());
    match version {
        Some(version) if parse(version).is_some() => Ok(version.to_owned()),
        _ => Err(refuse(&format!("says nothing that is a version: reinstall {package}"))),
    }
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-', '+']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// One machine to boot.
pub struct Machine<'a> {
    pub arch: Arch,
    /// What is booted.
    pub image: &'a Path,
    pub initrd: &'a Path,
    pub accel: Accel,
    pub cpus: u32,
    pub memory_mib: u32,
    /// More of the kernel's command line.
    pub append: &'a str,
    /// Arguments of /init.
    pub init: &'a [String],
}

impl Machine<'_> {
    /// QEMU's arguments. `console` and `events` are the files that the two channels go to.
    pub fn args(&self, console: &str, events: &str) -> Vec<String> {
        [
            "-M",
            self.model(),
            "-accel",
            self.accel.word(),
            "-cpu",
            self.cpu(),
            "-smp",
            &self.cpus.to_string(),
            "-m",
            &format!("{}M", self.memory_mib),
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-kernel",
            &self.image.to_string_lossy(),
            "-initrd",
            &self.initrd.to_string_lossy(),
            "-chardev",
            &format!("file,id=console,path={}", comma(console)),
            "-serial",
            "chardev:console",
            "-chardev",
            &format!("file,id=events,path={}", comma(events)),
            "-device",
            "virtio-serial-device,bus=virtio-mmio-bus.0,max_ports=2",
            "-device",
            "virtserialport,chardev=events,nr=1",
            "-append",
            &self.append(),
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn model(&self) -> &'static str {
        match self.arch {
            // QEMU's own additions to the kernel's command line would come after ` -- ` and so
            // reach /init instead of the kernel: off, and the device is named by hand.
            Arch::X86_64 => "microvm,acpi=off,usb=off,auto-kernel-cmdline=off",
            Arch::Arm64 => "virt,acpi=off,gic-version=3",
        }
    }

    fn cpu(&self) -> &'static str {
        match (self.arch, self.accel) {
            (_, Accel::Kvm) => "max",
            // TCG emulates `rep movsb` byte by byte: a kernel that is told of fast ones copies and
            // clears pages at a fraction of the speed. AVX makes every switch of tasks dearer.
            (Arch::X86_64, Accel::Tcg) => "max,-erms,-fsrm,-avx,-avx2,-fma",
            // The architecture's own pointer authentication costs more than all else of a call.
            (Arch::Arm64, Accel::Tcg) => "max,pauth-impdef=on,sve=off",
        }
    }

    /// What names the devices: the channel of the events, and the console.
    fn devices(&self) -> &'static str {
        match self.arch {
            // microvm's first transport, where it is without ACPI.
            Arch::X86_64 => {
                "virtio_mmio.device=512@0xfeb00000:5 console=ttyS0 earlycon=uart8250,io,0x3f8"
            }
            // The device tree has the rest.
            Arch::Arm64 => "console=ttyAMA0 earlycon=pl011,0x9000000",
        }
    }

    /// The kernel's command line.
    fn append(&self) -> String {
        let slow_timers = (self.arch, self.accel) == (Arch::X86_64, Accel::Tcg);
        [
            // Words from the first instruction on, so that an early panic is seen.
            self.devices(),
            // Notices too: warnings, and the banner that shows life, at no cost in time.
            "loglevel=6",
            "reboot=t panic=-1",
            // /init writes there what kmemleak found, line by line.
            "printk.devkmsg=on",
            // Calibrating that timer takes 0.2 s under TCG, and on a busy host it may fail; the
            // check of the other one may then end in a panic.
            if slow_timers { "nolapic_timer no_timer_check" } else { "" },
            "hugepages=24 kho=on liveupdate=on",
            // Nothing is kexeced here; by itself it takes twice what KASAN reserves at boot.
            "kho_scratch=4M,16M,16M",
            self.append,
            "--",
        ]
        .into_iter()
        .map(str::to_owned)
        .chain(self.init.iter().map(|word| quoted(word)))
        .collect::<Vec<_>>()
        .join(" ")
    }
}

/// QEMU reads a doubled comma as one.
fn comma(path: &str) -> String {
    path.replace(',', ",,")
}

/// The kernel splits its command line at spaces, but for those in double quotes.
fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("\"{word}\"") } else { word.to_owned() }
}

/// The command as a person pastes it into a shell.
pub fn paste(qemu: &Path, args: &[String]) -> String {
    let mut text = shell_word(&qemu.to_string_lossy());
    for arg in args {
        text.push_str(if arg.starts_with('-') && !arg.starts_with("--") { " \\\n  " } else { " " });
        text.push_str(&shell_word(arg));
    }
    text.push('\n');
    text
}
