// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! userfaultfd(2), by which user space says what a page of a mapping is.

use crate::case::*;
use crate::mapped::{LATERS, new_ro, old_ro, permits, private_rw};
use crate::need::Need;
use crate::sys::{Map, RW};
use crate::uffd::{self, MINOR, MISSING, WP};
use crate::world::{World, fresh, readable, same, sealed};
use nix::errno::Errno::{self, *};

/// A read-only shared mapping made since.
const SINCE: Case = Case {
    rules: &[10],
    on: EVERY,
    under: NO_WRITE,
    needs: &[Need::Userfaultfd],
    setup: new_ro,
    expect: Fails(EPERM),
    after: |f| {
        permits(f.old(), "r--s")?;
        readable(f.old())
    },
    ..CASE
};

/// An old writable mapping.
const BEFORE: Case = Case {
    rules: &[14],
    on: BOTH,
    under: LATERS,
    needs: &[Need::Userfaultfd],
    setup: sealed,
    expect: Returns(0),
    after: |f| f.reaches_file(f.old()),
    ..CASE
};

/// An old mapping, registered before the seals, of a file that is a hole.
const HOLE: Case = Case {
    setup: |given| hole(given, RW),
    starved: Starved::Or(EEXIST, "hugetlb takes a failed allocation there for a lost race"),
    ..BEFORE
};

pub const CASES: &[Case] = &[
    Case {
        name: "register_missing_since",
        about: "userfaultfd can't register a mapping made since for missing pages",
        op: |f| register(f, MISSING),
        ..SINCE
    },
    Case {
        name: "register_wp_since",
        about: "userfaultfd can't register a mapping made since for write protection",
        needs: &[Need::Userfaultfd, Need::UffdProtect],
        on: BOTH,
        op: |f| register(f, WP),
        ..SINCE
    },
    Case {
        name: "register_minor_since",
        about: "userfaultfd can't register a mapping made since for minor faults",
        needs: &[Need::Userfaultfd, Need::UffdContinue],
        on: BOTH,
        op: |f| register(f, MINOR),
        ..SINCE
    },
    Case {
        name: "register_missing_before",
        about: "userfaultfd registers an old writable mapping for missing pages",
        op: |f| register(f, MISSING),
        ..BEFORE
    },
    Case {
        name: "register_wp_before",
        about: "userfaultfd registers an old writable mapping for write protection",
        needs: &[Need::Userfaultfd, Need::UffdProtect],
        op: |f| register(f, WP),
        ..BEFORE
    },
    Case {
        name: "register_minor_before",
        about: "userfaultfd registers an old writable mapping for minor faults",
        needs: &[Need::Userfaultfd, Need::UffdContinue],
        op: |f| register(f, MINOR),
        ..BEFORE
    },
    Case {
        name: "register_before_ro",
        about: "userfaultfd registers an old read-only mapping that may become writable",
        rules: &[14, 15],
        setup: old_ro,
        op: |f| register(f, MISSING),
        after: |f| readable(f.old()),
        ..BEFORE
    },
    Case {
        name: "register_private",
        about: "userfaultfd registers a private mapping made since",
        rules: &[11],
        on: BOTH,
        under: NO_WRITE,
        setup: private_rw,
        op: |f| register(f, MISSING),
        after: |f| f.unchanged(),
        ..BEFORE
    },
    Case {
        name: "copy",
        about: "UFFDIO_COPY fills a hole of the file through an old mapping",
        op: |f| Ok(uffd::copy(&f.kept[0], f.old(), 0, f.made())?),
        after: |f| f.byte_is(f.page - 1, 7),
        ..HOLE
    },
    Case {
        name: "copy_ro",
        about: "UFFDIO_COPY does so through an old mapping that is read-only for now",
        setup: |given| hole(given, crate::sys::RO),
        op: |f| Ok(uffd::copy(&f.kept[0], f.old(), 0, f.made())?),
        after: |f| f.byte_is(f.page - 1, 7),
        ..HOLE
    },
    Case {
        name: "copy_there",
        about: "UFFDIO_COPY to a page that the file has is EEXIST as ever",
        on: BOTH,
        setup: |given| {
            let world = hole(given, RW)?;
            uffd::copy(&world.kept[0], world.old(), 0, world.made()).map_err(said)?;
            world.made().store(world.page - 1, 8);
            Ok(world)
        },
        op: |f| Ok(uffd::copy(&f.kept[0], f.old(), 0, f.made())?),
        expect: Fails(EEXIST),
        after: |f| f.byte_is(f.page - 1, 7),
        hollow: Deviation::Passes("no seal is asked"),
        ..HOLE
    },
    Case {
        name: "copy_past_eof",
        about: "UFFDIO_COPY past EOF is ENOMEM or EFAULT as ever and does not grow the file",
        on: PLAIN,
        setup: past_eof,
        // Where the kernel finds out differs: before it has a page, ENOMEM, or after, EFAULT.
        op: |f| match uffd::copy(&f.kept[0], f.old(), f.size, f.made()) {
            Err(ENOMEM | EFAULT) => Err(EFAULT.into()),
            other => Ok(other?),
        },
        starved: Starved::Untried("past EOF it is ENOMEM on some kernels anyway"),
        expect: Fails(EFAULT),
        after: |f| f.unchanged(),
        hollow: Deviation::Passes("no seal is asked"),
        ..HOLE
    },
    Case {
        name: "zeropage",
        about: "UFFDIO_ZEROPAGE fills a hole of the file through an old mapping",
        on: PLAIN,
        op: |f| Ok(uffd::zeropage(&f.kept[0], f.old(), f.page)?),
        after: |f| {
            same("what the mapping shows", 0, f.old().load(0))?;
            f.reaches_file(f.old())
        },
        ..HOLE
    },
    Case {
        name: "continue",
        about: "UFFDIO_CONTINUE maps a page of the file into an old writable mapping",
        needs: &[Need::Userfaultfd, Need::UffdContinue],
        setup: |given| registered(given, MINOR),
        op: |f| Ok(uffd::resume(&f.kept[0], f.old(), f.page)?),
        after: |f| {
            readable(f.old())?;
            f.reaches_file(f.old())
        },
        ..BEFORE
    },
    Case {
        name: "write_protect",
        about: "UFFDIO_WRITEPROTECT on an old writable mapping protects it, and takes that back",
        needs: &[Need::Userfaultfd, Need::UffdProtect],
        setup: |given| registered(given, WP),
        op: |f| {
            // The pages are there, or hugetlbfs has nothing to protect.
            f.old().store(1, 9);
            uffd::protect(&f.kept[0], f.old(), true)?;
            Ok(uffd::protect(&f.kept[0], f.old(), false)?)
        },
        starved: STEPS,
        ..BEFORE
    },
    Case {
        name: "move",
        about: "UFFDIO_MOVE is for anonymous memory: EINVAL on an old mapping as ever",
        needs: &[Need::Userfaultfd, Need::UffdMove],
        on: PLAIN,
        op: |f| Ok(uffd::move_page(&f.kept[0], f.old(), f.made())?),
        starved: Starved::Enomem,
        expect: Fails(EINVAL),
        after: |f| f.unchanged(),
        hollow: Deviation::Passes("no seal is asked"),
        ..HOLE
    },
];

