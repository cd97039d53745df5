// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! mremap(2) and remap_file_pages(2): what is moved keeps its rights and gets no more.

use crate::case::*;
use crate::mapped::{LATER, LATERS, new_ro, old_ro, permits, room};
use crate::need::Need;
use crate::sys::{self, Map, RW, seal};
use crate::world::{World, fresh, readable, refused, same, sealed, shows_second_page};
use libc::{MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_NONE, c_int};
use nix::errno::Errno::*;

const NEVER: Deviation = Deviation::Passes("hugetlbfs never could");

/// An old writable mapping.
const BEFORE: Case = Case {
    rules: &[14],
    on: BOTH,
    under: LATERS,
    setup: sealed,
    expect: Returns(0),
    starved: STEPS,
    after: |f| f.reaches_file(f.made()),
    ..CASE
};

/// A read-only mapping made since, that was moved: it can't become writable at its new place.
const SINCE: Case = Case {
    rules: &[10],
    on: BOTH,
    under: NO_WRITE,
    op: |f| Ok(f.made().protect(RW)?),
    expect: Fails(EACCES),
    after: |f| {
        permits(f.made(), "r--s")?;
        readable(f.made())
    },
    ..CASE
};

/// What hugetlbfs refuses, whatever its seals.
const HUGETLB_NEVER: Case = Case {
    rules: &[24],
    on: HUGETLB,
    under: LATERS,
    setup: sealed,
    expect: Fails(EINVAL),
    after: |f| f.reaches_file(f.old()),
    hollow: NEVER,
    ..CASE
};

const REMAP: Case = Case { on: SHMEM, needs: &[Need::RemapFilePages], ..BEFORE };

