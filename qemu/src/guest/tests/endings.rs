// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Ends of runs, from the bytes that the guest sent to results.ktap and junit.xml: golden files in
//! `qemu/golden/`. `ci/check-ktap` gives the same files to the kernel's own parser and holds its
//! counts against counts.txt. `BLESS=1 cargo test` writes the files anew; read the diff.

use super::verdicts::{CONSOLE, hello, line, output, plan, start, verdict_with, written};
use crate::class::Class;
use crate::guest::boot::Ended;
use crate::guest::record::ending as as_reported;
use crate::guest::tally::{self, Mark, Row};
use crate::guest::verdict::Verdict;
use memfd_seals::events::{Event, Outcome};
use memfd_seals::report::{junit, ktap};
use rstest::rstest;
use std::path::{Path, PathBuf};

/// A test of a made-up run: name, prediction, outcome if it has one, why.
type Told<'a> = (&'a str, Outcome, Option<Outcome>, &'a str);

const P: Outcome = Outcome::Pass;
const F: Outcome = Outcome::Fail;
const S: Outcome = Outcome::Skip;

/// What a kernel, a test or an attacker may put where it hurts.
const ODD: [&str; 14] = [
    "a#b # SKIP c",
    "ok 1 x",
    "1..5",
    "# Subtest: y",
    "KTAP version 1",
    "",
    "  lead and trail  ",
    "tab\there",
    "new\nline\r\nnot ok 7 z",
    "esc\u{1b}[31m nul\0 bell\u{7}",
    "breaks\u{2028}ok 9 x\u{85}ok 10 y\u{c}ok 11 z",
    "<&\"'> ]]> <![CDATA[ &#0; \u{fffe}",
    "reboot: System halted, List of all partitions: Kernel panic - not syncing: VFS: x",
    "umlaut \u{e9}, smile \u{1f600}, \u{202e}reversed",
];

pub(super) fn result(test: &str, outcome: Outcome, ms: u64, why: &str) -> Event {
    Event::Result { test: test.into(), outcome, ms, why: why.into() }
}

/// The stream of a guest that tells of `tests`; whole if each has an outcome.
pub(super) fn events_of(tests: &[Told]) -> Vec<Event> {
    let names: Vec<&str> = tests.iter().map(|(name, ..)| *name).collect();
    let mut events = vec![hello(), plan(&names)];
    for (name, _, outcome, why) in tests {
        events.push(start(name));
        let Some(outcome) = outcome else { break };
        events.push(output(name, "a line of output"));
        events.push(result(name, *outcome, 12, why));
    }
    events
}

pub(super) fn expected_of(tests: &[Told]) -> Vec<(String, Outcome)> {
    tests.iter().map(|(name, predicted, ..)| (name.to_string(), *predicted)).collect()
}

fn judged(tests: &[Told], console: &[u8], ended: &Ended) -> (Verdict, Vec<Row>) {
    let (events, expected) = (events_of(tests), expected_of(tests));
    let whole = tests.iter().all(|(_, _, outcome, _)| outcome.is_some());
    let bytes = if whole { written(&events) } else { events.iter().flat_map(line).collect() };
    let verdict = verdict_with(&expected, &bytes, console, ended);
    let rows = tally::rows(&expected, &verdict.tests);
    (verdict, rows)
}

const GREEN: [Told; 3] =
    [("a::x", P, Some(P), ""), ("a::y", P, Some(P), ""), ("b", P, Some(P), "")];

fn ending(case: &str) -> (Class, String, Vec<Row>) {
    let ok = Ended::Exited(0);
    let of = |tests: &[Told], console: &[u8], ended: &Ended| {
        let (verdict, rows) = judged(tests, console, ended);
        (verdict.class, verdict.line, rows)
    };
    match case {
        "pass" => of(&GREEN, CONSOLE, &ok),
        "fail" => {
            let why = "pwrite(2) fails: expected EPERM, got 4\nafterwards, # the file differs";
            of(&[GREEN[0], ("a::y", P, Some(F), why), GREEN[2]], CONSOLE, &ok)
        }
        "as-predicted" => of(
            &[
                GREEN[0],
                ("known", F, Some(F), "expected EPERM, got 4"),
                ("skipped", S, Some(S), "no F_SEAL_FS_WRITE"),
            ],
            CONSOLE,
            &ok,
        ),
        "otherwise" => of(
            &[
                ("passed-after-all", F, Some(P), ""),
                ("skipped-after-all", P, Some(S), "SKIP this # SKIP that"),
                ("failed-after-all", S, Some(F), "SKIP"),
                ("in-error", P, Some(Outcome::Error), "setup: # SKIP ENOMEM"),
                ("slow", P, Some(Outcome::Timeout), "the child did not end in time"),
            ],
            CONSOLE,
            &ok,
        ),
        "missing" => of(&[GREEN[0], ("a::y", P, None, ""), GREEN[2]], CONSOLE, &ok),
        "splat" => of(&GREEN, b"[1.0] WARNING: mm/shmem.c:1 at x+0x1/0x2 [#1] # SKIP\n", &ok),
        "panic" => of(&GREEN, b"Kernel panic - not syncing: VFS: Unable to mount root fs\n", &ok),
        "hang" => of(&GREEN, CONSOLE, &Ended::Limit("no event for 60s".into())),
        "odd" => {
            let skips: Vec<String> = (0..ODD.len()).map(|n| format!("skip-{n}")).collect();
            let skips = skips.iter().zip(ODD).map(|(name, odd)| (name.as_str(), S, Some(S), odd));
            let tests: Vec<Told> =
                ODD.map(|odd| (odd, P, Some(F), odd)).into_iter().chain(skips).collect();
            of(&tests, CONSOLE, &ok)
        }
        "not-planned" => {
            let mut events = events_of(&GREEN);
            events.extend([start("c"), result("c", P, 1, ""), start("b"), result("b", P, 1, "")]);
            let verdict = verdict_with(&expected_of(&GREEN), &written(&events), CONSOLE, &ok);
            let rows = tally::rows(&expected_of(&GREEN), &verdict.tests);
            (verdict.class, verdict.line, rows)
        }
        "refused" => {
            let line = "the kernel did not build; make's output is in x.log".to_owned();
            (Class::Build, line, tally::rows(&expected_of(&GREEN), &[]))
        }
        "nothing-known" => (Class::Internal, "no plan".to_owned(), Vec::new()),
        other => panic!("{other}"),
    }
}

