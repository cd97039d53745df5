// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! io_uring: one operation at a time.

use crate::case::{Got, Starved};
use crate::sys::{self, Map, Sys};
use crate::world::World;
use io_uring::{IoUring, opcode, squeue, types};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// What a request gives that io_uring has no worker for.
pub const NO_WORKER: Starved = Starved::Or(Errno::ECANCELED, "no memory for a worker of io_uring");

fn ring() -> Result<IoUring, Errno> {
    IoUring::new(4).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// Why there is no io_uring; none if there is.
pub fn missing() -> Option<String> {
    ring().err().map(|errno| format!("no io_uring ({errno:?})"))
}

fn run(entry: squeue::Entry) -> Got {
    Ok(sys::uring(&mut ring()?, &entry)?)
}

/// IORING_OP_WRITE.
pub fn write(world: &World, data: &[u8], offset: u64) -> Got {
    let fd = types::Fd(world.fd.as_raw_fd());
    run(opcode::Write::new(fd, data.as_ptr(), data.len() as u32).offset(offset).build())
}

/// IORING_OP_READ of the file's first bytes to an address.
pub fn read(from: &impl AsRawFd, to: usize, len: u32) -> Got {
    let fd = types::Fd(from.as_raw_fd());
    run(opcode::Read::new(fd, to as *mut u8, len).offset(0).build())
}

/// IORING_OP_FTRUNCATE.
pub fn ftruncate(world: &World, size: u64) -> Got {
    run(opcode::Ftruncate::new(types::Fd(world.fd.as_raw_fd()), size).build())
}

/// IORING_OP_FALLOCATE.
pub fn fallocate(world: &World, mode: i32, offset: u64, len: u64) -> Got {
    let fd = types::Fd(world.fd.as_raw_fd());
    run(opcode::Fallocate::new(fd, len).offset(offset).mode(mode).build())
}

/// A ring that has a mapping pinned as its fixed buffer.
pub struct Fixed(IoUring);

impl Fixed {
    /// Pins the mapping's pages.
    pub fn pin(map: &Map) -> Result<Fixed, Errno> {
        let ring = ring()?;
        sys::uring_fix(&ring, map)?;
        Ok(Fixed(ring))
    }

    /// IORING_OP_READ_FIXED: `len` bytes of `from` into the pinned pages at `to`.
    pub fn read(&mut self, from: &impl AsRawFd, to: usize, len: u32) -> Got {
        let fd = types::Fd(from.as_raw_fd());
        let entry = opcode::ReadFixed::new(fd, to as *mut u8, len, 0).build();
        Ok(sys::uring(&mut self.0, &entry)?)
    }
    /// The ring, with its pinned pages and without its mappings.
    pub fn into_fd(self) -> Result<OwnedFd, Errno> {
        Ok(sys::own(sys::fcntl(&self.0, libc::F_DUPFD_CLOEXEC, 0)? as i32))
    }
}

/// IORING_UNREGISTER_BUFFERS: the pages are let go of before this returns.
pub fn unregister(ring: &OwnedFd) -> Sys {
    let buffers = 1;
    let args = [ring.as_raw_fd() as usize, buffers, 0, 0, 0, 0];
    sys::call(libc::SYS_io_uring_register, args)
}
