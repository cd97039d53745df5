// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Mappings that are longer than the file. On shmem they never change its size; on hugetlbfs a
//! writable one makes the file as long, unless a seal forbids that.

use crate::case::*;
use crate::door::Door;
use crate::kind::Kind;
use crate::sys::{Map, RO, RW, mfd, seal};
use crate::world::{World, readable, same, sealed_unmapped, store_in_child, with_flags};
use libc::{MAP_FIXED, MAP_NORESERVE, MAP_POPULATE, MAP_PRIVATE, MAP_SHARED, O_RDONLY, O_RDWR};
use libc::{MAP_SHARED_VALIDATE, PROT_EXEC, PROT_WRITE};
use nix::sys::signal::Signal::SIGBUS;
use std::os::fd::AsRawFd;

const SIZE_GROWS: Deviation =
    Deviation::FailsOn(Kind::Hugetlb, "a writable mapping grows the file (see patch 1)");
/// All that may map, and those that could not write.
const DOORS: &[Door] =
    &[Door::Before(O_RDONLY), Door::After(O_RDONLY), Door::After(O_RDWR), Door::Received];

/// A mapping that keeps the size: made, as a shorter one is. The tests of hugetlbfs and the older
/// seals are known to fail where patch 1 of the series is missing: see deviations.toml.
const KEPT: Case = Case {
    rules: &[24],
    on: BOTH,
    under: &[
        seal::FS_WRITE,
        seal::GROW,
        seal::SHRINK | seal::GROW,
        seal::GROW | seal::WRITE,
        seal::GROW | seal::FUTURE_WRITE,
    ],
    setup: sealed_unmapped,
    expect: Returns(0),
    after: |f| f.unchanged(),
    hollow: SIZE_GROWS,
    ..CASE
};
/// Of those, what can be mapped shared and writable.
const KEPT_SHARED: Case =
    Case { rules: &[], under: &[seal::GROW, seal::SHRINK | seal::GROW], ..KEPT };
/// What the other seals leave alone: the file is as long as the mapping.
const GROWS: Case = Case {
    on: HUGETLB,
    under: &[0, seal::SEAL, seal::SHRINK, seal::EXEC, seal::SEAL | seal::SHRINK | seal::EXEC],
    setup: sealed_unmapped,
    expect: Returns(0),
    after: |f| f.size_is(2 * f.size),
    ..CONTROL
};

/// One page wholly past EOF, kept as `new`.
fn map_past(f: &mut World, prot: i32, flags: i32) -> Got {
    f.new = Some(Map::new(f.page, prot, flags, &f.fd, f.size as i64)?);
    Ok(0)
}

/// Twice the file over anonymous memory that is there already.
fn map_over(f: &mut World, flags: i32) -> Got {
    let (page, len) = (f.page, 2 * f.size);
    let anonymous = libc::MAP_ANONYMOUS | MAP_PRIVATE | MAP_NORESERVE;
    let room = Map::at(0, len + page, RW, anonymous, -1, 0)?;
    let addr = room.addr().next_multiple_of(page);
    let map = Map::at(addr, len, RW, flags | MAP_FIXED, f.fd.as_raw_fd(), 0)?;
    // Its own end unmaps what is left around the file.
    f.old = Some(room);
    f.new = Some(map);
    Ok(0)
}

/// A mapping longer than the file, from before the row's seals, which can't grow it.
fn mapped(given: Given) -> Setup {
    let mut world = sealed_unmapped(given)?;
    let map = Map::new(2 * world.size, RW, MAP_PRIVATE, &world.fd, 0);
    world.old = Some(map.map_err(|e| e.to_string())?);
    Ok(world)
}

