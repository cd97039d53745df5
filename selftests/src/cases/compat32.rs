// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Seals, writes and mappings through the system calls of a 32-bit task.

use crate::calls::{pipe_is_full, source_stays, with_pipe, with_source};
use crate::case::*;
use crate::compat;
use crate::mapped::OLDER;
use crate::need::Need;
use crate::sys::{self, RO, RW, seal};
use crate::world::{World, fresh, sealed, sealed_unmapped};
use libc::{MAP_PRIVATE, MAP_SHARED};
use libc::{O_CLOEXEC, O_RDWR};
use nix::errno::Errno::*;

/// A size whose lower half says nothing.
const HIGH: u64 = 1 << 32;

const COMPAT: Case = Case { needs: &[Need::Compat], rules: &[28], setup: sealed, ..CASE };
const WRITE: Case = Case { on: PLAIN, under: NO_WRITE, expect: Fails(EPERM), ..COMPAT };
const WRITES: Case = Case { rules: &[], on: PLAIN, under: MAY_WRITE, expect: Returns(4), ..COMPAT };

fn piped(given: Given) -> Setup {
    with_pipe(sealed(given)?)
}

fn sourced(given: Given) -> Setup {
    with_source(sealed(given)?)
}

fn written(f: &mut World) -> Check {
    f.size_is(f.size)?;
    f.bytes_are(1, b"test\0")
}

/// A shared mapping that a 32-bit pointer reaches, as `new`, from before the row's seals.
fn mapped_low(given: Given) -> Setup {
    let mut world = fresh(given)?;
    compat::mmap2(&mut world, RW, MAP_SHARED).map_err(|e| format!("mmap2: {e:?}"))?;
    world.seal(given.seals)
}

