// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! One row for each way in which a guest, a disk or QEMU can lie. None may pass.

use crate::class::Class;
use crate::guest::boot::Ended;
use crate::guest::splat::Patterns;
use crate::guest::verdict::{Evidence, Verdict, judge};
use memfd_seals::compare::{Grid, Guarantees};
use memfd_seals::events::{Chain, Event, Outcome};
use rstest::rstest;

const NONCE: &str = "00112233445566778899aabbccddeeff";
const SALT: &str = "salt-of-this-kernel";
pub(super) const CONSOLE: &[u8] = b"[    0.000000] Linux version 7.3.4\r\n\
      [    0.8] memfd-seals: the end of 00112233445566778899aabbccddeeff\r\n\
      [    0.9] reboot: Restarting system\r\n";

fn patterns() -> Patterns {
    Patterns::parse(include_str!("../../../splats.txt")).unwrap()
}

fn expected() -> Vec<(String, Outcome)> {
    [("programs::replay", Outcome::Pass), ("grow", Outcome::Fail), ("udmabuf", Outcome::Skip)]
        .map(|(name, outcome)| (name.to_owned(), outcome))
        .to_vec()
}

pub(super) fn hello() -> Event {
    Event::Hello {
        nonce: NONCE.into(),
        salt: SALT.into(),
        release: "7.3.4".into(),
        cpus: 2,
        seal: "enforced".into(),
    }
}

pub(super) fn plan(tests: &[&str]) -> Event {
    Event::Plan { tests: tests.iter().map(|name| name.to_string()).collect() }
}

pub(super) fn start(test: &str) -> Event {
    Event::Start { test: test.into() }
}

pub(super) fn output(test: &str, line: &str) -> Event {
    Event::Output { test: test.into(), line: line.into() }
}

fn result(test: &str, outcome: Outcome) -> Event {
    let why = if outcome == Outcome::Pass { "" } else { "said \"why\"\n\u{e9}" };
    Event::Result { test: test.into(), outcome, ms: 3, why: why.into() }
}

/// All events but `done`.
fn body() -> Vec<Event> {
    vec![
        hello(),
        plan(&["programs::replay", "grow", "udmabuf"]),
        start("programs::replay"),
        output("programs::replay", "ret=3"),
        output("programs::replay", "map 2 : Permission denied"),
        result("programs::replay", Outcome::Pass),
        start("grow"),
        result("grow", Outcome::Fail),
        start("udmabuf"),
        result("udmabuf", Outcome::Skip),
    ]
}

/// Lines, each with its newline, and a `done` whose count and hash fit them.
pub(super) fn written(events: &[Event]) -> Vec<u8> {
    let count = events.iter().filter(|event| matches!(event, Event::Result { .. })).count();
    finished(events, count, 0)
}

fn finished(events: &[Event], count: usize, taint: impl Into<Option<u64>>) -> Vec<u8> {
    let mut bytes: Vec<u8> = events.iter().flat_map(line).collect();
    let mut chain = Chain::default();
    chain.add(&bytes);
    bytes.extend(line(&Event::Done { count, sha256: chain.hex(), taint: taint.into() }));
    bytes
}

pub(super) fn line(event: &Event) -> Vec<u8> {
    let mut line = serde_json::to_vec(event).unwrap();
    line.push(b'\n');
    line
}

fn good() -> Vec<u8> {
    written(&body())
}

fn verdict_of(events: &[u8]) -> Verdict {
    verdict_with(&expected(), events, CONSOLE, &Ended::Exited(0))
}

pub(super) fn verdict_with(
    expected: &[(String, Outcome)],
    events: &[u8],
    console: &[u8],
    ended: &Ended,
) -> Verdict {
    let patterns = patterns();
    judge(&Evidence {
        expected,
        events,
        console,
        words: "",
        ended,
        nonce: NONCE,
        salt: SALT,
        release: "7.3.4",
        cpus: 2,
        guarantees: false,
        patterns: &patterns,
    })
}

#[test]
fn an_honest_run_passes() {
    let verdict = verdict_of(&good());
    assert_eq!((verdict.class, verdict.surprises.len()), (Class::Pass, 0), "{}", verdict.line);
}

type Edit = fn(&mut Vec<Event>);

