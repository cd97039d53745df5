// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Pages that the kernel puts together, takes apart and moves: contents and seals stay.

use crate::case::*;
use crate::kind::{Kind, thp_size};
use crate::mapped::{LATER, MADV_COLLAPSE, new_ro, permits, room, smaps, vm_advise};
use crate::need::{COMPACT, Need};
use crate::sys::{self, Map, RO, RW, mfd, seal};
use crate::world::{World, readable, refused, same, sealed, sealed_unmapped, word};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MADV_PAGEOUT, MAP_FIXED, MAP_SHARED};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

/// What huge pages are put together of.
fn small_page() -> usize {
    Kind::Shmem.page()
}

const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/// A file in small pages that could be in huge ones.
const SMALL: Case = Case {
    rules: &[10],
    on: OWN,
    under: NO_WRITE,
    needs: &[Need::Collapse],
    starved: Starved::Untried("what is put together is too much to be tried for each allocation"),
    ..CASE
};

/// A file in huge pages.
const HUGE: Case = Case { rules: &[], on: &[Kind::Thp], under: NO_WRITE, ..CASE };

pub const CASES: &[Case] = &[
    Case {
        name: "collapse_since",
        about: "MADV_COLLAPSE through a mapping made since keeps every byte",
        setup: |given| small(given, RO),
        op: |f| collapse(f),
        expect: Returns(0),
        after: |f| {
            in_huge_pages(f)?;
            readable(f.old())?;
            permits(f.old(), "r--s")?;
            f.unchanged()
        },
        ..SMALL
    },
    Case {
        name: "collapse_since_to_rw",
        about: "after it the mapping can't become writable",
        setup: |given| collapsed(given, RO),
        op: |f| Ok(f.old().protect(RW)?),
        expect: Fails(EACCES),
        ..SMALL
    },
    Case {
        name: "collapse_then_write",
        about: "after it pwrite(2) fails as before",
        rules: &[3],
        setup: |given| collapsed(given, RO),
        op: |f| f.pwrite(f.page + 3, b"x"),
        expect: Fails(EPERM),
        ..SMALL
    },
    Case {
        name: "collapse_then_punch",
        about: "after it a hole can't be punched into the huge page",
        rules: &[7],
        setup: |given| collapsed(given, RO),
        op: |f| f.fallocate(PUNCH, small_page(), small_page()),
        expect: Fails(EPERM),
        ..SMALL
    },
    Case {
        name: "collapse_before",
        about: "MADV_COLLAPSE through an old writable mapping keeps every byte, and it stays writable",
        rules: &[14],
        under: LATER,
        setup: |given| small(given, RW),
        op: |f| collapse(f),
        expect: Returns(0),
        after: |f| {
            in_huge_pages(f)?;
            f.unchanged()?;
            f.reaches_file(f.old())
        },
        ..SMALL
    },
    Case {
        name: "collapse_then_seal",
        about: "F_SEAL_WRITE finds no page held after pages were put together",
        rules: &[22],
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: |given| {
            // Its mapping is not what this is about.
            let mut world = collapsed(given, RO)?;
            world.old = None;
            Ok(world)
        },
        op: |f| f.add_seals(seal::WRITE),
        expect: Returns(0),
        after: |f| f.unchanged_but_seals(),
        ..SMALL
    },
    Case {
        name: "collapse_hugetlb",
        about: "MADV_COLLAPSE is not for hugetlbfs: EINVAL as ever",
        rules: &[24],
        on: HUGETLB,
        under: NO_WRITE,
        needs: &[Need::Collapse],
        setup: new_ro,
        op: |f| collapse(f),
        expect: Fails(EINVAL),
        after: |f| readable(f.old()),
        hollow: Deviation::Passes("no seal is asked"),
        ..CASE
    },
    Case {
        name: "split_by_size",
        about: "F_SEAL_WRITE and F_SEAL_FUTURE_WRITE let a size inside of a huge page split it, and what is left stays",
        under: &[seal::WRITE, seal::FUTURE_WRITE],
        setup: sealed_unmapped,
        op: |f| f.ftruncate(f.page + 2 * small_page()),
        expect: Returns(0),
        after: |f| {
            f.size_is(f.page + 2 * small_page())?;
            f.byte_is(0, 0x5a)?;
            f.byte_is(f.page, 0x5b)?;
            refused("pwrite", EPERM, f.pwrite(f.page + 3, b"x"))
        },
        ..HUGE
    },
    Case {
        name: "split_refused",
        about: "the same is refused where the size is sealed, and the huge page stays one",
        rules: &[5],
        under: NO_SHRINK,
        setup: sealed_unmapped,
        op: |f| f.ftruncate(f.page + 2 * small_page()),
        expect: Fails(EPERM),
        ..HUGE
    },
    Case {
        name: "punch_inside_refused",
        about: "a hole can't be punched inside of a huge page",
        rules: &[7],
        setup: sealed_unmapped,
        op: |f| f.fallocate(PUNCH, f.page + 2 * small_page(), small_page()),
        expect: Fails(EPERM),
        ..HUGE
    },
    Case {
        name: "write_inside_refused",
        about: "pwrite(2) to the tail of a huge page fails",
        rules: &[3],
        setup: sealed_unmapped,
        op: |f| f.pwrite(2 * f.page - 64, b"x"),
        expect: Fails(EPERM),
        ..HUGE
    },
    Case {
        name: "pageout_since",
        about: "MADV_PAGEOUT of huge pages through a mapping made since keeps every byte",
        rules: &[10],
        setup: new_ro,
        op: |f| vm_advise(f, MADV_PAGEOUT),
        expect: Returns(0),
        after: |f| {
            readable(f.old())?;
            f.unchanged_but_blocks()
        },
        ..HUGE
    },
    Case {
        name: "part_of_huge_to_rw",
        about: "a part of a huge page that is mapped since can't become writable",
        rules: &[10],
        setup: new_ro,
        op: |f| f.protect_part(small_page(), small_page(), RW),
        expect: Fails(EACCES),
        ..HUGE
    },
    Case {
        name: "part_of_huge_before",
        about: "a part of a huge page in an old mapping can be read-only and writable again",
        rules: &[14],
        under: LATER,
        setup: sealed,
        op: |f| {
            f.protect_part(small_page(), small_page(), RO)?;
            f.old().store(1, 9);
            f.protect_part(small_page(), small_page(), RW)
        },
        starved: STEPS,
        expect: Returns(0),
        after: |f| {
            f.byte_is(1, 9)?;
            f.old().store(small_page(), 8);
            f.byte_is(small_page(), 8)
        },
        ..HUGE
    },
    Case {
        name: "compaction",
        about: "pages that compaction may have moved keep their bytes, their mappings and their seals",
        rules: &[3, 14],
        on: PLAIN,
        under: LATER,
        needs: &[Need::Compaction],
        setup: |given| {
            let world = sealed(given)?;
            std::fs::write(COMPACT, "1").map_err(|e| format!("{COMPACT}: {e}"))?;
            readable(world.old())?;
            world.old().store(1, 9);
            world.byte_is(1, 9)?;
            Ok(world)
        },
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EPERM),
        after: |f| f.reaches_file(f.old()),
        ..CASE
    },
];

