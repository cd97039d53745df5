// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! UDMABUF_CREATE_LIST: one bad item, and nothing is made and nothing held.

use super::udmabuf::{hundred, let_go, locked, made};
use crate::case::*;
use crate::leak::{closes, lock};
use crate::need::Need;
use crate::sys::seal::{FS_WRITE, FUTURE_WRITE, GROW, SHRINK, WRITE};
use crate::sys::{self, Map, RW};
use crate::udmabuf::{self, part};
use crate::world::{World, all_fail, fresh, same};
use libc::MAP_SHARED;
use nix::errno::Errno::*;
use std::os::fd::OwnedFd;

/// A row about two files: the world's, which has the row's seals, and a good one, kept first.
const LIST: Case = Case {
    on: BOTH,
    under: &[SHRINK],
    needs: &[Need::Udmabuf],
    setup: |given| Ok(locked(given)?.keep(good(given)?)),
    ..CASE
};

/// Seals with which a file is no item.
const BAD: &[u32] = &[SHRINK | FS_WRITE, SHRINK | FUTURE_WRITE, SHRINK | WRITE];

pub const CASES: &[Case] = &[
    Case {
        name: "second_sealed",
        about: "a list whose second file is sealed against writing makes nothing and lets the first go",
        rules: &[25],
        under: BAD,
        op: |f| {
            let list = [part(&f.kept[0], 0, f.size), part(&f.fd, 0, f.size)];
            hundred(|| udmabuf::create_list(&list))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "first_sealed",
        about: "a list whose first file is sealed against writing makes nothing",
        rules: &[25],
        under: BAD,
        op: |f| {
            let list = [part(&f.fd, 0, f.size), part(&f.kept[0], 0, f.size)];
            hundred(|| udmabuf::create_list(&list))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "one_sealed",
        about: "a list of one file that is sealed against writing makes nothing",
        rules: &[25],
        under: BAD,
        op: |f| made(udmabuf::create_list(&[part(&f.fd, 0, f.size)])),
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "second_not_shrink_sealed",
        about: "a list whose second file lacks F_SEAL_SHRINK makes nothing and lets the first go",
        rules: &[25],
        under: &[0, GROW, FS_WRITE],
        op: |f| {
            let list = [part(&f.kept[0], 0, f.size), part(&f.fd, 0, f.size)];
            hundred(|| udmabuf::create_list(&list))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        hollow: Deviation::Passes("F_SEAL_SHRINK is missing"),
        ..LIST
    },
    Case {
        name: "second_past_eof",
        about: "a list whose second part is past EOF makes nothing and lets the first go",
        op: |f| {
            let list = [part(&f.kept[0], 0, f.size), part(&f.fd, f.size, f.page)];
            hundred(|| udmabuf::create_list(&list))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "second_unaligned",
        about: "a list whose second part is not whole pages makes nothing",
        op: |f| {
            let list = [part(&f.kept[0], 0, f.size), part(&f.fd, 0, f.page - 1)];
            hundred(|| udmabuf::create_list(&list))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "second_closed",
        about: "a list whose second descriptor is closed makes nothing and lets the first go",
        op: |f| {
            let list = [part(&f.kept[0], 0, f.size), part(&-1, 0, f.page)];
            hundred(|| udmabuf::create_list(&list))
        },
        expect: Fails(EBADFD),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "two_files",
        about: "a buffer of two files shows the parts in the list's order, and holds both",
        rules: &[25],
        op: |f| {
            let list = [part(&f.kept[0], f.page, f.page), part(&f.fd, 0, f.page)];
            let buffer = udmabuf::create_list(&list)?;
            f.new = Some(Map::new(f.size, RW, MAP_SHARED, &buffer, 0)?);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| {
            f.made().store(f.page + 1, 0x44);
            f.byte_is(1, 0x44)?;
            let other =
                Map::new(f.size, RW, MAP_SHARED, &f.kept[0], 0).map_err(|e| e.to_string())?;
            f.made().store(2, 0x45);
            same("the first part", 0x45, other.load(f.page + 2))?;
            drop(other);
            f.new = None;
            both_let_go(f)
        },
        ..LIST
    },
    Case {
        name: "one_held",
        about: "F_SEAL_WRITE of each file of a buffer of two is EBUSY until the buffer is closed",
        on: PLAIN,
        setup: |given| {
            let world = locked(given)?.keep(good(given)?);
            let list = [part(&world.fd, 0, world.page), part(&world.kept[0], 0, world.page)];
            let buffer = udmabuf::create_list(&list).map_err(|e| format!("list: {e:?}"))?;
            Ok(world.keep(buffer))
        },
        op: |f| Ok(sys::add_seals(&f.kept[0], WRITE)?),
        expect: Fails(EBUSY),
        after: |f| {
            same("the world's file", Err(Stop::Errno(EBUSY)), f.add_seals(WRITE))?;
            f.kept.truncate(1);
            both_let_go(f)
        },
        ..LIST
    },
    Case {
        name: "none",
        about: "a list of nothing, and one of nothing but empty parts, makes nothing",
        on: PLAIN,
        op: |f| {
            let empty = [part(&f.fd, 0, 0), part(&f.fd, f.page, 0)];
            all_fail(EINVAL, [&empty[..0], &empty[..]].map(|l| made(udmabuf::create_list(l))))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "too_many",
        about: "a list of more items than the module allows makes nothing",
        on: PLAIN,
        op: |f| {
            let limit = udmabuf::limit().expect("the module's limit");
            let many = vec![part(&f.fd, 0, f.page); limit + 1];
            let counts = [limit as u32 + 1, i32::MAX as u32, 1 << 31, u32::MAX];
            all_fail(EINVAL, counts.map(|n| made(udmabuf::create_list_of(n, &many))))
        },
        expect: Fails(EINVAL),
        after: both_let_go,
        ..LIST
    },
    Case {
        name: "as_many_as_may_be",
        about: "a list may name the same page as often as it has items, and lets all of them go",
        on: PLAIN,
        op: |f| {
            let limit = udmabuf::limit().expect("the module's limit");
            let buffer = udmabuf::create_list(&vec![part(&f.fd, 0, f.page); limit])?;
            f.new = Some(Map::new(limit * f.page, RW, MAP_SHARED, &buffer, 0)?);
            f.made().store(1, 0x55);
            Ok(i64::from(f.made().load((limit - 1) * f.page + 1)))
        },
        expect: Returns(0x55),
        after: |f| {
            f.new = None;
            both_let_go(f)
        },
        ..LIST
    },
];

/// A second file that may become a buffer.
fn good(given: Given) -> Result<OwnedFd, String> {
    Ok(lock(fresh(given)?.seal(SHRINK)?)?.fd)
}

/// Neither file is held by anybody else.
fn both_let_go(world: &mut World) -> Check {
    let_go(world)?;
    let good = world.kept.swap_remove(0);
    same("F_SEAL_WRITE of the good file", Ok(0), sys::add_seals(&good, WRITE))?;
    let mut other = World::inherited(world.given, good);
    closes(&mut other)
}