pub const CASES: &[Case] = &[
    Case {
        name: "memfd_create",
        about: "memfd_create makes a file that can be sealed",
        on: OWN,
        under: &[0],
        setup: fresh,
        op: |f| {
            f.fd = compat::memfd_create()?;
            Ok(sys::add_seals(&f.fd, seal::FUTURE_WRITE | seal::SEAL)?)
        },
        starved: STEPS,
        expect: Returns(0),
        ..COMPAT
    },
    Case {
        name: "add_seals",
        about: "fcntl64 adds each seal, and no other",
        on: BOTH,
        under: &[
            seal::FS_WRITE,
            seal::FUTURE_WRITE,
            seal::GROW,
            seal::SHRINK,
            seal::SEAL,
            seal::FS_WRITE | seal::SEAL,
        ],
        setup: |given| fresh(given)?.map(RW),
        op: |f| compat::add_seals(f, f.given.seals),
        expect: Returns(0),
        after: |f| f.seals_are(f.given.seals),
        ..COMPAT
    },
    Case {
        name: "add_seals_old",
        about: "fcntl adds the seal too",
        on: BOTH,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: |given| fresh(given)?.map(RW),
        op: |f| compat::add_seals_old(f, f.given.seals),
        expect: Returns(0),
        after: |f| f.seals_are(f.given.seals),
        ..COMPAT
    },
    Case {
        name: "add_seals_busy",
        about: "fcntl64 with F_SEAL_WRITE is EBUSY while a writable shared mapping exists",
        on: BOTH,
        under: &[0],
        setup: |given| fresh(given)?.map(RW),
        op: |f| compat::add_seals(f, seal::WRITE),
        expect: Fails(EBUSY),
        ..COMPAT
    },
    Case {
        name: "get_seals",
        about: "fcntl64 tells which seals there are",
        on: PLAIN,
        under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE | seal::SEAL],
        op: |f| Ok(compat::get_seals(f)? - i64::from(f.given.seals)),
        expect: Returns(0),
        ..COMPAT
    },
    Case {
        name: "write",
        about: "write fails and does not move the offset",
        on: SHMEM,
        op: |f| compat::write(f),
        ..WRITE
    },
    Case {
        name: "write_allowed",
        about: "write works under the other seals",
        op: |f| compat::write(f),
        after: |f| f.bytes_are(4, b"\0test\0"),
        ..WRITES
    },
    Case { name: "pwrite", about: "pwrite64 fails", op: |f| compat::pwrite(f, 1), ..WRITE },
    Case {
        name: "pwrite_allowed",
        about: "pwrite64 works under the other seals",
        op: |f| compat::pwrite(f, 1),
        after: written,
        ..WRITES
    },
    Case {
        name: "pwrite_high",
        about: "pwrite64 past 4 GiB fails under F_SEAL_GROW too",
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        op: |f| compat::pwrite(f, HIGH),
        ..WRITE
    },
    Case {
        name: "pwrite_without_largefile",
        about: "pwrite64 at 2 GiB through a descriptor without O_LARGEFILE is EFBIG before any seal",
        on: PLAIN,
        under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        setup: |given| {
            let mut f = sealed(given)?;
            let fd = compat::open(&f, O_RDWR | O_CLOEXEC).map_err(|e| format!("open: {e:?}"))?;
            f.fd = fd;
            Ok(f)
        },
        op: |f| compat::pwrite(f, i32::MAX as u64),
        expect: Fails(EFBIG),
        hollow: Deviation::Passes("the offset is looked at first"),
        ..WRITE
    },
    Case { name: "writev", about: "writev fails", op: |f| compat::writev(f), ..WRITE },
    Case {
        name: "writev_allowed",
        about: "writev works under the other seals",
        op: |f| compat::writev(f),
        after: |f| f.bytes_are(4, b"\0test\0"),
        ..WRITES
    },
    Case { name: "pwritev", about: "pwritev fails", op: |f| compat::pwritev(f, 1), ..WRITE },
    Case {
        name: "pwritev_allowed",
        about: "pwritev works under the other seals",
        op: |f| compat::pwritev(f, 1),
        after: written,
        ..WRITES
    },
    Case {
        name: "pwritev2",
        about: "pwritev2 with RWF_APPEND fails under F_SEAL_GROW too",
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW],
        op: |f| compat::pwritev2(f, 1, libc::RWF_APPEND),
        ..WRITE
    },
    Case {
        name: "pwritev2_at_offset",
        about: "pwritev2 at the file's own offset fails and does not move it",
        op: |f| compat::pwritev2(f, u64::MAX, libc::RWF_SYNC),
        ..WRITE
    },
    Case {
        name: "pwritev2_unsupported",
        about: "pwritev2 with a flag that memfds lack is EOPNOTSUPP before any seal",
        on: PLAIN,
        under: ANY_WRITE,
        op: |f| compat::pwritev2(f, 1, libc::RWF_NOWAIT),
        expect: Fails(EOPNOTSUPP),
        hollow: Deviation::Passes("the flags are looked at first"),
        ..WRITE
    },
    Case {
        name: "pwritev2_allowed",
        about: "pwritev2 works under the other seals",
        op: |f| compat::pwritev2(f, 1, libc::RWF_SYNC),
        after: written,
        ..WRITES
    },
    Case {
        name: "sendfile",
        about: "sendfile from another memfd fails and leaves the source's offset",
        on: PLAIN,
        setup: sourced,
        op: |f| compat::sendfile(f, &f.kept[0]),
        after: source_stays,
        ..WRITE
    },
    Case {
        name: "sendfile64",
        about: "sendfile64 from another memfd fails and leaves the source's offset",
        on: PLAIN,
        setup: sourced,
        op: |f| compat::sendfile64(f, &f.kept[0]),
        after: source_stays,
        ..WRITE
    },
    Case {
        name: "splice",
        about: "splice from a pipe fails; the pipe keeps its bytes",
        on: PLAIN,
        setup: piped,
        op: |f| compat::splice(f, &f.kept[1]),
        after: pipe_is_full,
        ..WRITE
    },
    Case {
        name: "splice_allowed",
        about: "splice from a pipe works under the other seals",
        setup: piped,
        op: |f| compat::splice(f, &f.kept[1]),
        after: written,
        ..WRITES
    },
    Case {
        name: "copy_file_range",
        about: "copy_file_range from another memfd fails and leaves the source's offset",
        on: PLAIN,
        setup: sourced,
        op: |f| compat::copy_file_range(f, &f.kept[0]),
        after: source_stays,
        ..WRITE
    },
    Case {
        name: "mmap",
        about: "mmap2, shared and writable, fails",
        under: &[seal::FS_WRITE],
        op: |f| compat::mmap2(f, RW, MAP_SHARED),
        expect: Fails(EACCES),
        ..COMPAT
    },
    Case {
        name: "mmap_older_seals",
        about: "mmap2, shared and writable, fails with EPERM under the older seals of writing",
        on: BOTH,
        under: OLDER,
        op: |f| compat::mmap2(f, RW, MAP_SHARED),
        expect: Fails(EPERM),
        ..COMPAT
    },
    Case {
        name: "old_mmap",
        about: "mmap with its arguments in memory, shared and writable, fails",
        on: BOTH,
        under: &[seal::FS_WRITE],
        op: |f| compat::mmap(f, RW, MAP_SHARED),
        expect: Fails(EACCES),
        ..COMPAT
    },
    Case {
        name: "mmap_ro",
        about: "mmap2, shared and read-only, works, and mprotect can't make it writable",
        on: BOTH,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        op: |f| {
            compat::mmap2(f, RO, MAP_SHARED)?;
            compat::mprotect(f.made(), RW)
        },
        starved: STEPS,
        expect: Fails(EACCES),
        after: |f| crate::world::readable(f.made()),
        ..COMPAT
    },
    Case {
        name: "mmap_private",
        about: "mmap2, private and writable, works and stays private",
        on: BOTH,
        under: NO_WRITE,
        setup: sealed_unmapped,
        op: |f| compat::mmap2(f, RW, MAP_PRIVATE),
        expect: Returns(0),
        after: |f| f.isolated_from_file(f.made()),
        ..COMPAT
    },
    Case {
        name: "mprotect_old",
        about: "mprotect takes the right to write from an old mapping and gives it back",
        on: BOTH,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: mapped_low,
        op: |f| {
            compat::mprotect(f.made(), RO)?;
            compat::mprotect(f.made(), RW)
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..COMPAT
    },
    Case {
        name: "process_vm_writev_old",
        about: "process_vm_writev into an old writable mapping works",
        on: PLAIN,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: mapped_low,
        op: |f| compat::process_vm_writev(f.made()),
        expect: Returns(4),
        after: |f| f.bytes_are(1, b"test\0"),
        ..COMPAT
    },
    Case {
        name: "process_vm_writev",
        about: "process_vm_writev into a read-only mapping made after the seal is EFAULT",
        on: PLAIN,
        under: NO_WRITE,
        op: |f| {
            compat::mmap2(f, RO, MAP_SHARED)?;
            compat::process_vm_writev(f.made())
        },
        starved: STEPS,
        expect: Fails(EFAULT),
        hollow: Deviation::Passes("the mapping is read-only, which is all that this looks at"),
        ..COMPAT
    },
];
