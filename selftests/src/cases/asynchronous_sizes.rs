// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! io_uring requests that set sizes, allocate and punch holes.

use crate::case::*;
use crate::need::Need;
use crate::sys::{self, seal};
use crate::uring::{self, Fd};
use crate::world::{World, same, sealed};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, O_RDWR, O_TRUNC, O_WRONLY};
use nix::errno::Errno::*;
use std::ffi::CString;

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

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
/// Sizes and holes: on both file systems.
const URING_SIZE: Case = Case { rules: &[5], on: BOTH, ..URING };

/// IORING_OP_OPENAT of the file's path with these flags; it is closed again.
fn open(f: &World, flags: i32) -> Got {
    let path = CString::new(f.path()).expect("no NUL");
    let fd = uring::once(uring::open(&path, flags | libc::O_CLOEXEC))?;
    drop(sys::own(fd as i32));
    Ok(0)
}

pub const CASES: &[Case] = &[
    Case {
        name: "uring_shrink",
        about: "an io_uring ftruncate to a smaller size fails",
        needs: &[Need::UringTruncate],
        under: NO_SHRINK,
        op: |f| uring::once(uring::ftruncate(Fd::of(f), 0)),
        ..URING_SIZE
    },
    Case {
        name: "uring_grow",
        about: "an io_uring ftruncate to a larger size fails",
        needs: &[Need::UringTruncate],
        under: NO_GROW,
        op: |f| uring::once(uring::ftruncate(Fd::of(f), f.size + f.page)),
        ..URING_SIZE
    },
    Case {
        name: "uring_shrink_allowed",
        about: "an io_uring ftruncate to a smaller size works under the other seals",
        needs: &[Need::UringTruncate],
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
        needs: &[Need::UringTruncate],
        under: NO_SHRINK,
        setup: uring::registered,
        op: |f| uring::ring(f).run(uring::ftruncate(Fd::Registered, 0)),
        ..URING_SIZE
    },
    Case {
        name: "uring_registered_punch",
        about: "an io_uring fallocate of a file registered before the seal fails",
        rules: &[7],
        under: NO_WRITE,
        setup: uring::registered,
        op: |f| {
            let len = f.page;
            uring::ring(f).run(uring::fallocate(Fd::Registered, PUNCH, 0, len))
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
