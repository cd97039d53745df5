// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A run's results for people and for machines. The runner writes those of a guest with the same
//! code. Decides nothing but what a row means beside its prediction.

pub mod files;
pub mod json;
pub mod junit;
pub mod ktap;
pub mod text;

use crate::events::Outcome;
use serde::Serialize;

/// One row of what people and machines are given: a planned test, or a result that nobody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub name: String,
    /// None: the catalogue did not plan this result.
    pub predicted: Option<Outcome>,
    /// Why that is predicted; empty for a pass.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// None: no result.
    pub outcome: Option<Outcome>,
    /// Wall time of the test, milliseconds.
    pub ms: u64,
    /// What was done, expected and got, or the reason of a skip.
    pub why: String,
    /// Lines that the test wanted a person to see.
    pub output: Vec<String>,
    /// As how many it counts, where it is many in one: checks of the model, rounds of a race; else 0.
    #[serde(skip_serializing_if = "is_0")]
    pub checks: u64,
}

fn is_0(count: &u64) -> bool {
    *count == 0
}

/// What a row means to a reader who knows no predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Passed,
    /// Skipped, as predicted.
    Skipped,
    /// Failed, as predicted.
    KnownToFail,
    /// Pass and fail are the other way round than predicted.
    Failed,
    /// Timed out.
    TimedOut,
    /// No outcome that says anything: in error, missing, not planned, or skipped after all.
    Error,
}

impl Row {
    /// Green are the first three only.
    pub fn mark(&self) -> Mark {
        match (self.predicted, self.outcome) {
            (None, _) | (_, None) => Mark::Error,
            // A file of --known may say so; the runner never does.
            (Some(predicted @ (Outcome::Error | Outcome::Timeout)), Some(got))
                if predicted == got =>
            {
                Mark::KnownToFail
            }
            (_, Some(Outcome::Error)) => Mark::Error,
            (_, Some(Outcome::Timeout)) => Mark::TimedOut,
            (Some(predicted), Some(Outcome::Skip)) if predicted != Outcome::Skip => Mark::Error,
            (Some(predicted), Some(got)) if predicted != got => Mark::Failed,
            (_, Some(Outcome::Pass)) => Mark::Passed,
            (_, Some(Outcome::Skip)) => Mark::Skipped,
            (_, Some(Outcome::Fail)) => Mark::KnownToFail,
        }
    }

    /// Whether it came out otherwise than predicted, or not at all.
    pub fn is_wrong(&self) -> bool {
        !matches!(self.mark(), Mark::Passed | Mark::Skipped | Mark::KnownToFail)
    }

    /// How it came out, in a few words: "predicted pass, got fail".
    pub fn words(&self) -> String {
        match (self.predicted, self.outcome) {
            (None, Some(got)) => format!("not planned, or reported again: {got}"),
            (Some(predicted), Some(got)) if predicted == got => format!("{got}, as predicted"),
            (Some(predicted), Some(got)) => format!("predicted {predicted}, got {got}"),
            (_, None) => "no result".to_owned(),
        }
    }
}

/// How a run ended as a whole: the last line of its reports, which is never green by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    Pass,
    /// Tests came out otherwise than predicted.
    Fail {
        cause: &'a str,
    },
    /// Anything else, by a word of its own.
    Other {
        word: &'a str,
        cause: &'a str,
    },
}

impl<'a> Ending<'a> {
    /// "pass", "fail", or the word of the other.
    pub fn word(self) -> &'a str {
        match self {
            Ending::Pass => "pass",
            Ending::Fail { .. } => "fail",
            Ending::Other { word, .. } => word,
        }
    }

    /// In one line; empty for a pass.
    pub fn cause(self) -> &'a str {
        match self {
            Ending::Pass => "",
            Ending::Fail { cause } | Ending::Other { cause, .. } => cause,
        }
    }
}

