// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The same through the system calls of a 32-bit task.

use crate::case::*;
use crate::compat;
use crate::need::Need;
use crate::sys::{RO, RW, seal};
use crate::world::{fresh, sealed};
use nix::errno::Errno::*;

const COMPAT: Case = Case { needs: &[Need::Compat], rules: &[28], ..CASE };

pub const CASES: &[Case] = &[
    Case {
        name: "add_seals",
        about: "fcntl64 adds the seal",
        setup: |given| fresh(given)?.map(RW),
        op: |f| compat::add_seals(f, seal::FS_WRITE),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE),
        ..COMPAT
    },
    Case {
        name: "pwrite",
        about: "pwrite64 fails",
        on: SHMEM,
        setup: sealed,
        op: |f| compat::pwrite(f),
        expect: Fails(EPERM),
        ..COMPAT
    },
    Case {
        name: "mmap",
        about: "mmap2, shared and writable, fails",
        setup: sealed,
        op: |f| compat::mmap(f, RW),
        expect: Fails(EACCES),
        ..COMPAT
    },
    Case {
        name: "mmap_ro",
        about: "mmap2, shared and read-only, works",
        setup: sealed,
        op: |f| compat::mmap(f, RO),
        expect: Works,
        ..COMPAT
    },
    Case {
        name: "ftruncate",
        about: "ftruncate64 to another size fails",
        setup: sealed,
        op: |f| compat::ftruncate(f, 0),
        expect: Fails(EPERM),
        ..COMPAT
    },
    Case {
        name: "fallocate",
        about: "fallocate inside i_size fails",
        setup: sealed,
        op: |f| compat::fallocate(f, f.page),
        expect: Fails(EPERM),
        ..COMPAT
    },
];
