// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! COVERAGE.md says what is so.

use memfd_seals::coverage;

#[test]
fn everything_listed_has_rows_and_every_row_listed_is_there() {
    assert_eq!(coverage::gaps(), Vec::<String>::new());
}

#[test]
fn the_page_is_current() {
    let now = coverage::page();
    assert!(
        now == include_str!("../COVERAGE.md"),
        "stale: cargo run -q -p memfd-seals --example coverage > selftests/COVERAGE.md"
    );
}

#[test]
fn memfd_test_has_21_calls() {
    assert_eq!(coverage::memfd_test_calls(), 21);
}
