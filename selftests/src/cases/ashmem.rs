// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! /dev/ashmem and ASHMEM_SET_PROT_MASK, step by step. `ashmem_memfd.rs` has a row of the same name
//! for each of these, in which a memfd is asked for the same; `parity.rs` puts them side by side.

use crate::ashmem::{
    self, drop_write, dropped, fresh, intact, mapped, mapped_name, shows, unmapped,
};
use crate::case::*;
use crate::child::wrong;
use crate::door::Door;
use crate::mapped::RX;
use crate::need::Need;
use crate::steps::*;
use crate::sys::{self, Map, RO, RW};
use crate::world::{MARK, World, each, outlives, refused, same, store_in_child, word};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;
use nix::sys::signal::Signal::{self, SIGBUS, SIGSEGV};

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/// Before the protection is dropped.
pub(super) const BEFORE: Case =
    Case { on: OWN, needs: &[Need::Ashmem], expect: Returns(0), ..CONTROL };

/// Once it was dropped to reading, with an old writable mapping.
const DROPPED: Case = Case { setup: dropped, after: intact, ..BEFORE };

/// The same, by each who may hold the region.
const HELD: Case =
    Case { through: HOLDERS, needs: &[Need::Ashmem, Need::OtherUid], starved: IN_CHILD, ..DROPPED };

/// The same, through the file behind the region, which root reaches (proc(5), map_files).
const BEHIND: Case = Case { needs: &[Need::Ashmem, Need::Capabilities], ..DROPPED };

