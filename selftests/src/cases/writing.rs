// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every call that writes into the file.

use crate::case::*;
use crate::door::{READERS, WRITERS};
use crate::need::Need;
use crate::sys::{self, RW, mfd, seal};
use crate::world::{World, fresh, same, sealed, sealed_reopened};
use crate::{aio, uring};
use libc::c_int;
use nix::errno::Errno::{self, *};
use std::os::fd::{AsRawFd, OwnedFd};

pub const CASES: &[Case] = &[
    Case {
        name: "pwrite",
        about: "pwrite(2) inside i_size fails and changes nothing",
        rules: &[3, 16],
        on: SHMEM,
        under: NO_WRITE,
        through: WRITERS,
        setup: sealed,
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "pwrite_readers",
        about: "pwrite(2) through a descriptor that can't write is EBADF as ever",
        rules: &[17],
        on: SHMEM,
        under: NO_WRITE,
        through: READERS,
        setup: sealed,
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EBADF),
        hollow: Deviation::Passes("the descriptor can't write"),
        ..CASE
    },
    Case {
        name: "write",
        about: "write(2) fails and does not move the offset",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| f.write(b"test"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "write_without_a_map",
        about: "write(2) fails also where nothing was ever mapped",
        rules: &[3],
        on: SHMEM,
        setup: |given| fresh(given)?.seal(seal::FS_WRITE),
        op: |f| f.write(b"test"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "write_hugetlb",
        about: "hugetlbfs has no write(2): EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        setup: sealed,
        op: |f| f.write(b"test"),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..CASE
    },
    Case {
        name: "write_hugetlb_zero_length",
        about: "hugetlbfs has no write(2) of nothing either",
        rules: &[24],
        on: HUGETLB,
        setup: sealed,
        op: |f| f.write(b""),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..CASE
    },
    Case {
        name: "zero_length",
        about: "a write of no bytes succeeds, as with the other seals",
        rules: &[4],
        on: SHMEM,
        setup: sealed,
        op: |f| f.write(b""),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "pwrite_across_eof",
        about: "a pwrite(2) that starts inside and ends past EOF writes nothing",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| f.pwrite(f.size - 2, b"1234"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "pwrite_past_eof",
        about: "a pwrite(2) past EOF does not grow the file",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| f.pwrite(f.size + f.page, b"x"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "bad_buffer",
        about: "the seal is looked at before a bad user buffer: EPERM",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| Ok(sys::call(libc::SYS_pwrite64, [f.fd.as_raw_fd() as usize, 8, 4, 0, 0, 0])?),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "writev",
        about: "writev(2) fails",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| pwritev2(f, -1, 0),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "pwritev2_append",
        about: "pwritev2(2) with RWF_APPEND fails",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| pwritev2(f, 0, libc::RWF_APPEND),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "pwritev2_dsync",
        about: "pwritev2(2) with RWF_DSYNC fails",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| pwritev2(f, 0, libc::RWF_DSYNC),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "pwritev2_hipri",
        about: "pwritev2(2) with RWF_HIPRI fails",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| pwritev2(f, 0, libc::RWF_HIPRI),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "pwritev2_nowait",
        about: "pwritev2(2) with RWF_NOWAIT, which memfds do not support, is EOPNOTSUPP first",
        rules: &[3],
        on: SHMEM,
        setup: sealed,
        op: |f| pwritev2(f, 0, libc::RWF_NOWAIT),
        expect: Fails(EOPNOTSUPP),
        hollow: Deviation::Passes("the flag is looked at first"),
        ..CASE
    },
    Case {
        name: "o_append",
        about: "write(2) through an O_APPEND descriptor fails",
        rules: &[3],
        on: SHMEM,
        setup: |given| sealed_reopened(given, libc::O_RDWR | libc::O_APPEND),
        op: |f| f.write(b"test"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "o_direct",
        about: "write(2) through an O_DIRECT descriptor fails",
        rules: &[3],
        on: SHMEM,
        setup: |given| sealed_reopened(given, libc::O_RDWR | libc::O_DIRECT),
        op: |f| {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = sys::Map::at(0, f.page, RW, flags, -1, 0)?;
            let args = [f.fd.as_raw_fd() as usize, page.addr(), page.len(), 0, 0, 0];
            Ok(sys::call(libc::SYS_pwrite64, args)?)
        },
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "splice",
        about: "splice(2) from a pipe into it fails",
        rules: &[3],
        on: SHMEM,
        setup: |given| {
            let (reader, writer) = nix::unistd::pipe().map_err(|e| e.to_string())?;
            nix::unistd::write(&writer, b"test").map_err(|e| e.to_string())?;
            Ok(sealed(given)?.keep(writer).keep(reader))
        },
        op: |f| {
            let reader = f.kept[1].as_raw_fd() as usize;
            let args = [reader, 0, f.fd.as_raw_fd() as usize, 0, 4, 0];
            Ok(sys::call(libc::SYS_splice, args)?)
        },
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "sendfile",
        about: "sendfile(2) from another file into it fails and leaves the source's offset",
        rules: &[3],
        on: SHMEM,
        setup: |given| Ok(sealed(given)?.keep(source()?)),
        op: |f| {
            let args = [f.fd.as_raw_fd() as usize, f.kept[0].as_raw_fd() as usize, 0, 4, 0, 0];
            Ok(sys::call(libc::SYS_sendfile, args)?)
        },
        expect: Fails(EPERM),
        after: source_offset,
        ..CASE
    },
    Case {
        name: "copy_file_range",
        about: "copy_file_range(2) from another memfd into it fails and leaves the source's offset",
        rules: &[3],
        on: SHMEM,
        setup: |given| Ok(sealed(given)?.keep(source()?)),
        op: |f| {
            let args = [f.kept[0].as_raw_fd() as usize, 0, f.fd.as_raw_fd() as usize, 0, 4, 0];
            Ok(sys::call(libc::SYS_copy_file_range, args)?)
        },
        expect: Fails(EPERM),
        after: source_offset,
        ..CASE
    },
    Case {
        name: "aio",
        about: "an AIO write fails",
        rules: &[3],
        on: SHMEM,
        needs: &[Need::Aio],
        setup: sealed,
        op: |f| aio::pwrite(&f.fd, b"test", 0),
        starved: Starved::Or(EAGAIN, "io_submit(2) has no memory for a request"),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "io_uring",
        about: "an io_uring write fails",
        rules: &[3],
        on: SHMEM,
        needs: &[Need::IoUring],
        setup: sealed,
        op: |f| uring::write(f, b"test", 0),
        starved: uring::NO_WORKER,
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "unsealed",
        about: "a memfd without the seal is written as ever",
        on: SHMEM,
        setup: |given| fresh(given)?.map(RW),
        op: |f| f.pwrite(1, b"x"),
        expect: Returns(1),
        after: |f| f.byte_is(1, b'x'),
        ..CONTROL
    },
];

const HUGETLB_NEVER: Deviation = Deviation::Passes("hugetlbfs never had write(2)");

fn pwritev2(world: &World, offset: i64, flags: c_int) -> Got {
    Ok(sys::pwritev2(&world.fd, b"test", offset, flags)?)
}

/// An unsealed memfd with eight bytes, its offset at 2.
fn source() -> Result<OwnedFd, String> {
    let make = || -> Result<OwnedFd, Errno> {
        let fd = sys::memfd_create("source", mfd::CLOEXEC)?;
        nix::unistd::write(&fd, b"01234567")?;
        nix::unistd::lseek(&fd, 2, nix::unistd::Whence::SeekSet)?;
        Ok(fd)
    };
    make().map_err(|errno| format!("source: {errno:?}"))
}

fn source_offset(world: &mut World) -> Check {
    let here = nix::unistd::lseek(&world.kept[0], 0, nix::unistd::Whence::SeekCur);
    same("the source's offset", Ok(2), here)
}
