// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What kernels differ in as far as the suite's expectations go, probed by meaning and never by
//! version. A row of deviations.toml names these in `when`.

use crate::cases::waiting;
use crate::kind::Kind;
use crate::need::{self, Need};
use crate::sys::{self, Map, RO, RW, Sys, mfd, seal};
use libc::MAP_SHARED;
use nix::errno::Errno::{EBUSY, EINVAL, EPERM};
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

/// The regions that Android had before memfd.
pub const ASHMEM: &str = "ashmem";

/// Those that only a kernel of `CONFIG=` has, with the option that brings each.
pub const BY_OPTION: &[(&str, &str)] = &[(ASHMEM, "CONFIG_ASHMEM")];

/// All of them.
pub const FEATURES: &[Feature] = &[
    Feature {
        name: FS_WRITE,
        means: "F_SEAL_FS_WRITE is taken and enforced",
        probe: || need::seal_missing().is_none(),
    },
    Feature {
        name: "exec_seal",
        means: "F_SEAL_EXEC is taken and enforced, and MFD_NOEXEC_SEAL sets it",
        probe: || exec_seal() == Ok(true) && Need::ExecSeal.missing().is_none(),
    },
    Feature {
        name: "exec_seal_busy",
        means: "F_SEAL_EXEC on an executable file is EBUSY while a mapping may write to it",
        probe: || exec_seal_busy() == Err(EBUSY),
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
        name: "mmap_asks_first",
        means: "mmap(2) looks at the seals before it unmaps or extends anything",
        probe: || mmap_asks_first() == Ok(true),
    },
    Feature {
        name: "hugetlb_forced",
        means: "a debugger writes to private read-only mappings of hugetlbfs as to others",
        probe: || hugetlb_forced().is_ok(),
    },
    Feature {
        name: ASHMEM,
        means: "there is /dev/ashmem, and it makes regions",
        probe: || crate::ashmem::missing().is_none(),
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
    Feature {
        name: "direct_io",
        means: "a memfd can be opened O_DIRECT",
        probe: || Need::DirectIo.missing().is_none(),
    },
    Feature {
        name: "rwf_noappend",
        means: "there is RWF_NOAPPEND",
        probe: || Need::Noappend.missing().is_none(),
    },
    Feature {
        name: "uring_truncate",
        means: "io_uring has ftruncate",
        probe: || Need::UringTruncate.missing().is_none(),
    },
    Feature {
        name: "user_xattrs",
        means: "memfds have extended attributes of users",
        probe: || Need::UserXattrs.missing().is_none(),
    },
    Feature {
        name: "fuse_passthrough",
        means: "FUSE passes reads, writes and mappings through",
        probe: || Need::Fuse.missing().is_none(),
    },
    Feature {
        name: "mseal",
        means: "there is mseal(2)",
        probe: || Need::Mseal.missing().is_none(),
    },
    Feature {
        name: "fchmodat2",
        means: "there is fchmodat2(2)",
        probe: || Need::Fchmodat2.missing().is_none(),
    },
    Feature {
        name: "udmabuf_hugetlb",
        means: "udmabuf takes hugetlbfs as it does shmem",
        probe: || Need::UdmabufHugetlb.missing().is_none(),
    },
    Feature {
        name: "udmabuf_far_part",
        means: "what udmabuf says of a part beyond all files is EINVAL",
        probe: || crate::udmabuf::far_part().err() == Some(EINVAL),
    },
    Feature {
        name: "uffd_continue",
        means: "UFFDIO_CONTINUE works on memfds",
        probe: || Need::UffdContinue.missing().is_none(),
    },
    Feature {
        name: "uffd_protect",
        means: "UFFDIO_WRITEPROTECT works on memfds",
        probe: || Need::UffdProtect.missing().is_none(),
    },
    Feature {
        name: "uffd_move",
        means: "there is UFFDIO_MOVE",
        probe: || Need::UffdMove.missing().is_none(),
    },
    Feature {
        name: "madv_populate",
        means: "there are MADV_POPULATE_READ and MADV_POPULATE_WRITE",
        probe: || Need::Populate.missing().is_none(),
    },
    Feature {
        name: "madv_collapse",
        means: "there is MADV_COLLAPSE",
        probe: || Need::Collapse.missing().is_none(),
    },
    Feature {
        name: "mremap_dontunmap",
        means: "MREMAP_DONTUNMAP takes mappings of files",
        probe: || Need::Dontunmap.missing().is_none(),
    },
    Feature {
        name: "udmabuf_waits",
        means: "UDMABUF_CREATE looks at the seals with the inode locked",
        probe: || Need::Udmabuf.missing().is_none() && waiting::udmabuf_waits() == Ok(true),
    },
    Feature {
        name: "seals_are_32_bits",
        means: "of the argument of F_ADD_SEALS what is above 32 bits is cut off",
        // A program of 32 bits has none to give.
        probe: || {
            let above = 1usize.checked_shl(40).unwrap_or(0);
            page().and_then(|fd| sys::fcntl(&fd, libc::F_ADD_SEALS, above)) == Ok(0)
        },
    },
    Feature {
        name: "hugetlb_moves",
        means: "mremap(2) moves mappings of hugetlbfs",
        probe: || Need::HugetlbMoves.missing().is_none(),
    },
    Feature {
        name: "hugetlb_dontneed",
        means: "MADV_DONTNEED takes mappings of hugetlbfs",
        probe: || Need::HugetlbDontneed.missing().is_none(),
    },
    Feature {
        name: "inode_flags",
        means: "memfds have inode flags",
        probe: || Need::InodeFlags.missing().is_none(),
    },
    Feature {
        name: "hugetlb_part_punch",
        means: "a hole in a part of a page of hugetlbfs zeroes that part",
        probe: || hugetlb_part_punch() == Ok(true),
    },
    Feature {
        name: "part_of_buffer",
        means: "write(2) of a buffer whose end can't be read writes what comes before",
        probe: || part_of_buffer() == Ok(2),
    },
];

/// What the presence of one means, which must be one of them.
pub fn means(name: &str) -> &'static str {
    let named = |feature: &&Feature| feature.name == name;
    FEATURES.iter().find(named).expect("a need that is a feature names one of them").means
}

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

