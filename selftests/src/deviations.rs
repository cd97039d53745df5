// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `deviations.toml`, and files of the same shape: what kernels are known to do otherwise than the
//! cases say, and why. The shape stands at the head of the suite's own file.

use crate::events::Outcome;
use crate::feature::{FEATURES, Feature};
use glob::Pattern;
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// Where the suite's own table is.
pub const OWN: &str = "selftests/deviations.toml";

/// Every row, those that come first where several hold last.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
    disagreements: Vec<Disagreement>,
}

/// What a kernel is known to do otherwise than the model says.
#[derive(Debug)]
struct Disagreement {
    seen: Pattern,
    when: Vec<When>,
    reason: String,
}

/// One known deviation.
#[derive(Debug)]
pub struct Row {
    /// As written: a test's name or a pattern.
    pub test: String,
    pattern: Pattern,
    /// The tests that this is.
    tests: Vec<String>,
    when: Vec<When>,
    /// What the test comes out as.
    pub got: Outcome,
    /// The subject of the patch that ends it.
    pub fixed_by: Option<String>,
    pub reason: String,
    /// The file that has it.
    pub file: String,
    /// And the line there.
    pub line: usize,
}

/// A condition over the features of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct When {
    feature: &'static str,
    there: bool,
}

impl When {
    fn parse(text: &str) -> Result<When, String> {
        let (name, there) = text.strip_prefix("no ").map_or((text, true), |name| (name, false));
        let named = |feature: &&Feature| feature.name == name;
        let feature = FEATURES.iter().find(named).ok_or_else(|| {
            let known: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
            format!("no feature is called {name:?}; there are {}", known.join(", "))
        })?;
        Ok(When { feature: feature.name, there })
    }

    fn holds(&self, features: &[&str]) -> bool {
        features.contains(&self.feature) == self.there
    }

    fn denies(&self, other: &When) -> bool {
        self.feature == other.feature && self.there != other.there
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    deviation: Vec<Spanned<Written>>,
    #[serde(default)]
    disagreement: Vec<Spanned<Seen>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    seen: String,
    when: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    test: String,
    #[serde(default)]
    when: Vec<String>,
    got: Outcome,
    fixed_by: Option<String>,
    reason: String,
}

impl Table {
    /// The suite's own.
    pub fn own() -> Result<Table, String> {
        Table::parse(OWN, include_str!("../deviations.toml"))
    }

    /// This table and that of a file, whose rows come first. Errors: one line for a person.
    pub fn with(mut self, file: &Path) -> Result<Table, String> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{name}: {error}"))?;
        let other = Table::parse(&name, &text)?;
        self.rows.extend(other.rows);
        self.disagreements.extend(other.disagreements);
        Ok(self)
    }

    /// The rows of a file's text, all of which are in order. Errors: one line for a person.
    pub fn parse(file: &str, text: &str) -> Result<Table, String> {
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let parsed: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(String::new(), |span| format!("{}:", line(span.start)));
            format!("{file}:{at} {}", error.message().replace('\n', " "))
        })?;
        let tests: Vec<_> = crate::cases::all().iter().map(|test| test.name()).collect();
        let mut rows: Vec<Row> = Vec::new();
        for written in parsed.deviation {
            let at = line(written.span().start);
            let row = row(file, at, written.into_inner(), &tests)
                .and_then(|row| row.fits(&rows).map(|()| row))
                .map_err(|what| format!("{file}:{at}: {what}"))?;
            rows.push(row);
        }
        let disagreement = |seen: Spanned<Seen>| {
            let at = line(seen.span().start);
            disagreement(seen.into_inner()).map_err(|what| format!("{file}:{at}: {what}"))
        };
        let disagreements = parsed.disagreement.into_iter().map(disagreement);
        Ok(Table { rows, disagreements: disagreements.collect::<Result<_, _>>()? })
    }

    /// Why a kernel with these features disagrees with the model in this, if that is known.
    pub fn explains(&self, what: &str, features: &[&str]) -> Option<&str> {
        let known = self.disagreements.iter().find(|known| {
            known.seen.matches(what) && known.when.iter().all(|when| when.holds(features))
        });
        known.map(|known| known.reason.as_str())
    }

    /// What is known of a test on a kernel with these features and patches.
    pub fn find(&self, test: &str, features: &[&str], patches: &[String]) -> Option<&Row> {
        let holds = |row: &&Row| row.names(test) && row.holds(features, patches);
        self.rows.iter().rev().find(holds)
    }

    /// The subjects that rows name.
    pub fn fixes(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(|row| row.fixed_by.as_deref())
    }
}

