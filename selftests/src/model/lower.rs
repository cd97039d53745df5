// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! From an operation to the system calls that it is. The calls are data: `actual.rs` makes them, and
//! `program.rs` prints them as C, so that both are the same.

use super::state::{By, Op, Share, State, To};
use crate::kind::Kind;
use libc::{c_int, c_long};

/// An argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    Int(i64),
    /// An integer by its name in C.
    Named(i64, &'static str),
    /// Flags, by their names.
    Flags(c_int, &'static [(c_int, &'static str)]),
    /// The descriptor that is acted through.
    Fd,
    /// The one that was opened last.
    LastFd,
    /// "/proc/self/fd/N" of the one that is acted through.
    Path,
    /// So many pages, in bytes.
    Pages(usize),
    /// The offset of this page's last byte.
    LastByte(usize),
    /// A pointer to that offset.
    AtLastByte(usize),
    /// This operation's letter, at an address.
    Letter,
    /// As an iovec.
    LetterIov,
    /// This operation's letter, by its offset in the source.
    InSource,
    /// A pointer to that offset.
    AtInSource,
    /// A page to append.
    Appended,
    /// A byte that nobody looks at.
    Scratch,
    /// The last mapping's address.
    Map,
    /// The address of its first page's last byte.
    MapLastByte,
    /// As an iovec.
    MapIov,
    /// A memfd with every letter.
    Source,
    /// A memfd to write to.
    Sink,
    /// The ends of a pipe.
    PipeOut,
    PipeIn,
}
use Arg::*;

/// What a call's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    Value,
    /// A descriptor, which is acted through from now on.
    Descriptor,
    /// The descriptor that was opened last is gone.
    Closed,
    /// A mapping of so many pages.
    Mapping(usize),
    /// The last mapping is now there, of so many pages.
    Moved(usize),
    /// The last mapping is gone.
    Unmapped,
}

/// One system call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// In C.
    pub name: &'static str,
    pub nr: c_long,
    pub args: [Arg; 6],
    /// How many of them count.
    pub count: usize,
    pub gives: Gives,
}

impl Call {
    fn gives(self, gives: Gives) -> Call {
        Call { gives, ..self }
    }
}

fn call<const N: usize>(name: &'static str, nr: c_long, args: [Arg; N]) -> Call {
    let mut all = [Int(0); 6];
    all[..N].copy_from_slice(&args);
    Call { name, nr, args: all, count: N, gives: Gives::Value }
}

/// An operation: what is judged, what has to be done first, and what to clean up if it fails.
#[derive(Clone, Copy, Debug)]
pub struct Lowered {
    pub first: Option<Call>,
    /// None: there is nothing to call.
    pub judged: Option<Call>,
    pub if_failed: Option<Call>,
}

/// The calls of an operation in this state.
pub fn lower(s: &State, op: Op) -> Lowered {
    let one = |judged| Lowered { first: None, judged: Some(judged), if_failed: None };
    let fcntl = |cmd, name, arg| call("fcntl", libc::SYS_fcntl, [Fd, Named(cmd, name), arg]);
    match op {
        Op::Write(by, at) => write(s, by, s.at(at)),
        Op::WriteNothing => one(call("pwrite", libc::SYS_pwrite64, [Fd, Letter, Int(0), Int(0)])),
        Op::Read => one(call("pread", libc::SYS_pread64, [Fd, Scratch, Int(1), Int(0)])),
        Op::Truncate(to) => one(call("ftruncate", libc::SYS_ftruncate, [Fd, size(s, to)])),
        Op::TruncatePath(to) => one(call("truncate", libc::SYS_truncate, [Path, size(s, to)])),
        Op::Fallocate(mode, at) => one(call(
            "fallocate",
            libc::SYS_fallocate,
            [Fd, Flags(mode, FALLOC), Pages(s.at(at)), Pages(1)],
        )),
        Op::Mmap(share, prot, span) => {
            let flags = match (share, s.kind) {
                (Share::Shared, _) => Named(libc::MAP_SHARED.into(), "MAP_SHARED"),
                // Each private mapping would reserve pages of its own, of which there are few.
                (Share::Private, Kind::Hugetlb) => {
                    let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
                    Named(flags.into(), "MAP_PRIVATE | MAP_NORESERVE")
                }
                (Share::Private, _) => Named(libc::MAP_PRIVATE.into(), "MAP_PRIVATE"),
            };
            let len = s.span(span);
            let args = [NULL, Pages(len), Flags(prot, PROT), flags, Fd, Int(0)];
            one(call("mmap", crate::sys::SYS_MMAP, args).gives(Gives::Mapping(len)))
        }
        Op::Chmod(x) => {
            let mode = if x { Named(0o777, "0777") } else { Named(0o666, "0666") };
            one(call("fchmod", libc::SYS_fchmod, [Fd, mode]))
        }
        Op::AddSeals(seals) => {
            one(fcntl(libc::F_ADD_SEALS.into(), "F_ADD_SEALS", Flags(seals as c_int, SEALS)))
        }
        Op::GetSeals => {
            let args = [Fd, Named(libc::F_GET_SEALS.into(), "F_GET_SEALS")];
            one(call("fcntl", libc::SYS_fcntl, args))
        }
        Op::Open(flags) => {
            // open(2) is not a system call everywhere.
            let args = [Named(libc::AT_FDCWD.into(), "AT_FDCWD"), Path, Flags(flags, OPEN)];
            one(call("openat", libc::SYS_openat, args).gives(Gives::Descriptor))
        }
        Op::Dup => one(call("dup", libc::SYS_dup, [Fd]).gives(Gives::Descriptor)),
        Op::Close => one(call("close", libc::SYS_close, [LastFd]).gives(Gives::Closed)),
        Op::UseFirst | Op::UseLast => Lowered { first: None, judged: None, if_failed: None },
        Op::Store => one(call("pread", libc::SYS_pread64, [Source, MapLastByte, Int(1), InSource])),
        Op::VmWrite => {
            let pid = Named(nix::unistd::getpid().as_raw().into(), "getpid()");
            let args = [pid, LetterIov, Int(1), MapIov, Int(1), Int(0)];
            one(call("process_vm_writev", libc::SYS_process_vm_writev, args))
        }
        Op::Load => one(call("pwrite", libc::SYS_pwrite64, [Sink, MapLastByte, Int(1), Int(0)])),
        Op::Protect(prot) => {
            one(call("mprotect", libc::SYS_mprotect, [Map, Pages(s.map().len), Flags(prot, PROT)]))
        }
        Op::Grow => one(mremap(s.map().len, s.map().len + 1).gives(Gives::Moved(s.map().len + 1))),
        Op::Duplicate => one(mremap(0, s.map().len).gives(Gives::Mapping(s.map().len))),
        Op::Again => {
            let args = [Map, Pages(s.map().len), Int(0), Int(0), Int(0)];
            one(call("remap_file_pages", libc::SYS_remap_file_pages, args))
        }
        Op::Advise(advice) => {
            one(call("madvise", libc::SYS_madvise, [Map, Pages(1), Flags(advice, ADVICE)]))
        }
        Op::Unmap => {
            one(call("munmap", libc::SYS_munmap, [Map, Pages(s.map().len)]).gives(Gives::Unmapped))
        }
    }
}

