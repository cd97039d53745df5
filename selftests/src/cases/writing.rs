// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The calls that write from memory, through every descriptor, at every place.

use crate::calls::{anonymous, pwrite_from, pwritev, pwritev2, write_from, writev};
use crate::case::*;
use crate::door::{Door, PATHS, READERS, WRITERS};
use crate::sys::seal;
use crate::world::{World, fresh, sealed, sealed_unmapped};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_APPEND, O_DIRECT, O_DSYNC};
use libc::{O_RDWR, O_SYNC, O_WRONLY};
use nix::errno::Errno::*;

const NEVER_OPEN: Deviation = Deviation::Passes("the descriptor can't write");
const HUGETLB_NEVER: Deviation = Deviation::Passes("hugetlbfs never had write(2)");
const APPENDERS: &[Door] = &[
    Door::Before(O_RDWR | O_APPEND),
    Door::After(O_RDWR | O_APPEND),
    Door::Before(O_WRONLY | O_APPEND),
    Door::After(O_WRONLY | O_APPEND),
];
const SYNCERS: &[Door] = &[Door::After(O_RDWR | O_SYNC), Door::After(O_RDWR | O_DSYNC)];
const DIRECT: &[Door] = &[Door::Before(O_RDWR | O_DIRECT), Door::After(O_RDWR | O_DIRECT)];
const PARTS: &[&[u8]] = &[b"te", b"st"];
/// No seal, and each that exists but F_SEAL_EXEC, which nothing here looks at.
const ANY: &[u32] =
    &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW, seal::SHRINK, seal::SEAL];

