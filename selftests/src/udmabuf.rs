// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! UDMABUF_CREATE and UDMABUF_CREATE_LIST (`include/uapi/linux/udmabuf.h`), and what a dma-buf
//! itself takes (`include/uapi/linux/dma-buf.h`).

use crate::kind::Kind;
use crate::sys::{self, Map, Offset, RO, Sys, mfd, seal};
use crate::world::World;
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const UDMABUF_CREATE: usize = 0x4018_7542;
const UDMABUF_CREATE_LIST: usize = 0x4008_7543;
const DMA_BUF_IOCTL_SYNC: usize = 0x4008_6200;

/// Flags of a buffer.
pub const CLOEXEC: u32 = 1;

/// Flags of DMA_BUF_IOCTL_SYNC.
pub const SYNC_READ: u64 = 1;
pub const SYNC_WRITE: u64 = 2;
pub const SYNC_END: u64 = 4;

#[repr(C)]
struct Create {
    memfd: u32,
    flags: u32,
    offset: u64,
    size: u64,
}

/// A part of a file, for a buffer of several: `struct udmabuf_create_item`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Item {
    memfd: u32,
    pad: u32,
    offset: u64,
    size: u64,
}

/// `struct udmabuf_create_list` with all the items that fit the largest list.
#[repr(C)]
struct List {
    flags: u32,
    count: u32,
    items: [Item; MOST],
}

/// More items than a list may have, unless the module's limit was raised.
pub const MOST: usize = 1025;

/// These bytes of a file.
pub fn part(fd: &impl AsRawFd, offset: impl Offset, size: impl Offset) -> Item {
    let (memfd, offset, size) = (fd.as_raw_fd() as u32, offset.wide(), size.wide());
    Item { memfd, pad: 0, offset, size }
}

/// A dma-buf over the whole file.
pub fn create(world: &World) -> Sys<OwnedFd> {
    create_part(part(&world.fd, 0, world.size), CLOEXEC)
}

/// A dma-buf over a part of a file.
pub fn create_part(item: Item, flags: u32) -> Sys<OwnedFd> {
    let Item { memfd, offset, size, .. } = item;
    let arg = Create { memfd, flags, offset, size };
    ioctl(UDMABUF_CREATE, &raw const arg as usize)
}

/// A dma-buf over several parts of files.
pub fn create_list(items: &[Item]) -> Sys<OwnedFd> {
    create_list_of(items.len() as u32, items)
}

/// The same, with another count than there are items.
pub fn create_list_of(count: u32, items: &[Item]) -> Sys<OwnedFd> {
    let none = Item { memfd: 0, pad: 0, offset: 0, size: 0 };
    let mut list = Box::new(List { flags: CLOEXEC, count, items: [none; MOST] });
    list.items[..items.len()].copy_from_slice(items);
    ioctl(UDMABUF_CREATE_LIST, &raw const *list as usize)
}

/// Either call with an argument that is no address.
pub fn create_at(addr: usize) -> Sys<OwnedFd> {
    ioctl(UDMABUF_CREATE, addr)
}

/// The most items of a list, as the module has it.
pub fn limit() -> Result<usize, String> {
    let path = "/sys/module/udmabuf/parameters/list_limit";
    let text = match std::fs::read_to_string(path) {
        // Older kernels have the number that this is by default since, and nobody can set it.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(MOST - 1),
        other => other.map_err(|error| format!("{path}: {error}"))?,
    };
    match text.trim().parse() {
        Ok(limit) if limit < MOST => Ok(limit),
        _ => Err(format!("{path} is {}, at most {} expected", text.trim(), MOST - 1)),
    }
}

/// DMA_BUF_IOCTL_SYNC.
pub fn sync(buffer: &OwnedFd, flags: u64) -> Sys {
    let buffer = buffer.as_raw_fd() as usize;
    sys::call(libc::SYS_ioctl, [buffer, DMA_BUF_IOCTL_SYNC, &raw const flags as usize, 0, 0, 0])
}

/// Why a buffer can't be made of hugetlbfs as of shmem, holes included. Linux 6.1 takes only pages
/// that are there, and what is mapped of such a buffer upsets what the kernel counts of the huge page
/// beside it, until it crashes; 5.10 takes none.
pub fn hugetlb_missing() -> Option<String> {
    let page = Kind::Hugetlb.page();
    let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING | mfd::HUGETLB;
    let made = sys::memfd_create("probe", flags).and_then(|fd| {
        sys::ftruncate(&fd, page as i64)?;
        sys::add_seals(&fd, seal::SHRINK)?;
        // A mapping reserves the page: Linux 6.12 hits a BUG_ON where nobody has.
        let _reserved = Map::new(page, RO, libc::MAP_SHARED, &fd, 0)?;
        create_part(part(&fd, 0, page), CLOEXEC)
    });
    made.err().map(|errno| format!("no udmabuf of a hole of hugetlbfs ({errno:?})"))
}

/// What is said of a part that no file can have.
pub fn far_part() -> Sys<OwnedFd> {
    let fd = sys::memfd_create("probe", mfd::CLOEXEC | mfd::ALLOW_SEALING)?;
    let page = Kind::Shmem.page();
    sys::ftruncate(&fd, page as i64)?;
    sys::add_seals(&fd, seal::SHRINK)?;
    create_part(Item { offset: 1 << 63, ..part(&fd, 0, page) }, CLOEXEC)
}

fn ioctl(nr: usize, arg: usize) -> Sys<OwnedFd> {
    let device = device().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    let args = [device.as_raw_fd() as usize, nr, arg, 0, 0, 0];
    Ok(sys::own(sys::call(libc::SYS_ioctl, args)? as RawFd))
}

fn device() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/udmabuf")
}
