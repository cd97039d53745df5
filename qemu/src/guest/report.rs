// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What is printed once a run is over. Decides nothing.
//!
//! After a failure, in this order, so that the end of a terminal says the most: how many tests
//! of each area, and of all, came out how; each that came out wrong, in full; the stacks of
//! splats; the console's last lines, if the cause is in the guest; the cause; the command that
//! runs it again; the verdict.

use super::accel::Choice;
use super::again::Again;
use super::stack::Stack;
use super::tally::{Row, Surprise};
use super::verdict::Verdict;
use crate::class::Class;
use memfd_seals::cases;
use memfd_seals::events::Outcome;
use memfd_seals::report::text::{lines as plain_lines, one_line, plain};
use memfd_seals::report::{Mark, area_lines};

/// The test whose output is shown in full.
const REPLAY: &str = "programs::replay";
/// Columns that a list of names may fill.
const WIDTH: usize = 96;
/// Lines of one stack; decoded.txt has the rest.
const STACK: usize = 48;
/// Lines of the console's end.
const TAIL: usize = 15;

/// All that is told of a run.
pub struct Told<'a> {
    pub verdict: &'a Verdict,
    pub expected: &'a [(String, Outcome)],
    pub rows: &'a [Row],
    pub choice: &'a Choice,
    /// The names are listed under the outcome predicted of them: that is the point of the runs
    /// without a sound series.
    pub grouped: bool,
    pub again: &'a Again,
    /// The stacks of the splats.
    pub stacks: &'a [Stack],
    /// The console as it is read.
    pub console: &'a str,
    /// The run's folder, as a person types it.
    pub folder: &'a str,
}

/// The lines, in order; the last is `verdict: <class>`.
pub fn lines(told: &Told) -> Vec<String> {
    let verdict = told.verdict;
    let mut lines = Vec::new();
    if let Some(replay) = verdict.tests.iter().find(|test| test.name == REPLAY) {
        lines.extend(replay.output.iter().map(|line| plain(line)));
    }
    if told.grouped {
        lines.extend(groups(told.expected, &verdict.surprises));
    }
    // What is missing after a crash has not failed.
    if told.rows.iter().all(|row| row.outcome.is_some()) {
        lines.extend(area_lines(told.rows));
    }
    lines.push(counted(told));
    // The caller's environment may have limited the run without anybody's thinking of it.
    let said = told.again.said();
    if !said.is_empty() {
        lines.push(format!("asked for: {said}"));
    }
    lines.push(format!("accelerator: {}", told.choice.why));
    if verdict.class != Class::Pass {
        lines.extend(failure(told));
    }
    lines.push(format!("verdict: {}", verdict.class.word()));
    lines
}

/// `132 passed, 0 failed, 0 skipped`; known failures, errors and timeouts only where there are any.
fn counted(told: &Told) -> String {
    let counts = &told.verdict.counts;
    let known = told.rows.iter().filter(|row| row.mark() == Mark::KnownToFail).count();
    let failed = counts.fail.saturating_sub(known);
    let mut line = format!("{} passed, {failed} failed, {} skipped", counts.pass, counts.skip);
    for (count, word) in
        [(known, "known to fail"), (counts.error, "in error"), (counts.timeout, "timed out")]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {word}"));
        }
    }
    line
}

/// All but the verdict's own line.
fn failure(told: &Told) -> Vec<String> {
    let (mut lines, class) = (Vec::new(), told.verdict.class);
    let (reported, missing): (Vec<&Row>, Vec<&Row>) =
        told.rows.iter().filter(|row| row.is_wrong()).partition(|row| row.outcome.is_some());
    if !reported.is_empty() {
        let (wrong, planned) = (reported.len(), told.expected.len());
        lines.push(format!("\n{wrong} of {planned} tests did not come out as predicted:"));
        lines.extend(reported.iter().flat_map(|row| in_full(row, told.again)));
    }
    if missing.len() == told.rows.len() && missing.len() > 1 {
        lines.push(format!("\nno result of any of the {} tests", missing.len()));
    } else {
        lines.extend(absent(&missing, told.again));
    }
    lines.extend(told.stacks.iter().flat_map(|stack| stacked(stack, told.folder)));
    if is_in_the_guest(class) {
        lines.extend(tail(told));
    }
    lines.push(format!("\ncause: {}", one_line(&told.verdict.line)));
    lines.push(format!("again: {}", again(told, &reported)));
    lines
}

