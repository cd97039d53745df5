// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Calls that change a file by a descriptor, over and over, while another CPU seals it. The mappings are
//! in racing_mappings.rs; what holds in every race, in `race.rs`.

use crate::aio::Queue;
use crate::calls::{self, pipe};
use crate::case::*;
use crate::luo;
use crate::need::Need;
use crate::race::{Halt, Keeps, RACE, Race, Round, Seals, Took, Turn, letter, made, must, took};
use crate::sys::{self, seal};
use crate::uring::{self, Fd, Ring};
use crate::world::{World, fresh};
use io_uring::squeue::Flags;
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, c_int, c_long};
use nix::errno::Errno::*;

/// A row whose operation is a race, with nothing beside it.
pub const RACING: Case = Case {
    on: PLAIN,
    setup: fresh,
    expect: Returns(0),
    starved: Starved::Untried("thousands of operations on thousands of files"),
    hollow: Deviation::Fails("the seal is there, and nothing keeps to it"),
    alone: true,
    ..CASE
};

/// Each turn writes all of the file, another letter each time.
const WRITTEN: Race = Race { filled: true, leaves: Some(letter), ..RACE };

/// Each turn makes the file two pages longer.
const GROWN: Race = Race { pages: 1, size: Some(|allowed| 1 + 2 * allowed), ..RACE };

/// Each turn makes the file one page shorter.
const SHRUNK: Race =
    Race { pages: RACE.turns + 1, size: Some(|allowed| RACE.turns + 1 - allowed), ..RACE };

/// Each turn fills two pages of a hole.
const HOLE: Race = Race { pages: 2 * RACE.turns, memory: Some(|allowed| 2 * allowed), ..RACE };

/// Every other turn writes all of the file, and the others punch it out.
const PUNCHED: Race = Race { filled: true, leaves: Some(left_by_punch), ..RACE };

fn left_by_punch(turn: usize) -> u8 {
    if turn % 2 == 0 { letter(turn) } else { 0 }
}

/// Huge pages are few, and take long to clear: one turn that may be allowed, and one that is not.
const ONE_HUGE: Race = Race { turns: 2, ..RACE };
const HUGE_GROWN: Race = Race { pages: 1, size: Some(|allowed| 1 + allowed), ..ONE_HUGE };
const HUGE_HOLE: Race = Race { memory: Some(|allowed| allowed), ..ONE_HUGE };
/// A page is there, and all turns punch it out.
const HUGE_PUNCHED: Race =
    Race { pages: 1, filled: true, memory: Some(|allowed| 1 - allowed.min(1)), ..ONE_HUGE };

