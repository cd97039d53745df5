// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What F_ADD_SEALS and F_GET_SEALS refuse, and which refusal comes first.

use super::sealing::OPEN;
use crate::case::*;
use crate::door::{PATHS, READERS};
use crate::sys::{self, RW, seal};
use crate::world::{each, fresh, same, with_flags};
use nix::errno::Errno::*;

/// For rows whose refusal is none of the seal's own.
pub const NOT_FS_WRITE: Deviation = Deviation::Passes("another check than this seal's refuses it");

/// Bits that are no seals, the next one first.
const UNKNOWN: std::ops::Range<u32> = 7..32;

pub const CASES: &[Case] = &[
    Case {
        name: "add_through_rdonly",
        about: "a descriptor opened O_RDONLY can't add it",
        rules: &[20],
        on: BOTH,
        under: EACH_SEAL,
        through: READERS,
        setup: fresh,
        op: |f| f.add_seals(f.given.seals),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "add_through_path",
        about: "a descriptor opened O_PATH can't add it: EBADF",
        rules: &[20],
        on: BOTH,
        under: &[0, seal::GROW, seal::FS_WRITE],
        through: PATHS,
        setup: fresh,
        op: |f| each([0, 1 << 31], |more| f.add_seals(f.given.seals | more)),
        expect: Fails(EBADF),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "get_through_path",
        about: "F_GET_SEALS on a descriptor opened O_PATH is EBADF",
        on: BOTH,
        through: PATHS,
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| Ok(sys::get_seals(&f.fd)?),
        expect: Fails(EBADF),
        ..CONTROL
    },
    Case {
        name: "nothing_after_seal",
        about: "adding no seal after F_SEAL_SEAL is EPERM all the same",
        on: BOTH,
        under: &[seal::SEAL, seal::SEAL | seal::FS_WRITE],
        setup: |given| fresh(given)?.seal(given.seals),
        op: |f| f.add_seals(0),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "nothing_through_rdonly",
        about: "adding no seal through O_RDONLY is EPERM all the same",
        on: BOTH,
        through: READERS,
        setup: fresh,
        op: |f| f.add_seals(0),
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "after_seal",
        about: "F_SEAL_SEAL keeps every seal from being added, itself too",
        rules: &[20],
        under: EACH_SEAL,
        setup: |given| fresh(given)?.seal(seal::SEAL),
        op: |f| f.add_seals(f.given.seals),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "after_seal_is_there_already",
        about: "after F_SEAL_SEAL a seal that is there already can't be added again either",
        rules: &[20],
        on: BOTH,
        under: OPEN,
        setup: |given| fresh(given)?.seal(given.seals)?.seal(seal::SEAL),
        op: |f| f.add_seals(f.given.seals),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "without_allow_sealing",
        about: "a memfd that was not created for sealing has F_SEAL_SEAL and takes no seal",
        rules: &[20],
        on: BARE,
        under: EACH_SEAL,
        setup: |given| with_flags(given, crate::need::mfd_exec()),
        op: |f| f.add_seals(f.given.seals),
        expect: Fails(EPERM),
        after: |f| same("seals", Ok(1), sys::get_seals(&f.fd)),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "unknown",
        about: "each unknown seal is EINVAL, and nothing is applied of what is asked for beside it",
        rules: &[2],
        on: BOTH,
        under: &[
            0,
            seal::SEAL,
            seal::SHRINK,
            seal::GROW,
            seal::WRITE,
            seal::FUTURE_WRITE,
            seal::EXEC,
            seal::FS_WRITE,
            0x7f,
        ],
        setup: fresh,
        op: |f| each(UNKNOWN, |bit| f.add_seals(f.given.seals | 1 << bit)),
        expect: Fails(EINVAL),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "unknown_after_seal",
        about: "an unknown seal is EINVAL also after F_SEAL_SEAL: it is looked at first",
        on: BOTH,
        setup: |given| with_flags(given, crate::need::mfd_exec()),
        op: |f| each(UNKNOWN, |bit| f.add_seals(1 << bit)),
        expect: Fails(EINVAL),
        ..CONTROL
    },
    Case {
        name: "unknown_with_writable_map",
        about: "an unknown seal beside F_SEAL_WRITE is EINVAL, not EBUSY, while a writable mapping is left",
        on: BOTH,
        setup: |given| fresh(given)?.map(RW),
        op: |f| f.add_seals(seal::WRITE | 1 << 7),
        expect: Fails(EINVAL),
        ..CONTROL
    },
    Case {
        name: "unknown_through_rdonly",
        about: "an unknown seal through O_RDONLY is EPERM: that is looked at first",
        on: BOTH,
        through: READERS,
        setup: fresh,
        op: |f| each(UNKNOWN, |bit| f.add_seals(1 << bit)),
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "write_after_seal_with_writable_map",
        about: "F_SEAL_WRITE after F_SEAL_SEAL is EPERM, not EBUSY, while a writable mapping is left",
        on: BOTH,
        setup: |given| fresh(given)?.map(RW)?.seal(seal::SEAL),
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EPERM),
        ..CONTROL
    },
];
