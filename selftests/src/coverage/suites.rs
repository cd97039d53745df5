// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The suites that the tables name, and the calls of the kernel's own.

use super::Covered;

/// What the letters stand for.
pub const LEGEND: &str = "\
Suites: K Linux `tools/testing/selftests/memfd/memfd_test.c` and its hugetlbfs run, Kf its `fuse_test`, \
D Linux `drivers/dma-buf/udmabuf` selftest, L LTP `memfd_create01`-`04`, Gv gVisor `memfd.cc`, \
Fu Fuchsia's Starnix `memfd_test.cc`, Fb FreeBSD `memfd_test.c`, Nb NetBSD, As Asterinas, \
Ya Yb Yc three suites of rCore's StarryOS, P Pedigree `memfd-contract-test`, Cr CRIU `memfd03`, Sn stress-ng `seal`, \
Mr memfd-rs, An Android libcutils `ashmem_test`, Bi Android binder `MemoryHeapBase`.\
";

/// The 21 calls of its `main`, the last four of them with a shared table of descriptors.
pub const MEMFD_TEST: &[Covered] = &[
    Covered { what: "test_create", expected: "", by: "K", rows: &["creating::*"] },
    Covered {
        what: "test_basic",
        expected: "",
        by: "K",
        rows: &[
            "sealing::every_set",
            "sealing::get_through",
            "refusing::after_seal",
            "refusing::without_allow_sealing",
            "sealing::again",
        ],
    },
    Covered {
        what: "test_exec_seal",
        expected: "",
        by: "K",
        rows: &["exec::bits_*", "exec::implie*", "exec::other_bits*"],
    },
    Covered {
        what: "test_exec_no_seal",
        expected: "",
        by: "K",
        rows: &["exec::without_it", "creating::exec"],
    },
    Covered {
        what: "test_noexec_seal",
        expected: "",
        by: "K",
        rows: &["creating::noexec_seal*", "exec::noexec_takes_more"],
    },
    Covered {
        what: "test_seal_write",
        expected: "",
        by: "K",
        rows: &[
            "writing::pwrite",
            "mapping::shared_rw_eperm",
            "allocating::punch",
            "resizing::shrink_allowed",
            "resizing::grow_allowed",
        ],
    },
    Covered {
        what: "test_seal_future_write",
        expected: "",
        by: "K",
        rows: &[
            "writing::pwrite",
            "mapping::shared_rw_eperm",
            "sharing::shared_ro",
            "rights::before_rw",
            "existing::store",
        ],
    },
    Covered {
        what: "test_seal_write_map_read_shared",
        expected: "",
        by: "K",
        rows: &["sharing::shared_ro", "protecting::since_rw"],
    },
    Covered {
        what: "test_seal_shrink",
        expected: "",
        by: "K",
        rows: &["resizing::shrink", "resizing::grow_allowed", "resizing::o_trunc"],
    },
    Covered {
        what: "test_seal_grow",
        expected: "",
        by: "K",
        rows: &["resizing::grow", "allocating::past_eof", "resizing::shrink_allowed"],
    },
    Covered {
        what: "test_seal_resize",
        expected: "",
        by: "K",
        rows: &["resizing::shrink_together", "resizing::grow_together"],
    },
    Covered {
        what: "test_sysctl_simple",
        expected: "",
        by: "K",
        rows: &["namespaces::scope_*", "namespaces::values", "namespaces::no_other_value"],
    },
    Covered {
        what: "test_sysctl_nested",
        expected: "",
        by: "K",
        rows: &[
            "nested::inherited*",
            "nested::not_below_the_parent*",
            "nested::parent_raised_later*",
            "nested::grandparent_raised_later",
        ],
    },
    Covered {
        what: "test_share_dup",
        expected: "",
        by: "K",
        rows: &["sealing::add_through", "sealing::get_through"],
    },
    Covered {
        what: "test_share_mmap",
        expected: "",
        by: "K",
        rows: &["busy::*", "patient::private_map"],
    },
    Covered {
        what: "test_share_open",
        expected: "",
        by: "K",
        rows: &["sealing::add_through", "refusing::add_through_rdonly"],
    },
    Covered {
        what: "test_share_fork",
        expected: "",
        by: "K",
        rows: &["sealing::add_through", "sealing::get_through", "busy::of_another_process"],
    },
    Covered {
        what: "test_share_dup, shared file table",
        expected: "",
        by: "K",
        rows: &[
            "sealing::add_through",
            "sealing::get_through",
            "mapping::shared_rw_eperm_doors",
            "writing::pwrite",
        ],
    },
    Covered {
        what: "test_share_mmap, shared file table",
        expected: "",
        by: "K",
        rows: &[
            "sealing::add_through",
            "sealing::get_through",
            "mapping::shared_rw_eperm_doors",
            "writing::pwrite",
        ],
    },
    Covered {
        what: "test_share_open, shared file table",
        expected: "",
        by: "K",
        rows: &[
            "sealing::add_through",
            "sealing::get_through",
            "mapping::shared_rw_eperm_doors",
            "writing::pwrite",
        ],
    },
    Covered {
        what: "test_share_fork, shared file table",
        expected: "",
        by: "K",
        rows: &[
            "sealing::add_through",
            "sealing::get_through",
            "mapping::shared_rw_eperm_doors",
            "writing::pwrite",
        ],
    },
];
