// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The words of the model: what a memfd and its holders are, and what can be done to them.

use crate::kind::Kind;
use crate::sys::seal;
use libc::{FALLOC_FL_KEEP_SIZE as KEEP, c_int};
use nix::errno::Errno;

/// A memfd with its descriptors and mappings in one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub kind: Kind,
    /// Size of a page of this kind, bytes. All sizes and offsets here are counted in them.
    pub page: usize,
    /// The seals that the kernel has.
    pub all_seals: u32,
    /// F_GET_SEALS.
    pub seals: u32,
    /// Whether the mode is 0777 and not 0666.
    pub executable: bool,
    /// The file: of each page its last byte.
    pub pages: Vec<u8>,
    /// Its descriptors, none of which is ever missing the first.
    pub fds: Vec<Fd>,
    /// Which one is acted through.
    pub fd: usize,
    /// Its mappings, each from the file's beginning; the last one is acted through.
    pub maps: Vec<Mapping>,
    /// Operations so far: each writes a byte of its own, `letter`.
    pub clock: usize,
}

/// A descriptor, by what it was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub c_int);

impl Fd {
    pub fn is_path(self) -> bool {
        self.0 & libc::O_PATH != 0
    }

    pub fn reads(self) -> bool {
        !self.is_path() && self.0 & libc::O_ACCMODE != libc::O_WRONLY
    }

    pub fn writes(self) -> bool {
        !self.is_path() && self.0 & libc::O_ACCMODE != libc::O_RDONLY
    }

    pub fn appends(self) -> bool {
        self.0 & libc::O_APPEND != 0
    }
}

/// A mapping, in the kernel's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// MAP_SHARED.
    pub shared: bool,
    /// Of a descriptor that may write.
    pub by_writer: bool,
    pub prot: c_int,
    /// VM_MAYWRITE: whether mprotect(2) may make it writable.
    pub may_write: bool,
    /// Pages.
    pub len: usize,
}

impl Mapping {
    pub fn writes(self) -> bool {
        self.prot & libc::PROT_WRITE != 0
    }

    /// Whether it can change the file, now or after mprotect(2).
    pub fn may_change_file(self) -> bool {
        self.shared && self.by_writer && self.may_write
    }
}

/// One operation, on the descriptor or on the mapping that is acted through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Of one byte, the page's last; with O_APPEND of a page.
    Write(By, At),
    /// Of no bytes.
    WriteNothing,
    Read,
    /// ftruncate(2).
    Truncate(To),
    /// truncate(2) by /proc/self/fd.
    TruncatePath(To),
    /// fallocate(2) of a page, with this mode.
    Fallocate(c_int, At),
    Mmap(Share, c_int, Span),
    /// fchmod(2) to 0777, or to 0666.
    Chmod(bool),
    AddSeals(u32),
    GetSeals,
    /// Opens it again by /proc/self/fd with these flags, and acts through that from now on.
    Open(c_int),
    Dup,
    /// Closes the descriptor that was opened last.
    Close,
    /// Acts through the first descriptor from now on.
    UseFirst,
    /// And again through the one that was opened last.
    UseLast,
    /// The kernel stores a byte to the mapping's first page, for us.
    Store,
    /// process_vm_writev(2) of a byte to its first page.
    VmWrite,
    /// The kernel loads a byte of its first page.
    Load,
    /// mprotect(2).
    Protect(c_int),
    /// mremap(2) to one page more.
    Grow,
    /// mremap(2) with an old size of 0: a second mapping of the same.
    Duplicate,
    /// remap_file_pages(2) of all of it to what it shows.
    Again,
    /// madvise(2) of the first page.
    Advise(c_int),
    Unmap,
}

/// A call that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    Write,
    Pwrite,
    Pwritev,
    Splice,
    Sendfile,
    CopyFileRange,
}

/// A page of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    First,
    /// The one that begins at EOF.
    Past,
}

/// A size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// One page less.
    Less,
    Same,
    /// One page more.
    More,
}

/// MAP_SHARED or MAP_PRIVATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    Shared,
    Private,
}

/// The length of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// The file's; a page if it is empty.
    File,
    /// One page more than the file.
    Longer,
}

/// What an operation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// Exactly this.
    Gives(usize),
    /// A descriptor or an address.
    Works,
    Fails(Errno),
}

