// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Writes that are wrong in another way too: which error comes first; and writes that end at, or
//! reach over, the end of the file.

use crate::calls::{NO_USER, UNMAPPED, half_bad, limited, pwrite_from, write_from, writev};
use crate::case::*;
use crate::door::Door;
use crate::kind::Kind;
use crate::need::Need;
use crate::sys::{self, seal};
use crate::world::{fresh, sealed};
use libc::{O_APPEND, O_RDWR, O_WRONLY};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

/// No seal, and each that decides over a write.
const ANY: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW];
const FIRST: Deviation = Deviation::Passes("it is looked at first");
const APPENDERS: &[Door] = &[
    Door::Before(O_RDWR | O_APPEND),
    Door::After(O_RDWR | O_APPEND),
    Door::After(O_WRONLY | O_APPEND),
];

/// The seal comes first, though the call has another mistake.
const SEAL_FIRST: Case =
    Case { rules: &[3], on: PLAIN, under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
/// The mistake comes first, whatever the seals.
const MISTAKE_FIRST: Case =
    Case { rules: &[3], on: PLAIN, under: ANY, setup: sealed, hollow: FIRST, ..CASE };
/// What a write of no bytes gives, whatever the seals.
const NOTHING: Case = Case {
    rules: &[4],
    on: PLAIN,
    under: ANY,
    setup: sealed,
    expect: Returns(0),
    after: |f| f.unchanged(),
    ..CASE
};
const ALLOWED: Case = Case { on: PLAIN, under: MAY_WRITE, setup: sealed, ..CONTROL };
const GROWING: Case =
    Case { on: SHMEM, under: &[seal::GROW], setup: sealed, expect: Fails(EPERM), ..CONTROL };

/// The file ends 100 bytes into its second page.
fn part_page(given: Given) -> Setup {
    let world = fresh(given)?;
    world.ftruncate(world.page + 100).map_err(|e| format!("{e:?}"))?;
    world.seal_alone(given.seals)
}

pub const CASES: &[Case] = &[
    Case {
        name: "zero_length",
        about: "a write of no bytes returns 0",
        on: SHMEM,
        op: |f| f.write(b""),
        ..NOTHING
    },
    Case {
        name: "zero_length_past_eof",
        about: "a write of no bytes past EOF returns 0",
        op: |f| f.pwrite(f.size + f.page, b""),
        ..NOTHING
    },
    Case {
        name: "zero_length_unmapped",
        about: "a write of no bytes from where nothing is mapped returns 0",
        op: |f| write_from(f, UNMAPPED, 0),
        ..NOTHING
    },
    Case {
        name: "unmapped_buffer",
        about: "the seal is looked at before a buffer where nothing is mapped: EPERM",
        on: SHMEM,
        op: |f| pwrite_from(f, UNMAPPED, 4, 0),
        ..SEAL_FIRST
    },
    Case {
        name: "unmapped_buffer_allowed",
        about: "a buffer where nothing is mapped is EFAULT and changes nothing",
        on: SHMEM,
        op: |f| pwrite_from(f, UNMAPPED, 4, 0),
        expect: Fails(EFAULT),
        ..ALLOWED
    },
    Case {
        name: "unmapped_buffer_past_eof",
        about: "F_SEAL_GROW is looked at before a buffer where nothing is mapped: EPERM past EOF",
        op: |f| pwrite_from(f, UNMAPPED, 4, f.size as i64),
        ..GROWING
    },
    Case {
        name: "unreadable_buffer",
        about: "the seal is looked at before a buffer that can't be read: EPERM",
        op: |f| {
            let (map, _) = half_bad(f.page)?;
            pwrite_from(f, map.addr() + f.page, 4, 0)
        },
        ..SEAL_FIRST
    },
    Case {
        name: "half_bad_buffer",
        about: "of a buffer whose second half can't be read, the first half is not written",
        op: |f| {
            let (_map, addr) = half_bad(f.page)?;
            pwrite_from(f, addr, 4, 0)
        },
        ..SEAL_FIRST
    },
    Case {
        name: "half_bad_buffer_allowed",
        about: "of a buffer whose second half can't be read, the first half is written",
        op: |f| {
            let (map, addr) = half_bad(f.page)?;
            map.store(f.page - 2, b'x');
            map.store(f.page - 1, b'y');
            pwrite_from(f, addr, 4, 1)
        },
        expect: Returns(2),
        after: |f| f.bytes_are(1, b"xy\0\0"),
        ..ALLOWED
    },
    Case {
        name: "half_bad_iovecs",
        about: "of two iovecs, the second at no mapping, the first is not written",
        op: |f| {
            let iov = [[b"test".as_ptr() as usize, 4], [UNMAPPED, 4]];
            let args = [f.fd.as_raw_fd() as usize, iov.as_ptr() as usize, 2, 0, 0, 0];
            Ok(sys::call(libc::SYS_writev, args)?)
        },
        ..SEAL_FIRST
    },
    Case {
        name: "no_user_buffer",
        about: "a buffer at an address that is no user's is EFAULT before any seal",
        on: SHMEM,
        needs: &[Need::KernelAddress],
        op: |f| pwrite_from(f, NO_USER, 4, 0),
        expect: Fails(EFAULT),
        ..MISTAKE_FIRST
    },
    Case {
        name: "no_user_iovec",
        about: "an iovec at an address that is no user's is EFAULT before any seal",
        needs: &[Need::KernelAddress],
        op: |f| {
            let iov = [[NO_USER, 4]];
            let args = [f.fd.as_raw_fd() as usize, iov.as_ptr() as usize, 1, 0, 0, 0];
            Ok(sys::call(libc::SYS_writev, args)?)
        },
        expect: Fails(EFAULT),
        ..MISTAKE_FIRST
    },
    Case {
        name: "unmapped_iovecs",
        about: "a list of iovecs where nothing is mapped is EFAULT before any seal",
        op: |f| {
            let args = [f.fd.as_raw_fd() as usize, UNMAPPED, 1, 0, 0, 0];
            Ok(sys::call(libc::SYS_writev, args)?)
        },
        expect: Fails(EFAULT),
        ..MISTAKE_FIRST
    },
    Case {
        name: "negative_offset",
        about: "pwrite(2) at a negative offset is EINVAL before any seal",
        op: |f| pwrite_from(f, b"x".as_ptr() as usize, 1, -1),
        expect: Fails(EINVAL),
        ..MISTAKE_FIRST
    },
    Case {
        name: "offset_too_large",
        about: "pwrite(2) past the largest offset is EINVAL before any seal",
        on: SHMEM,
        op: |f| pwrite_from(f, b"x".as_ptr() as usize, 1, i64::MAX),
        expect: Fails(EINVAL),
        ..MISTAKE_FIRST
    },
    Case {
        name: "offset_just_not_too_large",
        about: "pwrite(2) up to the largest offset is EPERM",
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        op: |f| pwrite_from(f, b"x".as_ptr() as usize, 1, i64::MAX - 1),
        ..SEAL_FIRST
    },
    Case {
        name: "file_size_limit",
        about: "pwrite(2) at RLIMIT_FSIZE is EFBIG before any seal",
        setup: limited::<1>,
        op: |f| f.pwrite(f.page, b"x"),
        expect: Fails(EFBIG),
        ..MISTAKE_FIRST
    },
    Case {
        name: "below_file_size_limit",
        about: "pwrite(2) across RLIMIT_FSIZE is EPERM, not short",
        setup: limited::<1>,
        op: |f| f.pwrite(f.page - 2, b"test"),
        ..SEAL_FIRST
    },
    Case {
        name: "below_file_size_limit_allowed",
        about: "pwrite(2) across RLIMIT_FSIZE is short under the other seals",
        setup: limited::<1>,
        op: |f| f.pwrite(f.page - 2, b"test"),
        expect: Returns(2),
        ..ALLOWED
    },
    Case {
        name: "up_to_eof",
        about: "F_SEAL_GROW, like the other seals, leaves a write that ends at EOF alone",
        on: SHMEM,
        op: |f| f.pwrite(f.size - 4, b"test"),
        expect: Returns(4),
        after: |f| {
            f.size_is(f.size)?;
            f.bytes_are(f.size - 4, b"test")
        },
        ..ALLOWED
    },
    Case {
        name: "up_to_eof_in_page",
        about: "F_SEAL_GROW, like the other seals, leaves a write up to EOF within a page alone",
        on: SHMEM,
        setup: part_page,
        op: |f| f.pwrite(f.page + 96, b"test"),
        expect: Returns(4),
        after: |f| {
            f.size_is(f.page + 100)?;
            f.bytes_are(f.page + 96, b"test")
        },
        ..ALLOWED
    },
    Case {
        name: "past_eof_allowed",
        about: "a write that starts past EOF grows a file whose seals allow it, with zeros between",
        on: SHMEM,
        under: MAY_WRITE_PAST_EOF,
        op: |f| f.pwrite(f.size + 3, b"test"),
        expect: Returns(4),
        after: |f| {
            f.size_is(f.size + 7)?;
            f.bytes_are(f.size, b"\0\0\0test")
        },
        ..ALLOWED
    },
    Case {
        name: "grow_at_eof",
        about: "F_SEAL_GROW refuses a write that starts at EOF",
        op: |f| f.pwrite(f.size, b"x"),
        ..GROWING
    },
    Case {
        name: "grow_past_eof",
        about: "F_SEAL_GROW refuses a write that starts past EOF",
        op: |f| f.pwrite(f.size + f.page, b"x"),
        ..GROWING
    },
    Case {
        name: "grow_at_eof_in_page",
        about: "F_SEAL_GROW refuses a write that starts at EOF within the last page",
        setup: part_page,
        op: |f| f.pwrite(f.page + 100, b"x"),
        ..GROWING
    },
    Case {
        name: "grow_append",
        about: "F_SEAL_GROW refuses what an O_APPEND descriptor writes, wherever its offset is",
        through: APPENDERS,
        op: |f| f.write(b"test"),
        ..GROWING
    },
    Case {
        name: "grow_writev",
        about: "F_SEAL_GROW refuses writev(2) that starts at EOF",
        setup: |given| {
            let world = sealed(given)?;
            let end = nix::unistd::Whence::SeekEnd;
            sys::lseek(&world.fd, 0, end).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| writev(f, &[b"te", b"st"]),
        ..GROWING
    },
    Case {
        name: "grow_across_eof_in_page",
        about: "of a write across an EOF within a page, F_SEAL_GROW lets nothing through",
        setup: part_page,
        op: |f| f.pwrite(f.page + 98, b"test"),
        ..GROWING
    },
    Case {
        // The kernel cuts a write into pieces at multiples of the largest folio that the file
        // may have, whatever folios it has, and the seal refuses a piece as a whole. Where files
        // may not have any, a piece is a page, and this write is short: see deviations.toml.
        name: "grow_across_eof",
        about: "of a write across an EOF within the largest folio, F_SEAL_GROW lets nothing through",
        on: &[Kind::Shmem, Kind::Noexec],
        op: |f| f.pwrite(f.size - 2, b"test"),
        ..GROWING
    },
    Case {
        name: "grow_across_eof_from_another_page",
        about: "the same where the write begins in an earlier page than that of EOF",
        on: &[Kind::Shmem, Kind::Noexec],
        op: |f| f.pwrite(1, &vec![1; f.size]),
        ..GROWING
    },
    Case {
        name: "grow_across_eof_at_folio_end",
        about: "of a write across an EOF at the end of the largest folio, what is before EOF is written",
        on: &[Kind::Thp],
        op: |f| f.pwrite(f.size - 2, b"test"),
        expect: Returns(2),
        after: |f| {
            f.size_is(f.size)?;
            f.bytes_are(f.size - 2, b"te")
        },
        ..GROWING
    },
    Case {
        name: "grow_across_eof_from_another_folio",
        about: "of a write across EOF that begins a largest folio earlier, that folio's part is written",
        on: &[Kind::Thp],
        setup: part_page,
        op: |f| f.pwrite(f.page - 2, &[1; 200]),
        expect: Returns(2),
        after: |f| {
            f.size_is(f.page + 100)?;
            f.bytes_are(f.page - 2, &[1, 1, 0x5b, 0])
        },
        ..GROWING
    },
];
