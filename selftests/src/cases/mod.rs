// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The cases, a file per subject.

use crate::case::{Case, Test};

mod asynchronous;
mod compat32;
mod copying;
mod cursor_window;
mod devices;
mod existing;
mod mapping;
mod older;
mod programs;
mod racing;
mod resizing;
mod sealing;
mod unaffected;
mod write_edges;
mod write_flags;
mod writing;

/// Every file of cases, in the order in which they run.
const AREAS: &[(&str, &[Case])] = &[
    ("programs", programs::CASES),
    ("sealing", sealing::CASES),
    ("writing", writing::CASES),
    ("write_flags", write_flags::CASES),
    ("write_edges", write_edges::CASES),
    ("copying", copying::CASES),
    ("asynchronous", asynchronous::CASES),
    ("resizing", resizing::CASES),
    ("mapping", mapping::CASES),
    ("existing", existing::CASES),
    ("devices", devices::CASES),
    ("compat32", compat32::CASES),
    ("racing", racing::CASES),
    ("cursor_window", cursor_window::CASES),
    ("unaffected", unaffected::CASES),
    ("older", older::CASES),
];

/// Every case on every kind of file, under every seal and through every descriptor that it names.
pub fn all() -> Vec<Test> {
    let rows = AREAS.iter().flat_map(|&(area, cases)| cases.iter().map(move |case| (area, case)));
    rows.flat_map(|(area, case)| Test::all(area, case)).collect()
}
