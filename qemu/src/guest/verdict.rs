// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! From evidence to a verdict. [`Class::Pass`] is written in one place, and reaching it takes
//! every step of [`prove`]; whatever stops short of it has a class of its own.
//!
//! When several causes hold, the one nearest to the root is named, in this order:
//!
//! 1. panic: whatever is missing or wrong after it is its consequence;
//! 2. splat: likewise, and it explains a hang better than the hang does;
//! 3. hang, then QEMU's own end: they explain why results are missing;
//! 4. another kernel or boot: then the results, good or bad, are not about this one;
//! 5. results missing, cut or contradictory: then the outcomes can't be believed;
//! 6. a taint without a splat, a console that is not whole: the kernel may not be well;
//! 7. outcomes that were not predicted.

use super::boot::{self, Ended};
use super::splat::{self, Kind, Patterns, Splat};
use super::stream::{self, Line, Stream};
use super::tally::{self, Counts, Surprise, Test};
use crate::class::Class;
use memfd_seals::compare::Guarantees;
use memfd_seals::events::{Chain, Event, Outcome};
use memfd_seals::init;

/// All that is known after a boot.
pub struct Evidence<'a> {
    /// What must be planned, in order, and how each must come out.
    pub expected: &'a [(String, Outcome)],
    /// The bytes of the results' port.
    pub events: &'a [u8],
    /// The bytes of the console.
    pub console: &'a [u8],
    /// What QEMU itself said.
    pub words: &'a str,
    pub ended: &'a Ended,
    /// What this boot was told to echo.
    pub nonce: &'a str,
    /// The kernel's build salt, and its release.
    pub salt: &'a str,
    pub release: &'a str,
    /// The CPUs that the guest was given.
    pub cpus: u32,
    /// Whether it was asked what it guarantees.
    pub guarantees: bool,
    pub patterns: &'a Patterns,
}

/// What a run comes to.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub class: Class,
    /// The cause, in one line.
    pub line: String,
    pub counts: Counts,
    pub tests: Vec<Test>,
    pub surprises: Vec<Surprise>,
    /// What the guest said that it guarantees.
    pub guarantees: Option<Guarantees>,
}

type Fault = (Class, String);

/// Judges a boot. Total: every input has a verdict.
pub fn judge(evidence: &Evidence) -> Verdict {
    let stream = stream::parse(evidence.events);
    let splats = evidence.patterns.scan(evidence.console);
    let tests = tally::tests(&stream);
    let surprises = tally::surprises(evidence.expected, &tests);
    let (class, line) = match prove(evidence, &stream, &splats, &surprises) {
        Ok(Proven { ran }) => (Class::Pass, format!("all {ran} tests came out as predicted")),
        Err(fault) => fault,
    };
    let guarantees = stream.lines.into_iter().find_map(|line| match line.event {
        Event::Guarantees(said) => Some(said),
        _ => None,
    });
    Verdict { class, line, counts: tally::counts(&tests), tests, surprises, guarantees }
}

/// Only [`prove`] makes one, at its last line.
struct Proven {
    ran: usize,
}

fn prove(
    evidence: &Evidence,
    stream: &Stream,
    splats: &[Splat],
    surprises: &[Surprise],
) -> Result<Proven, Fault> {
    console_is_quiet(splats)?;
    qemu_ended_by_itself(evidence, stream)?;
    let lines = hello_is_ours(evidence, stream)?;
    let (plan, lines) = plan_is_ours(evidence.expected, lines)?;
    let lines = each_reported_once(plan, lines, stream)?;
    let lines = if evidence.guarantees { guarantees_are_next(lines, stream)? } else { lines };
    match done_is_last(evidence.events, plan.len(), lines, stream)? {
        Some(0) => {}
        None => return Err((Class::Corrupt, "the kernel's taint could not be read".to_owned())),
        Some(taint) => {
            let line = format!("the kernel is tainted ({taint}), without a splat");
            return Err((Class::Splat, line));
        }
    }
    console_is_whole(evidence)?;
    outcomes_as_predicted(surprises)?;
    let ran = evidence.expected.iter().filter(|(_, outcome)| *outcome != Outcome::Skip).count();
    if ran == 0 {
        return Err((Class::Fail, "no test ran: every one was skipped".to_owned()));
    }
    Ok(Proven { ran })
}

fn console_is_quiet(splats: &[Splat]) -> Result<(), Fault> {
    let first = |kind| splats.iter().find(|splat| splat.kind == kind);
    let says = |splat| {
        let splat = telling(splats, splat);
        format!("console line {}: {}", splat.number, splat.line.trim())
    };
    match (first(Kind::Panic), first(Kind::Splat)) {
        (Some(panic), _) => Err((Class::Panic, says(panic))),
        (None, Some(splat)) => Err((Class::Splat, says(splat))),
        (None, None) => Ok(()),
    }
}

