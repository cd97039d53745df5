// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Mappings that are made, changed and written through, over and over, while another CPU seals the file.

use super::racing::RACING;
use crate::case::*;
use crate::child::say;
use crate::kind::Kind;
use crate::mapped::{LATER, MADV_COLLAPSE};
use crate::need::Need;
use crate::race::{FILL, Halt, Keeps, Mapped, RACE, Race, Round, Seals, Took, Turn};
use crate::race::{letter, made, must};
use crate::swap;
use crate::sys::{self, Map, RO, RW, Sys, seal};
use crate::udmabuf;
use crate::world::World;
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, PROT_NONE};
use libc::{MREMAP_FIXED, MREMAP_MAYMOVE};
use nix::errno::Errno::{self, *};
use nix::sys::wait::{WaitStatus, waitpid};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The file stays mapped writable from before the seal, and its holder goes on.
const OLD: Race = Race { map: Mapped::ByWriter(RW), refused: false, keeps: Keeps::Size, ..RACE };

/// And F_SEAL_WRITE finds it at every moment.
const HELD: Race = Race { seal: Seals::ButForWrite, ..OLD };

/// A page that is written to swap, or put together, and read again; F_SEAL_WRITE has a look at it.
const PAGE: Race = Race {
    pages: 1,
    map: Mapped::ByReader,
    filled: true,
    seal: Seals::ThenWrite,
    refused: false,
    keeps: Keeps::Contents,
    leaves: Some(|_| FILL),
    ..RACE
};

/// The row of a race that no seal ends.
const WORKS_ON: Case = Case {
    hollow: Deviation::Passes("what the seal leaves alone, no seal leaves alone too"),
    ..RACING
};

