// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! New shared mappings that may write. Those that only read are in `reading.rs`, what becomes of them in
//! `protecting.rs`.

use crate::case::*;
use crate::door::{Door, MAPPERS, PATHS, READERS};
use crate::mapped::{EPERMS, OLDER, RWX, WX, shared};
use crate::need::Need;
use crate::sys::{self, Map, Offset, RO, RW, seal};
use crate::world::{World, sealed};
use libc::{MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE, MAP_SYNC};
use libc::{MAP_SHARED, MAP_SHARED_VALIDATE, PROT_WRITE, c_int};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

const OTHER_SEAL: Deviation = Deviation::Passes("the other seal refuses it");
const RDONLY: Deviation = Deviation::Passes("the descriptor is open for reading only");
const WRONLY: Deviation = Deviation::Passes("no descriptor that can't read can be mapped");
pub(super) const BEFORE_SEALS: Deviation =
    Deviation::Passes("it is refused before the seals are looked at");

const WRITE_ONLY: &[Door] = &[Door::Before(libc::O_WRONLY), Door::After(libc::O_WRONLY)];

/// What MAP_SHARED_VALIDATE has beside MAP_SHARED.
pub(super) const VALIDATE: c_int = MAP_SHARED_VALIDATE & !MAP_SHARED;

/// F_SEAL_FS_WRITE alone: as a descriptor that was opened for reading.
pub(super) const SHUT: Case =
    Case { rules: &[8], setup: sealed, expect: Fails(EACCES), on: BOTH, ..CASE };
