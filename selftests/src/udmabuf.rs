// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! UDMABUF_CREATE (`include/uapi/linux/udmabuf.h`).

use crate::sys::{self, Sys};
use crate::world::World;
use std::os::fd::{AsRawFd, OwnedFd};

const UDMABUF_CREATE: usize = 0x4018_7542;

#[repr(C)]
struct Create {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// A dma-buf over the whole file.
pub fn create(world: &World) -> Sys<OwnedFd> {
    let device = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/udmabuf")
        .map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let arg = Create {
        memfd: world.fd.as_raw_fd() as u32,
        flags: 1, // UDMABUF_FLAGS_CLOEXEC
        offset: 0,
        size: world.size as u64,
    };
    let device = device.as_raw_fd() as usize;
    let fd =
        sys::call(libc::SYS_ioctl, [device, UDMABUF_CREATE, &raw const arg as usize, 0, 0, 0])?;
    Ok(sys::own(fd as i32))
}
