// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The suite's command line, and a run by it from the first check to the last word.

use crate::bless::bless;
use crate::deviations::{Row as Deviation, Table};
use crate::feature::FEATURES;
use crate::predict::Facts;
use crate::report::files::{Files, replace};
use crate::report::json::About;
use crate::report::text::shell_word;
use crate::report::{Ending, Mark, Row, area_lines};
use crate::run::{self, Known};
use crate::select::{self, Due, Shard};
use crate::{compare, fault, init, need, race};
use clap::{CommandFactory, FromArgMatches, Parser};
use libtest_mimic::{Arguments, FormatSetting};
use std::fs::File;
use std::io::{Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Every way a run by hand can end.
const EXIT_CODES: &str = "Exit codes: 0, every test came out as known or was skipped; 1, some did not; \
    2, there is no verdict: a bad command line, a table of deviations that is not in order, or a file \
    that can't be written.";

/// Conformance suite for memfd seals. Instead of it, `memfd-seals replay` runs the program of the
/// mail that proposed F_SEAL_FS_WRITE, `memfd-seals compare` shows what that seal adds, and
/// `memfd-seals cursor-window` measures rows a second through a sealed region and an unsealed one.
#[derive(Parser)]
#[command(name = "memfd-seals", version, help_template = TEMPLATE, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    libtest: Arguments,
    /// Run only part N of M parts: disjoint, together complete, of equal size but for one test
    #[arg(long, value_name = "N/M")]
    shard: Option<Shard>,
    /// Run all of it K times
    #[arg(long, value_name = "K", default_value = "1", conflicts_with = "events")]
    repeat: NonZeroUsize,
    /// Known deviations beside those of selftests/deviations.toml, in the same shape
    #[arg(long, value_name = "FILE")]
    known: Vec<PathBuf>,
    /// Add a row for each unexpected result to this file of --known; each still needs its reason
    #[arg(long, value_name = "FILE")]
    bless: Option<PathBuf>,
    #[command(flatten)]
    files: Files,
    /// Write the event stream (JSON lines) to this file or port
    #[arg(long, value_name = "PATH")]
    events: Option<PathBuf>,
    /// Word to echo in the event stream's first line
    #[arg(long, default_value = "")]
    nonce: String,
    /// Run what needs F_SEAL_FS_WRITE, also if probing does not find it
    #[arg(long)]
    require_seal: bool,
    /// Time limit of one test, in seconds [default: 20; as /init, ten times what the boot took]
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
    /// Rounds of each race
    #[arg(long, value_name = "K", default_value_t = race::ROUNDS)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Repeat each test with every allocation of its operation failing in turn (fault injection)
    #[arg(long)]
    fail_allocations: bool,
    /// Run no further test once one came out otherwise than known
    #[arg(long)]
    fail_fast: bool,
    /// Before the end, print what kmemleak finds on the console
    #[arg(long)]
    scan_leaks: bool,
    /// Before the end, print what gcov counted in the kernel on the console
    #[arg(long)]
    gcov: bool,
    /// Before the end, tell the event stream what the kernel guarantees under each seal
    #[arg(long)]
    guarantees: bool,
    /// As /init, how to end the machine
    #[arg(long, value_enum, default_value = "power-off")]
    end: init::End,
}

const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}";

impl Cli {
    /// The process's own. Errors: the line to print, or help and version, which are no errors.
    pub fn read() -> Result<Cli, clap::Error> {
        let threads = "Number of tests run at once, each in a child of its own [default: 2]";
        let command = Cli::command()
            .disable_version_flag(false)
            .mut_arg("test_threads", |arg| arg.value_name("N").help(threads))
            .mut_arg("list", |arg| arg.help("List the names of all tests, and what each checks"));
        Cli::from_arg_matches(&command.try_get_matches()?)
    }

    /// How /init ends the machine.
    pub fn end(&self) -> init::End {
        self.end
    }

