// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! userfaultfd(2), as far as the cases go (`include/uapi/linux/userfaultfd.h`).

use crate::sys::{self, Map, Sys};
use std::os::fd::{AsRawFd, OwnedFd};

const UFFD_API: u64 = 0xaa;
const UFFDIO_API: usize = 0xc018_aa3f;
const UFFDIO_REGISTER: usize = 0xc020_aa00;
const UFFDIO_COPY: usize = 0xc028_aa03;
const UFFD_USER_MODE_ONLY: usize = 1;
const REGISTER_MODE_MISSING: u64 = 1;

/// Opens a userfaultfd and agrees on its API.
pub fn open() -> Sys<OwnedFd> {
    let flags = libc::O_CLOEXEC as usize | UFFD_USER_MODE_ONLY;
    let fd = sys::own(sys::call(libc::SYS_userfaultfd, [flags, 0, 0, 0, 0, 0])? as i32);
    let mut api = [UFFD_API, 0, 0];
    ioctl(&fd, UFFDIO_API, &mut api)?;
    Ok(fd)
}

/// Registers the mapping for missing pages.
pub fn register(fd: &OwnedFd, map: &Map) -> Sys {
    ioctl(fd, UFFDIO_REGISTER, &mut [map.addr() as u64, map.len() as u64, REGISTER_MODE_MISSING, 0])
}

/// UFFDIO_COPY of `page` to the start of the mapping.
pub fn copy(fd: &OwnedFd, map: &Map, page: &Map) -> Sys {
    let (to, from) = (map.addr() as u64, page.addr() as u64);
    ioctl(fd, UFFDIO_COPY, &mut [to, from, page.len() as u64, 0, 0])
}

fn ioctl<const N: usize>(fd: &OwnedFd, request: usize, words: &mut [u64; N]) -> Sys {
    let fd = fd.as_raw_fd() as usize;
    sys::call(libc::SYS_ioctl, [fd, request, words.as_mut_ptr() as usize, 0, 0, 0])
}
