// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! F_SEAL_EXEC: the execute bits stay, and an executable file can't be written any more.

use super::busy::executable;
use super::sealing::exactly;
use crate::case::*;
use crate::child::wrong;
use crate::elsewhere::{as_nobody, in_user_namespace};
use crate::need::Need;
use crate::sys::{self, RO, RW, mfd, seal};
use crate::world::{World, each, fresh, readable, refused, same, with_flags};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;
use nix::sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat};
use std::os::fd::AsRawFd;

/// A file of mode 0666 with F_SEAL_EXEC.
const PLAIN_SEALED: Case = Case {
    on: BOTH,
    needs: &[Need::ExecSeal],
    setup: |given| with_flags(given, mfd::NOEXEC_SEAL | mfd::ALLOW_SEALING),
    ..CONTROL
};

/// One of mode 0777, which has what F_SEAL_EXEC implies too.
const EXECUTABLE_SEALED: Case = Case {
    on: BARE,
    needs: &[Need::ExecSeal],
    setup: |given| executable(given)?.seal(seal::EXEC),
    ..CONTROL
};

/// Each seal but F_SEAL_EXEC.
const OTHERS: &[u32] =
    &[0, seal::SEAL, seal::SHRINK, seal::GROW, seal::WRITE, seal::FUTURE_WRITE, seal::FS_WRITE];

