// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What each operation does to a memfd: a pure function, which makes no system call. SEMANTICS.md has
//! the same in words; where a hand-written case says otherwise, the case is right
//! (tests/model_agrees.rs).

use super::state::{APPENDED, DENY_GROW, DENY_SHRINK, DENY_WRITE, WITH_EXEC};
use super::state::{At, By, Fd, Mapping, Op, Out, Share, Span, State};
use crate::kind::Kind::Hugetlb;
use crate::sys::seal;
use Out::{Fails, Gives, Works};
use libc::{FALLOC_FL_KEEP_SIZE as KEEP, FALLOC_FL_PUNCH_HOLE as PUNCH, O_DIRECT, O_TRUNC};
use libc::{MADV_POPULATE_WRITE, MADV_REMOVE, PROT_NONE, PROT_WRITE, c_int};
use nix::errno::Errno::{EACCES, EBADF, EBUSY, EFAULT, EINVAL, EOPNOTSUPP, EPERM};

/// What the operation gives. The state becomes what it is afterwards.
pub fn step(s: &mut State, op: Op) -> Out {
    let byte = s.letter();
    s.clock += 1;
    match op {
        Op::Write(by, at) => write(s, by, at, byte),
        Op::WriteNothing if !s.fd().writes() => Fails(EBADF),
        Op::WriteNothing if s.kind == Hugetlb => Fails(EINVAL),
        Op::WriteNothing => Gives(0),
        Op::Read if !s.fd().reads() => Fails(EBADF),
        Op::Read => Gives(usize::from(!s.pages.is_empty())),
        Op::Truncate(_) if s.fd().is_path() => Fails(EBADF),
        Op::Truncate(_) if !s.fd().writes() => Fails(EINVAL),
        Op::Truncate(to) | Op::TruncatePath(to) => resize(s, s.to(to)),
        Op::Fallocate(mode, at) => fallocate(s, mode, at),
        Op::Mmap(share, prot, span) => mmap(s, share, prot, span),
        Op::Chmod(_) if s.fd().is_path() => Fails(EBADF),
        Op::Chmod(x) if s.seals & seal::EXEC != 0 && x != s.executable => Fails(EPERM),
        Op::Chmod(x) => {
            s.executable = x;
            Gives(0)
        }
        Op::AddSeals(seals) => add_seals(s, seals),
        Op::GetSeals if s.fd().is_path() => Fails(EBADF),
        Op::GetSeals => Gives(s.seals as usize),
        Op::Open(flags) => open(s, flags),
        Op::Dup => {
            s.fds.push(s.fd());
            s.fd = s.fds.len() - 1;
            Works
        }
        Op::Close => {
            s.fds.pop();
            s.fd = s.fds.len() - 1;
            Gives(0)
        }
        Op::UseFirst | Op::UseLast => {
            s.fd = if op == Op::UseFirst { 0 } else { s.fds.len() - 1 };
            Gives(0)
        }
        Op::Store | Op::VmWrite if !s.map().writes() || s.pages.is_empty() => Fails(EFAULT),
        Op::Store | Op::VmWrite => {
            if s.map().shared {
                s.pages[0] = byte;
            }
            Gives(1)
        }
        Op::Load if s.map().prot == PROT_NONE || s.pages.is_empty() => Fails(EFAULT),
        Op::Load => Gives(1),
        Op::Protect(prot) if prot & PROT_WRITE != 0 && !s.map().may_write => Fails(EACCES),
        Op::Protect(prot) => {
            s.maps.last_mut().expect("see map()").prot = prot;
            Gives(0)
        }
        Op::Grow | Op::Duplicate if s.kind == Hugetlb => Fails(EINVAL),
        Op::Grow => {
            s.maps.last_mut().expect("see map()").len += 1;
            Works
        }
        // Of a private mapping there is no second one.
        Op::Duplicate if !s.map().shared => Fails(EINVAL),
        Op::Duplicate => {
            s.maps.push(s.map());
            Works
        }
        Op::Again => again(s),
        Op::Advise(MADV_REMOVE) if !s.map().may_change_file() => Fails(EACCES),
        Op::Advise(MADV_REMOVE) => punch(s, 0),
        Op::Advise(MADV_POPULATE_WRITE) if !s.map().writes() => Fails(EINVAL),
        Op::Advise(MADV_POPULATE_WRITE) if s.pages.is_empty() => Fails(EFAULT),
        Op::Advise(_) => Gives(0),
        Op::Unmap => {
            s.maps.pop();
            Gives(0)
        }
    }
}