pub const CASES: &[Case] = &[
    Case {
        name: "write",
        about: "each write(2) is wholly before the seal, or refused and not there at all",
        rules: &[3],
        op: |f| {
            writes(f, || {
                Ok(|r: &Round, data: &[u8]| {
                    call(r, libc::SYS_lseek, [0, libc::SEEK_SET as usize, 0])?;
                    call(r, libc::SYS_write, [data.as_ptr() as usize, data.len(), 0])
                })
            })
        },
        ..RACING
    },
    Case {
        name: "pwrite",
        about: "each pwrite(2) is wholly before the seal, or refused and not there at all",
        rules: &[3],
        under: NO_WRITE,
        op: |f| writes(f, || Ok(|r: &Round, data: &[u8]| pwrite(r, data, 0))),
        ..RACING
    },
    Case {
        name: "writev",
        about: "each writev(2) of two parts is wholly before the seal, or refused and not there at all",
        rules: &[3],
        op: |f| {
            writes(f, || {
                Ok(|r: &Round, data: &[u8]| {
                    let (first, second) = data.split_at(data.len() / 2);
                    let iov = calls::iovecs(&[first, second]);
                    call(r, libc::SYS_lseek, [0, libc::SEEK_SET as usize, 0])?;
                    call(r, libc::SYS_writev, [iov.as_ptr() as usize, iov.len(), 0])
                })
            })
        },
        ..RACING
    },
    Case {
        name: "io_uring",
        about: "each write by a worker of io_uring's is wholly before the seal, or refused and not there at all",
        rules: &[3],
        needs: &[Need::IoUring],
        op: |f| {
            writes(f, || {
                let mut ring = Ring::new().map_err(|errno| format!("io_uring: {errno:?}"))?;
                Ok(move |r: &Round, data: &[u8]| {
                    let entry = uring::write(Fd::Number(r.raw() as i32), data, 0, 0);
                    ring.run(entry.flags(Flags::ASYNC))
                })
            })
        },
        ..RACING
    },
    Case {
        name: "aio",
        about: "each write by AIO is wholly before the seal, or refused and not there at all",
        rules: &[3],
        needs: &[Need::Aio],
        op: |f| {
            writes(f, || {
                let queue = Queue::new().map_err(|errno| format!("AIO: {errno:?}"))?;
                Ok(move |r: &Round, data: &[u8]| queue.pwrite(&r.fd, data, 0, 0))
            })
        },
        ..RACING
    },
    Case {
        name: "splice",
        about: "each splice(2) from a pipe is wholly before the seal, or refused and not there at all",
        rules: &[3],
        op: |f| {
            writes(f, || {
                let (reader, writer) = pipe()?;
                Ok(move |r: &Round, data: &[u8]| {
                    nix::unistd::write(&writer, data)?;
                    let got = calls::splice((&reader, None), (&r.fd, Some(&mut 0)), data.len(), 0);
                    if got.is_err() {
                        nix::unistd::read(&reader, &mut vec![0; data.len()])?;
                    }
                    got
                })
            })
        },
        ..RACING
    },
    Case {
        name: "pwrite_past_eof",
        about: "each pwrite(2) that makes the file longer is wholly before the seal, or refused and not there at all",
        rules: &[3],
        under: NO_GROW,
        op: |f| {
            GROWN.run(f, || {
                let mut data = Vec::new();
                Ok(move |r: &Round, turn| {
                    data.resize(2 * r.page, letter(turn));
                    took(pwrite(r, &data, (1 + 2 * turn) * r.page), data.len(), EPERM)
                })
            })
        },
        ..RACING
    },
    Case {
        name: "ftruncate_grow",
        about: "no ftruncate(2) makes the file longer once F_ADD_SEALS has returned",
        rules: &[5],
        under: NO_GROW,
        op: |f| resizes(f, &GROWN, |turn| 3 + 2 * turn),
        ..RACING
    },
    Case {
        name: "ftruncate_shrink",
        about: "no ftruncate(2) makes the file shorter once F_ADD_SEALS has returned",
        rules: &[5],
        under: NO_SHRINK,
        op: |f| resizes(f, &SHRUNK, |turn| RACE.turns - turn),
        ..RACING
    },
    Case {
        name: "fallocate_grow",
        about: "no fallocate(2) makes the file longer once F_ADD_SEALS has returned",
        rules: &[7],
        under: NO_GROW,
        op: |f| {
            GROWN.run(f, || Ok(|r: &Round, turn| took(fallocate(r, 0, 1 + 2 * turn, 2), 0, EPERM)))
        },
        ..RACING
    },
    Case {
        name: "fallocate_grow_huge",
        about: "no fallocate(2) makes a hugetlbfs file longer once F_ADD_SEALS has returned",
        rules: &[7, 24],
        on: HUGETLB,
        under: &[seal::GROW],
        op: |f| {
            HUGE_GROWN.run(f, || Ok(|r: &Round, turn| took(fallocate(r, 0, 1 + turn, 1), 0, EPERM)))
        },
        ..RACING
    },
    Case {
        name: "fallocate_inside",
        about: "no fallocate(2) fills a hole once F_ADD_SEALS has returned",
        rules: &[7],
        op: |f| HOLE.run(f, || Ok(|r: &Round, turn| took(fallocate(r, 0, 2 * turn, 2), 0, EPERM))),
        ..RACING
    },
    Case {
        name: "fallocate_inside_huge",
        about: "no fallocate(2) fills a hole of a hugetlbfs file once F_ADD_SEALS has returned",
        rules: &[7, 24],
        on: HUGETLB,
        op: |f| HUGE_HOLE.run(f, || Ok(|r: &Round, turn| took(fallocate(r, 0, turn, 1), 0, EPERM))),
        ..RACING
    },
    Case {
        name: "fallocate_punch_huge",
        about: "no hole is punched into a hugetlbfs file once F_ADD_SEALS has returned",
        rules: &[7, 24],
        on: HUGETLB,
        op: |f| {
            HUGE_PUNCHED.run(f, || Ok(|r: &Round, _| took(fallocate(r, PUNCH, 0, 1), 0, EPERM)))
        },
        ..RACING
    },
    Case {
        name: "fallocate_punch",
        about: "each hole is punched wholly before the seal, or refused and not there at all",
        rules: &[7],
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        op: |f| {
            PUNCHED.run(f, || {
                let mut data = Vec::new();
                Ok(move |r: &Round, turn| {
                    data.resize(r.size, 0);
                    data.fill(letter(turn));
                    match turn % 2 {
                        0 => took(pwrite(r, &data, 0), r.size, EPERM),
                        _ => took(fallocate(r, PUNCH, 0, PUNCHED.pages), 0, EPERM),
                    }
                })
            })
        },
        ..RACING
    },
    Case {
        name: "two_sealers",
        about: "of two threads that add seals at once neither loses the other's",
        rules: &[19],
        under: &[seal::FS_WRITE, seal::GROW],
        op: |f| Race { refused: false, ..SEALED_TWICE }.run(f, || Ok(add_another)),
        hollow: Deviation::Passes("the bit is set, and that is all that is looked at"),
        ..RACING
    },
    Case {
        name: "two_sealers_the_last",
        about: "no seal is added once F_SEAL_SEAL has been",
        under: &[seal::SEAL],
        op: |f| SEALED_TWICE.run(f, || Ok(add_another)),
        ..RACING
    },
    Case {
        name: "preserve",
        about: "a file that a live update preserves gets no seal, and one with the seal is not preserved",
        rules: &[27],
        needs: &[Need::LiveUpdate],
        op: |f| {
            Race { seal: Seals::OnceLetGo, keeps: Keeps::Size, ..RACE }.run(f, || Ok(preserved))
        },
        ..RACING
    },
];

