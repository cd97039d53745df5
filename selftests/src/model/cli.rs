// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `memfd-seals model`: the model beside the running kernel, for who hunts.

use super::hunt::{Branch, Hunt, Tally};
use super::product::{self, Extent, KINDS};
use super::{sequences, walks};
use crate::child;
use crate::deviations::Table;
use crate::feature::{self, FS_WRITE};
use crate::kind::Kind;
use crate::need::{self, Probe};
use crate::select::Shard;
use crate::sys::{self, mfd, seal};
use clap::{Parser, ValueEnum};
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

/// Holds the kernel against the model of memfd seals: each state and operation, every short sequence of
/// operations, and long ones by chance. A disagreement is printed as the shortest sequence that shows it,
/// a C program.
#[derive(Parser)]
#[command(name = "memfd-seals model", after_help = EXIT_CODES)]
pub struct Cli {
    /// What to check [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// On these kinds of file [default: all that there are]
    #[arg(long, value_enum)]
    kind: Vec<Word>,
    /// All of the product, not each pair of values
    #[arg(long)]
    full: bool,
    /// Operations in a sequence
    #[arg(long, default_value = "3", value_parser = clap::value_parser!(u32).range(1..=6))]
    depth: u32,
    /// Walks on each kind of file
    #[arg(long, default_value_t = WALKS)]
    walks: u64,
    /// Operations in a walk at most, and half as many at least
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
    /// Seed of the first walk; each next one has the next seed
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Only part N of M parts: disjoint, together complete
    #[arg(long, value_name = "N/M")]
    shard: Option<Shard>,
    /// Processes at once [default: CPUs]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=256))]
    jobs: Option<u64>,
    /// Print each check, and make none
    #[arg(long)]
    list: bool,
    /// Leave F_SEAL_FS_WRITE out of sequences and walks
    #[arg(long)]
    without_seal: bool,
    /// Check F_SEAL_FS_WRITE also if probing does not find it
    #[arg(long)]
    require_seal: bool,
}

const EXIT_CODES: &str = "Exit codes: 0, the kernel agrees, or disagrees in what \
    selftests/deviations.toml explains; 1, it does not; 2, it can't be known.";

/// Walks, operations in each and the first seed, where nobody says otherwise.
pub const WALKS: u64 = 400;
pub const STEPS: usize = 40;
pub const SEED: u64 = 1;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Product,
    Sequences,
    Walks,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    Shmem,
    Thp,
    Noexec,
    Hugetlb,
}

/// The seals that the running kernel has: the oldest are everywhere, and one that is refused is a
/// disagreement; F_SEAL_FS_WRITE is told by its meaning, or must be there.
pub fn all_seals() -> u32 {
    let takes = |seal: u32| {
        let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING;
        sys::memfd_create("probe", flags).and_then(|fd| sys::add_seals(&fd, seal)).is_ok()
    };
    let exec = if takes(seal::EXEC) { seal::EXEC } else { 0 };
    let fs_write = if need::seal_missing().is_none() { seal::FS_WRITE } else { 0 };
    let oldest = seal::SEAL | seal::SHRINK | seal::GROW | seal::WRITE | seal::FUTURE_WRITE;
    oldest | exec | fs_write
}

/// What may explain a disagreement: features that are there, not ones that must be.
pub fn features() -> Vec<&'static str> {
    let there = |name: &&str| *name != FS_WRITE || need::probe_seal() == Probe::Present;
    feature::probed().into_iter().filter(there).collect()
}

impl Cli {
    /// Runs what is asked for; gives the exit code. Errors: the line to print.
    pub fn run(self) -> Result<u8, String> {
        need::require_seal(self.require_seal);
        let all_seals = all_seals();
        let (mut code, mut checked) = (0, self.list);
        for part in [Part::Product, Part::Sequences, Part::Walks] {
            for kind in
                KINDS.into_iter().filter(|_| self.parts.is_empty() || self.parts.contains(&part))
            {
                if !self.kind.is_empty() && !self.kind.iter().any(|word| *word == Word::of(kind)) {
                    continue;
                }
                if let (Some(why), false) = (need::kind_missing(kind), self.list) {
                    println(&format!("{:10} {:8} skipped: {why}", part.word(), kind.suffix()))?;
                } else if self.list {
                    self.print_list(part, kind, all_seals)?;
                } else {
                    let tally = self.checked(part, kind, all_seals)?;
                    checked |= tally.checks > 0;
                    code |= u8::from(tally.disagreements > 0);
                }
            }
        }
        if checked { Ok(code) } else { Err("nothing was checked".into()) }
    }

