// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A memfd below a loop device, and pages of one that are swapped out.

use crate::case::*;
use crate::loopdev;
use crate::mapped::LATER;
use crate::need::Need;
use crate::swap::{self, Swap};
use crate::sys::{Map, RO, seal};
use crate::world::{World, fresh, sealed, sealed_unmapped};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_SHARED, O_RDONLY, O_RDWR};
use nix::errno::Errno::*;

/// A row about a loop device: EIO is what it makes of any error of its file.
const LOOP: Case = Case {
    on: PLAIN,
    under: NO_WRITE,
    needs: &[Need::Loop],
    setup: bound_before,
    expect: Fails(EIO),
    starved: Starved::Untried("a worker of the device acts"),
    ..CASE
};

/// A row about pages in swap.
const SWAP: Case = Case {
    on: PLAIN,
    under: NO_WRITE,
    needs: &[Need::Swap],
    setup: sealed,
    starved: Starved::Untried("the pages have to be swapped out each time"),
    ..CASE
};

pub const CASES: &[Case] = &[
    Case {
        name: "loop_write",
        about: "a direct write to a loop device fails once its file is sealed",
        rules: &[3],
        op: |f| Ok(loopdev::write(&f.kept[0], 0xc3)?),
        ..LOOP
    },
    Case {
        name: "loop_write_bound_after",
        about: "a loop device can be bound to a sealed file, and a direct write to it fails",
        rules: &[3, 16],
        setup: |given| bound(sealed(given)?, O_RDWR),
        op: |f| Ok(loopdev::write(&f.kept[0], 0xc3)?),
        ..LOOP
    },
    Case {
        name: "loop_write_back",
        about: "what is written to a loop device's cache fails to be written back once its file is sealed",
        rules: &[3],
        op: |f| Ok(loopdev::write_back(&f.kept[0], 0xc3)?),
        ..LOOP
    },
    Case {
        name: "loop_discard",
        about: "BLKDISCARD on a loop device fails once its file is sealed",
        rules: &[7],
        op: |f| Ok(loopdev::discard(&f.kept[0])?),
        ..LOOP
    },
    Case {
        name: "loop_zero_out",
        about: "BLKZEROOUT on a loop device fails once its file is sealed",
        rules: &[3],
        op: |f| Ok(loopdev::zero_out(&f.kept[0])?),
        ..LOOP
    },
    Case {
        name: "loop_read",
        about: "a loop device goes on reading its file once it is sealed",
        rules: &[18],
        op: |f| Ok(loopdev::read(&f.kept[0])?.into()),
        expect: Returns(0x5a),
        after: |f| f.unchanged(),
        ..LOOP
    },
    Case {
        name: "loop_capacity",
        about: "LOOP_SET_CAPACITY finds the size that the sealed file has",
        rules: &[5],
        under: &[seal::FS_WRITE, seal::GROW],
        op: |f| Ok(loopdev::capacity(&f.kept[0])? - f.size as i64),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..LOOP
    },
    Case {
        name: "loop_read_only_descriptor",
        about: "a loop device that is bound to a descriptor opened O_RDONLY can't be written to",
        rules: &[17],
        under: &[0, seal::FS_WRITE],
        setup: |given| bound(sealed(given)?, O_RDONLY),
        op: |f| Ok(loopdev::write(&f.kept[0], 0xc3)?),
        expect: Fails(EPERM),
        hollow: Deviation::Passes("the descriptor forbids it, not the seal"),
        ..LOOP
    },
    Case {
        name: "loop_unsealed",
        about: "a loop device writes to a file without seals",
        under: &[0],
        op: |f| Ok(loopdev::write(&f.kept[0], 0xc3)? - loopdev::block() as i64),
        expect: Returns(0),
        after: |f| f.byte_is(1, 0xc3),
        ..LOOP
    },
    Case {
        name: "swap_contents",
        about: "a sealed file whose pages were swapped out has the contents that it had",
        rules: &[18],
        under: LATER,
        op: |f| swapped(f, |_| Ok(0)),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..SWAP
    },
    Case {
        name: "swap_write",
        about: "pwrite(2) to a page that is swapped out fails",
        rules: &[3],
        under: LATER,
        op: |f| swapped(f, |f| f.pwrite(0, b"x")),
        expect: Fails(EPERM),
        ..SWAP
    },
    Case {
        name: "swap_punch",
        about: "punching a hole where pages are swapped out fails",
        rules: &[7],
        under: LATER,
        op: |f| swapped(f, |f| f.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, f.size)),
        expect: Fails(EPERM),
        ..SWAP
    },
    Case {
        name: "swap_old_mapping",
        about: "a store through an old mapping brings a page back from swap and reaches the file",
        rules: &[14],
        under: LATER,
        op: |f| {
            swapped(f, |f| {
                f.old().store(1, 0xc3);
                Ok(0)
            })
        },
        expect: Returns(0),
        after: |f| f.byte_is(1, 0xc3),
        ..SWAP
    },
    Case {
        name: "swap_then_seal",
        about: "a file whose pages are swapped out can be sealed, and has its contents",
        rules: &[1],
        under: NO_WRITE,
        setup: |given| sealed_unmapped(Given { seals: 0, ..given }),
        op: |f| swapped(f, |f| f.add_seals(f.given.seals)),
        expect: Returns(0),
        after: |f| {
            f.unchanged_but_seals()?;
            f.seals_are(f.given.seals)
        },
        ..SWAP
    },
];

/// A loop device that was bound before the seal.
fn bound_before(given: Given) -> Setup {
    bound(fresh(given)?, O_RDWR)?.seal(given.seals)
}

fn bound(world: World, flags: libc::c_int) -> Setup {
    let file = world.reopen(flags).map_err(|errno| format!("reopen: {errno:?}"))?;
    let device = loopdev::bind(&file)?;
    Ok(world.keep(device))
}

/// Acts while every page of the file is in swap. A mapping that is not the file's old one is made
/// for that, and is gone before the act.
fn swapped(world: &mut World, act: impl FnOnce(&mut World) -> Got) -> Got {
    // The row needs it, so it was there a moment ago.
    let swap = swap::on().expect("swap");
    match &world.old {
        Some(old) => swap_out(&swap, world, old),
        None => swap_out(&swap, world, &world.mmap(RO, MAP_SHARED)?),
    }
    act(world)
}

fn swap_out(swap: &Swap, world: &World, map: &Map) {
    swap.out(world, map).expect("the pages leave memory");
}
