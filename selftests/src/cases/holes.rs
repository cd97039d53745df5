// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Ways to write to a memfd that look at no seal today: iommufd and FUSE passthrough; and udmabuf,
//! which does not look at the descriptor. coda maps in the way that FUSE does; it can't be had here.

use crate::case::*;
use crate::child::say;
use crate::fuse::{self, Behind};
use crate::iommufd::Space;
use crate::mapped::{LATER, OLDER};
use crate::need::Need;
use crate::sys::{Map, RO, RW, Sys, seal};
use crate::udmabuf;
use crate::world::{World, fresh, readable, same, sealed, sealed_reopened};
use libc::{MAP_PRIVATE, MAP_SHARED, O_RDONLY, O_RDWR};
use nix::errno::Errno::*;

/// A row about a device that reaches the file through iommufd.
const DEVICE: Case = Case { on: BOTH, needs: &[Need::Iommufd], starved: MANY, ..CASE };
/// A row about a file that FUSE passes through to the memfd. Not on hugetlbfs: FUSE would give
/// it addresses that are not aligned to huge pages.
const PASSED: Case = Case { on: SHMEM, needs: &[Need::Fuse], starved: MANY, ..CASE };

const MANY: Starved = Starved::Untried("the operation is several, in more than one process");

pub const CASES: &[Case] = &[
    Case {
        name: "iommufd_map",
        about: "IOMMU_IOAS_MAP_FILE for a device that writes fails like the mmap(2) of a process",
        rules: &[8],
        setup: sealed,
        op: device_writes,
        expect: Fails(EACCES),
        ..DEVICE
    },
    Case {
        name: "iommufd_map_older_seals",
        about: "IOMMU_IOAS_MAP_FILE for a device that writes fails like the mmap(2) of a process",
        under: OLDER,
        setup: sealed,
        op: device_writes,
        expect: Fails(EPERM),
        ..DEVICE
    },
    Case {
        name: "iommufd_map_read_only_descriptor",
        about: "IOMMU_IOAS_MAP_FILE for a device that writes wants a descriptor that may",
        rules: &[17],
        under: &[0, seal::FS_WRITE],
        setup: |given| sealed_reopened(given, O_RDONLY),
        op: device_writes,
        expect: Fails(EACCES),
        ..DEVICE
    },
    Case {
        name: "iommufd_map_to_read",
        about: "a device that only reads maps the file, reads it, and can't write",
        under: NO_WRITE,
        setup: sealed,
        op: |f| {
            let space = space()?;
            let at = space.map(f, false)?;
            say(&format!("the device reads {:#x}", space.load(at)?));
            Ok(space.store(at + 1, 0xc3)?)
        },
        expect: Fails(EPERM),
        // The mapping itself forbids it.
        hollow: Deviation::Passes("what was mapped to be read is not written to"),
        ..DEVICE
    },
    Case {
        name: "iommufd_unsealed",
        about: "a device writes to a file without seals",
        setup: sealed,
        op: device_writes,
        expect: Returns(0),
        after: |f| f.byte_is(1, 0xc3),
        under: &[0],
        ..DEVICE
    },
    Case {
        name: "iommufd_mapped_before",
        about: "a device that had the file mapped before it was sealed goes on writing",
        rules: &[30],
        under: LATER,
        setup: |given| fresh(given)?.map(RW),
        op: |f| {
            let space = space()?;
            let at = space.map(f, true)?;
            f.add_seals(f.given.seals)?;
            Ok(space.store(at + 1, 0xc3)?)
        },
        expect: Returns(0),
        after: |f| f.byte_is(1, 0xc3),
        ..DEVICE
    },
    Case {
        name: "iommufd_write_seal",
        about: "F_SEAL_WRITE fails while a device that writes has the file mapped, though nothing is pinned yet",
        under: &[0],
        setup: fresh,
        op: |f| {
            let space = space()?;
            let at = space.map(f, true)?;
            let sealed = f.add_seals(seal::WRITE);
            if sealed.is_ok() {
                space.store(at + 1, 0xc3)?;
                tell(f)?;
            }
            sealed
        },
        expect: Fails(EBUSY),
        // The space is gone, and what was mapped in it.
        after: |f| same("F_ADD_SEALS", Ok(0), f.add_seals(seal::WRITE)),
        ..DEVICE
    },
    Case {
        name: "fuse_mmap",
        about: "a writable shared mapping of a file that FUSE passes through fails like one of the memfd",
        rules: &[8],
        setup: passed,
        op: maps_and_stores,
        expect: Fails(EACCES),
        ..PASSED
    },
    Case {
        name: "fuse_mmap_older_seals",
        about: "a writable shared mapping of a file that FUSE passes through fails like one of the memfd",
        under: OLDER,
        setup: passed,
        op: maps_and_stores,
        expect: Fails(EPERM),
        ..PASSED
    },
    Case {
        name: "fuse_mmap_read_only",
        about: "a read-only shared mapping through FUSE works and can't become writable",
        rules: &[10],
        under: NO_WRITE,
        setup: passed,
        op: |f| {
            f.new = Some(Map::new(f.size, RO, MAP_SHARED, &f.kept[0], 0)?);
            readable(f.made()).expect("the mapping shows the file");
            f.made().protect(RW)?;
            f.made().store(1, 0xc3);
            tell(f)?;
            Ok(0)
        },
        expect: Fails(EACCES),
        ..PASSED
    },
    Case {
        name: "fuse_mmap_private",
        about: "a private mapping through FUSE works and never reaches the file",
        rules: &[11],
        under: NO_WRITE,
        setup: passed,
        op: |f| {
            f.new = Some(Map::new(f.size, RW, MAP_PRIVATE, &f.kept[0], 0)?);
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.isolated_from_file(f.made()),
        ..PASSED
    },
    Case {
        name: "fuse_write",
        about: "write(2) to a file that FUSE passes through fails",
        rules: &[3],
        under: NO_WRITE,
        setup: passed,
        op: |f| Ok(nix::unistd::write(&f.kept[0], b"x").map(|count| count as i64)?),
        expect: Fails(EPERM),
        ..PASSED
    },
    Case {
        name: "fuse_unsealed",
        about: "without seals, a store through a mapping of a file that FUSE passes through reaches the memfd",
        under: &[0],
        setup: passed,
        op: maps_and_stores,
        expect: Returns(0),
        after: |f| f.byte_is(1, 0xc3),
        ..PASSED
    },
    Case {
        name: "udmabuf_read_only_descriptor",
        about: "UDMABUF_CREATE, which gives a dma-buf to write to, wants a descriptor that may",
        on: BOTH,
        under: &[seal::SHRINK],
        needs: &[Need::Udmabuf],
        setup: |given| fresh(given)?.seal(given.seals)?.via(O_RDONLY),
        op: |f| {
            let buffer = udmabuf::create(f)?;
            Map::new(f.size, RW, MAP_SHARED, &buffer, 0)?.store(1, 0xc3);
            tell(f)?;
            Ok(0)
        },
        expect: Fails(EACCES),
        starved: STEPS,
        ..CASE
    },
];

fn space() -> Sys<Space> {
    // The row needs it, so it was there a moment ago.
    Ok(Space::new().expect("iommufd"))
}

/// What a row that fails is to show: that somebody did write.
fn tell(world: &World) -> Got {
    let written = world.byte_is(1, 0xc3).is_ok();
    say(if written { "the file was written to" } else { "the file was not written to" });
    Ok(0)
}

fn device_writes(world: &mut World) -> Got {
    let space = space()?;
    let at = space.map(world, true)?;
    space.store(at + 1, 0xc3)?;
    tell(world)
}

/// Behind a file of FUSE's, opened after the seal, which is the world's first descriptor to keep.
fn passed(given: Given) -> Setup {
    let world = sealed(given)?;
    let memfd = world.reopen(O_RDWR).map_err(|errno| format!("reopen: {errno:?}"))?;
    let mounted = fuse::mount(Behind::File(memfd))?;
    let file = mounted.open(O_RDWR).map_err(|errno| format!("open by FUSE: {errno:?}"))?;
    Ok(world.keep(file))
}

fn maps_and_stores(world: &mut World) -> Got {
    Map::new(world.size, RW, MAP_SHARED, &world.kept[0], 0)?.store(1, 0xc3);
    tell(world)
}