fn said(errno: Errno) -> String {
    format!("userfaultfd: {errno:?}")
}

fn register(world: &mut World, mode: u64) -> Got {
    let fd = uffd::open()?;
    uffd::register_for(&fd, world.old(), mode)?;
    // A fault would wait for an answer.
    Ok(uffd::unregister(&fd, world.old())?)
}

/// An old writable mapping that is registered, then the row's seals.
fn registered(given: Given, mode: u64) -> Setup {
    let world = fresh(given)?.map(RW)?;
    let fd = uffd::open().map_err(said)?;
    uffd::register_for(&fd, world.old(), mode).map_err(said)?;
    world.keep(fd).seal(given.seals)
}

/// The first page of the file is a hole; the page that is to be put there is `new`.
fn hole(given: Given, prot: i32) -> Setup {
    let world = fresh(given)?;
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    world.fallocate(mode, 0, world.page).map_err(|stop| format!("punch: {stop:?}"))?;
    let world = world.map(prot)?;
    with_page(world)
}

/// An old mapping twice as long as the file.
fn past_eof(given: Given) -> Setup {
    let mut world = fresh(given)?;
    world.mmap_past_eof(RW, libc::MAP_SHARED).map_err(|stop| format!("{stop:?}"))?;
    world.old = world.new.take();
    with_page(world)
}

fn with_page(world: World) -> Setup {
    let fd = uffd::open().map_err(said)?;
    uffd::register(&fd, world.old()).map_err(said)?;
    let seals = world.given.seals;
    let mut world = world.keep(fd).seal(seals)?;
    // The page that is copied: anonymous memory, made here so that `op` allocates little.
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let page = Map::at(0, world.page, RW, anonymous, -1, 0).map_err(said)?;
    page.store(world.page - 1, 7);
    world.new = Some(page);
    Ok(world)
}
