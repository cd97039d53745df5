// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A receiver that tries every way to write, resize or replace what it was sent.

use super::tries::{TRIES, Try};
use super::{Store, await_word, content, receivers, tell};
use crate::case::{Check, Given};
use crate::child::{meets, said, words};
use crate::kind::Kind;
use crate::need::Need;
use crate::region::{self, Guarantee, Unsealed, receive_and_verify};
use crate::sys::{self, Ended, Map, seal};
use crate::world::{World, same};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Pid, Uid, setgroups, setresgid, setresuid};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// Who the receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// The sender's user.
    SameUid,
    /// Another user.
    OtherUid,
    /// The sender's user, in a user namespace of its own, with all capabilities there.
    OtherNamespace,
}

/// Of a user who owns nothing.
const NOBODY: u32 = 65534;

impl Viewer {
    fn become_it(self) -> sys::Sys<()> {
        match self {
            Viewer::SameUid => {}
            Viewer::OtherUid => {
                let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
                setgroups(&[])?;
                setresgid(gid, gid, gid)?;
                setresuid(uid, uid, uid)?;
            }
            Viewer::OtherNamespace => unshare(CloneFlags::CLONE_NEWUSER)?,
        }
        // Both are lost with the credentials; without the first it can't open its own /proc files.
        nix::sys::prctl::set_dumpable(true)?;
        sys::die_with_parent();
        Ok(())
    }

    /// Why nobody can be it; none if it can be had.
    pub fn missing(self) -> Option<String> {
        let what = match self {
            Viewer::SameUid => return None,
            Viewer::OtherUid => "can't become another user",
            Viewer::OtherNamespace => "can't have a user namespace",
        };
        match sys::in_child(|| self.become_it().err().map_or(0, |errno| errno as i32)) {
            Ok(Ended::Exit(0)) => None,
            Ok(Ended::Exit(errno)) => Some(format!("{what} ({:?})", Errno::from_raw(errno))),
            other => Some(format!("{what} ({other:?})")),
        }
    }
}

/// How the region is sealed that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// As well as the kernel can.
    Best,
    /// In this way.
    As(Guarantee),
    /// With F_SEAL_FS_WRITE and F_SEAL_SEAL, and not the two that the former implies.
    FsWriteAlone,
    /// Not at all.
    None,
}

/// What a receiver can find out, or guess, of the sender.
pub struct Sender {
    pub pid: Pid,
    /// Its descriptor of the region.
    pub fd: RawFd,
}

/// Hands a region to a hostile receiver, who tries what needs `need`, and to an honest one, who must
/// find all as the sender wrote it, and what it writes afterwards.
pub fn tries(viewer: Viewer, sealing: Sealing, need: Option<Need>) -> Check {
    let column = match sealing {
        Sealing::Best => Column::Sealed(Guarantee::best().expect("a probe")),
        Sealing::As(guarantee) => Column::Sealed(guarantee),
        Sealing::FsWriteAlone => Column::Sealed(Guarantee::FsWrite),
        Sealing::None => Column::Unsealed,
    };
    let mine = TRIES.iter().filter(|it| it.needs == need && it.by.contains(&viewer));
    let mine = mine.filter(|it| it.and.and_then(Need::missing).is_none());
    let mine: Vec<&Try> = mine.collect();
    assert!(!mine.is_empty());
    let (pid, size) = (nix::unistd::getpid(), 2 * Kind::Shmem.page());
    // An honest receiver would refuse a region that is not sealed.
    let count = if column == Column::Unsealed { 1 } else { 2 };
    let (mut children, ends) = receivers(count, |number, socket| match number {
        0 => be_hostile(viewer, pid, socket, &mine, column),
        _ => be_honest(socket, size),
    });
    let (window, fd) = make(sealing, size);
    fill(&*window, size, 1);
    for end in &ends {
        region::send(end, &[fd.as_raw_fd()], size as u64).expect("send");
    }
    tell(&ends[0], fd.as_raw_fd() as u64)?;
    let hostile = children.remove(0).succeeds();
    let Some((honest, end)) = children.pop().zip(ends.get(1)) else { return hostile };
    let asked = tell(end, 1).and_then(|()| {
        await_word(end)?;
        fill(&*window, size, 2);
        tell(end, 2)
    });
    hostile.and(honest.succeeds()).and(asked)
}

