// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! An operation, over and over, on one CPU, while F_ADD_SEALS is called on another: what must hold, and
//! how the two met. The rows are in `cases/racing*.rs`, the threads in `race/ground.rs`.
//!
//! Each round has a file of its own. One thread repeats the operation; the other seals, says so, looks at
//! the file, and looks again when the round is over.

mod ground;
mod tally;

use crate::case::{Got, Stop};
use crate::kind::Kind;
use crate::sys::{self, Map, RO, Sys, mfd, seal};
use crate::world::aligned;
use libc::{MAP_SHARED, c_int};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::OnceLock;

/// Rounds of a race, where nobody says otherwise.
pub const ROUNDS: u32 = 10_000;

static ASKED: OnceLock<u32> = OnceLock::new();

/// Says once how many rounds each race has.
pub fn set_rounds(rounds: u32) {
    let _ = ASKED.set(rounds);
}

/// The rounds of each race.
pub fn rounds() -> u32 {
    *ASKED.get().unwrap_or(&ROUNDS)
}

/// A race, beside its operation.
#[derive(Clone, Copy)]
pub struct Race {
    /// Size of each round's file, pages.
    pub pages: usize,
    /// Whether its first bytes are `FILL`, or on hugetlbfs its pages there; else it is a hole.
    pub filled: bool,
    /// How it is mapped, shared, before the seal.
    pub map: Mapped,
    /// Seals that it has from the beginning.
    pub before: u32,
    /// What F_ADD_SEALS gives.
    pub seal: Seals,
    /// Whether the operation is refused once the file is sealed.
    pub refused: bool,
    /// What stays as it is once F_ADD_SEALS has returned; its size always does.
    pub keeps: Keeps,
    /// The byte that an allowed turn leaves in all of the file.
    pub leaves: Option<fn(usize) -> u8>,
    /// The file's size after so many turns that were allowed, pages.
    pub size: Option<fn(usize) -> usize>,
    /// What the file has of memory then, pages.
    pub memory: Option<fn(usize) -> usize>,
    /// The seals that this turn adds, if it is allowed.
    pub adds: fn(usize) -> u32,
    /// Turns of a round at most. At the last the operation waits for the seal if that refuses it.
    pub turns: usize,
}

/// The usual one.
pub const RACE: Race = Race {
    pages: 2,
    filled: false,
    map: Mapped::Not,
    before: 0,
    seal: Seals::Succeeds,
    refused: true,
    keeps: Keeps::All,
    leaves: None,
    size: None,
    memory: None,
    adds: |_| 0,
    turns: 60,
};

/// How a round's file is mapped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mapped {
    Not,
    /// Of an O_RDWR descriptor.
    ByWriter(c_int),
    /// Read-only, of an O_RDONLY descriptor: F_SEAL_WRITE does not mind it.
    ByReader,
}

/// What F_ADD_SEALS gives, whatever the other thread is at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seals {
    /// 0.
    Succeeds,
    /// EBUSY while the file is mapped, and at last 0.
    InTheEnd,
    /// EPERM while a live update preserves the file, and at last 0.
    OnceLetGo,
    /// 0; and F_SEAL_WRITE is EBUSY as long as the file is mapped, and then 0.
    ButForWrite,
    /// 0; and F_SEAL_WRITE, which waits for pages that somebody is at, is 0 too in the end.
    ThenWrite,
}

/// What stays as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The size only: a mapping from before the seal is written to.
    Size,
    /// The size, and what the sealer stores through the mapping from before.
    Marks,
    /// The size and the contents.
    Contents,
    /// The size, the contents and the blocks.
    All,
}

/// What a fresh file is filled with.
pub const FILL: u8 = b'#';
/// What the sealer stores, where no turn does.
const MARK: u8 = b'!';
/// Where, in each page.
const MARK_AT: usize = 64;
/// How much of a file is filled and compared, bytes: four small pages.
pub fn filled() -> usize {
    4 * Kind::Shmem.page()
}

/// F_SEAL_WRITE waits for pages that other CPUs have just used: asked for in every round of so many.
const PATIENT: usize = 100;

/// The byte of a turn.
pub fn letter(turn: usize) -> u8 {
    b'a' + (turn % 26) as u8
}

/// A round's file.
pub struct Round {
    pub fd: OwnedFd,
    /// Size of a page of its kind, bytes.
    pub page: usize,
    /// Size when made, bytes.
    pub size: usize,
    old: Option<Map>,
}

impl Round {
    /// The mapping from before the seal.
    pub fn old(&self) -> &Map {
        self.old.as_ref().expect("the row's race maps")
    }

