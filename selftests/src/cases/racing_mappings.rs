// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Mappings that are made, changed and written through, over and over, while another CPU seals the file.

use super::racing::RACING;
use crate::case::*;
use crate::child::say;
use crate::kind::Kind;
use crate::mapped::{LATER, MADV_COLLAPSE};
use crate::need::Need;
use crate::race::{Keeps, RACE, Race, Round, Seals, Took, Turn, letter};
use crate::swap;
use crate::sys::{self, Map, RO, RW, Sys, seal};
use crate::udmabuf;
use crate::world::World;
use libc::{MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE};
use nix::errno::Errno::{self, *};
use nix::sys::wait::{WaitStatus, waitpid};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The file stays mapped writable from before the seal, and its holder goes on.
const OLD: Race = Race { map: Some(RW), refused: false, keeps: Keeps::Size, ..RACE };

/// And F_SEAL_WRITE finds it at every moment.
const HELD: Race = Race { seal: Seals::ButForWrite, ..OLD };

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
                    let seals = sys::get_seals(&r.fd).map_err(|e| format!("F_GET_SEALS: {e:?}"))?;
                    match map {
                        Ok(_) if seals as u32 & seal::WRITE != 0 => {
                            Err("a writable mapping of a file with F_SEAL_WRITE".into())
                        }
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
                    let map = map(r, RO).map_err(|errno| format!("read-only: {errno:?}"))?;
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
        about: "an old mapping is duplicated, moved and grown while the file is sealed, and F_SEAL_WRITE finds it",
        rules: &[14, 22, 30],
        under: LATER,
        op: |f| HELD.run(f, || Ok(moved)),
        ..WORKS_ON
    },
    Case {
        name: "mprotect_old",
        about: "an old mapping is made read-only and writable again while the file is sealed, and F_SEAL_WRITE finds it",
        rules: &[14, 22],
        under: LATER,
        op: |f| HELD.run(f, || Ok(protected)),
        ..WORKS_ON
    },
    Case {
        name: "fork",
        about: "a child that is forked while the file is sealed writes to the old mapping, and F_SEAL_WRITE finds it",
        rules: &[14, 22, 30],
        op: |f| Race { turns: 1, longest: 16, ..HELD }.run(f, || Ok(forked)),
        ..WORKS_ON
    },
    Case {
        name: "madvise_remove",
        about: "each MADV_REMOVE of an old mapping is wholly before the seal, or refused and not there at all",
        rules: &[13],
        under: LATER,
        op: |f| Race { refused: true, ..OLD }.run(f, || Ok(removed)),
        ..RACING
    },
    Case {
        name: "hugetlb_mmap_past_eof",
        about: "a mapping of a hugetlbfs file that is longer than it makes it no longer once F_ADD_SEALS has returned",
        rules: &[24],
        on: HUGETLB,
        under: NO_GROW,
        op: |f| Race { pages: 1, keeps: Keeps::Size, ..RACE }.run(f, || Ok(outgrown)),
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
        under: &[seal::FS_WRITE],
        needs: &[Need::Swap],
        op: |f| {
            let _swap = swap::on().unwrap_or_else(|why| panic!("{why}"));
            let out = AtomicUsize::new(0);
            let got = OLD.run(f, || {
                Ok(|r: &Round, turn| {
                    let (took, pages) = paged_out(r, turn)?;
                    out.fetch_add(pages, Relaxed);
                    Ok(took)
                })
            });
            let pages = out.into_inner();
            say(&format!("{pages} pages left memory"));
            assert!(pages > 0, "not a page left memory");
            got
        },
        ..WORKS_ON
    },
    Case {
        name: "collapse",
        about: "pages that are put together to a huge one while the file is sealed are as they were",
        on: &[Kind::Thp],
        needs: &[Need::Collapse],
        op: |f| Race { pages: 1, turns: 1, longest: 20, ..OLD }.run(f, || Ok(collapsed)),
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

/// What must be there, or fail with this errno.
fn made(got: Sys<()>, errno: Errno) -> Turn {
    match got {
        Ok(()) => Ok(Took::Allowed),
        Err(other) if other == errno => Ok(Took::Refused),
        Err(other) => Err(format!("neither there nor {errno:?}: {other:?}")),
    }
}

/// A store of the turn's letter by an old mapping reaches the file.
fn stored(r: &Round, map: &Map, turn: usize) -> Turn {
    map.store(0, letter(turn));
    holds(r, 0, letter(turn))
}

fn holds(r: &Round, at: usize, byte: u8) -> Turn {
    let mut got = [0];
    nix::sys::uio::pread(&r.fd, &mut got, at as i64).map_err(|e| format!("pread: {e:?}"))?;
    match got[0] == byte {
        true => Ok(Took::Allowed),
        false => Err(format!("byte {at} of the file is {:#x}, not {byte:#x}", got[0])),
    }
}

fn moved(r: &Round, turn: usize) -> Turn {
    let word = |errno: Errno| format!("mremap: {errno:?}");
    let remap = |addr, old, new| {
        sys::call(libc::SYS_mremap, [addr, old, new, MREMAP_MAYMOVE as usize, 0, 0])
    };
    let copy = remap(r.old().addr(), 0, r.size).map_err(word)? as usize;
    let copy = Map::adopt(copy, r.size);
    let longer = remap(copy.addr(), r.size, 2 * r.size).map_err(word)? as usize;
    std::mem::forget(copy);
    stored(r, &Map::adopt(longer, 2 * r.size), turn)
}

/// The child allocates nothing: other threads stand still in it with what they hold.
fn forked(r: &Round, turn: usize) -> Turn {
    let child = sys::fork(|| {
        r.old().store(0, letter(turn));
        0
    });
    match child.and_then(|child| waitpid(child, None)) {
        Ok(WaitStatus::Exited(_, 0)) => holds(r, 0, letter(turn)),
        other => Err(format!("the child: {other:?}")),
    }
}

fn removed(r: &Round, turn: usize) -> Turn {
    let bytes = [0, r.page];
    bytes.iter().for_each(|&at| r.old().store(at, letter(turn)));
    let got = r.old().advise(0, r.size, libc::MADV_REMOVE).map(drop);
    let took = made(got, EPERM)?;
    let byte = if took == Took::Allowed { 0 } else { letter(turn) };
    bytes.iter().try_for_each(|&at| holds(r, at, byte).map(drop))?;
    Ok(took)
}

/// Private, so that no page is reserved for it.
fn outgrown(r: &Round, turn: usize) -> Turn {
    let len = r.size + (turn + 1) * r.page;
    let map = Map::new(len, RW, MAP_PRIVATE | MAP_NORESERVE, &r.fd, 0);
    map.map_err(|errno| format!("mmap: {errno:?}"))?;
    let size = nix::sys::stat::fstat(&r.fd).map_err(|e| format!("fstat: {e:?}"))?.st_size;
    Ok(if size as usize == len { Took::Allowed } else { Took::Refused })
}

fn protected(r: &Round, turn: usize) -> Turn {
    let word = |errno: Errno| format!("mprotect: {errno:?}");
    r.old().protect(RO).map_err(word)?;
    r.old().protect(RW).map_err(word)?;
    stored(r, r.old(), turn)
}

/// And how many pages left memory. They are this CPU's own: those that another has just got can't.
fn paged_out(r: &Round, turn: usize) -> Result<(Took, usize), String> {
    let bytes = [0, r.page];
    bytes.iter().for_each(|&at| r.old().store(at, letter(turn)));
    let advised = r.old().advise(0, r.size, libc::MADV_PAGEOUT);
    advised.map_err(|errno| format!("MADV_PAGEOUT: {errno:?}"))?;
    let mut resident = [0u8; OLD.pages];
    let args = [r.old().addr(), r.size, resident.as_mut_ptr() as usize, 0, 0, 0];
    sys::call(libc::SYS_mincore, args).map_err(|errno| format!("mincore: {errno:?}"))?;
    let left = resident.iter().filter(|&&byte| byte & 1 == 0).count();
    kept(r, &bytes, turn).map(|took| (took, left))
}

/// The mapping still has the turn's letter at these bytes.
fn kept(r: &Round, bytes: &[usize], turn: usize) -> Turn {
    match bytes.iter().find(|&&at| r.old().load(at) != letter(turn)) {
        None => Ok(Took::Allowed),
        Some(at) => Err(format!("byte {at} is not what it was")),
    }
}

fn collapsed(r: &Round, turn: usize) -> Turn {
    let bytes = [0, r.size - 1];
    bytes.iter().for_each(|&at| r.old().store(at, letter(turn)));
    let advised = r.old().advise(0, r.size, MADV_COLLAPSE);
    advised.map_err(|errno| format!("MADV_COLLAPSE: {errno:?}"))?;
    kept(r, &bytes, turn)
}
