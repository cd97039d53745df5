// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The two threads of a race, and what they tell each other.

use super::tally::{Phase, Tally, When};
use super::{Halt, PATIENT, ROUNDS, Race, Round, Seals, Took, Turn, rounds};
use crate::case::Got;
use crate::child::{counts, say, wrong};
use crate::sys;
use crate::world::World;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{RwLock, RwLockReadGuard};
use std::time::Duration;

/// What both threads see.
struct Ground {
    file: RwLock<Option<Round>>,
    /// The round that is on.
    round: AtomicUsize,
    phase: AtomicUsize,
    /// Turns begun in this round.
    begun: AtomicUsize,
    /// What a turn takes, in `sys::ticks`: of the last ones, the latest most.
    takes: AtomicU64,
    /// The last round that the other thread has done with.
    done: AtomicUsize,
    over: AtomicBool,
    /// Whether both threads are on the same one.
    one_cpu: bool,
}

/// How the other thread's part of a round went.
#[derive(Default)]
struct Part {
    tally: Tally,
    /// Turns up to the last that was allowed.
    allowed: usize,
}

/// Tells the other thread that this one is gone, however it went.
struct Gone<'a>(&'a Ground);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, SeqCst);
        self.0.done.store(usize::MAX, SeqCst);
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
        let cpus = cpus().unwrap_or_else(|errno| panic!("sched_getaffinity: {errno:?}"));
        let ground = Ground::new(cpus.len() < 2);
        let (tell, told) = sync_channel(1);
        let mut tally = Tally::default();
        let outcome = std::thread::scope(|scope| {
            let ground = &ground;
            let cpu = cpus.get(1).copied();
            let other = scope.spawn(move || {
                let _gone = Gone(ground);
                pin_to(cpu);
                match make() {
                    Err(why) => drop(tell.send(Err(Halt::Broken(why)))),
                    Ok(mut act) => self.acts(ground, &mut act, &tell),
                }
            });
            let gone = Gone(ground);
            pin_to(cpus.first().copied());
            let outcome = self.seals(f, ground, &told, &mut tally);
            drop(gone);
            match other.join() {
                Ok(()) => outcome,
                Err(panic) => Err(Halt::Broken(match panic.downcast_ref::<String>() {
                    Some(words) => words.clone(),
                    None => "a panic in the operation's thread".into(),
                })),
            }
        });
        counts(tally.rounds);
        say(&tally.line());
        match outcome {
            Err(Halt::Wrong(why)) => wrong(format!("round {}: {why}", tally.rounds + 1)),
            Err(Halt::Broken(why)) => panic!("round {}: {why}", tally.rounds + 1),
            Ok(()) => {}
        }
        // Where neither ever found the other at work, nothing is known of what must hold then.
        // A turn that waits behind F_ADD_SEALS is refused; but there is not always one to wait.
        if let Some(missing) = tally.missing(self.refused && self.turns > 2) {
            let line = format!("it never interleaved: {missing}");
            assert!(cpus.len() < 2 || rounds() < ROUNDS, "{line}, in {}", tally.line());
            say(&line);
        }
        Ok(0)
    }

    /// All rounds, in the thread of the operation.
    fn acts(
        &self,
        ground: &Ground,
        act: &mut impl FnMut(&Round, usize) -> Turn,
        tell: &SyncSender<Result<Part, Halt>>,
    ) {
        for number in 1.. {
            ground.wait(|| ground.round.load(SeqCst) == number || ground.is_over());
            if ground.is_over() {
                return;
            }
            let part = self.act(ground, act);
            let failed = part.is_err();
            let _ = tell.send(part);
            ground.done.store(number, SeqCst);
            if failed {
                return;
            }
        }
    }

    /// Its part of a round: turns until one that began after the seal.
    fn act(
        &self,
        ground: &Ground,
        act: &mut impl FnMut(&Round, usize) -> Turn,
    ) -> Result<Part, Halt> {
        let file = ground.file();
        let file = file.as_ref().expect("a round has a file");
        let (mut part, mut refused) = (Part::default(), false);
        for turn in 0..self.turns {
            ground.begun.store(turn + 1, SeqCst);
            if self.refused && turn + 1 == self.turns {
                ground.wait(|| ground.phase() == Phase::Sealed || ground.is_over());
            }
            let (begun, began) = (ground.phase(), sys::ticks());
            let took = act(file, turn)?;
            ground.measure(sys::ticks().saturating_sub(began));
            let when = When::of(begun, ground.phase());
            part.tally.count(when, took);
            if took == Took::Allowed {
                part.allowed = turn + 1;
            }
            let what = match (when, took) {
                (When::Before, Took::Refused) => "was refused before the seal",
                (When::After, Took::Allowed) if self.refused => {
                    "began after F_ADD_SEALS had returned, and was allowed"
                }
                // F_SEAL_WRITE that comes to EBUSY is seen for a while.
                (_, Took::Allowed) if refused && self.seal != Seals::InTheEnd => {
                    "was allowed, and one before it refused"
                }
                (When::After, _) => break,
                _ => {
                    refused |= took == Took::Refused;
                    continue;
                }
            };
            return Err(Halt::Wrong(format!("turn {turn} {what}")));
        }
        Ok(part)
    }

    /// All rounds, in the sealer's thread.
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

    fn seal(
        &self,
        f: &World,
        ground: &Ground,
        number: usize,
        dice: &mut Dice,
        told: &Receiver<Result<Part, Halt>>,
    ) -> Result<Tally, Halt> {
        let (patient, seals) = (number % PATIENT == 0, f.given.seals);
        ground.begin(number, self.file(f.given.kind).map_err(Halt::broken("a file"))?);
        let is_done = || ground.done.load(SeqCst) >= number;
        // Not the last one, which waits for the seal if that refuses it.
        let turns = 1 + dice.below((self.turns - usize::from(self.refused)).min(3));
        ground.wait(|| ground.begun.load(SeqCst) >= turns || is_done());
        // At any moment of a turn, and a little later.
        let wait = dice.below(ground.takes.load(SeqCst) as usize * 5 / 4 + 1);
        let began = sys::ticks();
        while sys::ticks().saturating_sub(began) < wait as u64 {}
        let file = ground.file();
        let round = file.as_ref().expect("a round has a file");
        ground.enter(Phase::Sealing);
        let sealed = self.add_seals(&round.fd, seals, patient);
        ground.enter(Phase::Sealed);
        self.mark(round);
        let first = self.look(&round.fd).map_err(Halt::broken("looking at the file"))?;
        ground.wait(is_done);
        let part = told.try_recv();
        let part = part.map_err(|_| Halt::Broken("the other thread is gone".into()))?;
        let part = both(sealed, part)?;
        let last = self.look(&round.fd).map_err(Halt::broken("looking at the file"))?;
        self.judge(round.page, &first, &last, part.allowed)?;
        self.judge_marks(round)?;
        let write = if self.seal == Seals::ThenWrite && patient { sys::seal::WRITE } else { 0 };
        self.judge_seals(&round.fd, seals | write, part.allowed)?;
        drop(file);
        self.count_mappings(ground.end(), patient)?;
        Ok(part.tally)
    }
}