/// It implies F_SEAL_WRITE then.
fn exec_seal_busy() -> Sys {
    let fd = page()?;
    nix::sys::stat::fchmod(&fd, nix::sys::stat::Mode::S_IRWXU)?;
    let _map = Map::new(Kind::Shmem.page(), RW, MAP_SHARED, &fd, 0)?;
    sys::add_seals(&fd, seal::EXEC)
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

/// Whether a refused mapping leaves what it would have replaced.
fn mmap_asks_first() -> Sys<bool> {
    let (fd, page) = (page()?, Kind::Shmem.page());
    sys::add_seals(&fd, seal::FUTURE_WRITE)?;
    let old = Map::at(0, page, RW, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)?;
    let fixed = MAP_SHARED | libc::MAP_FIXED;
    let refused = Map::at(old.addr(), page, RW, fixed, fd.as_raw_fd(), 0).err();
    Ok(refused == Some(EPERM) && old.advise(0, page, libc::MADV_NORMAL).is_ok())
}

/// Whether a byte is gone after a hole was punched there.
fn hugetlb_part_punch() -> Sys<bool> {
    let size = Kind::Hugetlb.page();
    let fd = sys::memfd_create("probe", mfd::CLOEXEC | mfd::HUGETLB)?;
    sys::ftruncate(&fd, size as i64)?;
    let map = Map::new(size, RW, MAP_SHARED, &fd, 0)?;
    map.store(0, 1);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    sys::call(libc::SYS_fallocate, [fd.as_raw_fd() as usize, mode as usize, 0, 1, 0, 0])?;
    Ok(map.load(0) == 0)
}

/// A write of two bytes before a page that is not there, and two in it.
fn part_of_buffer() -> Sys {
    let fd = page()?;
    let map = Map::at(0, 8192, RW, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)?;
    sys::call(libc::SYS_munmap, [map.addr() + 4096, 4096, 0, 0, 0, 0])?;
    let (addr, _) = (map.addr(), std::mem::ManuallyDrop::new(map));
    let first = Map::adopt(addr, 4096);
    let args = [fd.as_raw_fd() as usize, first.addr() + 4094, 4, 0, 0, 0];
    sys::call(libc::SYS_pwrite64, args)
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
