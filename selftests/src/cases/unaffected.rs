// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the seal leaves alone: reading, attributes, other seals and other files.

use crate::case::*;
use crate::need::Need;
use crate::sys::{self, RW, mfd, seal};
use crate::world::{World, fresh, readable, same, sealed, sealed_reopened, with_flags};
use nix::errno::Errno::*;
use nix::sys::stat::{Mode, fchmod};
use std::os::fd::AsRawFd;

pub const CASES: &[Case] = &[
    Case {
        name: "reopen_rdwr",
        about: "the file can be opened O_RDWR again; the seal is no permission",
        rules: &[16],
        setup: sealed,
        op: |f| Ok(f.reopen(libc::O_RDWR).map(|_| 0)?),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "reopen_wronly",
        about: "the file can be opened O_WRONLY again",
        rules: &[16],
        setup: sealed,
        op: |f| Ok(f.reopen(libc::O_WRONLY).map(|_| 0)?),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "read",
        about: "read(2) works and moves the offset",
        rules: &[18],
        setup: sealed,
        op: |f| Ok(nix::unistd::read(&f.fd, &mut [0; 16])? as i64),
        expect: Returns(16),
        after: |f| offset_is(f, 5 + 16),
        ..CASE
    },
    Case {
        name: "lseek",
        about: "lseek(2) works",
        rules: &[18],
        setup: sealed,
        op: |f| Ok(nix::unistd::lseek(&f.fd, 3, nix::unistd::Whence::SeekSet)?),
        expect: Returns(3),
        after: |f| offset_is(f, 3),
        ..CASE
    },
    Case {
        name: "fsync",
        about: "fsync(2) works",
        rules: &[18],
        setup: sealed,
        op: |f| Ok(nix::unistd::fsync(&f.fd).map(|()| 0)?),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "fchmod",
        about: "fchmod(2) works while F_SEAL_EXEC is not set, execute bits included",
        rules: &[18],
        setup: sealed,
        op: |f| Ok(fchmod(&f.fd, Mode::from_bits_retain(0o640)).map(|()| 0)?),
        expect: Returns(0),
        after: |f| mode_is(f, 0o640),
        ..CASE
    },
    Case {
        name: "futimens",
        about: "futimens(2) works",
        rules: &[18],
        setup: sealed,
        op: |f| {
            Ok(nix::sys::stat::futimens(
                &f.fd,
                &nix::sys::time::TimeSpec::new(1, 0),
                &nix::sys::time::TimeSpec::new(2, 0),
            )
            .map(|()| 0)?)
        },
        expect: Returns(0),
        after: |f| {
            let stat = nix::sys::stat::fstat(&f.fd).map_err(|e| e.to_string())?;
            same("mtime", 2, stat.st_mtime)?;
            f.unchanged()
        },
        ..CASE
    },
    Case {
        name: "fsetxattr",
        about: "fsetxattr(2) works",
        rules: &[18],
        on: SHMEM,
        setup: sealed,
        op: |f| {
            let (name, value) = (c"user.seal", b"v");
            let args = [
                f.fd.as_raw_fd() as usize,
                name.as_ptr() as usize,
                value.as_ptr() as usize,
                1,
                0,
                0,
            ];
            Ok(sys::call(libc::SYS_fsetxattr, args)?)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..CASE
    },
    Case {
        name: "lease",
        about: "a lease can be taken, where the file system has leases",
        rules: &[18],
        on: SHMEM,
        setup: |given| {
            let mut world = fresh(given)?.seal(seal::FS_WRITE)?.via(libc::O_RDONLY)?;
            world.kept.clear();
            Ok(world)
        },
        op: |f| Ok(sys::fcntl(&f.fd, libc::F_SETLEASE, libc::F_RDLCK as usize)?),
        expect: Returns(0),
        ..CASE
    },
    Case {
        name: "read_through_rdonly",
        about: "a receiver that opens it O_RDONLY reads and maps it",
        rules: &[18],
        setup: |given| sealed_reopened(given, libc::O_RDONLY),
        op: crate::world::map_ro,
        expect: Returns(0),
        after: |f| readable(f.made()),
        ..CASE
    },
    Case {
        name: "exec_seal_fchmod",
        about: "F_SEAL_EXEC forbids changing the execute bits (see patch 2)",
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL),
        op: |f| Ok(fchmod(&f.fd, Mode::from_bits_retain(0o777)).map(|()| 0)?),
        expect: Fails(EPERM),
        ..CONTROL
    },
    Case {
        name: "exec_seal_fchmod_other_bits",
        about: "F_SEAL_EXEC leaves the other bits alone",
        setup: |given| with_flags(given, mfd::NOEXEC_SEAL),
        op: |f| Ok(fchmod(&f.fd, Mode::from_bits_retain(0o600)).map(|()| 0)?),
        expect: Returns(0),
        after: |f| mode_is(f, 0o600),
        ..CONTROL
    },
    Case {
        name: "shrink_seal_still_grows",
        about: "F_SEAL_SHRINK alone forbids shrinking only",
        setup: |given| fresh(given)?.seal(seal::SHRINK),
        op: |f| f.ftruncate(f.size + f.page),
        expect: Returns(0),
        after: |f| {
            let got = f.ftruncate(f.page);
            crate::world::refused("shrinking", EPERM, got)
        },
        ..CONTROL
    },
    Case {
        name: "grow_seal_still_shrinks",
        about: "F_SEAL_GROW alone forbids growing only",
        setup: |given| fresh(given)?.seal(seal::GROW),
        op: |f| f.ftruncate(f.page),
        expect: Returns(0),
        after: |f| {
            let got = f.ftruncate(f.size);
            crate::world::refused("growing", EPERM, got)
        },
        ..CONTROL
    },
    Case {
        name: "tmpfs_file_takes_no_seal",
        about: "a file of an ordinary tmpfs does not take the seal",
        rules: &[29],
        on: OWN,
        setup: tmpfs_file,
        op: |f| f.add_seals(seal::FS_WRITE),
        expect: Fails(EPERM),
        hollow: Deviation::Passes("only memfds can be sealed"),
        ..CASE
    },
    Case {
        name: "tmpfs_file",
        about: "a file of an ordinary tmpfs is written, mapped and resized as ever",
        rules: &[29],
        on: OWN,
        setup: |given| tmpfs_file(given)?.map(RW),
        op: |f| {
            f.pwrite(1, b"x")?;
            f.fallocate(0, 0, f.size + f.page)?;
            f.ftruncate(f.page)?;
            f.mmap_new(RW, libc::MAP_SHARED)
        },
        expect: Returns(0),
        after: |f| {
            f.size_is(f.page)?;
            f.reaches_file(f.made())
        },
        ..CONTROL
    },
    Case {
        name: "sysv_shm",
        about: "System V shared memory is attached and written as ever",
        rules: &[29],
        on: OWN,
        needs: &[Need::SysvShm],
        setup: tmpfs_file,
        op: |_| {
            let id =
                sys::call(libc::SYS_shmget, [libc::IPC_PRIVATE as usize, 4096, 0o600, 0, 0, 0])?;
            let addr = sys::call(libc::SYS_shmat, [id as usize, 0, 0, 0, 0, 0])?;
            let map = sys::Map::adopt(addr as usize, 4096);
            map.store(0, 1);
            sys::call(libc::SYS_shmctl, [id as usize, libc::IPC_RMID as usize, 0, 0, 0, 0])?;
            Ok(map.load(0) as i64)
        },
        expect: Returns(1),
        ..CONTROL
    },
];