impl Ground {
    fn new(one_cpu: bool) -> Ground {
        let zero = || AtomicUsize::new(0);
        let (round, phase, begun, done) = (zero(), zero(), zero(), zero());
        let (takes, over) = (AtomicU64::new(0), AtomicBool::new(false));
        Ground { file: RwLock::new(None), round, phase, begun, takes, done, over, one_cpu }
    }

    /// The round begins with this file.
    fn begin(&self, number: usize, file: Round) {
        *self.file.write().expect("no thread panics with it") = Some(file);
        self.enter(Phase::Open);
        self.begun.store(0, SeqCst);
        self.round.store(number, SeqCst);
    }

    /// And is over.
    fn end(&self) -> Round {
        let file = self.file.write().expect("no thread panics with it").take();
        file.expect("a round has a file")
    }

    fn file(&self) -> RwLockReadGuard<'_, Option<Round>> {
        self.file.read().expect("no thread panics with it")
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, SeqCst);
    }

    fn phase(&self) -> Phase {
        match self.phase.load(SeqCst) {
            0 => Phase::Open,
            1 => Phase::Sealing,
            _ => Phase::Sealed,
        }
    }

    /// Takes note of what a turn took; one that was interrupted counts for no more than four.
    fn measure(&self, took: u64) {
        let before = self.takes.load(SeqCst);
        let took = if before == 0 { took } else { took.min(4 * before) };
        self.takes.store((7 * before + took).div_ceil(8), SeqCst);
    }

    /// Waits awake, as who sleeps is late; but not for long: the other thread's CPU may be one of a
    /// guest's, and this one's in its way on a busy host.
    fn wait(&self, holds: impl Fn() -> bool) {
        for turn in 1u32.. {
            if holds() {
                return;
            }
            match turn {
                _ if self.one_cpu => std::thread::yield_now(),
                ..AWAKE => std::hint::spin_loop(),
                _ => std::thread::sleep(NAP),
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }
}

/// Where both have failed, either may be why the other has.
fn both(sealed: Result<(), Halt>, part: Result<Part, Halt>) -> Result<Part, Halt> {
    match (sealed, part) {
        (Ok(()), part) => part,
        (Err(Halt::Wrong(sealer)), Err(Halt::Wrong(other))) => {
            Err(Halt::Wrong(format!("{sealer}; and {other}")))
        }
        (Err(halt), Ok(_)) | (Err(halt @ Halt::Broken(_)), _) | (_, Err(halt)) => Err(halt),
    }
}

/// Looks; they take longer than a round does on a machine that has nothing else to do.
const AWAKE: u32 = 20_000;
const NAP: Duration = Duration::from_micros(50);

/// The CPUs that this process may run on.
fn cpus() -> Result<Vec<usize>, nix::errno::Errno> {
    let ours = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&cpu| ours.is_set(cpu) == Ok(true)).collect())
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
