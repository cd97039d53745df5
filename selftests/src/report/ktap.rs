// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A run as Documentation/dev-tools/ktap.rst has it, and as the kernel's
//! `tools/testing/kunit/kunit.py parse` reads it. Decides nothing.
//!
//! One flat list: each planned test in order, and last a test named `verdict`, which is ok only if
//! the run's verdict is pass. So a panic, a hang or a splat beside tests that are all green is a
//! failure here too, and so is a file that was cut.
//!
//! | the test | its line |
//! |---|---|
//! | passed, as predicted | `ok N name` |
//! | skipped, as predicted | `ok N name # SKIP reason` |
//! | failed, as predicted | `ok N name # XFAIL reason` |
//! | passed or failed otherwise than predicted | `not ok N name` |
//! | timed out | `not ok N name # TIMEOUT` |
//! | in error, missing, not planned, or skipped after all | `not ok N name # ERROR what` |
//! | `verdict`, if the run is no pass | `not ok N verdict # class: cause` |
//!
//! XFAIL goes with `ok`, as kselftest.h's ksft_test_result_xfail() has it, and because kunit.py
//! knows no XFAIL and falls back to the first word. A SKIP that nobody predicted is written as an
//! ERROR: kunit.py counts `not ok` with SKIP as skipped, which is green.
//!
//! What the guest said stands on lines of its own before the result: `# why: `, `# output: `.

use super::text::{lines, one_line};
use super::{Ending, Mark, Row};
use std::fmt::Write;

/// kunit.py stops reading where it finds one of these on any line.
const STOPS: [&str; 3] =
    ["List of all partitions:", "Kernel panic - not syncing: VFS:", "reboot: System halted"];

/// The file's text.
pub fn ktap(ending: Ending, rows: &[Row]) -> String {
    let mut text = format!("KTAP version 1\n1..{}\n", rows.len() + 1);
    for (at, row) in rows.iter().enumerate() {
        let mark = row.mark();
        if !matches!(mark, Mark::Passed | Mark::Skipped) {
            diagnostic(&mut text, "result", &row.words());
            diagnostic(&mut text, "why", &row.why);
        }
        row.output.iter().for_each(|line| diagnostic(&mut text, "output", line));
        let (ok, directive) = match mark {
            Mark::Passed => (true, String::new()),
            Mark::Skipped => (true, format!("SKIP {}", one_line(&row.why))),
            Mark::KnownToFail => (true, format!("XFAIL {}", one_line(known(row)))),
            Mark::Failed => (false, String::new()),
            Mark::TimedOut => (false, "TIMEOUT".to_owned()),
            Mark::Error => (false, format!("ERROR {}", row.words())),
        };
        result(&mut text, ok, at + 1, &row.name, &directive);
    }
    let directive = match ending {
        Ending::Pass => String::new(),
        other => format!("{}: {}", other.word(), one_line(other.cause())),
    };
    result(&mut text, ending == Ending::Pass, rows.len() + 1, "verdict", &directive);
    text
}

/// Why it fails as predicted, else what it said.
fn known(row: &Row) -> &str {
    if row.reason.is_empty() { &row.why } else { &row.reason }
}

/// A label of ours after the hash, so that no text of the guest's can make a `# Subtest:` line.
fn diagnostic(text: &mut String, label: &str, said: &str) {
    for line in lines(said) {
        let _ = writeln!(text, "# {label}: {}", unstopped(&line));
    }
}

fn result(text: &mut String, ok: bool, number: usize, name: &str, directive: &str) {
    let ok = if ok { "ok" } else { "not ok" };
    let line = format!("{ok} {number} {}", one_field(name));
    let directive = one_field(directive);
    let hash = if directive.is_empty() { "" } else { " # " };
    let _ = writeln!(text, "{}", unstopped(&format!("{line}{hash}{directive}")));
}

/// In a result line a hash begins the directive, and a second one could begin another.
fn one_field(text: &str) -> String {
    one_line(text).replace('#', "_").trim().to_owned()
}

/// With a space before the colon of what would stop kunit.py.
fn unstopped(line: &str) -> String {
    STOPS.iter().fold(line.to_owned(), |line, stop| {
        let at = stop.rfind(':').unwrap_or(stop.len());
        line.replace(stop, &format!("{} {}", &stop[..at], &stop[at..]))
    })
}
