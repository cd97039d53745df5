// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a hostile receiver tries, and what each try must give.

use super::hostile::{Sender, Viewer};
use crate::case::{Expect, Fails, Got, Works};
use crate::need::Need;
use crate::sys::{self, Map, RO, RW, mfd, seal};
use crate::uring::Fd;
use crate::world::World;
use crate::{aio, udmabuf, uffd, uring};
use libc::{
    FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
    MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, O_APPEND, O_RDWR, O_TRUNC, O_WRONLY, PROT_WRITE,
};
use nix::errno::Errno::{self, *};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// One try. `..TRY` supplies what it does not say.
pub struct Try {
    pub name: &'static str,
    pub op: fn(&mut World, &Sender) -> Got,
    /// What it gives where F_SEAL_FS_WRITE is. Whatever it gives, the file looks as before.
    pub fs_write: Expect,
    /// Where F_SEAL_FUTURE_WRITE, SHRINK and GROW are.
    pub older: Expect,
    /// The proof that it is a try at all: what it gives where no seal is.
    pub unsealed: Expect,
    /// Who tries it.
    pub by: &'static [Viewer],
    /// What it needs.
    pub needs: Option<Need>,
    /// Where this is missing it is left out of those that need the same.
    pub and: Option<Need>,
}

const TRY: Try = Try {
    name: "",
    op: |_, _| Err(ENOSYS.into()),
    fs_write: Fails(EPERM),
    older: Fails(EPERM),
    unsealed: Works,
    by: &[Viewer::SameUid, Viewer::OtherUid, Viewer::OtherNamespace],
    needs: None,
    and: None,
};
/// A new writable mapping. What the two guarantees differ in.
const MMAP: Try = Try { fs_write: Fails(EACCES), ..TRY };
/// A read-only mapping made writable.
const UPGRADE: Try = Try { fs_write: Fails(EACCES), older: Fails(EACCES), ..TRY };
/// A write through a shared read-only mapping: never possible, whatever the seals.
const fn never(errno: Errno) -> Try {
    let fails = Fails(errno);
    Try { fs_write: fails, older: fails, unsealed: fails, ..TRY }
}
/// Works always, and does not reach the file.
const ISOLATED: Try = Try { fs_write: Works, older: Works, ..TRY };
/// By who is not allowed to ptrace the sender.
const OTHERS: &[Viewer] = &[Viewer::OtherUid, Viewer::OtherNamespace];