/// The seals whose errno is another, alone and beside it.
pub(super) const EPERM_: Case = Case {
    rules: &[9],
    under: EPERMS,
    setup: sealed,
    expect: Fails(EPERM),
    hollow: OTHER_SEAL,
    on: BOTH,
    ..CASE
};
pub const CASES: &[Case] = &[
    Case {
        name: "shared_rw",
        about: "mmap(2) MAP_SHARED with PROT_READ|PROT_WRITE fails, through every descriptor",
        rules: &[8, 16],
        on: EVERY,
        through: MAPPERS,
        op: shared::<RW, 0>,
        ..SHUT
    },
    Case {
        name: "shared_rw_eperm",
        about: "it fails with EPERM where F_SEAL_WRITE or F_SEAL_FUTURE_WRITE is set, with others or alone",
        on: EVERY,
        op: shared::<RW, 0>,
        ..EPERM_
    },
    Case {
        name: "shared_rw_eperm_doors",
        about: "it does so through every descriptor",
        rules: &[9],
        on: PLAIN,
        under: OLDER,
        through: MAPPERS,
        op: shared::<RW, 0>,
        ..EPERM_
    },
    Case {
        name: "shared_w",
        about: "mmap(2) MAP_SHARED with PROT_WRITE alone fails",
        op: shared::<PROT_WRITE, 0>,
        ..SHUT
    },
    Case {
        name: "shared_w_eperm",
        about: "mmap(2) MAP_SHARED with PROT_WRITE alone fails with the other seals",
        op: shared::<PROT_WRITE, 0>,
        ..EPERM_
    },
    Case {
        name: "shared_wx",
        about: "mmap(2) MAP_SHARED with PROT_WRITE|PROT_EXEC fails",
        op: shared::<WX, 0>,
        ..SHUT
    },
    Case {
        name: "shared_wx_eperm",
        about: "mmap(2) MAP_SHARED with PROT_WRITE|PROT_EXEC fails with the other seals",
        under: OLDER,
        op: shared::<WX, 0>,
        ..EPERM_
    },
    Case {
        name: "shared_rwx",
        about: "mmap(2) MAP_SHARED with all three fails",
        op: shared::<RWX, 0>,
        ..SHUT
    },
    Case {
        name: "shared_rwx_eperm",
        about: "mmap(2) MAP_SHARED with all three fails with the other seals",
        under: OLDER,
        op: shared::<RWX, 0>,
        ..EPERM_
    },
    Case {
        name: "validate_rw",
        about: "mmap(2) MAP_SHARED_VALIDATE with PROT_WRITE fails",
        on: EVERY,
        op: shared::<RW, VALIDATE>,
        ..SHUT
    },
    Case {
        name: "validate_rw_eperm",
        about: "mmap(2) MAP_SHARED_VALIDATE with PROT_WRITE fails with the other seals",
        op: shared::<RW, VALIDATE>,
        ..EPERM_
    },
    Case {
        name: "validate_w",
        about: "mmap(2) MAP_SHARED_VALIDATE with PROT_WRITE alone fails",
        op: shared::<PROT_WRITE, VALIDATE>,
        ..SHUT
    },
    Case {
        name: "populate_rw",
        about: "MAP_POPULATE does not get around it",
        op: shared::<RW, MAP_POPULATE>,
        ..SHUT
    },
    Case {
        name: "populate_rw_eperm",
        about: "MAP_POPULATE does not get around the other seals",
        under: OLDER,
        op: shared::<RW, MAP_POPULATE>,
        ..EPERM_
    },
    Case {
        name: "locked_rw",
        about: "MAP_LOCKED does not get around it",
        op: shared::<RW, MAP_LOCKED>,
        ..SHUT
    },
    Case {
        name: "locked_rw_eperm",
        about: "MAP_LOCKED does not get around the other seals",
        under: OLDER,
        op: shared::<RW, MAP_LOCKED>,
        ..EPERM_
    },
    Case {
        name: "noreserve_rw",
        about: "MAP_NORESERVE does not get around it",
        op: shared::<RW, MAP_NORESERVE>,
        ..SHUT
    },
    Case {
        name: "noreserve_rw_eperm",
        about: "MAP_NORESERVE does not get around the other seals",
        under: OLDER,
        op: shared::<RW, MAP_NORESERVE>,
        ..EPERM_
    },
    Case {
        name: "sync_rw",
        about: "MAP_SYNC, which MAP_SHARED ignores, does not get around it",
        op: shared::<RW, MAP_SYNC>,
        ..SHUT
    },
    Case {
        name: "validate_sync_rw",
        about: "MAP_SHARED_VALIDATE|MAP_SYNC is EOPNOTSUPP before any seal",
        rules: &[8],
        under: NO_WRITE,
        op: shared::<RW, { VALIDATE | MAP_SYNC }>,
        expect: Fails(EOPNOTSUPP),
        hollow: BEFORE_SEALS,
        ..SHUT
    },
    Case {
        name: "validate_sync_ro",
        about: "MAP_SHARED_VALIDATE|MAP_SYNC is EOPNOTSUPP for reading too",
        rules: &[10],
        under: NO_WRITE,
        op: shared::<RO, { VALIDATE | MAP_SYNC }>,
        expect: Fails(EOPNOTSUPP),
        hollow: BEFORE_SEALS,
        ..SHUT
    },
    Case {
        name: "first_page_rw",
        about: "a writable mapping of the first page alone fails",
        op: |f| page_rw(f, 0),
        ..SHUT
    },
    Case {
        name: "first_page_rw_eperm",
        about: "a writable mapping of the first page alone fails with the other seals",
        under: OLDER,
        op: |f| page_rw(f, 0),
        ..EPERM_
    },
    Case {
        name: "second_page_rw",
        about: "a writable mapping of the second page alone fails",
        op: |f| page_rw(f, f.page),
        ..SHUT
    },
    Case {
        name: "second_page_rw_eperm",
        about: "a writable mapping of the second page alone fails with the other seals",
        under: OLDER,
        op: |f| page_rw(f, f.page),
        ..EPERM_
    },
    Case {
        name: "behind_eof_rw",
        about: "a writable mapping that begins past EOF fails",
        op: |f| page_rw(f, 2 * f.size),
        ..SHUT
    },
    Case {
        name: "behind_eof_rw_eperm",
        about: "a writable mapping that begins past EOF fails with the other seals",
        under: OLDER,
        op: |f| page_rw(f, 2 * f.size),
        ..EPERM_
    },
    Case {
        name: "longer_than_file_rw",
        about: "a writable mapping longer than the file fails",
        rules: &[8, 24],
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        ..SHUT
    },
    Case {
        name: "longer_than_file_rw_eperm",
        about: "a writable mapping longer than the file fails with the other seals",
        op: |f| f.mmap_past_eof(RW, MAP_SHARED),
        ..EPERM_
    },
    Case {
        name: "length_0_rw",
        about: "a mapping of no bytes is EINVAL before any seal",
        rules: &[8],
        under: NO_WRITE,
        op: |f| {
            let args = [0, 0, RW as usize, MAP_SHARED as usize, f.fd.as_raw_fd() as usize, 0];
            Ok(sys::call(sys::SYS_MMAP, args)?)
        },
        expect: Fails(EINVAL),
        hollow: BEFORE_SEALS,
        ..SHUT
    },
    Case {
        name: "offset_overflow_rw",
        about: "an offset that the file can't have is EOVERFLOW before any seal",
        rules: &[8],
        under: NO_WRITE,
        needs: &[Need::Words64],
        op: |f| page_rw(f, i64::MAX & !(f.page as i64 - 1)),
        expect: Fails(EOVERFLOW),
        hollow: BEFORE_SEALS,
        ..SHUT
    },
    Case {
        name: "no_type_rw",
        about: "neither shared nor private is EINVAL before any seal",
        rules: &[8],
        under: NO_WRITE,
        op: |f| f.mmap_new(RW, 0),
        expect: Fails(EINVAL),
        hollow: BEFORE_SEALS,
        ..SHUT
    },
    Case {
        name: "shared_rw_readers",
        about: "a writable mapping through an O_RDONLY descriptor is EACCES by the ordinary rule",
        rules: &[17],
        under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE],
        through: READERS,
        op: shared::<RW, 0>,
        hollow: RDONLY,
        ..SHUT
    },
    Case {
        name: "shared_rw_write_only",
        about: "a writable mapping through an O_WRONLY descriptor is EACCES by the ordinary rule",
        rules: &[8],
        under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE],
        through: WRITE_ONLY,
        op: shared::<RW, 0>,
        hollow: WRONLY,
        ..SHUT
    },
    Case {
        name: "shared_w_write_only",
        about: "PROT_WRITE alone is no exception to that",
        rules: &[8],
        under: NO_WRITE,
        through: WRITE_ONLY,
        op: shared::<PROT_WRITE, 0>,
        hollow: WRONLY,
        ..SHUT
    },
    Case {
        name: "shared_ro_write_only",
        about: "a mapping for reading through an O_WRONLY descriptor is EACCES by the ordinary rule",
        rules: &[10],
        under: NO_WRITE,
        through: WRITE_ONLY,
        op: shared::<RO, 0>,
        hollow: WRONLY,
        ..SHUT
    },
    Case {
        name: "shared_rw_paths",
        about: "a mapping through an O_PATH descriptor is EBADF",
        rules: &[8],
        under: NO_WRITE,
        through: PATHS,
        op: shared::<RW, 0>,
        expect: Fails(EBADF),
        hollow: Deviation::Passes("the descriptor names a file and does not open it"),
        ..SHUT
    },
];

fn page_rw(world: &mut World, offset: impl Offset) -> Got {
    let offset = offset.wide() as i64;
    world.new = Some(Map::new(world.page, RW, MAP_SHARED, &world.fd, offset)?);
    Ok(0)
}