/// A guest that lies with a hash and a count that fit its lie.
#[rstest]
#[case::no_hello(Class::Corrupt, |e: &mut Vec<Event>| { e.remove(0); })]
#[case::two_hellos(Class::NoPlan, |e: &mut Vec<Event>| e.insert(1, hello()))]
#[case::hello_again(Class::Corrupt, |e: &mut Vec<Event>| e.insert(6, hello()))]
#[case::hello_at_end(Class::Corrupt, |e: &mut Vec<Event>| e.push(hello()))]
#[case::other_nonce(Class::WrongKernel, |e: &mut Vec<Event>| nonce(e, "ffeeddccbbaa99887766554433221100"))]
#[case::no_nonce(Class::WrongKernel, |e: &mut Vec<Event>| nonce(e, ""))]
#[case::other_salt(Class::WrongKernel, |e: &mut Vec<Event>| salt(e, "salt-of-another-kernel"))]
#[case::no_salt(Class::WrongKernel, |e: &mut Vec<Event>| salt(e, ""))]
#[case::other_release(Class::WrongKernel, |e: &mut Vec<Event>| release(e, "7.3.5"))]
#[case::fewer_cpus(Class::WrongKernel, |e: &mut Vec<Event>| cpus(e, 1))]
#[case::no_plan(Class::NoPlan, |e: &mut Vec<Event>| { e.remove(1); })]
#[case::empty_plan(Class::NoPlan, |e: &mut Vec<Event>| { e.truncate(1); e.push(plan(&[])); })]
#[case::plan_too_short(Class::Corrupt, |e: &mut Vec<Event>| e[1] = plan(&["programs::replay", "grow"]))]
#[case::plan_too_long(Class::Corrupt, |e: &mut Vec<Event>| e[1] = plan(&["programs::replay", "grow", "udmabuf", "more"]))]
#[case::plan_reordered(Class::Corrupt, |e: &mut Vec<Event>| e[1] = plan(&["grow", "programs::replay", "udmabuf"]))]
#[case::plan_repeats(Class::Corrupt, |e: &mut Vec<Event>| e[1] = plan(&["programs::replay", "programs::replay", "grow", "udmabuf"]))]
#[case::two_plans(Class::Corrupt, |e: &mut Vec<Event>| e.insert(2, plan(&["programs::replay", "grow", "udmabuf"])))]
#[case::missing_test(Class::Truncated, |e: &mut Vec<Event>| { e.drain(6..8); })]
#[case::missing_result(Class::Truncated, |e: &mut Vec<Event>| { e.remove(7); })]
#[case::missing_last_result(Class::Truncated, |e: &mut Vec<Event>| { e.pop(); })]
#[case::missing_last_test(Class::Truncated, |e: &mut Vec<Event>| e.truncate(8))]
#[case::missing_start(Class::Corrupt, |e: &mut Vec<Event>| { e.remove(6); })]
#[case::no_tests(Class::Truncated, |e: &mut Vec<Event>| e.truncate(2))]
#[case::doubled_start(Class::Corrupt, |e: &mut Vec<Event>| e.insert(6, start("grow")))]
#[case::doubled_result(Class::Corrupt, |e: &mut Vec<Event>| e.insert(7, result("grow", Outcome::Fail)))]
#[case::two_opinions(Class::Corrupt, |e: &mut Vec<Event>| e.insert(7, result("grow", Outcome::Pass)))]
#[case::doubled_at_end(Class::Corrupt, |e: &mut Vec<Event>| e.push(result("udmabuf", Outcome::Skip)))]
#[case::run_again(Class::Corrupt, |e: &mut Vec<Event>| { e.push(start("grow")); e.push(result("grow", Outcome::Fail)); })]
#[case::unknown(Class::Corrupt, |e: &mut Vec<Event>| { e.insert(6, start("x")); e.insert(7, result("x", Outcome::Pass)); })]
#[case::unknown_at_end(Class::Corrupt, |e: &mut Vec<Event>| { e.push(start("x")); e.push(result("x", Outcome::Pass)); })]
#[case::reordered(Class::Corrupt, |e: &mut Vec<Event>| e[6..10].rotate_left(2))]
#[case::reordered_results(Class::Corrupt, |e: &mut Vec<Event>| e.swap(7, 9))]
#[case::output_of_another(Class::Corrupt, |e: &mut Vec<Event>| e.insert(6, output("programs::replay", "late")))]
#[case::output_before_start(Class::Corrupt, |e: &mut Vec<Event>| e.insert(2, output("programs::replay", "early")))]
#[case::done_within(Class::Truncated, |e: &mut Vec<Event>| e.insert(4, done(3)))]
#[case::done_before_plan(Class::NoPlan, |e: &mut Vec<Event>| e.insert(1, done(3)))]
#[case::two_dones(Class::Corrupt, |e: &mut Vec<Event>| e.push(done(3)))]
#[case::other_outcome(Class::Fail, |e: &mut Vec<Event>| e[5] = result("programs::replay", Outcome::Fail))]
#[case::unpredicted_pass(Class::Fail, |e: &mut Vec<Event>| e[7] = result("grow", Outcome::Pass))]
#[case::skipped_after_all(Class::Fail, |e: &mut Vec<Event>| e[5] = result("programs::replay", Outcome::Skip))]
#[case::ran_after_all(Class::Fail, |e: &mut Vec<Event>| e[9] = result("udmabuf", Outcome::Pass))]
#[case::error(Class::Fail, |e: &mut Vec<Event>| e[7] = result("grow", Outcome::Error))]
#[case::timeout(Class::Fail, |e: &mut Vec<Event>| e[7] = result("grow", Outcome::Timeout))]
fn a_lying_guest_is_named(#[case] class: Class, #[case] edit: Edit) {
    let mut events = body();
    edit(&mut events);
    let verdict = verdict_of(&written(&events));
    assert_eq!(verdict.class, class, "{}", verdict.line);
}

