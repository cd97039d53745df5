// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every call that sets the size.

use crate::calls::limited;
use crate::case::*;
use crate::door::{Door, PATHS, READERS, WRITERS};
use crate::sys::{self, RW, Sys, seal};
use crate::world::{World, fresh, same, sealed, sealed_unmapped, store_in_child};
use libc::{O_CREAT, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};
use nix::errno::Errno::*;
use nix::sys::signal::Signal::SIGBUS;

const FIRST: Deviation = Deviation::Passes("it is looked at first");
const OLDER: Deviation = Deviation::Passes("the older seals refuse it");
/// Both older seals of a size, and together with this one.
const TOGETHER: &[u32] = &[seal::SHRINK | seal::GROW, seal::FS_WRITE | seal::SHRINK | seal::GROW];
/// No seal, every one that there is, and the older ones together.
const EACH: &[u32] = &[
    0,
    seal::FS_WRITE,
    seal::FUTURE_WRITE,
    seal::WRITE,
    seal::GROW,
    seal::SHRINK,
    seal::SEAL,
    seal::EXEC,
    seal::SEAL | seal::SHRINK | seal::GROW | seal::WRITE | seal::FUTURE_WRITE | seal::EXEC,
];
const TO_WRITE: &[Door] = &[Door::Original, Door::Before(O_WRONLY), Door::After(O_WRONLY)];

const SHRINK: Case =
    Case { rules: &[5], under: NO_SHRINK, setup: sealed, expect: Fails(EPERM), ..CASE };
const GROW: Case = Case { under: NO_GROW, ..SHRINK };
const SHRINKS: Case = Case {
    under: MAY_SHRINK,
    setup: sealed,
    expect: Returns(0),
    after: |f| f.size_is(0),
    ..CONTROL
};
const GROWS: Case = Case { under: MAY_GROW, after: grown, ..SHRINKS };
/// What every seal leaves as it is.
const NEVER: Case =
    Case { rules: &[5], on: BOTH, under: ANY_SIZE, setup: sealed, hollow: FIRST, ..CASE };

/// The file has one page more, and zeros there.
fn grown(f: &mut World) -> Check {
    f.size_is(f.size + f.page)?;
    f.byte_is(0, 0x5a)?;
    f.bytes_are(f.size, &[0; 4096])
}

/// The file has its first page only, as it was.
fn cut(f: &mut World) -> Check {
    f.size_is(f.page)?;
    f.byte_is(0, 0x5a)
}

/// `open(2)` of the file's path; the new descriptor is closed again.
fn open(f: &World, flags: i32) -> Got {
    Ok(f.reopen(flags).map(|_| 0)?)
}

/// The file, emptied before it is sealed.
fn empty(given: Given) -> Setup {
    let world = fresh(given)?;
    world.ftruncate(0).map_err(|e| format!("{e:?}"))?;
    world.seal_alone(given.seals)
}

fn truncate(f: &World, size: usize) -> Got {
    let set: Sys<()> = sys::truncate(f.path().as_str(), size as i64);
    Ok(set.map(|()| 0)?)
}

