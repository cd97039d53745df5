// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! F_SEAL_WRITE is EBUSY while somebody may write through a mapping or a pin.

use super::refusing::NOT_FS_WRITE;
use super::sealing::exactly;
use crate::case::*;
use crate::elsewhere::{holder, release};
use crate::kind::Kind;
use crate::need::Need;
use crate::sys::{self, Map, RO, RW, mfd, seal};
use crate::world::{World, fresh, refused, same, with_flags};
use libc::{MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_WRITE};
use nix::errno::Errno::*;
use nix::unistd::pipe2;
use std::os::fd::AsRawFd;

/// F_SEAL_WRITE while something counts: EBUSY, nothing applied, and all works as before.
pub const BUSY: Case = Case {
    under: &[seal::WRITE],
    op: |f| f.add_seals(f.given.seals),
    expect: Fails(EBUSY),
    after: undone,
    hollow: NOT_FS_WRITE,
    ..CONTROL
};

/// Each way to ask for F_SEAL_WRITE along with others.
pub const ASKED: &[u32] = &[
    seal::WRITE,
    seal::WRITE | seal::SEAL,
    seal::WRITE | seal::SHRINK | seal::GROW,
    seal::WRITE | seal::FUTURE_WRITE,
    seal::WRITE | seal::FS_WRITE,
];

