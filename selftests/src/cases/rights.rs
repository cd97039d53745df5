// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! mprotect(2) where it must go on working: on mappings from before a seal, and without one.

use super::protecting::{LOOKS, locked, pkey_mprotect};
use crate::case::*;
use crate::door::READERS;
use crate::mapped::{
    HARMLESS, LATERS, RWX, may_write, new_ro, old_ro, permits, private_ro, protect, shared,
};
use crate::need::Need;
use crate::sys::{self, Map, RO, RW};
use crate::world::{fresh, outlives, sealed, sealed_unmapped};
use libc::{MAP_SHARED, PROT_NONE};
use nix::errno::Errno::*;
use nix::sys::signal::Signal::SIGSEGV;

/// A mapping of an O_RDWR descriptor, made before.
const BEFORE: Case = Case {
    rules: &[14, 15],
    on: BOTH,
    under: LATERS,
    setup: old_ro,
    expect: Returns(0),
    after: |f| f.reaches_file(f.old()),
    ..CASE
};

/// A file that nothing forbids to write.
const UNSEALED: Case = Case { rules: &[], under: HARMLESS, setup: new_ro, ..BEFORE };

/// A mapping as it is, nothing stored.
const BEFORE_AS_IT_IS: Case = Case { after: |f| f.unchanged(), ..BEFORE };

pub const CASES: &[Case] = &[
    Case {
        name: "before_flags",
        about: "smaps shows `mw` on a mapping made before",
        on: EVERY,
        op: may_write,
        starved: LOOKS,
        expect: Returns(1),
        ..BEFORE_AS_IT_IS
    },
    Case {
        name: "private_flags",
        about: "smaps shows `mw` on a private mapping made since",
        rules: &[11],
        on: EVERY,
        under: NO_WRITE,
        setup: private_ro,
        op: may_write,
        starved: LOOKS,
        expect: Returns(1),
        ..BEFORE_AS_IT_IS
    },
    Case {
        name: "unsealed_flags",
        about: "smaps shows `mw` on a shared mapping of a file that nothing forbids to write",
        rules: &[],
        on: EVERY,
        under: HARMLESS,
        setup: new_ro,
        op: may_write,
        starved: LOOKS,
        expect: Returns(1),
        ..BEFORE_AS_IT_IS
    },
    Case {
        name: "unsealed_rw",
        about: "a read-only mapping of a file that nothing forbids to write can be made writable",
        on: EVERY,
        op: protect::<RW>,
        ..UNSEALED
    },
    Case {
        name: "unsealed_none_to_rwx",
        about: "so can a PROT_NONE mapping of one",
        setup: |given| sealed_unmapped(given)?.map(PROT_NONE),
        op: protect::<RWX>,
        ..UNSEALED
    },
    Case {
        name: "unsealed_readers",
        about: "a shared mapping of an O_RDONLY descriptor can't be made writable, by the ordinary rule",
        under: HARMLESS,
        through: READERS,
        setup: sealed_unmapped,
        op: |f| {
            shared::<RO, 0>(f)?;
            Ok(f.made().protect(RW)?)
        },
        starved: STEPS,
        expect: Fails(EACCES),
        after: |f| permits(f.made(), "r--s"),
        ..UNSEALED
    },
    Case {
        name: "before_rw",
        about: "an old read-only mapping of an O_RDWR descriptor can be made writable",
        on: EVERY,
        op: protect::<RW>,
        ..BEFORE
    },
    Case {
        name: "before_rw_late",
        about: "it can after the descriptor is closed",
        setup: |given| {
            let mut world = old_ro(given)?;
            world.fd = world.reopen(libc::O_RDONLY).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: protect::<RW>,
        ..BEFORE
    },
    Case {
        name: "before_second_page",
        about: "a part of it can",
        op: |f| f.protect_part(f.page, f.page, RW),
        after: |f| f.second_reaches_file(f.old(), f.page),
        ..BEFORE
    },
    Case {
        name: "before_none_to_rw",
        about: "an old mapping that was made PROT_NONE for a while can be writable again",
        setup: |given| {
            let world = sealed(given)?;
            world.old().protect(PROT_NONE).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: protect::<RW>,
        ..BEFORE
    },
    Case {
        name: "before_born_none_to_rwx",
        about: "an old mapping that was never anything but PROT_NONE can get all three",
        setup: |given| fresh(given)?.map(PROT_NONE)?.seal(given.seals),
        op: protect::<RWX>,
        ..BEFORE
    },
    Case {
        name: "before_to_ro_and_back",
        about: "an old writable mapping can be read-only and writable again",
        setup: sealed,
        op: |f| {
            f.old().protect(RO)?;
            Ok(f.old().protect(RW)?)
        },
        starved: STEPS,
        ..BEFORE
    },
    Case {
        name: "before_forked",
        about: "a forked child can make an old read-only mapping writable, and stores",
        op: |f| {
            outlives(|| {
                f.old().protect(RW).expect("mprotect");
                f.old().store(1, 9);
            })
        },
        starved: IN_CHILD,
        after: |f| {
            permits(f.old(), "r--s")?;
            f.byte_is(1, 9)
        },
        ..BEFORE
    },
    Case {
        name: "before_pkey_mprotect",
        about: "pkey_mprotect(2) makes an old read-only mapping writable",
        needs: &[Need::PkeyMprotect],
        op: |f| pkey_mprotect(f.old(), RW, -1),
        ..BEFORE
    },
    Case {
        name: "before_pkey_denies",
        about: "a key that denies writes denies them to an old writable mapping",
        needs: &[Need::Pkeys],
        setup: |given| locked(sealed(given)?, RW),
        op: |f| outlives(|| f.old().store(1, 9)),
        starved: IN_CHILD,
        expect: Dies(SIGSEGV),
        after: |f| {
            f.unchanged()?;
            sys::wrpkru(0);
            f.reaches_file(f.old())
        },
        ..BEFORE
    },
    Case {
        name: "before_readers",
        about: "an old mapping of an O_RDONLY descriptor can't be made writable, by the ordinary rule",
        setup: |given| {
            let mut world = fresh(given)?;
            let reader = world.reopen(libc::O_RDONLY).map_err(|e| e.to_string())?;
            let map = Map::new(world.size, RO, MAP_SHARED, &reader, 0);
            world.old = Some(map.map_err(|e| e.to_string())?);
            world.seal(given.seals)
        },
        op: protect::<RW>,
        expect: Fails(EACCES),
        after: |f| permits(f.old(), "r--s"),
        hollow: Deviation::Passes("the descriptor was open for reading only"),
        ..BEFORE
    },
];
