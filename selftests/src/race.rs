// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! An operation, over and over, on one CPU, while F_ADD_SEALS is called on another: what must hold, and
//! how the two met. The rows are in `cases/racing*.rs`.
//!
//! Each round has a file of its own. One thread repeats the operation; the other seals, says so, looks at
//! the file, and looks again when the round is over.

use crate::case::{Got, Stop};
use crate::child::{counts, say, wrong};
use crate::kind::Kind;
use crate::sys::{self, Map, Sys, mfd, seal};
use crate::tally::{Tally, When};
use crate::world::{World, aligned};
use libc::c_int;
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{OnceLock, RwLock};

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
    /// Whether its bytes are `FILL`; else it is a hole.
    pub filled: bool,
    /// How it is mapped, shared, before the seal.
    pub map: Option<c_int>,
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
    /// The seals that these first turns add, if they are allowed.
    pub adds: fn(usize) -> u32,
    /// Turns of a round at most. At the last the operation waits for the seal if that refuses it.
    pub turns: usize,
    /// The longest wait before the seal, as a power of two of turns of an empty loop.
    pub longest: usize,
}

/// The usual one.
pub const RACE: Race = Race {
    pages: 2,
    filled: false,
    map: None,
    before: 0,
    seal: Seals::Succeeds,
    refused: true,
    keeps: Keeps::All,
    leaves: None,
    adds: |_| 0,
    turns: 60,
    longest: 12,
};

/// What F_ADD_SEALS gives, whatever the other thread is at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seals {
    /// 0.
    Succeeds,
    /// EBUSY while the file is mapped, and at last 0.
    InTheEnd,
    /// 0; and F_SEAL_WRITE is EBUSY each time, as the file stays mapped throughout.
    ButForWrite,
}

/// What stays as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// The size only: a mapping from before the seal is written to.
    Size,
    /// The size and the contents.
    Contents,
    /// The size, the contents and the blocks.
    All,
}

/// What a fresh file is filled with.
pub const FILL: u8 = b'#';

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
    /// Its mapping from before the seal.
    pub old: Option<Map>,
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

/// What one turn did. Errors: what must not be.
pub type Turn = Result<Took, String>;

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    Allowed,
    Refused,
}

/// A call that must give this value, or fail with this errno.
pub fn took(got: Got, value: usize, errno: Errno) -> Turn {
    match got {
        Ok(other) if other == value as i64 => Ok(Took::Allowed),
        Err(Stop::Errno(other)) if other == errno => Ok(Took::Refused),
        other => Err(format!("neither {value} nor {errno:?}: {other:?}")),
    }
}

/// How the file looks from outside.
struct Looks {
    size: i64,
    blocks: i64,
    contents: Vec<u8>,
}

/// How far a round is.
const OPEN: usize = 0;
const SEALING: usize = 1;
const SEALED: usize = 2;

/// What both threads see.
struct Ground {
    file: RwLock<Option<Round>>,
    /// The round that is on.
    round: AtomicUsize,
    phase: AtomicUsize,
    /// Turns begun in this round.
    begun: AtomicUsize,
    /// The last round that the other thread has done with.
    done: AtomicUsize,
    over: AtomicBool,
}

/// How the other thread's part of a round went.
#[derive(Default)]
struct Part {
    tally: Tally,
    /// Turns up to the last that was allowed.
    allowed: usize,
}

/// Why a race ends before its last round.
enum Halt {
    /// The kernel did what must not be.
    Wrong(String),
    /// Nothing is known of the kernel.
    Broken(String),
}

impl Halt {
    fn broken(what: &str) -> impl Fn(Errno) -> Halt {
        move |errno| Halt::Broken(format!("{what}: {errno:?}"))
    }
}

/// Whoever waits for a thread that is gone would wait for ever.
struct Gone<'a>(&'a AtomicUsize);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, SeqCst);
    }
}

impl Race {
    /// Runs it: the operation that `make` gives, against the row's seals. `make` is called in the thread
    /// in which the operation then is.
    pub fn run<A: FnMut(&Round, usize) -> Turn>(
        &self,
        f: &World,
        make: impl FnOnce() -> Result<A, String> + Send,
    ) -> Got {
        let ground = Ground::new();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let cpus = cpus();
        let mut tally = Tally::default();
        let outcome = std::thread::scope(|scope| {
            let ground = &ground;
            let cpu = cpus.get(1).copied();
            scope.spawn(move || {
                let _gone = Gone(&ground.done);
                pin_to(cpu);
                match make() {
                    Err(why) => drop(tell.send(Err(Halt::Broken(why)))),
                    Ok(mut act) => self.acts(ground, &mut act, &tell),
                }
            });
            pin_to(cpus.first().copied());
            let outcome = self.seals(f, ground, &told, &mut tally);
            ground.over.store(true, SeqCst);
            outcome
        });
        counts(tally.rounds);
        say(&tally.line());
        match outcome {
            Err(Halt::Wrong(why)) => wrong(format!("round {}: {why}", tally.rounds + 1)),
            Err(Halt::Broken(why)) => panic!("round {}: {why}", tally.rounds + 1),
            Ok(()) => {}
        }
        // Where neither ever found the other at work, nothing is known of what must hold then.
        match tally.missing(self.refused) {
            Some(missing) if cpus.len() > 1 && rounds() >= ROUNDS => {
                panic!("it never interleaved: {missing}, in {}", tally.line())
            }
            _ => Ok(0),
        }
    }