pub const CASES: &[Case] = &[
    Case {
        name: "shrink",
        about: "ftruncate(2) to a smaller size fails",
        op: |f| f.ftruncate(f.page),
        ..SHRINK
    },
    Case {
        name: "shrink_through",
        about: "ftruncate(2) to a smaller size fails through whatever descriptor of the file",
        rules: &[5, 16],
        on: BOTH,
        through: WRITERS,
        op: |f| f.ftruncate(f.page),
        ..SHRINK
    },
    Case {
        name: "shrink_allowed",
        about: "ftruncate(2) to a smaller size works under the other seals",
        op: |f| f.ftruncate(f.page),
        after: cut,
        ..SHRINKS
    },
    Case {
        name: "shrink_to_nothing",
        about: "ftruncate(2) to 0, which would lose the contents, fails",
        op: |f| f.ftruncate(0),
        ..SHRINK
    },
    Case {
        name: "shrink_by_one",
        about: "ftruncate(2) to a size that is one byte smaller fails",
        on: SHMEM,
        op: |f| f.ftruncate(f.size - 1),
        ..SHRINK
    },
    Case {
        name: "shrink_together",
        about: "ftruncate(2) to a smaller size fails under both seals of a size",
        under: TOGETHER,
        op: |f| f.ftruncate(f.page),
        hollow: OLDER,
        ..SHRINK
    },
    Case {
        name: "grow",
        about: "ftruncate(2) to a larger size fails",
        through: TO_WRITE,
        op: |f| f.ftruncate(f.size + f.page),
        ..GROW
    },
    Case {
        name: "grow_allowed",
        about: "ftruncate(2) to a larger size works under the other seals, and the tail is zeros",
        op: |f| f.ftruncate(f.size + f.page),
        ..GROWS
    },
    Case {
        name: "grow_by_one",
        about: "ftruncate(2) to a size that is one byte larger fails",
        on: SHMEM,
        op: |f| f.ftruncate(f.size + 1),
        ..GROW
    },
    Case {
        name: "grow_together",
        about: "ftruncate(2) to a larger size fails under both seals of a size",
        under: TOGETHER,
        op: |f| f.ftruncate(f.size + f.page),
        hollow: OLDER,
        ..GROW
    },
    Case {
        name: "grow_empty",
        about: "ftruncate(2) of an empty file to a larger size fails",
        setup: empty,
        op: |f| f.ftruncate(f.page),
        ..GROW
    },
    Case {
        name: "grow_to_largest",
        about: "ftruncate(2) to the largest size fails",
        on: PLAIN,
        op: |f| f.ftruncate(i64::MAX),
        ..GROW
    },
    Case {
        name: "grow_to_largest_allowed",
        about: "ftruncate(2) to the largest size works where no seal forbids it",
        on: PLAIN,
        op: |f| f.ftruncate(i64::MAX),
        after: |f| f.size_is(i64::MAX),
        ..GROWS
    },
    Case {
        name: "same_size",
        about: "ftruncate(2) to the size that it has succeeds and changes no byte",
        rules: &[6],
        on: EVERY,
        under: EACH,
        op: |f| f.ftruncate(f.size),
        expect: Returns(0),
        after: |f| f.unchanged(),
        hollow: Deviation::None,
        ..NEVER
    },
    Case {
        name: "cut_page_is_cleared",
        about: "what ftruncate(2) cuts off within a page is zeros when the file grows again",
        on: SHMEM,
        under: &[0, seal::SEAL, seal::WRITE, seal::FUTURE_WRITE, seal::EXEC],
        op: |f| {
            f.ftruncate(f.page - 100)?;
            f.ftruncate(f.size)
        },
        starved: STEPS,
        after: |f| {
            f.size_is(f.size)?;
            f.byte_is(0, 0x5a)?;
            f.bytes_are(f.page - 100, &[0; 4096])
        },
        ..SHRINKS
    },
    Case {
        name: "future_write_alone_loses_contents",
        about: "without a seal of the size, shrink and grow zero the file: what FS_WRITE stops",
        under: &[0, seal::FUTURE_WRITE, seal::WRITE],
        op: |f| {
            f.ftruncate(0)?;
            f.ftruncate(f.size)
        },
        starved: STEPS,
        after: |f| f.byte_is(0, 0),
        ..SHRINKS
    },
    Case {
        name: "old_map_past_the_cut",
        about: "an old mapping past the cut raises SIGBUS, where a file can be cut",
        under: &[0, seal::SEAL, seal::GROW, seal::FUTURE_WRITE, seal::EXEC],
        op: |f| f.ftruncate(f.page),
        after: |f| {
            let got = store_in_child(f.old(), f.page, 1);
            same("a store past the cut", Err(Stop::Signal(SIGBUS)), got)?;
            cut(f)
        },
        ..SHRINKS
    },
    Case {
        name: "old_map_is_not_cut",
        about: "an old mapping shows the whole file still, where it can't be cut",
        op: |f| f.ftruncate(f.page),
        after: |f| same("a store", Ok(0), store_in_child(f.old(), f.page, 0x5b)),
        ..SHRINK
    },
    Case {
        name: "negative",
        about: "ftruncate(2) to a negative size is EINVAL before any seal",
        op: |f| f.ftruncate(-1),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "unaligned_hugetlb",
        about: "ftruncate(2) to a size that is no multiple of the huge page is EINVAL before any seal",
        rules: &[24],
        on: HUGETLB,
        op: |f| f.ftruncate(4096),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "unaligned_grow_hugetlb",
        about: "ftruncate(2) to a larger such size is EINVAL before any seal",
        rules: &[24],
        on: HUGETLB,
        op: |f| f.ftruncate(f.size + 1),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "file_size_limit",
        about: "ftruncate(2) past RLIMIT_FSIZE is EFBIG before any seal",
        setup: limited::<2>,
        op: |f| f.ftruncate(f.size + f.page),
        expect: Fails(EFBIG),
        ..NEVER
    },
    Case {
        name: "readers",
        about: "ftruncate(2) through a descriptor that can't write is EINVAL as ever",
        rules: &[17],
        through: READERS,
        op: |f| f.ftruncate(0),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "paths",
        about: "ftruncate(2) through an O_PATH descriptor is EBADF as ever",
        through: PATHS,
        op: |f| f.ftruncate(0),
        expect: Fails(EBADF),
        ..NEVER
    },
    Case {
        name: "truncate_by_path",
        about: "truncate(2) by the /proc path to a smaller size fails, whatever descriptor it names",
        through: &[Door::Original, Door::Before(O_RDONLY), Door::After(O_PATH)],
        op: |f| truncate(f, 0),
        ..SHRINK
    },
    Case {
        name: "truncate_by_path_grow",
        about: "truncate(2) by the /proc path to a larger size fails",
        on: BOTH,
        op: |f| truncate(f, f.size + f.page),
        ..GROW
    },
    Case {
        name: "truncate_by_path_allowed",
        about: "truncate(2) by the /proc path to a smaller size works under the other seals",
        on: BOTH,
        op: |f| truncate(f, f.page),
        after: cut,
        ..SHRINKS
    },
    Case {
        name: "truncate_by_path_grow_allowed",
        about: "truncate(2) by the /proc path to a larger size works under the other seals",
        on: BOTH,
        op: |f| truncate(f, f.size + f.page),
        ..GROWS
    },
    Case {
        name: "o_trunc",
        about: "open(2) with O_TRUNC fails",
        op: |f| open(f, O_RDWR | O_TRUNC),
        ..SHRINK
    },
    Case {
        name: "o_trunc_wronly",
        about: "open(2) with O_WRONLY and O_TRUNC fails",
        op: |f| open(f, O_WRONLY | O_TRUNC),
        ..SHRINK
    },
    Case {
        name: "o_trunc_rdonly",
        about: "open(2) with O_RDONLY and O_TRUNC, which cuts files too, fails",
        through: &[Door::Original, Door::After(O_RDONLY)],
        op: |f| open(f, O_RDONLY | O_TRUNC),
        ..SHRINK
    },
    Case {
        name: "creat",
        about: "what creat(2) does, open(2) with O_CREAT, O_WRONLY and O_TRUNC, fails",
        op: |f| open(f, O_CREAT | O_WRONLY | O_TRUNC),
        ..SHRINK
    },
    Case {
        name: "o_trunc_allowed",
        about: "open(2) with O_TRUNC empties a file whose seals allow it",
        op: |f| open(f, O_RDWR | O_TRUNC),
        ..SHRINKS
    },
    Case {
        name: "o_trunc_rdonly_allowed",
        about: "open(2) with O_RDONLY and O_TRUNC empties a file whose seals allow it",
        on: BOTH,
        op: |f| open(f, O_RDONLY | O_TRUNC),
        ..SHRINKS
    },
    Case {
        name: "o_trunc_empty",
        about: "open(2) with O_TRUNC of a file that is empty works under every seal",
        rules: &[6],
        under: EACH,
        setup: empty,
        op: |f| open(f, O_RDWR | O_TRUNC),
        expect: Returns(0),
        after: |f| f.unchanged(),
        hollow: Deviation::None,
        ..NEVER
    },
    Case {
        name: "o_trunc_path",
        about: "open(2) with O_PATH does not look at O_TRUNC",
        op: |f| open(f, O_PATH | O_TRUNC),
        expect: Returns(0),
        after: |f| f.unchanged(),
        hollow: Deviation::None,
        ..NEVER
    },
    Case {
        name: "unmapped",
        about: "ftruncate(2) fails also where nothing was ever mapped",
        on: BOTH,
        under: NO_SHRINK,
        setup: sealed_unmapped,
        op: |f| f.ftruncate(0),
        ..SHRINK
    },
    Case {
        name: "unsealed",
        about: "a memfd without the seal shrinks, grows and is mapped as ever",
        rules: &[29],
        under: &[0],
        op: |f| {
            f.ftruncate(f.page)?;
            f.ftruncate(f.size)?;
            f.mmap_new(RW, libc::MAP_SHARED)
        },
        starved: STEPS,
        after: |f| f.reaches_file(f.made()),
        ..SHRINKS
    },
];
