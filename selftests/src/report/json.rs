// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A run of the suite as one JSON object. Decides nothing.

use super::{Area, Ending, Row, areas};
use crate::compare::{Grid, Guarantees};
use serde::Serialize;
use std::collections::BTreeMap;

/// Fields may be added; one that changes its meaning changes `schema`.
#[derive(Serialize)]
struct Summary<'a> {
    schema: u32,
    /// "pass", "fail", or "internal" as long as the run is not over.
    verdict: &'a str,
    /// The cause, in one line.
    line: &'a str,
    /// `uname -r`.
    release: &'a str,
    /// Each feature that deviations may depend on, and whether this kernel has it.
    features: &'a BTreeMap<&'static str, bool>,
    /// Counts of each area: passed, failed, known (failed as predicted), skipped.
    areas: &'a [Area],
    /// What calls on a memfd on shmem gave under each seal, in the order of `seals`; null if they could
    /// not be made.
    guarantees: Option<&'a Grid>,
    /// The same of a memfd on hugetlbfs.
    guarantees_hugetlb: Option<&'a Grid>,
    /// Why one of the two is null; else empty.
    guarantees_why: &'a str,
    /// All tests, in order: name, predicted, reason (of the prediction, if it is no pass), outcome
    /// (null: no result), ms, why, output. Outcomes are pass, fail, error, skip, timeout.
    tests: &'a [Row],
}

/// What is said of the kernel.
#[derive(Default)]
pub struct About {
    pub release: String,
    pub features: BTreeMap<&'static str, bool>,
    pub guarantees: Guarantees,
}

/// The file's text.
pub fn json(ending: Ending, about: &About, rows: &[Row]) -> Result<String, String> {
    let summary = Summary {
        schema: 1,
        verdict: ending.word(),
        line: ending.cause(),
        release: &about.release,
        features: &about.features,
        areas: &areas(rows),
        guarantees: about.guarantees.shmem.as_ref(),
        guarantees_hugetlb: about.guarantees.hugetlb.as_ref(),
        guarantees_why: &about.guarantees.why,
        tests: rows,
    };
    let text = serde_json::to_string_pretty(&summary).map_err(|error| format!("JSON: {error}"))?;
    Ok(text + "\n")
}
