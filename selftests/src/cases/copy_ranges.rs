// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! copy_file_range(2) into the file and out of it, and what clones files.

use crate::calls::*;
use crate::case::*;
use crate::door::Door;
use crate::sys::{self, seal};
use crate::world::sealed;
use libc::{O_APPEND, O_RDWR};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

/// No seal, and each that decides over a write.
const ANY: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW];
/// No seal, and every one that there is.
const EACH: &[u32] = &[
    0,
    seal::FS_WRITE,
    seal::FUTURE_WRITE,
    seal::WRITE,
    seal::GROW,
    seal::SHRINK,
    seal::SEAL,
    seal::EXEC,
];
const FIRST: Deviation = Deviation::Passes("it is looked at first");
const HUGETLB_NEVER: Deviation = Deviation::Passes("hugetlbfs never had splice(2) or write(2)");
const APPENDING: &[Door] = &[Door::Before(O_RDWR | O_APPEND), Door::After(O_RDWR | O_APPEND)];

const REFUSED: Case =
    Case { rules: &[3], on: SHMEM, under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
const ALLOWED: Case = Case { on: PLAIN, under: MAY_WRITE, expect: Returns(4), ..CONTROL };
/// What is refused whatever the seals.
const NEVER: Case = Case { rules: &[3], on: PLAIN, under: ANY, hollow: FIRST, ..CASE };
const GROWING: Case = Case { on: SHMEM, under: &[seal::GROW], expect: Fails(EPERM), ..CONTROL };
/// What every seal leaves alone.
const OUT: Case = Case { rules: &[18], on: PLAIN, under: EACH, ..CASE };

pub const CASES: &[Case] = &[
    Case {
        name: "copy_file_range",
        about: "copy_file_range(2) from another memfd fails and leaves the source's offset",
        setup: from_memfd,
        op: |f| copy_file_range((&f.kept[0], None), (&f.fd, None), 4),
        after: source_stays,
        ..REFUSED
    },
    Case {
        name: "copy_file_range_at_offsets",
        about: "copy_file_range(2) at offsets of the caller's fails and leaves both",
        on: PLAIN,
        setup: from_memfd,
        op: |f| {
            let (mut from, mut to) = (1, 2);
            let ends = ((&f.kept[0], Some(&mut from)), (&f.fd, Some(&mut to)));
            let got = copy_file_range(ends.0, ends.1, 4);
            unmoved(got, [(1, from), (2, to)])
        },
        after: source_stays,
        ..REFUSED
    },
    Case {
        name: "copy_file_range_within",
        about: "copy_file_range(2) from one page of the file to another fails",
        setup: sealed,
        op: |f| {
            let mut to = f.page as i64;
            copy_file_range((&f.fd, Some(&mut 0)), (&f.fd, Some(&mut to)), 4)
        },
        ..REFUSED
    },
    Case {
        name: "copy_file_range_allowed",
        about: "copy_file_range(2) works under the other seals",
        setup: from_memfd,
        op: |f| copy_file_range((&f.kept[0], None), (&f.fd, None), 4),
        after: took_from_source,
        ..ALLOWED
    },
    Case {
        name: "copy_file_range_within_allowed",
        about: "copy_file_range(2) from one page of the file to another works as ever",
        on: SHMEM,
        setup: sealed,
        op: |f| {
            let mut to = f.page as i64 + 1;
            copy_file_range((&f.fd, Some(&mut 0)), (&f.fd, Some(&mut to)), 4)
        },
        after: |f| f.bytes_are(f.page, &[0x5b, 0x5a, 0, 0, 0]),
        ..ALLOWED
    },
    Case {
        name: "copy_file_range_grow",
        about: "F_SEAL_GROW refuses copy_file_range(2) to EOF",
        setup: from_memfd,
        op: |f| {
            let mut to = f.size as i64;
            let got = copy_file_range((&f.kept[0], None), (&f.fd, Some(&mut to)), 4);
            unmoved(got, [(f.size as i64, to)])
        },
        after: source_stays,
        ..GROWING
    },
    Case {
        name: "copy_file_range_nothing",
        about: "copy_file_range(2) of no bytes returns 0",
        rules: &[4],
        on: SHMEM,
        setup: from_memfd,
        op: |f| copy_file_range((&f.kept[0], None), (&f.fd, None), 0),
        expect: Returns(0),
        after: |f| f.unchanged(),
        hollow: Deviation::None,
        ..NEVER
    },
    Case {
        name: "copy_file_range_overlapping",
        about: "copy_file_range(2) of a range over itself is EINVAL before any seal",
        setup: sealed,
        op: |f| copy_file_range((&f.fd, Some(&mut 0)), (&f.fd, Some(&mut 2)), 4),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "copy_file_range_from_disk",
        about: "copy_file_range(2) from another file system is EXDEV before any seal",
        setup: from_disk,
        op: |f| copy_file_range((&f.kept[0], None), (&f.fd, None), 4),
        expect: Fails(EXDEV),
        after: source_stays,
        ..NEVER
    },
    Case {
        name: "copy_file_range_append",
        about: "copy_file_range(2) to an O_APPEND descriptor is EBADF whatever the seals",
        through: APPENDING,
        setup: from_memfd,
        op: |f| copy_file_range((&f.kept[0], None), (&f.fd, None), 4),
        expect: Fails(EBADF),
        ..NEVER
    },
    Case {
        name: "copy_file_range_hugetlb",
        about: "hugetlbfs takes no copy_file_range(2): EINVAL",
        rules: &[24],
        on: HUGETLB,
        setup: sealed,
        op: |f| {
            let mut to = f.page as i64;
            copy_file_range((&f.fd, Some(&mut 0)), (&f.fd, Some(&mut to)), 4)
        },
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..NEVER
    },
    Case {
        name: "copy_file_range_out",
        about: "copy_file_range(2) out of the file works under every seal",
        setup: to_memfd,
        op: |f| copy_file_range((&f.fd, Some(&mut 0)), (&f.kept[0], None), 4),
        expect: Returns(4),
        after: arrived,
        ..OUT
    },
    Case {
        name: "clone",
        about: "FICLONE, which memfds lack, is EOPNOTSUPP whatever the seals",
        on: SHMEM,
        setup: from_memfd,
        op: |f| {
            const FICLONE: usize = 0x4004_9409;
            let (to, from) = (f.fd.as_raw_fd() as usize, f.kept[0].as_raw_fd() as usize);
            Ok(sys::call(libc::SYS_ioctl, [to, FICLONE, from, 0, 0, 0])?)
        },
        expect: Fails(EOPNOTSUPP),
        ..NEVER
    },
];