/// One wrong test fails alone again. A guest's end may be of several tests' making, and several
/// wrong tests each have their own command above.
fn again(told: &Told, wrong: &[&Row]) -> String {
    match wrong {
        [one] if told.verdict.class == Class::Fail => told.again.only(&one.name),
        _ => told.again.all(),
    }
}

fn in_full(row: &Row, again: &Again) -> Vec<String> {
    let mut lines = vec![format!("\n{}: {} ({} ms)", one_line(&row.name), row.words(), row.ms)];
    // A test that came to no outcome of its own does not say what it was about.
    if let Some(about) = about(&row.name).filter(|about| !row.why.starts_with(about)) {
        lines.push(format!("    {about}"));
    }
    lines.extend(plain_lines(&row.why).map(|line| format!("    {line}")));
    lines.extend(row.output.iter().map(|line| format!("    | {}", plain(line))));
    if row.predicted.is_some() {
        lines.push(format!("    again: {}", again.only(&row.name)));
    }
    lines
}

/// What the host's catalogue says of a test.
fn about(name: &str) -> Option<&'static str> {
    cases::all().into_iter().find(|test| test.name() == name).map(|test| test.case.about)
}

/// After a crash every later test is missing for the same cause; summary.json names them. Results
/// come in the plan's order: the first that is missing was under way.
fn absent(missing: &[&Row], again: &Again) -> Vec<String> {
    let [first, others @ ..] = missing else { return Vec::new() };
    let more =
        if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    vec![
        format!("\nno result: {}{more}", first.name),
        format!("    only this one: {}", again.only(&first.name)),
    ]
}

fn stacked(stack: &Stack, folder: &str) -> Vec<String> {
    let state = match stack.raw.as_str() {
        "" => format!("{folder}/decoded.txt"),
        raw => format!("not decoded: {}", one_line(raw)),
    };
    let mut lines = vec![format!("\nsplat at console line {} ({state}):", stack.number)];
    lines.extend(stack.lines.iter().take(STACK).map(|line| format!("    {}", plain(line))));
    if stack.lines.len() > STACK {
        lines.push(format!("    and {} lines more", stack.lines.len() - STACK));
    }
    lines
}

/// The console's end, where a stack that stands above already is one line.
fn tail(told: &Told) -> Vec<String> {
    let mut all = Vec::new();
    for (at, line) in told.console.lines().enumerate() {
        let holds = |stack: &&Stack| (stack.number..stack.number + stack.count).contains(&(at + 1));
        match told.stacks.iter().find(holds) {
            Some(stack) if stack.number == at + 1 => {
                all.push(format!("    (the splat at console line {})", stack.number));
            }
            Some(_) => {}
            None if line.trim().is_empty() => {}
            None => all.push(format!("    {}", plain(line))),
        }
    }
    if all.is_empty() {
        return vec!["\nthe console is empty".to_owned()];
    }
    let from = all.len().saturating_sub(TAIL);
    let mut lines = vec![format!("\nthe console's last lines ({}/console.log):", told.folder)];
    lines.extend(all.split_off(from));
    lines
}

/// Whether the console may say more than the tests do.
fn is_in_the_guest(class: Class) -> bool {
    !matches!(class, Class::Pass | Class::Fail)
}

/// The names under each predicted outcome, and how many came out so.
fn groups(expected: &[(String, Outcome)], surprises: &[Surprise]) -> Vec<String> {
    let mut lines = Vec::new();
    let all = [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Skip, Outcome::Timeout];
    for outcome in all {
        let names: Vec<&str> =
            expected.iter().filter(|(_, o)| *o == outcome).map(|(name, _)| &**name).collect();
        if names.is_empty() {
            continue;
        }
        let odd = surprises.iter().filter(|surprise| surprise.predicted == outcome).count();
        let so = names.len() - odd;
        lines.push(format!("predicted {outcome}: {so} of {} came out so", names.len()));
        lines.extend(filled(&names));
    }
    lines
}

/// Names in indented lines of at most [`WIDTH`] columns, unless one name is longer.
fn filled(names: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::from("   ");
    for name in names {
        if line.len() + 1 + name.len() > WIDTH && line.trim() != "" {
            lines.push(std::mem::replace(&mut line, String::from("   ")));
        }
        line.push(' ');
        line.push_str(name);
    }
    lines.push(line);
    lines
}
