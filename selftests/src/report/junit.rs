// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A run as JUnit XML, for the tools that show test results. Decides nothing.
//!
//! One suite: each planned test in order, and last a test case named `verdict`, which succeeds
//! only if the run's verdict is pass.
//!
//! | the test | its test case |
//! |---|---|
//! | passed, as predicted | empty |
//! | skipped, as predicted | `<skipped>` with the reason |
//! | failed, as predicted | `<skipped type="expected-failure">`, as pytest writes its xfail |
//! | passed or failed otherwise than predicted | `<failure>` |
//! | timed out | `<error type="timeout">` |
//! | in error, missing, not planned, or skipped after all | `<error>` |
//! | `verdict` of class fail | `<failure type="fail">` |
//! | `verdict` of any other class but pass | `<error type="class">` |

use super::text::{lines, one_line};
use super::{Ending, Mark, Row};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

const SUITE: &str = "memfd-seals";

/// The file's text; `program` is whose run it is.
pub fn junit(program: &str, ending: Ending, rows: &[Row]) -> Result<String, String> {
    let mut suite = TestSuite::new(SUITE);
    suite.add_test_cases(rows.iter().map(case));
    let mut verdict = TestCase::new("verdict", verdict(ending));
    verdict.set_classname(SUITE);
    suite.add_test_case(verdict);
    suite.set_time(Duration::from_millis(rows.iter().map(|row| row.ms).sum()));
    let mut report = Report::new(program);
    report.add_test_suite(suite);
    report.to_string().map_err(|error| format!("JUnit XML: {error}"))
}

fn case(row: &Row) -> TestCase {
    let mut case = TestCase::new(one_line(&row.name), status(row));
    case.set_classname(SUITE).set_time(Duration::from_millis(row.ms));
    if !row.output.is_empty() {
        case.set_system_out(text(row.output.iter().map(String::as_str)));
    }
    case
}

fn status(row: &Row) -> TestCaseStatus {
    let (mut status, kind) = match row.mark() {
        Mark::Passed => return TestCaseStatus::success(),
        Mark::Skipped => (TestCaseStatus::skipped(), "skip"),
        Mark::KnownToFail => (TestCaseStatus::skipped(), "expected-failure"),
        Mark::Failed => (TestCaseStatus::non_success(NonSuccessKind::Failure), "fail"),
        Mark::TimedOut => (TestCaseStatus::non_success(NonSuccessKind::Error), "timeout"),
        Mark::Error => (TestCaseStatus::non_success(NonSuccessKind::Error), "error"),
    };
    let why = one_line(&row.why);
    let message = match (why.as_str(), kind) {
        ("", _) => row.words(),
        (why, "skip") => why.to_owned(),
        (why, "expected-failure") if !row.reason.is_empty() => {
            format!("{}: {}: {why}", row.words(), one_line(&row.reason))
        }
        (why, _) => format!("{}: {why}", row.words()),
    };
    status.set_type(kind).set_message(message);
    if row.why.lines().count() > 1 {
        status.set_description(text([row.why.as_str()]));
    }
    status
}

fn verdict(ending: Ending) -> TestCaseStatus {
    let kind = match ending {
        Ending::Pass => return TestCaseStatus::success(),
        Ending::Fail { .. } => NonSuccessKind::Failure,
        Ending::Other { .. } => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ending.word()).set_message(one_line(ending.cause()));
    status
}

fn text<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().flat_map(lines).collect::<Vec<_>>().join("\n")
}