/// A console that is dead, cut or muted is quiet, too: its first words, /init's last one, which
/// comes after the tests, and the kernel's must be there.
fn console_is_whole(evidence: &Evidence) -> Result<(), Fault> {
    let console = splat::readable(evidence.console);
    let last = format!("{}{}", init::LAST_WORD, evidence.nonce);
    let mut rest = console.as_str();
    for mark in ["Linux version ", &last, "reboot: Restarting system"] {
        let Some((_, after)) = rest.split_once(mark) else {
            return Err((Class::Truncated, format!("the console lacks {mark:?} in its place")));
        };
        rest = after;
    }
    Ok(())
}

/// The line that only marks where a report begins tells nothing; the next one does.
fn telling<'a>(splats: &'a [Splat], first: &'a Splat) -> &'a Splat {
    let marks = first.line.contains("[ cut here ]");
    splats.iter().find(|next| marks && next.number == first.number + 1).unwrap_or(first)
}

fn qemu_ended_by_itself(evidence: &Evidence, stream: &Stream) -> Result<(), Fault> {
    let said = boot::complaint(evidence.words);
    let said = said.map_or(String::new(), |line| format!(": {line}"));
    match evidence.ended {
        Ended::Exited(0) => Ok(()),
        Ended::Exited(status) => {
            Err((Class::Qemu, format!("QEMU ended with status {status}{said}")))
        }
        Ended::Killed(signal) => {
            Err((Class::Qemu, format!("QEMU was killed by signal {signal}{said}")))
        }
        Ended::Kvm(why) => {
            Err((Class::Qemu, format!("KVM failed ({why}); the next run takes TCG")))
        }
        Ended::Limit(limit) => Err((Class::Hang, format!("{limit}; {}", last_seen(stream)))),
    }
}

/// Where the guest was when it stopped talking.
fn last_seen(stream: &Stream) -> String {
    match stream.lines.last().map(|line| &line.event) {
        None => "no event was seen".to_owned(),
        Some(Event::Hello { .. } | Event::Plan { .. }) => "no test had started".to_owned(),
        Some(Event::Start { test } | Event::Output { test, .. } | Event::Counted { test, .. }) => {
            format!("in {test}")
        }
        Some(Event::Result { test, .. }) => format!("after {test}"),
        Some(Event::Guarantees(_)) => "after the last test".to_owned(),
        Some(Event::Done { .. }) => "after done, while powering off".to_owned(),
    }
}

fn hello_is_ours<'a>(evidence: &Evidence, stream: &'a Stream) -> Result<&'a [Line], Fault> {
    let Some((first, rest)) = stream.lines.split_first() else {
        return Err(nothing_more(stream, Class::NoPlan, "the guest never said hello"));
    };
    let Event::Hello { nonce, salt, release, cpus, .. } = &first.event else {
        return Err((Class::Corrupt, "the first event is not hello".to_owned()));
    };
    if nonce != evidence.nonce {
        return Err((
            Class::WrongKernel,
            format!("the results are of another boot: nonce {nonce:?}, not {:?}", evidence.nonce),
        ));
    }
    if salt != evidence.salt {
        return Err((
            Class::WrongKernel,
            format!("another kernel ran: build salt {salt:?}, not {:?}", evidence.salt),
        ));
    }
    if release != evidence.release {
        return Err((
            Class::WrongKernel,
            format!("another kernel ran: release {release:?}, not {:?}", evidence.release),
        ));
    }
    if *cpus != evidence.cpus as usize {
        let line = format!("the kernel brought up {cpus} CPUs, not {}", evidence.cpus);
        return Err((Class::WrongKernel, line));
    }
    Ok(rest)
}

fn plan_is_ours<'a>(
    expected: &[(String, Outcome)],
    lines: &'a [Line],
) -> Result<(&'a [String], &'a [Line]), Fault> {
    let Some((first, rest)) = lines.split_first() else {
        return Err((Class::NoPlan, "hello, and then no plan".to_owned()));
    };
    let Event::Plan { tests } = &first.event else {
        return Err((Class::NoPlan, "what follows hello is not a plan".to_owned()));
    };
    if tests.is_empty() {
        return Err((Class::NoPlan, "the plan is empty".to_owned()));
    }
    let wanted = expected.iter().map(|(name, _)| name);
    if !tests.iter().eq(wanted.clone()) {
        let missing = wanted.clone().find(|name| !tests.contains(name));
        let extra = tests.iter().find(|name| !wanted.clone().any(|wanted| wanted == *name));
        return Err((
            Class::Corrupt,
            match (missing, extra) {
                (Some(name), _) => format!("the plan lacks {name}"),
                (None, Some(name)) => format!("the plan has {name}, which nothing predicts"),
                (None, None) => "the plan repeats a test or has another order".to_owned(),
            },
        ));
    }
    Ok((tests, rest))
}

