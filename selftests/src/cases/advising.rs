// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! madvise(2), and the calls that lock, seal, write back and look at mappings.

use super::locking::lock;
use crate::case::*;
use crate::kind::Kind;
use crate::mapped::{
    HARMLESS, LATER, LATERS, MADV_POPULATE_READ, MADV_POPULATE_WRITE, new_ro, no_count_left,
    old_ro, private_rw, vm_advise,
};
use crate::need::Need;
use crate::sys::{RW, seal};
use crate::world::{World, fresh, outlives, readable, refused, same, sealed};
use libc::PROT_NONE;
use libc::{MADV_COLD, MADV_DODUMP, MADV_DOFORK, MADV_DONTDUMP, MADV_DONTFORK, MADV_DONTNEED};
use libc::{MADV_FREE, MADV_PAGEOUT, MADV_RANDOM, MADV_REMOVE, MADV_WILLNEED, MADV_WIPEONFORK};
use nix::errno::Errno::*;
use nix::sys::signal::Signal::SIGSEGV;

const UNASKED: Deviation = Deviation::Passes("no seal is asked");

/// A read-only mapping made since.
pub(super) const SINCE: Case = Case {
    rules: &[10],
    on: BOTH,
    under: NO_WRITE,
    setup: new_ro,
    expect: Returns(0),
    // On hugetlbfs, what is looked at is there: its second page was a hole.
    after: |f| {
        readable(f.old())?;
        f.unchanged_but_blocks()
    },
    ..CASE
};

/// An old writable mapping.
pub(super) const BEFORE: Case = Case {
    rules: &[14],
    under: LATERS,
    setup: |given| {
        let world = sealed(given)?;
        world.old().store(1, 9);
        Ok(world)
    },
    after: |f| {
        same("the byte that was stored", 9, f.old().load(1))?;
        f.reaches_file(f.old())
    },
    ..SINCE
};

/// A hole is punched: as by fallocate(2).
const REMOVED: Case = Case {
    rules: &[13],
    on: EVERY,
    // Apart: with both, the other seal would refuse what this one does not.
    under: LATER,
    op: |f| Ok(f.old().advise(0, f.page, MADV_REMOVE)?),
    expect: Fails(EPERM),
    ..BEFORE
};

