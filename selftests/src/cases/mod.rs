// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The cases, a file per subject.

use crate::case::{Case, Test};

mod advising;
mod allocate_edges;
mod allocating;
mod ashmem;
mod ashmem_alone;
mod ashmem_memfd;
mod asynchronous;
mod asynchronous_sizes;
mod attributes;
mod blocks;
mod busy;
mod compat32;
mod compat32_sizes;
mod copy_ranges;
mod copying;
mod counting;
mod creating;
mod cursor_window;
mod direct_io;
mod dma_buf;
mod exec;
mod existing;
mod faulting;
mod fixed;
mod holes;
mod intruders;
mod live_update;
mod locking;
mod mapping;
mod memory;
mod model;
mod namespaces;
mod nested;
mod objects;
mod outgrowing;
mod paging;
mod patient;
mod pins;
mod preserved;
mod private;
mod programs;
mod protecting;
mod racing;
mod racing_mappings;
mod reading;
mod refusing;
mod remapping;
mod resizing;
mod rights;
mod running;
mod sealing;
mod sharing;
mod strangers;
mod udmabuf;
mod udmabuf_list;
mod unaffected;
pub(crate) mod waiting;
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
    ("nested", nested::CASES),
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
    ("fixed", fixed::CASES),
    ("sharing", sharing::CASES),
    ("protecting", protecting::CASES),
    ("rights", rights::CASES),
    ("private", private::CASES),
    ("existing", existing::CASES),
    ("remapping", remapping::CASES),
    ("advising", advising::CASES),
    ("locking", locking::CASES),
    ("counting", counting::CASES),
    ("memory", memory::CASES),
    ("faulting", faulting::CASES),
    ("pins", pins::CASES),
    ("paging", paging::CASES),
    ("direct_io", direct_io::CASES),
    ("holes", holes::CASES),
    ("blocks", blocks::CASES),
    ("udmabuf", udmabuf::CASES),
    ("udmabuf_list", udmabuf_list::CASES),
    ("dma_buf", dma_buf::CASES),
    ("live_update", live_update::CASES),
    ("preserved", preserved::CASES),
    ("strangers", strangers::CASES),
    ("intruders", intruders::CASES),
    ("compat32", compat32::CASES),
    ("compat32_sizes", compat32_sizes::CASES),
    ("waiting", waiting::CASES),
    ("racing", racing::CASES),
    ("racing_mappings", racing_mappings::CASES),
    ("model", model::CASES),
    ("reading", reading::CASES),
    ("attributes", attributes::CASES),
    ("cursor_window", cursor_window::CASES),
    ("ashmem", ashmem::CASES),
    ("ashmem_alone", ashmem_alone::CASES),
    ("ashmem_fs_write", ashmem_memfd::FS_WRITE_CASES),
    ("ashmem_older_seals", ashmem_memfd::OLDER_CASES),
    ("unaffected", unaffected::CASES),
];

/// Every case on every kind of file, under every seal and through every descriptor that it names.
pub fn all() -> Vec<Test> {
    let rows = AREAS.iter().flat_map(|&(area, cases)| cases.iter().map(move |case| (area, case)));
    rows.flat_map(|(area, case)| Test::all(area, case)).collect()
}