fn offset_is(world: &mut World, offset: i64) -> Check {
    let here = nix::unistd::lseek(&world.fd, 0, nix::unistd::Whence::SeekCur);
    same("offset", Ok(offset), here)
}

fn mode_is(world: &mut World, mode: u32) -> Check {
    let stat = nix::sys::stat::fstat(&world.fd).map_err(|e| e.to_string())?;
    same("mode", mode, stat.st_mode & 0o7777)
}

/// A file on a tmpfs: the guest's /tmp, or /dev/shm elsewhere.
pub(super) fn tmpfs_file(given: Given) -> Setup {
    let folder = ["/dev/shm", "/tmp"]
        .into_iter()
        .find(|folder| {
            nix::sys::statfs::statfs(*folder)
                .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC)
        })
        .ok_or("no tmpfs at /dev/shm or /tmp")?;
    let path = format!("{folder}/memfd-seals-{}", std::process::id());
    let flags = nix::fcntl::OFlag::from_bits_retain(
        libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC,
    );
    let fd = nix::fcntl::open(path.as_str(), flags, Mode::from_bits_retain(0o600))
        .map_err(|e| e.to_string())?;
    nix::unistd::unlink(path.as_str()).map_err(|e| e.to_string())?;
    World::over(given, fd, given.kind.page())
}
