// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! memfd_create(2): what it refuses, and what it gives.

use crate::calls::NO_USER;
use crate::case::*;
use crate::child::wrong;
use crate::need::{Need, mfd_exec};
use crate::sys::{self, Map, RW, Sys, mfd, seal};
use crate::world::{World, each, fresh, same};
use libc::MAP_PRIVATE;
use nix::errno::Errno::{self, *};
use nix::sys::stat::{Mode, umask};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

/// A row that every kernel must pass; the row's own file is only there to see that it stays.
const CREATE: Case = Case {
    on: BOTH,
    setup: fresh,
    starved: Starved::Or(ENOSPC, "so the file systems say that there is no inode"),
    ..CONTROL
};

/// A row that is refused before it comes to a file system.
const REFUSED: Case = Case { on: PLAIN, ..CREATE };

/// Every flag there is but the sizes of huge pages.
const KNOWN: u32 = 0x1f;
/// Where the size of a huge page stands, as a power of two.
const SIZE: u32 = 26;
/// The longest name that is taken.
const LONGEST: usize = 249;

pub const CASES: &[Case] = &[
    Case {
        name: "null_name",
        about: "a NULL name is EFAULT",
        op: |_| create_at(0, mfd_exec()),
        expect: Fails(EFAULT),
        ..REFUSED
    },
    Case {
        name: "bad_name",
        about: "a name beyond user space, and one in memory that is not there, are EFAULT",
        op: |_| each([8, NO_USER, usize::MAX - 4], |&at| create_at(at, mfd_exec())),
        expect: Fails(EFAULT),
        starved: STEPS,
        ..REFUSED
    },
    Case {
        name: "name_without_an_end",
        about: "a name that runs into memory that is not there is EFAULT",
        setup: |given| {
            let mut world = fresh(given)?;
            world.new = Some(page_of(&[b'n'; 8]).map_err(|e| e.to_string())?);
            Ok(world)
        },
        op: |f| create_at(f.made().addr() + f.page - 8, mfd_exec()),
        expect: Fails(EFAULT),
        ..REFUSED
    },
    Case {
        name: "name_of_250",
        about: "a name of 250 bytes, and any longer one, is EINVAL",
        op: |_| {
            each([LONGEST + 1, LONGEST + 2, 255, 256, 4095, 70_000], |&len| {
                create_at(named(len).as_ptr() as usize, mfd_exec())
            })
        },
        expect: Fails(EINVAL),
        starved: STEPS,
        ..REFUSED
    },
    Case {
        name: "name_of_249",
        about: "a name of 249 bytes is taken whole",
        op: |f| create(f, &named(LONGEST), mfd_exec()),
        expect: Works,
        after: |f| link_is(f, named(LONGEST).to_bytes()),
        ..CREATE
    },
    Case {
        name: "name_at_the_end_of_memory",
        about: "a name that ends just before memory that is not there is taken",
        on: PLAIN,
        setup: |given| {
            let mut world = fresh(given)?;
            world.new = Some(page_of(b"nnnnnnn\0").map_err(|e| e.to_string())?);
            Ok(world)
        },
        op: |f| {
            let fd = create_at(f.made().addr() + f.page - 8, mfd_exec())?;
            f.kept.push(sys::own(fd as i32));
            Ok(0)
        },
        expect: Returns(0),
        after: |f| link_is(f, b"nnnnnnn"),
        ..CREATE
    },
    Case {
        name: "empty_name",
        about: "an empty name is a name",
        op: |f| create(f, c"", mfd_exec()),
        expect: Returns(0),
        after: |f| link_is(f, b""),
        ..CREATE
    },
    Case {
        name: "any_bytes_in_a_name",
        about: "a name is bytes: slashes, dots and what is no text are taken as they are",
        op: |f| create(f, c"/../a b\xff", mfd_exec()),
        expect: Returns(0),
        after: |f| link_is(f, b"/../a b\xff"),
        ..CREATE
    },
    Case {
        name: "same_name",
        about: "two memfds of one name are two files",
        op: |f| {
            create(f, c"twin", mfd_exec())?;
            create(f, c"twin", mfd_exec())
        },
        expect: Returns(0),
        after: |f| {
            let inode = |at: usize| sys::fstat(&f.kept[at]).map(|stat| stat.st_ino);
            if inode(0) == inode(1) { Err("one inode".into()) } else { Ok(()) }
        },
        starved: STEPS,
        ..CREATE
    },
    Case {
        name: "unknown_flags",
        about: "each unknown flag is EINVAL, alone and with all known ones",
        op: |_| {
            let unknown = (0..SIZE).map(|bit| 1 << bit).filter(|flag| flag & KNOWN == 0);
            let with = [0, mfd::HUGETLB, mfd::NOEXEC_SEAL | mfd::ALLOW_SEALING, KNOWN & !mfd::EXEC];
            let all = unknown.flat_map(|flag| with.map(|known| flag | known));
            each(all, |&flags| create_at(c"x".as_ptr() as usize, flags))
        },
        expect: Fails(EINVAL),
        ..REFUSED
    },
    Case {
        name: "unknown_flags_and_null_name",
        about: "flags are looked at before the name",
        op: |_| each([1 << 5, mfd::EXEC | mfd::NOEXEC_SEAL], |&flags| create_at(0, flags)),
        expect: Fails(EINVAL),
        ..REFUSED
    },
    Case {
        name: "exec_with_noexec_seal",
        about: "MFD_EXEC and MFD_NOEXEC_SEAL exclude each other, whatever is beside them",
        needs: &[Need::ExecSeal],
        op: |_| {
            let more = [0, mfd::CLOEXEC, mfd::ALLOW_SEALING, mfd::HUGETLB, KNOWN];
            each(more, |more| {
                create_at(c"x".as_ptr() as usize, mfd::EXEC | mfd::NOEXEC_SEAL | more)
            })
        },
        expect: Fails(EINVAL),
        ..REFUSED
    },
    Case {
        name: "size_without_hugetlb",
        about: "the size of a huge page without MFD_HUGETLB is EINVAL",
        op: |_| {
            let sizes = (1..64).map(|log| log << SIZE);
            each(sizes, |&size| create_at(c"x".as_ptr() as usize, mfd_exec() | size))
        },
        expect: Fails(EINVAL),
        ..REFUSED
    },
    Case {
        name: "unsupported_sizes",
        about: "MFD_HUGETLB with a size that the machine lacks is ENODEV",
        on: HUGETLB,
        op: |_| {
            let lacking = (1..64).filter(|log| !supported(*log));
            each(lacking, |log| {
                create_at(c"x".as_ptr() as usize, mfd_exec() | mfd::HUGETLB | log << SIZE)
            })
        },
        expect: Fails(ENODEV),
        starved: STEPS,
        ..CREATE
    },
    Case {
        name: "each_size",
        about: "MFD_HUGETLB with each size that the machine has gives a file with such pages",
        on: HUGETLB,
        op: |f| {
            let flags = mfd_exec() | mfd::HUGETLB | mfd::ALLOW_SEALING;
            let sizes: Vec<u32> = (1..64).filter(|log| supported(*log)).collect();
            for &log in &sizes {
                create(f, c"x", flags | log << SIZE)?;
                let stat = sys::fstat(&f.kept[f.kept.len() - 1])?;
                if stat.st_blksize != 1 << log {
                    wrong(format!("pages of 2^{log} bytes: st_blksize is {}", stat.st_blksize));
                }
            }
            Ok(i64::from(sizes.is_empty()))
        },
        expect: Returns(0),
        after: |f| f.kept.iter().try_for_each(|fd| same("seals", Ok(0), sys::get_seals(fd))),
        starved: STEPS,
        ..CREATE
    },
    Case {
        name: "default_size",
        about: "MFD_HUGETLB without a size gives pages of the default one",
        on: HUGETLB,
        op: |f| {
            create(f, c"x", mfd_exec())?;
            Ok(i64::from(sys::fstat(&f.kept[0])?.st_blksize as usize == f.page))
        },
        expect: Returns(1),
        ..CREATE
    },
    Case {
        name: "cloexec",
        about: "MFD_CLOEXEC sets FD_CLOEXEC",
        op: |f| {
            create(f, c"x", mfd_exec() | mfd::CLOEXEC)?;
            Ok(sys::fcntl(&f.kept[0], libc::F_GETFD, 0)?)
        },
        expect: Returns(libc::FD_CLOEXEC as i64),
        ..CREATE
    },
    Case {
        name: "no_cloexec",
        about: "FD_CLOEXEC is not set without MFD_CLOEXEC, whatever else is asked for",
        needs: &[Need::ExecSeal],
        op: |f| {
            let flags = [mfd::EXEC, mfd::ALLOW_SEALING | mfd::EXEC, mfd::NOEXEC_SEAL];
            for flags in flags {
                create(f, c"x", flags)?;
            }
            each(&f.kept, |fd| Ok(sys::fcntl(*fd, libc::F_GETFD, 0)?))
        },
        expect: Returns(0),
        starved: STEPS,
        ..CREATE
    },
    Case {
        name: "read_write_and_large",
        about: "the descriptor is O_RDWR and O_LARGEFILE, no more",
        op: |f| {
            create(f, c"x", mfd_exec() | mfd::CLOEXEC)?;
            Ok(sys::fcntl(&f.kept[0], libc::F_GETFL, 0)?)
        },
        expect: Returns((libc::O_RDWR | sys::O_LARGEFILE) as i64),
        ..CREATE
    },
    Case {
        name: "umask",
        about: "the umask leaves the mode alone",
        op: |f| {
            let before = umask(Mode::from_bits_retain(0o077));
            let got = create(f, c"x", mfd_exec());
            umask(before);
            got
        },
        expect: Returns(0),
        after: |f| born(f, 0o777, seal::SEAL),
        ..CREATE
    },
    Case {
        name: "reads_and_writes",
        about: "a new memfd takes write, pwrite, read, pread and lseek from offset 0 on",
        on: PLAIN,
        op: |f| {
            create(f, c"x", mfd_exec())?;
            let fd = &f.kept[0];
            let (mut one, mut two) = ([0; 2], [0; 2]);
            nix::unistd::write(fd, b"ab")?;
            sys::pwrite(fd, b"c", 2)?;
            sys::lseek(fd, 1, nix::unistd::Whence::SeekSet)?;
            nix::unistd::read(fd, &mut one)?;
            sys::pread(fd, &mut two, 0)?;
            Ok((one == *b"bc" && two == *b"ab").into())
        },
        expect: Returns(1),
        starved: STEPS,
        ..CREATE
    },
    // What each combination of flags gives; without MFD_EXEC and MFD_NOEXEC_SEAL: namespaces.rs.
    Case {
        name: "exec",
        about: "MFD_EXEC gives mode 0777 and F_SEAL_SEAL",
        needs: &[Need::ExecSeal],
        op: |f| create(f, c"x", mfd::EXEC),
        expect: Returns(0),
        after: |f| born(f, 0o777, seal::SEAL),
        ..CREATE
    },
    Case {
        name: "exec_allow_sealing",
        about: "MFD_EXEC with MFD_ALLOW_SEALING gives mode 0777 and no seal",
        needs: &[Need::ExecSeal],
        op: |f| create(f, c"x", mfd::EXEC | mfd::ALLOW_SEALING),
        expect: Returns(0),
        after: |f| born(f, 0o777, 0),
        ..CREATE
    },
    Case {
        name: "noexec_seal",
        about: "MFD_NOEXEC_SEAL gives mode 0666 and F_SEAL_EXEC alone: it can be sealed",
        needs: &[Need::ExecSeal],
        op: |f| create(f, c"x", mfd::NOEXEC_SEAL),
        expect: Returns(0),
        after: |f| born(f, 0o666, seal::EXEC),
        ..CREATE
    },
    Case {
        name: "noexec_seal_allow_sealing",
        about: "MFD_NOEXEC_SEAL with MFD_ALLOW_SEALING gives mode 0666 and F_SEAL_EXEC alone",
        needs: &[Need::ExecSeal],
        op: |f| create(f, c"x", mfd::NOEXEC_SEAL | mfd::ALLOW_SEALING),
        expect: Returns(0),
        after: |f| born(f, 0o666, seal::EXEC),
        ..CREATE
    },
    Case {
        name: "cloexec_is_no_seal",
        about: "MFD_CLOEXEC changes neither mode nor seals",
        needs: &[Need::ExecSeal],
        op: |f| {
            create(f, c"x", mfd::NOEXEC_SEAL | mfd::CLOEXEC)?;
            create(f, c"x", mfd::EXEC | mfd::CLOEXEC)
        },
        expect: Returns(0),
        after: |f| {
            born(f, 0o666, seal::EXEC)?;
            f.kept.remove(0);
            born(f, 0o777, seal::SEAL)
        },
        starved: STEPS,
        ..CREATE
    },
];

