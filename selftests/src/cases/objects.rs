// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! F_ADD_SEALS and F_GET_SEALS on what is no memfd, and by users who do not own the file.

use super::refusing::NOT_FS_WRITE;
use super::sealing::exactly;
use crate::case::*;
use crate::elsewhere::{as_nobody, file_on, in_user_namespace, mount};
use crate::kind::Kind;
use crate::need::{self, Need};
use crate::sys::{self, Sys, seal};
use crate::world::{World, each, fresh, refused, same};
use libc::{O_RDONLY, O_RDWR};
use nix::errno::Errno::*;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, fchmod};
use std::os::fd::{IntoRawFd, OwnedFd};

/// Of another object than the row's file, which is `kept[0]`.
const OBJECT: Case = Case { on: PLAIN, ..CONTROL };

/// Each older seal, none, and all of them. F_SEAL_EXEC only where the kernel has it.
const ASKED: &[u32] = &[0, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x3f];

pub const CASES: &[Case] = &[
    Case {
        name: "device",
        about: "/dev/null has no seals: EINVAL",
        setup: |given| with(given, || file("/dev/null", O_RDWR)),
        op: asked,
        expect: Fails(EINVAL),
        ..OBJECT
    },
    Case {
        name: "device_rdonly",
        about: "/dev/null through O_RDONLY: adding is EPERM first, telling EINVAL",
        setup: |given| with(given, || file("/dev/null", O_RDONLY)),
        op: added,
        expect: Fails(EPERM),
        after: |f| refused("F_GET_SEALS", EINVAL, told(f)),
        ..OBJECT
    },
    Case {
        name: "path_only",
        about: "/dev/null through O_PATH: EBADF",
        setup: |given| with(given, || file("/dev/null", libc::O_PATH)),
        op: asked,
        expect: Fails(EBADF),
        ..OBJECT
    },
    Case {
        name: "proc_file",
        about: "a file of /proc has no seals: EINVAL",
        setup: |given| with(given, || file("/proc/self/comm", O_RDWR)),
        op: asked,
        expect: Fails(EINVAL),
        ..OBJECT
    },
    Case {
        name: "pipe",
        about: "a pipe's writing end has no seals: EINVAL",
        setup: |given| with(given, || pipe().map(|(_, writer)| writer)),
        op: asked,
        expect: Fails(EINVAL),
        ..OBJECT
    },
    Case {
        name: "pipe_reading",
        about: "a pipe's reading end: adding is EPERM first, telling EINVAL",
        setup: |given| with(given, || pipe().map(|(reader, _)| reader)),
        op: added,
        expect: Fails(EPERM),
        after: |f| refused("F_GET_SEALS", EINVAL, told(f)),
        ..OBJECT
    },
    Case {
        name: "socket",
        about: "a socket has no seals: EINVAL",
        setup: |given| {
            use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
            let flags = SockFlag::SOCK_CLOEXEC;
            with(given, || socket(AddressFamily::Unix, SockType::Stream, flags, None))
        },
        op: asked,
        expect: Fails(EINVAL),
        ..OBJECT
    },
    Case {
        name: "eventfd",
        about: "an eventfd has no seals: EINVAL",
        setup: |given| {
            with(given, || {
                sys::call(libc::SYS_eventfd2, [0, libc::EFD_CLOEXEC as usize, 0, 0, 0, 0])
                    .map(|fd| sys::own(fd as i32))
            })
        },
        op: asked,
        expect: Fails(EINVAL),
        ..OBJECT
    },
    Case {
        name: "file_of_another_file_system",
        about: "a regular file of a file system without seals: EINVAL",
        needs: &[Need::Mounts],
        setup: |given| with(given, || file_on(c"ramfs")),
        op: asked,
        expect: Fails(EINVAL),
        ..OBJECT
    },
    Case {
        name: "folder",
        about: "a folder of a tmpfs: adding is EPERM, telling EINVAL",
        needs: &[Need::Mounts],
        setup: |given| {
            with(given, || {
                let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
                openat(mount(c"tmpfs")?, ".", flags, Mode::empty())
            })
        },
        op: added,
        expect: Fails(EPERM),
        after: |f| refused("F_GET_SEALS", EINVAL, told(f)),
        ..OBJECT
    },
    Case {
        name: "closed",
        about: "a number that is no descriptor: EBADF",
        setup: |given| with(given, || file("/dev/null", O_RDWR)),
        op: |f| {
            // Closed under the kernel's eyes only: nothing else opens a file here.
            let number = f.kept.pop().ok_or(EIO)?.into_raw_fd();
            sys::call(libc::SYS_close, [number as usize, 0, 0, 0, 0, 0])?;
            each([number as usize, usize::MAX, 1 << 20], |fd| {
                let add = [*fd, libc::F_ADD_SEALS as usize, seal::GROW as usize, 0, 0, 0];
                let get = [*fd, libc::F_GET_SEALS as usize, 0, 0, 0, 0];
                each([add, get], |args| Ok(sys::call(libc::SYS_fcntl, *args)?))
            })
        },
        expect: Fails(EBADF),
        starved: STEPS,
        ..OBJECT
    },
    Case {
        name: "tmpfs_file",
        about: "a file of an ordinary tmpfs has F_SEAL_SEAL, and takes no seal",
        rules: &[29],
        needs: &[Need::Mounts],
        setup: |given| with(given, || file_on(c"tmpfs")),
        op: added,
        expect: Fails(EPERM),
        after: |f| same("seals", Ok(seal::SEAL.into()), sys::get_seals(&f.kept[0])),
        ..OBJECT
    },
    Case {
        name: "tmpfs_file_takes_no_seal",
        about: "nor does it take F_SEAL_FS_WRITE",
        rules: &[20, 29],
        on: PLAIN,
        needs: &[Need::Mounts],
        setup: |given| with(given, || file_on(c"tmpfs")),
        op: |f| Ok(sys::add_seals(&f.kept[0], seal::FS_WRITE)?),
        expect: Fails(EPERM),
        after: |f| same("seals", Ok(seal::SEAL.into()), sys::get_seals(&f.kept[0])),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "hugetlbfs_file",
        about: "a file of a mounted hugetlbfs has F_SEAL_SEAL, and takes no seal",
        on: HUGETLB,
        needs: &[Need::Mounts],
        setup: |given| with(given, || file_on(c"hugetlbfs")),
        op: added,
        expect: Fails(EPERM),
        after: |f| same("seals", Ok(seal::SEAL.into()), sys::get_seals(&f.kept[0])),
        ..CONTROL
    },
    Case {
        name: "hugetlbfs_file_takes_no_seal",
        about: "nor does it take F_SEAL_FS_WRITE",
        rules: &[20, 29],
        on: HUGETLB,
        needs: &[Need::Mounts],
        setup: |given| with(given, || file_on(c"hugetlbfs")),
        op: |f| Ok(sys::add_seals(&f.kept[0], seal::FS_WRITE)?),
        expect: Fails(EPERM),
        after: |f| same("seals", Ok(seal::SEAL.into()), sys::get_seals(&f.kept[0])),
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    // Whoever has the descriptor may.
    Case {
        name: "another_user",
        about: "a user who owns nothing adds a seal through a descriptor that he was given",
        rules: &[20],
        on: BOTH,
        under: EACH_SEAL,
        needs: &[Need::OtherUid],
        setup: |given| {
            let world = fresh(given)?;
            fchmod(&world.fd, Mode::from_bits_retain(0o100)).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| as_nobody(|| f.add_seals(f.given.seals)),
        expect: Returns(0),
        after: |f| exactly(f, f.given.seals),
        starved: IN_CHILD,
        ..CASE
    },
    Case {
        name: "another_user_rdonly",
        about: "through one that can't write he can't, nor open the file himself against its mode",
        rules: &[20],
        on: BOTH,
        under: &[seal::GROW, seal::FS_WRITE],
        needs: &[Need::OtherUid],
        setup: |given| {
            let world = fresh(given)?.via(O_RDONLY)?;
            fchmod(&world.fd, Mode::from_bits_retain(0o644)).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| as_nobody(|| f.add_seals(f.given.seals)),
        expect: Fails(EPERM),
        after: |f| {
            let opened = as_nobody(|| Ok(f.reopen(O_RDWR).map(|_| 0)?));
            refused("open O_RDWR", EACCES, opened)
        },
        starved: IN_CHILD,
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "another_user_after_seal",
        about: "no user adds a seal after F_SEAL_SEAL, the superuser of a user namespace neither",
        rules: &[20],
        on: BOTH,
        under: &[seal::GROW, seal::FS_WRITE],
        needs: &[Need::OtherUid, Need::UserNamespace],
        setup: |given| fresh(given)?.seal(seal::SEAL),
        op: |f| {
            let got = as_nobody(|| f.add_seals(f.given.seals));
            let other = in_user_namespace(|| f.add_seals(f.given.seals));
            each([got, other], |got| *got)
        },
        expect: Fails(EPERM),
        starved: IN_CHILD,
        hollow: NOT_FS_WRITE,
        ..CASE
    },
    Case {
        name: "another_user_namespace",
        about: "a process of another user namespace adds a seal through a descriptor that it was given",
        rules: &[20],
        on: BOTH,
        under: EACH_SEAL,
        needs: &[Need::UserNamespace],
        setup: fresh,
        op: |f| in_user_namespace(|| f.add_seals(f.given.seals)),
        expect: Returns(0),
        after: |f| exactly(f, f.given.seals),
        starved: IN_CHILD,
        ..CASE
    },
    Case {
        name: "bound_in_another_user_namespace",
        about: "a seal holds for a process of another user namespace, with all rights there, and for nobody",
        rules: &[3],
        on: SHMEM,
        under: NO_WRITE,
        needs: &[Need::OtherUid, Need::UserNamespace],
        setup: |given| fresh(given)?.seal(given.seals),
        op: |f| {
            let (one, two) = (in_user_namespace(|| f.pwrite(0, b"x")), as_nobody(|| f.write(b"x")));
            each([one, two], |got| *got)
        },
        expect: Fails(EPERM),
        starved: IN_CHILD,
        ..CASE
    },
];

/// A world with another object beside its file.
fn with(given: Given, object: impl FnOnce() -> Sys<OwnedFd>) -> Setup {
    // The file of a row about hugetlbfs is only there for its kind.
    let world = fresh(Given { kind: Kind::Shmem, ..given })?;
    Ok(world.keep(object().map_err(|e| format!("the object: {e:?}"))?))
}

fn file(path: &str, flags: i32) -> Sys<OwnedFd> {
    open(path, OFlag::from_bits_retain(flags | libc::O_CLOEXEC), Mode::empty())
}

fn pipe() -> Sys<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

/// What adding any seals to the object gives.
fn added(f: &mut World) -> Got {
    let asked = ASKED.iter().filter(|seals| need::knows(**seals));
    each(asked, |seals| Ok(sys::add_seals(&f.kept[0], **seals)?))
}

/// What F_GET_SEALS gives on the object.
fn told(f: &World) -> Got {
    Ok(sys::get_seals(&f.kept[0])?)
}

/// What both give.
fn asked(f: &mut World) -> Got {
    let (add, get): (Got, Got) = (added(f), told(f));
    each([add, get], |got| *got)
}