fn golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    assert_eq!(got, std::fs::read_to_string(&path).unwrap(), "{}", path.display());
}

fn xml(class: Class, cause: &str, rows: &[Row]) -> String {
    junit::junit("qemu-test", as_reported(class, cause), rows).unwrap()
}

/// The three numbers of counts.txt, where a person wrote them.
fn counts(case: &str) -> [usize; 3] {
    let text = include_str!("../../../golden/counts.txt");
    let row = text.lines().find(|line| line.split_whitespace().next() == Some(case)).unwrap();
    let numbers: Vec<usize> = row.split_whitespace().skip(1).map(|n| n.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

#[rstest]
#[case("pass", Class::Pass)]
#[case("fail", Class::Fail)]
#[case("as-predicted", Class::Pass)]
#[case("otherwise", Class::Fail)]
#[case("missing", Class::Truncated)]
#[case("splat", Class::Splat)]
#[case("panic", Class::Panic)]
#[case("hang", Class::Hang)]
#[case("odd", Class::Fail)]
#[case("not-planned", Class::Corrupt)]
#[case("refused", Class::Build)]
#[case("nothing-known", Class::Internal)]
fn golden_files(#[case] case: &str, #[case] class: Class) {
    let (got, cause, rows) = ending(case);
    assert_eq!(got, class, "{cause}");
    golden(&format!("{case}.ktap"), &ktap::ktap(as_reported(class, &cause), &rows));
    golden(&format!("{case}.xml"), &xml(class, &cause, &rows));
    let of = |marks: &[Mark]| rows.iter().filter(|row| marks.contains(&row.mark())).count();
    let pass = usize::from(class == Class::Pass);
    let green = of(&[Mark::Passed, Mark::KnownToFail]) + pass;
    let red = of(&[Mark::Failed, Mark::TimedOut, Mark::Error]) + 1 - pass;
    assert_eq!([green, red, of(&[Mark::Skipped])], counts(case));
}

/// Fails closed: whatever the rows say, no file of a run that did not pass is all green, and the
/// only file that is has the verdict's own line.
#[test]
fn only_a_pass_is_green() {
    let (_, _, rows) = ending("pass");
    for class in Class::ALL {
        let (ktap, xml) =
            (ktap::ktap(as_reported(*class, "cause"), &rows), xml(*class, "cause", &rows));
        let green = !ktap.contains("not ok ") && ktap.contains("\nok 4 verdict\n");
        assert_eq!(green, *class == Class::Pass, "{ktap}");
        let suites = xml.lines().find(|line| line.contains("<testsuites")).unwrap();
        let green = suites.contains("failures=\"0\" errors=\"0\"");
        assert_eq!(green, *class == Class::Pass, "{xml}");
        assert!(xml.contains("name=\"verdict\""));
    }
}

#[test]
fn junit_can_be_read_back() {
    for case in ["odd", "otherwise", "as-predicted"] {
        let (class, cause, rows) = ending(case);
        let xml = xml(class, &cause, &rows);
        let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
        assert_eq!(report.test_suites[0].test_cases.len(), rows.len() + 1);
    }
}

#[test]
fn a_run_that_is_under_way_or_refused_leaves_no_green_file() {
    use crate::guest::record::Folder;
    let repo = tempfile::tempdir().unwrap();
    let latest = repo.path().join("target/qemu-test/latest");
    let read = |name: &str| std::fs::read_to_string(latest.join(name)).unwrap();
    let rows = tally::rows(&expected_of(&GREEN), &[]);
    let folder = Folder::create(repo.path(), &rows, "make qemu-test".into()).unwrap();
    assert!(
        read("results.ktap")
            .ends_with("not ok 4 verdict # internal: the run did not come to its end\n")
    );
    assert!(read("junit.xml").contains("errors=\"4\""));
    folder.refuse(Class::Build, "no", &rows, &[]).unwrap();
    assert!(read("results.ktap").ends_with("not ok 4 verdict # build: no\n"));
    let json: serde_json::Value = serde_json::from_str(&read("summary.json")).unwrap();
    assert_eq!((&json["verdict"], &json["exit_code"]), (&"build".into(), &15.into()));
    assert_eq!(json["tests"][2]["name"], "b");
    assert!(json["tests"][2]["outcome"].is_null() && json["salt"].is_null());
    assert_eq!(
        folder.name(repo.path()),
        PathBuf::from("target/qemu-test")
            .join(folder.path.file_name().unwrap())
            .display()
            .to_string()
    );
}
