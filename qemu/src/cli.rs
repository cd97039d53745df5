// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The command line, and the variables that `make` passes on.

use crate::arch::{Arch, Target};
use crate::class::{Class, Refusal, Step};
use crate::kernel::Request;
use clap::{Parser, Subcommand};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Builds a patched kernel, boots it in QEMU with the suite as /init, and gives a verdict.
#[derive(Debug, Parser)]
#[command(name = "qemu-test", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Do>,

    /// A kernel's git tree, unpacked tree or tarball; unset: Debian's package
    #[arg(long, env = "KERNEL", global = true, value_name = "PATH")]
    kernel: Option<String>,

    /// A folder of patches, `none` or `hollow`; unset: patches/<BASE>
    #[arg(long, env = "SERIES", global = true, value_name = "FOLDER")]
    series: Option<String>,

    /// A folder in patches/; unset: mainline
    #[arg(long, env = "BASE", global = true, value_name = "NAME")]
    base: Option<String>,

    /// More options: a file of Kconfig lines, or X for qemu/X.config
    #[arg(long, env = "CONFIG", global = true, value_name = "FILE")]
    config: Option<String>,

    /// Only the tests whose name contains this
    #[arg(long, env = "FILTER", global = true, value_name = "TEXT")]
    filter: Option<String>,

    /// The kernel's architecture: x86_64 or arm64; unset: x86_64
    #[arg(long, env = "ARCH", global = true, value_name = "NAME")]
    arch: Option<String>,

    /// Bits of the suite: 64, or 32 for an i686 or arm program; unset: 64
    #[arg(long, env = "ABI", global = true, value_name = "BITS")]
    abi: Option<String>,

    /// Jobs of the kernel's make; unset: one for each CPU
    #[arg(long, env = "JOBS", global = true, value_name = "N")]
    jobs: Option<String>,

    /// The guest's CPUs; unset: as the kernel's config says
    #[arg(long, env = "CPUS", global = true, value_name = "N")]
    cpus: Option<String>,

    /// The guest's memory in MiB; unset: as the kernel's config says
    #[arg(long, env = "MEMORY", global = true, value_name = "MIB")]
    memory: Option<String>,

    /// More of the kernel's command line
    #[arg(long, env = "APPEND", global = true, value_name = "WORDS", allow_hyphen_values = true)]
    append: Option<String>,

    /// QEMU's name or path; unset: qemu-system-x86_64 or qemu-system-aarch64
    #[arg(long, env = "QEMU", global = true, value_name = "PATH")]
    qemu: Option<String>,

    /// KVM's device, or `off` for TCG; unset: /dev/kvm, if it works
    #[arg(long, env = "KVM", global = true, value_name = "PATH")]
    kvm: Option<String>,

    /// A static program to boot as /init in place of the suite
    #[arg(long, env = "INIT", global = true, value_name = "FILE")]
    init: Option<String>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Do {
    /// Build, boot and judge (the default)
    Run,
    /// Only apply the series to the base, in a scratch repository
    Apply,
    /// Only build the kernel
    Build,
    /// Print how a run can end, with exit codes
    Classes,
}