pub const CASES: &[Case] = &[
    Case {
        name: "writable_map",
        about: "F_SEAL_WRITE is EBUSY while a writable shared mapping is left, and applies nothing",
        under: ASKED,
        setup: |given| fresh(given)?.map(RW),
        ..BUSY
    },
    Case {
        name: "writable_map_exec_seal",
        about: "so is F_SEAL_EXEC on an executable file, since it implies F_SEAL_WRITE",
        on: BARE,
        under: &[seal::EXEC, seal::EXEC | seal::GROW, seal::EXEC | seal::FS_WRITE],
        setup: |given| executable(given)?.map(RW),
        ..BUSY
    },
    Case {
        name: "write_only_map",
        about: "a shared mapping of PROT_WRITE alone counts",
        setup: |given| fresh(given)?.map(PROT_WRITE),
        ..BUSY
    },
    Case {
        name: "readonly_map",
        about: "a read-only shared mapping of an O_RDWR descriptor counts: it may become writable",
        setup: |given| fresh(given)?.map(RO),
        ..BUSY
    },
    Case {
        name: "prot_none_map",
        about: "so does one of PROT_NONE",
        setup: |given| fresh(given)?.map(PROT_NONE),
        ..BUSY
    },
    Case {
        name: "exec_map",
        about: "so does one of PROT_READ and PROT_EXEC",
        on: SHMEM,
        setup: |given| fresh(given)?.map(RO | PROT_EXEC),
        ..BUSY
    },
    Case {
        name: "shared_validate_map",
        about: "so does one of MAP_SHARED_VALIDATE",
        setup: |given| with_old(fresh(given)?, |f| f.mmap(RO, libc::MAP_SHARED_VALIDATE)),
        ..BUSY
    },
    Case {
        name: "made_readonly",
        about: "a writable mapping still counts when mprotect(2) has made it read-only",
        setup: |given| {
            let world = fresh(given)?.map(RW)?;
            world.old().protect(RO).map_err(|e| e.to_string())?;
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "one_of_two_maps",
        about: "of two mappings, the one that is left counts",
        setup: |given| {
            let first = fresh(given)?.map(RW)?;
            with_old(first, |f| f.mmap(RW, MAP_SHARED))
        },
        ..BUSY
    },
    Case {
        name: "middle_unmapped",
        about: "a mapping whose middle is unmapped counts twice, so until both ends are gone",
        on: SHMEM,
        setup: |given| {
            let page = given.kind.page();
            let world = with_old(fresh(given)?, |f| Map::new(3 * page, RW, MAP_SHARED, &f.fd, 0))?;
            unmap(world.old(), page, page)?;
            Ok(world)
        },
        after: |f| {
            unmap(f.old(), 0, f.page)?;
            refused("F_SEAL_WRITE with the last page left", EBUSY, f.add_seals(seal::WRITE))?;
            undone(f)
        },
        ..BUSY
    },
    Case {
        name: "half_unmapped",
        about: "the half of a mapping that is left counts",
        setup: |given| {
            let world = fresh(given)?.map(RW)?;
            unmap(world.old(), world.page, world.page)?;
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "split_and_merged",
        about: "a mapping that mprotect(2) has split and merged again counts once",
        setup: |given| {
            let world = fresh(given)?.map(RW)?;
            for prot in [RO, RW, PROT_NONE, RW] {
                protect(world.old(), world.page, prot)?;
            }
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "split",
        about: "a mapping that mprotect(2) has split counts until both parts are gone",
        setup: |given| {
            let world = fresh(given)?.map(RW)?;
            protect(world.old(), world.page, RO)?;
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "moved",
        about: "a mapping that mremap(2) has moved counts",
        needs: &[Need::HugetlbMoves],
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            let size = world.size;
            let room = Map::at(0, 2 * size, PROT_NONE, MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
                .map_err(|e| e.to_string())?;
            let to = room.addr().next_multiple_of(size);
            let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
            sys::call(libc::SYS_mremap, [world.old().addr(), size, size, flags, to, 0])
                .map_err(|e| format!("mremap: {e:?}"))?;
            // Both are gone: one moved away, the other was in its way.
            std::mem::forget((room, world.old.take()));
            world.old = Some(Map::adopt(to, size));
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "duplicated",
        about: "the duplicate that mremap(2) with an old length of 0 made counts when the first is gone",
        on: SHMEM,
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            let first = world.old.take().ok_or("no map")?;
            let (second, first) =
                first.remap(0, world.size, libc::MREMAP_MAYMOVE).map_err(|e| e.to_string())?;
            drop(first);
            world.old = Some(second);
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "descriptor_closed",
        about: "a mapping counts when the descriptor that it was made from is closed",
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?.via(libc::O_RDWR)?;
            world.kept.clear();
            Ok(world)
        },
        ..BUSY
    },
    Case {
        name: "of_another_descriptor",
        about: "a mapping made through a second O_RDWR descriptor counts",
        setup: |given| {
            with_old(fresh(given)?, |f| {
                Map::new(f.size, RO, MAP_SHARED, &f.reopen(libc::O_RDWR)?, 0)
            })
        },
        ..BUSY
    },
    Case {
        name: "of_another_process",
        about: "the copy that a fork gave to a child counts when the parent's is gone",
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            let child = holder().map_err(|e| format!("fork: {e:?}"))?;
            world.old = None;
            Ok(world.keep(child))
        },
        after: |f| {
            release(&f.kept[0]);
            undone(f)
        },
        ..BUSY
    },
    Case {
        name: "pinned",
        about: "F_SEAL_WRITE is EBUSY while a pipe pins a page, and applies nothing",
        on: BOTH,
        under: &[seal::WRITE, seal::WRITE | seal::FS_WRITE | seal::SHRINK],
        setup: |given| pinned_unmapped(fresh(given)?),
        ..BUSY
    },
    Case {
        name: "pinned_exec_seal",
        about: "so is F_SEAL_EXEC on an executable file",
        on: BOTH,
        under: &[seal::EXEC],
        setup: |given| pinned_unmapped(executable(given)?),
        ..BUSY
    },
];

/// After EBUSY: the file is written and mapped as before; and once whatever counted is gone, the
/// same seals are added.
fn undone(f: &mut World) -> Check {
    if f.given.kind != Kind::Hugetlb {
        same("pwrite", Ok(1), f.pwrite(2, b"y"))?;
        f.byte_is(2, b'y')?;
    }
    let map = f.mmap(RW, MAP_SHARED).map_err(|e| format!("a new writable mapping: {e:?}"))?;
    f.reaches_file(&map)?;
    drop(map);
    if f.old.is_some() {
        refused("asked again", EBUSY, f.add_seals(f.given.seals))?;
    }
    (f.old, f.new) = (None, None);
    f.kept.clear();
    same("once it is gone", Ok(0), f.add_seals(f.given.seals))?;
    exactly(f, f.given.seals)?;
    refused("a writable mapping then", EPERM, f.mmap_new(RW, MAP_SHARED))
}

/// As `fresh`, surely executable.
pub fn executable(given: Given) -> Setup {
    with_flags(given, mfd::ALLOW_SEALING | crate::need::mfd_exec())
}

/// This mapping becomes `old`, and what was that `new`.
pub fn with_old(mut world: World, map: impl FnOnce(&World) -> sys::Sys<Map>) -> Setup {
    world.new = world.old.take();
    world.old = Some(map(&world).map_err(|e| format!("mmap: {e:?}"))?);
    Ok(world)
}

fn unmap(map: &Map, at: usize, len: usize) -> Check {
    let got = sys::call(libc::SYS_munmap, [map.addr() + at, len, 0, 0, 0, 0]);
    same("munmap", Ok(0), got)
}

/// Of the first page.
fn protect(map: &Map, page: usize, prot: i32) -> Check {
    let got = sys::call(libc::SYS_mprotect, [map.addr(), page, prot as usize, 0, 0, 0]);
    same("mprotect", Ok(0), got)
}

/// Pins the first page by putting it into a pipe.
pub fn pinned(world: World) -> Setup {
    let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| e.to_string())?;
    let slice = libc::iovec { iov_base: world.old().addr() as *mut _, iov_len: 16 };
    let args = [writer.as_raw_fd() as usize, &raw const slice as usize, 1, 0, 0, 0];
    let moved = sys::call(libc::SYS_vmsplice, args).map_err(|e| format!("vmsplice: {e:?}"))?;
    same("vmspliced", 16, moved)?;
    Ok(world.keep(reader).keep(writer))
}

/// As `pinned`, by a mapping that is gone.
pub fn pinned_unmapped(world: World) -> Setup {
    let mut world = pinned(world.map(RW)?)?;
    world.old = None;
    Ok(world)
}