/// How the tests of one file of cases came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Area {
    pub area: String,
    pub passed: usize,
    /// Otherwise than predicted, whatever came.
    pub failed: usize,
    /// Failed as predicted.
    pub known: usize,
    pub skipped: usize,
    /// Checks of the model, rounds of races; 0 where tests are just that.
    #[serde(skip_serializing_if = "is_0")]
    pub checks: u64,
}

/// The rows by area, in the order in which the areas come.
pub fn areas(rows: &[Row]) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for row in rows {
        let name = row.name.split("::").next().unwrap_or_default();
        let at = areas.iter().position(|area| area.area == name).unwrap_or_else(|| {
            areas.push(Area { area: name.to_owned(), ..Area::default() });
            areas.len() - 1
        });
        areas[at].checks = areas[at].checks.saturating_add(row.checks);
        match row.mark() {
            Mark::Passed => areas[at].passed += 1,
            Mark::Skipped => areas[at].skipped += 1,
            Mark::KnownToFail => areas[at].known += 1,
            Mark::Failed | Mark::TimedOut | Mark::Error => areas[at].failed += 1,
        }
    }
    areas
}

/// The same as lines for people, under a line of heads.
pub fn area_lines(rows: &[Row]) -> Vec<String> {
    let areas = areas(rows);
    let width = areas.iter().map(|area| area.area.len()).max().unwrap_or(0).max(11);
    // Only where something is many in one.
    let columns = if areas.iter().any(|area| area.checks != 0) { 5 } else { 4 };
    let line = |name: &str, cells: [String; 5]| {
        let cells: String = cells[..columns].iter().map(|cell| format!(" {cell:>7}")).collect();
        format!("{:width$}{cells}", text::one_line(name)).trim_end().to_owned()
    };
    let heads = ["passed", "failed", "known", "skipped", "checks"].map(str::to_owned);
    let count = |area: &Area| {
        let [passed, failed, known, skipped] =
            [area.passed, area.failed, area.known, area.skipped].map(|count| count.to_string());
        let checks = if area.checks == 0 { String::new() } else { area.checks.to_string() };
        line(&area.area, [passed, failed, known, skipped, checks])
    };
    [line("", heads)].into_iter().chain(areas.iter().map(count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn row(name: &str, predicted: Option<Outcome>, outcome: Option<Outcome>) -> Row {
        let (name, why) = (name.to_owned(), String::new());
        let (reason, output) = (String::new(), Vec::new());
        Row { name, predicted, outcome, reason, ms: 0, why, output, checks: 0 }
    }

    /// Green takes a prediction and a result that is the same.
    #[test]
    fn only_what_was_predicted_is_green() {
        let all = [Outcome::Pass, Outcome::Fail, Outcome::Error, Outcome::Skip, Outcome::Timeout];
        let or_none = || all.map(Some).into_iter().chain([None]);
        for (predicted, outcome) in or_none().flat_map(|p| or_none().map(move |o| (p, o))) {
            let green = predicted.is_some() && predicted == outcome;
            assert_eq!(
                !row("x", predicted, outcome).is_wrong(),
                green,
                "{predicted:?} {outcome:?}"
            );
        }
    }

    #[rstest]
    #[case(Outcome::Pass, Outcome::Pass, [1, 0, 0, 0])]
    #[case(Outcome::Pass, Outcome::Skip, [0, 1, 0, 0])]
    #[case(Outcome::Fail, Outcome::Pass, [0, 1, 0, 0])]
    #[case(Outcome::Fail, Outcome::Fail, [0, 0, 1, 0])]
    #[case(Outcome::Error, Outcome::Error, [0, 0, 1, 0])]
    #[case(Outcome::Skip, Outcome::Skip, [0, 0, 0, 1])]
    fn areas_count(#[case] predicted: Outcome, #[case] got: Outcome, #[case] want: [usize; 4]) {
        let rows = [row("b", Some(Outcome::Pass), None), row("a::x", Some(predicted), Some(got))];
        let areas = areas(&rows);
        let Area { passed, failed, known, skipped, .. } = areas[1];
        assert_eq!((areas[0].area.as_str(), areas[0].failed), ("b", 1));
        assert_eq!([passed, failed, known, skipped], want);
    }
}