/// Checks what a row about the model says. Such a row must name a feature: what no kernel does is not
/// a deviation, but an error of the model.
fn disagreement(seen: Seen) -> Result<Disagreement, String> {
    let Seen { seen, when, reason } = seen;
    let pattern = Pattern::new(&seen).map_err(|error| format!("{seen}: {error}"))?;
    let when = when.iter().map(|text| When::parse(text));
    let when: Vec<_> = when.collect::<Result<_, _>>().map_err(|what| format!("{seen}: {what}"))?;
    if when.is_empty() || reason.trim().is_empty() {
        return Err(format!("{seen}: say when it is seen, and why"));
    }
    Ok(Disagreement { seen: pattern, when, reason })
}

/// Checks what a row says by itself.
fn row(file: &str, line: usize, written: Written, all: &[String]) -> Result<Row, String> {
    let Written { test, when, got, fixed_by, reason } = written;
    let pattern = Pattern::new(&test).map_err(|error| format!("{test}: {error}"))?;
    let when = when.iter().map(|text| When::parse(text));
    let when = when.collect::<Result<_, _>>().map_err(|what| format!("{test}: {what}"))?;
    let tests = all.iter().filter(|test| pattern.matches(test)).cloned().collect();
    let row =
        Row { test, pattern, tests, when, got, fixed_by, reason, file: file.to_owned(), line };
    if row.reason.trim().is_empty() {
        return Err(format!("{}: the reason is missing: say why it comes out as {got}", row.test));
    }
    if row.fixed_by.as_deref().is_some_and(|subject| subject.trim().is_empty()) {
        return Err(format!("{}: fixed_by is empty: leave it out, or name the patch", row.test));
    }
    if file == OWN && !matches!(got, Outcome::Fail | Outcome::Skip) {
        return Err(format!("{}: got = \"{got}\": only fail and skip can be known here", row.test));
    }
    if let Some(one) = row.when.iter().find(|one| row.when.iter().any(|other| one.denies(other))) {
        return Err(format!("{}: {} can't be both there and not", row.test, one.feature));
    }
    if row.tests.is_empty() {
        return Err(format!("{}: no test has that name; --list shows them", row.test));
    }
    Ok(row)
}

impl Row {
    /// Where it stands: "selftests/deviations.toml:20".
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    fn names(&self, test: &str) -> bool {
        self.pattern.matches(test)
    }

    fn holds(&self, features: &[&str], patches: &[String]) -> bool {
        let fixed = self.fixed_by.as_ref().is_some_and(|subject| patches.contains(subject));
        !fixed && self.when.iter().all(|when| when.holds(features))
    }

    /// Refuses a row that may speak of the same test at the same time as one before it.
    fn fits(&self, before: &[Row]) -> Result<(), String> {
        let together = |row: &&Row| {
            !self.when.iter().any(|one| row.when.iter().any(|other| one.denies(other)))
        };
        for row in before.iter().filter(together) {
            if let Some(test) = self.tests.iter().find(|test| row.names(test)) {
                return Err(format!("{test}: line {} speaks of it on the same kernels", row.line));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "deviations_tests.rs"]
mod tests;
