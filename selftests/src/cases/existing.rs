// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What was mapped or pinned before the seal keeps its rights.

use crate::case::*;
use crate::mapped::LATERS;
use crate::need::Need;
use crate::sys::{self, Map, RW, mfd, seal};
use crate::uring;
use crate::world::{World, fresh, outlives, same, sealed};

pub const CASES: &[Case] = &[
    Case {
        name: "store",
        about: "a store through an old writable mapping reaches the file",
        rules: &[14],
        under: LATERS,
        setup: sealed,
        op: |f| {
            f.old().store(1, 9);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
    Case {
        name: "store_after_close",
        about: "it does so after every descriptor of the sender is closed",
        rules: &[14],
        setup: |given| {
            let mut world = sealed(given)?;
            let receiver = world.reopen(libc::O_RDONLY).map_err(|e| e.to_string())?;
            world.fd = receiver;
            Ok(world)
        },
        op: |f| {
            f.old().store(1, 9);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
    Case {
        name: "fork",
        about: "a forked child goes on writing through the mapping that it inherits",
        rules: &[14, 30],
        under: LATERS,
        setup: sealed,
        op: |f| outlives(|| f.old().store(1, 9)),
        starved: IN_CHILD,
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
    Case {
        name: "io_uring_fixed_buffer",
        about: "io_uring reads into a fixed buffer over an old writable mapping",
        rules: &[14, 30],
        needs: &[Need::IoUring],
        setup: |given| {
            let source = sys::memfd_create("source", mfd::CLOEXEC).map_err(|e| e.to_string())?;
            nix::unistd::write(&source, b"test").map_err(|e| e.to_string())?;
            Ok(sealed(given)?.keep(source))
        },
        op: |f| uring::Fixed::pin(f.old())?.read(&f.kept[0], f.old().addr(), 4),
        starved: uring::NO_WORKER,
        expect: Returns(4),
        after: |f| f.byte_is(0, b't'),
        ..CASE
    },
    Case {
        name: "io_uring_pinned_before",
        about: "it does so also when the pages were pinned before the seal and the mapping is gone",
        rules: &[30],
        needs: &[Need::IoUring],
        on: SHMEM,
        setup: |given| fresh(given)?.map(RW),
        op: |f| {
            let mut fixed = uring::Fixed::pin(f.old())?;
            let source = sys::memfd_create("source", mfd::CLOEXEC)?;
            nix::unistd::write(&source, b"test")?;
            sys::add_seals(&f.fd, seal::FS_WRITE)?;
            let to = f.old().addr();
            f.old = None;
            fixed.read(&source, to, 4)
        },
        starved: STEPS,
        expect: Returns(4),
        after: |f| f.byte_is(0, b't'),
        ..CASE
    },
    Case {
        name: "second_page",
        about: "an old mapping of a part of the file keeps its rights on that part",
        rules: &[14],
        setup: |given| {
            let mut world = fresh(given)?;
            let map = Map::new(world.page, RW, libc::MAP_SHARED, &world.fd, world.page as i64);
            world.old = Some(map.map_err(|e| e.to_string())?);
            world.seal(given.seals)
        },
        op: |f| {
            f.old().store(1, 9);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.byte_is(f.page + 1, 9),
        ..CASE
    },
    Case {
        name: "other_process",
        about: "a mapping that another process made before the seal goes on working there",
        rules: &[14, 30],
        setup: fresh,
        op: |f| {
            let (reader, writer) = nix::unistd::pipe()?;
            let page = f.page;
            let child = sys::fork(|| {
                let map = Map::new(2 * page, RW, libc::MAP_SHARED, &f.fd, 0).expect("map");
                nix::unistd::write(&writer, b"m").expect("tell");
                while sys::get_seals(&f.fd).is_ok_and(|seals| seals as u32 & seal::FS_WRITE == 0) {
                    std::thread::yield_now();
                }
                map.store(1, 9);
                0
            })?;
            nix::unistd::read(&reader, &mut [0])?;
            sys::add_seals(&f.fd, seal::FS_WRITE)?;
            match nix::sys::wait::waitpid(child, None)? {
                nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(0),
                other => panic!("{other:?}"),
            }
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
    Case {
        name: "later_seals",
        about: "an old writable mapping goes on working as more seals are added, one by one",
        rules: &[14],
        under: LATERS,
        setup: sealed,
        op: |f| {
            f.add_seals(seal::SHRINK)?;
            f.add_seals(seal::GROW)?;
            f.add_seals(seal::FUTURE_WRITE)?;
            f.add_seals(seal::SEAL)?;
            f.old().store(1, 9);
            Ok(0)
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
    Case {
        name: "harmless_seals",
        about: "under seals that are not about writing an old writable mapping is as ever",
        under: crate::mapped::HARMLESS,
        setup: sealed,
        op: store,
        expect: Returns(0),
        after: |f| {
            f.byte_is(1, 9)?;
            same("mprotect to PROT_READ", Ok(0), f.old().protect(sys::RO))?;
            same("mprotect to PROT_WRITE", Ok(0), f.old().protect(RW))?;
            f.reaches_file(f.old())
        },
        ..CONTROL
    },
    Case {
        name: "fork_unmapped_parent",
        about: "a forked child goes on writing after the parent has unmapped",
        rules: &[14, 30],
        on: BOTH,
        under: LATERS,
        setup: sealed,
        op: |f| {
            let (reader, writer) = nix::unistd::pipe()?;
            let child = sys::fork(|| {
                nix::unistd::read(&reader, &mut [0]).expect("told");
                f.old().store(1, 9);
                0
            })?;
            f.old = None;
            nix::unistd::write(&writer, b"u")?;
            let ended = nix::sys::wait::waitpid(child, None)?;
            assert_eq!(ended, nix::sys::wait::WaitStatus::Exited(child, 0));
            Ok(0)
        },
        starved: IN_CHILD,
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
];

fn store(world: &mut World) -> Got {
    world.old().store(1, 9);
    Ok(0)
}
