// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Processes of other users and in other namespaces that were given a descriptor: it is all the
//! permission that they have and all that they need, and no capability breaks a seal.

use crate::case::*;
use crate::door::{Door, FOREIGNERS, STRANGERS};
use crate::need::Need;
use crate::stranger::Stranger;
use crate::sys::seal::{FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, Map, RO, RW, Sys};
use crate::world::{World, all_fail, fresh, sealed};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_SHARED, O_RDONLY, O_RDWR, O_WRONLY};
use nix::errno::Errno::{self, *};
use nix::sys::stat::{Mode, fchmod};
use std::os::fd::{AsRawFd, OwnedFd};

/// A row about what a stranger may do who holds the file's first descriptor.
pub const STRANGE: Case = Case {
    on: PLAIN,
    through: STRANGERS,
    needs: &[Need::OtherUid, Need::UserNamespace],
    setup: sealed,
    starved: IN_CHILD,
    ..CASE
};
/// The same with no seal in it.
const UNSEALED: Case = Case { under: &[0], ..STRANGE };

pub const NOT_THE_SEAL: Deviation =
    Deviation::Passes("it is no right of this process, sealed or not");
const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

pub const CASES: &[Case] = &[
    Case {
        name: "add_seal",
        about: "a writable descriptor is all the right that adding a seal takes",
        rules: &[20],
        under: &[SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE, FS_WRITE],
        setup: fresh,
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| f.seals_are(f.given.seals),
        ..STRANGE
    },
    Case {
        name: "add_seal_rdonly",
        about: "a stranger with a descriptor that can't write can't add a seal",
        rules: &[20],
        under: &[SHRINK, FS_WRITE],
        setup: fresh,
        op: |f| Ok(sys::add_seals(&f.reopen(O_RDONLY)?, f.given.seals)?),
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "write",
        about: "write(2), pwrite(2) and punching a hole fail for a stranger, reopened as well",
        rules: &[3, 7, 16],
        under: NO_WRITE,
        op: writes,
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "write_as_root",
        about: "write(2), pwrite(2) and punching a hole fail for a process with all capabilities",
        rules: &[3, 7, 16],
        under: NO_WRITE,
        through: &[Door::Original, Door::Forked],
        needs: &[Need::Capabilities],
        op: writes,
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "mmap",
        about: "a stranger can't map the file shared and writable",
        rules: &[8, 16],
        on: BOTH,
        op: |f| maps(f, EACCES),
        expect: Fails(EACCES),
        ..STRANGE
    },
    Case {
        name: "mmap_older_seals",
        about: "a stranger can't map a file with an older seal against writing shared and writable",
        rules: &[9, 16],
        on: BOTH,
        under: &[WRITE, FUTURE_WRITE],
        op: |f| maps(f, EPERM),
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "mmap_as_root",
        about: "a process with all capabilities can't map the file shared and writable",
        rules: &[8, 16],
        on: BOTH,
        through: &[Door::Original, Door::Forked],
        needs: &[Need::Capabilities],
        op: |f| maps(f, EACCES),
        expect: Fails(EACCES),
        ..STRANGE
    },
    Case {
        name: "mprotect",
        about: "a stranger's read-only mapping can't become writable",
        rules: &[10],
        on: BOTH,
        under: NO_WRITE,
        op: |f| Ok(f.mmap(RO, MAP_SHARED)?.protect(RW)?),
        expect: Fails(EACCES),
        ..STRANGE
    },
    Case {
        name: "shrink",
        about: "a stranger can't make the file smaller",
        rules: &[5],
        on: BOTH,
        under: NO_SHRINK,
        op: |f| all_fail(EPERM, [0, f.page].map(|size| f.ftruncate(size))),
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "grow",
        about: "a stranger can't make the file larger",
        rules: &[5, 7],
        on: BOTH,
        under: NO_GROW,
        op: |f| all_fail(EPERM, [f.ftruncate(2 * f.size), f.fallocate(0, f.size, f.page)]),
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "unsealed",
        about: "a stranger writes, maps and resizes what is not sealed, whatever its mode is",
        on: BOTH,
        setup: |given| with_mode(fresh(given)?, 0),
        op: |f| {
            let map = f.mmap(RW, MAP_SHARED)?;
            map.store(1, 0xc3);
            f.ftruncate(2 * f.size)?;
            f.fallocate(PUNCH, f.page, f.page)
        },
        expect: Returns(0),
        after: |f| {
            f.byte_is(1, 0xc3)?;
            f.size_is(2 * f.size)
        },
        ..UNSEALED
    },
    Case {
        name: "reopen",
        about: "anybody who holds a descriptor can open it again for writing: a memfd's mode says so",
        rules: &[16],
        on: EVERY,
        under: &[0, FS_WRITE],
        setup: fresh,
        op: |f| {
            Ok([O_RDONLY, O_WRONLY, O_RDWR]
                .iter()
                .try_for_each(|how| f.reopen(*how).map(drop))
                .map(|()| 0)?)
        },
        expect: Returns(0),
        ..STRANGE
    },
    Case {
        name: "reopen_mode_0600",
        about: "once its mode is 0600, only the owner can open it again",
        rules: &[16],
        on: EVERY,
        under: &[0, FS_WRITE],
        through: FOREIGNERS,
        setup: |given| with_mode(sealed(given)?, 0o600),
        op: |f| all_fail(EACCES, [O_RDONLY, O_WRONLY, O_RDWR].map(|how| opened(f.reopen(how)))),
        expect: Fails(EACCES),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "reopen_mode_0644",
        about: "once its mode is 0644, others can open it for reading only",
        rules: &[16],
        on: EVERY,
        under: &[0, FS_WRITE],
        through: FOREIGNERS,
        setup: |given| with_mode(sealed(given)?, 0o644),
        op: |f| {
            f.reopen(O_RDONLY)?;
            all_fail(EACCES, [O_WRONLY, O_RDWR].map(|how| opened(f.reopen(how))))
        },
        expect: Fails(EACCES),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "reopen_mode_0600_as_owner",
        about: "the owner needs no capability to open it again",
        rules: &[16],
        on: EVERY,
        under: &[0, FS_WRITE],
        through: &[Door::Strange(Stranger::Powerless)],
        setup: |given| with_mode(sealed(given)?, 0o600),
        op: |f| opened(f.reopen(O_RDWR)),
        expect: Returns(0),
        ..STRANGE
    },
    Case {
        name: "reopen_mode_0000",
        about: "a file of no mode bits is opened again by root only, and its seal holds there",
        rules: &[3, 16],
        under: NO_WRITE,
        through: &[Door::Original],
        needs: &[Need::Capabilities],
        setup: |given| with_mode(sealed(given)?, 0),
        op: |f| Ok(sys::pwritev2(&f.reopen(O_RDWR)?, b"x", 0, 0)?),
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "reopen_mode_0000_powerless",
        about: "a file of no mode bits is opened again by nobody without capabilities",
        rules: &[16],
        setup: |given| with_mode(sealed(given)?, 0),
        under: &[0, FS_WRITE],
        op: |f| all_fail(EACCES, [O_RDONLY, O_RDWR].map(|how| opened(f.reopen(how)))),
        expect: Fails(EACCES),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "fchmod",
        about: "only the owner changes the mode: a stranger can't open up a file that was closed",
        on: EVERY,
        under: &[0, FS_WRITE],
        through: FOREIGNERS,
        setup: |given| with_mode(sealed(given)?, 0o600),
        op: |f| all_fail(EPERM, [0o666, 0o600, 0o400].map(|bits| chmod(f, bits))),
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "fchmod_as_owner",
        about: "the owner changes the mode without any capability, sealed or not",
        rules: &[18],
        on: EVERY,
        under: &[0, FS_WRITE],
        through: &[Door::Strange(Stranger::Powerless)],
        op: |f| chmod(f, 0o600),
        expect: Returns(0),
        ..STRANGE
    },
    Case {
        name: "fchown",
        about: "a stranger can't make the file its own",
        on: BOTH,
        under: &[0, FS_WRITE],
        through: FOREIGNERS,
        op: |f| chown(f, nix::unistd::geteuid().as_raw()),
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "fchown_powerless",
        about: "the owner without capabilities can't give the file away",
        on: BOTH,
        under: &[0, FS_WRITE],
        through: &[Door::Strange(Stranger::Powerless)],
        op: |f| chown(f, 1),
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "lease",
        about: "a stranger can't take a lease",
        under: &[0, FS_WRITE],
        through: FOREIGNERS,
        op: |f| Ok(sys::fcntl(&f.reopen(O_RDONLY)?, libc::F_SETLEASE, libc::F_RDLCK as usize)?),
        expect: Fails(EACCES),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
];

/// Every way that each seal against writing refuses with EPERM.
pub fn writes(f: &mut World) -> Got {
    let again = f.reopen(O_RDWR)?;
    let others = [sys::pwritev2(&again, b"x", 0, 0), sys::pwritev2(&again, b"x", -1, 0)];
    let ours = [f.pwrite(0, b"x"), f.write(b"x"), f.fallocate(PUNCH, 0, f.page)];
    all_fail(EPERM, ours.into_iter().chain(others.map(|got| Ok(got?))))
}

/// A read-only mapping works, and a writable one fails through either descriptor.
fn maps(f: &World, errno: Errno) -> Got {
    f.mmap(RO, MAP_SHARED)?;
    let again = f.reopen(O_RDWR)?;
    let through = [f.mmap(RW, MAP_SHARED), Map::new(f.size, RW, MAP_SHARED, &again, 0)];
    all_fail(errno, through.map(|map| Ok(map.map(|_| 0)?)))
}

fn chmod(f: &World, bits: u32) -> Got {
    Ok(fchmod(&f.fd, Mode::from_bits_retain(bits)).map(|()| 0)?)
}

fn chown(f: &World, user: u32) -> Got {
    let args = [f.fd.as_raw_fd() as usize, user as usize, user as usize, 0, 0, 0];
    Ok(sys::call(libc::SYS_fchown, args)?)
}

fn with_mode(world: World, bits: u32) -> Setup {
    crate::world::same("fchmod", Ok(0), chmod(&world, bits))?;
    Ok(world)
}

pub fn opened(fd: Sys<OwnedFd>) -> Got {
    Ok(fd.map(|_| 0)?)
}
