// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a person reads at the end of a run.

use super::endings::{events_of, expected_of};
use super::verdicts::{CONSOLE, line, verdict_with, written};
use crate::guest::accel::Choice;
use crate::guest::again::Again;
use crate::guest::boot::Ended;
use crate::guest::report::{Told, lines};
use crate::guest::splat::{Patterns, readable};
use crate::guest::stack::{self, Stack};
use crate::guest::{splat, tally};
use memfd_seals::events::Outcome;
use rstest::rstest;

const PASS: Outcome = Outcome::Pass;
const FAIL: Outcome = Outcome::Fail;

type Test<'a> = (&'a str, Outcome, Option<Outcome>, &'a str);

/// The report of a guest that told of `tests`, as one text.
fn report(tests: &[Test], console: &[u8], ended: &Ended, raw: &str) -> String {
    let (events, expected) = (events_of(tests), expected_of(tests));
    let whole = tests.iter().all(|(_, _, outcome, _)| outcome.is_some());
    let bytes = if whole { written(&events) } else { events.iter().flat_map(line).collect() };
    let verdict = verdict_with(&expected, &bytes, console, ended);
    let patterns = Patterns::parse(include_str!("../../../splats.txt")).unwrap();
    let stacks = stack::cut(console, &patterns.scan(console));
    let stacks: Vec<Stack> =
        stacks.into_iter().map(|stack| Stack { raw: raw.to_owned(), ..stack }).collect();
    let told = Told {
        verdict: &verdict,
        expected: &expected,
        rows: &tally::rows(&expected, &verdict.tests),
        choice: &Choice::tcg("no /dev/kvm"),
        grouped: false,
        again: &Again::default(),
        stacks: &stacks,
        console: &readable(console),
        folder: "target/qemu-test/1",
    };
    lines(&told).join("\n")
}

const REPLAY: Test = ("programs::replay", PASS, Some(PASS), "");

#[test]
fn a_pass_is_short() {
    let tests = [
        REPLAY,
        ("grow", FAIL, Some(FAIL), "why"),
        ("udmabuf", Outcome::Skip, Some(Outcome::Skip), "no"),
    ];
    assert_eq!(
        report(&tests, CONSOLE, &Ended::Exited(0), ""),
        "a line of output\n            \x20passed  failed   known skipped\n\
         programs          1       0       0       0\n\
         grow              0       0       1       0\n\
         udmabuf           0       0       0       1\n\
         1 passed, 1 failed, 1 skipped\n\
         accelerator: TCG: no /dev/kvm\n\
         verdict: pass"
    );
}

#[test]
fn a_failure_is_told_in_full() {
    let why = "pwrite(2) fails:\nexpected EPERM, \u{1b}[31mgot 4";
    let tests = [REPLAY, ("a::grow", PASS, Some(FAIL), why)];
    assert_eq!(
        report(&tests, CONSOLE, &Ended::Exited(0), ""),
        "a line of output
             passed  failed   known skipped
programs          1       0       0       0
a                 0       1       0       0
1 passed, 1 failed, 0 skipped
accelerator: TCG: no /dev/kvm

1 of 2 tests did not come out as predicted:

a::grow: predicted pass, got fail (12 ms)
    pwrite(2) fails:
    expected EPERM, \u{fffd}[31mgot 4
    | a line of output
    again: make qemu-test FILTER=a::grow

cause: a::grow: pass predicted, fail seen
again: make qemu-test FILTER=a::grow
verdict: fail"
    );
}

#[test]
fn a_panic_comes_with_its_stack_and_the_consoles_end() {
    let tests = [REPLAY, ("a::grow", PASS, None, ""), ("b", PASS, None, "")];
    let console = b"[0.1] quiet\r\n[0.2] Kernel panic - not syncing: x\r\n[0.2] Call Trace:\r\n\
        [0.2]  panic+0x1/0x2\r\n[0.2]  </TASK>\r\n[0.3] Rebooting\x07\r\n";
    let stack = "    [0.2] Kernel panic - not syncing: x
    [0.2] Call Trace:
    [0.2]  panic+0x1/0x2
    [0.2]  </TASK>\n";
    assert_eq!(
        report(&tests, console, &Ended::Exited(0), "nm is missing"),
        format!(
            "a line of output
1 passed, 0 failed, 0 skipped
accelerator: TCG: no /dev/kvm

no result: a::grow and 1 more
    only this one: make qemu-test FILTER=a::grow

splat at console line 2 (not decoded: nm is missing):
{stack}
the console's last lines (target/qemu-test/1/console.log):
    [0.1] quiet
    (the splat at console line 2)
    [0.3] Rebooting\u{fffd}

cause: console line 2: [0.2] Kernel panic - not syncing: x
again: make qemu-test
verdict: panic"
        )
    );
}

#[test]
fn a_hang_without_a_word_says_so() {
    let got = report(&[("a", PASS, None, ""), REPLAY], b"", &Ended::Limit("not a byte".into()), "");
    let want =
        "\nno result of any of the 2 tests\n\nthe console is empty\n\ncause: not a byte; in a\n";
    assert!(got.contains(want), "{got}");
}

#[test]
fn a_test_that_says_nothing_is_described() {
    let of = memfd_seals::cases::all()[0];
    let (name, about) = (of.name(), of.case.about);
    let test = [(name.as_str(), PASS, Some(Outcome::Timeout), "the child did not end in time")];
    let got = report(&test, CONSOLE, &Ended::Exited(0), "");
    let want =
        format!("predicted pass, got timeout (12 ms)\n    {about}\n    the child did not end");
    assert!(got.contains(&want), "{got}");
    let why = format!("{about}: expected EPERM, got 4");
    let test = [(name.as_str(), PASS, Some(FAIL), why.as_str())];
    let got = report(&test, CONSOLE, &Ended::Exited(0), "");
    assert_eq!(got.matches(about).count(), 1, "{got}");
}

#[rstest]
#[case(1)]
#[case(100)]
fn however_many_failures_each_is_there_and_the_count_comes_first(#[case] many: usize) {
    let names: Vec<String> = (0..many).map(|n| format!("t{n}")).collect();
    let tests: Vec<Test> = names.iter().map(|n| (n.as_str(), PASS, Some(FAIL), "why")).collect();
    let got = report(&tests, CONSOLE, &Ended::Exited(0), "");
    let (count, rest) = got.split_once(" tests did not come out as predicted:\n").unwrap();
    assert!(count.ends_with(&format!("{many} of {many}")));
    assert_eq!(rest.matches("predicted pass, got fail").count(), many);
    // One failure has the one command; many have one each, and the whole run's at the end.
    let again = if many == 1 { "again: make qemu-test FILTER=t0" } else { "again: make qemu-test" };
    assert_eq!(got.lines().rev().nth(1), Some(again));
    assert!(!got.contains("console"));
}

/// The console is shown where it may say more than the tests: never for a failure.
#[test]
fn long_stacks_and_consoles_are_cut() {
    let console: String = (0..200).map(|n| format!("BUG: {n} foo+0x1/0x2\n")).collect();
    let got = report(&[REPLAY], console.as_bytes(), &Ended::Exited(0), "");
    assert!(got.contains("\n    and 52 lines more\n"), "{got}");
    let quiet: String = (0..200).map(|n| format!("line {n}\n")).collect();
    let got = report(&[("a", PASS, None, "")], quiet.as_bytes(), &Ended::Limit("x".into()), "");
    assert!(got.contains("console.log):\n    line 185\n") && got.contains("    line 199\n\n"));
    assert_eq!(splat::readable(b"a\r\nb\0"), "a\nb");
}