pub const CASES: &[Case] = &[
    Case {
        name: "bits_fchmod",
        about: "with F_SEAL_EXEC no execute bit can be set, whichever it is and whatever is set beside it",
        on: EVERY,
        op: |f| each(MORE_EXECUTABLE, |mode| chmod(f, **mode)),
        expect: Fails(EPERM),
        ..PLAIN_SEALED
    },
    Case {
        name: "bits_clear",
        about: "nor can one be cleared",
        op: |f| each(LESS_EXECUTABLE, |mode| chmod(f, **mode)),
        expect: Fails(EPERM),
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "bits_swap",
        about: "nor can one be set and another cleared at once",
        needs: &[Need::ExecSeal],
        on: BOTH,
        setup: |given| {
            let world = fresh_of(given, 0o744)?;
            world.seal(seal::EXEC)
        },
        op: |f| each([0o654, 0o645, 0o755, 0o644], |mode| chmod(f, *mode)),
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "bits_chmod",
        about: "nor by path",
        op: |f| each(MORE_EXECUTABLE, |mode| chmod_path(f, **mode)),
        expect: Fails(EPERM),
        ..PLAIN_SEALED
    },
    Case {
        name: "bits_fchmodat2",
        about: "nor by fchmodat2(2) on the descriptor",
        op: |f| each(MORE_EXECUTABLE, |mode| fchmodat2(f, **mode)),
        expect: Fails(EPERM),
        needs: &[Need::ExecSeal, Need::Fchmodat2],
        ..PLAIN_SEALED
    },
    Case {
        name: "bits_through_rdonly",
        about: "nor through a descriptor opened O_RDONLY, which may chmod",
        through: crate::door::READERS,
        op: |f| chmod(f, 0o777),
        expect: Fails(EPERM),
        ..PLAIN_SEALED
    },
    Case {
        name: "bits_through",
        about: "nor through any other descriptor",
        through: crate::door::WRITERS,
        op: |f| chmod(f, 0o777),
        expect: Fails(EPERM),
        ..PLAIN_SEALED
    },
    Case {
        name: "bits_through_path",
        about: "nor by the path of one opened O_PATH",
        through: crate::door::PATHS,
        op: |f| chmod_path(f, 0o777),
        expect: Fails(EPERM),
        ..PLAIN_SEALED
    },
    Case {
        name: "other_bits",
        about: "F_SEAL_EXEC leaves the other bits of the mode alone, the set-user-ID bit too",
        on: EVERY,
        op: |f| {
            for mode in [0o600, 0o640, 0o222, 0, 0o4666, 0o2644, 0o1666, 0o666] {
                for call in [chmod, chmod_path] {
                    chmod(f, 0o444)?;
                    call(f, mode)?;
                    mode_is(f, mode).unwrap_or_else(|what| wrong(what));
                }
            }
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        starved: STEPS,
        ..PLAIN_SEALED
    },
    Case {
        name: "other_bits_of_an_executable",
        about: "so it does on an executable file",
        op: |f| {
            for mode in [0o755, 0o711, 0o111, 0o4755, 0o777] {
                chmod(f, mode)?;
                mode_is(f, mode).unwrap_or_else(|what| wrong(what));
            }
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        starved: STEPS,
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "other_attributes",
        about: "owner and times can be changed under F_SEAL_EXEC, which drops the set-user-ID bit as ever",
        on: BOTH,
        needs: &[Need::ExecSeal, Need::OtherUid],
        setup: |given| {
            let world = fresh_of(given, 0o4744)?;
            world.seal(seal::EXEC)
        },
        op: |f| {
            nix::unistd::fchown(&f.fd, Some(7.into()), Some(8.into()))?;
            let time = nix::sys::time::TimeSpec::new(2, 0);
            nix::sys::stat::futimens(&f.fd, &time, &time)?;
            let stat = sys::fstat(&f.fd)?;
            Ok((stat.st_uid == 7 && stat.st_gid == 8 && stat.st_mtime == 2).into())
        },
        expect: Returns(1),
        after: |f| mode_is(f, 0o744),
        starved: STEPS,
        ..CONTROL
    },
    Case {
        name: "without_it",
        about: "without F_SEAL_EXEC the mode can be changed, whatever other seal there is",
        rules: &[18],
        on: BARE,
        under: OTHERS,
        setup: |given| executable(given)?.seal(given.seals),
        op: |f| {
            for mode in [0o666, 0o777, 0o744, 0o611, 0o640] {
                chmod(f, mode)?;
                mode_is(f, mode).unwrap_or_else(|what| wrong(what));
            }
            Ok(0)
        },
        expect: Returns(0),
        starved: STEPS,
        ..CASE
    },
    Case {
        name: "bits_in_user_namespace",
        about: "nor by the owner with all rights in a user namespace",
        needs: &[Need::ExecSeal, Need::UserNamespace],
        op: |f| in_user_namespace(|| chmod(f, 0o777)),
        expect: Fails(EPERM),
        starved: IN_CHILD,
        ..PLAIN_SEALED
    },
    Case {
        name: "of_another_user",
        about: "a user who does not own the file can't chmod it at all: EPERM",
        needs: &[Need::ExecSeal, Need::OtherUid],
        op: |f| as_nobody(|| each([0o600, 0o666, 0o777], |mode| chmod(f, *mode))),
        expect: Fails(EPERM),
        starved: IN_CHILD,
        ..PLAIN_SEALED
    },
    // What it brings with it.
    Case {
        name: "implies",
        about: "F_SEAL_EXEC on an executable file adds SHRINK, GROW, WRITE, FUTURE_WRITE, no more",
        needs: &[Need::ExecSeal],
        rules: &[23],
        on: BARE,
        setup: executable,
        op: |f| f.add_seals(seal::EXEC),
        expect: Returns(0),
        after: |f| {
            same("seals", Ok(0x3e), sys::get_seals(&f.fd))?;
            f.unchanged_but_seals()
        },
        ..CONTROL
    },
    Case {
        name: "implies_beside",
        about: "beside another seal, or after it, it adds the same",
        needs: &[Need::ExecSeal],
        rules: &[23],
        on: BARE,
        under: &[seal::SHRINK, seal::WRITE, seal::FUTURE_WRITE, seal::FS_WRITE],
        setup: |given| executable(given)?.seal(given.seals),
        op: |f| f.add_seals(seal::EXEC),
        expect: Returns(0),
        after: |f| same("seals", Ok(i64::from(0x3e | f.given.seals)), sys::get_seals(&f.fd)),
        ..CASE
    },
    Case {
        name: "what_is_executable",
        about: "each of the three execute bits makes a file executable, and no other bit does",
        needs: &[Need::ExecSeal],
        on: BOTH,
        setup: fresh,
        op: |f| {
            let rows = [
                (0o100, 0x3e),
                (0o010, 0x3e),
                (0o001, 0x3e),
                (0o777, 0x3e),
                (0o654, 0x3e),
                (0o666, 0x20),
                (0o000, 0x20),
                (0o600, 0x20),
                (0o7666, 0x20),
            ];
            for (mode, seals) in rows {
                let fd = sys::memfd_create("mode", f.given.kind.flags() | 2)?;
                fchmod(&fd, Mode::from_bits_retain(mode))?;
                sys::add_seals(&fd, seal::EXEC)?;
                let got = sys::get_seals(&fd)?;
                if got != seals {
                    wrong(format!("mode {mode:o}: seals {got:#x}, expected {seals:#x}"));
                }
            }
            Ok(0)
        },
        expect: Returns(0),
        starved: STEPS,
        ..CONTROL
    },
    Case {
        name: "implied_again",
        about: "F_SEAL_EXEC again on a file that is not executable adds nothing to it",
        op: |f| f.add_seals(seal::EXEC),
        expect: Returns(0),
        after: |f| same("seals", Ok(0x20), sys::get_seals(&f.fd)),
        ..PLAIN_SEALED
    },
    Case {
        name: "noexec_takes_more",
        about: "a file of MFD_NOEXEC_SEAL takes every other seal",
        needs: &[Need::ExecSeal],
        rules: &[20],
        on: BOTH,
        under: OTHERS,
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL),
        op: |f| f.add_seals(f.given.seals),
        expect: Returns(0),
        after: |f| {
            same("seals", Ok(i64::from(0x20 | f.given.seals)), sys::get_seals(&f.fd))?;
            f.unchanged_but_seals()
        },
        ..CASE
    },
    Case {
        name: "noexec_still_writes",
        about: "a file of MFD_NOEXEC_SEAL is written, mapped and resized as any",
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL)?.map(RW),
        op: |f| {
            if f.given.kind != crate::kind::Kind::Hugetlb {
                f.pwrite(2, b"x")?;
            }
            f.mmap_new(RW, MAP_SHARED)?;
            f.ftruncate(f.size + f.page)?;
            f.ftruncate(f.size)
        },
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        starved: STEPS,
        ..PLAIN_SEALED
    },
    // What is implied holds.
    Case {
        name: "implied_write",
        about: "an executable file with F_SEAL_EXEC can't be written",
        on: &[crate::kind::Kind::Shmem, crate::kind::Kind::Thp],
        op: |f| f.pwrite(0, b"x"),
        expect: Fails(EPERM),
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_write_map",
        about: "nor mapped shared and writable",
        op: |f| f.mmap_new(RW, MAP_SHARED),
        expect: Fails(EPERM),
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_readonly_map",
        about: "a read-only shared mapping of it works, and can't become writable",
        op: |f| f.mmap_new(RO, MAP_SHARED),
        expect: Returns(0),
        after: |f| {
            readable(f.made())?;
            same("mprotect", Err(EACCES), f.made().protect(RW))
        },
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_private_map",
        about: "a private writable mapping of it works",
        op: |f| f.mmap_new(RW, MAP_PRIVATE),
        expect: Returns(0),
        after: |f| f.isolated_from_file(f.made()),
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_shrink",
        about: "it can't shrink",
        op: |f| f.ftruncate(f.page),
        expect: Fails(EPERM),
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_grow",
        about: "it can't grow",
        op: |f| f.ftruncate(f.size + f.page),
        expect: Fails(EPERM),
        after: |f| {
            refused("fallocate", EPERM, f.fallocate(0, f.size, f.page))?;
            f.unchanged()
        },
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_punch",
        about: "no hole can be punched into it",
        op: |f| f.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, f.page),
        expect: Fails(EPERM),
        ..EXECUTABLE_SEALED
    },
    Case {
        name: "implied_is_not_seal",
        about: "it takes F_SEAL_SEAL and F_SEAL_FS_WRITE afterwards",
        needs: &[Need::ExecSeal],
        rules: &[23],
        on: BARE,
        setup: |given| executable(given)?.seal(seal::EXEC),
        op: |f| f.add_seals(seal::SEAL | seal::FS_WRITE),
        expect: Returns(0),
        after: |f| exactly(f, 0x7f),
        ..CASE
    },
];

