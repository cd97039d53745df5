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
    Covered { what: "test_create", expected: "", by: "K", rows: &[] },
    Covered { what: "test_basic", expected: "", by: "K", rows: &[] },
    Covered { what: "test_exec_seal", expected: "", by: "K", rows: &[] },
    Covered { what: "test_exec_no_seal", expected: "", by: "K", rows: &[] },
    Covered { what: "test_noexec_seal", expected: "", by: "K", rows: &[] },
    Covered { what: "test_seal_write", expected: "", by: "K", rows: &[] },
    Covered { what: "test_seal_future_write", expected: "", by: "K", rows: &[] },
    Covered { what: "test_seal_write_map_read_shared", expected: "", by: "K", rows: &[] },
    Covered { what: "test_seal_shrink", expected: "", by: "K", rows: &[] },
    Covered { what: "test_seal_grow", expected: "", by: "K", rows: &[] },
    Covered { what: "test_seal_resize", expected: "", by: "K", rows: &[] },
    Covered { what: "test_sysctl_simple", expected: "", by: "K", rows: &[] },
    Covered { what: "test_sysctl_nested", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_dup", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_mmap", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_open", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_fork", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_dup, shared file table", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_mmap, shared file table", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_open, shared file table", expected: "", by: "K", rows: &[] },
    Covered { what: "test_share_fork, shared file table", expected: "", by: "K", rows: &[] },
];
