// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! mprotect(2): a mapping made since the seal can't become writable, one made before can.

use crate::case::*;
use crate::mapped::{
    EPERMS, LATER, OLDER, RWX, RX, WX, child_gets, may_write, new_ro, permits, protect,
};
use crate::need::Need;
use crate::sys::{self, Map, RO, RW, seal};
use crate::world::{World, outlives, readable, same, sealed, sealed_unmapped};
use libc::{MAP_POPULATE, MAP_SHARED, PROT_NONE, PROT_WRITE};
use nix::errno::Errno::*;
use nix::sys::signal::Signal::SIGSEGV;
use std::os::fd::AsRawFd;

/// A read-only shared mapping made since.
const SINCE: Case = Case {
    rules: &[10],
    on: BOTH,
    under: NO_WRITE,
    setup: new_ro,
    expect: Fails(EACCES),
    after: |f| {
        permits(f.old(), "r--s")?;
        readable(f.old())
    },
    ..CASE
};

pub const CASES: &[Case] = &[
    Case {
        name: "since_rw",
        about: "mprotect(2) of a read-only mapping made since to PROT_READ|PROT_WRITE fails",
        on: EVERY,
        op: protect::<RW>,
        ..SINCE
    },
    Case {
        name: "since_rw_with_others",
        about: "it fails where several write seals are set",
        rules: &[10],
        on: BOTH,
        under: EPERMS,
        op: protect::<RW>,
        hollow: Deviation::Passes("the other seal clears VM_MAYWRITE"),
        ..SINCE
    },
    Case {
        name: "since_w",
        about: "mprotect(2) to PROT_WRITE alone fails",
        op: protect::<PROT_WRITE>,
        ..SINCE
    },
    Case {
        name: "since_wx",
        about: "mprotect(2) to PROT_WRITE|PROT_EXEC fails",
        op: protect::<WX>,
        ..SINCE
    },
    Case {
        name: "since_rwx",
        about: "mprotect(2) to all three fails",
        op: protect::<RWX>,
        ..SINCE
    },
    Case {
        name: "since_first_page",
        about: "mprotect(2) of the first page alone fails, and splits nothing that shows",
        op: |f| f.protect_part(0, f.page, RW),
        ..SINCE
    },
    Case {
        name: "since_second_page",
        about: "mprotect(2) of the second page alone fails",
        op: |f| f.protect_part(f.page, f.page, RW),
        ..SINCE
    },
    Case {
        name: "since_split",
        about: "mprotect(2) fails on a part that was split off by another protection",
        setup: |given| {
            let world = new_ro(given)?;
            world.protect_part(0, world.page, PROT_NONE).map_err(|e| format!("{e:?}"))?;
            Ok(world)
        },
        op: |f| f.protect_part(0, f.page, RW),
        after: |f| permits(f.old(), "---s"),
        ..SINCE
    },
    Case {
        name: "since_none_to_rw",
        about: "mprotect(2) of a PROT_NONE mapping made since fails",
        setup: |given| sealed_unmapped(given)?.map(PROT_NONE),
        op: protect::<RW>,
        after: |f| permits(f.old(), "---s"),
        ..SINCE
    },
    Case {
        name: "since_through_none_to_rw",
        about: "a way through PROT_NONE does not help",
        setup: |given| {
            let world = new_ro(given)?;
            world.old().protect(PROT_NONE).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: protect::<RW>,
        after: |f| permits(f.old(), "---s"),
        ..SINCE
    },
    Case {
        name: "since_rx_to_rwx",
        about: "mprotect(2) of a mapping that may be executed to one that may be written too fails",
        setup: |given| sealed_unmapped(given)?.map(RX),
        op: protect::<RWX>,
        after: |f| permits(f.old(), "r-xs"),
        ..SINCE
    },
    Case {
        name: "since_populated",
        about: "it fails where the pages are there already, with MAP_POPULATE and by a load",
        setup: |given| {
            let mut world = sealed_unmapped(given)?;
            let map = world.mmap(RO, MAP_SHARED | MAP_POPULATE).map_err(|e| e.to_string())?;
            map.load(0);
            map.load(world.page);
            world.old = Some(map);
            Ok(world)
        },
        op: protect::<RW>,
        ..SINCE
    },
    Case {
        name: "since_forked",
        about: "a forked child can't make such a mapping writable either",
        op: |f| child_gets(|| f.old().protect(RW)),
        starved: IN_CHILD,
        ..SINCE
    },
    Case {
        name: "since_pkey_mprotect",
        about: "pkey_mprotect(2) without a key fails as mprotect(2) does",
        needs: &[Need::PkeyMprotect],
        op: |f| pkey_mprotect(f.old(), RW, -1),
        ..SINCE
    },
    Case {
        name: "since_pkey",
        about: "pkey_mprotect(2) with a key that denies nothing fails too",
        needs: &[Need::Pkeys],
        op: |f| pkey_mprotect(f.old(), RW, sys::pkey_alloc(0)? as i32),
        ..SINCE
    },
    Case {
        name: "since_pkey_opened",
        about: "a key that first denied writes and then does not makes such a mapping no writable one",
        needs: &[Need::Pkeys],
        setup: |given| locked(new_ro(given)?, RO),
        op: |f| {
            outlives(|| {
                sys::wrpkru(0);
                f.old().store(1, 9);
            })
        },
        starved: IN_CHILD,
        expect: Dies(SIGSEGV),
        after: |f| f.unchanged(),
        ..SINCE
    },
    Case {
        name: "since_store",
        about: "a store through a mapping made since is a SIGSEGV",
        op: |f| outlives(|| f.old().store(1, 9)),
        starved: IN_CHILD,
        expect: Dies(SIGSEGV),
        after: |f| f.unchanged(),
        ..SINCE
    },
    Case {
        name: "since_to_rx_and_none",
        about: "a mapping made since can be made executable, nothing, and readable again",
        op: |f| {
            f.old().protect(RX)?;
            f.old().protect(PROT_NONE)?;
            Ok(f.old().protect(RO)?)
        },
        starved: STEPS,
        expect: Returns(0),
        ..SINCE
    },
    Case {
        name: "since_flags",
        about: "smaps shows no `mw` on a mapping made since F_SEAL_FS_WRITE",
        under: &[seal::FS_WRITE],
        op: may_write,
        starved: LOOKS,
        expect: Returns(0),
        hollow: Deviation::Fails("VM_MAYWRITE is not cleared"),
        ..SINCE
    },
    Case {
        name: "since_flags_older",
        about: "smaps shows no `mw` on a mapping made since the other seals",
        rules: &[],
        under: OLDER,
        op: may_write,
        starved: LOOKS,
        expect: Returns(0),
        ..SINCE
    },
    Case {
        name: "since_beside_before",
        about: "over an old mapping and one made since, mprotect(2) fails at the latter",
        rules: &[10, 14],
        setup: |given| {
            let world = sealed(given)?;
            let (at, len) = (world.old().addr() + world.page, world.page);
            let fd = world.fd.as_raw_fd();
            let flags = MAP_SHARED | libc::MAP_FIXED;
            let part = Map::at(at, len, RO, flags, fd, len as i64).map_err(|e| e.to_string())?;
            // `old` owns the addresses.
            std::mem::forget(part);
            Ok(world)
        },
        under: LATER,
        op: protect::<RW>,
        after: |f| {
            same("mprotect of the old one", Ok(0), f.protect_part(0, f.page, RW))?;
            f.reaches_file(f.old())
        },
        ..SINCE
    },
];

/// For rows that only read what the kernel shows.
pub(super) const LOOKS: Starved =
    Starved::Untried("/proc is read in parts, each with allocations of its own");

pub(super) fn pkey_mprotect(map: &Map, prot: i32, key: i32) -> Got {
    let args = [map.addr(), map.len(), prot as usize, key as usize, 0, 0];
    Ok(sys::call(libc::SYS_pkey_mprotect, args)?)
}

/// Puts `old` under a key that denies writes.
pub(super) fn locked(world: World, prot: i32) -> Setup {
    let key = sys::pkey_alloc(sys::PKEY_DISABLE_WRITE).map_err(|e| e.to_string())?;
    pkey_mprotect(world.old(), prot, key as i32).map_err(|e| format!("pkey_mprotect: {e:?}"))?;
    Ok(world)
}
