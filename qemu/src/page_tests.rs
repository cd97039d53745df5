// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! guarantees.html is of the series as they are now, and of every cell of patches/bases.toml; the report of
//! `make revision` that goes with the mainline series is of that series.

use crate::bases;
use crate::series::Series;
use memfd_seals::compare::Grid;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = "guarantees.html";
/// The folder of the series with a report, which is in it.
const REPORTED: &str = "patches/mainline";

#[derive(Deserialize)]
struct Data {
    schema: u32,
    cells: Vec<Cell>,
}

/// What is looked at here of a record of ci/matrix.
#[derive(Deserialize)]
struct Cell {
    cell: String,
    variables: Variables,
    verdict: String,
    patches_hash: String,
    guarantees: Grid,
    guarantees_hugetlb: Grid,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE", deny_unknown_fields)]
struct Variables {
    base: String,
    series: String,
    arch: String,
    config: String,
    abi: String,
}

/// What is looked at here of ci/revision's report.json.
#[derive(Deserialize)]
struct Report {
    schema: u32,
    series: String,
    series_hash: String,
    complete: bool,
    passed: bool,
    gates: Vec<Gate>,
}

#[derive(Deserialize)]
struct Gate {
    gate: String,
    problems: Vec<String>,
}

fn repo() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/..").into()
}

/// The cells that the list asks for.
fn listed() -> BTreeSet<Variables> {
    let mut cells = BTreeSet::new();
    for row in bases::all(&repo()).unwrap() {
        let plain = Variables {
            base: row.folder,
            series: String::new(),
            arch: String::new(),
            config: String::new(),
            abi: String::new(),
        };
        let more = row.more.into_iter().map(|more| Variables {
            arch: more.arch,
            config: more.config,
            abi: more.abi,
            ..plain.clone()
        });
        cells.extend(more);
        cells.insert(Variables { series: "none".into(), ..plain.clone() });
        cells.insert(plain);
    }
    cells
}

/// The hash of the folder's patches as they are now.
fn hash_of(repo: &Path, variables: &Variables) -> String {
    let given = Some(variables.series.as_str()).filter(|series| !series.is_empty());
    Series::find(repo, given, &variables.base).unwrap().hash().unwrap()
}

/// What is wrong with a page, a line each.
fn faults(page: &str) -> Vec<String> {
    let data = page.split_once("<script type=\"application/json\" id=\"data\">");
    let Some((body, data)) =
        data.and_then(|(body, rest)| Some((body, rest.split_once("</script>")?.0)))
    else {
        return vec!["it has no data".into()];
    };
    let data: Data = match serde_json::from_str(data) {
        Ok(data) => data,
        Err(error) => return vec![format!("its data: {error}")],
    };
    let mut faults = Vec::new();
    if data.schema != 1 {
        faults.push(format!("its schema is {}", data.schema));
    }
    let shown: BTreeSet<_> = data.cells.iter().map(|cell| cell.variables.clone()).collect();
    let listed = listed();
    faults.extend(listed.difference(&shown).map(|cell| format!("it lacks {cell:?}")));
    faults.extend(shown.difference(&listed).map(|cell| format!("{cell:?} is not in the list")));
    if shown.len() != data.cells.len() {
        faults.push("a cell stands twice".into());
    }
    for cell in data.cells.iter().filter(|cell| listed.contains(&cell.variables)) {
        let name = &cell.cell;
        let now = hash_of(&repo(), &cell.variables);
        if cell.patches_hash != now {
            let (was, now) = (&cell.patches_hash, &now);
            faults.push(format!(
                "{name}: patches/{} was {was:.12}, is {now:.12}",
                cell.variables.base
            ));
        }
        if !body.contains(&cell.patches_hash[..cell.patches_hash.len().min(12)]) {
            faults.push(format!("{name}: its hash is not to be seen"));
        }
        if cell.verdict != "pass" {
            faults.push(format!("{name}: its verdict is {}", cell.verdict));
        }
        if !cell.guarantees.is_whole() || !cell.guarantees_hugetlb.is_whole() {
            faults.push(format!("{name}: the suite has other calls or seals now"));
        }
    }
    faults
}

#[test]
fn the_page_is_of_what_is_here() {
    let page = std::fs::read_to_string(repo().join(PAGE)).unwrap_or_default();
    let faults = faults(&page);
    assert!(faults.is_empty(), "{PAGE} is stale, run: make matrix\n{}", faults.join("\n"));
}

/// What is wrong with a report, a line each; `texts` are its Markdown and its page.
fn stale(report: &str, texts: [&str; 2], hash: &str) -> Vec<String> {
    let report: Report = match serde_json::from_str(report) {
        Ok(report) => report,
        Err(error) => return vec![format!("report.json: {error}")],
    };
    let mut faults = Vec::new();
    if (report.schema, report.series.as_str()) != (1, REPORTED) {
        faults.push(format!("schema {}, of {}", report.schema, report.series));
    }
    if report.series_hash != hash {
        faults.push(format!("{REPORTED} was {:.12}, is {hash:.12}", report.series_hash));
    }
    if !report.complete || !report.passed {
        faults.push("not every gate has passed".into());
    }
    let failed = report.gates.iter().filter(|gate| !gate.problems.is_empty());
    faults.extend(failed.map(|gate| format!("{}: {}", gate.gate, gate.problems[0])));
    let lacking = texts.iter().filter(|text| !text.contains(&hash[..12])).count();
    if lacking > 0 {
        faults.push(format!("its hash is not to be seen in {lacking} of its texts"));
    }
    faults
}

#[test]
fn the_report_is_of_the_series_that_is_here() {
    let folder = repo().join(REPORTED);
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let hash = Series::find(&repo(), None, "mainline").unwrap().hash().unwrap();
    let faults = stale(&text("report.json"), [&text("report.md"), &text("report.html")], &hash);
    let again = format!("make revision REPORT={REPORTED}");
    assert!(faults.is_empty(), "the report is stale, run: {again}\n{}", faults.join("\n"));
}

#[test]
fn a_report_of_something_else_is_stale() {
    let report = |hash: &str, passed: bool| {
        format!(
            r#"{{"schema": 1, "series": "{REPORTED}", "series_hash": "{hash}", "complete": true,
                "passed": {passed}, "gates": [{{"gate": "form", "problems": []}}]}}"#
        )
    };
    let (hash, other) = ("0123456789abcdef", "fedcba9876543210");
    let seen = [hash, hash];
    assert!(stale(&report(hash, true), seen, hash).is_empty());
    assert_eq!(stale(&report(other, true), seen, hash).len(), 1);
    assert_eq!(stale(&report(hash, false), seen, hash).len(), 1);
    assert_eq!(stale(&report(hash, true), [hash, other], hash).len(), 1);
    assert_eq!(stale("", seen, hash).len(), 1);
}

/// No address in them but those of their own repository: they are whole without a network.
#[test]
fn the_pages_load_nothing() {
    for template in ["ci/page.html", "ci/page.css", "ci/revision/report.html"] {
        let page = std::fs::read_to_string(repo().join(template)).unwrap();
        for word in ["http", "//", "src=", "@import", "url(", "<link"] {
            assert!(!page.contains(word), "{template} has {word}");
        }
    }
}