    /// For raw calls.
    pub fn raw(&self) -> usize {
        self.fd.as_raw_fd() as usize
    }
}

/// What one turn did.
pub type Turn = Result<Took, Halt>;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    Allowed,
    Refused,
}

/// Why a race ends before its last round.
#[derive(Debug, PartialEq, Eq)]
pub enum Halt {
    /// The kernel did what must not be.
    Wrong(String),
    /// Nothing is known of the kernel.
    Broken(String),
}

impl From<String> for Halt {
    fn from(what: String) -> Halt {
        Halt::Wrong(what)
    }
}

impl Halt {
    fn broken(what: &str) -> impl Fn(Errno) -> Halt {
        move |errno| Halt::Broken(format!("{what}: {errno:?}"))
    }
}

/// What must not fail, but for want of memory or the like.
pub fn must(what: &str) -> impl Fn(Errno) -> Halt {
    move |errno| {
        let line = format!("{what}: {errno:?}");
        match errno {
            Errno::ENOMEM | Errno::EAGAIN | Errno::EMFILE | Errno::ENFILE => Halt::Broken(line),
            _ => Halt::Wrong(line),
        }
    }
}

/// A call that must give this value, or fail with this errno.
pub fn took(got: Got, value: usize, errno: Errno) -> Turn {
    match got {
        Ok(other) if other == value as i64 => Ok(Took::Allowed),
        Ok(other) => Err(Halt::Wrong(format!("neither {value} nor {errno:?}: {other}"))),
        Err(Stop::Errno(other)) => made(Err(other), errno),
        Err(other) => Err(Halt::Wrong(format!("neither {value} nor {errno:?}: {other:?}"))),
    }
}

/// What must be there, or fail with this errno.
pub fn made(got: Sys<()>, errno: Errno) -> Turn {
    match got {
        Ok(()) => Ok(Took::Allowed),
        Err(other) if other == errno => Ok(Took::Refused),
        Err(other) => Err(must(&format!("neither success nor {errno:?}"))(other)),
    }
}

/// How the file looks from outside.
struct Looks {
    size: usize,
    /// Bytes.
    memory: usize,
    contents: Vec<u8>,
}

impl Race {
    /// A fresh file. What it is filled with is written by this thread: F_SEAL_WRITE would wait for
    /// what another CPU has just got.
    fn file(&self, kind: Kind) -> Sys<Round> {
        let (page, size) = (kind.page(), self.pages * kind.page());
        let fd = sys::memfd_create("race", mfd::CLOEXEC | mfd::ALLOW_SEALING | kind.flags())?;
        sys::call(libc::SYS_ftruncate, [fd.as_raw_fd() as usize, size, 0, 0, 0, 0])?;
        if self.filled && kind == Kind::Hugetlb {
            // It has no write(2).
            sys::fallocate(&fd, 0, 0, size as i64)?;
        } else if self.filled {
            sys::pwrite(&fd, &vec![FILL; size.min(filled())], 0)?;
        }
        if self.before != 0 {
            sys::add_seals(&fd, self.before)?;
        }
        let old = match (self.map, kind) {
            (Mapped::Not, _) => None,
            (Mapped::ByWriter(prot), Kind::Thp) => Some(aligned(&fd, size, page, prot)?),
            (Mapped::ByWriter(prot), _) => Some(Map::new(size, prot, MAP_SHARED, &fd, 0)?),
            (Mapped::ByReader, _) => Some(read_only(&fd, size, page)?),
        };
        Ok(Round { fd, page, size, old })
    }

    fn look(&self, fd: &OwnedFd) -> Sys<Looks> {
        let stat = sys::fstat(fd)?;
        let (size, memory) = (stat.st_size as usize, stat.st_blocks as usize * 512);
        let mut contents = Vec::new();
        if matches!(self.keeps, Keeps::Contents | Keeps::All) {
            contents.resize(size.min(filled()), 0);
            sys::pread(fd, &mut contents, 0)?;
        }
        Ok(Looks { size, memory, contents })
    }

