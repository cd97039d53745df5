// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! udmabuf makes a dma-buf of a memfd's pages: which seals it wants, which it refuses, and what a
//! buffer keeps of the file. (Its vmap has no caller in user space, and is not looked at.)

use super::unaffected::tmpfs_file;
use crate::case::*;
use crate::door::Door;
use crate::kind::Kind;
use crate::leak::{closes, lock};
use crate::need::Need;
use crate::sys::seal::{EXEC, FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{Map, RW, Sys, mfd};
use crate::udmabuf::{self, CLOEXEC, part};
use crate::world::with_flags;
use crate::world::{World, all_fail, fresh, readable, same, sealed_unmapped};
use libc::MAP_SHARED;
use nix::errno::Errno::*;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

/// A row about the device.
const DEVICE: Case = Case { needs: &[Need::Udmabuf], setup: locked, ..CASE };
/// The same of a file that may become a buffer.
const SHRINKS: Case = Case { under: &[SHRINK], ..DEVICE };

const NOT_OURS: Deviation = Deviation::Passes("another seal is missing, or refuses it as well");

pub const CASES: &[Case] = &[
    Case {
        name: "sealed",
        about: "UDMABUF_CREATE refuses a file with any seal against writing, and holds nothing of it",
        rules: &[25],
        under: &[SHRINK | FS_WRITE, SHRINK | FUTURE_WRITE, SHRINK | WRITE],
        op: |f| hundred(|| udmabuf::create(f)),
        expect: Fails(EINVAL),
        after: let_go,
        ..DEVICE
    },
    Case {
        name: "sealed_twice",
        about: "UDMABUF_CREATE refuses a file with several seals against writing",
        rules: &[25],
        on: BOTH,
        under: &[
            SHRINK | WRITE | FUTURE_WRITE,
            SHRINK | WRITE | FS_WRITE,
            SHRINK | FUTURE_WRITE | FS_WRITE,
            SEAL | SHRINK | GROW | WRITE | FUTURE_WRITE | FS_WRITE,
        ],
        op: |f| made(udmabuf::create(f)),
        expect: Fails(EINVAL),
        hollow: NOT_OURS,
        ..DEVICE
    },
    Case {
        name: "sealed_through",
        about: "UDMABUF_CREATE refuses a sealed file through any descriptor that can write",
        rules: &[16, 25],
        on: PLAIN,
        under: &[SHRINK | FS_WRITE, SHRINK | FUTURE_WRITE],
        through: &[
            Door::Dup,
            Door::Before(libc::O_RDWR),
            Door::After(libc::O_WRONLY),
            Door::After(libc::O_RDWR),
            Door::Received,
            Door::Threaded,
        ],
        op: |f| made(udmabuf::create(f)),
        expect: Fails(EINVAL),
        ..DEVICE
    },
    Case {
        name: "not_shrink_sealed",
        about: "UDMABUF_CREATE refuses a file without F_SEAL_SHRINK, also where FS_WRITE does what it would",
        rules: &[25],
        under: &[0, GROW, WRITE, FUTURE_WRITE, FS_WRITE, GROW | FS_WRITE],
        op: |f| hundred(|| udmabuf::create(f)),
        expect: Fails(EINVAL),
        after: let_go,
        hollow: NOT_OURS,
        ..DEVICE
    },
    Case {
        name: "not_shrink_sealed_for_good",
        about: "UDMABUF_CREATE refuses a file that has F_SEAL_SEAL only",
        on: BARE,
        setup: |given| with_flags(given, 0),
        under: &[0],
        op: |f| made(udmabuf::create(f)),
        expect: Fails(EINVAL),
        ..DEVICE
    },
    Case {
        name: "exec_sealed_executable",
        about: "UDMABUF_CREATE refuses an executable file with F_SEAL_EXEC, which implies F_SEAL_WRITE",
        on: BARE,
        under: &[EXEC],
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC)?.seal(EXEC),
        op: |f| made(udmabuf::create(f)),
        expect: Fails(EINVAL),
        ..DEVICE
    },
    Case {
        name: "allowed",
        about: "UDMABUF_CREATE takes a file with F_SEAL_SHRINK and seals that leave writing alone",
        rules: &[25],
        under: &[SHRINK, SHRINK | GROW, SHRINK | SEAL, SHRINK | GROW | SEAL],
        op: keep_buffer,
        expect: Returns(0),
        after: coherent,
        ..DEVICE
    },
    Case {
        name: "allowed_exec",
        about: "UDMABUF_CREATE takes a file with F_SEAL_EXEC that is not executable",
        under: &[SHRINK | EXEC, SHRINK | EXEC | GROW | SEAL],
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL)?.seal(given.seals),
        op: keep_buffer,
        expect: Returns(0),
        after: coherent,
        ..DEVICE
    },
    Case {
        name: "allowed_through",
        about: "UDMABUF_CREATE takes any descriptor that can write",
        on: PLAIN,
        through: &[Door::Dup, Door::After(libc::O_WRONLY), Door::Received, Door::Threaded],
        op: |f| made(udmabuf::create(f)),
        expect: Returns(0),
        ..SHRINKS
    },
    Case {
        name: "path",
        about: "UDMABUF_CREATE refuses a descriptor that opened nothing",
        on: PLAIN,
        through: crate::door::PATHS,
        op: |f| made(udmabuf::create(f)),
        expect: Fails(EBADFD),
        ..SHRINKS
    },
    Case {
        name: "bad_range",
        about: "UDMABUF_CREATE refuses what is not whole pages, nothing, or past EOF, and holds nothing",
        op: |f| {
            let (page, size) = (f.page as i64, f.size as i64);
            let small = Kind::Shmem.page() as i64;
            let ranges = [
                (0, 0),
                (1, page),
                (small / 2, page),
                (0, small - 1),
                (0, page + 1),
                (0, size + small),
                (size, small),
                (size - small, 2 * small),
                (size + page, page),
                (0, 1 << 62),
                (0, -small),
                (i64::MIN, small),
                (-small, 2 * small),
            ];
            let ranges = ranges.iter();
            all_fail(
                EINVAL,
                ranges.map(|&(at, len)| made(udmabuf::create_part(part(&f.fd, at, len), 0))),
            )
        },
        expect: Fails(EINVAL),
        after: let_go,
        ..SHRINKS
    },
    Case {
        name: "bad_address",
        about: "UDMABUF_CREATE of an argument that can't be read fails",
        on: PLAIN,
        op: |_| made(udmabuf::create_at(8)),
        expect: Fails(EFAULT),
        ..SHRINKS
    },
    Case {
        name: "no_memfd",
        about: "UDMABUF_CREATE refuses a pipe, a device, a file of /proc, a dma-buf and a closed descriptor",
        on: PLAIN,
        setup: |given| {
            let world = locked(given)?;
            let (reader, writer) = nix::unistd::pipe().map_err(|e| e.to_string())?;
            let buffer = udmabuf::create(&world).map_err(|e| format!("UDMABUF_CREATE: {e:?}"))?;
            let open = |path| File::open(path).map_err(|e| format!("{path}: {e}"));
            let world = world.keep(open("/dev/null")?.into()).keep(open("/proc/version")?.into());
            Ok(world.keep(reader).keep(writer).keep(buffer))
        },
        op: |f| {
            let closed = -1;
            let fds = f.kept.iter().map(|fd| fd.as_raw_fd()).chain([closed]);
            all_fail(EBADFD, fds.map(|fd| made(udmabuf::create_part(part(&fd, 0, f.page), 0))))
        },
        expect: Fails(EBADFD),
        ..SHRINKS
    },
    Case {
        name: "tmpfs_file",
        about: "UDMABUF_CREATE refuses a file of a tmpfs, which can't be sealed",
        on: OWN,
        under: &[0],
        setup: tmpfs_file,
        op: |f| made(udmabuf::create(f)),
        expect: Fails(EINVAL),
        ..DEVICE
    },
    Case {
        name: "flags",
        about: "UDMABUF_FLAGS_CLOEXEC closes the buffer on exec, and other flags are not looked at",
        on: PLAIN,
        op: |f| {
            let whole = part(&f.fd, 0, f.size);
            let mut flags = 0;
            for (at, asked) in [0, CLOEXEC, !CLOEXEC, u32::MAX].into_iter().enumerate() {
                let buffer = udmabuf::create_part(whole, asked)?;
                flags |= crate::sys::fcntl(&buffer, libc::F_GETFD, 0)? << at;
            }
            Ok(flags)
        },
        expect: Returns(0b1010),
        ..SHRINKS
    },
    Case {
        name: "hole",
        about: "UDMABUF_CREATE fills a hole with zeroes that the file and the buffer share",
        setup: |given| {
            let world = fresh(given)?.seal(SHRINK)?;
            let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            same("punch", Ok(0), world.fallocate(punch, world.page, world.page))?;
            Ok(world)
        },
        op: keep_buffer,
        expect: Returns(0),
        after: |f| {
            let map = mapped(f)?;
            same("byte of the hole", 0, map.load(f.page))?;
            same("last byte", 0, map.load(f.size - 1))?;
            map.store(f.page, 0x21);
            f.byte_is(f.page, 0x21)
        },
        ..SHRINKS
    },
    Case {
        name: "part",
        about: "a buffer of some small pages of the file shows these, also inside of a huge page",
        setup: |given| fresh(given)?.map(RW)?.seal(SHRINK),
        op: |f| {
            let small = Kind::Shmem.page();
            let at = f.size - 2 * small;
            f.old().store(at, 0x31);
            f.old().store(f.size - 1, 0x32);
            let buffer = udmabuf::create_part(part(&f.fd, at, 2 * small), CLOEXEC)?;
            let map = Map::new(2 * small, RW, MAP_SHARED, &buffer, 0)?;
            map.store(1, 0x33);
            Ok(i64::from(map.load(0)) << 8 | i64::from(map.load(2 * small - 1)))
        },
        expect: Returns(0x3132),
        after: |f| f.byte_is(f.size - 2 * Kind::Shmem.page() + 1, 0x33),
        ..SHRINKS
    },
];

