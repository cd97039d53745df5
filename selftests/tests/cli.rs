// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The program as people call it, on whatever kernel this is: exit codes, one line for bad input,
//! tables of deviations, reports and shards.

use rstest::rstest;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A test that every kernel with memfds passes.
const PASSES: &str = "resizing::unsealed::shmem";

/// Exit code, stdout, stderr.
fn suite(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let program = env!("CARGO_BIN_EXE_memfd-seals");
    let mut command = Command::new(program);
    // Which `cargo run` sets, and this is none.
    let command = command.env_remove("CARGO_PKG_NAME");
    let output = command.current_dir(folder).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn table(got: &str, reason: &str) -> String {
    format!("[[deviation]]\ntest = \"{PASSES}\"\ngot = \"{got}\"\nreason = \"{reason}\"\n")
}

#[rstest]
#[case(&["--no-such-flag"], "'--no-such-flag'")]
#[case(&["--shard", "0/2"], "N goes from 1 to M")]
#[case(&["--shard", "3/2"], "N goes from 1 to M")]
#[case(&["--repeat", "0"], "'--repeat <K>'")]
#[case(&["--repeat", "2", "--events", "e"], "cannot be used with")]
#[case(&["--test-threads", "0"], "give 1 or more")]
#[case(&["--format", "tap"], "[possible values: pretty, terse, json]")]
#[case(&["--ktap", "-", "--json", "-"], "stdout can't hold two reports")]
#[case(&["--ktap", "no/such/folder/x"], "no/such/folder/x: No such file")]
#[case(&["--known", "no-such-file"], "no-such-file: No such file")]
#[case(&["--known", "bad.toml"], "bad.toml:1: resizing::unsealed::shmem: the reason is missing")]
#[case(&["--bless", "bad.toml"], "bad.toml:1: resizing::unsealed::shmem: the reason is missing")]
#[case(&["no such test"], "no test is selected")]
#[case(&["--exact", "resizing::unsealed"], "no test is selected")]
fn bad_input_is_one_line_and_exit_code_2(#[case] args: &[&str], #[case] want: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), table("fail", "")).unwrap();
    let (code, out, err) = suite(folder.path(), args);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with("memfd-seals: ") && err.contains(want), "{err}");
    assert_eq!(err.matches('\n').count(), 1, "{err}");
}

#[test]
fn an_unexpected_pass_fails_and_names_the_row() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("known.toml"), table("fail", "for a test")).unwrap();
    let (code, out, _) = suite(folder.path(), &["--known", "known.toml", "--exact", PASSES]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("known.toml:1 knows that it comes out as fail (for a test): delete"),
        "{out}"
    );
    let again = format!("memfd-seals --known known.toml --exact {PASSES}\n");
    assert!(out.contains(&again), "{out}");
    let (code, out, _) = suite(folder.path(), &["--exact", PASSES]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("\n1 passed, 0 not as known, 0 known to fail, 0 skipped\n"), "{out}");
}

#[test]
fn what_is_blessed_is_refused_until_a_person_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.toml");
    fs::write(folder.path().join("known.toml"), table("fail", "for a test")).unwrap();
    let bless = ["--known", "known.toml", "--bless", "new.toml", "--exact", PASSES];
    let (code, _, err) = suite(folder.path(), &bless);
    assert_eq!(code, 1, "a blessing is no pass");
    assert_eq!(err, "memfd-seals: 1 row added to new.toml: write its reason\n");
    let with = ["--known", "known.toml", "--known", "new.toml", "--exact", PASSES];
    let (code, _, err) = suite(folder.path(), &with);
    assert!(code == 2 && err.contains("the reason is missing"), "{err}");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("reason = \"\"", "reason = \"explained\"")).unwrap();
    let (code, out, _) = suite(folder.path(), &with);
    assert_eq!(code, 0, "{out}");
}

#[test]
fn nothing_is_blessed_where_all_is_well() {
    let folder = tempfile::tempdir().unwrap();
    let (code, ..) = suite(folder.path(), &["--bless", "new.toml", "--exact", PASSES]);
    assert_eq!((code, folder.path().join("new.toml").exists()), (0, false));
}

#[test]
fn a_report_has_stdout_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--ktap", "-", "--junit", "j.xml", "--json", "j.json", "--exact", PASSES];
    let (code, out, err) = suite(folder.path(), &args);
    assert_eq!(
        (code, out.as_str()),
        (0, &*format!("KTAP version 1\n1..2\nok 1 {PASSES}\nok 2 verdict\n"))
    );
    assert!(err.contains("test result: ok."), "{err}");
    let json = fs::read_to_string(folder.path().join("j.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["verdict"], &json["areas"][0]["passed"]), (&"pass".into(), &1.into()));
    assert_eq!(json["tests"][0]["name"], PASSES);
    let xml = fs::read_to_string(folder.path().join("j.xml")).unwrap();
    assert!(xml.contains("tests=\"2\" skipped=\"0\" failures=\"0\" errors=\"0\""), "{xml}");
}

#[rstest]
#[case(&["--format", "terse"])]
#[case(&["--format", "json"])]
#[case(&["-q"])]
fn other_formats_have_no_table(#[case] format: &[&str]) {
    let (code, out, _) = suite(Path::new("."), &[format, &["--exact", PASSES]].concat());
    assert!(code == 0 && !out.contains("not as known"), "{out}");
    if format.contains(&"json") {
        let good = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(out.lines().all(good), "{out}");
    }
}

#[test]
fn shards_of_the_real_list_are_a_partition() {
    let names = |args: &[&str]| -> Vec<String> {
        let (_, out, _) = suite(Path::new("."), &[&["--list"], args].concat());
        out.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    let all: BTreeSet<String> = names(&[]).into_iter().collect();
    let parts: Vec<_> = (1..=7).map(|n| names(&["--shard", &format!("{n}/7")])).collect();
    assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), all.len());
    assert_eq!(parts.into_iter().flatten().collect::<BTreeSet<_>>(), all);
}

#[test]
fn rounds_have_names_of_their_own() {
    let (code, out, _) =
        suite(Path::new("."), &["--repeat", "3", "--ktap", "-", "--exact", PASSES]);
    let want = format!("ok 1 {PASSES}\nok 2 {PASSES}@2\nok 3 {PASSES}@3\nok 4 verdict\n");
    assert!(code == 0 && out.ends_with(&want), "{out}");
}

#[test]
fn the_table_of_guarantees_fits_and_is_of_this_kernel() {
    let grid = memfd_seals::compare::guarantees().shmem.unwrap();
    assert!(grid.is_whole());
    assert!(grid.narrow().lines().all(|line| line.chars().count() <= 100), "{}", grid.narrow());
    let gives = |call: &str, seals: &str| {
        let at = grid.seals.iter().position(|head| head == seals).unwrap();
        grid.lines.iter().find(|line| line.call == call).unwrap().gives[at].as_str()
    };
    assert_eq!(gives("write()", "none"), "works");
    assert_eq!(gives("write()", "WRITE"), "EPERM");
    assert_eq!(gives("ftruncate() to grow", "GROW"), "EPERM");
    assert_eq!(gives("  and to grow: old contents", "GROW"), "lost");
    assert_eq!(gives("  and to grow: old contents", "SHRINK"), "kept");
    assert_eq!(gives("store through an older mapping", "WRITE"), "EBUSY");
    assert_eq!(gives("mmap() private, past EOF: size", "GROW"), "kept");
}
