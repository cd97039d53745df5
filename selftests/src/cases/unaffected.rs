// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the seal leaves alone: other files than memfds.

use crate::case::*;
use crate::need::Need;
use crate::sys::{self, RW};
use crate::world::World;
use nix::sys::stat::Mode;

pub const CASES: &[Case] = &[
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
