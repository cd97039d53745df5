// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What README.md says to who ports from ashmem is checked: each claim names cases that there are,
//! and the table is what a run gives in which they pass.

use memfd_seals::case::Test;
use memfd_seals::cases;
use memfd_seals::parity::{LEGEND, Run};
use serde_json::json;
use std::collections::BTreeSet;

fn section() -> &'static str {
    let text = include_str!("../../README.md");
    let (_, rest) = text.split_once("\n## Porting from ashmem\n").expect("the section");
    rest.split("\n## ").next().expect("it ends")
}

/// What stands between backticks and has the shape of a row's name.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|word| word.contains("::"))
}

#[test]
fn every_claim_names_cases_that_there_are() {
    let row = |test: &Test| format!("{}::{}", test.area, test.case.name);
    let rows: BTreeSet<String> = cases::all().iter().map(row).collect();
    let claims: Vec<_> = section().lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(claims.len() > 10);
    for claim in claims {
        assert!(named(claim).next().is_some(), "no case: {claim}");
    }
    for name in named(section()) {
        assert!(rows.contains(name), "{name} is no case");
    }
}

#[test]
fn the_table_is_that_of_a_run_in_which_all_passed() {
    let mine = cases::all().into_iter().filter(|test| test.area.starts_with("ashmem"));
    let ran = |test: Test| json!({ "name": test.name(), "outcome": "pass" });
    let tests: Vec<_> = mine.map(ran).collect();
    let run = json!({ "verdict": "pass", "line": "", "tests": tests });
    let table = Run::parse(&run.to_string()).unwrap().table();
    assert_eq!(table.missing, [""; 0]);
    // The first line names the kernel, which is Debian's newest.
    let (head, text) = table.text.split_once('\n').unwrap();
    let count = head.rsplit(": ").next().unwrap();
    let indent = |line: &str| if line.is_empty() { "\n".into() } else { format!("    {line}\n") };
    let shown: String = format!("{text}\n{LEGEND}").lines().map(indent).collect();
    assert!(section().contains(&shown), "README.md has another table than:\n{shown}");
    assert!(section().contains(&format!("patches/5.10: {count}\n")), "not {count}");
}
