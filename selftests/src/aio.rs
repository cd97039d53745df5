// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Linux AIO: one IOCB_CMD_PWRITE (`include/uapi/linux/aio_abi.h`).

use crate::case::Got;
use crate::sys;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
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

const IOCB_CMD_PWRITE: u16 = 1;

/// Submits a write and waits for its result.
pub fn pwrite(fd: &OwnedFd, data: &[u8], offset: i64) -> Got {
    let mut context = 0usize;
    sys::call(libc::SYS_io_setup, [1, &raw mut context as usize, 0, 0, 0, 0])?;
    let iocb = Iocb {
        opcode: IOCB_CMD_PWRITE,
        fd: fd.as_raw_fd() as u32,
        buf: data.as_ptr() as u64,
        nbytes: data.len() as u64,
        offset,
        ..Iocb::default()
    };
    let list = [&raw const iocb as usize];
    sys::call(libc::SYS_io_submit, [context, 1, list.as_ptr() as usize, 0, 0, 0])?;
    let mut event = [0i64; 4];
    sys::call(libc::SYS_io_getevents, [context, 1, 1, event.as_mut_ptr() as usize, 0, 0])?;
    sys::call(libc::SYS_io_destroy, [context, 0, 0, 0, 0, 0])?;
    let result = event[2];
    if result < 0 { Err(Errno::from_raw(-result as i32).into()) } else { Ok(result) }
}
