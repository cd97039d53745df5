// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What each operation does to a memfd: a pure function, which makes no system call. SEMANTICS.md has
//! the same in words; where a hand-written case says otherwise, the case is right
//! (tests/model_agrees.rs).

use super::state::{APPENDED, DENY_GROW, DENY_SHRINK, DENY_WRITE, WITH_EXEC};
use super::state::{At, By, Fd, Mapping, Op, Out, Share, State};
use crate::kind::Kind::Hugetlb;
use crate::sys::seal;
use Out::{Fails, Gives, Works};
use libc::{FALLOC_FL_KEEP_SIZE as KEEP, FALLOC_FL_PUNCH_HOLE as PUNCH, O_DIRECT, O_TRUNC};
use libc::{MADV_POPULATE_WRITE, MADV_REMOVE, PROT_NONE, PROT_WRITE, c_int};
use nix::errno::Errno::{self, EACCES, EBADF, EBUSY, EFAULT, EINVAL, EOPNOTSUPP, EPERM};

macro_rules! fails {
    ($errno:expr, if $holds:expr) => {
        if $holds {
            return Fails($errno);
        }
    };
}

/// What the operation gives. The state becomes what it is afterwards.
pub fn step(s: &mut State, op: Op) -> Out {
    let byte = s.letter();
    s.clock += 1;
    let (fd, hugetlb) = (s.fd(), s.kind == Hugetlb);
    match op {
        Op::Write(by, at) => return write(s, by, at, byte),
        Op::WriteNothing => {
            fails!(EBADF, if !fd.writes());
            fails!(EINVAL, if hugetlb);
        }
        Op::Read => {
            fails!(EBADF, if !fd.reads());
            return Gives(s.pages.len().min(1));
        }
        Op::Truncate(to) => {
            fails!(EBADF, if fd.is_path());
            fails!(EINVAL, if !fd.writes());
            return resize(s, s.to(to));
        }
        Op::TruncatePath(to) => return resize(s, s.to(to)),
        Op::Fallocate(mode, at) => return fallocate(s, mode, s.at(at)),
        Op::Chmod(executable) => {
            fails!(EBADF, if fd.is_path());
            fails!(EPERM, if s.seals & seal::EXEC != 0 && executable != s.executable);
            s.executable = executable;
        }
        Op::AddSeals(seals) => return add_seals(s, seals),
        Op::GetSeals => {
            fails!(EBADF, if fd.is_path());
            return Gives(s.seals as usize);
        }
        Op::Open(flags) => {
            fails!(EINVAL, if hugetlb && flags & O_DIRECT != 0);
            fails!(EPERM, if flags & O_TRUNC != 0 && resize(s, 0) != Gives(0));
            return s.hold_fd(Fd(flags & !O_TRUNC));
        }
        Op::Dup => return s.hold_fd(fd),
        Op::Close | Op::UseFirst | Op::UseLast => s.turn(op),
        Op::Mmap(share, prot, span) => return mmap(s, share, prot, s.span(span)),
        Op::Unmap => drop(s.maps.pop()),
        Op::Store | Op::VmWrite => {
            fails!(EFAULT, if !s.map().writes() || s.pages.is_empty());
            if s.map().shared {
                s.pages[0] = byte;
            }
            return Gives(1);
        }
        Op::Load => {
            fails!(EFAULT, if s.map().prot == PROT_NONE || s.pages.is_empty());
            return Gives(1);
        }
        Op::Protect(prot) => {
            fails!(EACCES, if prot & PROT_WRITE != 0 && !s.map().may_write);
            s.map_mut().prot = prot;
        }
        Op::Grow => {
            fails!(EINVAL, if hugetlb);
            s.map_mut().len += 1;
            return Works;
        }
        Op::Duplicate => {
            fails!(EINVAL, if hugetlb || !s.map().shared);
            s.maps.push(s.map());
            return Works;
        }
        // remap_file_pages(2) makes the mapping anew.
        Op::Again => {
            fails!(EINVAL, if !s.map().shared || !s.map().by_writer);
            fails!(too_late(s), if s.map().writes() && s.has(DENY_WRITE));
            s.map_mut().may_write = !s.has(DENY_WRITE);
        }
        Op::Advise(MADV_REMOVE) => {
            fails!(EACCES, if !s.map().may_change_file());
            return punch(s, 0);
        }
        Op::Advise(MADV_POPULATE_WRITE) => {
            fails!(EINVAL, if !s.map().writes());
            fails!(EFAULT, if s.pages.is_empty());
        }
        Op::Advise(_) => {}
    }
    Gives(0)
}