fn nonce(events: &mut [Event], word: &str) {
    let Event::Hello { nonce, .. } = &mut events[0] else { panic!() };
    *nonce = word.into();
}

fn release(events: &mut [Event], word: &str) {
    let Event::Hello { release, .. } = &mut events[0] else { panic!() };
    *release = word.into();
}

fn cpus(events: &mut [Event], count: usize) {
    let Event::Hello { cpus, .. } = &mut events[0] else { panic!() };
    *cpus = count;
}

fn salt(events: &mut [Event], word: &str) {
    let Event::Hello { salt, .. } = &mut events[0] else { panic!() };
    *salt = word.into();
}

fn done(count: usize) -> Event {
    Event::Done { count, sha256: "0".repeat(64), taint: Some(0) }
}

fn with(more: &[u8]) -> Vec<u8> {
    [&good(), more].concat()
}

/// What happens to the bytes on their way.
#[rstest]
#[case::nothing(Class::NoPlan, Vec::new())]
#[case::only_newline(Class::Corrupt, b"\n".to_vec())]
#[case::no_done(Class::Truncated, body().iter().flat_map(line).collect())]
#[case::no_last_newline(Class::Truncated, good()[..good().len() - 1].to_vec())]
#[case::cut_in_done(Class::Truncated, good()[..good().len() - 20].to_vec())]
#[case::cut_in_hello(Class::Truncated, good()[..20].to_vec())]
#[case::event_after_done(Class::Corrupt, with(&line(&start("programs::replay"))))]
#[case::done_twice(Class::Corrupt, with(&line(&done(3))))]
#[case::bytes_after_done(Class::Corrupt, with(b"x"))]
#[case::newline_after_done(Class::Corrupt, with(b"\n"))]
#[case::the_whole_twice(Class::Corrupt, with(&good()))]
#[case::wrong_count(Class::Corrupt, finished(&body(), 2, 0))]
#[case::wrong_hash(Class::Corrupt, [body().iter().flat_map(line).collect(), line(&done(3))].concat())]
#[case::taint(Class::Splat, finished(&body(), 3, 512))]
#[case::no_taint(Class::Corrupt, finished(&body(), 3, None))]
#[case::kernel_text_between(Class::Corrupt, [b"[    1.0] random: crng init done\n".as_slice(), &good()].concat())]
#[case::kernel_text_within(
    Class::Corrupt,
    replaced("\"ms\":3", "\"m[    1.0] udmabuf: x\r\ns\":3")
)]
#[case::other_spelling(Class::Corrupt, replaced("{\"event\":\"start\",", "{ \"event\":\"start\","))]
#[case::unknown_field(Class::Corrupt, replaced("\"ms\":3", "\"ms\":3,\"x\":1"))]
#[case::key_twice(Class::Corrupt, replaced("\"ms\":3", "\"ms\":3,\"ms\":3"))]
#[case::carriage_returns(Class::Corrupt, replaced("}\n", "}\r\n"))]
#[case::nul(Class::Corrupt, replaced("ret=3", "ret=\0"))]
#[case::not_utf8(Class::Corrupt, [&good()[..200], b"\xff", &good()[200..]].concat())]
fn damaged_bytes_are_named(#[case] class: Class, #[case] bytes: Vec<u8>) {
    let verdict = verdict_of(&bytes);
    assert_eq!(verdict.class, class, "{}", verdict.line);
}

