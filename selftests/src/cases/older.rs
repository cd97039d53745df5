// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The seals that were there before: what the series must not change.

use crate::case::*;
use crate::sys::{RW, seal};
use crate::world::{fresh, with_flags};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_SHARED};
use nix::errno::Errno::*;

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/// A row that every kernel must pass.
const OLD: Case = Case { setup: fresh, ..CONTROL };

pub const CASES: &[Case] = &[
    Case {
        name: "write_pwrite",
        about: "F_SEAL_WRITE refuses pwrite(2)",
        on: SHMEM,
        setup: |given| fresh(given)?.seal(seal::WRITE),
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "write_punch_hole",
        about: "F_SEAL_WRITE refuses punching a hole",
        setup: |given| fresh(given)?.seal(seal::WRITE),
        op: |f| f.fallocate(PUNCH, 0, f.page),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "write_still_resizes",
        about: "F_SEAL_WRITE leaves ftruncate(2) and fallocate(2) alone",
        setup: |given| fresh(given)?.seal(seal::WRITE),
        op: |f| {
            f.ftruncate(f.page)?;
            f.fallocate(0, 0, f.size)
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.size_is(f.size),
        ..OLD
    },
    Case {
        name: "write_with_writable_map",
        about: "F_SEAL_WRITE is EBUSY while a writable shared mapping exists",
        setup: |given| fresh(given)?.map(RW),
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EBUSY),
        ..OLD
    },
    Case {
        name: "future_write_pwrite",
        about: "F_SEAL_FUTURE_WRITE refuses pwrite(2)",
        on: SHMEM,
        setup: |given| fresh(given)?.map(RW)?.seal(seal::FUTURE_WRITE),
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "future_write_punch_hole",
        about: "F_SEAL_FUTURE_WRITE refuses punching a hole",
        setup: |given| fresh(given)?.map(RW)?.seal(seal::FUTURE_WRITE),
        op: |f| f.fallocate(PUNCH, 0, f.page),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "future_write_mmap",
        about: "F_SEAL_FUTURE_WRITE refuses a writable shared mmap(2) with EPERM",
        setup: |given| fresh(given)?.map(RW)?.seal(seal::FUTURE_WRITE),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "shrink",
        about: "F_SEAL_SHRINK refuses a smaller size",
        setup: |given| fresh(given)?.seal(seal::SHRINK),
        op: |f| f.ftruncate(f.page),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "grow",
        about: "F_SEAL_GROW refuses a larger size",
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| f.ftruncate(f.size + f.page),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "grow_fallocate",
        about: "F_SEAL_GROW refuses fallocate(2) past EOF",
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| f.fallocate(0, 0, f.size + f.page),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "grow_pwrite",
        about: "F_SEAL_GROW refuses a pwrite(2) that starts past EOF",
        on: SHMEM,
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| f.pwrite(f.size, b"x"),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "grow_still_writes",
        about: "F_SEAL_GROW leaves a pwrite(2) below EOF alone",
        on: SHMEM,
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| f.pwrite(1, b"x"),
        expect: Returns(1),
        after: |f| f.byte_is(1, b'x'),
        ..OLD
    },
    Case {
        name: "seal_mmap_past_eof_hugetlb",
        about: "a writable mapping still grows a hugetlbfs file that has F_SEAL_SEAL only",
        rules: &[29],
        on: HUGETLB,
        setup: |given| with_flags(given, 0),
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        expect: Returns(0),
        after: |f| f.size_is(2 * f.size),
        ..OLD
    },
    Case {
        name: "shrink_mmap_past_eof_hugetlb",
        about: "a writable mapping still grows a hugetlbfs file that has F_SEAL_SHRINK only",
        on: HUGETLB,
        setup: |given| fresh(given)?.seal(seal::SHRINK),
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        expect: Returns(0),
        after: |f| f.size_is(2 * f.size),
        ..OLD
    },
];
