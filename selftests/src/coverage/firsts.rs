// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What no suite was seen to check.

use super::Covered;

/// See above.
pub const TABLE: &[Covered] = &[
    Covered {
        what: "splice from a pipe, sendfile and copy_file_range from other files",
        expected: "EPERM",
        by: "",
        rows: &[
            "copying::splice*",
            "copying::sendfile_from_disk",
            "copy_ranges::copy_file_range_from_disk",
        ],
    },
    Covered {
        what: "pwritev2 with each RWF flag",
        expected: "EPERM, or EOPNOTSUPP first",
        by: "",
        rows: &["write_flags::*"],
    },
    Covered { what: "AIO writes", expected: "EPERM", by: "", rows: &["asynchronous::aio_*"] },
    Covered {
        what: "io_uring WRITE, WRITEV, WRITE_FIXED, SPLICE, FALLOCATE, FTRUNCATE",
        expected: "EPERM",
        by: "",
        rows: &["asynchronous::uring_*", "asynchronous_sizes::uring_*"],
    },
    Covered {
        what: "O_DIRECT and O_WRONLY reopen",
        expected: "EPERM",
        by: "",
        rows: &["writing::pwrite", "writing::o_direct"],
    },
    Covered {
        what: "int 0x80 compat calls",
        expected: "as the 64-bit ones",
        by: "",
        rows: &["compat32::*", "compat32_sizes::*"],
    },
    Covered {
        what: "RO shared mapping made after the seal: /proc/self/mem and POKEDATA",
        expected: "EIO",
        by: "",
        rows: &["memory::proc_mem_since", "memory::tracer_mem_since", "memory::poke_since"],
    },
    Covered {
        what: "the same: process_vm_writev and read(2) into it",
        expected: "EFAULT",
        by: "",
        rows: &["memory::vm_writev_since", "memory::vm_writev_child_since", "memory::read_since"],
    },
    Covered {
        what: "the same: MADV_POPULATE_WRITE",
        expected: "EINVAL",
        by: "",
        rows: &["advising::populate_write_since"],
    },
    Covered {
        what: "the same: userfaultfd register",
        expected: "EPERM",
        by: "",
        rows: &["faulting::register_*_since"],
    },
    Covered {
        what: "the same: NONE to RW, and pkey_mprotect",
        expected: "EACCES",
        by: "",
        rows: &["protecting::since_none_to_rw", "protecting::since_pkey_mprotect"],
    },
    Covered {
        what: "RW mapping from before the seal: all of these",
        expected: "works",
        by: "",
        rows: &[
            "memory::*_before",
            "advising::populate_write_before",
            "faulting::register_*_before",
            "rights::before_*",
        ],
    },
    Covered {
        what: "mremap(old_len=0) of an RW mapping from before",
        expected: "a new alias",
        by: "",
        rows: &["remapping::before_duplicate"],
    },
    Covered {
        what: "MREMAP_DONTUNMAP, remap_file_pages",
        expected: "as an mmap of now",
        by: "",
        rows: &[
            "remapping::before_dontunmap",
            "remapping::since_dontunmap",
            "remapping::file_pages_*",
        ],
    },
    Covered {
        what: "SHARED_VALIDATE, RWX, RX, NONE, POPULATE, LOCKED",
        expected: "as SHARED",
        by: "",
        rows: &[
            "mapping::validate_*",
            "mapping::shared_rwx*",
            "mapping::populate_*",
            "mapping::locked_*",
            "sharing::shared_rx",
            "sharing::shared_none",
        ],
    },
    Covered {
        what: "through O_RDONLY and O_WRONLY descriptors",
        expected: "EACCES",
        by: "",
        rows: &["mapping::shared_rw_readers", "mapping::shared_rw_write_only"],
    },
    Covered {
        what: "truncate by path, O_TRUNC, O_RDONLY with O_TRUNC",
        expected: "EPERM",
        by: "",
        rows: &["resizing::truncate_by_path*", "resizing::o_trunc*"],
    },
    Covered {
        what: "fallocate in every mode",
        expected: "EPERM, or EOPNOTSUPP first",
        by: "",
        rows: &["allocating::*", "allocate_edges::*"],
    },
    Covered {
        what: "io_uring FTRUNCATE",
        expected: "EPERM",
        by: "",
        rows: &["asynchronous_sizes::uring_shrink", "asynchronous_sizes::uring_grow"],
    },
    Covered {
        what: "FW alone: shrink then grow destroys the contents",
        expected: "it does; FS_WRITE stops it",
        by: "",
        rows: &["resizing::future_write_alone_loses_contents"],
    },
    Covered {
        what: "a page spliced to a pipe, vmspliced, in an io_uring buffer whose mapping is gone",
        expected: "W is EBUSY until drained; FW, FS_WRITE succeed",
        by: "",
        rows: &["pins::spliced_*", "pins::vmspliced_*", "pins::fixed_buffer", "pins::unasked_*"],
    },
    Covered {
        what: "bad bit through an O_RDONLY descriptor",
        expected: "EPERM before EINVAL",
        by: "",
        rows: &["refusing::unknown_through_rdonly"],
    },
    Covered {
        what: "X on an executable with a live RW mapping",
        expected: "EBUSY, nothing applied",
        by: "",
        rows: &["busy::writable_map_exec_seal"],
    },
    Covered {
        what: "hugetlb's exact errnos",
        expected: "as the tables say",
        by: "",
        rows: &[
            "programs::memfd_test_hugetlbfs",
            "writing::*_hugetlb",
            "resizing::unaligned_*",
            "remapping::*_hugetlb",
            "advising::*_hugetlb",
        ],
    },
    Covered {
        what: "hugetlb's i_size through mmap",
        expected: "stays under G, FS_WRITE",
        by: "",
        rows: &["outgrowing::*", "waiting::hugetlb_mmap_past_eof"],
    },
    Covered {
        what: "swap out and in",
        expected: "contents and seals stay",
        by: "",
        rows: &["blocks::swap_*"],
    },
    Covered {
        what: "transparent huge pages and large folios, collapse",
        expected: "contents and seals stay",
        by: "",
        rows: &["paging::collapse_*", "paging::split_*", "paging::part_of_huge_*"],
    },
    Covered {
        what: "migration",
        expected: "contents and seals stay",
        by: "",
        rows: &["paging::compaction"],
    },
    Covered {
        what: "udmabuf against every seal",
        expected: "EINVAL for W, FW, FS_WRITE",
        by: "",
        rows: &["udmabuf::*", "dma_buf::pinned_and_sealed"],
    },
    Covered {
        what: "udmabuf racing with a seal",
        expected: "refused once sealed",
        by: "",
        rows: &["waiting::udmabuf_behind_write_seal", "racing_mappings::udmabuf"],
    },
    Covered {
        what: "live update against every seal",
        expected: "EOPNOTSUPP for FS_WRITE; nothing lost",
        by: "",
        rows: &["live_update::*", "preserved::*"],
    },
    Covered {
        what: "races of every mutator with F_ADD_SEALS and of two sealers",
        expected: "each wholly before or after",
        by: "",
        rows: &["racing::*", "racing_mappings::*", "waiting::*"],
    },
    Covered {
        what: "user namespaces; sealing by another uid",
        expected: "the descriptor's permission",
        by: "",
        rows: &["objects::another_user*", "strangers::*", "intruders::*"],
    },
    Covered {
        what: "32-bit binaries",
        expected: "as the 64-bit ones",
        by: "",
        rows: &["compat32::*", "compat32_sizes::*"],
    },
    Covered {
        what: "loop device over a memfd",
        expected: "EIO, nothing changed",
        by: "",
        rows: &["blocks::loop_*"],
    },
];
