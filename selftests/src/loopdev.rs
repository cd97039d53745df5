// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Loop devices (`include/uapi/linux/loop.h`), and what is done with any block device.

use crate::sys::{self, Map, RW, Sys};
use libc::c_int;
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

const CTL_GET_FREE: usize = 0x4c82;
const CONFIGURE: usize = 0x4c0a;
const SET_CAPACITY: usize = 0x4c07;
const FLAG_AUTOCLEAR: u32 = 4;

const BLKDISCARD: usize = 0x1277;
const BLKZEROOUT: usize = 0x127f;
const BLKGETSIZE64: usize = 0x8000_1272 | size_of::<usize>() << 16;

/// What O_DIRECT may ask of addresses and lengths, and a page of the file behind.
pub fn block() -> usize {
    crate::kind::Kind::Shmem.page()
}

/// loop_config with its loop_info64.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    before_flags: [u64; 5],
    encryption: [u32; 3],
    flags: u32,
    names_and_keys: [u8; 64 + 64 + 32 + 16],
    reserved: [u64; 8],
}

/// A free device, bound to the file until it is closed. Errors: what could not be done.
pub fn bind(file: &OwnedFd) -> Result<OwnedFd, String> {
    let word = |what: &str, errno: Errno| format!("{what}: {errno:?}");
    let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control");
    let control = control.map_err(|error| format!("/dev/loop-control: {error}"))?;
    loop {
        let control = control.as_raw_fd() as usize;
        let free = sys::call(libc::SYS_ioctl, [control, CTL_GET_FREE, 0, 0, 0, 0])
            .map_err(|errno| word("LOOP_CTL_GET_FREE", errno))?;
        // Past the device's own cache of pages, so that each call says what became of it.
        let path = format!("/dev/loop{free}");
        let device = open(&path, libc::O_DIRECT).map_err(|errno| word(&path, errno))?;
        let config = Config {
            fd: file.as_raw_fd() as u32,
            block_size: 0,
            before_flags: [0; 5],
            encryption: [0; 3],
            flags: FLAG_AUTOCLEAR,
            names_and_keys: [0; 176],
            reserved: [0; 8],
        };
        match ioctl(&device, CONFIGURE, &raw const config as usize) {
            // Another case was faster.
            Err(Errno::EBUSY) => {}
            Err(errno) => return Err(word("LOOP_CONFIGURE", errno)),
            Ok(_) => return Ok(device.into()),
        }
    }
}

/// Why there is no loop device; none if there is.
pub fn missing() -> Option<String> {
    let memfd = sys::memfd_create("probe", sys::mfd::CLOEXEC);
    memfd.map_err(|errno| format!("memfd_create: {errno:?}")).and_then(|memfd| bind(&memfd)).err()
}

/// A page with every byte the same, aligned as O_DIRECT wants it.
fn page(byte: u8) -> Sys<Map> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let page = Map::at(0, block(), RW, flags, -1, 0)?;
    (0..block()).for_each(|at| page.store(at, byte));
    Ok(page)
}

/// Writes the device's first page, past its cache.
pub fn write(device: &OwnedFd, byte: u8) -> Sys {
    let page = page(byte)?;
    sys::call(libc::SYS_pwrite64, [device.as_raw_fd() as usize, page.addr(), page.len(), 0, 0, 0])
}

/// The device's first byte, past its cache.
pub fn read(device: &OwnedFd) -> Sys<u8> {
    let page = page(0)?;
    let args = [device.as_raw_fd() as usize, page.addr(), page.len(), 0, 0, 0];
    sys::call(libc::SYS_pread64, args)?;
    Ok(page.load(0))
}

/// Writes the device's first page through its cache, and has it written back.
pub fn write_back(device: &OwnedFd, byte: u8) -> Sys {
    let cached = open(&format!("/proc/self/fd/{}", device.as_raw_fd()), 0)?;
    let (page, fd) = (page(byte)?, cached.as_raw_fd() as usize);
    sys::call(libc::SYS_pwrite64, [fd, page.addr(), page.len(), 0, 0, 0])?;
    sys::call(libc::SYS_fsync, [fd, 0, 0, 0, 0, 0])
}

fn open(path: &str, flags: c_int) -> Sys<File> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).custom_flags(flags).open(path);
    opened.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// BLKDISCARD of the first page.
pub fn discard(device: &OwnedFd) -> Sys {
    let range = [0u64, block() as u64];
    ioctl(device, BLKDISCARD, range.as_ptr() as usize)
}

/// BLKZEROOUT of the first page.
pub fn zero_out(device: &OwnedFd) -> Sys {
    let range = [0u64, block() as u64];
    ioctl(device, BLKZEROOUT, range.as_ptr() as usize)
}

/// LOOP_SET_CAPACITY, and the size in bytes that the device then has.
pub fn capacity(device: &OwnedFd) -> Sys {
    ioctl(device, SET_CAPACITY, 0)?;
    let mut size = 0u64;
    ioctl(device, BLKGETSIZE64, &raw mut size as usize)?;
    Ok(size as i64)
}

fn ioctl(fd: &impl AsRawFd, request: usize, arg: usize) -> Sys {
    sys::call(libc::SYS_ioctl, [fd.as_raw_fd() as usize, request, arg, 0, 0, 0])
}