/// Which expectation of a try counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Sealed(Guarantee),
    Unsealed,
}

fn make(sealing: Sealing, size: usize) -> (Box<dyn Store>, Box<dyn AsRawFd>) {
    let region = || Unsealed::create("hostile", size).expect("a region");
    let sealed = |region: Unsealed, guarantee| -> (Box<dyn Store>, Box<dyn AsRawFd>) {
        let window = region.map().expect("a mapping");
        (Box::new(window), Box::new(region.seal_as(guarantee).expect("F_ADD_SEALS")))
    };
    match sealing {
        Sealing::Best => sealed(region(), Guarantee::best().expect("a probe")),
        Sealing::As(guarantee) => sealed(region(), guarantee),
        Sealing::FsWriteAlone | Sealing::None => {
            let fd = region::memfd_create_region("hostile", size).expect("a region");
            let window = Map::new(size, sys::RW, libc::MAP_SHARED, &fd, 0).expect("a mapping");
            if sealing == Sealing::FsWriteAlone {
                sys::add_seals(&fd, seal::FS_WRITE | seal::SEAL).expect("F_ADD_SEALS");
            }
            (Box::new(window), Box::new(fd))
        }
    }
}

/// All of the region, so that it has no hole that a receiver could fill.
fn fill(window: &dyn Store, size: usize, round: u64) {
    (0..size / 8).for_each(|word| window.store(word, content(round, word)));
}

fn be_hostile(
    viewer: Viewer,
    pid: Pid,
    socket: UnixStream,
    tries: &[&Try],
    column: Column,
) -> Check {
    viewer.become_it().expect("probed");
    let mut got = sys::receive(&socket, &mut [0; 8]).expect("a region");
    let sender = Sender { pid, fd: await_word(&socket)? as RawFd };
    let mut world = World::inherited(Given::of(Kind::Shmem), got.descriptors.remove(0));
    let mut complaints = Vec::new();
    for it in tries {
        world.remember()?;
        let result = (it.op)(&mut world, &sender);
        let expect = match column {
            Column::Sealed(Guarantee::FsWrite) => it.fs_write,
            Column::Sealed(Guarantee::FutureWriteShrinkGrow) => it.older,
            Column::Unsealed => it.unsealed,
        };
        if !meets(expect, result) {
            let (expect, result) = (words(expect), said(result));
            complaints.push(format!("{}: expected {expect}, got {result}", it.name));
        }
        match column {
            Column::Sealed(_) => {
                if let Err(what) = world.unchanged() {
                    complaints.push(format!("{}: {what}", it.name));
                }
            }
            // It may have another size now, which the next one should not find.
            Column::Unsealed => drop(world.ftruncate(world.size)),
        }
        (world.new, world.kept) = (None, Vec::new());
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
}

fn be_honest(socket: UnixStream, size: usize) -> Check {
    let view = receive_and_verify(&socket, size).map_err(|refused| refused.to_string())?;
    for _ in 0..2 {
        let round = await_word(&socket)?;
        same("size", size as i64, size_of_file(&view)?)?;
        for word in 0..size / 8 {
            let what = format!("word {word}, round {round}");
            same(&what, content(round, word), view.load(word))?;
        }
        if round == 1 {
            tell(&socket, round)?;
        }
    }
    Ok(())
}

fn size_of_file(view: &impl std::os::fd::AsFd) -> Result<i64, String> {
    sys::fstat(&view.as_fd()).map(|stat| stat.st_size).map_err(|errno| errno.to_string())
}