/// `memfd_create(2)` on the row's file system: 0, and the file is kept.
fn create(f: &mut World, name: &CStr, flags: u32) -> Got {
    let fd = create_at(name.as_ptr() as usize, flags | f.given.kind.flags())?;
    f.kept.push(sys::own(fd as i32));
    Ok(0)
}

/// `memfd_create(2)` with the name at this address. If it fails, no descriptor is left behind.
fn create_at(name: usize, flags: u32) -> Got {
    let next = next_descriptor();
    let got = sys::call(libc::SYS_memfd_create, [name, flags as usize, 0, 0, 0, 0]);
    let after = next_descriptor();
    if got.is_err() && after != next && next.is_some() && after.is_some() {
        wrong(format!("flags {flags:#x}: it failed, and took a descriptor"));
    }
    Ok(got?)
}

/// The number that the next descriptor will have; none if there is no memory to try.
fn next_descriptor() -> Option<i32> {
    std::fs::File::open("/dev/null").ok().map(|file| file.as_raw_fd())
}

fn named(len: usize) -> CString {
    CString::new(vec![b'n'; len]).expect("no NUL")
}

/// A page that ends with these bytes, before one that can't be read.
fn page_of(end: &[u8]) -> Sys<Map> {
    let page = crate::kind::Kind::Shmem.page();
    let map = Map::at(0, 2 * page, RW, MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)?;
    end.iter().enumerate().for_each(|(at, byte)| map.store(page - end.len() + at, *byte));
    sys::call(libc::SYS_munmap, [map.addr() + page, page, 0, 0, 0, 0])?;
    let (addr, _) = (map.addr(), std::mem::ManuallyDrop::new(map));
    Ok(Map::adopt(addr, page))
}