    /// Lists or runs; gives the exit code. Errors: the line to print.
    pub fn run(self) -> Result<u8, String> {
        let plan = select::plan(&self.libtest, self.shard, self.repeat.get())?;
        if self.libtest.list {
            say(&mut stdout(), &select::list(&plan))?;
            return Ok(0);
        }
        if self.libtest.test_threads == Some(0) {
            return Err("--test-threads 0: give 1 or more".into());
        }
        if let Some(file) = &self.libtest.logfile {
            File::create(file).map_err(|error| format!("{file}: {error}"))?;
        }
        let table = self.table()?;
        self.prepare()?;
        if !init::is_init() {
            need::least()?;
        }
        // A report on stdout is alone there.
        let mut report = if self.files.take_stdout()? { Some(init::leave_stdout()?) } else { None };
        let rows: Vec<Row> = plan.iter().map(planned).collect();
        self.files.begin(&rows)?;
        let facts = Facts::probed();
        let rows = self.judged(plan, Known { facts: facts.clone(), table })?;
        let wrong = rows.iter().filter(|row| row.is_wrong()).count();
        let cause = format!("{wrong} of {} tests came out otherwise than known", rows.len());
        let ending = if wrong == 0 { Ending::Pass } else { Ending::Fail { cause: &cause } };
        let mut about = About { release: release(), ..About::default() };
        about.features =
            FEATURES.iter().map(|f| (f.name, facts.features.contains(&f.name))).collect();
        if !init::is_init() {
            let guarantees = compare::guarantees();
            if self.is_for_people() {
                say(&mut stdout(), &self.summary(&rows, &facts, &guarantees))?;
            }
            about.guarantees = guarantees;
        }
        let report = report.as_mut().map(|file| file as &mut dyn Write);
        self.files.end(ending, &about, &rows, report)?;
        if let Some(file) = &self.bless {
            self.blessed(file, &rows, &facts)?;
        }
        Ok(u8::from(ending != Ending::Pass))
    }

    /// All tables, the file that is to be blessed among them.
    fn table(&self) -> Result<Table, String> {
        let there = self.bless.iter().filter(|file| file.exists() && !self.known.contains(file));
        self.known.iter().chain(there).try_fold(Table::own()?, |table, file| table.with(file))
    }

    fn prepare(&self) -> Result<(), String> {
        if init::is_init() {
            init::mount_all()?;
            init::silence_stdout();
            if self.fail_allocations || self.scan_leaks || self.gcov {
                init::mount_debugfs()?;
            }
        }
        if self.fail_allocations {
            fault::enable(Path::new(init::DEBUGFS))?;
        }
        need::require_seal(self.require_seal);
        race::set_rounds(self.rounds);
        Ok(())
    }

    fn judged(&self, plan: Vec<Due>, known: Known) -> Result<Vec<Row>, String> {
        let events = self.events.as_deref().map(init::open_events).transpose()?;
        let limit = self.limit.map_or_else(init::limit, Duration::from_secs);
        let (scan, gcov, nonce) = (self.scan_leaks, self.gcov, self.nonce.clone());
        run::run(run::Options {
            libtest: self.libtest.clone(),
            plan,
            known,
            again: self.again(),
            events,
            nonce: nonce.clone(),
            limit,
            guarantees: self.guarantees,
            fail_fast: self.fail_fast,
            last: Box::new(move || init::finish(scan, gcov, &nonce)),
        })
    }

