// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a dma-buf that was made of a memfd keeps of it, whatever seals come later.

use super::udmabuf::mapped;
use crate::case::*;
use crate::kind::Kind;
use crate::need::Need;
use crate::sys::seal::{FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, Map, RO, RW};
use crate::udmabuf::{self, SYNC_END, SYNC_READ, SYNC_WRITE};
use crate::world::{all_fail, fresh, readable, same};
use libc::{MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;

/// A row about a buffer that was made before the row's seals, but for F_SEAL_SHRINK.
const BUFFER: Case = Case {
    on: PLAIN,
    under: &[SHRINK],
    needs: &[Need::Udmabuf],
    setup: buffer_then_sealed,
    ..CASE
};

/// Seals that a file may get while there is a buffer of it.
const AFTERWARDS: &[u32] = &[
    SHRINK | FS_WRITE,
    SHRINK | FUTURE_WRITE,
    SHRINK | FUTURE_WRITE | FS_WRITE,
    SHRINK | GROW,
    SHRINK | SEAL,
];

const PINNED: Deviation = Deviation::Passes("the buffer's pages are pinned");

pub const CASES: &[Case] = &[
    Case {
        name: "pinned",
        about: "F_SEAL_WRITE is EBUSY and applies nothing while there is a buffer, and works after it",
        on: EVERY,
        op: |f| f.add_seals(WRITE | GROW),
        expect: Fails(EBUSY),
        after: |f| {
            f.kept.clear();
            same("F_SEAL_WRITE without the buffer", Ok(0), f.add_seals(WRITE))
        },
        ..BUFFER
    },
    Case {
        name: "pinned_and_sealed",
        about: "F_SEAL_WRITE is EBUSY also on a file that has a seal against writing since",
        rules: &[22],
        under: &[SHRINK | FS_WRITE, SHRINK | FUTURE_WRITE],
        op: |f| f.add_seals(WRITE),
        expect: Fails(EBUSY),
        after: |f| {
            f.kept.clear();
            same("F_SEAL_WRITE without the buffer", Ok(0), f.add_seals(WRITE))
        },
        hollow: PINNED,
        ..BUFFER
    },
    Case {
        name: "pinned_by_map",
        about: "a mapping of the buffer keeps the pages pinned when its descriptor is closed",
        setup: |given| {
            let mut world = buffer_then_sealed(given)?;
            world.old = Some(mapped(&world)?);
            world.kept.clear();
            Ok(world)
        },
        op: |f| f.add_seals(WRITE),
        expect: Fails(EBUSY),
        after: |f| {
            f.reaches_file(f.old())?;
            f.old = None;
            same("F_SEAL_WRITE without the mapping", Ok(0), f.add_seals(WRITE))
        },
        ..BUFFER
    },
    Case {
        name: "made_before",
        about: "a dma-buf made before the seal can be mapped writable after it",
        rules: &[30],
        on: EVERY,
        under: AFTERWARDS,
        op: |f| {
            f.new = Some(Map::new(f.size, RW, MAP_SHARED, &f.kept[0], 0)?);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| {
            readable(f.made())?;
            f.reaches_file(f.made())
        },
        ..BUFFER
    },
    Case {
        name: "mapped_before",
        about: "a mapping of a dma-buf made before the seal is stored to, and the file refuses to be written",
        rules: &[30],
        under: &[SHRINK | FS_WRITE, SHRINK | FUTURE_WRITE],
        setup: |given| {
            let mut world = buffer_then_sealed(Given { seals: SHRINK, ..given })?;
            world.old = Some(mapped(&world)?);
            world.seal(given.seals)
        },
        op: |f| f.pwrite(2, b"x"),
        expect: Fails(EPERM),
        after: |f| f.reaches_file(f.old()),
        ..BUFFER
    },
    Case {
        name: "mprotect",
        about: "a read-only mapping of a dma-buf made before the seal can become writable",
        rules: &[30],
        under: AFTERWARDS,
        op: |f| {
            f.new = Some(Map::new(f.size, RO, MAP_SHARED, &f.kept[0], 0)?);
            Ok(f.made().protect(RW)?)
        },
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..BUFFER
    },
    Case {
        name: "mmap_private",
        about: "a dma-buf can't be mapped private",
        under: &[SHRINK, SHRINK | FS_WRITE],
        op: |f| {
            f.new = Some(Map::new(f.size, RW, MAP_PRIVATE, &f.kept[0], 0)?);
            Ok(0)
        },
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("it is the buffer's rule"),
        ..BUFFER
    },
    Case {
        name: "mmap_past_its_end",
        about: "a dma-buf can't be mapped past its end, whatever the file's size",
        on: BOTH,
        under: &[SHRINK, SHRINK | GROW],
        op: |f| {
            let map = |len, at| Map::new(len, RW, MAP_SHARED, &f.kept[0], at as i64);
            let small = Kind::Shmem.page();
            let longer = [(f.size + small, 0), (f.size, small), (small, f.size), (2 * f.size, 0)];
            all_fail(EINVAL, longer.iter().map(|&(len, at)| Ok(map(len, at).map(|_| 0)?)))
        },
        expect: Fails(EINVAL),
        ..BUFFER
    },
    Case {
        name: "size",
        about: "the buffer is as long as what it was made of, whatever the file's size is since",
        under: &[SHRINK, SHRINK | GROW, SHRINK | SEAL],
        setup: |given| {
            let world = fresh(given)?.seal(SHRINK)?;
            let buffer = udmabuf::create(&world).map_err(|e| format!("UDMABUF_CREATE: {e:?}"))?;
            same("grow", Ok(0), world.ftruncate(2 * world.size))?;
            world.keep(buffer).seal(given.seals)
        },
        op: |f| Ok(sys::lseek(&f.kept[0], 0, nix::unistd::Whence::SeekEnd)? - f.size as i64),
        expect: Returns(0),
        ..BUFFER
    },
    Case {
        name: "sync",
        about: "DMA_BUF_IOCTL_SYNC works around accesses",
        rules: &[30],
        on: BOTH,
        under: AFTERWARDS,
        op: |f| {
            for flags in [SYNC_READ, SYNC_WRITE, SYNC_READ | SYNC_WRITE] {
                udmabuf::sync(&f.kept[0], flags)?;
                udmabuf::sync(&f.kept[0], flags | SYNC_END)?;
            }
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..BUFFER
    },
    Case {
        name: "sync_refused",
        about: "DMA_BUF_IOCTL_SYNC wants a beginning before an end, a direction and known flags",
        op: |f| {
            let flags = [SYNC_READ | SYNC_END, 0, SYNC_END, SYNC_READ | 8];
            all_fail(EINVAL, flags.map(|flags| Ok(udmabuf::sync(&f.kept[0], flags)?)))
        },
        expect: Fails(EINVAL),
        ..BUFFER
    },
];

/// A buffer of the whole file, made when it has F_SEAL_SHRINK only; then the row's seals.
fn buffer_then_sealed(given: Given) -> Setup {
    let world = fresh(given)?.seal(SHRINK)?;
    let buffer = udmabuf::create(&world).map_err(|e| format!("UDMABUF_CREATE: {e:?}"))?;
    world.keep(buffer).seal(given.seals)
}
