// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What kernels differ in as far as the suite's expectations go, probed by meaning and never by
//! version. A row of deviations.toml names these in `when`.

use crate::kind::Kind;
use crate::need::{self, Need};
use crate::sys::{self, Map, RO, Sys, mfd, seal};
use libc::MAP_SHARED;
use nix::errno::Errno::EPERM;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// One of them. A new one is a line of [`FEATURES`].
pub struct Feature {
    /// As `when` has it.
    pub name: &'static str,
    /// What its presence means.
    pub means: &'static str,
    probe: fn() -> bool,
}

/// The seal that the suite is about.
pub const FS_WRITE: &str = "fs_write";

/// All of them.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: FS_WRITE,
        means: "F_SEAL_FS_WRITE is taken and enforced",
        probe: || need::seal_missing().is_none(),
    },
    Feature {
        name: "exec_seal",
        means: "F_SEAL_EXEC is taken, and fchmod(2) can't make the file executable then",
        probe: || exec_seal() == Ok(true),
    },
    Feature {
        name: "write_sealed_map",
        means: "a file with F_SEAL_WRITE can be mapped shared and read-only",
        probe: || write_sealed_map().is_ok(),
    },
    Feature {
        name: "folio_writes",
        means: "memfds may have large folios, and write(2) is cut into pieces at the largest, not at pages",
        probe: || folio_writes() == Err(EPERM),
    },
    Feature {
        name: "live_update",
        means: "memfds can be preserved over a live update",
        probe: || crate::luo::missing().is_none(),
    },
    Feature {
        name: "iommufd_map_file",
        means: "iommufd maps a file for a device",
        probe: || crate::iommufd::missing().is_none(),
    },
    Feature {
        name: "seal_before_buffer",
        means: "write(2) looks at the seals before it touches the buffer",
        probe: || seal_before_buffer() == Err(EPERM),
    },
    Feature {
        name: "hugetlb_forced",
        means: "a debugger writes to private read-only mappings of hugetlbfs as to others",
        probe: || hugetlb_forced().is_ok(),
    },
    Feature {
        name: "int80",
        means: "there is the 32-bit system call entry of x86",
        probe: || Need::Compat.missing().is_none(),
    },
    Feature {
        name: "pkeys",
        means: "there are protection keys for pages, and the suite can set them",
        probe: || Need::Pkeys.missing().is_none(),
    },
    Feature {
        name: "pkey_mprotect",
        means: "there is pkey_mprotect(2), with keys or without",
        probe: || Need::PkeyMprotect.missing().is_none(),
    },
    Feature {
        name: "words64",
        means: "an argument has 64 bits",
        probe: || Need::Words64.missing().is_none(),
    },
    Feature {
        name: "kernel_address",
        means: "a program can name an address that no user space has",
        probe: || Need::KernelAddress.missing().is_none(),
    },
];

/// The names of those that the running kernel has.
pub fn probed() -> Vec<&'static str> {
    FEATURES.iter().filter(|feature| (feature.probe)()).map(|feature| feature.name).collect()
}

fn page() -> Sys<OwnedFd> {
    let fd = sys::memfd_create("probe", mfd::CLOEXEC | mfd::ALLOW_SEALING)?;
    sys::ftruncate(&fd, Kind::Shmem.page() as i64)?;
    Ok(fd)
}

fn exec_seal() -> Sys<bool> {
    let chmod = |fd: &OwnedFd, bits| {
        nix::sys::stat::fchmod(fd, nix::sys::stat::Mode::from_bits_retain(bits))
    };
    let fd = page()?;
    chmod(&fd, 0o600)?;
    sys::add_seals(&fd, seal::EXEC)?;
    Ok(chmod(&fd, 0o700) == Err(EPERM))
}

fn write_sealed_map() -> Sys<Map> {
    let fd = page()?;
    sys::add_seals(&fd, seal::WRITE)?;
    Map::new(Kind::Shmem.page(), RO, MAP_SHARED, &fd, 0)
}

/// A write across an EOF at the end of a page.
fn folio_writes() -> Sys {
    let fd = page()?;
    sys::add_seals(&fd, seal::GROW)?;
    sys::pwritev2(&fd, b"test", Kind::Shmem.page() as i64 - 2, 0)
}

/// A write of what is not mapped.
fn seal_before_buffer() -> Sys {
    let fd = page()?;
    sys::add_seals(&fd, seal::WRITE)?;
    sys::call(libc::SYS_pwrite64, [fd.as_raw_fd() as usize, crate::calls::UNMAPPED, 1, 0, 0, 0])
}

/// A byte written by /proc/self/mem.
fn hugetlb_forced() -> std::io::Result<()> {
    let page = Kind::Hugetlb.page();
    let fd = sys::memfd_create("probe", mfd::CLOEXEC | mfd::HUGETLB)?;
    sys::ftruncate(&fd, page as i64)?;
    let map = Map::new(page, RO, libc::MAP_PRIVATE, &fd, 0)?;
    let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(b"x", map.addr() as u64)
}