/// Whether there are huge pages of this power of two.
fn supported(log: u32) -> bool {
    let kib = 1u64.checked_shl(log).unwrap_or(0) / 1024;
    std::fs::exists(format!("/sys/kernel/mm/hugepages/hugepages-{kib}kB")).unwrap_or(false)
}

/// What /proc says of the new file.
fn link_is(f: &mut World, name: &[u8]) -> Check {
    let path = format!("/proc/self/fd/{}", f.kept[0].as_raw_fd());
    let link = nix::fcntl::readlink(path.as_str()).map_err(|e: Errno| e.to_string())?;
    let expected = [b"/memfd:", name, b" (deleted)"].concat();
    same("link", String::from_utf8_lossy(&expected), link.to_string_lossy())
}

/// The new file: an empty regular one of ours that no folder has, with this mode and these seals.
fn born(f: &mut World, mode: u32, seals: u32) -> Check {
    let fd: &OwnedFd = &f.kept[0];
    let stat = sys::fstat(fd).map_err(|e| e.to_string())?;
    same("seals", Ok(seals.into()), sys::get_seals(fd))?;
    same("mode", format!("{:o}", libc::S_IFREG | mode), format!("{:o}", stat.st_mode))?;
    same("links", 0, stat.st_nlink)?;
    same("size and blocks", (0, 0), (stat.st_size, stat.st_blocks))?;
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    same("owner", (uid.as_raw(), gid.as_raw()), (stat.st_uid, stat.st_gid))?;
    let offset = sys::lseek(fd, 0, nix::unistd::Whence::SeekCur);
    same("offset", Ok(0), offset)?;
    f.unchanged()
}