pub const CASES: &[Case] = &[
    Case {
        name: "create",
        about: "a new region has no size, and may be mapped in every way",
        setup: unmapped,
        op: |_| {
            let fd = ashmem::open().expect("/dev/ashmem");
            held(same("ASHMEM_GET_PROT_MASK", Ok((RW | RX).into()), ashmem::mask(&fd)));
            Ok(ashmem::size(&fd)?)
        },
        ..BEFORE
    },
    Case {
        name: "name",
        about: "the name that ASHMEM_SET_NAME gives is shown by /proc/self/maps and ASHMEM_GET_NAME",
        setup: unmapped,
        op: |f| Ok(ashmem::set_name(&f.fd, "window")?),
        after: |f| {
            let map = f.mmap(RW, MAP_SHARED).map_err(word)?;
            same("mapped", "/dev/ashmem/window (deleted)".to_owned(), mapped_name(&map)?)?;
            same("ASHMEM_GET_NAME", Ok("window".to_owned()), ashmem::name(&f.fd))
        },
        ..BEFORE
    },
    Case {
        name: "resize_before",
        about: "ASHMEM_SET_SIZE sets the size as often as one likes before the first mmap(2)",
        setup: unmapped,
        op: |f| Ok(ashmem::set_size(&f.fd, 2 * f.size)?),
        after: |f| same("ASHMEM_GET_SIZE", Ok(2 * f.size as i64), ashmem::size(&f.fd)),
        ..BEFORE
    },
    Case {
        name: "resize_mapped",
        about: "ASHMEM_SET_SIZE fails from the first mmap(2) on, also once that is unmapped",
        setup: fresh,
        op: |f| Ok(ashmem::set_size(&f.fd, 2 * f.size)?),
        expect: Fails(EINVAL),
        after: |f| same("ASHMEM_GET_SIZE", Ok(f.size as i64), ashmem::size(&f.fd)),
        ..BEFORE
    },
    Case {
        name: "ask_size",
        about: "ASHMEM_GET_SIZE gives the size, and fstat(2) does not",
        setup: fresh,
        op: |f| {
            held(same("st_size", 0, nix::sys::stat::fstat(&f.fd)?.st_size));
            Ok(ashmem::size(&f.fd)? - f.size as i64)
        },
        ..BEFORE
    },
    Case {
        name: "read_unmapped",
        about: "read(2) fails as long as nobody has mapped the region",
        setup: unmapped,
        op: reads,
        expect: Fails(EBADF),
        ..BEFORE
    },
    Case {
        name: "write_before",
        about: "write(2) and its kin fail on any region, whatever may be mapped",
        setup: mapped,
        op: writes,
        expect: Fails(EINVAL),
        after: shows,
        ..BEFORE
    },
    Case {
        name: "drop",
        about: "ASHMEM_SET_PROT_MASK is anybody's who holds the region, and waits for no mapping",
        through: HOLDERS,
        setup: mapped,
        op: |f| Ok(ashmem::set_mask(&f.fd, RO)?),
        ..HELD
    },
    Case {
        name: "drop_again",
        about: "dropping it again works",
        op: |f| Ok(ashmem::set_mask(&f.fd, RO)?),
        ..DROPPED
    },
    Case {
        name: "ask",
        about: "ASHMEM_GET_PROT_MASK gives what is left",
        op: |f| Ok(ashmem::mask(&f.fd)?),
        expect: Returns(RO as i64),
        ..HELD
    },
    Case {
        name: "other_call",
        about: "F_ADD_SEALS is no call for a region",
        op: |f| f.add_seals(sys::seal::FUTURE_WRITE),
        expect: Fails(EINVAL),
        ..DROPPED
    },
    Case {
        name: "take_reading",
        about: "a receiver can drop reading too: nobody, the sender included, maps the region then",
        through: &[Door::Received],
        op: |f| Ok(ashmem::set_mask(&f.fd, 0)?),
        after: |f| refused("mmap(2)", EPERM, map_readonly(f)),
        ..DROPPED
    },
    Case {
        name: "map_writable",
        about: "mmap(2) MAP_SHARED with PROT_WRITE fails",
        op: map_writable,
        expect: Fails(EPERM),
        ..HELD
    },
    Case {
        name: "map_readonly",
        about: "mmap(2) MAP_SHARED without it works and shows the contents",
        op: map_readonly,
        ..HELD
    },
    Case {
        name: "protect_new",
        about: "mprotect(2) can't make such a mapping writable",
        op: protect_new,
        expect: Fails(EACCES),
        ..HELD
    },
    Case {
        name: "force_new",
        about: "nor does /proc/self/mem write into it",
        op: force_new,
        expect: Fails(EIO),
        ..DROPPED
    },
    Case {
        name: "remove_new",
        about: "nor can MADV_REMOVE take its pages away",
        op: remove_new,
        expect: Fails(EACCES),
        ..HELD
    },
    Case {
        name: "map_executable",
        about: "mmap(2) with PROT_EXEC fails, as it was dropped too",
        op: map_executable,
        expect: Fails(EPERM),
        ..DROPPED
    },
    Case {
        name: "map_longer",
        about: "mmap(2) of more than there is fails",
        op: |f| f.mmap_past_eof(RO, MAP_SHARED),
        expect: Fails(EINVAL),
        ..DROPPED
    },
    Case {
        name: "map_private_writable",
        about: "mmap(2) MAP_PRIVATE with PROT_WRITE fails as MAP_SHARED does",
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        expect: Fails(EPERM),
        ..DROPPED
    },
    Case {
        name: "map_private",
        about: "a private mapping shows zeroes in place of the contents",
        op: |f| Ok(f.mmap(RO, MAP_PRIVATE)?.load(0).into()),
        expect: Returns(0),
        ..DROPPED
    },
    Case {
        name: "store_old",
        about: "the old writable mapping stores, and readers see it",
        op: store_old,
        ..DROPPED
    },
    Case {
        name: "store_forked",
        about: "so it does in a child that inherited it",
        op: |f| store_in_child(f.old(), 1, 7),
        ..DROPPED
    },
    Case {
        name: "duplicate_old",
        about: "mremap(2) with an old length of 0 duplicates it, writable",
        op: duplicate_old,
        ..DROPPED
    },
    Case {
        name: "protect_old",
        about: "an old read-only mapping can be made writable after the drop",
        setup: |given| drop_write(fresh(given)?.map(RO)?),
        op: |f| Ok(f.old().protect(RW)?),
        after: |f| {
            f.old().store(0, MARK);
            intact(f)
        },
        ..DROPPED
    },
    Case {
        name: "remove_old",
        about: "MADV_REMOVE takes pages away through the old writable mapping",
        op: remove_old,
        after: |f| same("the first byte", 0, f.mmap(RO, MAP_SHARED).map_err(word)?.load(0)),
        ..DROPPED
    },
    Case {
        name: "remap_pages",
        about: "remap_file_pages(2) fails, and the old mapping is lost",
        needs: &[Need::Ashmem, Need::RemapFilePages],
        op: remap_pages,
        expect: Fails(EPERM),
        after: |f| {
            old_is_lost(f, SIGSEGV)?;
            intact(f)
        },
        ..DROPPED
    },
    Case {
        name: "write",
        about: "write(2), pwrite, writev, splice, sendfile and copy_file_range fail",
        op: writes,
        expect: Fails(EINVAL),
        ..HELD
    },
    Case { name: "read", about: "read(2) works", op: reads, ..HELD },
    Case {
        name: "allocate",
        about: "fallocate(2) fails",
        op: |f| f.fallocate(0, 0, f.page),
        expect: Fails(ENODEV),
        ..DROPPED
    },
    Case {
        name: "punch",
        about: "so it does to punch a hole",
        op: |f| f.fallocate(PUNCH, 0, f.page),
        expect: Fails(ENODEV),
        ..HELD
    },
    Case {
        name: "resize",
        about: "ASHMEM_SET_SIZE and ftruncate(2) fail, larger and smaller",
        op: |f| {
            each([2 * f.size, f.page], |&size| {
                refused("ftruncate(2)", EINVAL, f.ftruncate(size)).unwrap_or_else(|why| wrong(why));
                Ok(ashmem::set_size(&f.fd, size)?)
            })
        },
        expect: Fails(EINVAL),
        ..HELD
    },
    Case {
        name: "resize_unmapped",
        about: "the size of a region that nobody has mapped is not settled by the drop",
        setup: |given| drop_write(unmapped(given)?),
        op: |f| Ok(ashmem::set_size(&f.fd, f.page)?),
        after: |f| same("ASHMEM_GET_SIZE", Ok(f.page as i64), ashmem::size(&f.fd)),
        ..DROPPED
    },
    Case {
        name: "reopen",
        about: "opening /proc/self/fd/N gives another region, empty, which can be mapped once it has a size",
        op: |f| {
            let other = f.reopen(libc::O_RDWR)?;
            held(same("ASHMEM_GET_SIZE", Ok(0), ashmem::size(&other)));
            ashmem::set_size(&other, f.size)?;
            let map = Map::new(f.size, RW, MAP_SHARED, &other, 0)?;
            held(same("the first byte", 0, map.load(0)));
            map.store(0, MARK + 2);
            Ok(0)
        },
        ..DROPPED
    },
    Case {
        name: "behind_write",
        about: "root opens the file behind a mapping made since, and write(2) works",
        op: |f| behind(f, |file| Ok(nix::unistd::write(file, &[MARK])? as i64 - 1)),
        ..BEHIND
    },
    Case {
        name: "behind_map",
        about: "it can be mapped writable there, too",
        op: |f| behind(f, |file| Map::new(4096, RW, MAP_SHARED, file, 0).map(|_| 0)),
        ..BEHIND
    },
    Case {
        name: "behind_resize",
        about: "its size can be changed there, which ASHMEM_GET_SIZE does not tell",
        op: |f| behind(f, |file| sys::ftruncate(file, 0).map(|()| 0)),
        after: |f| {
            same("ASHMEM_GET_SIZE", Ok(f.size as i64), ashmem::size(&f.fd))?;
            old_is_lost(f, SIGBUS)
        },
        ..BEHIND
    },
];

/// A load from the old mapping is death by this signal.
fn old_is_lost(f: &World, signal: Signal) -> Check {
    let load = outlives(|| {
        f.old().load(0);
    });
    same("a load from the old mapping", Err(Stop::Signal(signal)), load)
}
