// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Adding seals, and what F_GET_SEALS says of them. What refuses them is in `refusing.rs`, the EBUSY of
//! F_SEAL_WRITE in `busy.rs`, F_SEAL_EXEC in `exec.rs`.

use crate::case::*;
use crate::child::wrong;
use crate::door::Door;
use crate::need::{Need, knows};
use crate::sys::{self, RW, mfd, seal};
use crate::world::{World, each, fresh, same};
use nix::errno::Errno::*;

/// Each seal that lets others follow.
pub const OPEN: &[u32] =
    &[seal::SHRINK, seal::GROW, seal::WRITE, seal::FUTURE_WRITE, seal::EXEC, seal::FS_WRITE];

/// All of them but FS_WRITE.
const OLDER: u32 = 0x3f;

/// Every way to a descriptor that can add seals.
const ADDERS: &[Door] = &[
    Door::Dup,
    Door::Before(libc::O_RDWR),
    Door::Before(libc::O_WRONLY),
    Door::Before(libc::O_RDWR | libc::O_APPEND),
    Door::Before(libc::O_RDWR | libc::O_DIRECT),
    Door::Received,
    Door::Queued,
    Door::Threaded,
    Door::Forked,
    Door::Execed,
];

/// Every way to a descriptor that can tell them.
const TELLERS: &[Door] = &[
    Door::Dup,
    Door::Before(libc::O_RDONLY),
    Door::After(libc::O_RDONLY),
    Door::Before(libc::O_WRONLY),
    Door::After(libc::O_WRONLY),
    Door::After(libc::O_RDWR),
    Door::Received,
    Door::Queued,
    Door::Threaded,
    Door::Forked,
    Door::Execed,
];

