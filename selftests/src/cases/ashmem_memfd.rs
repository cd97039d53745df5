// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Memfds asked for what `ashmem.rs` asks of /dev/ashmem, a row of the same name for each: one with
//! F_SEAL_FS_WRITE, and one with the older seals that come nearest.

use crate::ashmem::{mapped_name, set_mask};
use crate::case::*;
use crate::door::Door;
use crate::mapped::old_ro;
use crate::need::Need;
use crate::steps::*;
use crate::sys::seal::{FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, Map, RO, RW, mfd};
use crate::world::{MARK, World, each, fresh, same, sealed, sealed_unmapped, store_in_child, word};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;

/// What the two differ in.
struct Column {
    under: &'static [u32],
    /// mmap(2) shared and writable, also by remap_file_pages(2).
    mapped_writable: Expect,
    /// fallocate(2) below EOF.
    allocate: Expect,
}

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const OLDER: u32 = FUTURE_WRITE | SHRINK | GROW;

/// With the seal.
pub const FS_WRITE_CASES: &[Case] =
    &cases(Column { under: &[FS_WRITE], mapped_writable: Fails(EACCES), allocate: Fails(EPERM) });

/// With the older seals.
pub const OLDER_CASES: &[Case] =
    &cases(Column { under: &[OLDER], mapped_writable: Fails(EPERM), allocate: Returns(0) });

const ROWS: usize = super::ashmem::CASES.len();