/// Start, any output, result; test by test, in the plan's order. Gives what follows the last.
fn each_reported_once<'a>(
    plan: &[String],
    mut lines: &'a [Line],
    stream: &Stream,
) -> Result<&'a [Line], Fault> {
    for due in plan {
        let mut started = false;
        loop {
            let Some((line, rest)) = lines.split_first() else {
                let state = if started { "started, without a result" } else { "not started" };
                return Err(nothing_more(stream, Class::Truncated, &format!("{due}: {state}")));
            };
            match &line.event {
                Event::Start { test } if test == due && !started => started = true,
                Event::Output { test, .. } | Event::Counted { test, .. }
                    if test == due && started => {}
                Event::Result { test, .. } if test == due && started => {
                    lines = rest;
                    break;
                }
                other => return Err(out_of_turn(other, due, plan, rest, stream)),
            }
            lines = rest;
        }
    }
    Ok(lines)
}

/// Names what an event that is not `due`'s next says about the stream.
fn out_of_turn(event: &Event, due: &str, plan: &[String], rest: &[Line], stream: &Stream) -> Fault {
    let reports = |line: &Line| matches!(&line.event, Event::Result { test, .. } if test == due);
    let reported_later = rest.iter().any(reports);
    match event {
        Event::Hello { .. } => (Class::Corrupt, format!("a second hello, before {due}")),
        Event::Plan { .. } => (Class::Corrupt, format!("a second plan, before {due}")),
        Event::Guarantees(_) => {
            (Class::Truncated, format!("the guarantees came before {due}'s result"))
        }
        Event::Done { .. } => (Class::Truncated, format!("done came before {due}'s result")),
        Event::Start { test }
        | Event::Output { test, .. }
        | Event::Counted { test, .. }
        | Event::Result { test, .. } => {
            let name =
                |line: &&Line| matches!(&line.event, Event::Result { test: t, .. } if t == test);
            if !plan.contains(test) {
                (Class::Corrupt, format!("{test} was not planned"))
            } else if stream.lines.iter().filter(name).count() > 1 {
                (Class::Corrupt, format!("{test} is reported twice"))
            } else if test != due && !reported_later && !position_before(plan, test, due) {
                (Class::Truncated, format!("{due} has no result: {test} came next"))
            } else {
                (Class::Corrupt, format!("an event of {test} out of order, where {due} was due"))
            }
        }
    }
}

fn position_before(plan: &[String], test: &str, due: &str) -> bool {
    let at = |name: &str| plan.iter().position(|planned| planned == name);
    at(test) < at(due)
}

/// What the kernel guarantees, of each call and seal that this copy of the suite knows.
fn guarantees_are_next<'a>(lines: &'a [Line], stream: &Stream) -> Result<&'a [Line], Fault> {
    let Some((line, rest)) = lines.split_first() else {
        return Err(nothing_more(stream, Class::Truncated, "no guarantees"));
    };
    match &line.event {
        Event::Guarantees(said) => {
            let mut grids = [&said.shmem, &said.hugetlb].into_iter().flatten();
            if grids.all(|grid| grid.is_whole()) {
                return Ok(rest);
            }
            Err((Class::Corrupt, "the guarantees are of other calls or seals".to_owned()))
        }
        Event::Done { .. } => Err((Class::Truncated, "done came before the guarantees".to_owned())),
        _ => Err((Class::Corrupt, "results go on after the last planned test".to_owned())),
    }
}

/// Done, with the right count and hash, and nothing after it. Gives the taint.
fn done_is_last(
    bytes: &[u8],
    planned: usize,
    lines: &[Line],
    stream: &Stream,
) -> Result<Option<u64>, Fault> {
    let Some((line, rest)) = lines.split_first() else {
        return Err(nothing_more(stream, Class::Truncated, "no done event"));
    };
    let Event::Done { count, sha256, taint } = &line.event else {
        return Err((Class::Corrupt, "results go on after the last planned test".to_owned()));
    };
    if *count != planned {
        return Err((Class::Corrupt, format!("done counts {count} results, not {planned}")));
    }
    let mut chain = Chain::default();
    chain.add(&bytes[..line.at]);
    if *sha256 != chain.hex() {
        return Err((Class::Corrupt, "done's hash is not that of the bytes before it".to_owned()));
    }
    if !rest.is_empty() || stream.bad.is_some() {
        return Err((Class::Corrupt, "bytes follow the done event".to_owned()));
    }
    Ok(*taint)
}

/// The events ended: because of a bad line, because the stream was cut, or simply.
fn nothing_more(stream: &Stream, class: Class, missing: &str) -> Fault {
    match &stream.bad {
        None => (class, missing.to_owned()),
        Some(bad) if bad.cut => {
            (Class::Truncated, format!("results line {}: {}; {missing}", bad.line, bad.why))
        }
        Some(bad) => (Class::Corrupt, format!("results line {}: {}", bad.line, bad.why)),
    }
}

fn outcomes_as_predicted(surprises: &[Surprise]) -> Result<(), Fault> {
    let Some(first) = surprises.first() else { return Ok(()) };
    let got = first.got.map_or("nothing", Outcome::word);
    let more = match surprises.len() {
        1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    Err((Class::Fail, format!("{}: {} predicted, {got} seen{more}", first.name, first.predicted)))
}