pub const TRIES: &[Try] = &[
    // Writing.
    Try { name: "write", op: |f, _| f.write(b"x"), ..TRY },
    Try { name: "pwrite", op: |f, _| f.pwrite(0, b"x"), ..TRY },
    Try { name: "writev", op: |f, _| writev(f), ..TRY },
    Try { name: "pwritev2", op: |f, _| Ok(sys::pwritev2(&f.fd, b"x", 0, 0)?), ..TRY },
    Try { name: "open_rdwr", op: |f, _| write_to(f.reopen(O_RDWR)?), ..TRY },
    Try { name: "open_wronly", op: |f, _| write_to(f.reopen(O_WRONLY)?), ..TRY },
    Try { name: "open_append", op: |f, _| write_to(f.reopen(O_RDWR | O_APPEND)?), ..TRY },
    Try { name: "splice", op: |f, _| splice(f), ..TRY },
    Try { name: "sendfile", op: |f, _| from_other(f, libc::SYS_sendfile), ..TRY },
    Try { name: "copy_file_range", op: |f, _| from_other(f, libc::SYS_copy_file_range), ..TRY },
    // Resizing.
    Try { name: "ftruncate_less", op: |f, _| f.ftruncate(0), ..TRY },
    Try { name: "ftruncate_more", op: |f, _| f.ftruncate(2 * f.size), ..TRY },
    Try { name: "truncate_less", op: |f, _| truncate(f, 0), ..TRY },
    Try { name: "truncate_more", op: |f, _| truncate(f, 2 * f.size), ..TRY },
    Try { name: "open_trunc", op: |f, _| Ok(f.reopen(O_RDWR | O_TRUNC).map(|_| 0)?), ..TRY },
    Try { name: "fallocate", op: |f, _| f.fallocate(0, 0, f.size), older: Works, ..TRY },
    Try { name: "fallocate_more", op: |f, _| f.fallocate(0, f.size, f.page), ..TRY },
    Try {
        name: "fallocate_keep_size",
        op: |f, _| f.fallocate(FALLOC_FL_KEEP_SIZE, f.size, f.page),
        ..TRY
    },
    Try {
        name: "fallocate_punch_hole",
        op: |f, _| f.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, f.page),
        ..TRY
    },
    Try {
        name: "fallocate_zero_range",
        op: |f, _| f.fallocate(FALLOC_FL_ZERO_RANGE, 0, f.page),
        ..never(EOPNOTSUPP)
    },
    Try {
        name: "fallocate_collapse_range",
        op: |f, _| f.fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, f.page),
        ..never(EOPNOTSUPP)
    },
    // Mapping.
    Try { name: "mmap_rw", op: |f, _| f.mmap_new(RW, MAP_SHARED), ..MMAP },
    Try { name: "mmap_w", op: |f, _| f.mmap_new(PROT_WRITE, MAP_SHARED), ..MMAP },
    Try { name: "mmap_validate", op: |f, _| f.mmap_new(RW, MAP_SHARED_VALIDATE), ..MMAP },
    Try {
        name: "open_rdwr_mmap",
        op: |f, _| Ok(Map::new(f.size, RW, MAP_SHARED, &f.reopen(O_RDWR)?, 0).map(|_| 0)?),
        ..MMAP
    },
    Try { name: "mprotect", op: |f, _| Ok(view(f)?.protect(RW)?), ..UPGRADE },
    Try {
        name: "mremap_mprotect",
        op: |f, _| {
            let (copy, _first) = view(f)?.remap(0, f.size, libc::MREMAP_MAYMOVE)?;
            Ok(copy.protect(RW)?)
        },
        ..UPGRADE
    },
    Try {
        name: "remap_file_pages_mprotect",
        op: |f, _| {
            let view = view(f)?;
            view.remap_file_pages(f.page, 1)?;
            Ok(view.protect(RW)?)
        },
        ..UPGRADE
    },
    Try {
        name: "madv_remove",
        op: |f, _| Ok(view(f)?.advise(0, f.page, libc::MADV_REMOVE)?),
        ..UPGRADE
    },
    // Through its read-only mapping.
    Try {
        name: "madv_populate_write",
        op: |f, _| Ok(view(f)?.advise(0, f.page, libc::MADV_POPULATE_WRITE)?),
        ..never(EINVAL)
    },
    Try {
        name: "proc_self_mem",
        op: |f, _| write_at(OpenOptions::new().write(true).open("/proc/self/mem"), view(f)?.addr()),
        ..never(EIO)
    },
    Try {
        name: "process_vm_writev",
        op: |f, _| Ok(sys::process_vm_write_self(b"x", view(f)?.addr())?),
        ..never(EFAULT)
    },
    Try { name: "ptrace_poke", op: |f, _| poke(&view(f)?), ..never(EIO) },
    Try {
        name: "read_into",
        op: |f, _| {
            let args = [f.fd.as_raw_fd() as usize, view(f)?.addr(), 8, 8, 0, 0];
            Ok(sys::call(libc::SYS_pread64, args)?)
        },
        ..never(EFAULT)
    },
    // A private mapping and a pipe have had holes of their own.
    Try { name: "dirty_cow", op: |f, _| poke(&f.mmap(RO, MAP_PRIVATE)?), ..ISOLATED },
    Try { name: "dirty_pipe", op: |f, _| dirty_pipe(f), ..ISOLATED },
    // By way of the sender.
    Try {
        name: "open_senders_fd",
        op: |_, sender| write_at(open_senders(sender, "fd"), 0),
        by: &[Viewer::SameUid],
        ..TRY
    },
    Try {
        name: "open_senders_fd",
        op: |_, sender| write_at(open_senders(sender, "fd"), 0),
        by: OTHERS,
        ..never(EACCES)
    },
    Try {
        name: "open_senders_mem",
        op: |_, sender| write_at(open_senders(sender, "mem"), 0),
        by: OTHERS,
        ..never(EACCES)
    },
    Try {
        name: "pidfd_getfd",
        op: |_, sender| {
            let process = sys::pidfd_open(sender.pid)?;
            let args = [process.as_raw_fd() as usize, sender.fd as usize, 0, 0, 0, 0];
            write_to(sys::own(sys::call(libc::SYS_pidfd_getfd, args)? as i32))
        },
        by: OTHERS,
        ..never(EPERM)
    },
    Try {
        name: "process_vm_writev_sender",
        // As a forked child it has what the sender has at the same address.
        op: |_, sender| Ok(sys::process_vm_write(sender.pid, b"x", TRIES.as_ptr() as usize)?),
        by: OTHERS,
        ..never(EPERM)
    },
    Try {
        name: "ptrace_sender",
        op: |_, sender| Ok(nix::sys::ptrace::attach(sender.pid).map(|()| 0)?),
        by: OTHERS,
        ..never(EPERM)
    },
    // By way of the rest of the kernel.
    Try {
        name: "io_uring_write",
        op: |f, _| uring::once(uring::write(Fd::of(f), b"x", 0, 0)),
        needs: Some(Need::IoUring),
        ..TRY
    },
    Try {
        name: "io_uring_ftruncate",
        op: |f, _| uring::once(uring::ftruncate(Fd::of(f), 0)),
        needs: Some(Need::IoUring),
        and: Some(Need::UringTruncate),
        ..TRY
    },
    Try {
        name: "io_uring_fallocate",
        op: |f, _| {
            uring::once(uring::fallocate(
                Fd::of(f),
                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                0,
                4096,
            ))
        },
        needs: Some(Need::IoUring),
        ..TRY
    },
    Try {
        name: "io_uring_fixed_buffer",
        op: |f, _| uring::Fixed::pin(&view(f)?)?.read(&f.fd, view(f)?.addr(), 8),
        needs: Some(Need::IoUring),
        ..never(EFAULT)
    },
    Try { name: "aio", op: |f, _| aio::pwrite(&f.fd, b"x", 0, 0), needs: Some(Need::Aio), ..TRY },
    Try {
        name: "userfaultfd",
        op: |f, _| Ok(uffd::register(&uffd::open()?, &view(f)?)?),
        needs: Some(Need::Userfaultfd),
        ..TRY
    },
    Try {
        name: "udmabuf",
        op: |f, _| Ok(udmabuf::create(f).map(|_| 0)?),
        // It takes a file that has F_SEAL_SHRINK, and none that nobody may write.
        by: &[Viewer::SameUid],
        needs: Some(Need::Udmabuf),
        ..never(EINVAL)
    },
    // More seals: last, since they stay where they are taken.
    Try {
        name: "add_seal_write",
        op: |f, _| f.add_seals(seal::WRITE),
        unsealed: Fails(EBUSY),
        ..TRY
    },
    Try { name: "add_seal_grow", op: |f, _| f.add_seals(seal::GROW), ..TRY },
    Try { name: "add_seal_seal", op: |f, _| f.add_seals(seal::SEAL), ..TRY },
];

