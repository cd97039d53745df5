// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What was mapped or pinned before the seal keeps its rights.

use super::mapping::{with_proc_mem, write_proc_mem};
use crate::case::*;
use crate::need::Need;
use crate::sys::{self, Map, RO, RW, mfd, seal};
use crate::world::{fresh, outlives, same, sealed};
use crate::{uffd, uring};
use libc::{MADV_REMOVE, MREMAP_MAYMOVE, PROT_NONE};
use nix::errno::Errno::*;

pub const CASES: &[Case] = &[
    Case {
        name: "store",
        about: "a store through an old writable mapping reaches the file",
        rules: &[14],
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
        name: "mprotect_to_rw",
        about: "an old mapping that was made PROT_NONE for a while can be writable again",
        rules: &[14],
        setup: |given| {
            let world = sealed(given)?;
            world.old().protect(PROT_NONE).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| Ok(f.old().protect(RW)?),
        expect: Returns(0),
        after: |f| f.reaches_file(f.old()),
        ..CASE
    },
    Case {
        name: "readonly_to_rw",
        about: "an old read-only mapping of an O_RDWR descriptor can be made writable",
        rules: &[15],
        setup: |given| fresh(given)?.map(RO)?.seal(seal::FS_WRITE),
        op: |f| Ok(f.old().protect(RW)?),
        expect: Returns(0),
        after: |f| f.reaches_file(f.old()),
        ..CASE
    },
    Case {
        name: "fork",
        about: "a forked child goes on writing through the mapping that it inherits",
        rules: &[14, 30],
        setup: sealed,
        op: |f| outlives(|| f.old().store(1, 9)),
        starved: IN_CHILD,
        expect: Returns(0),
        after: |f| f.byte_is(1, 9),
        ..CASE
    },
    Case {
        name: "mremap_move",
        about: "mremap(2) moves an old writable mapping, which stays writable",
        rules: &[14],
        setup: sealed,
        op: |f| {
            let target = f.mmap(PROT_NONE, libc::MAP_PRIVATE)?;
            let old = f.old.take().expect("mapped");
            let args = [
                old.addr(),
                old.len(),
                old.len(),
                (MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize,
                target.addr(),
                0,
            ];
            sys::call(libc::SYS_mremap, args)?;
            // The move has replaced the target and left nothing behind.
            std::mem::forget(old);
            f.new = Some(target);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..CASE
    },
    Case {
        name: "mremap_grow",
        about: "mremap(2) enlarges an old writable mapping, which stays writable; the file does not grow",
        rules: &[14],
        on: SHMEM,
        setup: sealed,
        op: |f| {
            let old = f.old.take().expect("mapped");
            let len = old.len();
            f.new = Some(old.remap(len, 2 * len, MREMAP_MAYMOVE)?.0);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| {
            f.size_is(f.size)?;
            f.reaches_file(f.made())
        },
        ..CASE
    },
    Case {
        name: "mremap_grow_hugetlb",
        about: "hugetlbfs mappings can't be enlarged by mremap(2): EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        setup: sealed,
        op: |f| {
            let old = f.old();
            let args = [old.addr(), old.len(), 2 * old.len(), MREMAP_MAYMOVE as usize, 0, 0];
            Ok(sys::call(libc::SYS_mremap, args)?)
        },
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("hugetlbfs never could"),
        ..CASE
    },
    Case {
        name: "mremap_duplicate",
        about: "mremap(2) with old_len 0 duplicates an old writable mapping",
        rules: &[14, 30],
        on: SHMEM,
        setup: sealed,
        op: |f| {
            let old = f.old.take().expect("mapped");
            let len = old.len();
            let (new, old) = old.remap(0, len, MREMAP_MAYMOVE)?;
            (f.new, f.old) = (Some(new), old);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| {
            f.reaches_file(f.made())?;
            same("the other mapping sees it", 0xc3, f.old().load(1))
        },
        ..CASE
    },
    Case {
        name: "mremap_duplicate_hugetlb",
        about: "hugetlbfs mappings can't be duplicated by mremap(2): EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        setup: sealed,
        op: |f| {
            let args = [f.old().addr(), 0, f.old().len(), MREMAP_MAYMOVE as usize, 0, 0];
            Ok(sys::call(libc::SYS_mremap, args)?)
        },
        expect: Fails(EINVAL),
        hollow: Deviation::Passes("hugetlbfs never could"),
        ..CASE
    },
    Case {
        name: "madv_remove",
        about: "MADV_REMOVE on an old writable mapping is a hole punch and fails",
        rules: &[13],
        setup: sealed,
        op: |f| Ok(f.old().advise(0, f.page, MADV_REMOVE)?),
        expect: Fails(EPERM),
        after: |f| f.reaches_file(f.old()),
        ..CASE
    },
    Case {
        name: "process_vm_writev",
        about: "process_vm_writev(2) writes into an old writable mapping",
        rules: &[14],
        setup: sealed,
        op: |f| Ok(sys::process_vm_write_self(b"test", f.old().addr())?),
        expect: Returns(4),
        after: |f| f.byte_is(0, b't'),
        ..CASE
    },
    Case {
        name: "proc_mem",
        about: "/proc/self/mem writes into an old writable mapping",
        rules: &[14],
        setup: |given| with_proc_mem(sealed(given)?),
        op: write_proc_mem,
        expect: Returns(4),
        after: |f| f.byte_is(0, b't'),
        ..CASE
    },
    Case {
        name: "uffdio_copy",
        about: "UFFDIO_COPY fills a hole of the file through an old mapping",
        rules: &[14],
        needs: &[Need::Userfaultfd],
        setup: |given| {
            let world = fresh(given)?;
            let hole = world.fallocate(
                libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE,
                0,
                world.page,
            );
            hole.map_err(|e| format!("punch: {e:?}"))?;
            let world = world.map(RW)?;
            let uffd = uffd::open().map_err(|e| e.to_string())?;
            uffd::register(&uffd, world.old()).map_err(|e| format!("register: {e:?}"))?;
            let mut world = world.keep(uffd).seal(seal::FS_WRITE)?;
            // The page that is copied: anonymous memory, made here so that `op` allocates little.
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = Map::at(0, world.page, RW, anonymous, -1, 0).map_err(|e| e.to_string())?;
            page.store(world.page - 1, 7);
            world.new = Some(page);
            Ok(world)
        },
        op: |f| Ok(uffd::copy(&f.kept[0], f.old(), f.made())?),
        starved: Starved::Or(EEXIST, "hugetlb takes a failed allocation there for a lost race"),
        expect: Returns(0),
        after: |f| f.byte_is(f.page - 1, 7),
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
            world.seal(seal::FS_WRITE)
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
];
