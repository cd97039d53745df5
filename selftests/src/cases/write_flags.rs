// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! pwritev2(2) with each of its flags: those that memfds support, and those that they lack.

use crate::calls::{DATA, pwritev2};
use crate::case::*;
use crate::door::Door;
use crate::need::Need;
use crate::sys;
use crate::sys::seal;
use crate::world::{World, sealed};
use libc::{O_APPEND, O_RDWR, O_WRONLY, c_int};
use libc::{RWF_APPEND, RWF_ATOMIC, RWF_DONTCACHE, RWF_DSYNC, RWF_HIPRI, RWF_NOAPPEND};
use libc::{RWF_NOWAIT, RWF_SYNC};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

/// A flag that no kernel has.
const RWF_UNKNOWN: c_int = 0x4000_0000;
const APPENDERS: &[Door] = &[
    Door::Before(O_RDWR | O_APPEND),
    Door::After(O_RDWR | O_APPEND),
    Door::After(O_WRONLY | O_APPEND),
];

const REFUSED: Case =
    Case { rules: &[3], on: PLAIN, under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
const ALLOWED: Case = Case {
    on: PLAIN,
    under: MAY_WRITE,
    setup: sealed,
    expect: Returns(4),
    after: |f| {
        f.size_is(f.size)?;
        f.bytes_are(1, b"test\0")
    },
    ..CONTROL
};
/// What memfds lack, whatever their seals.
const LACKING: Case = Case {
    rules: &[3],
    on: PLAIN,
    under: ANY,
    setup: sealed,
    expect: Fails(EOPNOTSUPP),
    hollow: Deviation::Passes("the flags are looked at first"),
    ..CASE
};
const ANY: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW];
const NOTHING: Case = Case {
    rules: &[4],
    on: PLAIN,
    under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW, seal::SHRINK],
    setup: sealed,
    expect: Returns(0),
    after: |f| f.unchanged(),
    ..CASE
};

/// `pwritev2(2)` of four bytes at 1 with these flags.
fn flagged<const FLAGS: c_int>(f: &mut World) -> Got {
    pwritev2(f, &[DATA], 1, FLAGS)
}

/// `pwritev2(2)` with this many of three iovecs without a byte and these flags.
fn nothing<const COUNT: usize, const FLAGS: c_int>(f: &mut World) -> Got {
    pwritev2(f, &[&[] as &[u8]; 3][..COUNT], 1, FLAGS)
}

