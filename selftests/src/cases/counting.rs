// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! F_SEAL_WRITE after another write seal is EBUSY while an old mapping that may write is left in whatever
//! form; mappings made since do not count. Without another seal: `busy.rs`.

use super::remapping::{duplicated, moved};
use crate::case::*;
use crate::mapped::{new_ro, no_count_left};
use crate::need::Need;
use crate::sys::{self, Map, RO, seal};
use crate::world::{World, same, sealed};
use libc::PROT_NONE;
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

/// F_SEAL_WRITE while a mapping that may write is left in some form.
const COUNTED: Case = Case {
    rules: &[22],
    on: BOTH,
    under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
    op: |f| f.add_seals(seal::WRITE),
    expect: Fails(EBUSY),
    after: no_count_left,
    hollow: Deviation::Passes("F_SEAL_WRITE counts"),
    ..CASE
};

const MAY_WRITE: Deviation = Deviation::Fails("VM_MAYWRITE is not cleared, so the mapping counts");

/// F_SEAL_WRITE while only mappings made since are left.
const NOT_COUNTED: Case =
    Case { expect: Returns(0), after: |f| f.unchanged_but_seals(), ..COUNTED };

pub const CASES: &[Case] = &[
    Case {
        name: "moved",
        about: "F_SEAL_WRITE is EBUSY while an old mapping is left at another place",
        needs: &[Need::HugetlbMoves],
        setup: |given| old_by(given, moved),
        ..COUNTED
    },
    Case {
        name: "duplicate",
        about: "F_SEAL_WRITE is EBUSY while only a duplicate is left",
        on: SHMEM,
        setup: |given| {
            let mut world = old_by(given, duplicated)?;
            world.old = None;
            Ok(world)
        },
        ..COUNTED
    },
    Case {
        name: "split_first",
        about: "F_SEAL_WRITE is EBUSY while the first page of an old mapping is left",
        setup: |given| split(given, |world| world.page),
        ..COUNTED
    },
    Case {
        name: "split_second",
        about: "F_SEAL_WRITE is EBUSY while the second page of an old mapping is left",
        setup: |given| split(given, |_| 0),
        ..COUNTED
    },
    Case {
        name: "read_only",
        about: "F_SEAL_WRITE is EBUSY while an old mapping may become writable again",
        setup: |given| {
            let world = sealed(given)?;
            world.old().protect(PROT_NONE).map_err(|e| e.to_string())?;
            Ok(world)
        },
        ..COUNTED
    },
    Case {
        name: "shrunk",
        about: "F_SEAL_WRITE is EBUSY while what mremap(2) left of an old mapping is there",
        setup: |given| {
            let mut world = sealed(given)?;
            let old = world.old.take().expect("mapped");
            let (all, one) = (old.len(), world.page);
            world.new = Some(old.remap(all, one, 0).map_err(|e| e.to_string())?.0);
            Ok(world)
        },
        ..COUNTED
    },
    Case {
        name: "replaced",
        about: "F_SEAL_WRITE is EBUSY while a part of an old mapping is left beside what replaced the rest",
        setup: |given| {
            let world = sealed(given)?;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            let (addr, len) = (world.old().addr(), world.page);
            let over = Map::at(addr, len, RO, flags, -1, 0).map_err(|e| e.to_string())?;
            // `old` owns the addresses.
            std::mem::forget(over);
            Ok(world)
        },
        ..COUNTED
    },
    Case {
        name: "forked",
        about: "F_SEAL_WRITE is EBUSY while only a child has the mapping, and works once it is gone",
        rules: &[22],
        setup: |given| {
            let mut world = sealed(given)?;
            let (reader, writer) = nix::unistd::pipe().map_err(|e| e.to_string())?;
            sys::fork(|| {
                // Whoever closes the last writing end lets it go.
                let _ = sys::call(libc::SYS_close, [writer.as_raw_fd() as usize, 0, 0, 0, 0, 0]);
                let _ = nix::unistd::read(&reader, &mut [0]);
                0
            })
            .map_err(|e| e.to_string())?;
            world.old = None;
            Ok(world.keep(writer))
        },
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(nix::errno::Errno::EBUSY),
        after: |f| {
            f.kept.clear();
            nix::sys::wait::wait().map_err(|e| e.to_string())?;
            same("F_SEAL_WRITE", Ok(0), f.add_seals(seal::WRITE))
        },
        hollow: Deviation::Passes("F_SEAL_WRITE counts"),
        ..CASE
    },
    Case {
        name: "since_forked",
        about: "a mapping made since F_SEAL_FS_WRITE does not count in a forked child either",
        under: &[seal::FS_WRITE],
        setup: since_in_child,
        hollow: MAY_WRITE,
        ..NOT_COUNTED
    },
    Case {
        name: "since_split",
        about: "a mapping made since F_SEAL_FS_WRITE does not count when it is split",
        under: &[seal::FS_WRITE],
        setup: since_split,
        hollow: MAY_WRITE,
        ..NOT_COUNTED
    },
    Case {
        name: "since_duplicate",
        about: "a mapping made since F_SEAL_FS_WRITE does not count with its duplicate",
        on: SHMEM,
        under: &[seal::FS_WRITE],
        setup: |given| {
            let mut world = new_ro(given)?;
            duplicated(&mut world).map_err(|stop| format!("{stop:?}"))?;
            Ok(world)
        },
        hollow: MAY_WRITE,
        ..NOT_COUNTED
    },
    Case {
        name: "since_forked_older",
        about: "a mapping made since F_SEAL_FUTURE_WRITE does not count in a forked child either",
        under: &[seal::FUTURE_WRITE],
        setup: since_in_child,
        rules: &[],
        hollow: Deviation::None,
        ..NOT_COUNTED
    },
    Case {
        name: "since_split_older",
        about: "a mapping made since F_SEAL_FUTURE_WRITE does not count when it is split",
        under: &[seal::FUTURE_WRITE],
        setup: since_split,
        rules: &[],
        hollow: Deviation::None,
        ..NOT_COUNTED
    },
    Case {
        name: "since_duplicate_older",
        about: "a mapping made since F_SEAL_FUTURE_WRITE does not count with its duplicate",
        on: SHMEM,
        under: &[seal::FUTURE_WRITE],
        setup: |given| {
            let mut world = new_ro(given)?;
            duplicated(&mut world).map_err(|stop| format!("{stop:?}"))?;
            Ok(world)
        },
        rules: &[],
        hollow: Deviation::None,
        ..NOT_COUNTED
    },
];

