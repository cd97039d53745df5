// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What must hold of the cases as data.

use memfd_seals::case::{Deviation, Expect, Test};
use memfd_seals::cases;
use memfd_seals::deviations::Table;
use memfd_seals::events::Outcome;
use memfd_seals::predict::Kernel;
use std::collections::BTreeSet;

/// Numbers of the rules of SEMANTICS.md, from its table.
fn rules() -> BTreeSet<u8> {
    let text = include_str!("../../SEMANTICS.md");
    let first = |line: &str| line.strip_prefix("| ")?.split(" |").next()?.parse().ok();
    text.lines().filter_map(first).collect()
}

#[test]
fn every_rule_has_a_case_and_every_case_a_rule_that_exists() {
    let checked: BTreeSet<u8> =
        cases::all().iter().flat_map(|test| test.case.rules).copied().collect();
    assert_eq!(rules(), checked);
    assert_eq!(rules().len(), 30);
}

#[test]
fn names_are_unique_and_descriptions_are_there() {
    let tests = cases::all();
    let names: BTreeSet<String> = tests.iter().map(|test| test.name()).collect();
    assert_eq!(names.len(), tests.len());
    for test in &tests {
        assert!(!test.case.about.is_empty(), "{} has no about", test.name());
        assert!(!test.case.about.ends_with('.'), "{}: about is no sentence", test.name());
    }
}

#[test]
fn every_deviation_has_a_reason() {
    for test in cases::all() {
        let reason = match test.case.hollow {
            Deviation::None => continue,
            Deviation::Fails(reason) | Deviation::Passes(reason) => reason,
            Deviation::FailsOn(_, reason) => reason,
        };
        assert!(reason.len() > 10, "{}: no reason", test.name());
    }
}

fn predictions(kernel: Kernel) -> impl Iterator<Item = (Test, Outcome)> {
    let (table, facts) = (Table::own().unwrap(), kernel.facts(Vec::new()));
    cases::all().into_iter().map(move |test| (test, facts.predict(&table, &test).outcome))
}

#[test]
fn a_patched_kernel_passes_all() {
    assert!(predictions(Kernel::Sealed).all(|(_, outcome)| outcome == Outcome::Pass));
}

/// The proof that the cases can fail: on a kernel that takes the seal and enforces nothing, each
/// refusal fails unless its row says what else refuses it.
#[test]
fn hollow_fails_every_refusal() {
    for (test, outcome) in predictions(Kernel::Hollow) {
        let ours = test.needs_seal();
        if ours && matches!(test.case.expect, Expect::Fails(_)) {
            let excused = matches!(test.case.hollow, Deviation::Passes(_));
            assert_eq!(outcome == Outcome::Pass, excused, "{}", test.name());
        }
    }
}

#[test]
fn stock_skips_what_needs_the_seal_and_nothing_else() {
    for (test, outcome) in predictions(Kernel::Stock) {
        let ours = test.needs_seal();
        assert_eq!(outcome == Outcome::Skip, ours, "{}", test.name());
    }
}

#[test]
fn the_cover_letter_has_the_table_of_real_runs() {
    let letter = include_str!("../../patches/mainline/cover-letter.txt");
    let table: String =
        letter.lines().map(|line| format!("{}\n", line.trim_start_matches("  "))).collect();
    for row in memfd_seals::compare::TABLE.lines() {
        assert!(table.contains(row.trim()), "not in the cover letter: {row}");
    }
}