pub const CASES: &[Case] = &[
    Case { name: "none", about: "pwritev2(2) without a flag fails", op: flagged::<0>, ..REFUSED },
    Case {
        name: "hipri",
        about: "pwritev2(2) with RWF_HIPRI fails",
        op: flagged::<RWF_HIPRI>,
        ..REFUSED
    },
    Case {
        name: "dsync",
        about: "pwritev2(2) with RWF_DSYNC fails",
        op: flagged::<RWF_DSYNC>,
        ..REFUSED
    },
    Case {
        name: "sync",
        about: "pwritev2(2) with RWF_SYNC fails",
        op: flagged::<RWF_SYNC>,
        ..REFUSED
    },
    Case {
        name: "append",
        about: "pwritev2(2) with RWF_APPEND fails",
        on: SHMEM,
        op: flagged::<RWF_APPEND>,
        ..REFUSED
    },
    Case {
        name: "noappend",
        about: "pwritev2(2) with RWF_NOAPPEND fails, through O_APPEND descriptors too",
        needs: &[Need::Noappend],
        through: &[Door::Original, Door::Before(O_RDWR | O_APPEND), Door::After(O_RDWR | O_APPEND)],
        op: flagged::<RWF_NOAPPEND>,
        ..REFUSED
    },
    Case {
        name: "all_supported",
        about: "pwritev2(2) with every flag that memfds support fails",
        op: flagged::<{ RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_APPEND }>,
        ..REFUSED
    },
    Case {
        name: "hipri_allowed",
        about: "pwritev2(2) with RWF_HIPRI works under the other seals",
        op: flagged::<RWF_HIPRI>,
        ..ALLOWED
    },
    Case {
        name: "dsync_allowed",
        about: "pwritev2(2) with RWF_DSYNC works under the other seals",
        op: flagged::<RWF_DSYNC>,
        ..ALLOWED
    },
    Case {
        name: "sync_allowed",
        about: "pwritev2(2) with RWF_SYNC works under the other seals",
        op: flagged::<RWF_SYNC>,
        ..ALLOWED
    },
    Case {
        name: "append_allowed",
        about: "pwritev2(2) with RWF_APPEND grows a file whose seals allow it",
        on: SHMEM,
        under: MAY_WRITE_PAST_EOF,
        op: flagged::<RWF_APPEND>,
        after: |f| {
            f.offset_is(5)?;
            f.bytes_are(f.size, DATA)
        },
        ..ALLOWED
    },
    Case {
        name: "append_grow",
        about: "pwritev2(2) with RWF_APPEND fails under F_SEAL_GROW, wherever its offset is",
        on: SHMEM,
        under: &[seal::GROW],
        op: flagged::<RWF_APPEND>,
        ..REFUSED
    },
    Case {
        name: "noappend_allowed",
        about: "pwritev2(2) with RWF_NOAPPEND writes below EOF through O_APPEND descriptors",
        needs: &[Need::Noappend],
        through: APPENDERS,
        op: flagged::<RWF_NOAPPEND>,
        ..ALLOWED
    },
    Case {
        name: "nowait",
        about: "pwritev2(2) with RWF_NOWAIT, which memfds lack, is EOPNOTSUPP first",
        op: flagged::<RWF_NOWAIT>,
        ..LACKING
    },
    Case {
        name: "atomic",
        about: "pwritev2(2) with RWF_ATOMIC, which memfds lack, is EOPNOTSUPP first",
        op: flagged::<RWF_ATOMIC>,
        ..LACKING
    },
    Case {
        name: "dontcache",
        about: "pwritev2(2) with RWF_DONTCACHE, which memfds lack, is EOPNOTSUPP first",
        op: flagged::<RWF_DONTCACHE>,
        ..LACKING
    },
    Case {
        name: "unknown",
        about: "pwritev2(2) with an unknown flag is EOPNOTSUPP first",
        op: flagged::<RWF_UNKNOWN>,
        ..LACKING
    },
    Case {
        name: "append_and_noappend",
        about: "pwritev2(2) with RWF_APPEND and RWF_NOAPPEND is EINVAL first",
        needs: &[Need::Noappend],
        op: flagged::<{ RWF_APPEND | RWF_NOAPPEND }>,
        expect: Fails(EINVAL),
        ..LACKING
    },
    Case {
        name: "no_iovec",
        about: "pwritev2(2) of no iovec returns 0",
        op: nothing::<0, 0>,
        ..NOTHING
    },
    Case {
        name: "no_iovec_append",
        about: "pwritev2(2) of no iovec with RWF_APPEND returns 0",
        op: nothing::<0, RWF_APPEND>,
        ..NOTHING
    },
    Case {
        name: "no_iovec_unknown",
        about: "pwritev2(2) of no iovec returns 0 before it looks at its flags",
        op: nothing::<0, RWF_UNKNOWN>,
        ..NOTHING
    },
    Case {
        name: "empty_iovecs",
        about: "pwritev2(2) of three iovecs without a byte returns 0",
        op: nothing::<3, 0>,
        ..NOTHING
    },
    Case {
        name: "too_many_iovecs",
        about: "pwritev2(2) of more than 1024 iovecs is EINVAL first",
        op: |f| {
            let iov = vec![[0usize; 2]; 1025];
            let args = [f.fd.as_raw_fd() as usize, iov.as_ptr() as usize, iov.len(), 0, 0, 0];
            Ok(sys::call(libc::SYS_pwritev2, args)?)
        },
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("the count is looked at first"),
        ..LACKING
    },
];