    /// What came of it, which is also printed.
    fn checked(&self, part: Part, kind: Kind, all_seals: u32) -> Result<Tally, String> {
        let started = Instant::now();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = self.jobs.map_or(cpus, |jobs| jobs as usize);
        let running: Vec<_> = (0..jobs)
            .map(|job| child::finding(FOR_EVER, move || self.job(part, kind, all_seals, job, jobs)))
            .collect();
        let mut tally = Tally::default();
        for job in running {
            let lines = job?.found()?;
            let text = lines.first().ok_or("a job without a word")?;
            tally.add(serde_json::from_str(text).map_err(|error| error.to_string())?);
        }
        let (seconds, line) = (started.elapsed().as_secs_f64(), tally.line());
        let rate = tally.checks as f64 / seconds;
        let head = format!("{:10} {:8}", part.word(), kind.suffix());
        println(&format!("{head} {line} ({seconds:.2} s, {rate:.0} checks/s)"))?;
        if let Some(first) = &tally.first {
            println(&format!("\n{first}"))?;
        }
        Ok(tally)
    }

    /// One process's part of it: a tally in JSON.
    fn job(
        &self,
        part: Part,
        kind: Kind,
        all_seals: u32,
        job: usize,
        jobs: usize,
    ) -> Result<Vec<String>, String> {
        let table = Table::own()?;
        let mut hunt = Hunt::new(all_seals, features(), &table)?;
        // Of the shard's branches, each job takes its turn.
        let mine = self.mine().enumerate().filter(|(turn, _)| turn % jobs == job);
        let mut mine = mine.map(|(_, at)| at).peekable();
        if part == Part::Walks {
            for walk in mine.take_while(|&at| (at as u64) < self.walks) {
                walks::walk(
                    &mut hunt,
                    kind,
                    !self.without_seal,
                    self.steps,
                    self.seed + walk as u64,
                )?;
            }
        } else {
            for (at, branch) in self.branches(part, kind, all_seals).enumerate() {
                if mine.next_if_eq(&at).is_some() {
                    hunt.branch(&branch)?;
                }
            }
        }
        Ok(vec![serde_json::to_string(&hunt.tally).map_err(|error| error.to_string())?])
    }

    /// The numbers of the branches and walks in this shard.
    fn mine(&self) -> impl Iterator<Item = usize> {
        let shard = self.shard;
        (0..).filter(move |&at| shard.is_none_or(|shard| shard.takes(at)))
    }

    fn branches(
        &self,
        part: Part,
        kind: Kind,
        all_seals: u32,
    ) -> Box<dyn Iterator<Item = Branch<'static>>> {
        let extent = if self.full { Extent::Full } else { Extent::Pairs };
        let without = self.without_seal;
        let sets = product::SEALS.filter(move |set| set & !all_seals == 0);
        match part {
            Part::Product => Box::new(product::branches(kind, sets, all_seals, extent)),
            _ => {
                let plain = sequences::branches(kind, self.depth, false);
                let sealed = sequences::branches(kind, self.depth, true);
                Box::new(plain.chain(sealed.filter(move |_| !without)))
            }
        }
    }

    fn print_list(&self, part: Part, kind: Kind, all_seals: u32) -> Result<(), String> {
        let mut mine = self.mine().peekable();
        let mut out = std::io::BufWriter::new(stdout().lock());
        let mut line = |text: &str| writeln!(out, "{} {}: {text}", part.word(), kind.suffix());
        let unwritten = |error: std::io::Error| format!("stdout: {error}");
        if part == Part::Walks {
            for walk in mine.take_while(|&at| (at as u64) < self.walks) {
                line(&format!("seed {}", self.seed + walk as u64)).map_err(unwritten)?;
            }
            return Ok(());
        }
        for (at, branch) in self.branches(part, kind, all_seals).enumerate() {
            if mine.next_if_eq(&at).is_none() {
                continue;
            }
            for op in branch.checks(all_seals).into_iter().flat_map(|(_, last)| last) {
                line(&format!("{:?} then {op:?}", branch.prefix)).map_err(unwritten)?;
            }
        }
        out.flush().map_err(unwritten)
    }
}

/// No limit: who hunts stops when it is enough.
const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Part {
    fn word(self) -> &'static str {
        match self {
            Part::Product => "product",
            Part::Sequences => "sequences",
            Part::Walks => "walks",
        }
    }
}

impl Word {
    fn of(kind: Kind) -> Word {
        match kind {
            Kind::Thp => Word::Thp,
            Kind::Noexec => Word::Noexec,
            Kind::Hugetlb => Word::Hugetlb,
            Kind::Shmem | Kind::Own => Word::Shmem,
        }
    }
}

fn println(text: &str) -> Result<(), String> {
    crate::cli::say(&mut stdout(), &format!("{text}\n"))
}
