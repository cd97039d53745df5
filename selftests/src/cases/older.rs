// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The seals that were there before: what the series must not change.

use crate::case::*;
use crate::need::Need;
use crate::sys::{RW, mfd, seal};
use crate::udmabuf;
use crate::world::{fresh, with_flags};
use libc::MAP_SHARED;
use nix::errno::Errno::*;

/// A row that every kernel must pass.
const OLD: Case = Case { setup: fresh, ..CONTROL };

pub const CASES: &[Case] = &[
    Case {
        name: "write_with_writable_map",
        about: "F_SEAL_WRITE is EBUSY while a writable shared mapping exists",
        setup: |given| fresh(given)?.map(RW),
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EBUSY),
        ..OLD
    },
    Case {
        name: "future_write_mmap",
        about: "F_SEAL_FUTURE_WRITE refuses a writable shared mmap(2) with EPERM",
        setup: |given| fresh(given)?.map(RW)?.seal(seal::FUTURE_WRITE),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EPERM),
        ..OLD
    },
    Case {
        name: "udmabuf_write",
        about: "UDMABUF_CREATE refuses a file with F_SEAL_WRITE",
        needs: &[Need::Udmabuf],
        setup: |given| fresh(given)?.seal(seal::SHRINK | seal::WRITE),
        op: |f| Ok(udmabuf::create(f).map(|_| 0)?),
        expect: Fails(EINVAL),
        ..OLD
    },
    Case {
        name: "udmabuf_future_write",
        about: "UDMABUF_CREATE refuses a file with F_SEAL_FUTURE_WRITE",
        needs: &[Need::Udmabuf],
        setup: |given| fresh(given)?.seal(seal::SHRINK | seal::FUTURE_WRITE),
        op: |f| Ok(udmabuf::create(f).map(|_| 0)?),
        expect: Fails(EINVAL),
        ..OLD
    },
    Case {
        name: "exec_still_chmods_what_is_not_sealed",
        about: "without F_SEAL_EXEC the execute bits can be changed",
        on: BARE,
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC),
        op: |f| {
            let mode = nix::sys::stat::Mode::from_bits_retain(0o644);
            Ok(nix::sys::stat::fchmod(&f.fd, mode).map(|()| 0)?)
        },
        expect: Returns(0),
        ..OLD
    },
];