pub const CASES: &[Case] = &[
    Case {
        name: "before_move",
        about: "mremap(2) moves an old writable mapping, which stays writable",
        needs: &[Need::HugetlbMoves],
        on: EVERY,
        op: moved,
        ..BEFORE
    },
    Case {
        name: "before_move_part",
        about: "mremap(2) moves the second page of one, and both parts stay writable",
        needs: &[Need::HugetlbMoves],
        op: |f| {
            let target = room(f, PROT_NONE)?;
            let (from, len) = (f.old().addr() + f.page, f.page);
            let flags = (MREMAP_MAYMOVE | MREMAP_FIXED) as usize;
            sys::call(libc::SYS_mremap, [from, len, len, flags, target.addr(), 0])?;
            f.new = Some(target);
            Ok(0)
        },
        after: |f| {
            f.second_reaches_file(f.made(), 0)?;
            f.reaches_file(f.old())
        },
        ..BEFORE
    },
    Case {
        name: "before_grow",
        about: "mremap(2) enlarges an old writable mapping, which stays writable; the file does not grow",
        on: SHMEM,
        op: grown,
        after: |f| {
            f.size_is(f.size)?;
            f.reaches_file(f.made())
        },
        ..BEFORE
    },
    Case {
        name: "before_grow_again",
        about: "an old mapping of the first page is enlarged to the second, which it may write",
        on: SHMEM,
        setup: |given| {
            let mut world = fresh(given)?;
            let map = Map::new(world.page, RW, libc::MAP_SHARED, &world.fd, 0);
            world.old = Some(map.map_err(|e| e.to_string())?);
            world.seal(given.seals)
        },
        op: grown,
        after: |f| f.second_reaches_file(f.made(), f.page),
        ..BEFORE
    },
    Case {
        name: "before_shrink",
        about: "mremap(2) makes an old writable mapping smaller, and what is left stays writable",
        op: |f| {
            let old = f.old.take().expect("mapped");
            let (all, one) = (old.len(), f.page);
            f.new = Some(old.remap(all, one, 0)?.0);
            Ok(0)
        },
        ..BEFORE
    },
    Case {
        name: "before_duplicate",
        about: "mremap(2) with old_len 0 duplicates an old writable mapping",
        rules: &[14, 30],
        on: SHMEM,
        op: duplicated,
        after: |f| {
            f.reaches_file(f.made())?;
            same("the other mapping sees it", 0xc3, f.old().load(1))
        },
        ..BEFORE
    },
    Case {
        name: "before_duplicate_ro",
        about: "the duplicate of an old read-only mapping can be made writable as it could",
        rules: &[14, 15, 30],
        on: SHMEM,
        setup: old_ro,
        op: |f| {
            duplicated(f)?;
            Ok(f.made().protect(RW)?)
        },
        after: |f| {
            permits(f.old(), "r--s")?;
            f.reaches_file(f.made())
        },
        ..BEFORE
    },
    Case {
        name: "before_dontunmap",
        about: "MREMAP_DONTUNMAP moves an old writable mapping's pages, and both stay writable",
        needs: &[Need::Dontunmap],
        on: SHMEM,
        op: left_behind,
        after: |f| {
            f.reaches_file(f.made())?;
            f.old().store(2, 0xc5);
            f.byte_is(2, 0xc5)
        },
        ..BEFORE
    },
    Case {
        name: "grow_hugetlb",
        about: "hugetlbfs mappings can't be enlarged by mremap(2): EINVAL as ever",
        op: |f| remap(f, f.old().len(), 2 * f.old().len(), MREMAP_MAYMOVE),
        ..HUGETLB_NEVER
    },
    Case {
        name: "duplicate_hugetlb",
        about: "hugetlbfs mappings can't be duplicated by mremap(2): EINVAL as ever",
        op: |f| remap(f, 0, f.old().len(), MREMAP_MAYMOVE),
        ..HUGETLB_NEVER
    },
    Case {
        name: "dontunmap_hugetlb",
        about: "hugetlbfs mappings can't be left behind by mremap(2): EINVAL as ever",
        needs: &[Need::Dontunmap],
        op: |f| remap(f, f.old().len(), f.old().len(), MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
        ..HUGETLB_NEVER
    },
    Case {
        name: "since_move",
        about: "a mapping made since can't become writable by being moved",
        needs: &[Need::HugetlbMoves],
        setup: |given| made_by(given, moved),
        ..SINCE
    },
    Case {
        name: "since_grow",
        about: "it can't by being enlarged",
        on: SHMEM,
        setup: |given| made_by(given, grown),
        ..SINCE
    },
    Case {
        name: "since_duplicate",
        about: "its duplicate can't either",
        on: SHMEM,
        setup: |given| made_by(given, duplicated),
        ..SINCE
    },
    Case {
        name: "since_dontunmap",
        about: "it can't by being left behind",
        on: SHMEM,
        needs: &[Need::Dontunmap],
        setup: |given| made_by(given, left_behind),
        ..SINCE
    },
    Case {
        name: "since_left",
        about: "what was left behind can't either",
        on: SHMEM,
        needs: &[Need::Dontunmap],
        setup: |given| made_by(given, left_behind),
        op: |f| Ok(f.old().protect(RW)?),
        ..SINCE
    },
    Case {
        name: "file_pages_rw",
        about: "remap_file_pages(2) on an old writable mapping fails and leaves it as it was",
        rules: &[12],
        under: &[seal::FS_WRITE],
        op: second_first,
        starved: Starved::Enomem,
        expect: Fails(EACCES),
        after: old_is_left,
        ..REMAP
    },
    Case {
        name: "file_pages_rw_eperm",
        about: "with F_SEAL_FUTURE_WRITE it fails with EPERM",
        rules: &[9],
        under: &[seal::FUTURE_WRITE, seal::FUTURE_WRITE | seal::FS_WRITE],
        op: second_first,
        starved: Starved::Enomem,
        expect: Fails(EPERM),
        after: old_is_left,
        hollow: Deviation::Passes("the other seal refuses it"),
        ..REMAP
    },
    Case {
        name: "file_pages_unsealed",
        about: "without a write seal it works, and stores go to the page that was asked for",
        rules: &[],
        under: &[0, seal::SEAL | seal::SHRINK | seal::GROW],
        op: second_first,
        after: |f| {
            shows_second_page(f.old())?;
            f.second_reaches_file(f.old(), 0)
        },
        ..REMAP
    },
    Case {
        name: "file_pages_ro",
        about: "remap_file_pages(2) on an old read-only mapping works",
        rules: &[12],
        under: LATERS,
        setup: old_ro,
        op: second_first,
        after: |f| shows_second_page(f.old()),
        ..REMAP
    },
    Case {
        name: "file_pages_ro_to_rw",
        about: "that range can't become writable, the rest of the old mapping can",
        rules: &[12, 15],
        under: LATER,
        setup: |given| {
            let mut world = old_ro(given)?;
            second_first(&mut world).map_err(|e| format!("remap_file_pages: {e:?}"))?;
            Ok(world)
        },
        op: |f| f.protect_part(0, f.page, RW),
        starved: Starved::Enomem,
        expect: Fails(EACCES),
        after: |f| {
            shows_second_page(f.old())?;
            same("mprotect of the rest", Ok(0), f.protect_part(f.page, f.page, RW))?;
            f.second_reaches_file(f.old(), f.page)
        },
        ..REMAP
    },
    Case {
        name: "file_pages_since_to_rw",
        about: "a mapping made since can't become writable through remap_file_pages(2)",
        rules: &[10, 12],
        under: NO_WRITE,
        setup: |given| {
            let mut world = new_ro(given)?;
            second_first(&mut world).map_err(|e| format!("remap_file_pages: {e:?}"))?;
            Ok(world)
        },
        op: |f| f.protect_part(0, f.page, RW),
        starved: Starved::Enomem,
        expect: Fails(EACCES),
        after: |f| {
            shows_second_page(f.old())?;
            let rest = f.protect_part(f.page, f.page, RW);
            refused("mprotect of the rest", EACCES, rest)
        },
        ..REMAP
    },
];

fn remap(world: &World, old_len: usize, new_len: usize, flags: c_int) -> Got {
    let args = [world.old().addr(), old_len, new_len, flags as usize, 0, 0];
    Ok(sys::call(libc::SYS_mremap, args)?)
}

/// `old` goes to another address, as `new`.
pub(super) fn moved(world: &mut World) -> Got {
    let target = room(world, PROT_NONE)?;
    let old = world.old.take().expect("mapped");
    world.new = Some(old.move_over(target)?);
    Ok(0)
}

/// `old` gets twice as long, as `new`.
fn grown(world: &mut World) -> Got {
    let old = world.old.take().expect("mapped");
    let len = old.len();
    world.new = Some(old.remap(len, 2 * len, MREMAP_MAYMOVE)?.0);
    Ok(0)
}

/// `new` is a duplicate of `old`.
pub(super) fn duplicated(world: &mut World) -> Got {
    let old = world.old.take().expect("mapped");
    let len = old.len();
    let (new, old) = old.remap(0, len, MREMAP_MAYMOVE)?;
    (world.new, world.old) = (Some(new), old);
    Ok(0)
}

/// `new` has the pages of `old`, which stays mapped.
fn left_behind(world: &mut World) -> Got {
    let len = world.old().len();
    let addr = remap(world, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP)?;
    world.new = Some(Map::adopt(addr as usize, len));
    Ok(0)
}

/// The second page of the file at the start of `old`.
fn second_first(world: &mut World) -> Got {
    Ok(world.old().remap_file_pages(world.page, world.page)?)
}

fn old_is_left(world: &mut World) -> Check {
    permits(world.old(), "rw-s")?;
    readable(world.old())?;
    world.reaches_file(world.old())?;
    world.second_reaches_file(world.old(), world.page)
}

/// A mapping made since, after this was done with it.
fn made_by(given: Given, step: fn(&mut World) -> Got) -> Setup {
    let mut world = new_ro(given)?;
    step(&mut world).map_err(|stop| format!("{stop:?}"))?;
    Ok(world)
}
