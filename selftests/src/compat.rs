// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a 32-bit task calls on a 64-bit kernel, through `int 0x80` (numbers of
//! `arch/x86/entry/syscalls/syscall_32.tbl`).

use crate::case::Got;
use crate::sys::{self, Ended};
use crate::world::World;
use std::os::fd::AsRawFd;

const GETPID: u32 = 20;
const PWRITE64: u32 = 181;
const MMAP2: u32 = 192;
const FTRUNCATE64: u32 = 194;
const FCNTL64: u32 = 221;
const FALLOCATE: u32 = 324;

/// Why there are no 32-bit calls; none if there are.
pub fn missing() -> Option<String> {
    let pid = || match call(GETPID, [0; 6]) {
        Ok(pid) if pid == i64::from(std::process::id()) => 0,
        _ => 1,
    };
    match sys::in_child(pid) {
        Ok(Ended::Exit(0)) => None,
        other => Some(format!("no 32-bit system calls ({other:?})")),
    }
}

#[cfg(target_arch = "x86_64")]
fn call(nr: u32, args: [u32; 6]) -> sys::Sys {
    sys::compat_call(nr, args)
}

#[cfg(not(target_arch = "x86_64"))]
fn call(_: u32, _: [u32; 6]) -> sys::Sys {
    Err(nix::errno::Errno::ENOSYS)
}

fn fd(world: &World) -> u32 {
    world.fd.as_raw_fd() as u32
}

/// `fcntl64(fd, F_ADD_SEALS, seals)`.
pub fn add_seals(world: &World, seals: u32) -> Got {
    Ok(call(FCNTL64, [fd(world), libc::F_ADD_SEALS as u32, seals, 0, 0, 0])?)
}

/// `pwrite64` of one byte from memory that a 32-bit pointer reaches.
pub fn pwrite(world: &World) -> Got {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let low = sys::Map::at(0, 4096, sys::RW, flags, -1, 0)?;
    Ok(call(PWRITE64, [fd(world), low.addr() as u32, 1, 0, 0, 0])?)
}

/// `mmap2` of one page, shared.
pub fn mmap(world: &World, prot: i32) -> Got {
    let len = world.page as u32;
    Ok(call(MMAP2, [0, len, prot as u32, libc::MAP_SHARED as u32, fd(world), 0])?)
}

/// `ftruncate64` to fewer than 4 GiB.
pub fn ftruncate(world: &World, size: usize) -> Got {
    Ok(call(FTRUNCATE64, [fd(world), size as u32, 0, 0, 0, 0])?)
}

/// `fallocate` below 4 GiB.
pub fn fallocate(world: &World, len: usize) -> Got {
    Ok(call(FALLOCATE, [fd(world), 0, 0, 0, len as u32, 0])?)
}