/// Modes that a file of 0666 has not, each for an execute bit.
const MORE_EXECUTABLE: &[u32] = &[0o766, 0o676, 0o667, 0o777, 0o100, 0o010, 0o001, 0o4755];
/// Those that one of 0777 has not.
const LESS_EXECUTABLE: &[u32] = &[0o677, 0o767, 0o776, 0o666, 0o744, 0o400, 0, 0o4677];

/// As `fresh`, with this mode.
fn fresh_of(given: Given, mode: u32) -> Setup {
    let world = fresh(given)?;
    fchmod(&world.fd, Mode::from_bits_retain(mode)).map_err(|e| e.to_string())?;
    Ok(world)
}

fn chmod(f: &World, mode: u32) -> Got {
    Ok(fchmod(&f.fd, Mode::from_bits_retain(mode)).map(|()| 0)?)
}

fn chmod_path(f: &World, mode: u32) -> Got {
    let (mode, flag) = (Mode::from_bits_retain(mode), FchmodatFlags::FollowSymlink);
    Ok(fchmodat(nix::fcntl::AT_FDCWD, f.path().as_str(), mode, flag).map(|()| 0)?)
}

fn fchmodat2(f: &World, mode: u32) -> Got {
    let (fd, empty) = (f.fd.as_raw_fd() as usize, c"".as_ptr() as usize);
    let args = [fd, empty, mode as usize, libc::AT_EMPTY_PATH as usize, 0, 0];
    Ok(sys::call(sys::SYS_FCHMODAT2, args)?)
}

fn mode_is(f: &World, mode: u32) -> Check {
    let stat = sys::fstat(&f.fd).map_err(|e| e.to_string())?;
    same("mode", format!("{mode:o}"), format!("{:o}", stat.st_mode & 0o7777))
}