/// As `sealed_unmapped`, with a lock that lasts as long as the open file does.
pub fn locked(given: Given) -> Setup {
    lock(sealed_unmapped(given)?)
}

/// What is judged of a buffer that is not kept.
pub fn made(buffer: Sys<OwnedFd>) -> Got {
    Ok(buffer.map(|_| 0)?)
}

/// Tries it a hundred times, or until one works.
pub fn hundred(make: impl Fn() -> Sys<OwnedFd>) -> Got {
    (1..100).map(|_| made(make())).find(Result::is_ok).unwrap_or_else(|| made(make()))
}

/// Neither a page of the file nor the open file is held by anybody else.
pub fn let_go(world: &mut World) -> Check {
    same("F_SEAL_WRITE", Ok(0), world.add_seals(WRITE))?;
    closes(world)
}

fn keep_buffer(world: &mut World) -> Got {
    let buffer = udmabuf::create(world)?;
    world.kept.push(buffer);
    Ok(0)
}

/// The whole of the buffer that was made last.
pub fn mapped(world: &World) -> Result<Map, String> {
    let buffer = world.kept.last().ok_or("no buffer was made")?;
    Map::new(world.size, RW, MAP_SHARED, buffer, 0).map_err(|e| format!("map the buffer: {e:?}"))
}

/// The file and the buffer are the same memory, from the first page to the last.
fn coherent(world: &mut World) -> Check {
    let (map, file) = (mapped(world)?, world.mmap(RW, MAP_SHARED).map_err(|e| e.to_string())?);
    readable(&map)?;
    for (at, byte) in [(1, 0xa1), (world.page, 0xa2), (world.size - 1, 0xa3)] {
        map.store(at, byte);
        world.byte_is(at, byte)?;
        file.store(at, byte ^ 0xff);
        same(&format!("byte {at} of the buffer"), byte ^ 0xff, map.load(at))?;
    }
    Ok(())
}
