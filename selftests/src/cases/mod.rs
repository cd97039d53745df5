// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The cases, a file per subject.

use crate::case::{Case, Test};

mod attributes;
mod compat32;
mod dma_buf;
mod existing;
mod intruders;
mod live_update;
mod mapping;
mod modes;
mod older;
mod preserved;
mod programs;
mod racing;
mod reading;
mod resizing;
mod sealing;
mod strangers;
mod udmabuf;
mod udmabuf_list;
mod unaffected;
mod writing;

/// Every file of cases, in the order in which they run.
const AREAS: &[(&str, &[Case])] = &[
    ("programs", programs::CASES),
    ("sealing", sealing::CASES),
    ("writing", writing::CASES),
    ("resizing", resizing::CASES),
    ("mapping", mapping::CASES),
    ("existing", existing::CASES),
    ("udmabuf", udmabuf::CASES),
    ("udmabuf_list", udmabuf_list::CASES),
    ("dma_buf", dma_buf::CASES),
    ("live_update", live_update::CASES),
    ("preserved", preserved::CASES),
    ("strangers", strangers::CASES),
    ("intruders", intruders::CASES),
    ("compat32", compat32::CASES),
    ("racing", racing::CASES),
    ("reading", reading::CASES),
    ("attributes", attributes::CASES),
    ("modes", modes::CASES),
    ("unaffected", unaffected::CASES),
    ("older", older::CASES),
];

/// Every case on every kind of file, under every seal and through every descriptor that it names.
pub fn all() -> Vec<Test> {
    let rows = AREAS.iter().flat_map(|&(area, cases)| cases.iter().map(move |case| (area, case)));
    rows.flat_map(|(area, case)| Test::all(area, case)).collect()
}
