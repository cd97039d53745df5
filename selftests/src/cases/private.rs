// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Private mappings: a seal leaves them alone, and they leave the file alone.

use crate::case::*;
use crate::door::{Door, READERS};
use crate::mapped::{
    LATER, RWX, no_count_left, permits, private_ro, private_rw, protect, room, vm_advise,
};
use crate::need::Need;
use crate::sys::{RO, RW, seal};
use crate::world::{World, fresh, outlives, readable, same, sealed, sealed_unmapped};
use libc::{MADV_DONTNEED, MAP_FIXED, MAP_POPULATE, MAP_PRIVATE, MREMAP_MAYMOVE, PROT_NONE};
use nix::errno::Errno::*;

/// A private mapping made since.
const PRIVATE: Case = Case {
    rules: &[11],
    on: BOTH,
    under: NO_WRITE,
    setup: private_rw,
    expect: Returns(0),
    after: |f| {
        f.isolated_from_file(f.old())?;
        f.unchanged()
    },
    ..CASE
};

/// The same, made by the operation.
const MADE: Case = Case {
    setup: sealed_unmapped,
    after: |f| {
        f.isolated_from_file(f.made())?;
        f.unchanged()
    },
    ..PRIVATE
};

pub const CASES: &[Case] = &[
    Case {
        name: "rw",
        about: "mmap(2) MAP_PRIVATE with PROT_WRITE works and is isolated from the file",
        on: EVERY,
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        ..MADE
    },
    Case {
        name: "rw_doors",
        about: "it works through every descriptor that can read",
        through: &[
            Door::Dup,
            Door::Before(libc::O_RDWR),
            Door::After(libc::O_RDWR),
            Door::Received,
            Door::Queued,
            Door::Threaded,
        ],
        on: PLAIN,
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        ..MADE
    },
    Case {
        name: "rw_readers",
        about: "it works through an O_RDONLY descriptor, which is all that it asks of one",
        through: READERS,
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        ..MADE
    },
    Case {
        name: "rw_write_only",
        about: "through an O_WRONLY descriptor it is EACCES by the ordinary rule",
        through: &[Door::Before(libc::O_WRONLY), Door::After(libc::O_WRONLY)],
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        expect: Fails(EACCES),
        after: |f| f.unchanged(),
        hollow: Deviation::Passes("no descriptor that can't read can be mapped"),
        ..MADE
    },
    Case {
        name: "rwx",
        about: "mmap(2) MAP_PRIVATE with all three works and is isolated from the file",
        op: |f| f.mmap_new(RWX, MAP_PRIVATE),
        ..MADE
    },
    Case {
        name: "populate",
        about: "MAP_POPULATE copies every page at once, and the copies are isolated",
        op: |f| f.mmap_new(RW, MAP_PRIVATE | MAP_POPULATE),
        ..MADE
    },
    Case {
        name: "fixed_over_shared",
        about: "MAP_FIXED of a private mapping over an old shared one works and is isolated",
        rules: &[11],
        under: LATER,
        setup: sealed,
        op: |f| f.mmap_over(f.old(), RW, MAP_PRIVATE),
        starved: Starved::Untried("it maps over the range, which is gone when that fails"),
        after: |f| {
            permits(f.old(), "rw-p")?;
            f.isolated_from_file(f.old())
        },
        ..PRIVATE
    },
    Case {
        name: "ro_to_rw",
        about: "a private read-only mapping can be made writable and is isolated from the file",
        on: EVERY,
        setup: private_ro,
        op: protect::<RW>,
        ..PRIVATE
    },
    Case {
        name: "none_to_rwx",
        about: "a private PROT_NONE mapping can get all three",
        setup: |given| sealed_unmapped(given)?.map_private(PROT_NONE),
        op: protect::<RWX>,
        ..PRIVATE
    },
    Case {
        name: "readers_ro_to_rw",
        about: "a private read-only mapping of an O_RDONLY descriptor can be made writable",
        through: READERS,
        setup: sealed_unmapped,
        op: |f| {
            f.mmap_new(RO, MAP_PRIVATE)?;
            Ok(f.made().protect(RW)?)
        },
        starved: STEPS,
        ..MADE
    },
    Case {
        name: "before",
        about: "a private mapping made before, part of it written, goes on being isolated",
        setup: |given| {
            let world = fresh(given)?.map_private(RW)?;
            world.old().store(2, 44);
            world.seal(given.seals)
        },
        op: |f| {
            f.old().store(1, 55);
            Ok(f.old().load(2).into())
        },
        expect: Returns(44),
        after: |f| {
            f.byte_is(1, 0)?;
            f.unchanged()
        },
        ..PRIVATE
    },
    Case {
        name: "before_ro_to_rw",
        about: "a private read-only mapping made before can be made writable",
        setup: |given| fresh(given)?.map_private(RO)?.seal(given.seals),
        op: protect::<RW>,
        ..PRIVATE
    },
    Case {
        name: "not_counted",
        about: "F_SEAL_WRITE does not count private mappings, nor what was written to them",
        rules: &[22],
        on: EVERY,
        under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: |given| {
            let world = private_rw(given)?;
            world.old().store(1, 22);
            Ok(world)
        },
        op: |f| f.add_seals(seal::WRITE),
        after: |f| {
            f.old().store(1, 33);
            f.byte_is(1, 0)?;
            f.unchanged_but_seals()
        },
        ..PRIVATE
    },
    Case {
        name: "fork",
        about: "copy-on-write across fork(2): what the child stores stays with the child",
        setup: |given| {
            let world = private_rw(given)?;
            world.old().store(1, 22);
            Ok(world)
        },
        op: |f| {
            outlives(|| {
                f.old().store(1, 33);
                assert_eq!(f.old().load(1), 33);
            })
        },
        starved: IN_CHILD,
        after: |f| {
            same("the parent's copy", 22, f.old().load(1))?;
            f.unchanged()
        },
        ..PRIVATE
    },
    Case {
        name: "fork_untouched",
        about: "a forked child that is the first to store into the mapping is isolated as well",
        op: |f| {
            outlives(|| {
                f.old().store(1, 33);
                assert_eq!(f.old().load(1), 33);
            })
        },
        starved: IN_CHILD,
        after: |f| {
            same("the parent's page", 0, f.old().load(1))?;
            f.unchanged()
        },
        ..PRIVATE
    },
    Case {
        name: "dontneed",
        about: "MADV_DONTNEED drops the copy, and the file's bytes are there again",
        needs: &[Need::HugetlbDontneed],
        setup: |given| {
            let world = private_rw(given)?;
            world.old().store(0, 22);
            Ok(world)
        },
        op: |f| vm_advise(f, MADV_DONTNEED),
        after: |f| {
            readable(f.old())?;
            f.isolated_from_file(f.old())
        },
        ..PRIVATE
    },
    Case {
        name: "mremap",
        about: "mremap(2) moves a private mapping with its copies, which stay isolated",
        needs: &[Need::HugetlbMoves],
        op: |f| {
            f.old().store(2, 44);
            let target = room(f, PROT_NONE)?;
            let moved = f.old.take().expect("mapped").move_over(target)?;
            f.old = Some(moved);
            Ok(f.old().load(2).into())
        },
        starved: STEPS,
        expect: Returns(44),
        ..PRIVATE
    },
    Case {
        name: "mremap_grow",
        about: "mremap(2) enlarges a private mapping; the file does not grow",
        on: SHMEM,
        op: |f| {
            let old = f.old.take().expect("mapped");
            let len = old.len();
            f.old = Some(old.remap(len, 2 * len, MREMAP_MAYMOVE)?.0);
            Ok(0)
        },
        starved: STEPS,
        ..PRIVATE
    },
    Case {
        name: "mremap_duplicate",
        about: "mremap(2) with old_len 0 is for shared mappings: EINVAL as ever",
        op: |f| {
            let (addr, len) = (f.old().addr(), f.old().len());
            let args = [addr, 0, len, MREMAP_MAYMOVE as usize, 0, 0];
            Ok(crate::sys::call(libc::SYS_mremap, args)?)
        },
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("it is refused before any seal is asked"),
        ..PRIVATE
    },
    Case {
        name: "leaves_no_count",
        about: "writable private mappings that come and go upset no count",
        rules: &[11, 22],
        op: |f| {
            f.mmap_new(RW, MAP_PRIVATE)?;
            f.mmap_over(f.made(), RW, MAP_PRIVATE | MAP_FIXED)
        },
        starved: STEPS,
        after: no_count_left,
        ..PRIVATE
    },
    Case {
        name: "sees_old_stores",
        about: "a private page that was not written yet shows what an old mapping stores",
        under: LATER,
        setup: |given| {
            let mut world = sealed(given)?;
            world.new = Some(world.mmap(RW, MAP_PRIVATE).map_err(|e| e.to_string())?);
            Ok(world)
        },
        op: |f: &mut World| {
            f.old().store(1, 9);
            Ok(f.made().load(1).into())
        },
        expect: Returns(9),
        after: |f| {
            f.made().store(1, 10);
            f.old().store(2, 11);
            f.byte_is(1, 9)?;
            same("the copy's next byte", 0, f.made().load(2))
        },
        ..PRIVATE
    },
];
