// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What is written beside a file's contents: mode, owner, times, extended attributes, inode flags,
//! and the flags of its descriptors. Only F_SEAL_EXEC is about any of it.

use crate::case::*;
use crate::door::{Door, PATHS};
use crate::need::Need;
use crate::sys::seal::{FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, RW};
use crate::world::{World, all_fail, fresh, refused, same, sealed, sealed_unmapped};
use libc::{MAP_SHARED, c_int, c_long};
use nix::errno::Errno::*;
use nix::sys::stat::{Mode, fchmod};
use std::os::fd::{AsRawFd, OwnedFd};

/// A row that gives the same whatever the seals are.
pub const SAME: Case = Case { rules: &[18], on: BOTH, under: WHATEVER, setup: sealed, ..CASE };
/// The same of what hugetlbfs does otherwise.
const SAME_ON_SHMEM: Case = Case { on: PLAIN, ..SAME };

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
pub const ANYWAY: Deviation = Deviation::Passes("it fails without any seal, too");

pub const CASES: &[Case] = &[
    Case {
        name: "reopen",
        about: "the file can be opened again in each way; a seal is no permission",
        rules: &[16],
        on: EVERY,
        op: |f| {
            for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, libc::O_PATH] {
                f.reopen(flags)?;
            }
            Ok(f.reopen(libc::O_RDWR | libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOATIME)
                .map(|_| 0)?)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "getfl",
        about: "F_GETFL says O_RDWR and O_LARGEFILE as ever, and reopened what was asked for",
        rules: &[26],
        on: EVERY,
        op: |f| {
            const LARGE: i64 = sys::O_LARGEFILE as i64;
            let flags = sys::fcntl(&f.fd, libc::F_GETFL, 0)?;
            let again = sys::fcntl(&f.reopen(libc::O_RDWR | libc::O_APPEND)?, libc::F_GETFL, 0)?;
            let (plain, append) = (libc::O_RDWR as i64, libc::O_APPEND as i64);
            Ok((flags ^ (plain | LARGE)) << 32 | again ^ (plain | append | LARGE))
        },
        expect: Returns(0),
        ..SAME
    },
    Case {
        name: "setfl",
        about: "F_SETFL sets and clears O_APPEND, O_NONBLOCK and O_NOATIME",
        rules: &[26],
        on: SHMEM,
        op: |f| {
            let before = sys::fcntl(&f.fd, libc::F_GETFL, 0)?;
            let each = libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOATIME;
            sys::fcntl(&f.fd, libc::F_SETFL, before as usize | each as usize)?;
            let set = sys::fcntl(&f.fd, libc::F_GETFL, 0)?;
            sys::fcntl(&f.fd, libc::F_SETFL, before as usize)?;
            Ok(set ^ before ^ i64::from(each))
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "setfl_direct",
        about: "F_SETFL sets O_DIRECT on a descriptor that was opened, and not on the memfd's first",
        rules: &[26],
        op: |f| {
            let direct = |fd: &OwnedFd| {
                let flags = sys::fcntl(fd, libc::F_GETFL, 0)?;
                sys::fcntl(fd, libc::F_SETFL, flags as usize | libc::O_DIRECT as usize)
            };
            direct(&f.reopen(libc::O_RDWR)?)?;
            Ok(direct(&f.fd)?)
        },
        expect: Fails(EINVAL),
        hollow: ANYWAY,
        ..SAME_ON_SHMEM
    },
    Case {
        name: "setfl_then_write",
        about: "no flag that F_SETFL sets lets a write through",
        rules: &[3],
        on: SHMEM,
        under: NO_WRITE,
        op: |f| {
            let before = sys::fcntl(&f.fd, libc::F_GETFL, 0)? as usize;
            let tries = [libc::O_APPEND, libc::O_NONBLOCK, libc::O_NOATIME].map(|flag| {
                sys::fcntl(&f.fd, libc::F_SETFL, before | flag as usize)?;
                f.write(b"x")
            });
            sys::fcntl(&f.fd, libc::F_SETFL, before)?;
            all_fail(EPERM, tries)
        },
        expect: Fails(EPERM),
        starved: STEPS,
        ..SAME
    },
    Case {
        name: "dup",
        about: "F_DUPFD and F_DUPFD_CLOEXEC work, and F_GETFD follows each",
        rules: &[26],
        op: |f| {
            let dup = |cmd| Ok::<_, Stop>(sys::own(sys::fcntl(&f.fd, cmd, 100)? as i32));
            let flags = |cmd| Ok::<_, Stop>(sys::fcntl(&dup(cmd)?, libc::F_GETFD, 0)?);
            Ok(flags(libc::F_DUPFD)? << 4 | flags(libc::F_DUPFD_CLOEXEC)?)
        },
        expect: Returns(libc::FD_CLOEXEC as i64),
        ..SAME
    },
    Case {
        name: "write_hint",
        about: "F_SET_RW_HINT takes a hint and F_GET_RW_HINT gives it",
        op: |f| {
            let (hint, mut got) = (3_u64, 0_u64);
            sys::fcntl(&f.fd, F_SET_RW_HINT, &raw const hint as usize)?;
            sys::fcntl(&f.fd, F_GET_RW_HINT, &raw mut got as usize)?;
            Ok(got as i64)
        },
        expect: Returns(3),
        after: |f| f.unchanged(),
        ..SAME
    },
    Case {
        name: "no_pipe",
        about: "what fcntl(2) does to pipes is EBADF for a memfd, as ever",
        op: |f| {
            let pipe = [libc::F_SETPIPE_SZ, libc::F_GETPIPE_SZ];
            all_fail(EBADF, pipe.map(|cmd| Ok(sys::fcntl(&f.fd, cmd, 4096)?)))
        },
        expect: Fails(EBADF),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "chmod_through",
        about: "the mode is changed through any descriptor that opened the file, and by its path",
        on: BOTH,
        under: &[0, FS_WRITE],
        through: &[Door::After(libc::O_RDONLY), Door::After(libc::O_WRONLY), Door::Received],
        op: |f| {
            chmod(f, 0o600)?;
            chmod_path(f, 0o751)
        },
        expect: Returns(0),
        after: |f| mode_is(f, 0o751),
        ..SAME
    },
    Case {
        name: "fchmod_path",
        about: "a descriptor that opened nothing does not change the mode",
        on: PLAIN,
        through: PATHS,
        under: &[0, FS_WRITE],
        op: |f| chmod(f, 0o600),
        expect: Fails(EBADF),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "fchown",
        about: "fchown(2) works, and takes the setuid bit of an executable file as ever",
        setup: |given| {
            let world = sealed(given)?;
            same("fchmod", Ok(0), chmod(&world, 0o4755))?;
            Ok(world)
        },
        needs: &[Need::Capabilities],
        op: |f| call(f, libc::SYS_fchown, [1, 2, 0, 0]),
        expect: Returns(0),
        after: |f| {
            let stat = sys::fstat(&f.fd).map_err(|e| e.to_string())?;
            same("owner", (1, 2), (stat.st_uid, stat.st_gid))?;
            mode_is(f, 0o755)
        },
        ..SAME
    },
    Case {
        name: "times",
        about: "futimens(2) sets the times given, and now",
        op: |f| {
            // Two struct timespec; UTIME_NOW leaves no trace that could be compared.
            let (given, now): ([c_long; 4], _) =
                ([1, 0, 2, 0], [0, libc::UTIME_NOW, 0, libc::UTIME_NOW]);
            call(f, libc::SYS_utimensat, [0, now.as_ptr() as usize, 0, 0])?;
            call(f, libc::SYS_utimensat, [0, given.as_ptr() as usize, 0, 0])
        },
        expect: Returns(0),
        after: |f| {
            let stat = sys::fstat(&f.fd).map_err(|e| e.to_string())?;
            same("atime and mtime", (1, 2), (stat.st_atime, stat.st_mtime))?;
            f.unchanged()
        },
        ..SAME
    },
    Case {
        name: "xattr",
        about: "an extended attribute is set, replaced, listed, read and removed",
        needs: &[Need::UserXattrs],
        on: SHMEM,
        op: |f| {
            for (value, flags) in [(c"12", libc::XATTR_CREATE), (c"345", libc::XATTR_REPLACE)] {
                let len = value.count_bytes();
                let args = [USER.as_ptr() as usize, value.as_ptr() as usize, len, flags as usize];
                call(f, libc::SYS_fsetxattr, args)?;
            }
            let mut to = [0_u8; 32];
            let [name, at] = [USER.as_ptr() as usize, to.as_mut_ptr() as usize];
            let got = call(f, libc::SYS_fgetxattr, [name, at, to.len(), 0])?;
            let listed = call(f, libc::SYS_flistxattr, [at, to.len(), 0, 0])?;
            call(f, libc::SYS_fremovexattr, [name, 0, 0, 0])?;
            Ok(got << 16 | listed << 8 | call(f, libc::SYS_flistxattr, [at, to.len(), 0, 0])?)
        },
        expect: Returns(3 << 16 | 10 << 8),
        after: |f| f.unchanged(),
        starved: STEPS,
        ..SAME_ON_SHMEM
    },
    Case {
        name: "xattr_hugetlb",
        about: "hugetlbfs has no extended attributes of users, sealed or not",
        on: HUGETLB,
        op: |f| {
            call(f, libc::SYS_fsetxattr, [USER.as_ptr() as usize, c"1".as_ptr() as usize, 1, 0])
        },
        expect: Fails(EOPNOTSUPP),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "inode_flags",
        about: "FS_IOC_SETFLAGS sets and clears what shmem has, and FS_IOC_GETFLAGS gives it",
        op: |f| {
            let each = IMMUTABLE | APPEND | NODUMP | NOATIME;
            set_inode_flags(f, each)?;
            let got = inode_flags(f)?;
            set_inode_flags(f, 0)?;
            Ok((got ^ i64::from(each)) << 32 | inode_flags(f)?)
        },
        expect: Returns(0),
        after: |f| f.unchanged(),
        needs: &[Need::Capabilities, Need::InodeFlags],
        ..SAME_ON_SHMEM
    },
    Case {
        name: "inode_flags_unknown",
        about: "FS_IOC_SETFLAGS of a flag that shmem lacks is EOPNOTSUPP as ever",
        needs: &[Need::InodeFlags],
        op: |f| all_fail(EOPNOTSUPP, [0x4, 0x8].map(|flag| set_inode_flags(f, flag))),
        expect: Fails(EOPNOTSUPP),
        hollow: ANYWAY,
        ..SAME_ON_SHMEM
    },
    Case {
        name: "inode_flags_hugetlb",
        about: "hugetlbfs has no inode flags, sealed or not",
        on: HUGETLB,
        op: |f| all_fail(ENOTTY, [inode_flags(f), set_inode_flags(f, APPEND)]),
        expect: Fails(ENOTTY),
        hollow: ANYWAY,
        ..SAME
    },
    Case {
        name: "seal_immutable",
        about: "an immutable file can be sealed: the inode flag is about names and new descriptors",
        rules: &[20],
        under: &[0],
        needs: &[Need::Capabilities, Need::InodeFlags],
        setup: |given| with_inode_flags(fresh(given)?, IMMUTABLE),
        op: |f| f.add_seals(SHRINK | GROW | WRITE | FUTURE_WRITE),
        expect: Returns(0),
        after: |f| {
            f.seals_are(SHRINK | GROW | WRITE | FUTURE_WRITE)?;
            refused("pwrite", EPERM, f.pwrite(0, b"x"))
        },
        ..SAME_ON_SHMEM
    },
    Case {
        name: "immutable",
        about: "an immutable file is not opened for writing again, nor changed in mode, sealed or not",
        needs: &[Need::Capabilities, Need::InodeFlags],
        setup: |given| with_inode_flags(sealed(given)?, IMMUTABLE),
        op: |f| {
            let opened = [libc::O_RDWR, libc::O_WRONLY].map(|how| Ok(f.reopen(how).map(|_| 0)?));
            all_fail(EPERM, opened.into_iter().chain([chmod(f, 0o600), f.fallocate(0, 0, f.page)]))
        },
        expect: Fails(EPERM),
        hollow: ANYWAY,
        ..SAME_ON_SHMEM
    },
    Case {
        name: "append_only",
        about: "an append-only file is not resized or mapped writable, whatever its seals",
        needs: &[Need::Capabilities, Need::InodeFlags],
        under: &[0, SEAL, SHRINK, GROW, FS_WRITE],
        setup: |given| with_inode_flags(sealed_unmapped(given)?, APPEND),
        op: |f| {
            let sizes = [f.page, f.size, 2 * f.size].map(|size| f.ftruncate(size));
            let map = f.mmap(RW, MAP_SHARED).map(|_| 0);
            match all_fail(EPERM, sizes) {
                Err(Stop::Errno(EPERM)) => Ok(map?),
                other => other,
            }
        },
        expect: Fails(EACCES),
        hollow: ANYWAY,
        ..SAME_ON_SHMEM
    },
];

/// Of `include/uapi/linux/fcntl.h`.
const F_GET_RW_HINT: c_int = 1035;
const F_SET_RW_HINT: c_int = 1036;
const USER: &std::ffi::CStr = c"user.seal";
/// Bits of `include/uapi/linux/fs.h`.
const IMMUTABLE: c_int = 0x10;
const APPEND: c_int = 0x20;
const NODUMP: c_int = 0x40;
const NOATIME: c_int = 0x80;

/// A call on the file, which is its first argument.
pub fn call(f: &World, nr: c_long, [a, b, c, d]: [usize; 4]) -> Got {
    Ok(sys::call(nr, [f.fd.as_raw_fd() as usize, a, b, c, d, 0])?)
}

pub fn chmod(f: &World, bits: u32) -> Got {
    Ok(fchmod(&f.fd, Mode::from_bits_retain(bits)).map(|()| 0)?)
}

fn chmod_path(f: &World, bits: u32) -> Got {
    let path = std::ffi::CString::new(f.path()).expect("no NUL");
    let (path, here) = (path.as_ptr() as usize, libc::AT_FDCWD as usize);
    // chmod(2) is not a system call everywhere.
    Ok(sys::call(libc::SYS_fchmodat, [here, path, bits as usize, 0, 0, 0])?)
}

fn mode_is(world: &World, mode: u32) -> Check {
    let stat = sys::fstat(&world.fd).map_err(|e| e.to_string())?;
    same("mode", format!("{mode:o}"), format!("{:o}", stat.st_mode & 0o7777))
}

fn inode_flags(f: &World) -> Got {
    const FS_IOC_GETFLAGS: usize = 0x8000_6601 | size_of::<c_long>() << 16;
    let mut flags: c_int = 0;
    call(f, libc::SYS_ioctl, [FS_IOC_GETFLAGS, &raw mut flags as usize, 0, 0])?;
    Ok(flags.into())
}

fn set_inode_flags(f: &World, flags: c_int) -> Got {
    const FS_IOC_SETFLAGS: usize = 0x4000_6602 | size_of::<c_long>() << 16;
    call(f, libc::SYS_ioctl, [FS_IOC_SETFLAGS, &raw const flags as usize, 0, 0])
}

fn with_inode_flags(world: World, flags: c_int) -> Setup {
    same("FS_IOC_SETFLAGS", Ok(0), set_inode_flags(&world, flags))?;
    Ok(world)
}
