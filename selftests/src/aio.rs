// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Linux AIO (`include/uapi/linux/aio_abi.h`), a request at a time.

use crate::case::{Got, Starved};
use crate::sys::{self, Sys};
use nix::errno::Errno;
use std::os::fd::AsRawFd;

/// What io_submit(2) gives where it has no memory for a request.
pub const NO_REQUEST: Starved =
    Starved::Or(Errno::EAGAIN, "io_submit(2) has no memory for a request");

#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: i32,
    opcode: u16,
    reqprio: i16,
    fd: u32,
    buf: u64,
    nbytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

const PWRITE: u16 = 1;
const FSYNC: u16 = 2;
const FDSYNC: u16 = 3;
const PWRITEV: u16 = 8;

/// A place for requests, made before they are.
pub struct Queue(usize);

impl Queue {
    /// For one request at a time.
    pub fn new() -> Sys<Queue> {
        let mut context = 0usize;
        sys::call(libc::SYS_io_setup, [1, &raw mut context as usize, 0, 0, 0, 0])?;
        Ok(Queue(context))
    }

    /// IOCB_CMD_PWRITE with these RWF flags.
    pub fn pwrite(&self, fd: &impl AsRawFd, data: &[u8], offset: i64, rw_flags: i32) -> Got {
        let (buf, nbytes) = (data.as_ptr() as u64, data.len() as u64);
        let fd = fd.as_raw_fd() as u32;
        self.run(&Iocb { opcode: PWRITE, fd, buf, nbytes, offset, rw_flags, ..Iocb::default() })
    }

    /// Submits a request and waits for its result.
    fn run(&self, iocb: &Iocb) -> Got {
        let list = [&raw const *iocb as usize];
        sys::call(libc::SYS_io_submit, [self.0, 1, list.as_ptr() as usize, 0, 0, 0])?;
        let mut event = [0i64; 4];
        let args = [self.0, 1, 1, event.as_mut_ptr() as usize, 0, 0];
        sys::call(libc::SYS_io_getevents, args)?;
        let result = event[2];
        if result < 0 { Err(Errno::from_raw(-result as i32).into()) } else { Ok(result) }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let _ = sys::call(libc::SYS_io_destroy, [self.0, 0, 0, 0, 0, 0]);
    }
}

/// IOCB_CMD_PWRITE with these RWF flags.
pub fn pwrite(fd: &impl AsRawFd, data: &[u8], offset: i64, rw_flags: i32) -> Got {
    Queue::new()?.pwrite(fd, data, offset, rw_flags)
}

/// IOCB_CMD_PWRITEV.
pub fn pwritev(fd: &impl AsRawFd, parts: &[libc::iovec], offset: i64) -> Got {
    let (buf, nbytes) = (parts.as_ptr() as u64, parts.len() as u64);
    let fd = fd.as_raw_fd() as u32;
    Queue::new()?.run(&Iocb { opcode: PWRITEV, fd, buf, nbytes, offset, ..Iocb::default() })
}

/// IOCB_CMD_FSYNC.
pub fn fsync(fd: &impl AsRawFd) -> Got {
    let fd = fd.as_raw_fd() as u32;
    Queue::new()?.run(&Iocb { opcode: FSYNC, fd, ..Iocb::default() })
}

/// IOCB_CMD_FDSYNC.
pub fn fdsync(fd: &impl AsRawFd) -> Got {
    let fd = fd.as_raw_fd() as u32;
    Queue::new()?.run(&Iocb { opcode: FDSYNC, fd, ..Iocb::default() })
}
