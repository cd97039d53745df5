// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Linux AIO and io_uring.

use crate::aio;
use crate::calls::{DATA, pipe_is_full, with_pipe};
use crate::case::*;
use crate::door::{Door, READERS};
use crate::need::Need;
use crate::sys::{self, seal};
use crate::uring::{self, Fd, Ring};
use crate::world::{World, fresh, same, sealed};
use io_uring::squeue::Flags;
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_APPEND, O_RDWR, O_TRUNC, O_WRONLY};
use nix::errno::Errno::*;
use std::ffi::CString;

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const FIRST: Deviation = Deviation::Passes("it is looked at first");
const HUGETLB_NEVER: Deviation = Deviation::Passes("hugetlbfs never had write(2)");
const APPENDING: &[Door] = &[Door::Before(O_RDWR | O_APPEND), Door::After(O_RDWR | O_APPEND)];

const AIO: Case = Case {
    rules: &[3],
    on: PLAIN,
    under: NO_WRITE,
    needs: &[Need::Aio],
    setup: sealed,
    starved: aio::NO_REQUEST,
    expect: Fails(EPERM),
    ..CASE
};
const AIO_ALLOWED: Case = Case {
    rules: &[],
    under: MAY_WRITE,
    expect: Returns(4),
    after: |f| {
        f.offset_is(5)?;
        f.bytes_are(1, b"test\0")
    },
    ..AIO
};
const URING: Case = Case {
    rules: &[3],
    on: PLAIN,
    under: NO_WRITE,
    needs: &[Need::IoUring],
    setup: sealed,
    starved: uring::NO_WORKER,
    expect: Fails(EPERM),
    ..CASE
};
const URING_ALLOWED: Case = Case { needs: &[Need::IoUring], starved: STEPS, ..AIO_ALLOWED };
/// Sizes and holes: on both file systems.
const URING_SIZE: Case = Case { rules: &[5], on: BOTH, ..URING };

/// A file whose seals come after a ring that has it registered.
fn registered(given: Given) -> Setup {
    in_ring(given, Ring::new().map_err(|e| format!("ring: {e:?}"))?)
}

/// The same with a ring of which a thread of the kernel's takes its requests.
fn polled(given: Given) -> Setup {
    in_ring(given, Ring::polled().map_err(|e| format!("ring: {e:?}"))?)
}

fn in_ring(given: Given, ring: Ring) -> Setup {
    let mut world = fresh(given)?;
    let ring = ring.with_buffer(DATA).and_then(|ring| ring.register(&world.fd));
    world.ring = Some(ring.map_err(|e| format!("ring: {e:?}"))?);
    world.seal_alone(given.seals)
}

fn ring(f: &mut World) -> &mut Ring {
    f.ring.as_mut().expect("the setup makes a ring")
}

fn iovec() -> [libc::iovec; 1] {
    [libc::iovec { iov_base: DATA.as_ptr() as *mut _, iov_len: DATA.len() }]
}

/// IORING_OP_OPENAT of the file's path with these flags; it is closed again.
fn open(f: &World, flags: i32) -> Got {
    let path = CString::new(f.path()).expect("no NUL");
    let fd = uring::once(uring::open(&path, flags | libc::O_CLOEXEC))?;
    drop(sys::own(fd as i32));
    Ok(0)
}

