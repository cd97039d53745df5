// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Mode and owner, of which F_SEAL_EXEC holds the execute bits.

use super::attributes::{ANYWAY, SAME, call, chmod};
use crate::case::*;
use crate::door::{Door, PATHS};
use crate::need::Need;
use crate::sys::seal::{EXEC, FS_WRITE};
use crate::sys::{self, mfd};
use crate::world::all_fail;
use crate::world::{World, same, sealed, with_flags};
use nix::errno::Errno::*;
use nix::sys::stat::fstat;

pub const CASES: &[Case] = &[
    Case {
        name: "fchmod",
        about: "fchmod(2) works while F_SEAL_EXEC is not set, execute bits included",
        op: |f| {
            for bits in [0o640, 0o777, 0o4711, 0o2750, 0o1000, 0] {
                chmod(f, bits)?;
                mode_is(f, bits).map_err(|_| Stop::Errno(ENODATA))?;
            }
            chmod(f, 0o640)
        },
        expect: Returns(0),
        after: |f| mode_is(f, 0o640),
        ..SAME
    },
    Case {
        name: "chmod_through",
        about: "the mode is changed through any descriptor that opened the file, and by its path",
        on: BOTH,
        under: &[0, FS_WRITE],
        through: &[Door::After(libc::O_RDONLY), Door::After(libc::O_WRONLY), Door::Received],
        op: |f| {
            chmod(f, 0o600)?;
            chmod_path(f, 0o751)
        },
        expect: Returns(0),
        after: |f| mode_is(f, 0o751),
        ..SAME
    },
    Case {
        name: "fchmod_path",
        about: "a descriptor that opened nothing does not change the mode",
        on: PLAIN,
        through: PATHS,
        under: &[0, FS_WRITE],
        op: |f| chmod(f, 0o600),
        expect: Fails(EBADF),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "exec_seal_chmod",
        about: "F_SEAL_EXEC forbids setting any execute bit, by descriptor and by path (see patch 2)",
        on: EVERY,
        under: &[EXEC],
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL),
        op: |f| {
            let bits = [0o777, 0o766, 0o676, 0o667, 0o100, 0o010, 0o001, 0o4755];
            let by_path = [0o777, 0o667].map(|bits| chmod_path(f, bits));
            all_fail(EPERM, bits.map(|bits| chmod(f, bits)).into_iter().chain(by_path))
        },
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "exec_seal_chmod_fs_write",
        about: "F_SEAL_EXEC forbids the same beside F_SEAL_FS_WRITE",
        rules: &[23],
        on: SHMEM,
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL)?.seal(given.seals),
        op: |f| all_fail(EPERM, [0o777, 0o766, 0o676, 0o667].map(|bits| chmod(f, bits))),
        expect: Fails(EPERM),
        hollow: Deviation::Passes("F_SEAL_EXEC forbids it"),
        ..CASE
    },
    Case {
        name: "exec_seal_chmod_executable",
        about: "F_SEAL_EXEC on an executable file forbids clearing any execute bit (see patch 2)",
        on: BARE,
        under: &[EXEC],
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC)?.seal(EXEC),
        op: |f| {
            let bits = [0o666, 0o677, 0o767, 0o776, 0, 0o600, 0o110];
            all_fail(EPERM, bits.map(|bits| chmod(f, bits)))
        },
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "exec_seal_chmod_other_bits",
        about: "F_SEAL_EXEC leaves all other bits of the mode alone",
        on: EVERY,
        under: &[EXEC, EXEC | FS_WRITE],
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL)?.seal(given.seals),
        op: |f| {
            for bits in [0, 0o600, 0o4600, 0o2060, 0o1006, 0o7666, 0o444] {
                chmod(f, bits)?;
                mode_is(f, bits).map_err(|_| Stop::Errno(ENODATA))?;
            }
            chmod_path(f, 0o604)
        },
        expect: Returns(0),
        after: |f| mode_is(f, 0o604),
        ..CONTROL
    },
    Case {
        name: "exec_seal_chmod_executable_other_bits",
        about: "F_SEAL_EXEC leaves the other bits of an executable file's mode alone",
        on: BARE,
        under: &[EXEC],
        setup: |given| with_flags(given, mfd::ALLOW_SEALING | mfd::EXEC)?.seal(EXEC),
        op: |f| chmod(f, 0o6511),
        expect: Returns(0),
        after: |f| mode_is(f, 0o6511),
        ..CONTROL
    },
    Case {
        name: "fchown",
        about: "fchown(2) works, and takes the setuid bit of an executable file as ever",
        setup: |given| {
            let world = sealed(given)?;
            same("fchmod", Ok(0), chmod(&world, 0o4755))?;
            Ok(world)
        },
        needs: &[Need::OtherUsers],
        op: |f| call(f, libc::SYS_fchown, [1, 2, 0, 0]),
        expect: Returns(0),
        after: |f| {
            let stat = fstat(&f.fd).map_err(|e| e.to_string())?;
            same("owner", (1, 2), (stat.st_uid, stat.st_gid))?;
            mode_is(f, 0o755)
        },
        ..SAME
    },
];

fn chmod_path(f: &World, bits: u32) -> Got {
    let path = std::ffi::CString::new(f.path()).expect("no NUL");
    Ok(sys::call(libc::SYS_chmod, [path.as_ptr() as usize, bits as usize, 0, 0, 0, 0])?)
}

fn mode_is(world: &World, mode: u32) -> Check {
    let stat = fstat(&world.fd).map_err(|e| e.to_string())?;
    same("mode", format!("{mode:o}"), format!("{:o}", stat.st_mode & 0o7777))
}