pub const CASES: &[Case] = &[
    Case {
        name: "kept_private",
        about: "a private writable mapping longer than the file is made and does not grow it",
        op: |f| f.mmap_past_eof(RW, MAP_PRIVATE),
        ..KEPT
    },
    Case {
        name: "kept_private_through",
        about: "the same through whatever descriptor, one that is open for reading only too",
        under: &[seal::FS_WRITE, seal::GROW],
        through: DOORS,
        op: |f| f.mmap_past_eof(RW, MAP_PRIVATE),
        ..KEPT
    },
    Case {
        name: "kept_private_past_eof",
        about: "a private writable mapping wholly past EOF is made and does not grow it",
        through: &[Door::Original, Door::After(O_RDONLY)],
        op: |f| map_past(f, RW, MAP_PRIVATE),
        ..KEPT
    },
    Case {
        name: "kept_private_write_only",
        about: "the same with PROT_WRITE alone",
        op: |f| f.mmap_past_eof(PROT_WRITE, MAP_PRIVATE),
        ..KEPT
    },
    Case {
        name: "kept_private_exec",
        about: "the same with PROT_EXEC too",
        op: |f| f.mmap_past_eof(RW | PROT_EXEC, MAP_PRIVATE),
        ..KEPT
    },
    Case {
        name: "kept_private_noreserve",
        about: "the same with MAP_NORESERVE",
        op: |f| f.mmap_past_eof(RW, MAP_PRIVATE | MAP_NORESERVE),
        ..KEPT
    },
    Case {
        name: "kept_private_populate",
        about: "the same with MAP_POPULATE, which ends at EOF",
        op: |f| f.mmap_past_eof(RW, MAP_PRIVATE | MAP_POPULATE),
        ..KEPT
    },
    Case {
        name: "kept_private_fixed",
        about: "the same with MAP_FIXED over other memory",
        op: |f| map_over(f, MAP_PRIVATE),
        after: |f| {
            f.unchanged()?;
            readable(f.made())
        },
        ..KEPT
    },
    Case {
        name: "kept_shared",
        about: "a shared writable mapping longer than the file is made and does not grow it",
        through: &[Door::Original, Door::Before(O_RDWR), Door::After(O_RDWR)],
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        after: |f| {
            f.unchanged()?;
            f.reaches_file(f.made())
        },
        ..KEPT_SHARED
    },
    Case {
        name: "kept_shared_validate",
        about: "the same with MAP_SHARED_VALIDATE",
        op: |f| f.mmap_past_eof(RW, MAP_SHARED_VALIDATE),
        ..KEPT_SHARED
    },
    Case {
        name: "kept_shared_past_eof",
        about: "a shared writable mapping wholly past EOF is made and does not grow it",
        op: |f| map_past(f, RW, MAP_SHARED),
        ..KEPT_SHARED
    },
    Case {
        name: "kept_shared_fixed",
        about: "a shared writable mapping longer than the file over other memory does not grow it",
        op: |f| map_over(f, MAP_SHARED),
        ..KEPT_SHARED
    },
    Case {
        name: "kept_implied",
        about: "a private writable mapping does not grow a file whose F_SEAL_GROW came with F_SEAL_EXEC",
        rules: &[23],
        on: &[Kind::Shmem, Kind::Hugetlb],
        under: &[seal::EXEC, seal::EXEC | seal::SEAL],
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC)?.seal(given.seals),
        through: &[Door::Original, Door::After(O_RDONLY)],
        op: |f| f.mmap_past_eof(RW, MAP_PRIVATE),
        ..KEPT
    },
    Case {
        name: "kept_touch",
        about: "touching such a mapping past EOF raises SIGBUS and does not grow the file",
        setup: mapped,
        op: |f| store_in_child(f.old(), f.size, 1),
        starved: IN_CHILD,
        expect: Dies(SIGBUS),
        ..KEPT
    },
    Case {
        name: "touch_below_eof",
        about: "touching such a mapping below EOF works and stays private",
        setup: mapped,
        op: |f| {
            f.old().store(1, 1);
            Ok(0)
        },
        // The file is longer there, but nobody looks.
        after: |f| f.byte_is(1, 0),
        hollow: Deviation::None,
        ..KEPT
    },
    Case {
        name: "mprotect",
        about: "a read-only private mapping longer than the file does not grow it when made writable",
        under: &[0, seal::FS_WRITE, seal::GROW],
        op: |f| {
            f.mmap_past_eof(RO, MAP_PRIVATE)?;
            Ok(f.made().protect(RW)?)
        },
        starved: STEPS,
        hollow: Deviation::None,
        ..KEPT
    },
    Case {
        name: "read_only",
        about: "a read-only shared mapping longer than the file never grew it",
        under: &[0, seal::FS_WRITE, seal::GROW, seal::SHRINK, seal::FUTURE_WRITE],
        op: |f| f.mmap_past_eof(RO, MAP_SHARED),
        hollow: Deviation::None,
        ..KEPT
    },
    Case {
        name: "within",
        about: "a writable mapping as long as the file keeps its size",
        under: &[0, seal::FS_WRITE, seal::GROW, seal::FUTURE_WRITE, seal::WRITE],
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        hollow: Deviation::None,
        ..KEPT
    },
    Case {
        name: "part",
        about: "a writable mapping shorter than the file keeps its size",
        under: &[0, seal::FS_WRITE, seal::GROW, seal::SHRINK, seal::FUTURE_WRITE, seal::WRITE],
        op: |f| {
            f.new = Some(Map::new(f.page, RW, MAP_PRIVATE, &f.fd, 0)?);
            Ok(0)
        },
        hollow: Deviation::None,
        ..KEPT
    },
    Case {
        name: "shared_grows",
        about: "a shared writable mapping grows a hugetlbfs file whose seals allow it",
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        ..GROWS
    },
    Case {
        name: "private_grows",
        about: "a private writable mapping grows a hugetlbfs file whose seals allow it",
        under: MAY_GROW,
        through: &[Door::Original, Door::After(O_RDONLY)],
        op: |f| f.mmap_past_eof(RW, MAP_PRIVATE),
        ..GROWS
    },
    Case {
        name: "past_eof_grows",
        about: "a writable mapping wholly past EOF grows a hugetlbfs file whose seals allow it",
        op: |f| map_past(f, RW, MAP_SHARED),
        after: |f| same("size", Ok(()), f.size_is(f.size + f.page)),
        ..GROWS
    },
    Case {
        name: "shmem_does_not_grow",
        about: "no mapping grows a file on shmem, whatever its seals",
        on: SHMEM,
        under: &[0, seal::SHRINK, seal::EXEC],
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        after: |f| f.unchanged(),
        ..GROWS
    },
];