/// An old writable mapping, after this was done with it.
fn old_by(given: Given, step: fn(&mut World) -> Got) -> Setup {
    let mut world = sealed(given)?;
    step(&mut world).map_err(|stop| format!("{stop:?}"))?;
    Ok(world)
}

/// An old mapping of which one page is unmapped.
fn split(given: Given, at: fn(&World) -> usize) -> Setup {
    let world = sealed(given)?;
    world.unmap_part(at(&world), world.page).map_err(|e| e.to_string())?;
    Ok(world)
}

/// A mapping made since that a child has inherited.
fn since_in_child(given: Given) -> Setup {
    let world = new_ro(given)?;
    let (reader, writer) = nix::unistd::pipe().map_err(|e| e.to_string())?;
    sys::fork(|| {
        let _ = sys::call(libc::SYS_close, [writer.as_raw_fd() as usize, 0, 0, 0, 0, 0]);
        // Until the parent ends.
        let _ = nix::unistd::read(&reader, &mut [0]);
        0
    })
    .map_err(|e| e.to_string())?;
    Ok(world.keep(writer))
}

/// A mapping made since, in two parts.
fn since_split(given: Given) -> Setup {
    let world = new_ro(given)?;
    world.protect_part(0, world.page, PROT_NONE).map_err(|stop| format!("{stop:?}"))?;
    Ok(world)
}