fn write(s: &mut State, by: By, at: At, byte: u8) -> Out {
    let fd = s.fd();
    match by {
        _ if !fd.writes() => return Fails(EBADF),
        _ if s.kind == Hugetlb => return Fails(EINVAL),
        By::Splice | By::Sendfile if fd.appends() => return Fails(EINVAL),
        By::CopyFileRange if fd.appends() => return Fails(EBADF),
        _ => {}
    }
    let page = if fd.appends() { s.pages.len() } else { s.at(at) };
    let grows = page == s.pages.len();
    if s.seals & DENY_WRITE != 0 || grows && s.seals & DENY_GROW != 0 {
        return Fails(EPERM);
    }
    if grows {
        s.pages.push(0);
    }
    s.pages[page] = if fd.appends() { APPENDED } else { byte };
    Gives(if fd.appends() { s.page } else { 1 })
}

fn resize(s: &mut State, pages: usize) -> Out {
    let denied = match pages.cmp(&s.pages.len()) {
        std::cmp::Ordering::Less => DENY_SHRINK,
        std::cmp::Ordering::Equal => 0,
        std::cmp::Ordering::Greater => DENY_GROW,
    };
    if s.seals & denied != 0 {
        return Fails(EPERM);
    }
    s.pages.resize(pages, 0);
    Gives(0)
}

fn fallocate(s: &mut State, mode: c_int, at: At) -> Out {
    let page = s.at(at);
    if !s.fd().writes() {
        return Fails(EBADF);
    }
    match mode {
        _ if mode & !(KEEP | PUNCH) != 0 => Fails(EOPNOTSUPP),
        _ if mode & PUNCH != 0 => punch(s, page),
        _ if s.seals & seal::FS_WRITE != 0 => Fails(EPERM),
        _ if page < s.pages.len() => Gives(0),
        // Also with FALLOC_FL_KEEP_SIZE.
        _ if s.seals & DENY_GROW != 0 => Fails(EPERM),
        KEEP => Gives(0),
        _ => resize(s, page + 1),
    }
}

fn punch(s: &mut State, page: usize) -> Out {
    if s.seals & DENY_WRITE != 0 {
        return Fails(EPERM);
    }
    if let Some(byte) = s.pages.get_mut(page) {
        *byte = 0;
    }
    Gives(0)
}

fn mmap(s: &mut State, share: Share, prot: c_int, span: Span) -> Out {
    let (fd, len) = (s.fd(), s.span(span));
    let (shared, writes) = (share == Share::Shared, prot & PROT_WRITE != 0);
    let sealed = s.seals & DENY_WRITE != 0;
    match () {
        _ if fd.is_path() => return Fails(EBADF),
        _ if !fd.reads() => return Fails(EACCES),
        _ if shared && writes && !fd.writes() => return Fails(EACCES),
        _ if shared && writes && sealed => return Fails(too_late(s)),
        _ => {}
    }
    // hugetlbfs has always grown a file to a writable mapping's length.
    if s.kind == Hugetlb && writes && len > s.pages.len() && s.seals & DENY_GROW == 0 {
        s.pages.resize(len, 0);
    }
    let may_write = !shared || fd.writes() && !sealed;
    s.maps.push(Mapping { shared, by_writer: fd.writes(), prot, may_write, len });
    Works
}

/// remap_file_pages(2) makes the mapping anew.
fn again(s: &mut State) -> Out {
    let sealed = s.seals & DENY_WRITE != 0;
    let map = s.map();
    match () {
        _ if !map.shared || !map.by_writer => Fails(EINVAL),
        _ if map.writes() && sealed => Fails(too_late(s)),
        _ => {
            s.maps.last_mut().expect("see map()").may_write = !sealed;
            Gives(0)
        }
    }
}

/// Why a writable shared mapping can't be made of a sealed file.
fn too_late(s: &State) -> nix::errno::Errno {
    if s.seals & (seal::WRITE | seal::FUTURE_WRITE) != 0 { EPERM } else { EACCES }
}

fn add_seals(s: &mut State, seals: u32) -> Out {
    let implied = if seals & seal::EXEC != 0 && s.executable { WITH_EXEC } else { 0 };
    let fresh = (seals | implied) & !s.seals;
    match () {
        _ if s.fd().is_path() => Fails(EBADF),
        _ if !s.fd().writes() => Fails(EPERM),
        _ if seals & !s.all_seals != 0 => Fails(EINVAL),
        _ if s.seals & seal::SEAL != 0 => Fails(EPERM),
        _ if fresh & seal::WRITE != 0 && s.maps.iter().any(|m| m.may_change_file()) => Fails(EBUSY),
        _ => {
            s.seals |= fresh;
            Gives(0)
        }
    }
}

fn open(s: &mut State, flags: c_int) -> Out {
    if s.kind == Hugetlb && flags & O_DIRECT != 0 {
        return Fails(EINVAL);
    }
    if flags & O_TRUNC != 0 && resize(s, 0) != Gives(0) {
        return Fails(EPERM);
    }
    s.fds.push(Fd(flags & !O_TRUNC));
    s.fd = s.fds.len() - 1;
    Works
}
