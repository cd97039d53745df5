// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! /dev/ashmem (`drivers/staging/android/uapi/ashmem.h`): what Android had before memfd. It left
//! mainline with 5.18.

use crate::case::{Check, Given, Setup};
use crate::sys::{self, Map, RO, RW, Sys};
use crate::world::{MARK, World, readable, same, word};
use libc::MAP_SHARED;
use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};

const DEVICE: &str = "/dev/ashmem";
/// Bytes of a name, its NUL included.
const NAME_LEN: usize = 256;
/// What a region is called that got no name.
pub const NO_NAME: &str = "dev/ashmem";

/// `_IOC(dir, 0x77, nr, size)`
const fn ioc(dir: usize, nr: usize, size: usize) -> usize {
    dir << 30 | size << 16 | 0x77 << 8 | nr
}

const NONE: usize = 0;
const WRITE: usize = 1;
const READ: usize = 2;
const WORD: usize = size_of::<usize>();

const SET_NAME: usize = ioc(WRITE, 1, NAME_LEN);
const GET_NAME: usize = ioc(READ, 2, NAME_LEN);
const SET_SIZE: usize = ioc(WRITE, 3, WORD);
const GET_SIZE: usize = ioc(NONE, 4, 0);
const SET_PROT_MASK: usize = ioc(WRITE, 5, WORD);
const GET_PROT_MASK: usize = ioc(NONE, 6, 0);
const PIN: usize = ioc(WRITE, 7, size_of::<Range>());
const UNPIN: usize = ioc(WRITE, 8, size_of::<Range>());
const GET_PIN_STATUS: usize = ioc(NONE, 9, 0);
const PURGE_ALL_CACHES: usize = ioc(NONE, 10, 0);

/// `struct ashmem_pin`
#[repr(C)]
struct Range {
    offset: u32,
    len: u32,
}

/// A new region: no name, no size, and it may be mapped in every way.
pub fn open() -> std::io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).write(true).open(DEVICE)?.into())
}

/// Why there is no ashmem; none if there is.
pub fn missing() -> Option<String> {
    match open().map(|fd| name(&fd)) {
        Ok(Ok(found)) if found == NO_NAME => None,
        Ok(other) => Some(format!("{DEVICE}: ASHMEM_GET_NAME gives {other:?}")),
        Err(error) => Some(format!("{DEVICE}: {error}")),
    }
}

fn ioctl(fd: &impl AsRawFd, nr: usize, arg: usize) -> Sys {
    sys::call(libc::SYS_ioctl, [fd.as_raw_fd() as usize, nr, arg, 0, 0, 0])
}

/// ASHMEM_SET_NAME
pub fn set_name(fd: &impl AsRawFd, name: &str) -> Sys {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    ioctl(fd, SET_NAME, name.as_ptr() as usize)
}

/// ASHMEM_GET_NAME
pub fn name(fd: &impl AsRawFd) -> Sys<String> {
    let mut name = [0u8; NAME_LEN];
    ioctl(fd, GET_NAME, name.as_mut_ptr() as usize)?;
    let name = CStr::from_bytes_until_nul(&name).map_err(|_| Errno::EOVERFLOW)?;
    Ok(name.to_string_lossy().into_owned())
}

/// ASHMEM_SET_SIZE
pub fn set_size(fd: &impl AsRawFd, size: usize) -> Sys {
    ioctl(fd, SET_SIZE, size)
}

/// ASHMEM_GET_SIZE
pub fn size(fd: &impl AsRawFd) -> Sys {
    ioctl(fd, GET_SIZE, 0)
}

/// ASHMEM_SET_PROT_MASK: what mappings that are made from now on may do.
pub fn set_mask(fd: &impl AsRawFd, prot: libc::c_int) -> Sys {
    ioctl(fd, SET_PROT_MASK, prot as usize)
}

/// ASHMEM_GET_PROT_MASK
pub fn mask(fd: &impl AsRawFd) -> Sys {
    ioctl(fd, GET_PROT_MASK, 0)
}

/// ASHMEM_PIN: 1 if the pages were purged meanwhile, else 0.
pub fn pin(fd: &impl AsRawFd, offset: usize, len: usize) -> Sys {
    ranged(fd, PIN, offset, len)
}

/// ASHMEM_UNPIN: the kernel may drop these pages' contents.
pub fn unpin(fd: &impl AsRawFd, offset: usize, len: usize) -> Sys {
    ranged(fd, UNPIN, offset, len)
}

/// ASHMEM_GET_PIN_STATUS: 1 if all of them are pinned, else 0.
pub fn is_pinned(fd: &impl AsRawFd, offset: usize, len: usize) -> Sys {
    ranged(fd, GET_PIN_STATUS, offset, len)
}

fn ranged(fd: &impl AsRawFd, nr: usize, offset: usize, len: usize) -> Sys {
    let range = Range { offset: offset as u32, len: len as u32 };
    ioctl(fd, nr, &raw const range as usize)
}

/// ASHMEM_PURGE_ALL_CACHES, which does what a lack of memory does: every unpinned page of every
/// region is dropped.
pub fn purge(fd: &impl AsRawFd) -> Sys {
    ioctl(fd, PURGE_ALL_CACHES, 0)
}

/// A region with a size, which nobody has mapped.
pub fn unmapped(given: Given) -> Setup {
    let world = World::inherited(given, open().map_err(word)?);
    set_size(&world.fd, world.size).map_err(word)?;
    Ok(world)
}

/// A region with contents, which nobody has mapped any more: each of its two pages begins as a
/// memfd's does.
pub fn fresh(given: Given) -> Setup {
    let world = unmapped(given)?;
    let map = world.mmap(RW, MAP_SHARED).map_err(word)?;
    map.store(0, MARK);
    map.store(world.page, MARK + 1);
    Ok(world)
}

/// The same with a writable mapping, as `old`.
pub fn mapped(given: Given) -> Setup {
    fresh(given)?.map(RW)
}

/// The usual case: an old writable mapping, then the protection is dropped to reading.
pub fn dropped(given: Given) -> Setup {
    drop_write(mapped(given)?)
}

/// The protection is dropped to reading, for a setup.
pub fn drop_write(world: World) -> Setup {
    set_mask(&world.fd, RO).map_err(|errno| format!("ASHMEM_SET_PROT_MASK: {errno:?}"))?;
    Ok(world)
}

/// For rows on a region whose protection was dropped: size, protection and contents are as they
/// were. (What is checked without a row's asking goes by opening the file again: another region.)
pub fn intact(world: &mut World) -> Check {
    same("ASHMEM_GET_SIZE", Ok(world.size as i64), size(&world.fd))?;
    same("ASHMEM_GET_PROT_MASK", Ok(RO.into()), mask(&world.fd))?;
    shows(world)
}

/// A mapping made now shows the contents.
pub fn shows(world: &mut World) -> Check {
    let map = world.mmap(RO, MAP_SHARED).map_err(word)?;
    readable(&map)?;
    same("the second page's first byte", MARK + 1, map.load(world.page))
}

/// The name of what is mapped here, as /proc/self/maps has it.
pub fn mapped_name(map: &Map) -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/self/maps").map_err(word)?;
    let start = format!("{:x}-", map.addr());
    let line = text.lines().find(|line| line.starts_with(&start));
    let name = line.and_then(|line| line.splitn(6, ' ').nth(5));
    name.map(|name| name.trim().to_owned()).ok_or_else(|| "nothing is mapped there".into())
}
