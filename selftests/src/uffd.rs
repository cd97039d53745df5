// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! userfaultfd(2), as far as the cases go (`include/uapi/linux/userfaultfd.h`).

use crate::sys::{self, Map, Sys};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

const UFFD_API: u64 = 0xaa;
const UFFDIO_API: usize = 0xc018_aa3f;
const UFFDIO_REGISTER: usize = 0xc020_aa00;
const UFFDIO_UNREGISTER: usize = 0x8010_aa01;
const UFFDIO_COPY: usize = 0xc028_aa03;
const UFFDIO_ZEROPAGE: usize = 0xc020_aa04;
const UFFDIO_MOVE: usize = 0xc028_aa05;
const UFFDIO_WRITEPROTECT: usize = 0xc018_aa06;
const UFFDIO_CONTINUE: usize = 0xc020_aa07;
const UFFD_USER_MODE_ONLY: usize = 1;

/// Registers for pages that the file does not have.
pub const MISSING: u64 = 1;
/// Registers for stores to pages that are protected.
pub const WP: u64 = 2;
/// Registers for pages that the file has and the mapping has not.
pub const MINOR: u64 = 4;

/// What UFFDIO_API says where UFFDIO_CONTINUE takes hugetlbfs and shmem, where UFFDIO_WRITEPROTECT
/// does, and where there is UFFDIO_MOVE.
pub const MINOR_BOTH: u64 = 1 << 9 | 1 << 10;
pub const WP_BOTH: u64 = 1 << 12;
pub const MOVES: u64 = 1 << 16;

/// Opens a userfaultfd and agrees on its API.
pub fn open() -> Sys<OwnedFd> {
    with_features().map(|(fd, _)| fd)
}

/// The same, and what it says that there is.
fn with_features() -> Sys<(OwnedFd, u64)> {
    let open = |flags| sys::call(libc::SYS_userfaultfd, [flags, 0, 0, 0, 0, 0]);
    let flags = libc::O_CLOEXEC as usize;
    // Older kernels know no such flag, and ask for no right where it is not given.
    let fd = match open(flags | UFFD_USER_MODE_ONLY) {
        Err(Errno::EINVAL) => open(flags)?,
        other => other?,
    };
    let fd = sys::own(fd as i32);
    let mut api = [UFFD_API, 0, 0];
    ioctl(&fd, UFFDIO_API, &mut api)?;
    Ok((fd, api[1]))
}

/// Why some of these features is not there.
pub fn lacking(what: &str, features: u64) -> Option<String> {
    match with_features() {
        Ok((_, there)) if there & features == features => None,
        Ok((_, there)) => Some(format!("no {what} (features {there:#x})")),
        Err(errno) => Some(format!("no userfaultfd ({errno:?})")),
    }
}

/// Registers the mapping for missing pages.
pub fn register(fd: &OwnedFd, map: &Map) -> Sys {
    register_for(fd, map, MISSING)
}

/// Registers the mapping.
pub fn register_for(fd: &OwnedFd, map: &Map, mode: u64) -> Sys {
    ioctl(fd, UFFDIO_REGISTER, &mut [map.addr() as u64, map.len() as u64, mode, 0])
}

/// The mapping is as any other again.
pub fn unregister(fd: &OwnedFd, map: &Map) -> Sys {
    ioctl(fd, UFFDIO_UNREGISTER, &mut [map.addr() as u64, map.len() as u64])
}

/// UFFDIO_COPY of `page` to `at` of the mapping.
pub fn copy(fd: &OwnedFd, map: &Map, at: usize, page: &Map) -> Sys {
    let (to, from) = ((map.addr() + at) as u64, page.addr() as u64);
    ioctl(fd, UFFDIO_COPY, &mut [to, from, page.len() as u64, 0, 0])
}

/// UFFDIO_ZEROPAGE at the start of the mapping.
pub fn zeropage(fd: &OwnedFd, map: &Map, page: usize) -> Sys {
    ioctl(fd, UFFDIO_ZEROPAGE, &mut [map.addr() as u64, page as u64, 0, 0])
}

/// UFFDIO_MOVE of `page` to the start of the mapping.
pub fn move_page(fd: &OwnedFd, map: &Map, page: &Map) -> Sys {
    let (to, from) = (map.addr() as u64, page.addr() as u64);
    ioctl(fd, UFFDIO_MOVE, &mut [to, from, page.len() as u64, 0, 0])
}

/// UFFDIO_WRITEPROTECT of the whole mapping, or the end of that.
pub fn protect(fd: &OwnedFd, map: &Map, on: bool) -> Sys {
    let range = [map.addr() as u64, map.len() as u64];
    ioctl(fd, UFFDIO_WRITEPROTECT, &mut [range[0], range[1], on.into()])
}

/// UFFDIO_CONTINUE at the start of the mapping.
pub fn resume(fd: &OwnedFd, map: &Map, page: usize) -> Sys {
    ioctl(fd, UFFDIO_CONTINUE, &mut [map.addr() as u64, page as u64, 0, 0])
}

fn ioctl<const N: usize>(fd: &OwnedFd, request: usize, words: &mut [u64; N]) -> Sys {
    let fd = fd.as_raw_fd() as usize;
    sys::call(libc::SYS_ioctl, [fd, request, words.as_mut_ptr() as usize, 0, 0, 0])
}
