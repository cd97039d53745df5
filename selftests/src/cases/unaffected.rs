// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the seal leaves alone: other files than memfds.

use crate::case::*;
use crate::need::Need;
use crate::sys::{self, RW};
use crate::world::{World, same};
use nix::errno::Errno::*;
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
            let map = attach(0)?;
            map.store(0, 1);
            same("mprotect to PROT_READ", Ok(0), map.protect(sys::RO)).expect("mprotect");
            map.protect(RW)?;
            map.store(1, 2);
            Ok((map.load(0) + map.load(1)).into())
        },
        expect: Returns(3),
        starved: STEPS,
        ..CONTROL
    },
    Case {
        name: "sysv_shm_readonly",
        about: "what was attached SHM_RDONLY can't be made writable as ever, and that is no seal's doing",
        rules: &[29],
        on: OWN,
        needs: &[Need::SysvShm],
        setup: tmpfs_file,
        op: |_| Ok(attach(libc::SHM_RDONLY as usize)?.protect(RW)?),
        expect: Fails(EACCES),
        starved: STEPS,
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

/// A new segment of System V shared memory, which goes with the last that is attached.
fn attach(flags: usize) -> sys::Sys<sys::Map> {
    let private = libc::IPC_PRIVATE as usize;
    let id = sys::call(sys::SYS_SHMGET, [private, 4096, 0o600, 0, 0, 0])? as usize;
    let addr = sys::call(sys::SYS_SHMAT, [id, 0, flags, 0, 0, 0])?;
    sys::call(sys::SYS_SHMCTL, [id, libc::IPC_RMID as usize, 0, 0, 0, 0])?;
    Ok(sys::Map::adopt(addr as usize, 4096))
}