const fn cases(column: Column) -> [Case; ROWS] {
    let Column { under, mapped_writable, allocate } = column;
    // Before the seals.
    let before = Case { on: OWN, under, setup: fresh, expect: Returns(0), ..CASE };
    // With an old writable mapping, and the seals.
    let sealed = Case { setup: sealed, ..before };
    // By each who may hold the file.
    let by_all = Case { through: HOLDERS, needs: &[Need::OtherUid], starved: IN_CHILD, ..sealed };
    // Through the file that root reaches from a mapping (proc(5), map_files): the same one.
    let behind_it = Case { needs: &[Need::Capabilities], ..sealed };
    [
        Case {
            name: "create",
            about: "a new memfd has no size, and no seals if it may have any",
            op: |_| {
                let fd = sys::memfd_create("new", mfd::CLOEXEC | mfd::ALLOW_SEALING)?;
                held(same("F_GET_SEALS", Ok(0), sys::get_seals(&fd)));
                Ok(sys::fstat(&fd)?.st_size)
            },
            ..before
        },
        Case {
            name: "name",
            about: "the name that memfd_create(2) is given is shown by /proc/self/maps",
            op: |f| {
                let fd = sys::memfd_create("window", mfd::CLOEXEC)?;
                sys::ftruncate(&fd, f.size as i64)?;
                let name = mapped_name(&Map::new(f.size, RW, MAP_SHARED, &fd, 0)?);
                held(same("mapped", Ok("/memfd:window (deleted)".to_owned()), name));
                Ok(0)
            },
            ..before
        },
        Case {
            name: "resize_before",
            about: "ftruncate(2) sets the size as often as one likes before the seals",
            op: |f| f.ftruncate(2 * f.size),
            after: |f| f.size_is(2 * f.size),
            ..before
        },
        Case {
            name: "resize_mapped",
            about: "so it does while the file is mapped",
            setup: |given| fresh(given)?.map(RW),
            op: |f| f.ftruncate(2 * f.size),
            after: |f| f.size_is(2 * f.size),
            ..before
        },
        Case {
            name: "ask_size",
            about: "fstat(2) gives the size",
            op: |f| Ok(sys::fstat(&f.fd)?.st_size - f.size as i64),
            ..before
        },
        Case {
            name: "read_unmapped",
            about: "read(2) works on a file that nobody has mapped",
            setup: |given| {
                let fd = sys::memfd_create("unmapped", mfd::CLOEXEC).map_err(word)?;
                nix::unistd::write(&fd, &[MARK]).map_err(word)?;
                Ok(World::inherited(given, fd))
            },
            op: reads,
            ..before
        },
        Case {
            name: "write_before",
            about: "write(2) and its kin work before the seals",
            setup: |given| fresh(given)?.map(RW),
            op: writes,
            ..before
        },
        Case {
            name: "drop",
            about: "F_ADD_SEALS is anybody's who holds the file open for writing, and waits for no mapping",
            rules: &[1],
            setup: |given| fresh(given)?.map(RW),
            op: |f| f.add_seals(f.given.seals),
            after: |f| f.seals_are(f.given.seals),
            ..by_all
        },
        Case {
            name: "drop_again",
            about: "adding them again works",
            rules: &[19],
            op: |f| f.add_seals(f.given.seals),
            ..sealed
        },
        Case {
            name: "ask",
            about: "F_GET_SEALS gives exactly them",
            rules: &[2],
            op: |f| Ok(sys::get_seals(&f.fd)?),
            expect: Returns(under[0] as i64),
            ..by_all
        },
        Case {
            name: "other_call",
            about: "ASHMEM_SET_PROT_MASK is no call for a memfd",
            op: |f| Ok(set_mask(&f.fd, RO)?),
            expect: Fails(ENOTTY),
            hollow: Deviation::Passes("a memfd has no such call, sealed or not"),
            ..sealed
        },
        Case {
            name: "take_reading",
            about: "with F_SEAL_SEAL a receiver can add no seal for the others",
            rules: &[20],
            through: &[Door::Received],
            setup: |given| crate::world::sealed(given)?.seal(SEAL),
            op: |f| f.add_seals(WRITE),
            expect: Fails(EPERM),
            after: |f| map_readonly(f).map(|_| ()).map_err(|stop| format!("mmap(2): {stop:?}")),
            hollow: Deviation::Passes("F_SEAL_SEAL refuses it"),
            ..sealed
        },
        Case {
            name: "map_writable",
            about: "mmap(2) MAP_SHARED with PROT_WRITE fails",
            rules: &[8],
            op: map_writable,
            expect: mapped_writable,
            ..by_all
        },
        Case {
            name: "map_readonly",
            about: "mmap(2) MAP_SHARED without it works and shows the contents",
            rules: &[10],
            op: map_readonly,
            ..by_all
        },
        Case {
            name: "protect_new",
            about: "mprotect(2) can't make such a mapping writable",
            rules: &[10],
            op: protect_new,
            expect: Fails(EACCES),
            ..by_all
        },
        Case {
            name: "force_new",
            about: "nor does /proc/self/mem write into it",
            rules: &[10],
            op: force_new,
            expect: Fails(EIO),
            hollow: Deviation::Passes("no shared mapping takes that, sealed or not"),
            ..sealed
        },
        Case {
            name: "remove_new",
            about: "nor can MADV_REMOVE take its pages away",
            rules: &[10],
            op: remove_new,
            expect: Fails(EACCES),
            ..by_all
        },
        Case {
            name: "map_executable",
            about: "mmap(2) with PROT_EXEC works",
            rules: &[10],
            op: map_executable,
            ..sealed
        },
        Case {
            name: "map_longer",
            about: "mmap(2) of more than there is works",
            rules: &[10],
            op: |f| f.mmap_past_eof(RO, MAP_SHARED),
            ..sealed
        },
        Case {
            name: "map_private_writable",
            about: "mmap(2) MAP_PRIVATE with PROT_WRITE works, and the file does not see it",
            rules: &[11],
            op: |f| f.mmap_new(RW, MAP_PRIVATE),
            after: |f| f.isolated_from_file(f.made()),
            ..sealed
        },
        Case {
            name: "map_private",
            about: "a private mapping shows the contents",
            rules: &[11],
            op: |f| Ok(f.mmap(RO, MAP_PRIVATE)?.load(0).into()),
            expect: Returns(MARK as i64),
            ..sealed
        },
        Case {
            name: "store_old",
            about: "the old writable mapping stores, and readers see it",
            rules: &[14],
            op: store_old,
            ..sealed
        },
        Case {
            name: "store_forked",
            about: "so it does in a child that inherited it",
            rules: &[30],
            op: |f| store_in_child(f.old(), 1, 7),
            after: |f| f.byte_is(1, 7),
            ..sealed
        },
        Case {
            name: "duplicate_old",
            about: "mremap(2) with an old length of 0 duplicates it, writable",
            rules: &[30],
            op: duplicate_old,
            ..sealed
        },
        Case {
            name: "protect_old",
            about: "an old read-only mapping can be made writable after the seals",
            rules: &[15],
            setup: old_ro,
            op: |f| Ok(f.old().protect(RW)?),
            after: |f| f.reaches_file(f.old()),
            ..sealed
        },
        Case {
            name: "remove_old",
            about: "MADV_REMOVE fails, also through the old writable mapping",
            rules: &[13],
            op: remove_old,
            expect: Fails(EPERM),
            ..sealed
        },
        Case {
            name: "remap_pages",
            about: "remap_file_pages(2) of the old mapping fails",
            rules: &[12],
            needs: &[Need::RemapFilePages],
            op: remap_pages,
            expect: mapped_writable,
            ..sealed
        },
        Case {
            name: "write",
            about: "write(2), pwrite, writev, splice, sendfile and copy_file_range fail",
            rules: &[3],
            op: writes,
            expect: Fails(EPERM),
            ..by_all
        },
        Case { name: "read", about: "read(2) works", rules: &[18], op: reads, ..by_all },
        Case {
            name: "allocate",
            about: "fallocate(2) below EOF fails with F_SEAL_FS_WRITE, and works with the older ones",
            rules: &[7],
            op: |f| f.fallocate(0, 0, f.page),
            expect: allocate,
            ..sealed
        },
        Case {
            name: "punch",
            about: "fallocate(2) can't punch a hole",
            rules: &[7],
            op: |f| f.fallocate(PUNCH, 0, f.page),
            expect: Fails(EPERM),
            ..by_all
        },
        Case {
            name: "resize",
            about: "ftruncate(2) fails, larger and smaller",
            rules: &[5],
            op: |f| each([2 * f.size, f.page], |&size| f.ftruncate(size)),
            expect: Fails(EPERM),
            ..by_all
        },
        Case {
            name: "resize_unmapped",
            about: "so it does if nobody has mapped the file",
            rules: &[5],
            setup: sealed_unmapped,
            op: |f| f.ftruncate(f.page),
            expect: Fails(EPERM),
            ..sealed
        },
        Case {
            name: "reopen",
            about: "opening /proc/self/fd/N gives the same file, which can't be mapped writable",
            rules: &[16],
            op: |f| {
                let again = f.reopen(libc::O_RDWR)?;
                Ok(Map::new(f.size, RW, MAP_SHARED, &again, 0).map(|_| 0)?)
            },
            expect: mapped_writable,
            ..sealed
        },
        Case {
            name: "behind_write",
            about: "root opens the file of a mapping made since, and write(2) fails",
            rules: &[3, 16],
            op: |f| behind(f, |file| Ok(nix::unistd::write(file, &[MARK])? as i64 - 1)),
            expect: Fails(EPERM),
            ..behind_it
        },
        Case {
            name: "behind_map",
            about: "it can't be mapped writable there",
            rules: &[8, 16],
            op: |f| behind(f, |file| Map::new(4096, RW, MAP_SHARED, file, 0).map(|_| 0)),
            expect: mapped_writable,
            ..behind_it
        },
        Case {
            name: "behind_resize",
            about: "nor can its size be changed",
            rules: &[5, 16],
            op: |f| behind(f, |file| sys::ftruncate(file, 0).map(|()| 0)),
            expect: Fails(EPERM),
            ..behind_it
        },
    ]
}
