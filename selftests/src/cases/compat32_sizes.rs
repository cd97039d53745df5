// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Sizes through the system calls of a 32-bit task.

use crate::case::*;
use crate::compat;
use crate::need::Need;
use crate::sys::seal;
use crate::world::{World, sealed};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE};
use libc::{O_CLOEXEC, O_TRUNC, O_WRONLY};
use nix::errno::Errno::*;

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
/// A size whose lower half says nothing.
const HIGH: u64 = 1 << 32;

const COMPAT: Case = Case { needs: &[Need::Compat], rules: &[28], setup: sealed, ..CASE };
const SHRINK: Case = Case { on: BOTH, under: NO_SHRINK, expect: Fails(EPERM), ..COMPAT };
const GROW: Case = Case { under: NO_GROW, ..SHRINK };
const SIZES: Case =
    Case { rules: &[], under: MAY_SHRINK, on: BOTH, expect: Returns(0), after: cut, ..COMPAT };

fn cut(f: &mut World) -> Check {
    f.size_is(f.page)?;
    f.byte_is(0, 0x5a)
}

fn open(f: &mut World, flags: i32) -> Got {
    Ok(compat::open(f, flags | O_CLOEXEC).map(|_| 0)?)
}

pub const CASES: &[Case] = &[
    Case {
        name: "ftruncate64",
        about: "ftruncate64 to a smaller size fails",
        op: |f| compat::ftruncate64(f, 0),
        ..SHRINK
    },
    Case {
        name: "ftruncate64_grow",
        about: "ftruncate64 to 4 GiB, whose lower half is 0, fails",
        op: |f| compat::ftruncate64(f, HIGH),
        ..GROW
    },
    Case {
        name: "ftruncate64_allowed",
        about: "ftruncate64 to a smaller size works under the other seals",
        op: |f| compat::ftruncate64(f, f.page as u64),
        ..SIZES
    },
    Case {
        name: "ftruncate64_grow_allowed",
        about: "ftruncate64 to 4 GiB works under F_SEAL_SHRINK, though the lower half is 0",
        under: &[0, seal::SHRINK],
        op: |f| compat::ftruncate64(f, HIGH),
        after: |f| f.size_is(HIGH as i64),
        ..SIZES
    },
    Case {
        name: "ftruncate",
        about: "ftruncate to a smaller size fails",
        op: |f| compat::ftruncate(f, 0),
        ..SHRINK
    },
    Case {
        name: "ftruncate_grow",
        about: "ftruncate to a larger size fails",
        op: |f| compat::ftruncate(f, (f.size + f.page) as u32),
        ..GROW
    },
    Case {
        name: "ftruncate_negative",
        about: "ftruncate to a negative size of 32 bits is EINVAL before any seal",
        under: ANY_SIZE,
        op: |f| compat::ftruncate(f, 1 << 31),
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("the size is looked at first"),
        ..SHRINK
    },
    Case {
        name: "truncate64",
        about: "truncate64 by the /proc path to a smaller size fails",
        op: |f| compat::truncate64(f, 0),
        ..SHRINK
    },
    Case {
        name: "truncate",
        about: "truncate by the /proc path to a larger size fails",
        op: |f| compat::truncate(f, (f.size + f.page) as u32),
        ..GROW
    },
    Case {
        name: "truncate_allowed",
        about: "truncate by the /proc path works under the other seals",
        op: |f| compat::truncate(f, f.page as u32),
        ..SIZES
    },
    Case {
        name: "o_trunc",
        about: "open with O_TRUNC fails",
        op: |f| open(f, O_WRONLY | O_TRUNC),
        ..SHRINK
    },
    Case {
        name: "fallocate",
        about: "fallocate inside i_size fails",
        on: EVERY,
        under: &[seal::FS_WRITE],
        op: |f| compat::fallocate(f, 0, 0, f.page as u64),
        expect: Fails(EPERM),
        ..COMPAT
    },
    Case {
        name: "fallocate_past_eof",
        about: "fallocate past 4 GiB fails",
        op: |f| compat::fallocate(f, 0, HIGH, f.page as u64),
        ..GROW
    },
    Case {
        name: "fallocate_punch",
        about: "fallocate that punches a hole fails",
        under: NO_WRITE,
        op: |f| compat::fallocate(f, PUNCH, 0, f.page as u64),
        ..SHRINK
    },
    Case {
        name: "fallocate_allowed",
        about: "fallocate inside i_size works under the older seals",
        under: MAY_ALLOCATE,
        op: |f| compat::fallocate(f, 0, 0, f.page as u64),
        after: |f| f.unchanged(),
        ..SIZES
    },
];
