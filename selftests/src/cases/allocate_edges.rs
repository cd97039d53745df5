// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! fallocate(2) in modes that memfds lack, and calls of it that are wrong in another way too: which
//! error comes first.

use crate::calls::limited;
use crate::case::*;
use crate::door::{PATHS, READERS};
use crate::sys::seal;
use crate::world::{World, sealed};
use libc::{FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_KEEP_SIZE};
use libc::{FALLOC_FL_PUNCH_HOLE, FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_ZERO_RANGE, c_int};
use nix::errno::Errno::*;

const KEEP: c_int = FALLOC_FL_KEEP_SIZE;
const PUNCH: c_int = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const NO_HIDE_STALE: c_int = 0x04;
const WRITE_ZEROES: c_int = 0x80;
/// A mode that no kernel has.
const UNKNOWN: c_int = 0x4000;
const FIRST: Deviation = Deviation::Passes("it is looked at first");
/// No seal, and each that decides over an fallocate.
const ANY: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW, seal::SHRINK];

const PUNCHING: Case =
    Case { rules: &[7], under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
const GROWING: Case = Case { under: NO_GROW, ..PUNCHING };
/// What this seal alone forbids.
const INSIDE: Case = Case { under: &[seal::FS_WRITE], ..PUNCHING };
/// What is refused whatever the seals.
const NEVER: Case =
    Case { rules: &[7], on: BOTH, under: ANY, setup: sealed, hollow: FIRST, ..CASE };
/// What memfds lack, whatever their seals.
const LACKING: Case = Case { expect: Fails(EOPNOTSUPP), ..NEVER };

/// `fallocate(2)` of the first page in this mode.
fn first<const MODE: c_int>(f: &mut World) -> Got {
    f.fallocate(MODE, 0, f.page)
}

/// `fallocate(2)` in this mode of a page past EOF.
fn past<const MODE: c_int>(f: &mut World) -> Got {
    f.fallocate(MODE, f.size, f.page)
}

pub const CASES: &[Case] = &[
    Case {
        name: "punch_without_keep_size",
        about: "PUNCH_HOLE without KEEP_SIZE is EOPNOTSUPP before any seal",
        op: first::<FALLOC_FL_PUNCH_HOLE>,
        ..LACKING
    },
    Case {
        name: "zero_range",
        about: "ZERO_RANGE, which memfds lack, is EOPNOTSUPP before any seal",
        op: first::<FALLOC_FL_ZERO_RANGE>,
        ..LACKING
    },
    Case {
        name: "zero_range_keep_size",
        about: "ZERO_RANGE with KEEP_SIZE, which memfds lack, is EOPNOTSUPP before any seal",
        op: past::<{ FALLOC_FL_ZERO_RANGE | KEEP }>,
        ..LACKING
    },
    Case {
        name: "collapse_range",
        about: "COLLAPSE_RANGE, which memfds lack, is EOPNOTSUPP before any seal",
        op: first::<FALLOC_FL_COLLAPSE_RANGE>,
        ..LACKING
    },
    Case {
        name: "insert_range",
        about: "INSERT_RANGE, which memfds lack, is EOPNOTSUPP before any seal",
        op: first::<FALLOC_FL_INSERT_RANGE>,
        ..LACKING
    },
    Case {
        name: "unshare_range",
        about: "UNSHARE_RANGE, which memfds lack, is EOPNOTSUPP before any seal",
        op: first::<FALLOC_FL_UNSHARE_RANGE>,
        ..LACKING
    },
    Case {
        name: "write_zeroes",
        about: "WRITE_ZEROES, which memfds lack, is EOPNOTSUPP before any seal",
        op: first::<WRITE_ZEROES>,
        ..LACKING
    },
    Case {
        name: "no_hide_stale",
        about: "the reserved NO_HIDE_STALE is EOPNOTSUPP before any seal",
        op: first::<{ NO_HIDE_STALE | PUNCH }>,
        ..LACKING
    },
    Case {
        name: "two_modes",
        about: "two modes at once are EOPNOTSUPP before any seal",
        op: first::<{ FALLOC_FL_ZERO_RANGE | PUNCH }>,
        ..LACKING
    },
    Case {
        name: "unknown_mode",
        about: "an unknown mode is EOPNOTSUPP before any seal",
        op: first::<UNKNOWN>,
        ..LACKING
    },
    Case {
        name: "negative_offset",
        about: "a negative offset is EINVAL before any seal",
        op: |f| f.fallocate(0, -1, f.page),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "negative_length",
        about: "a negative length is EINVAL before any seal",
        op: |f| f.fallocate(PUNCH, 0, -1),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "no_length",
        about: "a length of 0 is EINVAL before any seal",
        op: |f| f.fallocate(PUNCH, 0, 0),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "too_long",
        about: "a range past the largest offset is EFBIG before any seal",
        op: |f| f.fallocate(0, i64::MAX, 1),
        expect: Fails(EFBIG),
        ..NEVER
    },
    Case {
        name: "punch_too_long",
        about: "a hole past the largest offset is EFBIG before any seal",
        op: |f| f.fallocate(PUNCH, i64::MAX, 1),
        expect: Fails(EFBIG),
        ..NEVER
    },
    Case {
        name: "just_not_too_long",
        about: "fallocate(2) up to the largest offset fails by the seal",
        // On hugetlbfs a kernel that lets it through empties the pool under the other tests.
        on: SHMEM,
        op: |f| f.fallocate(0, f.size, i64::MAX - f.size as i64),
        ..GROWING
    },
    Case {
        name: "file_size_limit",
        about: "fallocate(2) past RLIMIT_FSIZE is EFBIG before F_SEAL_GROW, with KEEP_SIZE too",
        on: BOTH,
        under: &[0, seal::GROW, seal::WRITE],
        setup: limited::<2>,
        op: past::<KEEP>,
        expect: Fails(EFBIG),
        ..CONTROL
    },
    Case {
        name: "file_size_limit_sealed",
        about: "fallocate(2) past RLIMIT_FSIZE is EPERM by this seal",
        on: BOTH,
        setup: limited::<2>,
        op: past::<0>,
        ..INSIDE
    },
    Case {
        name: "readers",
        about: "fallocate(2) through a descriptor that can't write is EBADF before any seal",
        rules: &[17],
        through: READERS,
        op: first::<PUNCH>,
        expect: Fails(EBADF),
        ..NEVER
    },
    Case {
        name: "paths",
        about: "fallocate(2) through an O_PATH descriptor is EBADF before any seal",
        through: PATHS,
        op: first::<0>,
        expect: Fails(EBADF),
        ..NEVER
    },
];
