// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A memfd that a live update preserves stays as it was recorded: its size, its pages and its seals.

use super::live_update::{PRESERVED, PUNCH, preserved, usable};
use crate::case::*;
use crate::sys::seal::{EXEC, FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, RO, RW};
use crate::world::{World, all_fail, fresh, readable, same};
use libc::{FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_KEEP_SIZE, MAP_SHARED};
use nix::errno::Errno::*;

pub const CASES: &[Case] = &[
    Case {
        name: "add_seal",
        about: "F_ADD_SEALS of the seal on a preserved file fails, alone and with others",
        rules: &[27],
        on: SHMEM,
        under: &[FS_WRITE, FS_WRITE | SHRINK | GROW, FS_WRITE | SEAL],
        setup: |given| preserved(fresh(given)?.map(RW)?),
        op: |f| f.add_seals(f.given.seals),
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "add_older_seal",
        about: "F_ADD_SEALS of any other seal on a preserved file fails (see patch 3)",
        rules: &[27],
        on: SHMEM,
        under: OLDER,
        setup: |given| preserved(fresh(given)?),
        op: |f| f.add_seals(f.given.seals),
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "add_nothing",
        about: "F_ADD_SEALS of nothing new on a preserved file fails, too (see patch 3)",
        rules: &[27],
        under: &[GROW],
        op: |f| all_fail(EPERM, [0, GROW].map(|seals| f.add_seals(seals))),
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "add_unknown_seal",
        about: "F_ADD_SEALS of an unknown seal on a preserved file is EINVAL as ever",
        op: |f| all_fail(EINVAL, [1 << 7, GROW | 1 << 31].map(|seals| f.add_seals(seals))),
        expect: Fails(EINVAL),
        ..PRESERVED
    },
    Case {
        name: "add_seal_elsewhere",
        about: "F_ADD_SEALS on a file beside the preserved one works",
        rules: &[27],
        setup: |given| {
            let other = fresh(given)?.fd;
            Ok(preserved(fresh(given)?)?.keep(other))
        },
        op: |f| Ok(sys::add_seals(&f.kept[1], GROW)?),
        expect: Returns(0),
        after: |f| {
            same("F_GET_SEALS", Ok(GROW.into()), sys::get_seals(&f.kept[1]))?;
            f.unchanged()
        },
        ..PRESERVED
    },
    Case {
        name: "add_seal_over",
        about: "F_ADD_SEALS of each seal works again once the session has let the file go",
        rules: &[27],
        under: &[SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE, FS_WRITE],
        setup: |given| let_go(preserved(fresh(given)?)?),
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| f.seals_are(f.given.seals),
        ..PRESERVED
    },
    Case {
        name: "resize",
        about: "a preserved file keeps its size, whatever is tried, and its seals do not matter",
        rules: &[27],
        under: &[0, SEAL, SHRINK, GROW, FUTURE_WRITE],
        op: |f| {
            let path = std::ffi::CString::new(f.path()).expect("no NUL");
            let by_path =
                sys::call(libc::SYS_truncate, [path.as_ptr() as usize, f.page, 0, 0, 0, 0]);
            let sizes = [0, f.page, f.size - 1, f.size + 1, 2 * f.size];
            let cut = f.reopen(libc::O_RDWR | libc::O_TRUNC).map(|_| 0);
            let others = [by_path, cut].map(|got| Ok(got?));
            all_fail(EPERM, sizes.map(|size| f.ftruncate(size)).into_iter().chain(others))
        },
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "resize_to_the_same",
        about: "ftruncate(2) of a preserved file to the size that it has works",
        op: |f| f.ftruncate(f.size),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..PRESERVED
    },
    Case {
        name: "fallocate",
        about: "fallocate(2) of a preserved file fails in each mode, inside of it and past EOF",
        rules: &[27],
        under: &[0, SEAL, SHRINK, GROW, FUTURE_WRITE],
        op: |f| {
            let keep = FALLOC_FL_KEEP_SIZE;
            let ranges =
                [(0, 0), (0, f.size), (keep, 0), (keep, f.size), (PUNCH, 0), (PUNCH, f.size)];
            all_fail(EPERM, ranges.map(|(mode, at)| f.fallocate(mode, at, f.page)))
        },
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "fallocate_unknown_mode",
        about: "fallocate(2) of a preserved file in a mode that shmem lacks is EOPNOTSUPP as ever",
        op: |f| f.fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, f.page),
        expect: Fails(EOPNOTSUPP),
        ..PRESERVED
    },
    Case {
        name: "madvise_remove",
        about: "MADV_REMOVE of a preserved file fails",
        rules: &[27],
        op: |f| Ok(f.old().advise(0, f.page, libc::MADV_REMOVE)?),
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "pwrite_past_eof",
        about: "pwrite(2) past the end of a preserved file fails",
        rules: &[27],
        op: |f| all_fail(EPERM, [f.size, 2 * f.size].map(|at| f.pwrite(at, b"x"))),
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "pwrite",
        about: "pwrite(2) inside of a preserved file works: its pages stay where they are",
        rules: &[27],
        under: &[0, SEAL, SHRINK, GROW],
        op: |f| f.pwrite(1, b"x"),
        expect: Returns(1),
        after: |f| f.byte_is(1, b'x'),
        ..PRESERVED
    },
    Case {
        name: "pwrite_sealed",
        about: "pwrite(2) inside of a preserved file that has F_SEAL_FUTURE_WRITE fails",
        under: &[FUTURE_WRITE],
        op: |f| f.pwrite(1, b"x"),
        expect: Fails(EPERM),
        ..PRESERVED
    },
    Case {
        name: "old_map",
        about: "a mapping from before it was preserved is stored to, sealed or not",
        rules: &[27],
        under: &[0, GROW, FUTURE_WRITE, SHRINK | GROW | FUTURE_WRITE],
        op: |f| {
            f.old().store(1, 0xc3);
            Ok(f.old().load(1).into())
        },
        expect: Returns(0xc3),
        after: |f| f.byte_is(1, 0xc3),
        ..PRESERVED
    },
    Case {
        name: "new_map",
        about: "a preserved file can be mapped shared and writable",
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..PRESERVED
    },
    Case {
        name: "new_map_sealed",
        about: "a preserved file that has F_SEAL_FUTURE_WRITE can be mapped for reading only",
        under: &[FUTURE_WRITE],
        op: |f| {
            f.mmap_new(RO, MAP_SHARED)?;
            f.mmap_new(RW, MAP_SHARED)
        },
        expect: Fails(EPERM),
        after: |f| readable(f.made()),
        ..PRESERVED
    },
    Case {
        name: "usable_once_let_go",
        about: "a file that the session has let go is resized, allocated, punched and written again",
        rules: &[27],
        on: SHMEM,
        setup: |given| let_go(preserved(fresh(given)?)?),
        op: usable,
        starved: STEPS,
        expect: Returns(0),
        ..PRESERVED
    },
];

/// Each seal that live update preserves, alone, and some with others.
const OLDER: &[u32] =
    &[SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE, EXEC, SEAL | SHRINK | GROW | WRITE];

/// Closes the session.
fn let_go(mut world: World) -> Setup {
    world.kept.clear();
    Ok(world)
}
