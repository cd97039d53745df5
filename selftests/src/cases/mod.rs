// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The cases, a file per subject.

use crate::case::{Case, Test};

mod allocate_edges;
mod allocating;
mod asynchronous;
mod asynchronous_sizes;
mod attributes;
mod blocks;
mod busy;
mod compat32;
mod compat32_sizes;
mod copy_ranges;
mod copying;
mod creating;
mod cursor_window;
mod dma_buf;
mod exec;
mod existing;
mod holes;
mod intruders;
mod live_update;
mod mapping;
mod namespaces;
mod objects;
mod older;
mod outgrowing;
mod patient;
mod pins;
mod preserved;
mod programs;
mod racing;
mod reading;
mod refusing;
mod resizing;
mod running;
mod sealing;
mod strangers;
mod udmabuf;
mod udmabuf_list;
mod unaffected;
mod write_edges;
mod write_flags;
mod writing;

/// Every file of cases, in the order in which they run.
const AREAS: &[(&str, &[Case])] = &[
    ("programs", programs::CASES),
    ("creating", creating::CASES),
    ("sealing", sealing::CASES),
    ("refusing", refusing::CASES),
    ("busy", busy::CASES),
    ("patient", patient::CASES),
    ("objects", objects::CASES),
    ("exec", exec::CASES),
    ("running", running::CASES),
    ("namespaces", namespaces::CASES),
    ("writing", writing::CASES),
    ("write_flags", write_flags::CASES),
    ("write_edges", write_edges::CASES),
    ("copying", copying::CASES),
    ("copy_ranges", copy_ranges::CASES),
    ("asynchronous", asynchronous::CASES),
    ("asynchronous_sizes", asynchronous_sizes::CASES),
    ("resizing", resizing::CASES),
    ("allocating", allocating::CASES),
    ("allocate_edges", allocate_edges::CASES),
    ("outgrowing", outgrowing::CASES),
    ("mapping", mapping::CASES),
    ("existing", existing::CASES),
    ("udmabuf", udmabuf::CASES),
    ("udmabuf_list", udmabuf_list::CASES),
    ("dma_buf", dma_buf::CASES),
    ("live_update", live_update::CASES),
    ("preserved", preserved::CASES),
    ("strangers", strangers::CASES),
    ("intruders", intruders::CASES),
    ("holes", holes::CASES),
    ("pins", pins::CASES),
    ("blocks", blocks::CASES),
    ("compat32", compat32::CASES),
    ("compat32_sizes", compat32_sizes::CASES),
    ("racing", racing::CASES),
    ("reading", reading::CASES),
    ("attributes", attributes::CASES),
    ("cursor_window", cursor_window::CASES),
    ("unaffected", unaffected::CASES),
    ("older", older::CASES),
];

/// Every case on every kind of file, under every seal and through every descriptor that it names.
pub fn all() -> Vec<Test> {
    let rows = AREAS.iter().flat_map(|&(area, cases)| cases.iter().map(move |case| (area, case)));
    rows.flat_map(|(area, case)| Test::all(area, case)).collect()
}