impl Cli {
    /// What is asked for, in the clone that `here` is in. Empty variables count as unset.
    pub fn request(&self, here: &Path) -> Step<Request> {
        let set = |value: &Option<String>| value.clone().filter(|v| !v.is_empty());
        let arch = match self.command {
            // Applying the series is the same for all.
            Some(Do::Apply) => Arch::default(),
            _ => Arch::named(set(&self.arch).as_deref())?,
        };
        let target = Target { arch, compat: compat(set(&self.abi).as_deref())? };
        let jobs = count("JOBS", "jobs", set(&self.jobs))?;
        let jobs = jobs.or(std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let kvm = set(&self.kvm).unwrap_or_else(|| "/dev/kvm".into());
        let base = set(&self.base).unwrap_or_else(|| "mainline".into());
        if base.contains('/') || base.starts_with('.') {
            return Err(usage(format!("BASE={base} is no name of a folder in patches/")));
        }
        Ok(Request {
            repo: repo(here)?,
            kernel: set(&self.kernel).map(PathBuf::from),
            series: set(&self.series),
            base,
            target,
            config: set(&self.config),
            filter: set(&self.filter),
            jobs,
            cpus: count("CPUS", "CPUs", set(&self.cpus))?,
            memory_mib: count("MEMORY", "MiB", set(&self.memory))?,
            append: append(set(&self.append))?,
            qemu: set(&self.qemu).unwrap_or_else(|| arch.qemu().0.into()),
            kvm: (kvm != "off").then(|| PathBuf::from(kvm)),
            init: set(&self.init).map(PathBuf::from),
        })
    }
}

/// Whether `ABI=` asks for a 32-bit suite.
fn compat(given: Option<&str>) -> Step<bool> {
    match given {
        None | Some("64") => Ok(false),
        Some("32") => Ok(true),
        Some(other) => Err(usage(format!("ABI={other}: the suite can be of 64 or 32 bits"))),
    }
}

/// Words of the kernel's command line. A lone `--` would make the rest of it arguments of /init.
fn append(given: Option<String>) -> Step<Option<String>> {
    let bad =
        |words: &String| words.split(' ').any(|word| word == "--") || words.contains(['"', '\n']);
    match given {
        Some(words) if bad(&words) => Err(usage(format!(
            "APPEND={words}: words of the kernel, without quotes and without --"
        ))),
        given => Ok(given),
    }
}

/// The number that a variable holds, if it is set.
fn count<N: FromStr>(name: &str, of: &str, given: Option<String>) -> Step<Option<N>> {
    let parse = |text: String| {
        let none = || usage(format!("{name}={text} is no number of {of}; give 1 or more"));
        text.parse().map_err(|_| none())
    };
    given.map(parse).transpose()
}

fn usage(line: String) -> Refusal {
    Refusal::new(Class::Usage, line)
}

/// The clone that a folder is in.
fn repo(here: &Path) -> Step<PathBuf> {
    let is_ours = |dir: &&Path| dir.join("qemu/kernel.config").is_file();
    here.ancestors().find(is_ours).map(Path::to_owned).ok_or_else(|| {
        usage(format!("{} is not in a clone of this project; run it from there", here.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn request(args: &[&str]) -> Step<Request> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        Cli::try_parse_from([&["qemu-test"], args].concat()).unwrap().request(here)
    }

    #[rstest]
    #[case(&["--jobs", "0"], "JOBS=0 is no number of jobs; give 1 or more")]
    #[case(&["--jobs", "two"], "JOBS=two is no number of jobs; give 1 or more")]
    #[case(&["--cpus", "0"], "CPUS=0 is no number of CPUs; give 1 or more")]
    #[case(&["--memory", "1G"], "MEMORY=1G is no number of MiB; give 1 or more")]
    #[case(&["--arch", "i386"],
           "ARCH=i386: there are x86_64 and arm64; unset ARCH, or set it to one")]
    #[case(&["--append", "quiet -- x"],
           "APPEND=quiet -- x: words of the kernel, without quotes and without --")]
    #[case(&["--abi", "x32"], "ABI=x32: the suite can be of 64 or 32 bits")]
    #[case(&["--base", "../x"], "BASE=../x is no name of a folder in patches/")]
    fn bad_values_get_one_line(#[case] args: &[&str], #[case] line: &str) {
        let refusal = request(args).unwrap_err();
        assert_eq!((refusal.class, refusal.line.as_str()), (Class::Usage, line));
    }

    #[rstest]
    #[case(&["--arch", "x86_64"])]
    #[case(&["build", "--arch", "x86"])]
    #[case(&["apply", "--arch", "riscv"])]
    fn an_architecture_that_is_the_default_or_does_not_matter(#[case] args: &[&str]) {
        assert!(request(args).is_ok());
    }

    #[test]
    fn empty_is_unset() {
        let empty = ["--kernel", "", "--series", "", "--base", "", "--jobs", "", "--arch", ""];
        let got = request(&empty).unwrap();
        assert_eq!((got.kernel, got.series, got.base.as_str()), (None, None, "mainline"));
        assert!(got.jobs > 0 && got.repo.join("qemu/kernel.config").is_file());
    }
}