const NULL: Arg = Named(0, "NULL");

fn size(s: &State, to: To) -> Arg {
    Pages(s.to(to))
}

fn mremap(old: usize, new: usize) -> Call {
    let flags = Named(libc::MREMAP_MAYMOVE.into(), "MREMAP_MAYMOVE");
    call("mremap", libc::SYS_mremap, [Map, Pages(old), Pages(new), flags])
}

fn write(s: &State, by: By, page: usize) -> Lowered {
    let (data, len) = if s.fd().appends() { (Appended, Pages(1)) } else { (Letter, Int(1)) };
    let seek = call("lseek", libc::SYS_lseek, [Fd, LastByte(page), Named(0, "SEEK_SET")]);
    // A descriptor that can't be moved can't be written to either.
    let (first, judged, if_failed) = match by {
        By::Write => (Some(seek), call("write", libc::SYS_write, [Fd, data, len]), None),
        By::Pwrite => {
            (None, call("pwrite", libc::SYS_pwrite64, [Fd, data, len, LastByte(page)]), None)
        }
        // The wrapper's fourth argument is the system call's, whose fifth is 0 on 64 bits.
        By::Pwritev if s.fd().appends() => return write(s, By::Pwrite, page),
        By::Pwritev => {
            let args = [Fd, LetterIov, Int(1), LastByte(page)];
            (None, call("pwritev", libc::SYS_pwritev, args), None)
        }
        By::Splice => {
            let fill = call("write", libc::SYS_write, [PipeIn, Letter, Int(1)]);
            let args = [PipeOut, NULL, Fd, AtLastByte(page), Int(1), Int(0)];
            let drain = call("read", libc::SYS_read, [PipeOut, Scratch, Int(1)]);
            (Some(fill), call("splice", libc::SYS_splice, args), Some(drain))
        }
        By::Sendfile => {
            let args = [Fd, Source, AtInSource, Int(1)];
            (Some(seek), call("sendfile", libc::SYS_sendfile, args), None)
        }
        By::CopyFileRange => {
            let args = [Source, AtInSource, Fd, AtLastByte(page), Int(1), Int(0)];
            (None, call("copy_file_range", libc::SYS_copy_file_range, args), None)
        }
    };
    Lowered { first, judged: Some(judged), if_failed }
}

const PROT: &[(c_int, &str)] =
    &[(0, "PROT_NONE"), (libc::PROT_READ, "PROT_READ"), (libc::PROT_WRITE, "PROT_WRITE")];
const FALLOC: &[(c_int, &str)] = &[
    (0, "0"),
    (libc::FALLOC_FL_KEEP_SIZE, "FALLOC_FL_KEEP_SIZE"),
    (libc::FALLOC_FL_PUNCH_HOLE, "FALLOC_FL_PUNCH_HOLE"),
    (libc::FALLOC_FL_ZERO_RANGE, "FALLOC_FL_ZERO_RANGE"),
];
const ADVICE: &[(c_int, &str)] = &[
    (libc::MADV_DONTNEED, "MADV_DONTNEED"),
    (libc::MADV_REMOVE, "MADV_REMOVE"),
    (libc::MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE"),
];
const OPEN: &[(c_int, &str)] = &[
    (libc::O_RDONLY, "O_RDONLY"),
    (libc::O_WRONLY, "O_WRONLY"),
    (libc::O_RDWR, "O_RDWR"),
    (libc::O_PATH, "O_PATH"),
    (libc::O_APPEND, "O_APPEND"),
    (libc::O_DIRECT, "O_DIRECT"),
    (libc::O_TRUNC, "O_TRUNC"),
];
/// Seals, by their names in C.
pub const SEALS: &[(c_int, &str)] = &[
    (0, "0"),
    (0x01, "F_SEAL_SEAL"),
    (0x02, "F_SEAL_SHRINK"),
    (0x04, "F_SEAL_GROW"),
    (0x08, "F_SEAL_WRITE"),
    (0x10, "F_SEAL_FUTURE_WRITE"),
    (0x20, "F_SEAL_EXEC"),
    (0x40, "F_SEAL_FS_WRITE"),
];
