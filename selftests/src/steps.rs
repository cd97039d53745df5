// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the holder of a shared region may try, be it a memfd or /dev/ashmem's: each an operation of
//! one row of either.

use crate::calls::{self, DATA, copy_file_range, sendfile, splice, writev};
use crate::case::{Check, Got};
use crate::child::wrong;
use crate::door::Door;
use crate::mapped::RX;
use crate::stranger::Stranger;
use crate::sys::{self, RO, RW, Sys, mfd};
use crate::world::{MARK, World, each, readable, same};
use libc::{MADV_REMOVE, MAP_SHARED};
use nix::errno::Errno;
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

/// Who has a region's descriptor: its maker, and receivers by each way there is.
pub const HOLDERS: &[Door] = &[
    Door::Original,
    Door::Dup,
    Door::Received,
    Door::Forked,
    Door::Execed,
    Door::Strange(Stranger::Nobody),
];

/// Fails the row unless this holds.
pub fn held(check: Check) {
    check.unwrap_or_else(|what| wrong(what));
}

/// mmap(2), shared and writable.
pub fn map_writable(f: &mut World) -> Got {
    Ok(f.mmap(RW, MAP_SHARED).map(|_| 0)?)
}

/// mmap(2), shared and read-only, which shows the contents.
pub fn map_readonly(f: &mut World) -> Got {
    held(readable(&f.mmap(RO, MAP_SHARED)?));
    Ok(0)
}

/// mmap(2), shared, to read and execute.
pub fn map_executable(f: &mut World) -> Got {
    Ok(f.mmap(RX, MAP_SHARED).map(|_| 0)?)
}

/// mprotect(2) of a read-only mapping that is made now.
pub fn protect_new(f: &mut World) -> Got {
    Ok(f.mmap(RO, MAP_SHARED)?.protect(RW)?)
}

/// /proc/self/mem writes into a read-only mapping that is made now.
pub fn force_new(f: &mut World) -> Got {
    let map = f.mmap(RO, MAP_SHARED)?;
    let memory = OpenOptions::new().write(true).open("/proc/self/mem").expect("/proc/self/mem");
    let wrote = memory.write_at(b"x", map.addr() as u64);
    Ok(wrote.map(|_| 0).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?)
}

/// MADV_REMOVE through such a mapping.
pub fn remove_new(f: &mut World) -> Got {
    Ok(f.mmap(RO, MAP_SHARED)?.advise(0, f.page, MADV_REMOVE)?)
}

/// MADV_REMOVE through the old mapping.
pub fn remove_old(f: &mut World) -> Got {
    Ok(f.old().advise(0, f.page, MADV_REMOVE)?)
}

/// A store through the old mapping, which a reader sees.
pub fn store_old(f: &mut World) -> Got {
    let reader = f.mmap(RO, MAP_SHARED)?;
    f.old().store(1, 7);
    held(same("what a reader sees", 7, reader.load(1)));
    Ok(0)
}

/// mremap(2) makes a second mapping of the old one, whose store a reader sees.
pub fn duplicate_old(f: &mut World) -> Got {
    let (reader, old) = (f.mmap(RO, MAP_SHARED)?, f.old.take().expect("mapped"));
    let (duplicate, old) = old.remap(0, f.size, libc::MREMAP_MAYMOVE)?;
    f.old = old;
    duplicate.store(1, 7);
    held(same("what a reader sees", 7, reader.load(1)));
    Ok(0)
}

/// The second page of the file at the start of `old`.
pub fn remap_pages(f: &mut World) -> Got {
    Ok(f.old().remap_file_pages(f.page, f.page)?)
}

/// What write(2) and each of its kin gives, which must be the same.
pub fn writes(f: &mut World) -> Got {
    let (pipe, source) = (calls::pipe().expect("a pipe"), source()?);
    nix::unistd::write(&pipe.1, DATA)?;
    each(["write", "pwrite", "writev", "splice", "sendfile", "copy_file_range"], |call| {
        let got = match *call {
            "write" => f.write(b"x"),
            "pwrite" => f.pwrite(1, b"x"),
            "writev" => writev(f, &[b"x"]),
            "splice" => splice((&pipe.0, None), (&f.fd, None), 1, 0),
            "sendfile" => sendfile(&f.fd, &source, None, 1),
            _ => copy_file_range((&source, None), (&f.fd, None), 1),
        };
        got.map(|written| written - 1)
    })
}

/// A file to copy from.
fn source() -> Sys<OwnedFd> {
    let fd = sys::memfd_create("source", mfd::CLOEXEC)?;
    nix::unistd::write(&fd, b"01234567")?;
    nix::unistd::lseek(&fd, 0, nix::unistd::Whence::SeekSet)?;
    Ok(fd)
}

/// pread(2) of the first byte.
pub fn reads(f: &mut World) -> Got {
    let mut byte = [0];
    nix::sys::uio::pread(&f.fd, &mut byte, 0)?;
    held(same("the first byte", [MARK], byte));
    Ok(0)
}

/// What is done to the file behind a read-only mapping that is made now.
pub fn behind(f: &World, act: impl FnOnce(&OwnedFd) -> Sys) -> Got {
    let map = f.mmap(RO, MAP_SHARED)?;
    let range = format!("{:x}-{:x}", map.addr(), map.addr() + map.len());
    let path = format!("/proc/self/map_files/{range}");
    let opened = OpenOptions::new().read(true).write(true).open(&path);
    let file = opened.unwrap_or_else(|error| panic!("{path}: {error}"));
    Ok(act(&file.into())?)
}
