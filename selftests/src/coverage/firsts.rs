// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What no suite was seen to check.

use super::Covered;

/// See above.
pub const TABLE: &[Covered] = &[
    Covered {
        what: "splice from a pipe, sendfile and copy_file_range from other files",
        expected: "EPERM",
        by: "",
        rows: &[],
    },
    Covered {
        what: "pwritev2 with each RWF flag",
        expected: "EPERM, or EOPNOTSUPP first",
        by: "",
        rows: &[],
    },
    Covered { what: "AIO writes", expected: "EPERM", by: "", rows: &[] },
    Covered {
        what: "io_uring WRITE, WRITEV, WRITE_FIXED, SPLICE, FALLOCATE, FTRUNCATE",
        expected: "EPERM",
        by: "",
        rows: &[],
    },
    Covered { what: "O_DIRECT and O_WRONLY reopen", expected: "EPERM", by: "", rows: &[] },
    Covered { what: "int 0x80 compat calls", expected: "as the 64-bit ones", by: "", rows: &[] },
    Covered {
        what: "RO shared mapping made after the seal: /proc/self/mem and POKEDATA",
        expected: "EIO",
        by: "",
        rows: &[],
    },
    Covered {
        what: "the same: process_vm_writev and read(2) into it",
        expected: "EFAULT",
        by: "",
        rows: &[],
    },
    Covered { what: "the same: MADV_POPULATE_WRITE", expected: "EINVAL", by: "", rows: &[] },
    Covered { what: "the same: userfaultfd register", expected: "EPERM", by: "", rows: &[] },
    Covered {
        what: "the same: NONE to RW, and pkey_mprotect",
        expected: "EACCES",
        by: "",
        rows: &[],
    },
    Covered {
        what: "RW mapping from before the seal: all of these",
        expected: "works",
        by: "",
        rows: &[],
    },
    Covered {
        what: "mremap(old_len=0) of an RW mapping from before",
        expected: "a new alias",
        by: "",
        rows: &[],
    },
    Covered {
        what: "MREMAP_DONTUNMAP, remap_file_pages",
        expected: "as an mmap of now",
        by: "",
        rows: &[],
    },
    Covered {
        what: "SHARED_VALIDATE, RWX, RX, NONE, POPULATE, LOCKED",
        expected: "as SHARED",
        by: "",
        rows: &[],
    },
    Covered {
        what: "through O_RDONLY and O_WRONLY descriptors",
        expected: "EACCES",
        by: "",
        rows: &[],
    },
    Covered {
        what: "truncate by path, O_TRUNC, O_RDONLY with O_TRUNC",
        expected: "EPERM",
        by: "",
        rows: &[],
    },
    Covered {
        what: "fallocate in every mode",
        expected: "EPERM, or EOPNOTSUPP first",
        by: "",
        rows: &[],
    },
    Covered { what: "io_uring FTRUNCATE", expected: "EPERM", by: "", rows: &[] },
    Covered {
        what: "FW alone: shrink then grow destroys the contents",
        expected: "it does; FS_WRITE stops it",
        by: "",
        rows: &[],
    },
    Covered {
        what: "a page spliced to a pipe, vmspliced, in an io_uring buffer whose mapping is gone",
        expected: "W is EBUSY until drained; FW, FS_WRITE succeed",
        by: "",
        rows: &[],
    },
    Covered {
        what: "bad bit through an O_RDONLY descriptor",
        expected: "EPERM before EINVAL",
        by: "",
        rows: &[],
    },
    Covered {
        what: "X on an executable with a live RW mapping",
        expected: "EBUSY, nothing applied",
        by: "",
        rows: &[],
    },
    Covered { what: "hugetlb's exact errnos", expected: "as the tables say", by: "", rows: &[] },
    Covered {
        what: "hugetlb's i_size through mmap",
        expected: "stays under G, FS_WRITE",
        by: "",
        rows: &[],
    },
    Covered { what: "swap out and in", expected: "contents and seals stay", by: "", rows: &[] },
    Covered {
        what: "transparent huge pages and large folios, collapse",
        expected: "contents and seals stay",
        by: "",
        rows: &[],
    },
    Covered { what: "migration", expected: "contents and seals stay", by: "", rows: &[] },
    Covered {
        what: "udmabuf against every seal",
        expected: "EINVAL for W, FW, FS_WRITE",
        by: "",
        rows: &[],
    },
    Covered {
        what: "udmabuf racing with a seal",
        expected: "refused once sealed",
        by: "",
        rows: &[],
    },
    Covered {
        what: "live update against every seal",
        expected: "EOPNOTSUPP for FS_WRITE; nothing lost",
        by: "",
        rows: &[],
    },
    Covered {
        what: "races of every mutator with F_ADD_SEALS and of two sealers",
        expected: "each wholly before or after",
        by: "",
        rows: &[],
    },
    Covered {
        what: "user namespaces; sealing by another uid",
        expected: "the descriptor's permission",
        by: "",
        rows: &[],
    },
    Covered { what: "32-bit binaries", expected: "as the 64-bit ones", by: "", rows: &[] },
    Covered {
        what: "loop device over a memfd",
        expected: "EIO, nothing changed",
        by: "",
        rows: &[],
    },
];