/// MADV_COLLAPSE until the pages can be had: EAGAIN says that one was in use for the moment, in a
/// list of some CPU's for one.
fn collapse(world: &World) -> Got {
    for _ in 0..200 {
        match vm_advise(world, MADV_COLLAPSE) {
            Err(Stop::Errno(EAGAIN)) => std::thread::sleep(std::time::Duration::from_millis(1)),
            got => return got,
        }
    }
    vm_advise(world, MADV_COLLAPSE)
}

/// A file of two huge pages' size in small ones, sealed after or before it is mapped as `old`.
fn small(given: Given, prot: i32) -> Setup {
    let page = thp_size().ok_or("no transparent huge pages")?;
    let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING;
    let fd = sys::memfd_create("small", flags).map_err(word)?;
    let world = World::over(given, fd, page)?;
    let early = prot == RW;
    let mut world = if early { world } else { world.seal(given.seals)? };
    let room = room(&world, libc::PROT_NONE).map_err(word)?;
    let (addr, len, fd) = (room.addr(), room.len(), world.fd.as_raw_fd());
    let map = Map::at(addr, len, prot, MAP_SHARED | MAP_FIXED, fd, 0).map_err(word)?;
    std::mem::forget(room);
    // Linux 6.1 puts pages together also where the mapping has no page table yet, but says EINVAL.
    (0..len).step_by(page).for_each(|at| {
        map.load(at);
    });
    world.old = Some(map);
    if early { world.seal(given.seals) } else { Ok(world) }
}

/// The same, put together.
fn collapsed(given: Given, prot: i32) -> Setup {
    let world = small(given, prot)?;
    collapse(&world).map_err(|stop| format!("MADV_COLLAPSE: {stop:?}"))?;
    Ok(world)
}

/// `old` shows huge pages.
fn in_huge_pages(world: &mut World) -> Check {
    readable(world.old())?;
    world.old().load(world.page);
    let shown = smaps(world.old().addr(), "ShmemPmdMapped:")?;
    same("in huge pages", format!("{} kB", world.size / 1024), shown)
}
