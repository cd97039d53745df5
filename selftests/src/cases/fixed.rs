// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a refused mapping leaves behind: what it would have replaced, counts, other files.

use super::mapping::{BEFORE_SEALS, EPERM_, SHUT};
use crate::case::*;
use crate::mapped::{OLDER, new_ro, no_count_left, old_ro, permits, room, shared};
use crate::sys::{Map, RO, RW, seal};
use crate::world::{World, fresh, readable, same, sealed, sealed_unmapped};
use libc::{MAP_FIXED_NOREPLACE, MAP_SHARED, PROT_NONE};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

pub const CASES: &[Case] = &[
    Case {
        name: "fixed_over_old",
        about: "a refused MAP_FIXED leaves the old mapping of the same file that it would have replaced",
        under: &[seal::FS_WRITE],
        op: |f| f.mmap_over(f.old(), RW, MAP_SHARED),
        after: |f| {
            permits(f.old(), "rw-s")?;
            f.reaches_file(f.old())
        },
        ..SHUT
    },
    Case {
        name: "fixed_over_old_eperm",
        about: "it does so with F_SEAL_FUTURE_WRITE",
        rules: &[],
        under: &[seal::FUTURE_WRITE],
        op: |f| f.mmap_over(f.old(), RW, MAP_SHARED),
        after: |f| {
            permits(f.old(), "rw-s")?;
            f.reaches_file(f.old())
        },
        ..EPERM_
    },
    Case {
        name: "fixed_over_old_ro",
        about: "a refused MAP_FIXED leaves an old mapping for reading",
        setup: old_ro,
        op: |f| f.mmap_over(f.old(), RW, MAP_SHARED),
        after: |f| {
            permits(f.old(), "r--s")?;
            readable(f.old())
        },
        ..SHUT
    },
    Case {
        name: "fixed_over_new_ro_eperm",
        about: "with the other seals it leaves a mapping for reading",
        under: OLDER,
        setup: new_ro,
        op: |f| f.mmap_over(f.old(), RW, MAP_SHARED),
        after: |f| {
            permits(f.old(), "r--s")?;
            readable(f.old())
        },
        ..EPERM_
    },
    Case {
        name: "fixed_over_another",
        about: "a refused MAP_FIXED leaves a mapping of another file",
        setup: over_another,
        op: |f| f.mmap_over(f.made(), RW, MAP_SHARED),
        after: another_is_left,
        ..SHUT
    },
    Case {
        name: "fixed_over_another_eperm",
        about: "it does so with the other seals",
        under: OLDER,
        setup: over_another,
        op: |f| f.mmap_over(f.made(), RW, MAP_SHARED),
        after: another_is_left,
        ..EPERM_
    },
    Case {
        name: "fixed_over_anonymous",
        about: "a refused MAP_FIXED leaves anonymous memory",
        setup: over_anonymous,
        op: |f| f.mmap_over(f.made(), RW, MAP_SHARED),
        after: anonymous_is_left,
        ..SHUT
    },
    Case {
        name: "fixed_over_anonymous_eperm",
        about: "it does so with the other seals",
        under: OLDER,
        setup: over_anonymous,
        op: |f| f.mmap_over(f.made(), RW, MAP_SHARED),
        after: anonymous_is_left,
        ..EPERM_
    },
    Case {
        name: "noreplace_rw",
        about: "MAP_FIXED_NOREPLACE on free addresses does not get around it",
        op: noreplace,
        ..SHUT
    },
    Case {
        name: "noreplace_rw_eperm",
        about: "MAP_FIXED_NOREPLACE on free addresses does not get around the other seals",
        under: OLDER,
        op: noreplace,
        ..EPERM_
    },
    Case {
        name: "noreplace_over_anonymous",
        about: "MAP_FIXED_NOREPLACE on a mapping is EEXIST before any seal, and leaves it",
        under: NO_WRITE,
        setup: over_anonymous,
        op: |f| {
            let (addr, len, fd) = (f.made().addr(), f.made().len(), f.fd.as_raw_fd());
            let new = Map::at(addr, len, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0)?;
            std::mem::forget(new);
            Ok(0)
        },
        expect: Fails(EEXIST),
        after: anonymous_is_left,
        hollow: BEFORE_SEALS,
        ..SHUT
    },
    Case {
        name: "refusal_leaves_no_count",
        about: "a refused mapping is not counted as one that may write",
        rules: &[8, 22],
        setup: sealed_unmapped,
        op: shared::<RW, 0>,
        after: no_count_left,
        ..SHUT
    },
    Case {
        name: "refusal_leaves_no_count_eperm",
        about: "a mapping that F_SEAL_FUTURE_WRITE refused is not counted as one that may write",
        rules: &[],
        under: &[seal::FUTURE_WRITE],
        setup: sealed_unmapped,
        op: shared::<RW, 0>,
        after: no_count_left,
        ..EPERM_
    },
    Case {
        name: "another_file",
        about: "another memfd is mapped writable as ever beside a sealed one",
        rules: &[29],
        on: BOTH,
        under: NO_WRITE,
        setup: |given| sealed(given)?.beside_another(),
        op: |f| {
            f.new = Some(Map::new(f.size, RW, MAP_SHARED, f.last(), 0)?);
            f.made().store(1, 8);
            Ok(f.made().load(1).into())
        },
        expect: Returns(8),
        after: |f| f.unchanged(),
        ..CASE
    },
];

fn noreplace(world: &mut World) -> Got {
    let room = room(world, PROT_NONE)?;
    let (addr, len) = (room.addr(), room.len());
    drop(room);
    let flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    world.new = Some(Map::at(addr, len, RW, flags, world.fd.as_raw_fd(), 0)?);
    Ok(0)
}

/// A mapping of another file, as `new`, where the sealed one is to be mapped.
fn over_another(given: Given) -> Setup {
    let mut world = sealed_unmapped(given)?.beside_another()?;
    let map = Map::new(world.size, RW, MAP_SHARED, world.last(), 0).map_err(|e| e.to_string())?;
    map.store(1, 8);
    world.new = Some(map);
    Ok(world)
}

fn another_is_left(world: &mut World) -> Check {
    permits(world.made(), "rw-s")?;
    same("its byte", 8, world.made().load(1))?;
    world.made().store(1, 9);
    let again = Map::new(world.size, RO, MAP_SHARED, world.last(), 0).map_err(|e| e.to_string())?;
    same("its file's byte", 9, again.load(1))?;
    world.unchanged()
}

/// Anonymous memory, as `new`, where the sealed file is to be mapped.
fn over_anonymous(given: Given) -> Setup {
    let mut world = fresh(given)?.seal(given.seals)?;
    let map = room(&world, RW).map_err(|e| e.to_string())?;
    map.store(1, 8);
    world.new = Some(map);
    Ok(world)
}

fn anonymous_is_left(world: &mut World) -> Check {
    permits(world.made(), "rw-p")?;
    same("its byte", 8, world.made().load(1))?;
    world.made().store(1, 9);
    world.unchanged()
}