fn replaced(from: &str, to: &str) -> Vec<u8> {
    String::from_utf8(good()).unwrap().replacen(from, to, 1).into_bytes()
}

/// QEMU and the console, beside perfect results.
#[rstest]
#[case::status(Class::Qemu, Ended::Exited(1), "")]
#[case::killed(Class::Qemu, Ended::Killed(9), "")]
#[case::kvm(Class::Qemu, Ended::Kvm("KVM internal error".into()), "")]
#[case::limit(Class::Hang, Ended::Limit("no event for 60s".into()), "")]
#[case::panic(
    Class::Panic,
    Ended::Exited(0),
    "Kernel panic - not syncing: Attempted to kill init!"
)]
#[case::splat(Class::Splat, Ended::Exited(0), "WARNING: CPU: 0 PID: 1 at mm/shmem.c:1")]
#[case::panic_before_splat(
    Class::Panic,
    Ended::Exited(0),
    "Oops: 0000\nKernel panic - not syncing: x"
)]
#[case::panic_before_hang(Class::Panic, Ended::Limit("x".into()), "Kernel panic - not syncing: x")]
#[case::splat_before_hang(Class::Splat, Ended::Limit("x".into()), "BUG: soft lockup")]
fn the_surroundings_count(#[case] class: Class, #[case] ended: Ended, #[case] console: &str) {
    let verdict = verdict_with(&expected(), &good(), console.as_bytes(), &ended);
    assert_eq!(verdict.class, class, "{}", verdict.line);
}

/// A console that says nothing bad because it says too little.
#[rstest]
#[case::dead(|_: &str| String::new())]
#[case::no_banner(|console: &str| console.replace("Linux version", "x"))]
#[case::no_last_word(|console: &str| console.replace("the end of", "x"))]
#[case::of_another_boot(|console: &str| console.replace("eeff", "eefe"))]
#[case::no_end(|console: &str| console.replace("reboot:", "x"))]
#[case::cut(|console: &str| console[..console.len() - 20].to_owned())]
#[case::out_of_order(|console: &str| console.lines().rev().collect::<Vec<_>>().join("\n"))]
fn a_console_must_be_whole(#[case] edit: fn(&str) -> String) {
    let console = edit(std::str::from_utf8(CONSOLE).unwrap());
    let verdict = verdict_with(&expected(), &good(), console.as_bytes(), &Ended::Exited(0));
    assert_eq!(verdict.class, Class::Truncated, "{}", verdict.line);
}

#[rstest]
#[case::told_by_the_next("UBSAN: shift-out-of-bounds in mm/memfd.c:1:2", 2)]
#[case::or_by_none("nothing of note", 1)]
fn a_line_that_cuts_is_not_the_cause(#[case] next: &str, #[case] line: usize) {
    let console = format!("------------[ cut here ]------------\r\n{next}\r\nCall Trace:\r\n");
    let verdict = verdict_with(&expected(), &good(), console.as_bytes(), &Ended::Exited(0));
    assert!(verdict.line.starts_with(&format!("console line {line}: ")), "{}", verdict.line);
}

#[test]
fn predicting_nothing_or_only_skips_does_not_pass() {
    let nothing = written(&[hello(), plan(&[])]);
    assert_eq!(verdict_with(&[], &nothing, CONSOLE, &Ended::Exited(0)).class, Class::NoPlan);
    let skips = written(&[hello(), plan(&["a"]), start("a"), result("a", Outcome::Skip)]);
    let predicted = [("a".to_owned(), Outcome::Skip)];
    assert_eq!(verdict_with(&predicted, &skips, CONSOLE, &Ended::Exited(0)).class, Class::Fail);
}

