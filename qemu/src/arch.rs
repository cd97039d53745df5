// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What differs from one architecture to the next: names of tools, of targets and of machines. The
//! options of each are in `qemu/arch/`.

use crate::class::{Class, Refusal, Step};
use std::path::Path;

/// The architecture of a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arch {
    #[default]
    X86_64,
    Arm64,
}

/// What the guest runs: a kernel of an architecture, and a suite of 64 or 32 bits on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub arch: Arch,
    /// The suite is a 32-bit program.
    pub compat: bool,
}

/// What makes and runs the programs of one kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Programs {
    /// As Rust calls it, without the system: "x86_64".
    pub rust: &'static str,
    /// As Debian's cross compilers call it: "x86_64-linux-gnu".
    pub gnu: &'static str,
    /// The environment part of the Rust target: "gnu".
    pub env: &'static str,
    /// Debian's packages of the cross compiler and of its static libc.
    pub gcc: &'static str,
    pub libc: &'static str,
    /// More flags of rustc.
    pub flags: &'static str,
    /// A file of `qemu/arch/` with what is otherwise for these programs; empty if nothing is.
    pub config: &'static str,
}

/// The crate was generated on 64 bits, and refuses others unasked; what the suite uses of it is the same
/// on both.
const IO_URING: &str = " --cfg=io_uring_skip_arch_check";

const X86_64: Programs = Programs {
    rust: "x86_64",
    gnu: "x86_64-linux-gnu",
    env: "gnu",
    gcc: "gcc-x86-64-linux-gnu",
    libc: "libc6-dev-amd64-cross",
    flags: "",
    config: "",
};

const AARCH64: Programs = Programs {
    rust: "aarch64",
    gnu: "aarch64-linux-gnu",
    env: "gnu",
    gcc: "gcc-aarch64-linux-gnu",
    libc: "libc6-dev-arm64-cross",
    flags: "",
    config: "",
};

const I686: Programs = Programs {
    rust: "i686",
    gnu: "i686-linux-gnu",
    env: "gnu",
    gcc: "gcc-i686-linux-gnu",
    libc: "libc6-dev-i386-cross",
    flags: IO_URING,
    config: "i686",
};

const ARMV7: Programs = Programs {
    rust: "armv7",
    gnu: "arm-linux-gnueabihf",
    env: "gnueabihf",
    gcc: "gcc-arm-linux-gnueabihf",
    libc: "libc6-dev-armhf-cross",
    flags: IO_URING,
    config: "armv7",
};

impl Arch {
    /// What `ARCH=` names; kernel developers have it in their environment, for a cross build or by
    /// habit, so that anything else must not get a kernel that it didn't ask for.
    pub fn named(given: Option<&str>) -> Step<Arch> {
        match given {
            None | Some("x86_64" | "x86") => Ok(Arch::X86_64),
            Some("arm64") => Ok(Arch::Arm64),
            Some(other) => Err(Refusal::new(
                Class::Usage,
                format!("ARCH={other}: there are x86_64 and arm64; unset ARCH, or set it to one"),
            )),
        }
    }

    /// As the kernel's make has it.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Arm64 => "arm64",
        }
    }

    /// What makes the kernel, and 64-bit programs for it.
    pub fn programs(self) -> &'static Programs {
        match self {
            Arch::X86_64 => &X86_64,
            Arch::Arm64 => &AARCH64,
        }
    }

    /// The targets of the kernel's make.
    pub fn goals(self) -> &'static [&'static str] {
        match self {
            Arch::X86_64 => &["vmlinux"],
            Arch::Arm64 => &["vmlinux", "Image"],
        }
    }

    /// What QEMU boots, in the build folder.
    pub fn image(self) -> &'static Path {
        Path::new(match self {
            Arch::X86_64 => "vmlinux",
            Arch::Arm64 => "arch/arm64/boot/Image",
        })
    }

    /// The program's name, and Debian's package.
    pub fn qemu(self) -> (&'static str, &'static str) {
        match self {
            Arch::X86_64 => ("qemu-system-x86_64", "qemu-system-x86"),
            Arch::Arm64 => ("qemu-system-aarch64", "qemu-system-arm"),
        }
    }

    /// Whether this machine could run it without emulation.
    pub fn is_ours(self) -> bool {
        self.programs().is_ours()
    }
}

impl Programs {
    /// Whether they are those of this machine.
    pub fn is_ours(&self) -> bool {
        self.rust == std::env::consts::ARCH
    }

    /// What comes before the names of binutils and gcc: "aarch64-linux-gnu-"; empty on the very machine.
    pub fn prefix(&self) -> String {
        if self.is_ours() { String::new() } else { format!("{}-", self.gnu) }
    }

    /// The compiler, which is the linker too.
    pub fn cc(&self) -> String {
        format!("{}gcc", self.prefix())
    }
}

impl Target {
    /// The programs that the guest runs.
    pub fn user(self) -> &'static Programs {
        match (self.arch, self.compat) {
            (arch, false) => arch.programs(),
            (Arch::X86_64, true) => &I686,
            (Arch::Arm64, true) => &ARMV7,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, Arch::X86_64)]
    #[case(Some("x86"), Arch::X86_64)]
    #[case(Some("arm64"), Arch::Arm64)]
    fn names(#[case] given: Option<&str>, #[case] want: Arch) {
        assert_eq!(Arch::named(given).unwrap(), want);
    }

    #[test]
    fn the_machines_own_tools_have_no_prefix() {
        let own = [Arch::X86_64, Arch::Arm64].map(|arch| arch.programs().cc() == "gcc");
        assert_eq!(own, [cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64")]);
        assert_eq!(Target { arch: Arch::X86_64, compat: true }.user().cc(), "i686-linux-gnu-gcc");
    }
}