    /// What the file was once it was sealed, it stays; and of each turn there is all or nothing.
    fn judge(
        &self,
        page: usize,
        first: &Looks,
        last: &Looks,
        allowed: usize,
    ) -> Result<(), String> {
        let stays = |what: &str, first: usize, last: usize| match first == last {
            true => Ok(()),
            false => {
                Err(format!("once F_ADD_SEALS had returned, {what} went from {first} to {last}"))
            }
        };
        stays("the size", first.size, last.size)?;
        if self.keeps == Keeps::All {
            stays("what it has of memory", first.memory, last.memory)?;
        }
        let mut bytes = first.contents.iter().zip(&last.contents);
        if let Some(at) = bytes.position(|(first, last)| first != last) {
            stays(&format!("byte {at}"), first.contents[at].into(), last.contents[at].into())?;
        }
        let is = |what: &str, is: usize, wanted: Option<fn(usize) -> usize>| match wanted {
            Some(wanted) if is != wanted(allowed) * page => Err(format!(
                "{what} is {is} bytes, not {}, which {allowed} turns that were allowed make",
                wanted(allowed) * page
            )),
            _ => Ok(()),
        };
        is("the size", last.size, self.size)?;
        is("what it has of memory", last.memory, self.memory)?;
        let Some(leaves) = self.leaves else { return Ok(()) };
        let byte = allowed.checked_sub(1).map_or(FILL, leaves);
        match last.contents.iter().position(|&other| other != byte) {
            None => Ok(()),
            Some(at) => Err(format!(
                "a turn that is neither wholly there nor wholly not: byte {at} is {:#x}, not {byte:#x}",
                last.contents[at]
            )),
        }
    }

    /// The file has these seals, and those that its turns added.
    fn judge_seals(&self, fd: &OwnedFd, added: u32, allowed: usize) -> Result<(), Halt> {
        let seals = sys::get_seals(fd).map_err(Halt::broken("F_GET_SEALS"))? as u32;
        let wanted = (0..allowed).fold(added | self.before, |all, turn| all | (self.adds)(turn));
        match seals == wanted {
            true => Ok(()),
            false => Err(Halt::Wrong(format!("seals {seals:#x}, not {wanted:#x}"))),
        }
    }

    /// Adds the row's seals. `patient`: and waits for F_SEAL_WRITE, where that comes after it.
    fn add_seals(&self, fd: &OwnedFd, seals: u32, patient: bool) -> Result<(), Halt> {
        let held = match self.seal {
            Seals::InTheEnd => Some(Errno::EBUSY),
            Seals::OnceLetGo => Some(Errno::EPERM),
            _ => None,
        };
        until_free(fd, seals, held)?;
        match self.seal {
            Seals::ButForWrite => (0..3).try_for_each(|_| is_busy(fd)),
            Seals::ThenWrite if patient => until_free(fd, seal::WRITE, Some(Errno::EBUSY)),
            _ => Ok(()),
        }
    }

    /// What F_SEAL_WRITE gives at a round's end, where the file stayed mapped: EBUSY, and 0 once it is
    /// not mapped any more.
    fn count_mappings(&self, round: Round, patient: bool) -> Result<(), Halt> {
        if self.seal != Seals::ButForWrite {
            return Ok(());
        }
        let Round { fd, old, .. } = round;
        is_busy(&fd)?;
        drop(old);
        if patient { until_free(&fd, seal::WRITE, None) } else { Ok(()) }
    }

    /// The sealer's stores through the mapping from before.
    fn mark(&self, round: &Round) {
        if self.keeps == Keeps::Marks {
            (0..self.pages).for_each(|page| round.old().store(page * round.page + MARK_AT, MARK));
        }
    }

    fn judge_marks(&self, round: &Round) -> Result<(), Halt> {
        let pages = if self.keeps == Keeps::Marks { self.pages } else { 0 };
        match (0..pages).find(|page| round.old().load(page * round.page + MARK_AT) != MARK) {
            None => Ok(()),
            Some(page) => Err(Halt::Wrong(format!(
                "what was stored in page {page} once F_ADD_SEALS had returned is gone"
            ))),
        }
    }
}

/// Adds the seals, over and over as long as that fails with `held`.
fn until_free(fd: &OwnedFd, seals: u32, held: Option<Errno>) -> Result<(), Halt> {
    loop {
        match sys::add_seals(fd, seals) {
            Ok(_) => return Ok(()),
            Err(errno) if Some(errno) == held => std::thread::yield_now(),
            Err(errno) => return Err(must(&format!("F_ADD_SEALS {seals:#x}"))(errno)),
        }
    }
}

fn is_busy(fd: &OwnedFd) -> Result<(), Halt> {
    match sys::add_seals(fd, seal::WRITE) {
        Err(Errno::EBUSY) => Ok(()),
        got => Err(Halt::Wrong(format!("F_SEAL_WRITE of a file that is mapped: {got:?}"))),
    }
}

/// A mapping of all of it by a descriptor that can't write.
fn read_only(fd: &OwnedFd, size: usize, page: usize) -> Sys<Map> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let reader = nix::fcntl::open(
        path.as_str(),
        nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    let map = aligned(&reader, size, page, RO)?;
    // What this CPU has just got waits in a list of its own, and can't leave memory; this empties it.
    map.advise(0, size, libc::MADV_COLD)?;
    Ok(map)
}