/// A refusal of each seal that forbids writing.
const REFUSED: Case =
    Case { rules: &[3], on: SHMEM, under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
/// What each other seal leaves alone.
const ALLOWED: Case = Case { on: PLAIN, under: MAY_WRITE, setup: sealed, ..CONTROL };

pub const CASES: &[Case] = &[
    Case {
        name: "pwrite",
        about: "pwrite(2) inside i_size fails and changes nothing",
        rules: &[3, 16],
        through: WRITERS,
        op: |f| f.pwrite(0, b"x"),
        ..REFUSED
    },
    Case {
        name: "pwrite_readers",
        about: "pwrite(2) through a descriptor that can't write is EBADF as ever",
        rules: &[17],
        under: ANY_WRITE,
        through: READERS,
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EBADF),
        hollow: NEVER_OPEN,
        ..REFUSED
    },
    Case {
        name: "pwrite_paths",
        about: "pwrite(2) through an O_PATH descriptor is EBADF as ever",
        under: ANY_WRITE,
        through: PATHS,
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EBADF),
        hollow: NEVER_OPEN,
        ..REFUSED
    },
    Case {
        name: "pwrite_allowed",
        about: "pwrite(2) below EOF works under the seals that do not forbid it",
        on: SHMEM,
        op: |f| f.pwrite(1, b"test"),
        expect: Returns(4),
        after: |f| {
            f.offset_is(5)?;
            f.size_is(f.size)?;
            f.bytes_are(1, b"test\0")
        },
        ..ALLOWED
    },
    Case {
        name: "write",
        about: "write(2) fails and does not move the offset",
        op: |f| f.write(b"test"),
        ..REFUSED
    },
    Case {
        name: "write_allowed",
        about: "write(2) works under the other seals and moves the offset",
        op: |f| f.write(b"test"),
        expect: Returns(4),
        after: |f| {
            f.offset_is(9)?;
            f.bytes_are(4, b"\0test\0")
        },
        ..ALLOWED
    },
    Case {
        name: "write_without_a_map",
        about: "write(2) fails also where nothing was ever mapped",
        setup: sealed_unmapped,
        op: |f| f.write(b"test"),
        ..REFUSED
    },
    Case {
        name: "pwrite_both_seals",
        about: "pwrite(2) fails under F_SEAL_FS_WRITE together with an older seal of writing",
        on: PLAIN,
        under: &[seal::FS_WRITE | seal::FUTURE_WRITE, seal::FS_WRITE | seal::WRITE],
        op: |f| f.pwrite(0, b"x"),
        hollow: Deviation::Passes("the older seal refuses it"),
        ..REFUSED
    },
    Case {
        name: "pwrite_other_seals",
        about: "pwrite(2) fails also where seals are set that do not forbid it",
        on: PLAIN,
        under: &[
            seal::FS_WRITE | seal::SEAL,
            seal::FS_WRITE | seal::SHRINK | seal::GROW,
            seal::FUTURE_WRITE | seal::SHRINK | seal::GROW,
            seal::WRITE | seal::SHRINK | seal::GROW | seal::SEAL,
        ],
        op: |f| f.pwrite(0, b"x"),
        ..REFUSED
    },
    Case {
        name: "pwrite_second_page",
        about: "pwrite(2) into the second page fails",
        op: |f| f.pwrite(f.page + 64, b"x"),
        ..REFUSED
    },
    Case {
        name: "pwrite_straddling",
        about: "pwrite(2) over the border of two pages fails",
        op: |f| f.pwrite(f.page - 2, b"test"),
        ..REFUSED
    },
    Case {
        name: "pwrite_straddling_allowed",
        about: "pwrite(2) over the border of two pages works under the other seals",
        on: SHMEM,
        op: |f| f.pwrite(f.page - 2, b"test"),
        expect: Returns(4),
        after: |f| f.bytes_are(f.page - 2, b"test"),
        ..ALLOWED
    },
    Case {
        name: "pwrite_whole",
        about: "pwrite(2) of the whole file fails",
        op: |f| f.pwrite(0, &vec![1; f.size]),
        ..REFUSED
    },
    Case {
        name: "pwrite_whole_allowed",
        about: "pwrite(2) of the whole file works under the other seals and does not grow it",
        on: SHMEM,
        under: &[0, seal::GROW],
        op: |f| Ok(f.pwrite(0, &vec![1; f.size])? - f.size as i64),
        expect: Returns(0),
        after: |f| {
            f.size_is(f.size)?;
            f.bytes_are(0, &vec![1; f.size])
        },
        ..ALLOWED
    },
    Case {
        name: "pwrite_across_eof",
        about: "a pwrite(2) that starts inside and ends past EOF writes nothing",
        op: |f| f.pwrite(f.size - 2, b"1234"),
        ..REFUSED
    },
    Case {
        name: "pwrite_past_eof",
        about: "a pwrite(2) past EOF does not grow the file",
        op: |f| f.pwrite(f.size + f.page, b"x"),
        ..REFUSED
    },
    Case {
        name: "pwrite_hole",
        about: "pwrite(2) into a hole fails and allocates nothing",
        setup: |given| {
            let world = fresh(given)?;
            let mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
            world.fallocate(mode, world.page, world.page).map_err(|e| format!("{e:?}"))?;
            world.seal(given.seals)
        },
        op: |f| f.pwrite(f.page + 1, b"x"),
        ..REFUSED
    },
    Case {
        name: "pwrite_empty",
        about: "pwrite(2) into an empty file fails",
        setup: |given| {
            let world = fresh(given)?;
            world.ftruncate(0).map_err(|e| format!("{e:?}"))?;
            world.seal(given.seals)
        },
        op: |f| f.pwrite(0, b"x"),
        ..REFUSED
    },
    Case {
        name: "pwrite_from_own_map",
        about: "pwrite(2) of bytes from a mapping of the file itself fails",
        on: PLAIN,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        op: |f| pwrite_from(f, f.old().addr() + f.page, 4, 1),
        ..REFUSED
    },
    Case {
        name: "pwrite_from_own_map_allowed",
        about: "pwrite(2) of bytes from a mapping of the file itself works under the other seals",
        on: SHMEM,
        op: |f| pwrite_from(f, f.old().addr() + f.page, 4, 1),
        expect: Returns(4),
        after: |f| f.bytes_are(0, &[0x5a, 0x5b, 0, 0, 0]),
        ..ALLOWED
    },
    Case {
        name: "writev",
        about: "writev(2) fails and does not move the offset",
        op: |f| writev(f, PARTS),
        ..REFUSED
    },
    Case {
        name: "writev_allowed",
        about: "writev(2) works under the other seals and moves the offset",
        op: |f| writev(f, PARTS),
        expect: Returns(4),
        after: |f| {
            f.offset_is(9)?;
            f.bytes_are(4, b"\0test\0")
        },
        ..ALLOWED
    },
    Case { name: "pwritev", about: "pwritev(2) fails", op: |f| pwritev(f, PARTS, 1), ..REFUSED },
    Case {
        name: "pwritev_allowed",
        about: "pwritev(2) works under the other seals",
        op: |f| pwritev(f, PARTS, 1),
        expect: Returns(4),
        after: |f| {
            f.offset_is(5)?;
            f.bytes_are(1, b"test\0")
        },
        ..ALLOWED
    },
    Case {
        name: "pwritev2_at_offset",
        about: "pwritev2(2) at the file's own offset fails and does not move it",
        op: |f| pwritev2(f, PARTS, -1, 0),
        ..REFUSED
    },
    Case {
        name: "pwritev2_at_offset_allowed",
        about: "pwritev2(2) at the file's own offset works under the other seals",
        op: |f| pwritev2(f, PARTS, -1, 0),
        expect: Returns(4),
        after: |f| {
            f.offset_is(9)?;
            f.bytes_are(4, b"\0test\0")
        },
        ..ALLOWED
    },
    Case {
        name: "o_append",
        about: "write(2) through an O_APPEND descriptor fails",
        on: PLAIN,
        through: APPENDERS,
        op: |f| f.write(b"test"),
        ..REFUSED
    },
    Case {
        name: "o_append_allowed",
        about: "write(2) through an O_APPEND descriptor grows a file whose seals allow it",
        under: MAY_WRITE_PAST_EOF,
        through: &[Door::Before(O_RDWR | O_APPEND), Door::After(O_RDWR | O_APPEND)],
        op: |f| f.write(b"test"),
        expect: Returns(4),
        after: |f| {
            f.size_is(f.size + 4)?;
            f.bytes_are(f.size, b"test")
        },
        ..ALLOWED
    },
    Case {
        name: "o_sync",
        about: "write(2) through a descriptor that is O_SYNC or O_DSYNC fails",
        on: PLAIN,
        through: SYNCERS,
        op: |f| f.write(b"test"),
        ..REFUSED
    },
    Case {
        name: "o_direct",
        about: "pwrite(2) of an aligned page through an O_DIRECT descriptor fails",
        on: PLAIN,
        through: DIRECT,
        op: |f| pwrite_from(f, anonymous(f.page)?.addr(), f.page, 0),
        ..REFUSED
    },
    Case {
        name: "o_direct_allowed",
        about: "pwrite(2) of an aligned page through an O_DIRECT descriptor works as ever",
        through: DIRECT,
        op: |f| Ok(pwrite_from(f, anonymous(f.page)?.addr(), f.page, 0)? - f.page as i64),
        expect: Returns(0),
        after: |f| f.bytes_are(0, &vec![0; f.page]),
        ..ALLOWED
    },
    Case {
        name: "write_hugetlb",
        about: "hugetlbfs has no write(2): EINVAL whatever the seals",
        rules: &[24],
        on: HUGETLB,
        under: ANY,
        op: |f| f.write(b"test"),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..REFUSED
    },
    Case {
        name: "write_nothing_hugetlb",
        about: "hugetlbfs has no write(2) of nothing either",
        rules: &[24],
        on: HUGETLB,
        under: ANY_WRITE,
        op: |f| write_from(f, 0, 0),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..REFUSED
    },
    Case {
        name: "pwrite_hugetlb",
        about: "hugetlbfs has no pwrite(2): EINVAL, past EOF too",
        rules: &[24],
        on: HUGETLB,
        under: ANY,
        op: |f| f.pwrite(f.size, b"x"),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..REFUSED
    },
    Case {
        name: "writev_hugetlb",
        about: "hugetlbfs has no writev(2)",
        rules: &[24],
        on: HUGETLB,
        under: ANY_WRITE,
        op: |f| writev(f, PARTS),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..REFUSED
    },
    Case {
        name: "pwritev2_hugetlb",
        about: "hugetlbfs has no pwritev2(2)",
        rules: &[24],
        on: HUGETLB,
        under: ANY_WRITE,
        op: |f: &mut World| pwritev2(f, PARTS, 0, libc::RWF_SYNC),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..REFUSED
    },
];
