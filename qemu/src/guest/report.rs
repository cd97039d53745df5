// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What is printed once a run is over. Decides nothing.

use super::accel::Choice;
use super::tally::Surprise;
use super::verdict::Verdict;
use crate::class::Class;
use memfd_seals::events::Outcome;

/// The test whose output is shown in full.
const REPLAY: &str = "programs::replay";
/// Columns that a list of names may fill.
const WIDTH: usize = 96;

/// The lines, in order; the last is `verdict: <class>`. With `grouped`, the names are listed
/// under the outcome predicted of them: that is the point of the runs without a sound series.
pub fn lines(
    verdict: &Verdict,
    expected: &[(String, Outcome)],
    choice: &Choice,
    grouped: bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(replay) = verdict.tests.iter().find(|test| test.name == REPLAY) {
        lines.extend(replay.output.iter().map(|line| plain(line)));
    }
    if grouped {
        lines.extend(groups(expected, &verdict.surprises));
    }
    // After a crash every later test is a surprise of the same cause; they are in summary.json.
    let (seen, unseen): (Vec<&Surprise>, Vec<&Surprise>) =
        verdict.surprises.iter().partition(|surprise| surprise.got.is_some());
    lines.extend(seen.into_iter().map(surprised));
    match unseen[..] {
        [] => {}
        [first] => lines.push(format!("no result: {}", first.name)),
        [first, ..] => {
            lines.push(format!("no result: {} and {} more", first.name, unseen.len() - 1));
        }
    }
    lines.push(counted(verdict));
    lines.push(format!("accelerator: {}", choice.why));
    if verdict.class != Class::Pass {
        lines.push(format!("cause: {}", plain(&verdict.line)));
    }
    lines.push(format!("verdict: {}", verdict.class.word()));
    lines
}

/// `132 passed, 0 failed, 0 skipped`; errors and timeouts only where there are any.
fn counted(verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    let mut line =
        format!("{} passed, {} failed, {} skipped", counts.pass, counts.fail, counts.skip);
    for (count, word) in [(counts.error, "in error"), (counts.timeout, "timed out")] {
        if count > 0 {
            line.push_str(&format!(", {count} {word}"));
        }
    }
    line
}

fn surprised(surprise: &Surprise) -> String {
    let got = surprise.got.map_or("no result", Outcome::word);
    let why = if surprise.why.is_empty() { String::new() } else { format!(": {}", surprise.why) };
    let text = format!("{}: predicted {}, got {got}{why}", surprise.name, surprise.predicted);
    let lines: Vec<String> = text.lines().map(plain).collect();
    lines.join("\n    ")
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

/// Text from the guest without what a terminal would act upon.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