pub const CASES: &[Case] = &[
    Case {
        name: "add",
        about: "F_ADD_SEALS sets what is asked for, which F_GET_SEALS gives, and changes nothing else",
        rules: &[2],
        under: EACH_SEAL,
        setup: fresh,
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| {
            exactly(f, f.given.seals)?;
            f.unchanged_but_seals()
        },
        ..CASE
    },
    Case {
        name: "add_through",
        about: "the seal is the inode's, whichever descriptor added it",
        rules: &[2, 20],
        on: PLAIN,
        under: EACH_SEAL,
        through: ADDERS,
        setup: fresh,
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| {
            exactly(f, f.given.seals)?;
            f.unchanged_but_seals()
        },
        ..CASE
    },
    Case {
        name: "get_through",
        about: "every descriptor that is open for something tells exactly the seals there are",
        rules: &[2],
        on: BOTH,
        under: &[0, seal::SEAL | seal::WRITE, seal::FS_WRITE | seal::GROW],
        through: TELLERS,
        setup: |given| fresh(given)?.seal(given.seals),
        op: |f| Ok(sys::get_seals(&f.fd)? ^ i64::from(f.given.seals)),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "get_ignores_its_argument",
        about: "F_GET_SEALS takes no argument, and adds nothing",
        on: BOTH,
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| {
            each([0, 1, 0x7f, usize::MAX], |arg| Ok(sys::fcntl(&f.fd, libc::F_GET_SEALS, *arg)?))
        },
        expect: Returns(seal::GROW as i64),
        after: |f| f.unchanged(),
        ..CONTROL
    },
    Case {
        name: "again",
        about: "adding the seal twice is adding it once",
        rules: &[19],
        under: OPEN,
        setup: |given| fresh(given)?.seal(given.seals),
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "nothing",
        about: "adding no seal changes none",
        under: &[0, seal::GROW, seal::FUTURE_WRITE, seal::FS_WRITE],
        setup: |given| fresh(given)?.map(RW)?.seal(given.seals),
        op: |f| f.add_seals(0),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "with_seal",
        about: "a seal and F_SEAL_SEAL in one call set both, and no other can follow",
        rules: &[21],
        under: OPEN,
        setup: fresh,
        op: |f| f.add_seals(f.given.seals | seal::SEAL),
        expect: Returns(0),
        after: |f| {
            exactly(f, f.given.seals | seal::SEAL)?;
            let all = (0..6).map(|bit| 1 << bit).filter(|seal| knows(*seal)).chain([f.given.seals]);
            let got = each(all, |seal| f.add_seals(*seal));
            crate::world::refused("another seal", EPERM, got)?;
            exactly(f, f.given.seals | seal::SEAL)
        },
        ..CASE
    },
    Case {
        name: "high_bits",
        about: "the argument is an unsigned int: what is above is cut off",
        on: BOTH,
        setup: fresh,
        needs: &[Need::Words64],
        op: |f| {
            let (fd, cmd) =
                (std::os::fd::AsRawFd::as_raw_fd(&f.fd) as u64, libc::F_ADD_SEALS as u64);
            let seals = 1 << 40 | 1 << 32 | u64::from(seal::GROW);
            Ok(sys::call64(libc::SYS_fcntl, [fd, cmd, seals, 0, 0, 0])?)
        },
        expect: Returns(0),
        after: |f| exactly(f, seal::GROW),
        ..CONTROL
    },
    Case {
        name: "every_set",
        about: "every set of seals in one call is what F_GET_SEALS gives, with what F_SEAL_EXEC implies",
        needs: &[Need::ExecSeal],
        rules: &[2, 21, 23],
        on: BOTH,
        under: &[0, seal::FS_WRITE],
        setup: fresh,
        op: |f| {
            for set in (0..=OLDER).map(|set| set | f.given.seals) {
                for (flags, expected) in [(mfd::EXEC, implied(set)), (mfd::NOEXEC_SEAL, set)] {
                    let got = added(f, flags, &[set]);
                    let expected = if flags == mfd::EXEC { expected } else { set | seal::EXEC };
                    agree(got, (Ok(0), Ok(expected.into())), &[set], flags);
                }
            }
            Ok(0)
        },
        expect: Returns(0),
        starved: STEPS,
        ..CASE
    },
    Case {
        name: "every_pair",
        about: "two seals, one after the other, add up, unless the first is F_SEAL_SEAL",
        needs: &[Need::ExecSeal],
        rules: &[2, 20, 23],
        on: BOTH,
        under: EACH_SEAL,
        setup: fresh,
        op: |f| {
            for &other in EACH_SEAL {
                let here = f.given.seals;
                // Whoever has no FS_WRITE is not asked about it here.
                if other == seal::FS_WRITE && here != seal::FS_WRITE {
                    continue;
                }
                for (one, two) in [(here, other), (other, here)] {
                    let expected = match one {
                        seal::SEAL => (Err(EPERM.into()), Ok(seal::SEAL.into())),
                        _ => (Ok(0), Ok((implied(one) | implied(two)).into())),
                    };
                    agree(added(f, mfd::EXEC, &[one, two]), expected, &[one, two], mfd::EXEC);
                }
            }
            Ok(0)
        },
        expect: Returns(0),
        starved: STEPS,
        ..CASE
    },
    Case {
        name: "one_after_the_other",
        about: "all seals, one after the other, are all there at the end, and none before its turn",
        needs: &[Need::ExecSeal],
        rules: &[2],
        on: BOTH,
        setup: fresh,
        op: |f| {
            let mut there = 0;
            for seal in [0x40, 0x02, 0x10, 0x04, 0x08, 0x20, 0x01] {
                f.add_seals(seal)?;
                there |= seal;
                if sys::get_seals(&f.fd) != Ok(there.into()) {
                    wrong(format!("after {seal:#x}: {:x?}, not {there:#x}", sys::get_seals(&f.fd)));
                }
            }
            Ok(there.into())
        },
        expect: Returns(0x7f),
        after: |f| f.unchanged_but_seals(),
        starved: STEPS,
        ..CASE
    },
    Case {
        name: "not_another_file",
        about: "a seal is of its file only: memfds of the same name, made before and after, have none",
        rules: &[2],
        on: BOTH,
        under: &[0x3f, 0x7f],
        setup: |given| {
            let other = fresh(given)?;
            Ok(fresh(given)?.keep(other.fd))
        },
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| {
            same("seals of the other", Ok(0), sys::get_seals(&f.kept[0]))?;
            fresh(f.given)?.seals_are(0)
        },
        ..CASE
    },
    Case {
        name: "leaves_descriptor_alone",
        about: "the descriptor that added it keeps its O_RDWR, its offset and its mode",
        rules: &[26],
        under: EACH_SEAL,
        setup: fresh,
        op: |f| f.add_seals(f.given.seals),
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
        about: "closing the descriptor that added it upsets no count, and the seal stays",
        rules: &[26],
        under: EACH_SEAL,
        setup: |given| {
            let world = fresh(given)?.via(libc::O_RDWR)?;
            sys::add_seals(&world.kept[0], given.seals).map_err(|e| e.to_string())?;
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

/// All that F_ADD_SEALS of these sets on an executable file.
pub const fn implied(seals: u32) -> u32 {
    if seals & seal::EXEC == 0 { seals } else { seals | 0x1e }
}

/// The file has exactly these, through the row's descriptor and through a new one.
pub fn exactly(f: &World, seals: u32) -> Check {
    let executable = sys::fstat(&f.fd).map_err(|e| e.to_string())?.st_mode & 0o111 != 0;
    let seals = if executable { implied(seals) } else { seals } | f.given.kind.seals();
    same("seals", Ok(seals.into()), sys::get_seals(&f.fd))?;
    let again = f.reopen(libc::O_RDONLY).map_err(|e| e.to_string())?;
    same("seals, of the file opened again", Ok(seals.into()), sys::get_seals(&again))
}

/// A new memfd on the row's file system, these added one after the other: what the last addition
/// gave, and F_GET_SEALS.
fn added(f: &World, flags: u32, seals: &[u32]) -> (Got, Got) {
    let flags = flags | mfd::CLOEXEC | mfd::ALLOW_SEALING | f.given.kind.flags();
    let fd = sys::memfd_create("one-of-many", flags).expect("a memfd");
    let mut last = Ok(0);
    for &seals in seals {
        last = sys::add_seals(&fd, seals).map_err(Stop::from);
    }
    (last, sys::get_seals(&fd).map_err(Stop::from))
}

fn agree(got: (Got, Got), expected: (Got, Got), seals: &[u32], flags: u32) {
    if got != expected {
        wrong(format!("{seals:x?} on flags {flags:#x}: expected {expected:x?}, got {got:x?}"));
    }
}
