// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The seals that were there before: what the series must not change.

use crate::case::*;
use crate::sys::{RW, seal};
use crate::world::fresh;
use libc::MAP_SHARED;
use nix::errno::Errno::*;

/// A row that every kernel must pass.
const OLD: Case = Case { setup: fresh, ..CONTROL };

pub const CASES: &[Case] = &[Case {
    name: "future_write_mmap",
    about: "F_SEAL_FUTURE_WRITE refuses a writable shared mmap(2) with EPERM",
    setup: |given| fresh(given)?.map(RW)?.seal(seal::FUTURE_WRITE),
    op: |f| f.mmap_new(RW, MAP_SHARED),
    expect: Fails(EPERM),
    ..OLD
}];
