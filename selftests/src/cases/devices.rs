// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What takes a memfd and must know its seals: udmabuf and live update.

use crate::case::*;
use crate::need::Need;
use crate::sys::{Map, RW, seal};
use crate::world::{World, fresh, same};
use crate::{luo, udmabuf};
use nix::errno::Errno::*;

const UNKNOWN_SEAL: Deviation = Deviation::Passes("live update refuses any seal it does not know");

pub const CASES: &[Case] = &[
    Case {
        name: "udmabuf_sealed",
        about: "UDMABUF_CREATE of a file with SHRINK and FS_WRITE fails",
        rules: &[25],
        needs: &[Need::Udmabuf],
        setup: |given| fresh(given)?.seal(seal::SHRINK | seal::FS_WRITE),
        op: |f| Ok(udmabuf::create(f).map(|_| 0)?),
        expect: Fails(EINVAL),
        ..CASE
    },
    Case {
        name: "udmabuf_unsealed",
        about: "UDMABUF_CREATE of a file with SHRINK alone works",
        rules: &[25],
        needs: &[Need::Udmabuf],
        setup: |given| fresh(given)?.seal(seal::SHRINK),
        op: |f| Ok(udmabuf::create(f).map(|_| 0)?),
        expect: Returns(0),
        ..CONTROL
    },
    Case {
        name: "udmabuf_made_before",
        about: "a dma-buf made before the seal can be mapped writable after it",
        rules: &[30],
        needs: &[Need::Udmabuf],
        on: SHMEM,
        setup: |given| {
            let world = fresh(given)?.seal(seal::SHRINK)?;
            let buffer = udmabuf::create(&world).map_err(|e| format!("UDMABUF_CREATE: {e:?}"))?;
            world.keep(buffer).seal(seal::FS_WRITE)
        },
        op: |f| {
            f.new = Some(Map::new(f.size, RW, libc::MAP_SHARED, &f.kept[0], 0)?);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..CASE
    },
    Case {
        name: "live_update_sealed",
        about: "a live update refuses to preserve a file that has the seal",
        rules: &[27],
        needs: &[Need::LiveUpdate],
        on: SHMEM,
        setup: |given| in_session(fresh(given)?.seal(seal::FS_WRITE)?),
        op: preserve,
        expect: Fails(EOPNOTSUPP),
        hollow: UNKNOWN_SEAL,
        ..CASE
    },
    Case {
        name: "live_update_unsealed",
        about: "a live update preserves a file without it",
        rules: &[27],
        needs: &[Need::LiveUpdate],
        on: SHMEM,
        setup: |given| in_session(fresh(given)?.seal(seal::GROW)?),
        op: preserve,
        starved: Starved::Untried("memfd_luo_preserve() has vmalloc() warn, with a stack"),
        expect: Returns(0),
        ..CONTROL
    },
    Case {
        name: "live_update_then_seal",
        about: "F_ADD_SEALS of the seal on a file that is being preserved fails",
        rules: &[27],
        needs: &[Need::LiveUpdate],
        on: SHMEM,
        setup: |given| preserved(fresh(given)?),
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Fails(EPERM),
        ..CASE
    },
    Case {
        name: "live_update_then_old_seal",
        about: "F_ADD_SEALS of an older seal on a file that is being preserved fails (see patch 3)",
        rules: &[27],
        needs: &[Need::LiveUpdate],
        on: SHMEM,
        setup: |given| preserved(fresh(given)?),
        op: |f| f.add_seals(seal::GROW),
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "live_update_over",
        about: "F_ADD_SEALS works again once the session has let the file go",
        rules: &[27],
        needs: &[Need::LiveUpdate],
        on: SHMEM,
        setup: |given| {
            let mut world = preserved(fresh(given)?)?;
            world.kept.clear();
            Ok(world)
        },
        op: |f| f.add_seals(seal::GROW),
        expect: Returns(0),
        after: |f| f.seals_are(seal::GROW),
        ..CONTROL
    },
];

fn in_session(world: World) -> Setup {
    let session = luo::session()?;
    Ok(world.keep(session))
}

fn preserve(world: &mut World) -> Got {
    Ok(luo::preserve(&world.kept[0], &world.fd)?)
}

fn preserved(world: World) -> Setup {
    let mut world = in_session(world)?;
    same("preserve", Ok(0), preserve(&mut world))?;
    Ok(world)
}