/// Seals under which nothing is written but through mappings.
pub const DENY_WRITE: u32 = seal::WRITE | seal::FUTURE_WRITE | seal::FS_WRITE;
/// Seals under which the file does not get smaller.
pub const DENY_SHRINK: u32 = seal::SHRINK | seal::FS_WRITE;
/// Seals under which the file does not get larger.
pub const DENY_GROW: u32 = seal::GROW | seal::FS_WRITE;
/// What F_SEAL_EXEC brings along on an executable file.
pub const WITH_EXEC: u32 = seal::SHRINK | seal::GROW | seal::WRITE | seal::FUTURE_WRITE;

impl State {
    /// A fresh memfd: two pages, in huge ones one, and on shmem a mark in each; open O_RDWR.
    pub fn fresh(kind: Kind, all_seals: u32) -> State {
        let noexec = kind == Kind::Noexec;
        State {
            kind,
            page: kind.page(),
            all_seals,
            seals: kind.seals(),
            executable: !noexec,
            pages: match kind {
                Kind::Hugetlb => vec![0],
                Kind::Thp => vec![MARK],
                _ => vec![MARK; 2],
            },
            fds: vec![Fd(libc::O_RDWR)],
            fd: 0,
            maps: Vec::new(),
            clock: 0,
        }
    }

    pub fn fd(&self) -> Fd {
        self.fds[self.fd]
    }

    pub fn map(&self) -> Mapping {
        *self.maps.last().expect("there is a mapping: see `takes`")
    }

    pub fn map_mut(&mut self) -> &mut Mapping {
        self.maps.last_mut().expect("there is a mapping: see `takes`")
    }

    /// Whether one of these seals is set.
    pub fn has(&self, seals: u32) -> bool {
        self.seals & seals != 0
    }

    /// Takes one more descriptor, to be acted through.
    pub fn hold_fd(&mut self, fd: Fd) -> Out {
        self.fds.push(fd);
        self.fd = self.fds.len() - 1;
        Out::Works
    }

    /// Acts through another descriptor.
    pub fn turn(&mut self, op: Op) {
        if op == Op::Close {
            self.fds.pop();
        }
        self.fd = if op == Op::UseFirst { 0 } else { self.fds.len() - 1 };
    }

    /// The page's index.
    pub fn at(&self, at: At) -> usize {
        if at == At::First { 0 } else { self.pages.len() }
    }

    /// The size in pages.
    pub fn to(&self, to: To) -> usize {
        match to {
            To::Less => self.pages.len() - 1,
            To::Same => self.pages.len(),
            To::More => self.pages.len() + 1,
        }
    }

    /// The length in pages.
    pub fn span(&self, span: Span) -> usize {
        if span == Span::File { self.pages.len().max(1) } else { self.pages.len() + 1 }
    }

    /// What the next operation writes.
    pub fn letter(&self) -> u8 {
        letter(self.clock)
    }

    /// Whether the operation can be asked for at all. What is bounded here is the model, not the
    /// kernel.
    pub fn takes(&self, op: Op) -> bool {
        // Descriptors, mappings and pages at most: huge ones are few.
        let most = if self.kind.is_huge() { 3 } else { 5 };
        let small = self.pages.len() < most;
        match op {
            Op::Write(By::Splice | By::Sendfile | By::CopyFileRange, _) | Op::Again
                if self.kind == Kind::Hugetlb =>
            {
                false
            }
            Op::Again => !self.maps.is_empty() && !self.pages.is_empty(),
            // On hugetlbfs a page from beyond EOF can be touched by whoever maps that place.
            Op::Fallocate(KEEP, _) if self.kind == Kind::Hugetlb => !self.pages.is_empty(),
            Op::Write(..) | Op::Fallocate(..) => small,
            Op::Truncate(to) | Op::TruncatePath(to) => match to {
                To::Less => !self.pages.is_empty(),
                To::Same => true,
                To::More => small,
            },
            Op::Mmap(_, _, span) => self.maps.len() < most && (small || span == Span::File),
            Op::Open(_) | Op::Dup => self.fds.len() < most,
            Op::Close | Op::UseFirst | Op::UseLast => self.fds.len() > 1,
            Op::Duplicate => !self.maps.is_empty() && self.maps.len() < most,
            Op::Grow => !self.maps.is_empty() && self.map().len < most,
            Op::Store | Op::VmWrite | Op::Load | Op::Protect(_) | Op::Advise(_) | Op::Unmap => {
                !self.maps.is_empty()
            }
            _ => true,
        }
    }
}

/// What a fresh file has in each page.
pub const MARK: u8 = b'#';

/// The byte of the operation with this number.
pub fn letter(clock: usize) -> u8 {
    LETTERS[clock % LETTERS.len()]
}

/// All of them.
pub const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// What an O_APPEND write fills its page with.
pub const APPENDED: u8 = b'+';