pub const CASES: &[Case] = &[
    Case {
        name: "remove_before",
        about: "MADV_REMOVE on an old writable mapping is a hole punch and fails",
        ..REMOVED
    },
    Case {
        name: "remove_before_second_page",
        about: "it fails on the second page of one",
        on: BOTH,
        op: |f| Ok(f.old().advise(f.page, f.page, MADV_REMOVE)?),
        ..REMOVED
    },
    Case {
        name: "remove_before_ro",
        about: "MADV_REMOVE on an old read-only mapping of an O_RDWR descriptor fails as well",
        setup: old_ro,
        after: |f| readable(f.old()),
        ..REMOVED
    },
    Case {
        name: "remove_since",
        about: "MADV_REMOVE on a mapping made since is EACCES",
        rules: &[10, 13],
        on: EVERY,
        op: |f| Ok(f.old().advise(0, f.page, MADV_REMOVE)?),
        expect: Fails(EACCES),
        ..SINCE
    },
    Case {
        name: "remove_unsealed",
        about: "MADV_REMOVE punches its hole where no write seal is",
        rules: &[],
        on: EVERY,
        under: HARMLESS,
        setup: |given| fresh(given)?.map(RW)?.seal(given.seals),
        after: |f| {
            same("first byte", 0, f.old().load(0))?;
            f.size_is(f.size)?;
            f.reaches_file(f.old())
        },
        expect: Returns(0),
        ..REMOVED
    },
    Case {
        name: "remove_private",
        about: "MADV_REMOVE on a private mapping is EACCES as ever",
        rules: &[11],
        on: BOTH,
        under: NO_WRITE,
        setup: private_rw,
        expect: Fails(EACCES),
        after: |f| readable(f.old()),
        hollow: UNASKED,
        ..REMOVED
    },
    Case {
        name: "remove_locked",
        about: "MADV_REMOVE on locked memory is EINVAL before any seal",
        setup: |given| {
            let world = sealed(given)?;
            lock(&world, libc::SYS_mlock).map_err(|e| format!("mlock: {e:?}"))?;
            Ok(world)
        },
        on: SHMEM,
        expect: Fails(EINVAL),
        after: |f| f.reaches_file(f.old()),
        hollow: UNASKED,
        ..REMOVED
    },
    Case {
        name: "populate_write_since",
        about: "MADV_POPULATE_WRITE on a mapping made since is EINVAL",
        needs: &[Need::Populate],
        on: EVERY,
        op: |f| vm_advise(f, MADV_POPULATE_WRITE),
        expect: Fails(EINVAL),
        hollow: READ_ONLY,
        ..SINCE
    },
    Case {
        name: "populate_write_before",
        about: "MADV_POPULATE_WRITE on an old writable mapping works",
        needs: &[Need::Populate],
        op: |f| vm_advise(f, MADV_POPULATE_WRITE),
        ..BEFORE
    },
    Case {
        name: "populate_write_private",
        about: "MADV_POPULATE_WRITE on a private mapping works, and its copies are isolated",
        needs: &[Need::Populate],
        rules: &[11],
        setup: private_rw,
        op: |f| vm_advise(f, MADV_POPULATE_WRITE),
        after: |f| {
            f.isolated_from_file(f.old())?;
            f.unchanged()
        },
        ..SINCE
    },
    Case {
        name: "populate_read_since",
        about: "MADV_POPULATE_READ on a mapping made since works",
        needs: &[Need::Populate],
        op: |f| vm_advise(f, MADV_POPULATE_READ),
        ..SINCE
    },
    Case {
        name: "dontneed_since",
        about: "MADV_DONTNEED on a mapping made since works, and the file's bytes are there again",
        needs: &[Need::HugetlbDontneed],
        op: |f| vm_advise(f, MADV_DONTNEED),
        after: |f| {
            readable(f.old())?;
            refused("mprotect afterwards", EACCES, f.old().protect(RW).map_err(Stop::from))?;
            f.unchanged()
        },
        under: &[seal::FUTURE_WRITE, seal::WRITE],
        rules: &[],
        ..SINCE
    },
    Case {
        name: "dontneed_since_to_rw",
        about: "after MADV_DONTNEED such a mapping can't become writable",
        needs: &[Need::HugetlbDontneed],
        setup: |given| {
            let world = new_ro(given)?;
            vm_advise(&world, MADV_DONTNEED).map_err(|e| format!("MADV_DONTNEED: {e:?}"))?;
            Ok(world)
        },
        op: |f| Ok(f.old().protect(RW)?),
        expect: Fails(EACCES),
        after: |f| readable(f.old()),
        ..SINCE
    },
    Case {
        name: "dontneed_before",
        about: "MADV_DONTNEED on an old writable mapping, and the faults after it, lose nothing",
        needs: &[Need::HugetlbDontneed],
        op: |f| vm_advise(f, MADV_DONTNEED),
        ..BEFORE
    },
    Case {
        name: "lru_since",
        about: "MADV_COLD and MADV_PAGEOUT on a mapping made since change nothing",
        on: SHMEM,
        op: cold_and_out,
        ..SINCE
    },
    Case {
        name: "lru_before",
        about: "MADV_COLD and MADV_PAGEOUT on an old writable mapping lose nothing",
        on: SHMEM,
        op: cold_and_out,
        ..BEFORE
    },
    Case {
        name: "cold_hugetlb",
        about: "hugetlbfs has no MADV_COLD: EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        op: |f| vm_advise(f, MADV_COLD),
        expect: Fails(EINVAL),
        hollow: UNASKED,
        ..SINCE
    },
    Case {
        name: "pageout_hugetlb",
        about: "hugetlbfs has no MADV_PAGEOUT: EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        op: |f| vm_advise(f, MADV_PAGEOUT),
        expect: Fails(EINVAL),
        hollow: UNASKED,
        ..SINCE
    },
    Case {
        name: "free_since",
        about: "MADV_FREE is for anonymous memory: EINVAL as ever",
        op: |f| vm_advise(f, MADV_FREE),
        expect: Fails(EINVAL),
        hollow: UNASKED,
        ..SINCE
    },
    Case {
        name: "free_before",
        about: "MADV_FREE on an old writable mapping is EINVAL as ever",
        op: |f| vm_advise(f, MADV_FREE),
        expect: Fails(EINVAL),
        hollow: UNASKED,
        ..BEFORE
    },
    Case {
        name: "wipeonfork",
        about: "MADV_WIPEONFORK is for anonymous memory: EINVAL as ever",
        op: |f| vm_advise(f, MADV_WIPEONFORK),
        expect: Fails(EINVAL),
        hollow: UNASKED,
        ..SINCE
    },
    Case {
        name: "dontfork",
        about: "MADV_DONTFORK on an old mapping keeps it from a forked child, MADV_DOFORK gives it again",
        on: SHMEM,
        op: |f| {
            vm_advise(f, MADV_DONTFORK)?;
            let gone = outlives(|| f.old().store(1, 8));
            assert_eq!(gone, Err(Stop::Signal(SIGSEGV)), "the child has no such mapping");
            vm_advise(f, MADV_DOFORK)?;
            outlives(|| f.old().store(2, 8))
        },
        starved: IN_CHILD,
        after: |f| {
            f.byte_is(1, 9)?;
            f.byte_is(2, 8)?;
            f.reaches_file(f.old())
        },
        ..BEFORE
    },
    Case {
        name: "hints_since",
        about: "hints about a mapping made since change nothing",
        op: |f| {
            vm_advise(f, MADV_RANDOM)?;
            vm_advise(f, MADV_WILLNEED)?;
            vm_advise(f, MADV_DONTDUMP)?;
            vm_advise(f, MADV_DODUMP).or_else(|stop| match (f.given.kind, stop) {
                // VM_DONTEXPAND, which hugetlbfs sets, keeps it from being dumped again.
                (Kind::Hugetlb, Stop::Errno(EINVAL)) => Ok(0),
                (_, stop) => Err(stop),
            })
        },
        starved: STEPS,
        ..SINCE
    },
    Case {
        name: "split_before",
        about: "an old writable mapping that is split by munmap(2) of its middle stays writable on both sides",
        setup: |given| {
            let mut world = fresh(given)?;
            world.mmap_past_eof(RW, libc::MAP_SHARED).map_err(|e| format!("{e:?}"))?;
            world.old = world.new.take();
            let page = world.page;
            world.unmap_part(page, page).map_err(|e| e.to_string())?;
            // hugetlbfs has grown with the mapping.
            world.ftruncate(world.size).map_err(|e| format!("{e:?}"))?;
            world.seal(given.seals)
        },
        op: |f| f.protect_part(0, f.page, PROT_NONE).and(f.protect_part(0, f.page, RW)),
        starved: STEPS,
        after: |f| {
            f.reaches_file(f.old())?;
            same("F_SEAL_WRITE", Err(Stop::Errno(EBUSY)), f.add_seals(seal::WRITE))?;
            no_count_left(f)
        },
        under: LATER,
        ..BEFORE
    },
];

const READ_ONLY: Deviation =
    Deviation::Passes("the mapping is shared and read-only, which is all that this looks at");

fn cold_and_out(world: &mut World) -> Got {
    vm_advise(world, MADV_COLD)?;
    vm_advise(world, MADV_PAGEOUT)
}
