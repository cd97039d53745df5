// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The descriptors that a row's operation may come through: a seal is the inode's, so none of them
//! may get around it.

use crate::case::{Got, Test};
use crate::cases;
use crate::elsewhere::{decode, encode, in_another};
use crate::kind::Kind;
use crate::stranger::Stranger;
use crate::sys::{self, Sys};
use crate::world::{OFFSET, World};
use libc::c_int;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{self, AddressFamily, ControlMessage, MsgFlags};
use nix::sys::socket::{SockFlag, SockType};
use nix::unistd::Whence;
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;

/// A descriptor of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// What memfd_create(2) gave.
    Original,
    /// dup(2) of it.
    Dup,
    /// Opened through /proc with these flags, before the seal.
    Before(c_int),
    /// Opened through /proc with these flags, after the seal.
    After(c_int),
    /// Received by SCM_RIGHTS.
    Received,
    /// The same, while the queued message was the only descriptor left.
    Queued,
    /// The original one, while a second thread shares the table of descriptors: the kernel then
    /// takes a reference of the file for each call.
    Threaded,
    /// Inherited by a forked child, which acts.
    Forked,
    /// Inherited by a program that a child executes, which acts.
    Execed,
    /// Inherited by a forked child that gives up its rights, and acts.
    Strange(Stranger),
}
use Door::*;

/// All that may write, as far as the descriptor is asked.
pub const WRITERS: &[Door] = &[
    Original,
    Dup,
    Before(libc::O_RDWR),
    After(libc::O_RDWR),
    Before(libc::O_WRONLY),
    After(libc::O_WRONLY),
    After(libc::O_RDWR | libc::O_APPEND),
    After(libc::O_RDWR | libc::O_DIRECT),
    Received,
    Queued,
    Threaded,
    Forked,
    Execed,
];

/// All through which a writable shared mapping could be made.
pub const MAPPERS: &[Door] = &[
    Original,
    Dup,
    Before(libc::O_RDWR),
    After(libc::O_RDWR),
    After(libc::O_RDWR | libc::O_DIRECT),
    Received,
    Queued,
    Threaded,
    Forked,
    Execed,
];

/// Held by somebody who has no other right to the file.
pub const STRANGERS: &[Door] =
    &[Strange(Stranger::Nobody), Strange(Stranger::Namespaced), Strange(Stranger::Powerless)];

/// Those of them who are not the file's owner.
pub const FOREIGNERS: &[Door] = &[Strange(Stranger::Nobody), Strange(Stranger::Namespaced)];

/// Those that may read only.
pub const READERS: &[Door] = &[Before(libc::O_RDONLY), After(libc::O_RDONLY)];

/// Those that name a file and do not open it.
pub const PATHS: &[Door] = &[Before(libc::O_PATH), After(libc::O_PATH)];

impl Door {
    /// Its part of a test's name; empty for `Original`.
    pub fn suffix(self) -> String {
        match self {
            Original => String::new(),
            Dup => "dup".into(),
            Before(flags) => format!("before_{}", word(flags)),
            After(flags) => word(flags),
            Received => "received".into(),
            Queued => "queued".into(),
            Threaded => "threaded".into(),
            Forked => "forked".into(),
            Execed => "execed".into(),
            Strange(who) => who.word().into(),
        }
    }

    /// Whether it is opened O_DIRECT.
    pub fn is_direct(self) -> bool {
        matches!(self, Before(flags) | After(flags) if flags & libc::O_DIRECT != 0)
    }

    /// Whether files of this kind have it: hugetlbfs can't be opened O_DIRECT.
    pub fn fits(self, kind: Kind) -> bool {
        kind != Kind::Hugetlb || !self.is_direct()
    }
}