pub const CASES: &[Case] = &[
    Case {
        name: "mmap",
        about: "no writable shared mapping is made once F_ADD_SEALS has returned",
        rules: &[8],
        on: BOTH,
        under: LATER,
        op: |f| {
            let errno = denial(f);
            Race { keeps: Keeps::Size, ..RACE }
                .run(f, || Ok(move |r: &Round, _| made(map(r, RW).map(drop), errno)))
        },
        ..RACING
    },
    Case {
        name: "mmap_or_write_seal",
        about: "there is never a writable shared mapping of a file with F_SEAL_WRITE",
        on: BOTH,
        under: &[seal::WRITE],
        op: |f| {
            Race { seal: Seals::InTheEnd, keeps: Keeps::Size, ..RACE }.run(f, || {
                Ok(|r: &Round, _| {
                    let map = map(r, RW);
                    let seals = sys::get_seals(&r.fd).map_err(must("F_GET_SEALS"))? as u32;
                    match map {
                        Ok(_) if seals & seal::WRITE != 0 => Err(Halt::Wrong(
                            "a writable mapping of a file with F_SEAL_WRITE".into(),
                        )),
                        map => made(map.map(drop), EPERM),
                    }
                })
            })
        },
        ..RACING
    },
    Case {
        name: "mprotect",
        about: "no shared mapping that is made once F_ADD_SEALS has returned becomes writable",
        rules: &[10],
        under: LATER,
        op: |f| {
            Race { keeps: Keeps::Size, ..RACE }.run(f, || {
                Ok(|r: &Round, _| {
                    let map = map(r, RO).map_err(must("read-only"))?;
                    made(map.protect(RW).map(drop), EACCES)
                })
            })
        },
        ..RACING
    },
    Case {
        name: "store",
        about: "the holder of an old mapping goes on writing while the file is sealed",
        rules: &[14],
        under: LATER,
        op: |f| OLD.run(f, || Ok(|r: &Round, turn| stored(r, r.old(), turn))),
        ..WORKS_ON
    },
    Case {
        name: "mremap",
        about: "an old mapping is duplicated, and moved when it is the only one, while the file is sealed, and F_SEAL_WRITE finds it",
        rules: &[14, 22, 30],
        op: |f| {
            HELD.run(f, || {
                let room = Map::at(
                    0,
                    HELD.pages * Kind::Shmem.page(),
                    PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS,
                    -1,
                    0,
                );
                let room = room.map_err(|errno| format!("room: {errno:?}"))?;
                Ok(move |r: &Round, turn| moved(r, &room, turn))
            })
        },
        ..WORKS_ON
    },
    Case {
        name: "mprotect_old",
        about: "an old mapping is made read-only and writable again while the file is sealed, and F_SEAL_WRITE finds it",
        rules: &[14, 22],
        op: |f| HELD.run(f, || Ok(protected)),
        ..WORKS_ON
    },
    Case {
        name: "fork",
        about: "a child that is forked while the file is sealed writes to the old mapping, and F_SEAL_WRITE finds it",
        rules: &[14, 22, 30],
        op: |f| {
            sys::keep_heap_from_children();
            Race { turns: 1, ..HELD }.run(f, || Ok(forked))
        },
        ..WORKS_ON
    },
    Case {
        name: "madvise_remove",
        about: "each MADV_REMOVE of an old mapping is wholly before the seal, or refused and not there at all",
        rules: &[13],
        under: LATER,
        op: |f| Race { refused: true, keeps: Keeps::Marks, ..OLD }.run(f, || Ok(removed)),
        ..RACING
    },
    Case {
        name: "hugetlb_mmap_past_eof",
        about: "a mapping of a hugetlbfs file that is longer than it makes it no longer once F_ADD_SEALS has returned",
        rules: &[24],
        on: HUGETLB,
        under: NO_GROW,
        op: |f| {
            let errno = denial(f);
            Race { pages: 1, keeps: Keeps::Size, ..RACE }
                .run(f, || Ok(move |r: &Round, turn| outgrown(r, turn, errno)))
        },
        ..RACING
    },
    Case {
        name: "udmabuf",
        about: "no dma-buf is made of the file once F_ADD_SEALS has returned",
        rules: &[25],
        under: LATER,
        needs: &[Need::Udmabuf],
        op: |f| {
            Race { before: seal::SHRINK, keeps: Keeps::Contents, ..RACE }.run(f, || {
                Ok(|r: &Round, _| {
                    let all = udmabuf::part(&r.fd, 0, r.size);
                    made(udmabuf::create_part(all, udmabuf::CLOEXEC).map(drop), EINVAL)
                })
            })
        },
        ..RACING
    },
    Case {
        name: "swap_out",
        about: "pages that leave memory while the file is sealed come back as they were",
        needs: &[Need::Swap],
        op: |f| {
            let _swap = swap::on().unwrap_or_else(|why| panic!("{why}"));
            counted(f, &Race { turns: 2, ..PAGE }, "pages left memory", paged_out)
        },
        ..WORKS_ON
    },
    Case {
        name: "collapse",
        about: "pages that are put together to a huge one while the file is sealed are as they were",
        on: &[Kind::Thp],
        needs: &[Need::Collapse],
        op: |f| counted(f, &Race { turns: 1, ..PAGE }, "times they were put together", collapsed),
        ..WORKS_ON
    },
];

/// What a writable shared mapping fails with under the row's seals.
fn denial(f: &World) -> Errno {
    if f.given.seals == seal::FS_WRITE { EACCES } else { EPERM }
}

fn map(r: &Round, prot: i32) -> Sys<Map> {
    Map::new(r.size, prot, MAP_SHARED, &r.fd, 0)
}

const ROOM: i32 = MAP_PRIVATE | MAP_ANONYMOUS;

/// A store of the turn's letter by an old mapping reaches the file.
fn stored(r: &Round, map: &Map, turn: usize) -> Turn {
    map.store(0, letter(turn));
    holds(r, 0, letter(turn))
}

fn holds(r: &Round, at: usize, byte: u8) -> Turn {
    let mut got = [0];
    sys::pread(&r.fd, &mut got, at as i64).map_err(must("pread"))?;
    match got[0] == byte {
        true => Ok(Took::Allowed),
        false => Err(Halt::Wrong(format!("byte {at} of the file is {:#x}, not {byte:#x}", got[0]))),
    }
}

/// Duplicated; and then all that is mapped is moved elsewhere and back.
fn moved(r: &Round, room: &Map, turn: usize) -> Turn {
    let remap = |from, len, flags, to| {
        sys::call(libc::SYS_mremap, [from, len, r.size, flags as usize, to, 0])
            .map_err(must("mremap"))
    };
    let (here, fixed) = (r.old().addr(), MREMAP_MAYMOVE | MREMAP_FIXED);
    let copy = Map::adopt(remap(here, 0, MREMAP_MAYMOVE, 0)? as usize, r.size);
    stored(r, &copy, turn)?;
    drop(copy);
    remap(here, r.size, fixed, room.addr())?;
    remap(room.addr(), r.size, fixed, here)?;
    // Or a later round's file would be mapped there.
    let taken = Map::at(room.addr(), r.size, PROT_NONE, ROOM | MAP_FIXED, -1, 0);
    std::mem::forget(taken.map_err(must("mmap"))?);
    stored(r, r.old(), turn + 1)
}

