// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! guarantees.html is of the series as they are now, and of every cell of patches/bases.toml.

use crate::bases;
use crate::series::Series;
use memfd_seals::compare::Grid;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const PAGE: &str = "guarantees.html";

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
