// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The lines of the table: operation, row, who is stronger.

/// One operation, asked of a region of ashmem and of both memfds.
pub struct Line {
    pub call: &'static str,
    /// The name of the row, which is the same in each column's file.
    pub row: &'static str,
    /// ashmem alone has such a call.
    pub alone: bool,
    pub stronger: Stronger,
    /// What a cell says if the row passes; empty: the row's expectation.
    pub words: [&'static str; 3],
}

/// Whose word is worth more to who hands a region out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stronger {
    Alike,
    Ashmem,
    /// Both memfds.
    Memfd,
    /// All but the older seals.
    NotOlder,
    /// They differ, and neither is.
    Neither,
}
use Stronger::*;

impl Stronger {
    /// As the table has it.
    pub fn word(self) -> &'static str {
        match self {
            Alike => "alike",
            Ashmem => "ashmem",
            Memfd => "memfd",
            NotOlder => "not FW|S|G",
            Neither => "-",
        }
    }
}

impl Line {
    /// As the last column has it: marked if it is ashmem's alone, or tried by receivers too.
    pub fn case(&self) -> String {
        let by_all = || super::tests(super::COLUMNS[0].1, self.row).len() > 1;
        let mark = if self.alone {
            "+"
        } else if by_all() {
            "*"
        } else {
            ""
        };
        format!("{}{mark}", self.row)
    }
}

const fn line(call: &'static str, row: &'static str, stronger: Stronger) -> Line {
    Line { call, row, alone: false, stronger, words: [""; 3] }
}

const fn said(line: Line, words: [&'static str; 3]) -> Line {
    Line { words, ..line }
}

/// What no memfd has a call for.
const fn alone(call: &'static str, row: &'static str, stronger: Stronger) -> Line {
    Line { alone: true, ..line(call, row, stronger) }
}

/// The lines, under their headings.
pub const GROUPS: &[(&str, &[Line])] = &[
    (
        "Before the protection is dropped",
        &[
            line("create", "create", Alike),
            line("name it", "name", Alike),
            alone("  once it is mapped", "rename_mapped", Neither),
            line("size it", "resize_before", Alike),
            line("  once it is mapped", "resize_mapped", Ashmem),
            line("ask for the size", "ask_size", Alike),
            line("read() before any mmap()", "read_unmapped", Neither),
            line("write()", "write_before", Neither),
        ],
    ),
    (
        "Dropping it",
        &[
            line("drop it, while a mapping writes", "drop", Alike),
            line("  again", "drop_again", Alike),
            line("ask what is left", "ask", Alike),
            alone("take it back", "take_back", Alike),
            said(
                alone("  PROT_EXEC, by personality()", "take_back_exec", Neither),
                ["works", "", ""],
            ),
            line("a receiver takes reading from all", "take_reading", Memfd),
            line("the other one's call", "other_call", Alike),
        ],
    ),
    (
        "A mapping made since",
        &[
            line("mmap() shared, writable", "map_writable", Alike),
            line("mmap() shared, read-only", "map_readonly", Alike),
            line("  then mprotect() to writable", "protect_new", Alike),
            line("  then a write by /proc/self/mem", "force_new", Alike),
            line("  then MADV_REMOVE", "remove_new", Alike),
            line("mmap() shared, executable", "map_executable", Ashmem),
            line("mmap() of more than there is", "map_longer", Neither),
            line("mmap() private, writable", "map_private_writable", Neither),
            said(
                line("mmap() private, read-only, shows", "map_private", Neither),
                ["zeroes", "contents", "contents"],
            ),
        ],
    ),
    (
        "A mapping from before",
        &[
            line("store through it", "store_old", Alike),
            line("  in a forked child", "store_forked", Alike),
            line("  through what mremap() duplicates", "duplicate_old", Alike),
            line("mprotect() of a read-only one", "protect_old", Alike),
            line("MADV_REMOVE", "remove_old", Memfd),
            said(line("remap_file_pages()", "remap_pages", Memfd), ["EPERM, lost", "", ""]),
        ],
    ),
    (
        "Through a descriptor",
        &[
            line("read()", "read", Alike),
            line("write() and its kin", "write", Alike),
            line("fallocate() inside", "allocate", NotOlder),
            line("fallocate() to punch a hole", "punch", Alike),
            line("resize", "resize", Alike),
            line("  if nobody has mapped it", "resize_unmapped", Memfd),
            said(
                line("reopen by /proc, and map writable", "reopen", Neither),
                ["new region", "", ""],
            ),
        ],
    ),
    (
        "Root, by /proc/self/map_files",
        &[
            line("write()", "behind_write", Memfd),
            line("mmap() shared, writable", "behind_map", Memfd),
            line("resize", "behind_resize", Memfd),
        ],
    ),
    (
        "Pages that may be purged",
        &[
            said(alone("unpin, ask", "pinned", Neither), ["works", "", ""]),
            alone("pin again: nothing was purged", "pin_again", Neither),
            said(
                alone("pin again: it was, and is zeroes", "pin_purged", Neither),
                ["works", "", ""],
            ),
            alone("purge, by who is not root", "purge_by_nobody", Neither),
            alone("a receiver has it all purged", "emptied_by_receiver", Memfd),
        ],
    ),
];