    /// All rounds, in the thread of the operation.
    fn acts(
        &self,
        ground: &Ground,
        act: &mut impl FnMut(&Round, usize) -> Turn,
        tell: &SyncSender<Result<Part, Halt>>,
    ) {
        for number in 1.. {
            await_that(|| ground.round.load(SeqCst) == number || ground.is_over());
            if ground.is_over() {
                return;
            }
            let part = self.act(ground, act).map_err(Halt::Wrong);
            let failed = part.is_err();
            let _ = tell.send(part);
            ground.done.store(number, SeqCst);
            if failed {
                return;
            }
        }
    }

    /// All rounds, in the sealer's.
    fn seals(
        &self,
        f: &World,
        ground: &Ground,
        told: &Receiver<Result<Part, Halt>>,
        tally: &mut Tally,
    ) -> Result<(), Halt> {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for number in 1..=rounds() as usize {
            tally.add(&self.seal(f, ground, number, &mut dice, told)?);
        }
        Ok(())
    }

    /// The other thread's part of a round: turns until one that began after the seal.
    fn act(
        &self,
        ground: &Ground,
        act: &mut impl FnMut(&Round, usize) -> Turn,
    ) -> Result<Part, String> {
        let file = ground.file.read().expect("no thread panics with it");
        let file = file.as_ref().expect("a round has a file");
        let mut part = Part::default();
        for turn in 0..self.turns {
            if self.refused && turn + 1 == self.turns {
                await_that(|| ground.phase.load(SeqCst) == SEALED || ground.is_over());
            }
            let begun = ground.phase.load(SeqCst);
            ground.begun.store(turn + 1, SeqCst);
            let took = act(file, turn)?;
            let when = match (begun, ground.phase.load(SeqCst)) {
                (OPEN, OPEN) => When::Before,
                (SEALED, _) => When::After,
                _ => When::During,
            };
            part.tally.count(when, took);
            match (when, took) {
                (When::Before, Took::Refused) => {
                    return Err(format!("turn {turn} was refused before the seal"));
                }
                (When::After, Took::Allowed) if self.refused => {
                    return Err(format!(
                        "turn {turn} began after F_ADD_SEALS had returned, and was allowed"
                    ));
                }
                _ => {}
            }
            if took == Took::Allowed {
                part.allowed = turn + 1;
            }
            if when == When::After {
                break;
            }
        }
        Ok(part)
    }

    /// A round, in the sealer's thread.
    fn seal(
        &self,
        f: &World,
        ground: &Ground,
        number: usize,
        dice: &mut Dice,
        told: &Receiver<Result<Part, Halt>>,
    ) -> Result<Tally, Halt> {
        let file = self.file(f.given.kind).map_err(Halt::broken("a file"))?;
        let fd = nix::unistd::dup(&file.fd).map_err(Halt::broken("dup"))?;
        ground.begin(number, file);
        let is_done = || ground.done.load(SeqCst) >= number;
        let turns = 1 + dice.below(self.turns.min(3));
        await_that(|| ground.begun.load(SeqCst) >= turns || is_done());
        // From none at all to longer than the operation, each order of length as likely.
        let longest = 1 << dice.below(self.longest + 1);
        (0..dice.below(longest)).for_each(|turn| {
            std::hint::black_box(turn);
        });
        ground.phase.store(SEALING, SeqCst);
        let sealed = self.add_seals(&fd, f.given.seals);
        ground.phase.store(SEALED, SeqCst);
        let first = self.look(&fd).map_err(Halt::broken("looking at the file"))?;
        await_that(is_done);
        let part = told.try_recv();
        let part = part.map_err(|_| Halt::Broken("the other thread is gone".into()))??;
        let last = self.look(&fd).map_err(Halt::broken("looking at the file"))?;
        let seals = sys::get_seals(&fd).map_err(Halt::broken("F_GET_SEALS"))? as u32;
        sealed
            .and_then(|()| self.judge(&first, &last, part.allowed))
            .and_then(|()| self.judge_seals(f, seals, part.allowed))
            .map_err(Halt::Wrong)?;
        Ok(part.tally)
    }

