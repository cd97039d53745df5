// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `make selftest`: breaks the runner on purpose, and holds each breakage's end against the one
//! that is stated: its class, its exit code, its cause, and the time that it may take.
//!
//! The rows are in the files of their groups; `row.rs` has their shape. The runner is the real
//! program, run as a person would run it.

mod accelerators;
mod edits;
mod fake;
mod guests;
mod host;
mod lab;
mod parser;
mod ran;
mod refusals;
mod results;
mod row;

use lab::Lab;
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use row::Row;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "as-qemu") {
        return fake::main(&rows(), &args[1..]);
    }
    match run(Arguments::from_args()) {
        Ok(conclusion) => conclusion.exit_code(),
        Err(line) => {
            eprintln!("selftest: {line}");
            ExitCode::from(2)
        }
    }
}

/// All rows, quick groups first.
fn rows() -> Vec<&'static Row> {
    [
        refusals::ROWS,
        results::ROWS,
        accelerators::ROWS,
        guests::ROWS,
        host::ROWS,
        host::SIGNALS,
        parser::ROWS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn run(mut arguments: Arguments) -> Result<Conclusion, String> {
    let start = Instant::now();
    let idle = |row: &&Row| !arguments.is_filtered_out(&Trial::test(row.name, || Ok(())));
    let chosen: Vec<&Row> = rows().into_iter().filter(idle).collect();
    if arguments.list {
        chosen.iter().for_each(|row| println!("{:34} {}", row.name, row.about));
        return Ok(libtest_mimic::run(&Arguments { quiet: true, ..arguments }, Vec::new()));
    }
    if chosen.is_empty() {
        return Err("no row has such a name; --list lists them".into());
    }
    let lab = Arc::new(Lab::open()?);
    lab.prepare(&chosen.iter().map(|row| row.on).collect::<Vec<_>>())?;
    let ready = start.elapsed().as_secs_f64();
    // Rows wait for each other's cache lock anyway; their lines take the place of libtest's own.
    arguments.test_threads = Some(1);
    arguments.logfile = Some(lab.path.join("log").to_string_lossy().into_owned());
    let trials = rows().into_iter().map(|row| trial(row, lab.clone())).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let all = start.elapsed().as_secs_f64();
    println!(
        "{} of {} rows ended as stated; {ready:.0} s to get ready, {:.0} s for the rows",
        conclusion.num_passed,
        conclusion.num_passed + conclusion.num_failed,
        all - ready
    );
    Ok(conclusion)
}

fn trial(row: &'static Row, lab: Arc<Lab>) -> Trial {
    Trial::test(row.name, move || match (row.by)(&lab, row) {
        Ok(words) => {
            println!("ok   {:34} {words}", row.name);
            Ok(())
        }
        Err(why) => {
            println!("FAIL {:34} {why}", row.name);
            println!("     {:34} {}: {}", "", row.about, lab.folder(row).display());
            Err(Failed::from(why))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use qemu_test::class::Class;
    use std::collections::HashSet;

    #[test]
    fn rows_are_whole() {
        let mut names = HashSet::new();
        for row in rows() {
            assert!(names.insert(row.name), "{} stands twice", row.name);
            assert!(!row.about.is_empty() && row.name.contains("::"), "{}", row.name);
            if row.class.is_empty() {
                continue;
            }
            let class = Class::ALL.iter().find(|class| class.word() == row.class);
            let class = class.unwrap_or_else(|| panic!("{}: no class {}", row.name, row.class));
            assert_eq!(row.cause.is_empty(), *class == Class::Pass, "{}: its cause", row.name);
        }
    }
}
