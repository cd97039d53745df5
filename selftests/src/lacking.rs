// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What older kernels lack, each tried on a file of its own: why it is missing, none if it is there.

use crate::kind::Kind;
use crate::sys::{self, Map, RO, Sys, mfd, seal};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use std::os::fd::{AsRawFd, OwnedFd};

/// F_SEAL_EXEC, and the flags of memfd_create(2) that came with it.
pub fn exec_seal() -> Option<String> {
    let flags = mfd::CLOEXEC | mfd::NOEXEC_SEAL;
    let made = sys::memfd_create("probe", flags).and_then(|fd| sys::get_seals(&fd));
    (made != Ok(seal::EXEC.into()))
        .then(|| format!("no F_SEAL_EXEC, or no MFD_NOEXEC_SEAL ({made:?})"))
}

/// Opening a memfd O_DIRECT.
pub fn direct_io() -> Option<String> {
    tried("O_DIRECT on a memfd", Kind::Shmem, |fd| {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let flags = OFlag::O_RDWR | OFlag::O_DIRECT | OFlag::O_CLOEXEC;
        nix::fcntl::open(path.as_str(), flags, Mode::empty())
    })
}

/// RWF_NOAPPEND.
pub fn noappend() -> Option<String> {
    tried("RWF_NOAPPEND", Kind::Shmem, |fd| sys::pwritev2(fd, b"x", 0, libc::RWF_NOAPPEND))
}

/// IORING_OP_FTRUNCATE.
pub fn uring_truncate() -> Option<String> {
    let tried = || tried("ftruncate of io_uring", Kind::Shmem, crate::uring::truncates);
    crate::uring::missing().or_else(tried)
}

/// Extended attributes of users on a memfd.
pub fn user_xattrs() -> Option<String> {
    tried("extended attributes of users on a memfd", Kind::Shmem, |fd| {
        let (name, value) = (c"user.x".as_ptr() as usize, c"1".as_ptr() as usize);
        sys::call(libc::SYS_fsetxattr, [fd.as_raw_fd() as usize, name, value, 1, 0, 0])
    })
}

/// FS_IOC_SETFLAGS on a memfd, of which nothing is asked.
pub fn inode_flags() -> Option<String> {
    const FS_IOC_SETFLAGS: usize = 0x4000_6602 | size_of::<libc::c_long>() << 16;
    tried("inode flags of a memfd", Kind::Shmem, |fd| {
        let none = 0i32;
        let args = [fd.as_raw_fd() as usize, FS_IOC_SETFLAGS, &raw const none as usize, 0, 0, 0];
        sys::call(libc::SYS_ioctl, args)
    })
}

/// MADV_POPULATE_READ, and MADV_POPULATE_WRITE, which came with it.
pub fn populate() -> Option<String> {
    mapped("MADV_POPULATE_READ", Kind::Shmem, |map| {
        map.advise(0, map.len(), libc::MADV_POPULATE_READ)
    })
}

/// MREMAP_DONTUNMAP of a mapping of a file.
pub fn dontunmap() -> Option<String> {
    mapped("MREMAP_DONTUNMAP of a file", Kind::Shmem, |map| {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
        let args = [map.addr(), map.len(), map.len(), flags as usize, 0, 0];
        let moved = sys::call(libc::SYS_mremap, args)?;
        Ok(Map::adopt(moved as usize, map.len()))
    })
}

/// mremap(2) that moves a mapping of hugetlbfs.
pub fn hugetlb_moves() -> Option<String> {
    tried("mremap(2) of hugetlbfs", Kind::Hugetlb, |fd| {
        let map = page(Kind::Hugetlb, fd)?;
        // Room of the right alignment, since it is one of huge pages too.
        map.move_over(page(Kind::Hugetlb, fd)?)
    })
}

/// MADV_DONTNEED on a mapping of hugetlbfs.
pub fn hugetlb_dontneed() -> Option<String> {
    mapped("MADV_DONTNEED on hugetlbfs", Kind::Hugetlb, |map| {
        map.advise(0, map.len(), libc::MADV_DONTNEED)
    })
}

/// Why a fresh file does not take what this does to it.
fn tried<T>(what: &str, kind: Kind, act: impl FnOnce(&OwnedFd) -> Sys<T>) -> Option<String> {
    let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING | kind.flags();
    let done = sys::memfd_create("probe", flags).and_then(|fd| act(&fd));
    done.err().map(|errno| format!("no {what} ({errno:?})"))
}

/// The same of a shared mapping of its first page.
fn mapped<T>(what: &str, kind: Kind, act: impl FnOnce(Map) -> Sys<T>) -> Option<String> {
    tried(what, kind, |fd| act(page(kind, fd)?))
}

fn page(kind: Kind, fd: &OwnedFd) -> Sys<Map> {
    sys::ftruncate(fd, kind.page() as i64)?;
    Map::new(kind.page(), RO, libc::MAP_SHARED, fd, 0)
}