const PUNCH: c_int = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/// Each turn adds a seal that was not there, as long as there is one.
const SEALED_TWICE: Race = Race { adds: other_seal, turns: 8, ..RACE };

fn other_seal(turn: usize) -> u32 {
    [seal::SHRINK, seal::FUTURE_WRITE, seal::WRITE].get(turn).copied().unwrap_or(0)
}

fn add_another(r: &Round, turn: usize) -> Turn {
    made(sys::add_seals(&r.fd, other_seal(turn)).map(drop), EPERM)
}

/// A race of a call that writes what it is given to all of the file.
fn writes<W: FnMut(&Round, &[u8]) -> Got>(
    f: &World,
    make: impl FnOnce() -> Result<W, String> + Send,
) -> Got {
    WRITTEN.run(f, || {
        let (mut write, mut data) = (make()?, Vec::new());
        Ok(move |r: &Round, turn| {
            data.resize(r.size, 0);
            data.fill(letter(turn));
            took(write(r, &data), r.size, EPERM)
        })
    })
}

/// A race of ftruncate(2), each turn to another number of pages.
fn resizes(f: &World, race: &Race, pages: fn(usize) -> usize) -> Got {
    race.run(f, || {
        Ok(move |r: &Round, turn| {
            took(call(r, libc::SYS_ftruncate, [pages(turn) * r.page, 0, 0]), 0, EPERM)
        })
    })
}

fn pwrite(r: &Round, data: &[u8], at: usize) -> Got {
    call(r, libc::SYS_pwrite64, [data.as_ptr() as usize, data.len(), at])
}

fn fallocate(r: &Round, mode: c_int, page: usize, pages: usize) -> Got {
    call(r, libc::SYS_fallocate, [mode as usize, page * r.page, pages * r.page])
}

/// A call on the round's file.
fn call(r: &Round, nr: c_long, [a, b, c]: [usize; 3]) -> Got {
    Ok(sys::call(nr, [r.raw(), a, b, c, 0, 0])?)
}

/// How often a preserved file is looked at: for longer than a call of another CPU takes.
const LOOKS: usize = 100;

/// Preserves the file, looks at it, and lets it go.
fn preserved(r: &Round, _: usize) -> Turn {
    let session = luo::another_session("-race").map_err(Halt::Broken)?;
    let took = made(luo::preserve(&session, &r.fd).map(drop), EOPNOTSUPP)?;
    if took == Took::Allowed {
        for _ in 0..LOOKS {
            match sys::get_seals(&r.fd).map_err(must("F_GET_SEALS"))? {
                0 => {}
                seals => return Err(Halt::Wrong(format!("seals {seals:#x} on a preserved file"))),
            }
        }
    }
    Ok(took)
}