pub const CASES: &[Case] = &[
    Case {
        name: "aio_pwrite",
        about: "an AIO write fails",
        on: SHMEM,
        op: |f| aio::pwrite(&f.fd, DATA, 1, 0),
        ..AIO
    },
    Case {
        name: "aio_pwrite_allowed",
        about: "an AIO write works under the other seals",
        op: |f| aio::pwrite(&f.fd, DATA, 1, 0),
        ..AIO_ALLOWED
    },
    Case {
        name: "aio_pwritev",
        about: "an AIO vectored write fails",
        op: |f| aio::pwritev(&f.fd, &iovec(), 1),
        ..AIO
    },
    Case {
        name: "aio_pwritev_allowed",
        about: "an AIO vectored write works under the other seals",
        op: |f| aio::pwritev(&f.fd, &iovec(), 1),
        ..AIO_ALLOWED
    },
    Case {
        name: "aio_sync",
        about: "an AIO write with RWF_SYNC fails",
        op: |f| aio::pwrite(&f.fd, DATA, 1, libc::RWF_SYNC),
        ..AIO
    },
    Case {
        name: "aio_append",
        about: "an AIO write with RWF_APPEND fails, under F_SEAL_GROW too",
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        op: |f| aio::pwrite(&f.fd, DATA, 1, libc::RWF_APPEND),
        ..AIO
    },
    Case {
        name: "aio_o_append",
        about: "an AIO write through an O_APPEND descriptor fails, under F_SEAL_GROW too",
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        through: APPENDING,
        op: |f| aio::pwrite(&f.fd, DATA, 1, 0),
        ..AIO
    },
    Case {
        name: "aio_nowait",
        about: "an AIO write with RWF_NOWAIT, which memfds lack, is EOPNOTSUPP first",
        under: ANY_WRITE,
        op: |f| aio::pwrite(&f.fd, DATA, 1, libc::RWF_NOWAIT),
        expect: Fails(EOPNOTSUPP),
        hollow: FIRST,
        ..AIO
    },
    Case {
        name: "aio_readers",
        about: "an AIO write through a descriptor that can't write is EBADF whatever the seals",
        under: ANY_WRITE,
        through: READERS,
        op: |f| aio::pwrite(&f.fd, DATA, 1, 0),
        expect: Fails(EBADF),
        hollow: FIRST,
        ..AIO
    },
    Case {
        name: "aio_hugetlb",
        about: "hugetlbfs has no AIO write: EINVAL",
        rules: &[24],
        on: HUGETLB,
        under: ANY_WRITE,
        op: |f| aio::pwrite(&f.fd, DATA, 0, 0),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..AIO
    },
    Case {
        name: "aio_fsync",
        about: "an AIO fsync works under every seal",
        rules: &[18],
        under: ANY_WRITE,
        op: |f| aio::fsync(&f.fd),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..AIO
    },
    Case {
        name: "aio_fdsync",
        about: "an AIO fdatasync works under every seal",
        rules: &[18],
        under: ANY_WRITE,
        op: |f| aio::fdsync(&f.fd),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..AIO
    },
    Case {
        name: "uring_write",
        about: "an io_uring write fails",
        on: SHMEM,
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 1, 0)),
        ..URING
    },
    Case {
        name: "uring_write_allowed",
        about: "an io_uring write works under the other seals",
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 1, 0)),
        ..URING_ALLOWED
    },
    Case {
        name: "uring_write_at_offset",
        about: "an io_uring write at the file's own offset fails and does not move it",
        op: |f| uring::once(uring::write(Fd::of(f), DATA, u64::MAX, 0)),
        ..URING
    },
    Case {
        name: "uring_write_sync",
        about: "an io_uring write with RWF_SYNC fails",
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 1, libc::RWF_SYNC)),
        ..URING
    },
    Case {
        name: "uring_write_append",
        about: "an io_uring write with RWF_APPEND fails, under F_SEAL_GROW too",
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 1, libc::RWF_APPEND)),
        ..URING
    },
    Case {
        name: "uring_write_async",
        about: "an io_uring write that a worker makes fails",
        on: SHMEM,
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 1, 0).flags(Flags::ASYNC)),
        ..URING
    },
    Case {
        name: "uring_write_readers",
        about: "an io_uring write through a descriptor that can't write is EBADF as ever",
        under: ANY_WRITE,
        through: READERS,
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 1, 0)),
        expect: Fails(EBADF),
        hollow: FIRST,
        ..URING
    },
    Case {
        name: "uring_write_hugetlb",
        about: "hugetlbfs has no io_uring write: EINVAL",
        rules: &[24],
        on: HUGETLB,
        under: ANY_WRITE,
        op: |f| uring::once(uring::write(Fd::of(f), DATA, 0, 0)),
        expect: Fails(EINVAL),
        hollow: HUGETLB_NEVER,
        ..URING
    },
    Case {
        name: "uring_writev",
        about: "an io_uring vectored write fails",
        op: |f| {
            let parts = iovec();
            uring::once(uring::writev(f, &parts, 1))
        },
        ..URING
    },
    Case {
        name: "uring_write_fixed",
        about: "an io_uring write from a fixed buffer fails",
        setup: registered,
        op: |f| {
            let fd = Fd::of(f);
            ring(f).write_fixed(fd, 4, 1)
        },
        ..URING
    },
    Case {
        name: "uring_write_fixed_allowed",
        about: "an io_uring write from a fixed buffer works under the other seals",
        setup: registered,
        op: |f| {
            let fd = Fd::of(f);
            ring(f).write_fixed(fd, 4, 1)
        },
        ..URING_ALLOWED
    },
    Case {
        name: "uring_registered",
        about: "an io_uring write to a file registered before the seal fails",
        on: SHMEM,
        setup: registered,
        op: |f| ring(f).run(uring::write(Fd::Registered, DATA, 1, 0)),
        ..URING
    },
    Case {
        name: "uring_registered_fixed",
        about: "an io_uring write from a fixed buffer to a file registered before the seal fails",
        setup: registered,
        op: |f| ring(f).write_fixed(Fd::Registered, 4, 1),
        ..URING
    },
    Case {
        name: "uring_registered_allowed",
        about: "an io_uring write to a registered file works under the other seals",
        setup: registered,
        op: |f| ring(f).run(uring::write(Fd::Registered, DATA, 1, 0)),
        ..URING_ALLOWED
    },
    Case {
        name: "uring_polled",
        about: "an io_uring write that the kernel's own thread takes fails",
        setup: polled,
        op: |f| ring(f).run(uring::write(Fd::Registered, DATA, 1, 0)),
        ..URING
    },
    Case {
        name: "uring_linked",
        about: "an io_uring write linked behind one that works fails",
        op: |f| {
            let other = sys::memfd_create("other", 0)?;
            let first =
                uring::write(Fd::Number(std::os::fd::AsRawFd::as_raw_fd(&other)), DATA, 0, 0);
            let last = uring::write(Fd::of(f), DATA, 1, 0);
            let mut got = Ring::new()?.run_all(&[first.flags(Flags::IO_LINK), last])?;
            let last = got.pop().expect("two");
            // Not EPERM, if the first did not work.
            got.pop().expect("two").and(last)
        },
        ..URING
    },
    Case {
        name: "uring_breaks_link",
        about: "an io_uring write that the seal refuses cancels what is linked behind it",
        op: |f| {
            let first = uring::write(Fd::of(f), DATA, 1, 0).flags(Flags::IO_LINK);
            let mut got = Ring::new()?.run_all(&[first, uring::fsync(Fd::of(f))])?;
            got.pop().expect("two")
        },
        expect: Fails(ECANCELED),
        ..URING
    },
    Case {
        name: "uring_splice",
        about: "an io_uring splice from a pipe fails; the pipe keeps its bytes",
        on: SHMEM,
        setup: |given| with_pipe(sealed(given)?),
        op: |f| uring::once(uring::splice(f, &f.kept[1], 1, 4)),
        after: pipe_is_full,
        ..URING
    },
    Case {
        name: "uring_splice_allowed",
        about: "an io_uring splice from a pipe works under the other seals",
        setup: |given| with_pipe(sealed(given)?),
        op: |f| uring::once(uring::splice(f, &f.kept[1], 1, 4)),
        ..URING_ALLOWED
    },
    Case {
        name: "uring_shrink",
        about: "an io_uring ftruncate to a smaller size fails",
        under: NO_SHRINK,
        op: |f| uring::once(uring::ftruncate(Fd::of(f), 0)),
        ..URING_SIZE
    },
    Case {
        name: "uring_grow",
        about: "an io_uring ftruncate to a larger size fails",
        under: NO_GROW,
        op: |f| uring::once(uring::ftruncate(Fd::of(f), f.size + f.page)),
        ..URING_SIZE
    },
    Case {
        name: "uring_shrink_allowed",
        about: "an io_uring ftruncate to a smaller size works under the other seals",
        rules: &[],
        under: MAY_SHRINK,
        op: |f| uring::once(uring::ftruncate(Fd::of(f), f.page)),
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.size_is(f.page),
        ..URING_SIZE
    },
    Case {
        name: "uring_punch",
        about: "an io_uring fallocate that punches a hole fails",
        rules: &[7],
        under: NO_WRITE,
        op: |f| uring::once(uring::fallocate(Fd::of(f), PUNCH, 0, f.page)),
        ..URING_SIZE
    },
    Case {
        name: "uring_allocate",
        about: "an io_uring fallocate inside i_size fails",
        rules: &[7],
        under: &[seal::FS_WRITE],
        op: |f| uring::once(uring::fallocate(Fd::of(f), 0, 0, f.page)),
        ..URING_SIZE
    },
    Case {
        name: "uring_allocate_past_eof",
        about: "an io_uring fallocate past EOF fails",
        rules: &[7],
        under: NO_GROW,
        op: |f| uring::once(uring::fallocate(Fd::of(f), 0, f.size, f.page)),
        ..URING_SIZE
    },
    Case {
        name: "uring_allocate_allowed",
        about: "an io_uring fallocate inside i_size works under the other seals",
        rules: &[],
        under: MAY_ALLOCATE,
        op: |f| uring::once(uring::fallocate(Fd::of(f), 0, 0, f.page)),
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..URING_SIZE
    },
    Case {
        name: "uring_registered_size",
        about: "an io_uring ftruncate of a file registered before the seal fails",
        under: NO_SHRINK,
        setup: registered,
        op: |f| ring(f).run(uring::ftruncate(Fd::Registered, 0)),
        ..URING_SIZE
    },
    Case {
        name: "uring_registered_punch",
        about: "an io_uring fallocate of a file registered before the seal fails",
        rules: &[7],
        under: NO_WRITE,
        setup: registered,
        op: |f| {
            let len = f.page;
            ring(f).run(uring::fallocate(Fd::Registered, PUNCH, 0, len))
        },
        ..URING_SIZE
    },
    Case {
        name: "uring_o_trunc",
        about: "an io_uring openat with O_TRUNC fails",
        under: NO_SHRINK,
        op: |f| open(f, O_RDWR | O_TRUNC),
        ..URING_SIZE
    },
    Case {
        name: "uring_o_trunc_wronly",
        about: "an io_uring openat with O_WRONLY and O_TRUNC fails",
        under: NO_SHRINK,
        op: |f| open(f, O_WRONLY | O_TRUNC),
        ..URING_SIZE
    },
    Case {
        name: "uring_o_trunc_allowed",
        about: "an io_uring openat with O_TRUNC empties a file whose seals allow it",
        rules: &[],
        under: MAY_SHRINK,
        op: |f| open(f, O_RDWR | O_TRUNC),
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.size_is(0),
        ..URING_SIZE
    },
    Case {
        name: "uring_fsync",
        about: "an io_uring fsync works under every seal",
        rules: &[18],
        under: ANY_WRITE,
        op: |f| uring::once(uring::fsync(Fd::of(f))),
        expect: Returns(0),
        after: |f| {
            f.unchanged()?;
            same("seals", true, f.seals_are(f.given.seals).is_ok())
        },
        ..URING_SIZE
    },
];
