// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What must hold of the table, whatever a run says.

use super::*;
use std::collections::BTreeSet;

fn lines() -> impl Iterator<Item = &'static Line> {
    GROUPS.iter().flat_map(|(_, lines)| lines.iter())
}

/// A run in which each test of the suite came out so.
fn run(outcome: Outcome) -> Run {
    let ran = |test: Test| Ran { name: test.name(), outcome: Some(outcome) };
    let tests = cases::all().into_iter().map(ran).collect();
    let (base, series) = (Some("5.10".into()), Some("patches/5.10".into()));
    Run { verdict: "pass".into(), line: String::new(), base, series, tests }
}

#[test]
fn each_row_of_the_columns_has_a_line_and_each_line_its_rows() {
    for (column, (_, area)) in COLUMNS.iter().enumerate() {
        let rows: BTreeSet<&str> =
            cases::all().iter().filter(|t| t.area == *area).map(|t| t.case.name).collect();
        let shown = lines().filter(|line| line.area(column) == Some(area)).map(|line| line.row);
        assert_eq!(shown.collect::<BTreeSet<_>>(), rows, "{area}");
    }
    assert!(run(Outcome::Pass).table().missing.is_empty());
}

#[test]
fn who_is_stronger_follows_from_the_cells_where_it_can() {
    for line in lines().filter(|line| !line.alone) {
        let refused = [0, 1, 2].map(|column| {
            let tests = tests(COLUMNS[column].1, line.row);
            matches!(tests[0].case.expect, Expect::Fails(_))
        });
        let fits: &[Stronger] = match refused {
            [a, b, c] if a == b && b == c => &[Stronger::Alike, Stronger::Neither, Stronger::Memfd],
            [true, false, false] => &[Stronger::Ashmem, Stronger::Neither],
            [false, true, true] => &[Stronger::Memfd, Stronger::Neither],
            [true, true, false] => &[Stronger::NotOlder],
            _ => &[],
        };
        assert!(fits.contains(&line.stronger), "{}: {refused:?}", line.row);
    }
}

#[test]
fn it_fits_100_columns() {
    let text = run(Outcome::Pass).table().text + LEGEND;
    for line in text.lines() {
        assert!(line.len() <= 100, "{line}");
    }
}

#[test]
fn a_row_that_did_not_pass_is_no_cell() {
    for outcome in [Outcome::Fail, Outcome::Skip, Outcome::Error, Outcome::Timeout] {
        let mut run = run(Outcome::Pass);
        let held = |test: &&mut Ran| test.name == "ashmem_fs_write::punch::execed";
        run.tests.iter_mut().find(held).unwrap().outcome = Some(outcome);
        let table = run.table();
        assert_eq!(table.missing, [format!("ashmem_fs_write::punch::execed: {outcome}")]);
        let line = table.text.lines().find(|line| line.contains("punch a hole")).unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(5).collect();
        assert_eq!(words, ["ENODEV", "?", "EPERM", "?", "punch*"]);
    }
}

#[test]
fn a_run_of_something_else_has_no_cell() {
    let mut run = run(Outcome::Pass);
    run.tests.retain(|test| test.name != "ashmem::read");
    assert_eq!(run.table().missing, ["ashmem::read: not in this run"]);
    run.tests.clear();
    assert!(run.table().missing.len() > 100);
    run.verdict = "splat".into();
    run.line = "console line 3".into();
    assert_eq!(run.table().missing[0], "the run's verdict is splat: console line 3");
}