fn word(flags: c_int) -> String {
    let access = match flags & libc::O_ACCMODE {
        libc::O_WRONLY => "wronly",
        libc::O_RDWR => "rdwr",
        _ if flags & libc::O_PATH != 0 => "path",
        _ => "rdonly",
    };
    let more = [
        (libc::O_DIRECT, "_direct"),
        (libc::O_APPEND, "_append"),
        (libc::O_SYNC, "_sync"),
        (libc::O_DSYNC, "_dsync"),
    ];
    // O_SYNC has the bit of O_DSYNC.
    let dsync = |flag| flag == libc::O_DSYNC && flags & libc::O_SYNC == libc::O_SYNC;
    let more = more
        .iter()
        .filter(|(flag, _)| flags & flag == *flag && !dsync(*flag))
        .map(|(_, word)| *word);
    std::iter::once(access).chain(more).collect()
}

impl World {
    /// Opens what a row's door wants opened before there is a seal.
    pub(crate) fn open_early(mut self) -> Result<World, String> {
        if let Before(flags) = self.given.door {
            self.early = Some(self.reopen(flags).map_err(said("reopen"))?);
        }
        Ok(self)
    }

    /// From now on the file is acted on through the row's door.
    pub(crate) fn enter(mut self) -> Result<World, String> {
        let door = self.given.door;
        let fd = match door {
            Original | Threaded | Forked | Execed | Strange(_) => return Ok(self),
            Dup => self.fd.try_clone().map_err(|error| format!("dup: {error}"))?,
            Before(_) => self.early.take().ok_or("the setup made no file")?,
            After(flags) => self.reopen(flags).map_err(said("reopen"))?,
            Received | Queued => {
                let queue = send(&self.fd).map_err(said("SCM_RIGHTS"))?;
                if door == Queued {
                    let null = File::open("/dev/null").map_err(|e| e.to_string())?;
                    self.fd = null.into();
                }
                receive(&queue).map_err(said("SCM_RIGHTS"))?
            }
        };
        if let Before(flags) | After(flags) = door {
            if flags & (libc::O_PATH | libc::O_WRONLY) == 0 {
                sys::lseek(&fd, OFFSET, Whence::SeekSet).map_err(said("lseek"))?;
            }
        }
        let first = std::mem::replace(&mut self.fd, fd);
        self.kept.push(first);
        Ok(self)
    }
}

fn said(what: &'static str) -> impl Fn(Errno) -> String {
    move |errno| format!("{what}: {errno:?}")
}

/// Sends a descriptor to nobody yet: the socket that it can be received from.
fn send(fd: &OwnedFd) -> Sys<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (to, queue) = socket::socketpair(AddressFamily::Unix, SockType::Stream, None, flags)?;
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    socket::sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"f")], &rights, MsgFlags::empty(), None)?;
    Ok(queue)
}

fn receive(queue: &OwnedFd) -> Sys<OwnedFd> {
    sys::receive(queue, &mut [0])?.descriptors.pop().ok_or(Errno::EBADMSG)
}

/// Performs a row's operation, in another process if its door is one's.
pub fn perform(test: Test, world: &mut World) -> Got {
    match test.given.door {
        Threaded => std::thread::scope(|scope| {
            let (end, idle) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || idle.recv());
            let got = (test.case.op)(world);
            drop(end);
            got
        }),
        Forked => in_another(|| (test.case.op)(world)),
        Strange(who) => in_another(|| {
            who.enter();
            (test.case.op)(world)
        }),
        Execed => {
            // Without FD_CLOEXEC, the program has the very same descriptor.
            fcntl(&world.fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            let fd = world.fd.as_raw_fd().to_string();
            let out = Command::new("/proc/self/exe")
                .args([PERFORM, &test.name(), &fd])
                .output()
                .expect("/proc/self/exe");
            fcntl(&world.fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
            decode(&String::from_utf8_lossy(&out.stdout))
        }
        _ => (test.case.op)(world),
    }
}

/// The program's first argument when it is to perform one operation and say what it got.
pub const PERFORM: &str = "perform";

/// What a program that inherited a descriptor does: `perform TEST FD`. Errors: no such test.
pub fn performed(name: &str, fd: &str) -> Result<String, String> {
    let test = cases::all().into_iter().find(|test| test.name() == name).ok_or("no such test")?;
    let fd = fd.parse().map_err(|_| "no descriptor".to_owned())?;
    let mut world = World::inherited(test.given, sys::own(fd));
    Ok(encode((test.case.op)(&mut world)))
}
