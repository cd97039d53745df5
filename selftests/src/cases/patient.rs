// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What F_SEAL_WRITE does not wait for, the seals that wait for nobody, and F_SEAL_WRITE after them.

use super::busy::{ASKED, BUSY, executable, pinned, pinned_unmapped, with_old};
use super::sealing::exactly;
use crate::case::*;
use crate::child::wrong;
use crate::elsewhere::{holder, release};
use crate::mapped::LATERS;
use crate::need::Need;
use crate::sys::{Map, RO, RW, seal};
use crate::world::{World, fresh, readable, refused, same};
use libc::{MAP_FIXED, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;
use nix::sys::stat::{Mode, fchmod};

/// Each seal that asks nobody who writes.
const PATIENT: &[u32] = &[seal::SEAL, seal::SHRINK, seal::GROW, seal::FUTURE_WRITE, seal::FS_WRITE];

/// F_SEAL_WRITE while nothing counts.
const FREE: Case = Case {
    under: &[seal::WRITE],
    op: |f| f.add_seals(f.given.seals),
    expect: Returns(0),
    after: |f| {
        exactly(f, f.given.seals)?;
        f.unchanged_but_seals()
    },
    ..CONTROL
};

pub const CASES: &[Case] = &[
    // What does not count.
    Case {
        name: "nothing_left",
        about: "F_SEAL_WRITE works once the last writable mapping is gone, however it was used",
        under: ASKED,
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            (0..2).for_each(|at| world.old().store(at, 0));
            world.old = None;
            Ok(world)
        },
        ..FREE
    },
    Case {
        name: "mapped_over",
        about: "a writable mapping that another has taken the place of does not count",
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            let first = world.old.take().ok_or("no map")?;
            let flags = MAP_PRIVATE | libc::MAP_ANONYMOUS | MAP_FIXED;
            let over = Map::at(first.addr(), first.len(), RW, flags, -1, 0);
            std::mem::forget(first);
            world.old = Some(over.map_err(|e| e.to_string())?);
            Ok(world)
        },
        ..FREE
    },
    Case {
        name: "gone_with_its_process",
        about: "the mapping of a process that was killed does not count",
        setup: |given| {
            let mut world = fresh(given)?.map(RW)?;
            release(&holder().map_err(|e| format!("fork: {e:?}"))?);
            world.old = None;
            Ok(world)
        },
        ..FREE
    },
    Case {
        name: "private_map",
        about: "a private mapping does not count, whether it was written or only read",
        setup: |given| {
            let world = with_old(fresh(given)?, |f| f.mmap(RW, MAP_PRIVATE))?;
            world.old().store(3, 7);
            let _ = world.old().load(world.page);
            Ok(world)
        },
        after: |f| {
            exactly(f, seal::WRITE)?;
            f.unchanged_but_seals()?;
            f.isolated_from_file(f.old())
        },
        ..FREE
    },
    Case {
        name: "map_of_rdonly",
        about: "a shared mapping of an O_RDONLY descriptor does not count; it stays, and stays read-only",
        setup: |given| {
            with_old(fresh(given)?, |f| {
                Map::new(f.size, RO, MAP_SHARED, &f.reopen(libc::O_RDONLY)?, 0)
            })
        },
        after: |f| {
            exactly(f, seal::WRITE)?;
            readable(f.old())?;
            same("mprotect", Err(EACCES), f.old().protect(RW))
        },
        ..FREE
    },
    Case {
        name: "again_with_readonly_map",
        about: "adding F_SEAL_WRITE again asks nobody: read-only mappings made since stay as they are",
        setup: |given| fresh(given)?.seal(seal::WRITE),
        op: |f| {
            f.mmap_new(RO, MAP_SHARED)?;
            f.add_seals(seal::WRITE)
        },
        after: |f| {
            exactly(f, seal::WRITE)?;
            readable(f.made())?;
            refused("a writable mapping", EPERM, f.mmap_new(RW, MAP_SHARED))
        },
        starved: STEPS,
        ..FREE
    },
    Case {
        name: "again_pinned",
        about: "adding F_SEAL_WRITE again does not wait for pins",
        on: BOTH,
        setup: |given| {
            let sealed = fresh(given)?.seal(seal::WRITE)?;
            pinned(with_old(sealed, |f| f.mmap(RO, MAP_PRIVATE))?)
        },
        after: |f| {
            exactly(f, seal::WRITE)?;
            refused("a writable mapping", EPERM, f.mmap_new(RW, MAP_SHARED))
        },
        ..FREE
    },
    Case {
        name: "refused_map_does_not_count",
        about: "a writable mapping that a seal has refused is not counted afterwards",
        rules: &[8, 22],
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: |given| fresh(given)?.seal(given.seals),
        op: |f| {
            let map = f.mmap(RW, MAP_SHARED);
            if !matches!(map, Err(EPERM | EACCES)) {
                wrong(format!("a writable mmap gave {map:?}"));
            }
            f.add_seals(seal::WRITE)
        },
        after: |f| exactly(f, f.given.seals | seal::WRITE),
        starved: STEPS,
        hollow: Deviation::Fails("the mapping is made"),
        ..FREE
    },
    // Seals that let old mappings be.
    Case {
        name: "with_writable_map",
        about: "the other seals are added while a writable shared mapping exists, which goes on working",
        rules: &[1],
        under: PATIENT,
        setup: |given| fresh(given)?.map(RW),
        after: |f| {
            exactly(f, f.given.seals)?;
            f.unchanged_but_seals()?;
            f.reaches_file(f.old())
        },
        ..FREE
    },
    Case {
        name: "exec_seal",
        about: "so is F_SEAL_EXEC on a file that is not executable",
        needs: &[Need::ExecSeal],
        on: BARE,
        under: &[seal::EXEC],
        setup: |given| {
            let world = fresh(given)?.map(RW)?;
            fchmod(&world.fd, Mode::from_bits_retain(0o644)).map_err(|e| e.to_string())?;
            Ok(world)
        },
        after: |f| {
            exactly(f, seal::EXEC)?;
            f.reaches_file(f.old())
        },
        ..FREE
    },
    Case {
        name: "while_pinned",
        about: "the other seals are added at once while a page is pinned by a pipe",
        rules: &[1],
        on: BOTH,
        under: PATIENT,
        setup: |given| pinned(fresh(given)?.map(RW)?),
        after: |f| exactly(f, f.given.seals),
        ..FREE
    },
    // F_SEAL_WRITE after them.
    Case {
        name: "then_write_with_writable_map",
        about: "F_SEAL_WRITE afterwards is EBUSY while an old writable mapping is left",
        rules: &[22],
        under: LATERS,
        setup: |given| fresh(given)?.map(RW)?.seal(given.seals),
        op: |f| f.add_seals(seal::WRITE),
        after: then_free,
        ..BUSY
    },
    Case {
        name: "then_write_with_old_readonly_map",
        about: "F_SEAL_WRITE afterwards is EBUSY while an old mapping is left that may become writable",
        rules: &[22],
        under: LATERS,
        setup: |given| fresh(given)?.map(RO)?.seal(given.seals),
        op: |f| f.add_seals(seal::WRITE),
        after: then_free,
        ..BUSY
    },
    Case {
        name: "then_write_while_pinned",
        about: "F_SEAL_WRITE afterwards is EBUSY while a pipe pins a page",
        rules: &[22],
        on: BOTH,
        under: LATERS,
        setup: |given| pinned_unmapped(fresh(given)?)?.seal(given.seals),
        op: |f| f.add_seals(seal::WRITE),
        after: then_free,
        ..BUSY
    },
    Case {
        name: "then_write_with_new_readonly_map",
        about: "F_SEAL_WRITE afterwards does not count a shared mapping made since",
        rules: &[22],
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        hollow: Deviation::Fails("VM_MAYWRITE is not cleared, so the mapping counts"),
        setup: |given| fresh(given)?.seal(given.seals)?.map(RO),
        op: |f| f.add_seals(seal::WRITE),
        after: |f| {
            exactly(f, f.given.seals | seal::WRITE)?;
            readable(f.old())
        },
        ..FREE
    },
    Case {
        name: "then_exec_with_writable_map",
        about: "F_SEAL_EXEC on an executable afterwards is EBUSY while an old writable mapping is left",
        needs: &[Need::ExecSeal],
        rules: &[22, 23],
        on: BARE,
        under: LATERS,
        setup: |given| executable(given)?.map(RW)?.seal(given.seals),
        op: |f| f.add_seals(seal::EXEC),
        after: then_free,
        ..BUSY
    },
];

/// After EBUSY under a seal that forbids new writable mappings: once whatever counted is gone,
/// F_SEAL_WRITE is added.
fn then_free(f: &mut World) -> Check {
    let old = f.old.take();
    if let Some(map) = &old {
        same("the old mapping becomes writable", Ok(0), map.protect(RW))?;
        f.reaches_file(map)?;
        refused("asked again", EBUSY, f.add_seals(seal::WRITE))?;
    }
    drop(old);
    f.kept.clear();
    same("once it is gone", Ok(0), f.add_seals(seal::WRITE))?;
    exactly(f, f.given.seals | seal::WRITE)
}
