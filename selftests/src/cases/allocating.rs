// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! fallocate(2) in every mode, and the older ioctl(2)s that are it.

use crate::case::*;
use crate::door::{Door, WRITERS};
use crate::sys::{self, seal};
use crate::world::{World, fresh, sealed};
use libc::FALLOC_FL_KEEP_SIZE;
use libc::{FALLOC_FL_PUNCH_HOLE, c_int};
use libc::{O_RDWR, O_WRONLY};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

const KEEP: c_int = FALLOC_FL_KEEP_SIZE;
const PUNCH: c_int = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const FIRST: Deviation = Deviation::Passes("it is looked at first");
/// No seal, and each that decides over an fallocate.
const ANY: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW, seal::SHRINK];
const TO_WRITE: &[Door] = &[Door::Original, Door::Before(O_RDWR), Door::After(O_WRONLY)];

const PUNCHING: Case =
    Case { rules: &[7], under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
const GROWING: Case = Case { under: NO_GROW, ..PUNCHING };
/// What this seal alone forbids.
const INSIDE: Case = Case { under: &[seal::FS_WRITE], ..PUNCHING };
const PUNCHED: Case = Case { under: MAY_WRITE, setup: sealed, expect: Returns(0), ..CONTROL };
const ALLOCATED: Case =
    Case { under: MAY_ALLOCATE, after: |f| f.unchanged_but_blocks(), ..PUNCHED };
const GROWN: Case = Case { under: MAY_GROW, ..PUNCHED };
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

/// `fallocate(2)` in this mode of the last page and one past EOF.
fn across<const MODE: c_int>(f: &mut World) -> Got {
    f.fallocate(MODE, f.page, 2 * f.page)
}

/// One of the ioctls, `_IOW('X', NUMBER, struct space_resv)` of `include/linux/falloc.h`.
fn reserve<const NUMBER: usize>(f: &mut World, start: usize, len: usize) -> Got {
    #[repr(C)]
    struct Space {
        kind: i16,
        whence: i16,
        start: i64,
        len: i64,
        sysid: i32,
        pid: u32,
        pad: [i32; 4],
    }
    let (start, len) = (start as i64, len as i64);
    let space = Space { kind: 0, whence: 0, start, len, sysid: 0, pid: 0, pad: [0; 4] };
    let request = 1 << 30 | size_of::<Space>() << 16 | (b'X' as usize) << 8 | NUMBER;
    let args = [f.fd.as_raw_fd() as usize, request, &raw const space as usize, 0, 0, 0];
    Ok(sys::call(libc::SYS_ioctl, args)?)
}

const RESVSP: usize = 40;
const UNRESVSP: usize = 41;
const RESVSP64: usize = 42;
const UNRESVSP64: usize = 43;
const ZERO_RANGE: usize = 57;

pub const CASES: &[Case] = &[
    Case {
        name: "punch",
        about: "punching a hole inside i_size fails",
        op: first::<PUNCH>,
        ..PUNCHING
    },
    Case {
        name: "punch_through",
        about: "punching a hole fails through whatever descriptor of the file",
        rules: &[7, 16],
        on: BOTH,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        through: WRITERS,
        op: first::<PUNCH>,
        ..PUNCHING
    },
    Case {
        name: "punch_allowed",
        about: "punching a hole inside i_size works under the other seals, and zeros are read there",
        op: first::<PUNCH>,
        after: |f| {
            f.size_is(f.size)?;
            f.bytes_are(0, &vec![0; f.page])
        },
        ..PUNCHED
    },
    Case {
        name: "punch_second_page_allowed",
        about: "punching a hole leaves the page before it alone",
        on: SHMEM,
        op: |f| f.fallocate(PUNCH, f.page, f.page),
        after: |f| {
            f.size_is(f.size)?;
            f.byte_is(0, 0x5a)?;
            f.bytes_are(f.page, &vec![0; f.page])
        },
        ..PUNCHED
    },
    Case {
        name: "punch_part_of_page",
        about: "punching a part of a page, which zeroes it, fails",
        op: |f| f.fallocate(PUNCH, 0, 16),
        ..PUNCHING
    },
    Case {
        name: "punch_part_of_page_allowed",
        about: "punching a part of a page zeroes that part only",
        on: PLAIN,
        op: |f| f.fallocate(PUNCH, 100, 16),
        after: |f| {
            f.bytes_are(96, &[96, 97, 98, 99])?;
            f.bytes_are(100, &[0; 16])?;
            f.bytes_are(116, &[116, 117])
        },
        ..PUNCHED
    },
    Case {
        name: "punch_part_of_huge_page_allowed",
        about: "punching a part of a huge page zeroes that part only",
        on: &[crate::kind::Kind::Thp, crate::kind::Kind::Hugetlb],
        op: |f| f.fallocate(PUNCH, 0, 1),
        after: |f| {
            f.byte_is(0, 0)?;
            f.size_is(f.size)
        },
        ..PUNCHED
    },
    Case {
        name: "punch_unaligned",
        about: "punching from within one page to within the next fails",
        op: |f| f.fallocate(PUNCH, 1, f.page + 8),
        ..PUNCHING
    },
    Case {
        name: "punch_whole",
        about: "punching the whole file fails",
        op: |f| f.fallocate(PUNCH, 0, f.size),
        ..PUNCHING
    },
    Case {
        name: "punch_hole_again",
        about: "punching a hole where there is one fails too",
        on: HUGETLB,
        op: |f| f.fallocate(PUNCH, f.page, f.page),
        ..PUNCHING
    },
    Case {
        name: "punch_across_eof",
        about: "punching a hole across EOF fails",
        op: across::<PUNCH>,
        ..PUNCHING
    },
    Case {
        name: "punch_across_eof_allowed",
        about: "punching a hole across EOF does not grow the file, nor is F_SEAL_GROW asked",
        on: BOTH,
        op: across::<PUNCH>,
        after: |f| {
            f.size_is(f.size)?;
            f.byte_is(f.page, 0)
        },
        ..PUNCHED
    },
    Case {
        name: "punch_past_eof",
        about: "punching a hole past EOF fails",
        op: past::<PUNCH>,
        ..PUNCHING
    },
    Case {
        name: "punch_past_eof_allowed",
        about: "punching a hole past EOF changes nothing, nor is F_SEAL_GROW asked",
        on: BOTH,
        op: past::<PUNCH>,
        after: |f| f.unchanged(),
        ..PUNCHED
    },
    Case {
        name: "inside",
        about: "fallocate(2) inside i_size fails, where it would fill a hole and where not",
        through: TO_WRITE,
        op: |f| f.fallocate(0, 0, f.size),
        ..INSIDE
    },
    Case {
        name: "inside_hole",
        about: "fallocate(2) of a hole inside i_size fails and does not fill it",
        on: SHMEM,
        setup: |given| {
            let world = fresh(given)?;
            let punched = world.fallocate(PUNCH, world.page, world.page);
            punched.map_err(|e| format!("{e:?}"))?;
            world.seal(given.seals)
        },
        op: |f| f.fallocate(0, f.page, f.page),
        ..INSIDE
    },
    Case {
        name: "inside_allowed",
        about: "fallocate(2) up to EOF works under the older seals and changes no byte",
        op: |f| f.fallocate(0, 0, f.size),
        ..ALLOCATED
    },
    Case {
        name: "inside_older_seals",
        about: "with FUTURE_WRITE|SHRINK|GROW, fallocate(2) inside i_size still allocates",
        under: &[
            seal::FUTURE_WRITE | seal::SHRINK | seal::GROW,
            seal::WRITE | seal::SHRINK | seal::GROW,
        ],
        op: |f| f.fallocate(0, 0, f.size),
        after: |f| {
            f.seals_are(f.given.seals)?;
            f.unchanged_but_blocks()
        },
        ..ALLOCATED
    },
    Case {
        name: "keep_size_inside",
        about: "fallocate(2) with KEEP_SIZE inside i_size fails",
        op: first::<KEEP>,
        ..INSIDE
    },
    Case {
        name: "keep_size_inside_allowed",
        about: "fallocate(2) with KEEP_SIZE inside i_size works under the older seals",
        on: BOTH,
        op: first::<KEEP>,
        ..ALLOCATED
    },
    Case {
        name: "past_eof",
        about: "fallocate(2) past EOF fails",
        through: TO_WRITE,
        op: past::<0>,
        ..GROWING
    },
    Case {
        name: "past_eof_allowed",
        about: "fallocate(2) past EOF grows a file whose seals allow it",
        op: past::<0>,
        after: |f| {
            f.size_is(f.size + f.page)?;
            f.byte_is(0, 0x5a)?;
            f.bytes_are(f.size, &[0; 4096])
        },
        ..GROWN
    },
    Case {
        name: "across_eof",
        about: "fallocate(2) across EOF fails and allocates nothing",
        op: across::<0>,
        ..GROWING
    },
    Case {
        name: "past_eof_by_one",
        about: "fallocate(2) of one byte past EOF fails",
        on: SHMEM,
        op: |f| f.fallocate(0, 0, f.size + 1),
        ..GROWING
    },
    Case {
        name: "keep_size_past_eof",
        about: "fallocate(2) with KEEP_SIZE past EOF, which would not grow the file, fails all the same",
        op: past::<KEEP>,
        ..GROWING
    },
    Case {
        name: "keep_size_across_eof",
        about: "fallocate(2) with KEEP_SIZE across EOF fails",
        op: across::<KEEP>,
        ..GROWING
    },
    Case {
        name: "keep_size_past_eof_allowed",
        about: "fallocate(2) with KEEP_SIZE past EOF keeps the size under the other seals",
        on: BOTH,
        op: past::<KEEP>,
        after: |f| f.unchanged_but_blocks(),
        ..GROWN
    },
    Case {
        name: "ioctl_punch",
        about: "the ioctl UNRESVSP, which punches a hole, fails",
        on: BOTH,
        op: |f| reserve::<UNRESVSP>(f, 0, f.page),
        ..PUNCHING
    },
    Case {
        name: "ioctl_punch64",
        about: "the ioctl UNRESVSP64, which punches a hole, fails",
        on: BOTH,
        op: |f| reserve::<UNRESVSP64>(f, 0, f.page),
        ..PUNCHING
    },
    Case {
        name: "ioctl_punch_allowed",
        about: "the ioctl UNRESVSP punches a hole under the other seals",
        on: BOTH,
        op: |f| reserve::<UNRESVSP>(f, 0, f.page),
        after: |f| f.byte_is(0, 0),
        ..PUNCHED
    },
    Case {
        name: "ioctl_reserve",
        about: "the ioctl RESVSP, which allocates, fails inside i_size",
        on: BOTH,
        op: |f| reserve::<RESVSP>(f, 0, f.size),
        ..INSIDE
    },
    Case {
        name: "ioctl_reserve_past_eof",
        about: "the ioctl RESVSP64, which allocates, fails past EOF",
        on: BOTH,
        op: |f| reserve::<RESVSP64>(f, f.size, f.page),
        ..GROWING
    },
    Case {
        name: "ioctl_reserve_allowed",
        about: "the ioctl RESVSP allocates inside i_size under the older seals",
        on: BOTH,
        op: |f| reserve::<RESVSP>(f, 0, f.size),
        ..ALLOCATED
    },
    Case {
        name: "ioctl_zero_range",
        about: "the ioctl ZERO_RANGE, which memfds lack, is EOPNOTSUPP before any seal",
        op: |f| reserve::<ZERO_RANGE>(f, 0, f.page),
        ..LACKING
    },
];
