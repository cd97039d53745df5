// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What no seal touches: reading, syncing, locking and watching the file.

use crate::case::*;
use crate::door::{Door, READERS};
use crate::sys::seal::{FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, RO, mfd};
use crate::world::{World, all_fail, fresh, readable, same, sealed, sealed_unmapped};
use libc::{MAP_SHARED, c_int, c_long};
use nix::errno::Errno::*;
use std::os::fd::AsRawFd;

/// A row that gives the same whatever the seals are.
const SAME: Case = Case { rules: &[18], on: BOTH, under: WHATEVER, setup: sealed, ..CASE };
/// The same of what hugetlbfs does otherwise.
const SAME_ON_SHMEM: Case = Case { on: SHMEM, ..SAME };

/// No seal, each one that could be in the way, and all of them.
const WHATEVER: &[u32] = &[
    0,
    SEAL,
    SHRINK,
    GROW,
    WRITE,
    FUTURE_WRITE,
    FS_WRITE,
    SEAL | SHRINK | GROW | WRITE | FUTURE_WRITE | FS_WRITE,
];

/// What fails does so on every kernel.
const ANYWAY: Deviation = Deviation::Passes("it fails without any seal, too");

pub const CASES: &[Case] = &[
    Case {
        name: "read",
        about: "read(2) works and moves the offset",
        op: |f| Ok(nix::unistd::read(&f.fd, &mut [0; 16])? as i64),
        expect: Returns(16),
        after: |f| offset_is(f, 5 + 16),
        ..SAME
    },
    Case {
        name: "read_at_eof",
        about: "read(2) at EOF gives nothing, and up to EOF what is there",
        op: |f| {
            let mut bytes = [0_u8; 8];
            let to = bytes.as_mut_ptr() as usize;
            let at = |offset| call(f, libc::SYS_pread64, [to, 8, offset, 0]);
            Ok(at(f.size - 3)? << 8 | at(f.size)? << 4 | at(f.size + f.page)?)
        },
        expect: Returns(3 << 8),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "preadv2",
        about: "preadv2(2) works without flags and with RWF_HIPRI, and leaves the offset",
        op: |f| Ok(preadv2(f, 0)? << 8 | preadv2(f, libc::RWF_HIPRI)?),
        expect: Returns(4 << 8 | 4),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "preadv2_flags",
        about: "preadv2(2) with flags that memfds do not support is EOPNOTSUPP as ever",
        op: |f| {
            const RWF_DONTCACHE: c_int = 0x80;
            all_fail(
                EOPNOTSUPP,
                [libc::RWF_NOWAIT, RWF_DONTCACHE, 1 << 30].map(|flags| preadv2(f, flags)),
            )
        },
        expect: Fails(EOPNOTSUPP),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "read_wronly",
        about: "read(2) through a descriptor that can only write is EBADF as ever",
        through: &[Door::Before(libc::O_WRONLY), Door::After(libc::O_WRONLY)],
        op: |f| Ok(nix::unistd::read(&f.fd, &mut [0; 16])? as i64),
        expect: Fails(EBADF),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "read_through",
        about: "a receiver that can only read reads the file and maps it",
        through: READERS,
        op: |f| {
            f.mmap_new(RO, MAP_SHARED)?;
            Ok(nix::unistd::read(&f.fd, &mut [0; 16])? as i64)
        },
        expect: Returns(16),
        after: |f| readable(f.made()),
        ..SAME
    },
    Case {
        name: "lseek",
        about: "lseek(2) works from the start, the offset and the end",
        op: |f| {
            let seek = |to: isize, whence: c_int| {
                call(f, libc::SYS_lseek, [to as usize, whence as usize, 0, 0])
            };
            let end = seek(0, libc::SEEK_END)? - f.size as i64;
            Ok(end << 16 | seek(3, libc::SEEK_SET)? << 8 | seek(1, libc::SEEK_CUR)?)
        },
        expect: Returns(3 << 8 | 4),
        after: |f| offset_is(f, 4),
        ..SAME
    },
    Case {
        name: "lseek_data_and_hole",
        about: "SEEK_DATA and SEEK_HOLE find what was punched before the seal",
        setup: |given| {
            let world = fresh(given)?;
            let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            same("punch", Ok(0), world.fallocate(punch, 0, world.page))?;
            world.seal(given.seals)
        },
        op: |f| {
            let seek = |from: usize, whence: c_int| {
                call(f, libc::SYS_lseek, [from, whence as usize, 0, 0])
            };
            let pages = |bytes: i64| bytes / f.page as i64;
            let hole = pages(seek(f.page, libc::SEEK_HOLE)?);
            Ok(pages(seek(0, libc::SEEK_DATA)?) << 8 | pages(seek(0, libc::SEEK_HOLE)?) << 4 | hole)
        },
        expect: Returns(1 << 8 | 2),
        ..SAME_ON_SHMEM
    },
    Case {
        name: "copy_out",
        about: "sendfile(2), splice(2) and copy_file_range(2) out of the file work",
        setup: |given| {
            let (reader, writer) = nix::unistd::pipe().map_err(|e| e.to_string())?;
            let to = sys::memfd_create("to", mfd::CLOEXEC).map_err(|e| e.to_string())?;
            Ok(sealed(given)?.keep(to).keep(writer).keep(reader))
        },
        op: |f| {
            let from = f.fd.as_raw_fd() as usize;
            let [to, pipe] = [0, 1].map(|at: usize| f.kept[at].as_raw_fd() as usize);
            let sent = sys::call(libc::SYS_sendfile, [to, from, 0, 3, 0, 0])?;
            let spliced = sys::call(libc::SYS_splice, [from, 0, pipe, 0, 4, 0])?;
            let copied = sys::call(libc::SYS_copy_file_range, [from, 0, to, 0, 5, 0])?;
            Ok(sent << 8 | spliced << 4 | copied)
        },
        expect: Returns(0x345),
        after: |f| offset_is(f, 5 + 3 + 4 + 5),
        ..SAME_ON_SHMEM
    },
    Case {
        name: "sync",
        about: "fsync(2), fdatasync(2), sync_file_range(2) and syncfs(2) work",
        op: |f| {
            for nr in [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs] {
                call(f, nr, [0; 4])?;
            }
            call(f, sys::SYS_SYNC_FILE_RANGE, [0, f.size, 7, 0])
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "fadvise",
        about: "posix_fadvise(2) takes each advice and drops nothing, readahead(2) works",
        op: |f| {
            for advice in libc::POSIX_FADV_NORMAL..=libc::POSIX_FADV_NOREUSE {
                call(f, sys::SYS_FADVISE64, [0, f.size, advice as usize, 0])?;
            }
            call(f, libc::SYS_readahead, [0, f.size, 0, 0])
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "flock",
        about: "flock(2) takes both kinds of lock, and another open file sees them",
        op: |f| {
            let other = f.reopen(libc::O_RDWR)?;
            let lock = |fd: &dyn AsRawFd, how| {
                sys::call(libc::SYS_flock, [fd.as_raw_fd() as usize, how as usize, 0, 0, 0, 0])
            };
            lock(&f.fd, libc::LOCK_SH)?;
            lock(&other, libc::LOCK_SH | libc::LOCK_NB)?;
            lock(&other, libc::LOCK_UN)?;
            lock(&f.fd, libc::LOCK_EX)?;
            Ok(lock(&other, libc::LOCK_EX | libc::LOCK_NB)?)
        },
        expect: Fails(EAGAIN),
        hollow: Deviation::Passes("no seal is in the way of a lock"),
        ..SAME
    },
    Case {
        name: "record_lock",
        about: "fcntl(2) takes write locks of records, which wants a descriptor that can write",
        op: |f| {
            let lock = |kind: c_int, cmd| {
                let mut lock =
                    RecordLock { kind: kind as i16, whence: 0, start: 0, len: 4, pid: 0 };
                sys::fcntl(&f.fd, cmd, &raw mut lock as usize)
            };
            for cmd in [sys::F_SETLK, libc::F_OFD_SETLK] {
                lock(libc::F_RDLCK, cmd)?;
                lock(libc::F_WRLCK, cmd)?;
                lock(libc::F_UNLCK, cmd)?;
            }
            Ok(0)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        rules: &[18, 26],
        ..SAME
    },
    Case {
        name: "read_lease",
        about: "a read lease can be taken and given up",
        setup: |given| {
            let mut world = sealed_unmapped(given)?.via(libc::O_RDONLY)?;
            world.kept.clear();
            Ok(world)
        },
        op: |f| {
            let lease = |kind: c_int| sys::fcntl(&f.fd, libc::F_SETLEASE, kind as usize);
            lease(libc::F_RDLCK)?;
            let taken = sys::fcntl(&f.fd, libc::F_GETLEASE, 0)?;
            lease(libc::F_UNLCK)?;
            Ok(taken)
        },
        expect: Returns(libc::F_RDLCK as i64),
        ..SAME_ON_SHMEM
    },
    Case {
        name: "read_lease_and_writer",
        about: "a read lease is refused while the file is open for writing, sealed or not",
        op: |f| Ok(sys::fcntl(&f.reopen(libc::O_RDWR)?, libc::F_SETLEASE, libc::F_RDLCK as usize)?),
        expect: Fails(EAGAIN),
        hollow: ANYWAY,
        ..SAME_ON_SHMEM
    },
    Case {
        name: "write_lease",
        about: "a write lease can be taken by the only one who has the file open",
        setup: |given| {
            let mut world = sealed_unmapped(given)?.via(libc::O_RDWR)?;
            world.kept.clear();
            Ok(world)
        },
        op: |f| {
            sys::fcntl(&f.fd, libc::F_SETLEASE, libc::F_WRLCK as usize)?;
            let taken = sys::fcntl(&f.fd, libc::F_GETLEASE, 0)?;
            sys::fcntl(&f.fd, libc::F_SETLEASE, libc::F_UNLCK as usize)?;
            Ok(taken)
        },
        expect: Returns(libc::F_WRLCK as i64),
        ..SAME_ON_SHMEM
    },
    Case {
        name: "lease_hugetlb",
        about: "a lease on a sealed file of hugetlbfs gives what it does on one without seals",
        on: HUGETLB,
        op: |f| {
            let other = fresh(Given::of(f.given.kind)).unwrap_or_else(|why| panic!("{why}"));
            let lease = |f: &World| {
                let reader = f.reopen(libc::O_RDONLY)?;
                sys::fcntl(&reader, libc::F_SETLEASE, libc::F_RDLCK as usize)
            };
            Ok(i64::from(lease(f) == lease(&other)))
        },
        expect: Returns(1),
        ..SAME
    },
    Case {
        name: "poll",
        about: "the file is always ready to be read and written, and epoll_ctl(2) does not take it",
        setup: |given| {
            let epoll = sys::call(libc::SYS_epoll_create1, [0; 6]).map_err(|e| e.to_string())?;
            Ok(sealed(given)?.keep(sys::own(epoll as i32)))
        },
        op: |f| {
            let ready = (libc::POLLIN | libc::POLLOUT) as u64;
            // struct pollfd: the descriptor, what is asked for, what there is.
            let mut one = f.fd.as_raw_fd() as u32 as u64 | ready << 32;
            // poll(2) is not a system call everywhere. No time to wait.
            let no_time = [0 as c_long; 2];
            let args = [&raw mut one as usize, 1, no_time.as_ptr() as usize, 0, 0, 0];
            sys::call(libc::SYS_ppoll, args)?;
            if one >> 48 != ready {
                return Ok(one as i64);
            }
            let event = [0_u64; 2];
            let epoll = f.kept[0].as_raw_fd() as usize;
            let (add, fd) = (libc::EPOLL_CTL_ADD as usize, f.fd.as_raw_fd() as usize);
            Ok(sys::call(libc::SYS_epoll_ctl, [epoll, add, fd, event.as_ptr() as usize, 0, 0])?)
        },
        expect: Fails(EPERM),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "link",
        about: "a memfd gets no name: linkat(2) is EXDEV from another mount, and ENOENT from its own",
        op: |f| {
            let path = std::ffi::CString::new(f.path()).expect("no NUL");
            let name = std::ffi::CString::new(format!("/dev/memfd-seals-{}", std::process::id()))
                .expect("no NUL");
            let (here, to) = (libc::AT_FDCWD as usize, name.as_ptr() as usize);
            let args =
                [here, path.as_ptr() as usize, here, to, libc::AT_SYMLINK_FOLLOW as usize, 0];
            let fd = f.fd.as_raw_fd() as usize;
            let empty = [fd, c"".as_ptr() as usize, here, to, libc::AT_EMPTY_PATH as usize, 0];
            all_fail(EXDEV, [args, empty].map(|args| Ok(sys::call(libc::SYS_linkat, args)?)))
        },
        expect: Fails(EXDEV),
        hollow: ANYWAY,
        ..SAME
    },
];

/// `struct flock` of 64-bit kernels.
#[repr(C)]
struct RecordLock {
    kind: i16,
    whence: i16,
    start: i64,
    len: i64,
    pid: i32,
}

/// A call on the file, which is its first argument.
fn call(f: &World, nr: c_long, [a, b, c, d]: [usize; 4]) -> Got {
    Ok(sys::call(nr, [f.fd.as_raw_fd() as usize, a, b, c, d, 0])?)
}

/// preadv2(2) of two buffers of two bytes at the start.
fn preadv2(f: &World, flags: c_int) -> Got {
    let mut bytes = [0_u8; 4];
    let start = bytes.as_mut_ptr() as usize;
    let iov = [start, 2, start + 2, 2];
    let args = [f.fd.as_raw_fd() as usize, iov.as_ptr() as usize, 2, 0, 0, flags as usize];
    Ok(sys::call(libc::SYS_preadv2, args)?)
}

fn offset_is(world: &mut World, offset: i64) -> Check {
    let here = sys::lseek(&world.fd, 0, nix::unistd::Whence::SeekCur);
    same("offset", Ok(offset), here)
}