#[test]
fn a_flipped_bit_never_passes() {
    let good = good();
    let patterns = patterns();
    let (expected, ended) = (expected(), Ended::Exited(0));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut events = good.clone();
            events[at] ^= 1 << bit;
            let verdict = judge(&Evidence {
                expected: &expected,
                events: &events,
                console: CONSOLE,
                words: "",
                ended: &ended,
                nonce: NONCE,
                salt: SALT,
                release: "7.3.4",
                cpus: 2,
                guarantees: false,
                patterns: &patterns,
            });
            assert_ne!(verdict.class, Class::Pass, "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_cut_at_any_byte_never_passes() {
    let good = good();
    for length in 0..good.len() {
        let class = verdict_of(&good[..length]).class;
        assert!(matches!(class, Class::Truncated | Class::NoPlan), "{length}: {class:?}");
    }
}

#[test]
fn a_line_dropped_doubled_or_swapped_never_passes() {
    let good = good();
    let lines: Vec<&[u8]> = good.split_inclusive(|b| *b == b'\n').collect();
    for at in 0..lines.len() {
        let dropped = [&lines[..at], &lines[at + 1..]].concat().concat();
        let doubled = [&lines[..=at], &lines[at..]].concat().concat();
        assert_ne!(verdict_of(&dropped).class, Class::Pass, "line {at} dropped");
        assert_ne!(verdict_of(&doubled).class, Class::Pass, "line {at} doubled");
        for other in 0..at {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            assert_ne!(verdict_of(&swapped.concat()).class, Class::Pass, "{at} and {other}");
        }
    }
}

fn guarantees() -> Event {
    Event::Guarantees(memfd_seals::compare::guarantees())
}

/// What the guest says of seals, where it was asked and where it was not.
#[rstest]
#[case::said(true, Class::Pass, |e: &mut Vec<Event>| e.push(guarantees()))]
#[case::nothing_can_be_said(true, Class::Pass, |e: &mut Vec<Event>| e.push(Event::Guarantees(Guarantees::default())))]
#[case::not_said(true, Class::Truncated, |_: &mut Vec<Event>| {})]
#[case::said_twice(true, Class::Corrupt, |e: &mut Vec<Event>| e.extend([guarantees(), guarantees()]))]
#[case::said_early(true, Class::Truncated, |e: &mut Vec<Event>| e.insert(6, guarantees()))]
#[case::said_within_a_test(true, Class::Truncated, |e: &mut Vec<Event>| e.insert(7, guarantees()))]
#[case::test_first(true, Class::Corrupt, |e: &mut Vec<Event>| { e.push(start("grow")); e.push(guarantees()); })]
#[case::without_a_line(true, Class::Corrupt, |e: &mut Vec<Event>| e.push(grid(|grid| { grid.lines.pop(); })))]
#[case::without_a_cell(true, Class::Corrupt, |e: &mut Vec<Event>| e.push(grid(|grid| { grid.lines[3].gives.pop(); })))]
#[case::of_another_seal(true, Class::Corrupt, |e: &mut Vec<Event>| e.push(grid(|grid| grid.seals[7].push('2'))))]
#[case::nobody_asked(false, Class::Corrupt, |e: &mut Vec<Event>| e.push(guarantees()))]
fn guarantees_are_said_once(#[case] asked: bool, #[case] class: Class, #[case] edit: Edit) {
    let mut events = body();
    edit(&mut events);
    let verdict = judge(&Evidence {
        expected: &expected(),
        events: &written(&events),
        console: CONSOLE,
        words: "",
        ended: &Ended::Exited(0),
        nonce: NONCE,
        salt: SALT,
        release: "7.3.4",
        cpus: 2,
        guarantees: asked,
        patterns: &patterns(),
    });
    assert_eq!(verdict.class, class, "{}", verdict.line);
}

fn grid(edit: fn(&mut Grid)) -> Event {
    let mut said = memfd_seals::compare::guarantees();
    edit(said.shmem.as_mut().unwrap());
    Event::Guarantees(said)
}
