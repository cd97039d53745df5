// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Setting the seal, and what F_GET_SEALS says of it.

use crate::case::*;
use crate::sys::{self, RO, RW, mfd, seal};
use crate::world::{fresh, same, sealed, with_flags};
use nix::errno::Errno::*;
use nix::unistd::pipe2;

const NOT_FS_WRITE: Deviation = Deviation::Passes("another check than this seal's refuses it");

pub const CASES: &[Case] = &[
    Case {
        name: "with_writable_map",
        about: "F_ADD_SEALS succeeds while a writable shared mapping exists, which goes on working",
        rules: &[1],
        setup: |given| fresh(given)?.map(RW),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Returns(0),
        after: |f| f.reaches_file(f.old()),
        ..CASE
    },
    Case {
        name: "with_pinned_page",
        about: "F_ADD_SEALS succeeds at once while a page is pinned by a pipe",
        rules: &[1],
        setup: |given| pinned(fresh(given)?.map(RW)?),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Returns(0),
        ..CASE
    },
    Case {
        name: "get_seals_is_exact",
        about: "F_GET_SEALS reports 0x40 and neither SHRINK nor GROW",
        rules: &[2],
        on: BARE,
        setup: sealed,
        op: |f| Ok(sys::get_seals(&f.fd)?),
        expect: Returns(0x40),
        ..CASE
    },
    Case {
        name: "again",
        about: "adding the seal twice is adding it once",
        rules: &[19],
        setup: sealed,
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "after_seal_seal",
        about: "F_SEAL_SEAL keeps it from being added",
        rules: &[20],
        setup: |given| fresh(given)?.seal(seal::SEAL),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "through_rdonly",
        about: "a descriptor opened O_RDONLY can't add it",
        rules: &[20],
        setup: |given| fresh(given)?.via(libc::O_RDONLY),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "through_wronly",
        about: "a descriptor opened O_WRONLY can add it",
        rules: &[20],
        setup: |given| fresh(given)?.via(libc::O_WRONLY),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE),
        ..CASE
    },
    Case {
        name: "without_allow_sealing",
        about: "a memfd that was not created for sealing does not take it",
        rules: &[20],
        on: BARE,
        setup: |given| with_flags(given, 0),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Fails(EPERM),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "with_seal_seal",
        about: "FS_WRITE and SEAL in one call set both",
        rules: &[21],
        setup: fresh,
        op: |f| f.add_seals(seal::FS_WRITE | seal::SEAL),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE | seal::SEAL),
        ..CASE
    },
    Case {
        name: "with_shrink_and_grow",
        about: "FS_WRITE, SHRINK and GROW in one call, for receivers that look for these, set all three",
        rules: &[2],
        setup: |given| fresh(given)?.map(RW),
        op: |f| f.add_seals(seal::FS_WRITE | seal::SHRINK | seal::GROW),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE | seal::SHRINK | seal::GROW),
        ..CASE
    },
    Case {
        name: "with_unknown_bit",
        about: "an unknown seal beside it is refused and nothing is applied",
        rules: &[2],
        setup: fresh,
        op: |f| f.add_seals(seal::FS_WRITE | 1 << 30),
        expect: Fails(EINVAL),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "on_noexec_seal",
        about: "a memfd created with MFD_NOEXEC_SEAL takes it beside F_SEAL_EXEC",
        rules: &[20],
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE | seal::EXEC),
        ..CASE
    },
    Case {
        name: "write_seal_with_writable_map",
        about: "F_SEAL_WRITE afterwards is EBUSY while an old writable mapping is left",
        rules: &[22],
        setup: sealed,
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EBUSY),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "write_seal_with_old_readonly_map",
        about: "F_SEAL_WRITE afterwards is EBUSY while an old mapping is left that may become writable",
        rules: &[22],
        setup: |given| fresh(given)?.map(RO)?.seal(seal::FS_WRITE),
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EBUSY),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "write_seal_with_pinned_page",
        about: "F_SEAL_WRITE afterwards is EBUSY while a pipe pins a page",
        rules: &[22],
        setup: |given| {
            let mut world = pinned(fresh(given)?.map(RW)?)?;
            world.old = None;
            world.seal(seal::FS_WRITE)
        },
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EBUSY),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "write_seal_with_new_readonly_map",
        about: "F_SEAL_WRITE afterwards does not count a shared mapping made since",
        rules: &[22],
        setup: |given| fresh(given)?.seal(seal::FS_WRITE)?.map(RO),
        op: |f| f.add_seals(seal::WRITE),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE | seal::WRITE),
        hollow: Deviation::Fails("VM_MAYWRITE is not cleared, so the mapping counts"),
        ..CASE
    },
    Case {
        name: "write_seal_after_unmap",
        about: "F_SEAL_WRITE afterwards succeeds once the old mapping is gone",
        rules: &[22],
        setup: |given| {
            let mut world = sealed(given)?;
            world.old = None;
            Ok(world)
        },
        op: |f| f.add_seals(seal::WRITE),
        expect: Returns(0),
        after: |f| f.seals_are(seal::FS_WRITE | seal::WRITE),
        ..CASE
    },
    Case {
        name: "exec_seal_implies_as_ever",
        about: "F_SEAL_EXEC on an executable file implies SHRINK, GROW, WRITE, FUTURE_WRITE, no more",
        rules: &[23],
        on: BARE,
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC),
        op: |f| f.add_seals(seal::EXEC),
        expect: Returns(0),
        after: |f| f.seals_are(0x3e),
        ..CONTROL
    },
    Case {
        name: "exec_seal_after_it",
        about: "F_SEAL_EXEC on an executable file that has FS_WRITE adds the same seals to it",
        rules: &[23],
        on: BARE,
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC)?.seal(seal::FS_WRITE),
        op: |f| f.add_seals(seal::EXEC),
        expect: Returns(0),
        after: |f| f.seals_are(0x7e),
        ..CASE
    },
    Case {
        name: "leaves_descriptor_alone",
        about: "the descriptor that added it keeps its O_RDWR, its offset and its mode",
        rules: &[26],
        setup: fresh,
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Returns(0),
        after: |f| {
            let flags = sys::fcntl(&f.fd, libc::F_GETFL, 0).map(|fl| fl & libc::O_ACCMODE as i64);
            same("access mode", Ok(libc::O_RDWR as i64), flags)?;
            f.unchanged_but_seals()
        },
        ..CASE
    },
    Case {
        name: "survives_close",
        about: "closing the descriptor that added it upsets no count",
        rules: &[26],
        setup: |given| {
            let world = fresh(given)?.via(libc::O_RDWR)?;
            sys::add_seals(&world.kept[0], seal::FS_WRITE).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| {
            f.kept.clear();
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
];

/// Pins the first page by putting it into a pipe.
pub fn pinned(world: crate::world::World) -> Setup {
    let (reader, writer) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| e.to_string())?;
    let slice = libc::iovec { iov_base: world.old().addr() as *mut _, iov_len: 16 };
    let args =
        [std::os::fd::AsRawFd::as_raw_fd(&writer) as usize, &raw const slice as usize, 1, 0, 0, 0];
    let moved = sys::call(libc::SYS_vmsplice, args).map_err(|e| format!("vmsplice: {e:?}"))?;
    same("vmspliced", 16, moved)?;
    Ok(world.keep(reader).keep(writer))
}