fn protected(r: &Round, turn: usize) -> Turn {
    r.old().protect(RO).map_err(must("mprotect"))?;
    r.old().protect(RW).map_err(must("mprotect"))?;
    stored(r, r.old(), turn)
}

/// The child has no heap.
fn forked(r: &Round, turn: usize) -> Turn {
    let child = sys::fork(|| {
        r.old().store(0, letter(turn));
        0
    });
    let ended = child.and_then(|child| waitpid(child, None)).map_err(must("fork"))?;
    match ended {
        WaitStatus::Exited(_, 0) => holds(r, 0, letter(turn)),
        other => Err(Halt::Wrong(format!("the child: {other:?}"))),
    }
}

fn removed(r: &Round, turn: usize) -> Turn {
    let bytes = [0, r.page];
    bytes.iter().for_each(|&at| r.old().store(at, letter(turn)));
    let took = made(r.old().advise(0, r.size, libc::MADV_REMOVE).map(drop), EPERM)?;
    let byte = if took == Took::Allowed { 0 } else { letter(turn) };
    bytes.iter().try_for_each(|&at| holds(r, at, byte).map(drop))?;
    Ok(took)
}

/// Private and shared by turns, without pages that are reserved for it.
fn outgrown(r: &Round, turn: usize, denied: Errno) -> Turn {
    let len = r.size + (turn + 1) * r.page;
    let share = if turn % 2 == 0 { MAP_PRIVATE } else { MAP_SHARED };
    let map = Map::new(len, RW, share | MAP_NORESERVE, &r.fd, 0);
    if made(map.map(drop), denied)? == Took::Refused && share == MAP_PRIVATE {
        return Err(Halt::Wrong(format!("a private mapping: {denied:?}")));
    }
    let size = sys::fstat(&r.fd).map_err(must("fstat"))?.st_size;
    Ok(if size as usize == len { Took::Allowed } else { Took::Refused })
}

/// A race of what the kernel may put off, but not each time: how often it was done is told.
fn counted(f: &World, race: &Race, what: &str, act: fn(&Round) -> Result<usize, Halt>) -> Got {
    let done = AtomicUsize::new(0);
    let got = race.run(f, || {
        Ok(|r: &Round, _| {
            // Only pages that are mapped are looked at.
            filled(r)?;
            done.fetch_add(act(r)?, Relaxed);
            filled(r)
        })
    });
    let done = done.into_inner();
    say(&format!("{done} {what}"));
    assert!(done > 0, "0 {what}");
    got
}

fn paged_out(r: &Round) -> Result<usize, Halt> {
    r.old().advise(0, r.size, libc::MADV_PAGEOUT).map_err(must("MADV_PAGEOUT"))?;
    let mut resident = [0u8; 1];
    let args = [r.old().addr(), r.size, resident.as_mut_ptr() as usize, 0, 0, 0];
    sys::call(libc::SYS_mincore, args).map_err(must("mincore"))?;
    Ok(resident.iter().filter(|&&byte| byte & 1 == 0).count())
}

fn collapsed(r: &Round) -> Result<usize, Halt> {
    match r.old().advise(0, r.size, MADV_COLLAPSE) {
        Ok(_) => Ok(1),
        // Somebody is at one of its pages: the sealer, which reads them.
        Err(EAGAIN) => Ok(0),
        Err(errno) => Err(must("MADV_COLLAPSE")(errno)),
    }
}

/// What the file was filled with is mapped at each page's beginning, as far as it was.
fn filled(r: &Round) -> Turn {
    let size = r.size.min(crate::race::filled());
    match (0..size).step_by(Kind::Shmem.page()).find(|&at| r.old().load(at) != FILL) {
        None => Ok(Took::Allowed),
        Some(at) => Err(Halt::Wrong(format!("byte {at} is not what it was"))),
    }
}
