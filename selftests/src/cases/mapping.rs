// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! New mappings of a sealed file.

use crate::case::*;
use crate::need::Need;
use crate::sys::{self, Map, RO, RW, seal};
use crate::uffd;
use crate::world::{
    World, fresh, map_ro, outlives, readable, refused, same, sealed, sealed_reopened,
    shows_second_page,
};
use libc::{MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, PROT_NONE, PROT_WRITE};
use nix::errno::Errno::*;
use std::fs::File;
use std::os::fd::AsRawFd;

const OTHER_SEAL: Deviation = Deviation::Passes("the other seal refuses it");
const RDONLY: Deviation = Deviation::Passes("the descriptor is open for reading only");
const READ_ONLY: Deviation =
    Deviation::Passes("the mapping is shared and read-only, which is all that this looks at");
const MAY_WRITE: Deviation = Deviation::Fails("VM_MAYWRITE is not cleared");

pub const CASES: &[Case] = &[
    Case {
        name: "shared_rw",
        about: "mmap(2) MAP_SHARED with PROT_READ|PROT_WRITE fails",
        rules: &[8],
        setup: sealed,
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_w",
        about: "mmap(2) MAP_SHARED with PROT_WRITE alone fails",
        rules: &[8],
        setup: sealed,
        op: |f| f.mmap_new(PROT_WRITE, MAP_SHARED),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_validate_rw",
        about: "mmap(2) MAP_SHARED_VALIDATE with PROT_WRITE fails",
        rules: &[8],
        setup: sealed,
        op: |f| f.mmap_new(RW, MAP_SHARED_VALIDATE),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_rw_reopened",
        about: "it fails through a descriptor opened O_RDWR after the seal",
        rules: &[8, 16],
        setup: |given| sealed_reopened(given, libc::O_RDWR),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_rw_opened_before",
        about: "it fails through another open file from before the seal",
        rules: &[8, 16],
        setup: |given| {
            let world = fresh(given)?.via(libc::O_RDWR)?;
            sys::add_seals(&world.kept[0], seal::FS_WRITE).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_rw_through_rdonly",
        about: "through an O_RDONLY descriptor it fails by the ordinary rule",
        rules: &[17],
        setup: |given| sealed_reopened(given, libc::O_RDONLY),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EACCES),
        hollow: RDONLY,
        ..CASE
    },
    Case {
        name: "shared_rw_with_future_write",
        about: "with F_SEAL_FUTURE_WRITE set too, the errno stays EPERM",
        rules: &[9],
        setup: |given| fresh(given)?.seal(seal::FUTURE_WRITE | seal::FS_WRITE),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EPERM),
        hollow: OTHER_SEAL,
        ..CASE
    },
    Case {
        name: "shared_rw_with_write",
        about: "with F_SEAL_WRITE set too, the errno stays EPERM",
        rules: &[9],
        setup: |given| fresh(given)?.seal(seal::WRITE | seal::FS_WRITE),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EPERM),
        hollow: OTHER_SEAL,
        ..CASE
    },
    Case {
        name: "shared_ro",
        about: "mmap(2) MAP_SHARED without PROT_WRITE works and shows the contents",
        rules: &[10],
        setup: sealed,
        op: map_ro,
        expect: Returns(0),
        after: |f| {
            readable(f.made())?;
            f.old().store(1, 7);
            same("what the old mapping wrote", 7, f.made().load(1))
        },
        ..CASE
    },
    Case {
        name: "shared_ro_to_rw",
        about: "mprotect(2) of such a mapping to PROT_WRITE fails",
        rules: &[10],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.map(RO),
        op: |f| Ok(f.old().protect(RW)?),
        expect: Fails(EACCES),
        after: |f| readable(f.old()),
        ..CASE
    },
    Case {
        name: "shared_none_to_rw",
        about: "mprotect(2) of a PROT_NONE mapping made since to PROT_WRITE fails",
        rules: &[10],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.map(PROT_NONE),
        op: |f| Ok(f.old().protect(RW)?),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_ro_duplicate_to_rw",
        about: "a duplicate of such a mapping by mremap(2) can't be made writable either",
        rules: &[10],
        on: SHMEM,
        setup: |given| {
            let mut world = fresh(given)?.seal(seal::FS_WRITE)?.map(RO)?;
            let old = world.old.take().expect("mapped");
            let len = old.len();
            let made = old.remap(0, len, libc::MREMAP_MAYMOVE).map_err(|e| e.to_string())?;
            (world.new, world.old) = (Some(made.0), made.1);
            Ok(world)
        },
        op: |f| Ok(f.made().protect(RW)?),
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_ro_child_to_rw",
        about: "a forked child can't make such a mapping writable either",
        rules: &[10],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.map(RO),
        starved: IN_CHILD,
        op: |f| match sys::in_child(|| f.old().protect(RW).err().map_or(0, |e| e as i32))? {
            sys::Ended::Exit(0) => Ok(0),
            sys::Ended::Exit(errno) => Err(nix::errno::Errno::from_raw(errno).into()),
            sys::Ended::Signal(signal) => panic!("the child died by signal {signal}"),
        },
        expect: Fails(EACCES),
        ..CASE
    },
    Case {
        name: "shared_ro_proc_mem",
        about: "/proc/self/mem can't write into such a mapping",
        rules: &[10],
        setup: |given| with_proc_mem(fresh(given)?.seal(seal::FS_WRITE)?.map(RO)?),
        op: write_proc_mem,
        expect: Fails(EIO),
        hollow: READ_ONLY,
        ..CASE
    },
    Case {
        name: "shared_ro_process_vm_writev",
        about: "process_vm_writev(2) can't write into such a mapping",
        rules: &[10],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.map(RO),
        op: |f| Ok(sys::process_vm_write_self(b"test", f.old().addr())?),
        expect: Fails(EFAULT),
        hollow: READ_ONLY,
        ..CASE
    },
    Case {
        name: "shared_ro_userfaultfd",
        about: "userfaultfd can't register such a mapping",
        rules: &[10],
        needs: &[Need::Userfaultfd],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.map(RO),
        op: |f| Ok(uffd::register(&uffd::open()?, f.old())?),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "private_rw",
        about: "mmap(2) MAP_PRIVATE with PROT_WRITE works and is isolated from the file",
        rules: &[11],
        setup: sealed,
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        expect: Returns(0),
        after: |f| f.isolated_from_file(f.made()),
        ..CASE
    },
    Case {
        name: "private_ro_to_rw",
        about: "a private read-only mapping can be made writable and is isolated from the file",
        rules: &[11],
        setup: |given| {
            let mut world = fresh(given)?.seal(seal::FS_WRITE)?;
            world.old = Some(world.mmap(RO, MAP_PRIVATE).map_err(|e| e.to_string())?);
            Ok(world)
        },
        op: |f| Ok(f.old().protect(RW)?),
        expect: Returns(0),
        after: |f| f.isolated_from_file(f.old()),
        ..CASE
    },
    Case {
        name: "private_fork",
        about: "copy-on-write across fork(2) of a private mapping works",
        rules: &[11],
        setup: |given| {
            let mut world = fresh(given)?.seal(seal::FS_WRITE)?;
            world.old = Some(world.mmap(RW, MAP_PRIVATE).map_err(|e| e.to_string())?);
            world.old().store(1, 22);
            Ok(world)
        },
        op: |f| outlives(|| f.old().store(1, 33)),
        starved: IN_CHILD,
        expect: Returns(0),
        after: |f| {
            same("the parent's copy", 22, f.old().load(1))?;
            f.unchanged()
        },
        ..CASE
    },
    Case {
        name: "fixed_over_old",
        about: "a refused MAP_FIXED leaves the mapping that it would have replaced",
        rules: &[8],
        setup: sealed,
        op: |f| {
            let (addr, len) = (f.old().addr(), f.old().len());
            // Not owned: were it made, it would be the old one's pages.
            let new = Map::at(addr, len, RW, MAP_SHARED | MAP_FIXED, f.fd.as_raw_fd(), 0)?;
            std::mem::forget(new);
            Ok(0)
        },
        expect: Fails(EACCES),
        after: |f| f.reaches_file(f.old()),
        ..CASE
    },
    Case {
        name: "remap_file_pages_rw",
        about: "remap_file_pages(2) on an old writable mapping fails and leaves it as it was",
        rules: &[12],
        needs: &[Need::RemapFilePages],
        on: SHMEM,
        setup: sealed,
        op: |f| Ok(f.old().remap_file_pages(f.page, f.page)?),
        expect: Fails(EACCES),
        after: |f| {
            f.reaches_file(f.old())?;
            same("the remapped page's neighbour", 0, f.old().load(f.page + 1))
        },
        ..CASE
    },
    Case {
        name: "remap_file_pages_ro",
        about: "remap_file_pages(2) on an old read-only mapping works, and that range can't become writable",
        rules: &[12],
        needs: &[Need::RemapFilePages],
        on: SHMEM,
        setup: |given| fresh(given)?.map(RO)?.seal(seal::FS_WRITE),
        op: |f| Ok(f.old().remap_file_pages(f.page, f.page)?),
        starved: Starved::Untried("it maps over the range, which is gone when that fails"),
        expect: Returns(0),
        after: |f| {
            shows_second_page(f.old())?;
            let range = Map::adopt(f.old().addr(), f.page);
            let got = range.protect(RW);
            std::mem::forget(range);
            refused("mprotect of the range", EACCES, got.map_err(Stop::from))
        },
        hollow: MAY_WRITE,
        ..CASE
    },
    Case {
        name: "unsealed_shared_rw",
        about: "a memfd without the seal is mapped writable as ever",
        setup: fresh,
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..CONTROL
    },
    Case {
        name: "future_write_is_eperm",
        about: "with F_SEAL_FUTURE_WRITE alone, the errno is EPERM as ever",
        rules: &[9],
        setup: |given| fresh(given)?.seal(seal::FUTURE_WRITE),
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EPERM),
        hollow: OTHER_SEAL,
        ..CONTROL
    },
];

/// Opens /proc/self/mem for `write_proc_mem`.
pub fn with_proc_mem(world: World) -> Setup {
    let mem = File::options().read(true).write(true).open("/proc/self/mem");
    Ok(world.keep(mem.map_err(|e| format!("/proc/self/mem: {e}"))?.into()))
}

/// Writes four bytes at the start of the old mapping through /proc/self/mem.
pub fn write_proc_mem(world: &mut World) -> Got {
    let (mem, data) = (&world.kept[0], b"test");
    let to = world.old().addr();
    let args = [mem.as_raw_fd() as usize, data.as_ptr() as usize, data.len(), to, 0, 0];
    Ok(sys::call(libc::SYS_pwrite64, args)?)
}
