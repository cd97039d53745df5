// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Pages that are pinned and mapped nowhere: a direct read of a FUSE file is under way into them.

use crate::case::*;
use crate::fuse::{self, Behind};
use crate::need::Need;
use crate::sys::{self, RW, seal};
use crate::world::{World, fresh, same};
use nix::errno::Errno::*;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

/// What the read brings at last.
const BROUGHT: u8 = 0xc3;
/// Among what the world keeps: closing it lets the read go.
const GO: usize = 0;
/// And it is told here how the read ended.
const ENDED: usize = 1;

const PINNED: Case = Case {
    on: BARE,
    needs: &[Need::Fuse],
    setup: pinned,
    op: |f| f.add_seals(f.given.seals),
    starved: Starved::Untried("the read can be let go once only"),
    ..CASE
};

pub const CASES: &[Case] = &[
    Case {
        name: "future_seals",
        about: "sealing succeeds at once while pages are pinned, and the read that pinned them is completed",
        rules: &[1, 30],
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        expect: Returns(0),
        after: |f| {
            completed(f)?;
            f.seals_are(f.given.seals)?;
            f.byte_is(1, BROUGHT)
        },
        ..PINNED
    },
    Case {
        name: "write_seal",
        about: "F_SEAL_WRITE fails while pages are pinned, and succeeds when the read that pinned them is over",
        under: &[seal::WRITE],
        expect: Fails(EBUSY),
        after: |f| {
            completed(f)?;
            f.byte_is(1, BROUGHT)?;
            same("F_ADD_SEALS", Ok(0), f.add_seals(seal::WRITE))
        },
        ..PINNED
    },
    Case {
        name: "write_seal_after_fs_write",
        about: "F_SEAL_WRITE added to F_SEAL_FS_WRITE fails while pages are pinned, and succeeds later",
        rules: &[22],
        setup: |given| pinned(given)?.seal(given.seals),
        op: |f| f.add_seals(seal::WRITE),
        expect: Fails(EBUSY),
        after: |f| {
            completed(f)?;
            same("F_ADD_SEALS", Ok(0), f.add_seals(seal::WRITE))
        },
        hollow: Deviation::Passes("F_SEAL_WRITE looks for pins there too"),
        ..PINNED
    },
];

/// A file whose first 4 KiB are pinned by a read that its server holds; it is mapped nowhere.
fn pinned(given: Given) -> Setup {
    // First the server, or it would inherit the mapping, and F_SEAL_WRITE be refused for that.
    let mut mounted = fuse::mount(Behind::Held(BROUGHT))?;
    let mut world = fresh(given)?.map(RW)?;
    let file = mounted.open(libc::O_RDONLY).map_err(|errno| format!("open by FUSE: {errno:?}"))?;
    let (ended, tell) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)
        .map_err(|errno| format!("pipe: {errno:?}"))?;
    let into = world.old().addr();
    // A thread, since what it reads into has to be unmapped meanwhile.
    std::thread::spawn(move || {
        let args = [file.as_raw_fd() as usize, into, 4096, 0, 0, 0];
        let right = sys::call(libc::SYS_pread64, args) == Ok(4096);
        let _ = File::from(tell).write_all(&[right.into()]);
    });
    mounted.wait_for_read()?;
    world.old = None;
    Ok(world.keep(mounted.go).keep(ended))
}

/// Lets the read go and waits for its end.
fn completed(world: &mut World) -> Check {
    let mut ended = File::from(world.kept.remove(ENDED));
    drop(world.kept.remove(GO));
    let mut right = [0];
    ended.read_exact(&mut right).map_err(|error| format!("the read: {error}"))?;
    same("the read brought all", 1, right[0])
}
