// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Calls that lock, seal, write back and look at mappings.

use super::advising::{BEFORE, SINCE};
use crate::case::*;
use crate::kind::Kind;
use crate::mapped::{new_ro, permits};
use crate::need::Need;
use crate::sys::{self, RO, RW, seal};
use crate::world::{World, fresh, readable, refused, same};
use libc::{MS_INVALIDATE, MS_SYNC};
use nix::errno::Errno::*;

pub const CASES: &[Case] = &[
    Case {
        name: "lock_since",
        about: "mlock(2) on a mapping made since works, and it can't become writable then either",
        setup: |given| {
            let world = new_ro(given)?;
            lock(&world, libc::SYS_mlock).map_err(|e| format!("mlock: {e:?}"))?;
            Ok(world)
        },
        op: |f| Ok(f.old().protect(RW)?),
        expect: Fails(EACCES),
        after: |f| {
            same("munlock", Ok(0), lock(f, libc::SYS_munlock))?;
            readable(f.old())
        },
        ..SINCE
    },
    Case {
        name: "lock_before",
        about: "mlock(2) on an old writable mapping works",
        op: |f| lock(f, libc::SYS_mlock),
        starved: Starved::Untried("the mapping is locked before its pages are there"),
        ..BEFORE
    },
    Case {
        name: "lock_onfault",
        about: "mlock2(2) MLOCK_ONFAULT works on a mapping made since",
        op: |f| {
            let args = [f.old().addr(), f.old().len(), libc::MLOCK_ONFAULT as usize, 0, 0, 0];
            Ok(sys::call(libc::SYS_mlock2, args)?)
        },
        ..SINCE
    },
    Case {
        name: "sync_since",
        about: "msync(2) on a mapping made since works",
        op: |f| sync(f, MS_SYNC | MS_INVALIDATE),
        ..SINCE
    },
    Case {
        name: "sync_before",
        about: "msync(2) on an old writable mapping works",
        op: |f| sync(f, MS_SYNC),
        ..BEFORE
    },
    Case {
        name: "mincore",
        about: "mincore(2) tells of a mapping made since which pages are there",
        on: SHMEM,
        op: |f| {
            let mut there = vec![0u8; f.old().len() / Kind::Shmem.page()];
            let args = [f.old().addr(), f.old().len(), there.as_mut_ptr() as usize, 0, 0, 0];
            sys::call(libc::SYS_mincore, args)?;
            Ok(there.iter().filter(|page| **page & 1 == 0).count() as i64)
        },
        ..SINCE
    },
    Case {
        name: "mseal_before",
        about: "mseal(2) on an old writable mapping leaves it writable, and for ever",
        needs: &[Need::Mseal],
        op: mseal,
        after: |f| {
            f.reaches_file(f.old())?;
            refused("mprotect", EPERM, f.old().protect(RO).map_err(Stop::from))?;
            refused("F_SEAL_WRITE", EBUSY, f.add_seals(seal::WRITE))
        },
        ..BEFORE
    },
    Case {
        name: "mseal_then_seal",
        about: "a memfd takes its seals while a mapping of it is under mseal(2)",
        rules: &[1, 14],
        needs: &[Need::Mseal],
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            mseal(&mut world).map_err(|e| format!("mseal: {e:?}"))?;
            Ok(world)
        },
        op: |f| f.add_seals(f.given.seals),
        after: |f| f.reaches_file(f.old()),
        ..BEFORE
    },
    Case {
        name: "mseal_since",
        about: "a mapping made since that is under mseal(2) can't become writable: EACCES before EPERM",
        needs: &[Need::Mseal],
        setup: |given| {
            let mut world = new_ro(given)?;
            mseal(&mut world).map_err(|e| format!("mseal: {e:?}"))?;
            Ok(world)
        },
        op: |f| Ok(f.old().protect(RW)?),
        expect: Fails(EACCES),
        after: |f| {
            permits(f.old(), "r--s")?;
            readable(f.old())
        },
        ..SINCE
    },
];

pub(super) fn lock(world: &World, nr: libc::c_long) -> Got {
    Ok(sys::call(nr, [world.old().addr(), world.old().len(), 0, 0, 0, 0])?)
}

fn sync(world: &World, flags: i32) -> Got {
    let args = [world.old().addr(), world.old().len(), flags as usize, 0, 0, 0];
    Ok(sys::call(libc::SYS_msync, args)?)
}

fn mseal(world: &mut World) -> Got {
    Ok(sys::call(sys::SYS_MSEAL, [world.old().addr(), world.old().len(), 0, 0, 0, 0])?)
}