    /// What the file was once it was sealed, it stays; and of each turn there is all or nothing.
    fn judge(&self, first: &Looks, last: &Looks, allowed: usize) -> Result<(), String> {
        let stays = |what: &str, first: i64, last: i64| match first == last {
            true => Ok(()),
            false => {
                Err(format!("once F_ADD_SEALS had returned, {what} went from {first} to {last}"))
            }
        };
        stays("the size", first.size, last.size)?;
        if self.keeps == Keeps::All {
            stays("st_blocks", first.blocks, last.blocks)?;
        }
        let mut bytes = first.contents.iter().zip(&last.contents);
        if let Some(at) = bytes.position(|(first, last)| first != last) {
            stays(&format!("byte {at}"), first.contents[at].into(), last.contents[at].into())?;
        }
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

    fn judge_seals(&self, f: &World, seals: u32, allowed: usize) -> Result<(), String> {
        let added = (0..allowed).fold(f.given.seals, |all, turn| all | (self.adds)(turn));
        let wanted = added | self.before | f.given.kind.seals();
        if seals == wanted { Ok(()) } else { Err(format!("seals {seals:#x}, not {wanted:#x}")) }
    }

    fn add_seals(&self, fd: &OwnedFd, seals: u32) -> Result<(), String> {
        loop {
            match sys::add_seals(fd, seals) {
                Ok(_) => break,
                Err(Errno::EBUSY) if self.seal == Seals::InTheEnd => std::thread::yield_now(),
                Err(errno) => return Err(format!("F_ADD_SEALS: {errno:?}")),
            }
        }
        for _ in 0..if self.seal == Seals::ButForWrite { 3 } else { 0 } {
            let got = sys::add_seals(fd, seal::WRITE);
            if got != Err(Errno::EBUSY) {
                return Err(format!("F_SEAL_WRITE of a mapped file: {got:?}"));
            }
        }
        Ok(())
    }

    /// A fresh file. What it is filled with is written by this thread: F_SEAL_WRITE would wait for
    /// what another CPU has just got.
    fn file(&self, kind: Kind) -> Sys<Round> {
        let (page, size) = (kind.page(), self.pages * kind.page());
        let fd = sys::memfd_create("race", mfd::CLOEXEC | mfd::ALLOW_SEALING | kind.flags())?;
        sys::call(libc::SYS_ftruncate, [fd.as_raw_fd() as usize, size, 0, 0, 0, 0])?;
        if self.filled {
            nix::sys::uio::pwrite(&fd, &vec![FILL; size], 0)?;
        }
        if self.before != 0 {
            sys::add_seals(&fd, self.before)?;
        }
        let old = match (self.map, kind) {
            (None, _) => None,
            (Some(_), Kind::Thp) => Some(aligned(&fd, size, page)?),
            (Some(prot), _) => Some(Map::new(size, prot, libc::MAP_SHARED, &fd, 0)?),
        };
        Ok(Round { fd, page, size, old })
    }

    fn look(&self, fd: &OwnedFd) -> Sys<Looks> {
        let stat = nix::sys::stat::fstat(fd)?;
        let mut contents = Vec::new();
        if self.keeps != Keeps::Size {
            contents.resize((stat.st_size as usize).min(MOST_BYTES), 0);
            nix::sys::uio::pread(fd, &mut contents, 0)?;
        }
        Ok(Looks { size: stat.st_size, blocks: stat.st_blocks, contents })
    }
}

/// How much of a file's contents is compared, bytes.
const MOST_BYTES: usize = 16 << 10;

impl Ground {
    fn new() -> Ground {
        let (round, phase) = (AtomicUsize::new(0), AtomicUsize::new(OPEN));
        let (begun, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ground { file: RwLock::new(None), round, phase, begun, done, over: AtomicBool::new(false) }
    }

    /// The round begins with this file; the last one's is gone.
    fn begin(&self, number: usize, file: Round) {
        *self.file.write().expect("no thread panics with it") = Some(file);
        self.phase.store(OPEN, SeqCst);
        self.begun.store(0, SeqCst);
        self.round.store(number, SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

/// Waits without sleep: who sleeps is late.
fn await_that(holds: impl Fn() -> bool) {
    for turn in 1u32.. {
        if holds() {
            return;
        }
        // On one CPU the other thread would not get to it.
        if turn % 256 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}

/// The CPUs that this process may run on.
fn cpus() -> Vec<usize> {
    let ours = sched_getaffinity(Pid::from_raw(0)).unwrap_or_default();
    (0..CpuSet::count()).filter(|&cpu| ours.is_set(cpu) == Ok(true)).collect()
}

/// Keeps the thread on this CPU, so that the two are not on the same one.
fn pin_to(cpu: Option<usize>) {
    let mut one = CpuSet::new();
    if cpu.is_some_and(|cpu| one.set(cpu).is_ok()) {
        let _ = sched_setaffinity(Pid::from_raw(0), &one);
    }
}

/// Numbers by chance, the same in each run (xorshift64).
struct Dice(u64);

impl Dice {
    /// One of 0..n.
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n.max(1)
    }
}
