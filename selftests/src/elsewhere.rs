// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Other processes that act for a row or hold what they inherited, and files of other file systems.

use crate::case::{Got, Stop};
use crate::sys::{self, Ended, Sys};
use libc::c_long;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, Uid, setuid};
use std::convert::Infallible;
use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Runs `body` in a forked child: what it got. A panic there is one here.
pub fn in_another(body: impl FnOnce() -> Got) -> Got {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let mut reader = File::from(reader);
    let ended = sys::in_child(|| {
        let text = encode(body());
        File::from(writer.try_clone().expect("dup")).write_all(text.as_bytes()).expect("pipe");
        0
    })?;
    drop(writer);
    assert_eq!(ended, Ended::Exit(0), "the forked child");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("pipe");
    decode(&text)
}

/// As `in_another`, by a user who owns nothing here.
pub fn as_nobody(body: impl FnOnce() -> Got) -> Got {
    in_another(|| {
        setuid(Uid::from_raw(65534)).expect("setuid");
        body()
    })
}

/// As `in_another`, in a user namespace of its own.
pub fn in_user_namespace(body: impl FnOnce() -> Got) -> Got {
    in_another(|| {
        unshare(CloneFlags::CLONE_NEWUSER).expect("a user namespace");
        body()
    })
}

/// As `in_another`, as the first process of a new pid namespace.
pub fn in_pid_namespace(body: impl FnOnce() -> Got) -> Got {
    // Only a process that has not done so before can make one for its children.
    in_another(|| {
        unshare(CloneFlags::CLONE_NEWPID).expect("a pid namespace");
        in_another(body)
    })
}

/// As `in_another`, by a process whose children are in a new pid namespace, after the first of
/// them has done `inside`.
pub fn beside_pid_namespace(inside: impl FnOnce() -> Got, body: impl FnOnce() -> Got) -> Got {
    in_another(|| {
        unshare(CloneFlags::CLONE_NEWPID).expect("a pid namespace");
        in_another(inside)?;
        body()
    })
}

/// Runs `body`, and when that takes its turn, `outside` in a process that was forked before, in
/// the namespaces that this one is in now. That must succeed.
pub fn meanwhile(outside: impl FnOnce() -> Got, body: impl FnOnce(&dyn Fn()) -> Got) -> Got {
    let pipe = || nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("pipe");
    let ((ready, tell), (go, done)) = (pipe(), pipe());
    sys::fork(|| {
        sys::die_with_parent();
        wait(&ready);
        outside().expect("what is done meanwhile");
        nix::unistd::write(&done, b".").expect("pipe");
        0
    })?;
    drop(done);
    body(&|| {
        nix::unistd::write(&tell, b".").expect("pipe");
        wait(&go);
    })
}

/// Reads the one byte of a pipe.
fn wait(pipe: &OwnedFd) {
    assert_eq!(nix::unistd::read(pipe, &mut [0]), Ok(1), "the other process is gone");
}

/// A child that holds all that it inherited, mappings too, until it is released: its pidfd.
pub fn holder() -> Sys<OwnedFd> {
    let child = sys::fork(|| {
        sys::die_with_parent();
        loop {
            nix::unistd::pause();
        }
    })?;
    sys::pidfd_open(child)
}

/// Ends the holder, and waits until it is gone.
pub fn release(holder: &OwnedFd) {
    let signal = Signal::SIGKILL as usize;
    let args = [holder.as_raw_fd() as usize, signal, 0, 0, 0, 0];
    sys::call(libc::SYS_pidfd_send_signal, args).expect("pidfd_send_signal");
    waitid(Id::PIDFd(holder.as_fd()), WaitPidFlag::WEXITED).expect("waitid");
}

/// A child that has become a program, and stands still before its first instruction. If it can't
/// become one: why.
pub fn traced(exec: impl FnOnce() -> Sys<Infallible>) -> Sys<Pid> {
    let child = sys::fork(|| {
        let stopped = ptrace::traceme().and_then(|()| exec());
        stopped.map_or_else(|errno| errno as i32, |never| match never {})
    })?;
    match waitpid(child, None)? {
        WaitStatus::Stopped(child, Signal::SIGTRAP) => Ok(child),
        WaitStatus::Exited(_, errno) => Err(Errno::from_raw(errno)),
        other => panic!("the program: {other:?}"),
    }
}

/// Ends such a child.
pub fn untraced(child: Pid) {
    kill(child, Signal::SIGKILL).expect("kill");
    waitpid(child, None).expect("waitpid");
}

/// An empty file, mode 0777, on a new mount of this file system that nobody else sees.
pub fn file_on(fs: &CStr) -> Sys<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC;
    openat(mount(fs)?, "file", flags, Mode::from_bits_retain(0o777))
}

/// A mount of this file system: its root.
pub fn mount(fs: &CStr) -> Sys<OwnedFd> {
    const FSCONFIG_CMD_CREATE: usize = 6;
    const CLOEXEC: usize = 1;
    let new = |nr: c_long, args| sys::call(nr, args).map(|fd| sys::own(fd as i32));
    let context = new(libc::SYS_fsopen, [fs.as_ptr() as usize, CLOEXEC, 0, 0, 0, 0])?;
    let fd = context.as_raw_fd() as usize;
    sys::call(libc::SYS_fsconfig, [fd, FSCONFIG_CMD_CREATE, 0, 0, 0, 0])?;
    new(libc::SYS_fsmount, [fd, CLOEXEC, 0, 0, 0, 0])
}

/// What a process got, as a line for another.
pub fn encode(got: Got) -> String {
    match got {
        Ok(value) => format!("value {value}"),
        Err(Stop::Errno(errno)) => format!("errno {}", errno as i32),
        Err(Stop::Signal(signal)) => panic!("{signal} in a child that acts for the row"),
    }
}

/// The reverse of `encode`.
pub fn decode(text: &str) -> Got {
    match text.split_once(' ').map(|(word, number)| (word, number.parse::<i64>())) {
        Some(("value", Ok(value))) => Ok(value),
        Some(("errno", Ok(errno))) => Err(Errno::from_raw(errno as i32).into()),
        _ => panic!("the child that acts for the row said {text:?}"),
    }
}