    /// The command that runs one test as here, up to its name.
    fn again(&self) -> String {
        let by_cargo = std::env::var("CARGO_PKG_NAME").is_ok_and(|name| name == "memfd-seals");
        let own = std::env::args_os()
            .next()
            .map_or("memfd-seals".into(), |word| word.to_string_lossy().into_owned());
        let mut words = match by_cargo {
            true => vec!["cargo run --release -p memfd-seals --".to_owned()],
            false => vec![shell_word(&own)],
        };
        let flags =
            [(self.require_seal, "--require-seal"), (self.fail_allocations, "--fail-allocations")];
        words.extend(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_string()));
        words.extend(self.limit.map(|seconds| format!("--limit {seconds}")));
        let known = self.known.iter().map(|file| shell_word(&file.to_string_lossy()));
        words.extend(known.map(|file| format!("--known {file}")));
        format!("{} --exact ", words.join(" "))
    }

    /// Whether the words on stdout are for people, and all of them.
    fn is_for_people(&self) -> bool {
        !self.libtest.quiet && matches!(self.libtest.format, None | Some(FormatSetting::Pretty))
    }

    /// What stands below the tests. Who asked for some of them does not want a table of all seals.
    fn summary(&self, rows: &[Row], facts: &Facts, guarantees: &compare::Guarantees) -> String {
        let mut text = area_lines(rows).join("\n") + "\n";
        let asked = &self.libtest;
        if asked.filter.is_none() && asked.skip.is_empty() && self.shard.is_none() {
            let there = |there: bool| {
                let mut names = FEATURES.iter().map(|feature| feature.name);
                let names: Vec<_> =
                    names.by_ref().filter(|name| facts.features.contains(name) == there).collect();
                if names.is_empty() { "none".into() } else { names.join(", ") }
            };
            text += &format!("\nWhat this kernel ({}) guarantees under each seal:\n\n", release());
            text += &match &guarantees.shmem {
                Some(grid) => grid.narrow(),
                None => format!("not known: {}\n", guarantees.why),
            };
            text += "\n-: no such seal. EBUSY: the seal is refused as long as there is such a mapping.\n";
            text += &format!("features: {}; lacking: {}\n", there(true), there(false));
        }
        let of = |marks: &[Mark]| rows.iter().filter(|row| marks.contains(&row.mark())).count();
        let (passed, known, skipped) =
            (of(&[Mark::Passed]), of(&[Mark::KnownToFail]), of(&[Mark::Skipped]));
        let wrong = rows.len() - passed - known - skipped;
        text + &format!(
            "\n{passed} passed, {wrong} not as known, {known} known to fail, {skipped} skipped\n"
        )
    }

    /// Writes the rows that `--bless` asks for, and says what there is to do.
    fn blessed(&self, file: &Path, rows: &[Row], facts: &Facts) -> Result<(), String> {
        let table = if file.exists() { Table::default().with(file)? } else { Table::default() };
        let known = |test: &str| -> Option<&Deviation> { table.find(test, &facts.features, &[]) };
        let seen = format!("seen on {}, which has {}", release(), facts.features.join(", "));
        let blessing = bless(rows, &seen, known);
        let name = file.display();
        blessing.notes.iter().for_each(|note| eprintln!("memfd-seals: not blessed: {note}"));
        if blessing.rows > 0 {
            let before = if file.exists() {
                std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?
            } else {
                String::new()
            };
            replace(file, (before + &blessing.text).as_bytes())?;
            let (rows, whose) = match blessing.rows {
                1 => ("1 row".to_owned(), "its"),
                n => (format!("{n} rows"), "each one's"),
            };
            eprintln!("memfd-seals: {rows} added to {name}: write {whose} reason");
        }
        Ok(())
    }
}

/// The row of a test that has not run.
fn planned(due: &Due) -> Row {
    Row {
        name: due.name.clone(),
        predicted: None,
        reason: String::new(),
        outcome: None,
        ms: 0,
        why: String::new(),
        output: Vec::new(),
        checks: 0,
    }
}

fn release() -> String {
    let uname = nix::sys::utsname::uname();
    uname.map_or(String::new(), |uname| uname.release().to_string_lossy().into_owned())
}

/// Errors: the line to print.
pub fn say(out: &mut dyn Write, text: &str) -> Result<(), String> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| format!("stdout: {error}"))
}
