// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Processes that reach for the descriptors and the mappings of the one that sealed the file: those
//! who may get a file that is as sealed.

use super::strangers::{NOT_THE_SEAL, STRANGE, opened, writes};
use crate::case::*;
use crate::door::Door;
use crate::need::Need;
use crate::stranger::Stranger;
use crate::sys::seal::FS_WRITE;
use crate::sys::{self, RO, Sys};
use crate::world::{World, all_fail, sealed};
use libc::{MAP_SHARED, O_RDONLY, O_RDWR};
use nix::errno::Errno::*;
use nix::sys::stat::Mode;
use nix::unistd::getppid;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

pub const CASES: &[Case] = &[
    Case {
        name: "proc_fd",
        about: "a stranger can't open the owner's descriptors through /proc/<pid>/fd",
        under: &[0, FS_WRITE],
        op: |f| {
            let path = format!("/proc/{}/fd/{}", getppid(), f.fd.as_raw_fd());
            all_fail(EACCES, [O_RDONLY, O_RDWR].map(|how| opened(open(&path, how))))
        },
        expect: Fails(EACCES),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "proc_fd_same_user",
        about: "what the same user opens through /proc/<pid>/fd of another process is as sealed",
        rules: &[3, 16],
        on: SHMEM,
        under: NO_WRITE,
        through: &[Door::Forked],
        needs: &[],
        op: |f| {
            let path = format!("/proc/{}/fd/{}", getppid(), f.fd.as_raw_fd());
            f.fd = open(&path, O_RDWR)?;
            writes(f)
        },
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "pidfd_getfd",
        about: "a stranger can't take a descriptor out of the owner by pidfd_getfd(2)",
        under: &[0, FS_WRITE],
        op: |f| opened(stolen(f.fd.as_raw_fd())),
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "pidfd_getfd_same_user",
        about: "what the same user takes by pidfd_getfd(2) is as sealed",
        rules: &[3, 16],
        on: SHMEM,
        under: NO_WRITE,
        through: &[Door::Forked],
        needs: &[],
        op: |f| {
            f.fd = stolen(f.fd.as_raw_fd())?;
            writes(f)
        },
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "process_vm_writev",
        about: "a stranger can't write to the mapping that the owner still has by process_vm_writev(2)",
        on: BOTH,
        op: |f| {
            let iov = [b"x".as_ptr() as usize, 1];
            let to = [f.old().addr(), 1];
            let (local, remote) = (iov.as_ptr() as usize, to.as_ptr() as usize);
            let owner = getppid().as_raw() as usize;
            Ok(sys::call(libc::SYS_process_vm_writev, [owner, local, 1, remote, 1, 0])?)
        },
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "proc_mem",
        about: "a stranger can't open the owner's /proc/<pid>/mem",
        op: |_| opened(open(&format!("/proc/{}/mem", getppid()), O_RDWR)),
        expect: Fails(EACCES),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "ptrace",
        about: "a stranger can't attach to the owner",
        op: |_| {
            Ok(nix::sys::ptrace::seize(getppid(), nix::sys::ptrace::Options::empty())
                .map(|()| 0)?)
        },
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
    Case {
        name: "map_files",
        about: "the file of a mapping, opened through /proc/self/map_files by root, is as sealed",
        rules: &[3, 16],
        on: SHMEM,
        under: NO_WRITE,
        through: &[Door::Original],
        needs: &[Need::Capabilities],
        setup: |given| {
            let mut world = sealed(given)?;
            world.new = Some(world.mmap(RO, MAP_SHARED).map_err(|e| e.to_string())?);
            Ok(world)
        },
        op: |f| {
            let opened = mapped_file(f)?;
            let first = std::mem::replace(&mut f.fd, opened);
            let got = writes(f);
            f.fd = first;
            got
        },
        expect: Fails(EPERM),
        ..STRANGE
    },
    Case {
        name: "map_files_powerless",
        about: "the owner of a mapping can't open its file through /proc/self/map_files without capabilities",
        under: &[0, FS_WRITE],
        through: &[Door::Strange(Stranger::Powerless)],
        setup: |given| {
            let mut world = sealed(given)?;
            world.new = Some(world.mmap(RO, MAP_SHARED).map_err(|e| e.to_string())?);
            Ok(world)
        },
        op: |f| opened(mapped_file(f)),
        expect: Fails(EPERM),
        hollow: NOT_THE_SEAL,
        ..STRANGE
    },
];

fn open(path: &str, flags: i32) -> Sys<OwnedFd> {
    let flags = nix::fcntl::OFlag::from_bits_retain(flags | libc::O_CLOEXEC);
    nix::fcntl::open(path, flags, Mode::empty())
}

/// A descriptor of the parent's.
fn stolen(fd: RawFd) -> Sys<OwnedFd> {
    let owner = sys::pidfd_open(getppid())?;
    let args = [owner.as_raw_fd() as usize, fd as usize, 0, 0, 0, 0];
    Ok(sys::own(sys::call(libc::SYS_pidfd_getfd, args)? as RawFd))
}

/// What `new` maps, by its name in /proc.
fn mapped_file(f: &World) -> Sys<OwnedFd> {
    let (start, end) = (f.made().addr(), f.made().addr() + f.made().len());
    open(&format!("/proc/self/map_files/{start:x}-{end:x}"), O_RDWR)
}
