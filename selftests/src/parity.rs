// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What ashmem promises and what seals do, side by side: a table of which each cell is a row of the
//! suite that passed in one run (`make parity`). A row that did not pass is no cell.

use crate::case::{Expect, Test};
use crate::cases;
use crate::events::Outcome;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::OnceLock;

mod lines;
pub use lines::{GROUPS, Line, Stronger};

/// The columns, and the files of rows that they are of.
pub const COLUMNS: [(&str, &str); 3] =
    [("ashmem", "ashmem"), ("FS_WRITE", "ashmem_fs_write"), ("FW|S|G", "ashmem_older_seals")];
/// Where the rows are that no memfd has.
pub const ALONE: &str = "ashmem_alone";
/// What a memfd's cell says there.
const NO_CALL: &str = "no call";

/// As much of the runner's summary.json as the table is made of.
#[derive(Deserialize)]
pub struct Run {
    verdict: String,
    line: String,
    base: Option<String>,
    series: Option<String>,
    tests: Vec<Ran>,
}

#[derive(Deserialize)]
struct Ran {
    name: String,
    outcome: Option<Outcome>,
}

/// The table, and what stands in the way of its being one.
pub struct Table {
    pub text: String,
    /// Empty, or the cells show `?`.
    pub missing: Vec<String>,
}

impl Line {
    /// The file of its row in this column; none where a memfd has no such call.
    pub fn area(&self, column: usize) -> Option<&'static str> {
        match (self.alone, column) {
            (false, _) => Some(COLUMNS[column].1),
            (true, 0) => Some(ALONE),
            (true, _) => None,
        }
    }

    /// What the row must give in this column, in a word.
    pub fn word(&self, column: usize) -> String {
        let Some(area) = self.area(column) else { return NO_CALL.into() };
        let said = self.words[column];
        if said.is_empty() { plain(&tests(area, self.row)[0]) } else { said.into() }
    }
}

/// Every test of a row; of one that there is not, none.
pub fn tests(area: &str, row: &str) -> Vec<Test> {
    static ALL: OnceLock<Vec<Test>> = OnceLock::new();
    let mine = |test: &&Test| test.area == area && test.case.name == row;
    ALL.get_or_init(cases::all).iter().filter(mine).copied().collect()
}

/// An expectation as a cell has it.
fn plain(test: &Test) -> String {
    match test.case.expect {
        Expect::Fails(errno) => format!("{errno:?}"),
        Expect::Returns(0) | Expect::Works => "works".into(),
        Expect::Returns(value) => format!("{value:#x}"),
        Expect::Dies(signal) => format!("{signal:?}"),
    }
}

impl Run {
    /// Reads a summary.json. Errors: the line to print.
    pub fn parse(text: &str) -> Result<Run, String> {
        serde_json::from_str(text).map_err(|error| format!("no summary of a run: {error}"))
    }

    /// The table, every cell of which is a row that passed in this run.
    pub fn table(&self) -> Table {
        let ran = self.tests.iter().map(|test| (test.name.as_str(), test.outcome));
        let ran: BTreeMap<&str, Option<Outcome>> = ran.collect();
        let mut missing = Vec::new();
        if self.verdict != "pass" {
            missing.push(format!("the run's verdict is {}: {}", self.verdict, self.line));
        }
        let (base, series) = (self.base.as_deref(), self.series.as_deref());
        let (base, series) = (base.unwrap_or("no kernel"), series.unwrap_or("no series"));
        let mut text = format!("Linux {base}, {series}: {} tests\n", self.tests.len());
        let heads = COLUMNS.map(|(head, _)| head.to_owned());
        for (heading, lines) in GROUPS {
            let _ = write!(text, "\n{}", shown(heading, &heads, "stronger", "case"));
            for line in *lines {
                let cell = |column: usize| match line.area(column) {
                    None => (line.word(column), Vec::new()),
                    Some(area) => {
                        let lacking = lacking(area, line.row, &ran);
                        let word = if lacking.is_empty() { line.word(column) } else { "?".into() };
                        (word, lacking)
                    }
                };
                let cells = [0, 1, 2].map(cell);
                let open = cells.iter().any(|(_, lacking)| !lacking.is_empty());
                missing.extend(cells.iter().flat_map(|(_, lacking)| lacking.clone()));
                let words = cells.map(|(word, _)| word);
                let stronger = if open { "?" } else { line.stronger.word() };
                text += &shown(line.call, &words, stronger, &line.case());
            }
        }
        Table { text, missing }
    }
}

/// What keeps a row from being a cell: its tests that did not run, or did not pass.
fn lacking(area: &str, row: &str, ran: &BTreeMap<&str, Option<Outcome>>) -> Vec<String> {
    let tests = tests(area, row);
    if tests.is_empty() {
        return vec![format!("{area}::{row}: no such case")];
    }
    let lack = |test: &Test| {
        let name = test.name();
        match ran.get(name.as_str()) {
            Some(Some(Outcome::Pass)) => None,
            Some(Some(other)) => Some(format!("{name}: {other}")),
            Some(None) => Some(format!("{name}: no result")),
            None => Some(format!("{name}: not in this run")),
        }
    };
    tests.iter().filter_map(lack).collect()
}

/// A line of the table.
fn shown(call: &str, cells: &[String; 3], stronger: &str, case: &str) -> String {
    let [first, second, third] = cells;
    let line = format!("{call:<36}{first:<12} {second:<9}{third:<9}{stronger:<11}{case}");
    format!("{}\n", line.trim_end())
}

/// What stands below the table.
pub const LEGEND: &str = "\
FW|S|G: F_SEAL_FUTURE_WRITE|SHRINK|GROW. stronger: whose word is worth more to who hands the region
out; memfd: both seals'; -: they differ, and neither is. Case x is ashmem::x, ashmem_fs_write::x and
ashmem_older_seals::x, one for each column; x* is tried by the maker and by each who receives it: by
dup(2), SCM_RIGHTS, fork(2), exec(2), and as another user. x+ is ashmem_alone::x: no memfd has such
a call.
";

#[cfg(test)]
mod tests_of_it;
