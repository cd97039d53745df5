// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What other suites check about memfd seals, what none did, and the rows here that check it.
//!
//! `coverage/` has the tables as data; `cargo run --example coverage` prints COVERAGE.md.

use crate::cases;
use glob::Pattern;
use std::collections::BTreeSet;
use std::fmt::Write;

mod firsts;
mod others;
mod suites;

/// One thing to be checked, and the rows that do.
pub struct Covered {
    /// Operation and state.
    pub what: &'static str,
    /// The exact outcome.
    pub expected: &'static str,
    /// The suites that look at it, by the letters of `suites`; empty if none was seen to.
    pub by: &'static str,
    /// Rows as `area::case`; `*` stands for any text.
    pub rows: &'static [&'static str],
}

/// The tables with their headings.
const TABLES: &[(&str, &[Covered])] = &[
    ("What other suites check", others::TABLE),
    ("What none was seen to check", firsts::TABLE),
    ("memfd_test, call by call", suites::MEMFD_TEST),
];

/// `area::case` of every row.
fn rows() -> BTreeSet<String> {
    cases::all().iter().map(|test| format!("{}::{}", test.area, test.case.name)).collect()
}

/// The rows that a pattern means; none if it means nothing.
fn meant<'a>(pattern: &str, rows: &'a BTreeSet<String>) -> Vec<&'a str> {
    let pattern = Pattern::new(pattern).expect("a pattern");
    let fits = |row: &&String| pattern.matches(row);
    rows.iter().filter(fits).map(String::as_str).collect()
}

/// Patterns that mean no row, and things that no row checks.
pub fn gaps() -> Vec<String> {
    let rows = rows();
    let mut gaps = Vec::new();
    for covered in TABLES.iter().flat_map(|(_, table)| *table) {
        if covered.rows.is_empty() {
            gaps.push(format!("{}: no row", covered.what));
        }
        let empty = covered.rows.iter().filter(|pattern| meant(pattern, &rows).is_empty());
        gaps.extend(empty.map(|pattern| format!("{}: no row is {pattern}", covered.what)));
    }
    gaps
}

/// Calls of memfd_test's `main` that are listed.
pub fn memfd_test_calls() -> usize {
    suites::MEMFD_TEST.len()
}

/// COVERAGE.md.
pub fn page() -> String {
    let (rows, tests) = (rows(), cases::all());
    let mut page = String::from(
        "<!-- Made by `cargo run -q -p memfd-seals --example coverage`; a test holds it current. -->\n\
         # What is covered\n\n",
    );
    let count = (tests.len(), rows.len());
    let _ = writeln!(
        page,
        "{} tests of {} rows. A row is `area::case`; `--list` says what each checks,",
        count.0, count.1
    );
    let _ = writeln!(page, "and `*` stands for any text.\n\n{}", suites::LEGEND);
    for (heading, table) in TABLES {
        let _ = writeln!(
            page,
            "\n## {heading}\n\n| what | expected | by | rows | tests |\n|---|---|---|---|---|"
        );
        for Covered { what, expected, by, rows: patterns } in *table {
            let names: BTreeSet<&str> =
                patterns.iter().flat_map(|pattern| meant(pattern, &rows)).collect();
            let count = tests
                .iter()
                .filter(|test| names.contains(&*format!("{}::{}", test.area, test.case.name)))
                .count();
            let patterns: Vec<_> = patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
            let patterns = patterns.join(" ");
            let _ = writeln!(page, "| {what} | {expected} | {by} | {patterns} | {count} |");
        }
    }
    page
}
