// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The seals that were there before: what the series must not change.

use crate::case::*;
use crate::need::Need;
use crate::sys::seal;
use crate::udmabuf;
use crate::world::fresh;
use nix::errno::Errno::*;

/// A row that every kernel must pass.
const OLD: Case = Case { setup: fresh, ..CONTROL };

pub const CASES: &[Case] = &[
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
];
