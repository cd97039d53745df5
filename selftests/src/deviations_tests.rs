// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a table of deviations may say.

use super::*;
use rstest::rstest;

/// A row's text, with more keys.
fn row(test: &str, more: &str) -> String {
    format!("[[deviation]]\ntest = \"{test}\"\n{more}\n")
}

const FAIL: &str = "got = \"fail\"\nreason = \"it does\"";
const SHRINK: &str = "resizing::shrink::shmem";

#[test]
fn the_suites_own_table_is_in_order() {
    Table::own().unwrap();
}

#[rstest]
#[case::no_reason("got = \"fail\"", "missing field `reason`")]
#[case::as_bless_leaves_it(
    "got = \"fail\"\nreason = \"\"",
    "t:1: resizing::shrink::shmem: the reason is missing: say why it comes out as fail"
)]
#[case::blank_reason("got = \"fail\"\nreason = \" \\t\"", "the reason is missing")]
#[case::no_feature(
    "when = [\"no fs_wrote\"]\ngot = \"fail\"\nreason = \"x\"",
    "t:1: resizing::shrink::shmem: no feature is called \"fs_wrote\"; there are fs_write"
)]
#[case::no_outcome("got = \"fails\"\nreason = \"x\"", "unknown variant `fails`")]
#[case::no_key("got = \"fail\"\nreason = \"x\"\nfor = 1", "unknown field `for`")]
#[case::both(
    "when = [\"fs_write\", \"no fs_write\"]\ngot = \"fail\"\nreason = \"x\"",
    "fs_write can't be both there and not"
)]
#[case::no_subject("got = \"fail\"\nfixed_by = \"\"\nreason = \"x\"", "fixed_by is empty")]
#[case::no_toml("got = = 1", "t:3:")]
fn a_row_that_is_not_in_order_is_one_line(#[case] more: &str, #[case] want: &str) {
    let line = Table::parse("t", &row(SHRINK, more)).unwrap_err();
    assert!(line.contains(want) && !line.contains('\n'), "{line}");
}

#[rstest]
#[case("resizing::shrink")]
#[case("resizing::*::ext4")]
#[case("")]
fn a_name_that_matches_no_test_is_refused(#[case] test: &str) {
    let line = Table::parse("t", &row(test, FAIL)).unwrap_err();
    assert!(line.contains("no test has that name"), "{line}");
}

#[rstest]
#[case::pass("pass")]
#[case::error("error")]
#[case::timeout("timeout")]
fn only_files_of_other_people_may_say_so(#[case] got: &str) {
    let text = row(SHRINK, &format!("got = \"{got}\"\nreason = \"x\""));
    assert!(Table::parse("t", &text).is_ok());
    assert!(Table::parse(OWN, &text).unwrap_err().contains("only fail and skip"));
}

#[rstest]
#[case::same("", "", false)]
#[case::one_holds_always("", "when = [\"no fs_write\"]", false)]
#[case::other_features("when = [\"exec_seal\"]", "when = [\"no fs_write\"]", false)]
#[case::never_at_once("when = [\"exec_seal\", \"fs_write\"]", "when = [\"no fs_write\"]", true)]
fn two_rows_never_speak_of_a_test_at_once(#[case] a: &str, #[case] b: &str, #[case] good: bool) {
    for second in [SHRINK, "resizing::shrink::*"] {
        let text = row(SHRINK, &format!("{a}\n{FAIL}")) + &row(second, &format!("{b}\n{FAIL}"));
        let parsed = Table::parse("t", &text);
        assert_eq!(parsed.is_ok(), good, "{parsed:?}");
        let said = parsed.err().unwrap_or("shmem: line 1 speaks of it".into());
        assert!(said.contains("shmem: line 1 speaks of it"), "{said}");
    }
}

#[test]
fn a_row_holds_by_features_and_patches() {
    let more = format!("when = [\"exec_seal\", \"no fs_write\"]\nfixed_by = \"mm: x\"\n{FAIL}");
    let table = Table::parse("t", &row("*::shrink::shmem", &more)).unwrap();
    let holds = |features: &[&str], patches: &[&str]| {
        let patches: Vec<String> = patches.iter().map(|patch| patch.to_string()).collect();
        table.find(SHRINK, features, &patches).is_some()
    };
    assert!(holds(&["exec_seal"], &[]));
    assert!(holds(&["exec_seal"], &["mm: y"]));
    assert!(!holds(&["exec_seal"], &["mm: y", "mm: x"]));
    assert!(!holds(&["exec_seal", "fs_write"], &[]));
    assert!(!holds(&[], &[]));
    assert!(table.find("resizing::shrink::hugetlb", &["exec_seal"], &[]).is_none());
}

#[test]
fn a_later_file_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known.toml");
    std::fs::write(&file, row(SHRINK, "got = \"pass\"\nreason = \"here it passes\"")).unwrap();
    let table = Table::parse("t", &row("resizing::shrink::*", FAIL)).unwrap().with(&file).unwrap();
    let found = table.find(SHRINK, &[], &[]).unwrap();
    assert_eq!((found.got, found.place()), (Outcome::Pass, format!("{}:1", file.display())));
    assert_eq!(table.find("resizing::shrink::hugetlb", &[], &[]).unwrap().got, Outcome::Fail);
}
