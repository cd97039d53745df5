// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every call that changes the size, and fallocate(2) in every mode.

use crate::case::*;
use crate::need::Need;
use crate::sys::{Map, RO, RW, seal};
use crate::uring;
use crate::world::{fresh, sealed, sealed_reopened, store_in_child};
use libc::{
    FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
};
use nix::errno::Errno::*;
use nix::sys::signal::Signal::SIGBUS;

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const MODE_FIRST: Deviation = Deviation::Passes("the mode is looked at first");
const SIZE_GROWS: &str =
    "a writable mapping grows a hugetlbfs file whatever its seals (see patch 1)";

pub const CASES: &[Case] = &[
    Case {
        name: "shrink",
        about: "ftruncate(2) to a smaller size fails",
        rules: &[5],
        setup: sealed,
        op: |f| f.ftruncate(f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "grow",
        about: "ftruncate(2) to a larger size fails",
        rules: &[5],
        setup: sealed,
        op: |f| f.ftruncate(f.size + f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "shrink_to_nothing",
        about: "ftruncate(2) to 0, which would lose the contents, fails",
        rules: &[5],
        setup: sealed,
        op: |f| f.ftruncate(0),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "reopened",
        about: "ftruncate(2) through a descriptor opened after the seal fails",
        rules: &[5, 16],
        setup: |given| sealed_reopened(given, libc::O_WRONLY),
        op: |f| f.ftruncate(0),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "truncate_by_path",
        about: "truncate(2) by the /proc path fails",
        rules: &[5],
        setup: sealed,
        op: |f| Ok(nix::unistd::truncate(f.path().as_str(), 0).map(|()| 0)?),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "o_trunc",
        about: "open(2) with O_TRUNC fails",
        rules: &[5],
        setup: sealed,
        op: |f| Ok(f.reopen(libc::O_RDWR | libc::O_TRUNC).map(|_| 0)?),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "io_uring_ftruncate",
        about: "an io_uring ftruncate fails",
        rules: &[5],
        needs: &[Need::IoUring],
        setup: sealed,
        op: |f| uring::once(uring::ftruncate(uring::Fd::of(f), 0)),
        starved: uring::NO_WORKER,
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "same_size",
        about: "ftruncate(2) to the size that it has succeeds and changes no byte",
        rules: &[6],
        setup: sealed,
        op: |f| f.ftruncate(f.size),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "unaligned_hugetlb",
        about: "ftruncate(2) to a size that is no multiple of the huge page is EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        setup: sealed,
        op: |f| f.ftruncate(4096),
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("the alignment is looked at first"),
        ..CASE
    },
    Case {
        name: "fallocate_inside",
        about: "fallocate(2) inside i_size fails",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(0, 0, f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "fallocate_past_eof",
        about: "fallocate(2) past EOF fails",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(0, f.size, f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "fallocate_keep_size_inside",
        about: "fallocate(2) with KEEP_SIZE inside i_size fails",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(FALLOC_FL_KEEP_SIZE, 0, f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "fallocate_keep_size_past_eof",
        about: "fallocate(2) with KEEP_SIZE past EOF fails",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(FALLOC_FL_KEEP_SIZE, f.size, f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "punch_hole",
        about: "punching a hole inside i_size fails",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(PUNCH, 0, f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "punch_hole_past_eof",
        about: "punching a hole past EOF fails",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(PUNCH, f.size, f.page),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "zero_range",
        about: "fallocate(2) with ZERO_RANGE, which memfds lack, is EOPNOTSUPP first",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(FALLOC_FL_ZERO_RANGE, 0, f.page),
        expect: Fails(EOPNOTSUPP),
        hollow: MODE_FIRST,
        ..CASE
    },
    Case {
        name: "collapse_range",
        about: "fallocate(2) with COLLAPSE_RANGE, which memfds lack, is EOPNOTSUPP first",
        rules: &[7],
        setup: sealed,
        op: |f| f.fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, f.page),
        expect: Fails(EOPNOTSUPP),
        hollow: MODE_FIRST,
        ..CASE
    },
    Case {
        name: "io_uring_fallocate",
        about: "an io_uring fallocate fails",
        rules: &[7],
        needs: &[Need::IoUring],
        setup: sealed,
        op: |f| uring::once(uring::fallocate(uring::Fd::of(f), PUNCH, 0, f.page)),
        starved: uring::NO_WORKER,
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "mmap_past_eof",
        about: "a private writable mapping longer than the file is made and does not grow it",
        rules: &[24],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE),
        op: |f| f.mmap_past_eof(RW, libc::MAP_PRIVATE),
        expect: Returns(0),
        after: |f| f.unchanged(),
        hollow: Deviation::FailsOn(crate::kind::Kind::Hugetlb, SIZE_GROWS),
        ..CASE
    },
    Case {
        name: "mmap_past_eof_through_rdonly",
        about: "the same through an O_RDONLY descriptor, which a receiver may hold",
        rules: &[24],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.via(libc::O_RDONLY),
        op: |f| f.mmap_past_eof(RW, libc::MAP_PRIVATE),
        expect: Returns(0),
        after: |f| f.unchanged(),
        hollow: Deviation::FailsOn(crate::kind::Kind::Hugetlb, SIZE_GROWS),
        ..CASE
    },
    Case {
        name: "touch_past_eof",
        about: "touching such a mapping past EOF raises SIGBUS",
        rules: &[24],
        setup: |given| {
            let mut f = fresh(given)?.seal(seal::FS_WRITE)?;
            let map = Map::new(2 * f.size, RW, libc::MAP_PRIVATE, &f.fd, 0);
            f.old = Some(map.map_err(|e| e.to_string())?);
            Ok(f)
        },
        op: |f| store_in_child(f.old(), f.size, 1),
        starved: IN_CHILD,
        expect: Dies(SIGBUS),
        after: |f| f.unchanged(),
        hollow: Deviation::FailsOn(crate::kind::Kind::Hugetlb, SIZE_GROWS),
        ..CASE
    },
    Case {
        name: "grow_seal_mmap_past_eof",
        about: "with F_SEAL_GROW alone, a mapping longer than the file does not grow it (see patch 1)",
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| f.mmap_past_eof(RW, libc::MAP_SHARED),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CONTROL
    },
    Case {
        name: "grow_seal_mmap_past_eof_through_rdonly",
        about: "the same, private and through an O_RDONLY descriptor (see patch 1)",
        setup: |given| fresh(given)?.seal(seal::GROW)?.via(libc::O_RDONLY),
        op: |f| f.mmap_past_eof(RW, libc::MAP_PRIVATE),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CONTROL
    },
    Case {
        name: "unsealed_mmap_past_eof_hugetlb",
        about: "without a seal, a writable mapping grows a hugetlbfs file as ever",
        rules: &[29],
        on: HUGETLB,
        setup: fresh,
        op: |f| f.mmap_past_eof(RW, libc::MAP_SHARED),
        expect: Returns(0),
        after: |f| f.size_is(2 * f.size),
        ..CONTROL
    },
    Case {
        name: "readonly_mmap_past_eof_hugetlb",
        about: "a read-only mapping longer than the file never grew it",
        rules: &[29],
        on: HUGETLB,
        setup: fresh,
        op: |f| f.mmap_past_eof(RO, libc::MAP_SHARED),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CONTROL
    },
    Case {
        name: "unsealed",
        about: "a memfd without the seal shrinks, grows and is allocated as ever",
        rules: &[29],
        setup: fresh,
        op: |f| {
            f.ftruncate(f.page)?;
            f.fallocate(0, 0, f.size)?;
            f.fallocate(PUNCH, 0, f.page)
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.size_is(f.size),
        ..CONTROL
    },
    Case {
        name: "future_write_alone_loses_contents",
        about: "with F_SEAL_FUTURE_WRITE alone, shrink and grow zero the file: what FS_WRITE stops",
        setup: |given| fresh(given)?.map(RW)?.seal(seal::FUTURE_WRITE),
        op: |f| {
            f.ftruncate(0)?;
            f.ftruncate(f.size)
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.byte_is(0, 0),
        ..CONTROL
    },
    Case {
        name: "future_write_shrink_grow_still_allocates",
        about: "with FUTURE_WRITE|SHRINK|GROW, fallocate(2) inside i_size still allocates",
        setup: |given| {
            let world = fresh(given)?;
            world.seal(seal::FUTURE_WRITE | seal::SHRINK | seal::GROW)
        },
        op: |f| f.fallocate(0, 0, f.size),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FUTURE_WRITE | seal::SHRINK | seal::GROW),
        ..CONTROL
    },
];