/// Its own read-only mapping.
fn view(world: &World) -> sys::Sys<Map> {
    world.mmap(RO, MAP_SHARED)
}

fn write_to(fd: OwnedFd) -> Got {
    Ok(nix::unistd::write(&fd, b"x")? as i64)
}

fn write_at(file: std::io::Result<File>, at: usize) -> Got {
    match file.and_then(|file| file.write_at(b"x", at as u64)) {
        Ok(count) => Ok(count as i64),
        Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(0)).into()),
    }
}

fn writev(world: &World) -> Got {
    let part = libc::iovec { iov_base: b"x".as_ptr() as *mut _, iov_len: 1 };
    let args = [world.fd.as_raw_fd() as usize, &raw const part as usize, 1, 0, 0, 0];
    Ok(sys::call(libc::SYS_writev, args)?)
}

fn truncate(world: &World, size: usize) -> Got {
    Ok(sys::truncate(world.path().as_str(), size as i64).map(|()| 0)?)
}

fn splice(world: &World) -> Got {
    let (reader, writer) = nix::unistd::pipe()?;
    nix::unistd::write(&writer, b"x")?;
    let to = world.fd.as_raw_fd() as usize;
    Ok(sys::call(libc::SYS_splice, [reader.as_raw_fd() as usize, 0, to, 0, 1, 0])?)
}

/// From another memfd, by a call that takes the two descriptors in its own order.
fn from_other(world: &World, call: libc::c_long) -> Got {
    let other = sys::memfd_create("other", mfd::CLOEXEC)?;
    sys::pwritev2(&other, b"x", 0, 0)?;
    let (from, to) = (other.as_raw_fd() as usize, world.fd.as_raw_fd() as usize);
    let args = match call {
        libc::SYS_sendfile => [to, from, 0, 1, 0, 0],
        _ => [from, 0, to, 0, 1, 0],
    };
    Ok(sys::call(call, args)?)
}

/// Writes into the mapping of a forked child as its debugger, which may write where the child may
/// only read. (/proc/self/mem may too on kernels that are configured so.)
fn poke(view: &Map) -> Got {
    use nix::sys::{ptrace, signal, wait::waitpid};
    let child = sys::fork(|| {
        let _ = ptrace::traceme();
        let _ = signal::raise(signal::Signal::SIGSTOP);
        0
    })?;
    waitpid(child, None)?;
    let poked = ptrace::write(child, view.addr() as *mut _, 0);
    signal::kill(child, signal::Signal::SIGKILL)?;
    waitpid(child, None)?;
    Ok(poked.map(|()| 0)?)
}

/// What is written to a pipe that has a page of the file in it goes to another page.
fn dirty_pipe(world: &World) -> Got {
    let (reader, writer) = nix::unistd::pipe()?;
    // Filled and emptied, so that each of its slots has been one that may be appended to.
    for _ in 0..16 {
        nix::unistd::write(&writer, &[0; 4096])?;
        nix::unistd::read(&reader, &mut [0; 4096])?;
    }
    let mut from: i64 = 0;
    let spliced = nix::fcntl::splice(
        world.fd.as_fd(),
        Some(&mut from),
        &writer,
        None,
        1,
        nix::fcntl::SpliceFFlags::empty(),
    )?;
    assert_eq!(spliced, 1);
    Ok(nix::unistd::write(&writer, b"xxxxxxxx")? as i64)
}

fn open_senders(sender: &Sender, what: &str) -> std::io::Result<File> {
    let path = match what {
        "fd" => format!("/proc/{}/fd/{}", sender.pid, sender.fd),
        what => format!("/proc/{}/{what}", sender.pid),
    };
    OpenOptions::new().read(true).write(true).open(path)
}