fn write(s: &mut State, by: By, at: At, byte: u8) -> Out {
    let appends = s.fd().appends();
    let page = if appends { s.pages.len() } else { s.at(at) };
    let grows = page == s.pages.len();
    fails!(EBADF, if !s.fd().writes() || by == By::CopyFileRange && appends);
    fails!(EINVAL, if s.kind == Hugetlb || matches!(by, By::Splice | By::Sendfile) && appends);
    fails!(EPERM, if s.has(DENY_WRITE) || grows && s.has(DENY_GROW));
    if grows {
        s.pages.push(0);
    }
    s.pages[page] = if appends { APPENDED } else { byte };
    Gives(if appends { s.page } else { 1 })
}

fn resize(s: &mut State, pages: usize) -> Out {
    fails!(EPERM, if pages < s.pages.len() && s.has(DENY_SHRINK));
    fails!(EPERM, if pages > s.pages.len() && s.has(DENY_GROW));
    s.pages.resize(pages, 0);
    Gives(0)
}

fn fallocate(s: &mut State, mode: c_int, page: usize) -> Out {
    fails!(EBADF, if !s.fd().writes());
    fails!(EOPNOTSUPP, if mode & !(KEEP | PUNCH) != 0);
    if mode & PUNCH != 0 {
        return punch(s, page);
    }
    let inside = page < s.pages.len();
    // Past EOF also with FALLOC_FL_KEEP_SIZE.
    fails!(EPERM, if s.has(seal::FS_WRITE) || !inside && s.has(DENY_GROW));
    if inside || mode & KEEP != 0 { Gives(0) } else { resize(s, page + 1) }
}

fn punch(s: &mut State, page: usize) -> Out {
    fails!(EPERM, if s.has(DENY_WRITE));
    s.pages.iter_mut().skip(page).take(1).for_each(|byte| *byte = 0);
    Gives(0)
}

fn mmap(s: &mut State, share: Share, prot: c_int, len: usize) -> Out {
    let (fd, shared, writes) = (s.fd(), share == Share::Shared, prot & PROT_WRITE != 0);
    fails!(EBADF, if fd.is_path());
    fails!(EACCES, if !fd.reads() || shared && writes && !fd.writes());
    fails!(too_late(s), if shared && writes && s.has(DENY_WRITE));
    // hugetlbfs has always grown a file to a writable mapping's length.
    if s.kind == Hugetlb && writes && len > s.pages.len() && !s.has(DENY_GROW) {
        s.pages.resize(len, 0);
    }
    let may_write = !shared || fd.writes() && !s.has(DENY_WRITE);
    s.maps.push(Mapping { shared, by_writer: fd.writes(), prot, may_write, len });
    Works
}

/// Why a writable shared mapping can't be made of a sealed file.
fn too_late(s: &State) -> Errno {
    if s.has(seal::WRITE | seal::FUTURE_WRITE) { EPERM } else { EACCES }
}

fn add_seals(s: &mut State, seals: u32) -> Out {
    let implied = if seals & seal::EXEC != 0 && s.executable { WITH_EXEC } else { 0 };
    let fresh = (seals | implied) & !s.seals;
    fails!(EBADF, if s.fd().is_path());
    fails!(EPERM, if !s.fd().writes());
    fails!(EINVAL, if seals & !s.all_seals != 0);
    fails!(EPERM, if s.has(seal::SEAL));
    fails!(EBUSY, if fresh & seal::WRITE != 0 && s.maps.iter().any(|map| map.may_change_file()));
    s.seals |= fresh;
    Gives(0)
}
