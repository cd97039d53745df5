// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Live update records a memfd, seals included, for the next kernel: none may be lost, and the
//! file stays as it was recorded. What the next kernel makes of it takes a kexec, and is not here.

use crate::case::*;
use crate::door::{Door, PATHS};
use crate::leak::{closes, lock};
use crate::luo;
use crate::need::Need;
use crate::sys::seal::{EXEC, FS_WRITE, FUTURE_WRITE, GROW, SEAL, SHRINK, WRITE};
use crate::sys::{self, RW, mfd};
use crate::world::{World, all_fail, fresh, refused, same};
use crate::world::{sealed, sealed_unmapped};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE};
use nix::errno::Errno::*;
use std::fs::File;

/// A row about a file that a session, kept first, is asked to preserve.
const SESSION: Case = Case {
    on: SHMEM,
    needs: &[Need::LiveUpdate],
    setup: |given| in_session(sealed_unmapped(given)?),
    starved: Starved::Untried("memfd_luo_preserve() has vmalloc() warn, with a stack"),
    ..CASE
};
/// A row about a file that is preserved.
pub const PRESERVED: Case = Case {
    on: PLAIN,
    under: &[0],
    setup: |given| preserved(fresh(given)?.map(RW)?.seal(given.seals)?),
    starved: Starved::Enomem,
    ..SESSION
};

const UNKNOWN_SEAL: Deviation = Deviation::Passes("live update refuses any seal it does not know");

pub const PUNCH: i32 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

pub const CASES: &[Case] = &[
    Case {
        name: "sealed",
        about: "a file with the seal is not preserved, and is as usable as before",
        rules: &[27],
        under: &[
            FS_WRITE,
            FS_WRITE | SHRINK | GROW,
            FS_WRITE | FUTURE_WRITE,
            FS_WRITE | WRITE,
            FS_WRITE | EXEC,
        ],
        setup: |given| in_session(lock(sealed_unmapped(given)?)?),
        op: |f| {
            let tries = (0..100).map(|_| preserve(f));
            all_fail(EOPNOTSUPP, tries)
        },
        expect: Fails(EOPNOTSUPP),
        after: |f| {
            let got = f.add_seals(SHRINK | GROW | WRITE);
            same("F_ADD_SEALS after the refusal", Ok(0), got)?;
            closes(f)
        },
        hollow: UNKNOWN_SEAL,
        ..SESSION
    },
    Case {
        name: "sealed_for_good",
        about: "a file with the seal and F_SEAL_SEAL is not preserved",
        rules: &[27],
        under: &[FS_WRITE | SEAL, FS_WRITE | SEAL | SHRINK | GROW | WRITE | FUTURE_WRITE],
        op: preserve,
        expect: Fails(EOPNOTSUPP),
        hollow: UNKNOWN_SEAL,
        ..SESSION
    },
    Case {
        name: "sealed_through",
        about: "a file with the seal is not preserved by any descriptor, nor while it is mapped",
        rules: &[16, 27],
        on: PLAIN,
        setup: |given| in_session(sealed(given)?),
        through: &[
            Door::Dup,
            Door::Before(libc::O_RDONLY),
            Door::Before(libc::O_RDWR),
            Door::After(libc::O_RDONLY),
            Door::After(libc::O_WRONLY),
            Door::After(libc::O_RDWR),
            Door::Received,
            Door::Threaded,
        ],
        op: preserve,
        expect: Fails(EOPNOTSUPP),
        after: |f| f.reaches_file(f.old()),
        hollow: UNKNOWN_SEAL,
        ..SESSION
    },
    Case {
        name: "older_seals",
        about: "a file with any seals that live update knows is preserved, and let go again",
        rules: &[27],
        under: &[
            0,
            SEAL,
            SHRINK,
            GROW,
            WRITE,
            FUTURE_WRITE,
            EXEC,
            SHRINK | GROW | FUTURE_WRITE,
            SEAL | SHRINK | GROW | WRITE | FUTURE_WRITE | EXEC,
        ],
        setup: |given| in_session(lock(sealed_unmapped(given)?)?),
        op: preserve,
        expect: Returns(0),
        after: |f| {
            f.unchanged()?;
            f.kept.clear();
            f.unchanged()?;
            if f.given.seals & SEAL == 0 {
                same("F_SEAL_WRITE once it is let go", Ok(0), f.add_seals(WRITE))?;
            }
            closes(f)
        },
        ..SESSION
    },
    Case {
        name: "empty",
        about: "a file of no bytes is preserved, and can't grow then",
        on: PLAIN,
        under: &[0],
        setup: |given| {
            let world = in_session(fresh(given)?)?;
            same("truncate", Ok(0), world.ftruncate(0))?;
            Ok(world)
        },
        op: |f| {
            preserve(f)?;
            all_fail(EPERM, [f.ftruncate(1), f.pwrite(0, b"x"), f.fallocate(0, 0, 1)])
        },
        expect: Fails(EPERM),
        ..SESSION
    },
    Case {
        name: "twice",
        about: "a file is preserved once, under whatever token, session and descriptor, and stays so",
        rules: &[27],
        setup: |given| {
            let world = preserved(fresh(given)?)?;
            let dup = world.fd.try_clone().map_err(|e| e.to_string())?;
            let again = world.reopen(libc::O_RDONLY).map_err(|e| e.to_string())?;
            Ok(world.keep(luo::another_session("-2")?).keep(dup).keep(again))
        },
        op: |f| {
            let tries = [(0, &f.fd, 2), (1, &f.fd, 1), (0, &f.kept[2], 3), (1, &f.kept[3], 4)];
            all_fail(
                EBUSY,
                tries.map(|(at, file, token)| Ok(luo::preserve_as(&f.kept[at], file, token)?)),
            )
        },
        expect: Fails(EBUSY),
        after: |f| {
            refused("ftruncate", EPERM, f.ftruncate(f.page))?;
            // The second session has nothing to let go, and can take the file from the first.
            f.kept.remove(1);
            refused("ftruncate after the second session", EPERM, f.ftruncate(f.page))?;
            f.kept.remove(0);
            same("ftruncate", Ok(0), f.ftruncate(f.page))
        },
        ..PRESERVED
    },
    Case {
        name: "same_token",
        about: "a token is of one file, and the one that is refused is usable",
        setup: |given| {
            let other = preserved(fresh(given)?)?;
            let session = other.kept.into_iter().next().ok_or("no session")?;
            Ok(fresh(given)?.keep(session).keep(other.fd))
        },
        op: preserve,
        expect: Fails(EEXIST),
        after: |f| same("the file that was refused", Ok(0), usable(f)),
        ..PRESERVED
    },
    Case {
        name: "too_large",
        about: "a file of 2^32 pages is not preserved, and is usable after a refusal that comes late",
        rules: &[27],
        setup: |given| {
            let other = sys::memfd_create("large", mfd::CLOEXEC | mfd::ALLOW_SEALING)
                .map_err(|e| e.to_string())?;
            in_session(fresh(given)?).map(|world| world.keep(other))
        },
        op: |f| {
            sys::ftruncate(&f.kept[1], (1 << 32) * f.page as i64)?;
            Ok(luo::preserve(&f.kept[0], &f.kept[1])?)
        },
        starved: SESSION.starved,
        expect: Fails(EFBIG),
        after: |f| {
            f.fd = f.kept.swap_remove(1);
            same("the file that was refused", Ok(0), usable(f))
        },
        ..PRESERVED
    },
    Case {
        name: "hugetlb",
        about: "a memfd on hugetlbfs is not preserved, sealed or not, and is usable",
        rules: &[27],
        on: HUGETLB,
        under: &[0, GROW, FS_WRITE],
        op: preserve,
        expect: Fails(ENOENT),
        after: |f| same("F_ADD_SEALS", Ok(0), f.add_seals(SHRINK)),
        hollow: Deviation::Passes("live update does not know hugetlbfs"),
        ..SESSION
    },
    Case {
        name: "no_memfd",
        about: "a pipe, a device and a file of /proc are not preserved",
        on: PLAIN,
        under: &[0],
        setup: |given| {
            let (reader, writer) = nix::unistd::pipe().map_err(|e| e.to_string())?;
            let open = |path| File::open(path).map_err(|e| format!("{path}: {e}"));
            let world = in_session(fresh(given)?)?.keep(reader).keep(writer);
            Ok(world.keep(open("/dev/null")?.into()).keep(open("/proc/version")?.into()))
        },
        op: |f| all_fail(ENOENT, f.kept[1..].iter().map(|fd| Ok(luo::preserve(&f.kept[0], fd)?))),
        expect: Fails(ENOENT),
        ..SESSION
    },
    Case {
        name: "path",
        about: "a descriptor that opened nothing is not preserved, nor is a closed one",
        on: PLAIN,
        under: &[0],
        through: PATHS,
        op: |f| {
            let closed = luo::preserve(&f.kept[0], &-1);
            all_fail(EBADF, [preserve(f), Ok(closed?)])
        },
        expect: Fails(EBADF),
        ..SESSION
    },
    Case {
        name: "no_kexec",
        about: "before a kexec, nothing can be retrieved from a session or finished, and it stays",
        op: |f| {
            let session = &f.kept[0];
            let retrieved = |token| Ok(luo::retrieve(session, token).map(|_| 0)?);
            let finished = luo::finish(session).map_err(Stop::from);
            all_fail(EINVAL, [retrieved(1), retrieved(2), finished])
        },
        expect: Fails(EINVAL),
        after: |f| refused("ftruncate", EPERM, f.ftruncate(f.page)),
        ..PRESERVED
    },
    Case {
        name: "no_session_of_before",
        about: "before a kexec, there is no session to retrieve, by whatever name",
        op: |_| {
            all_fail(ENOENT, ["", "-2"].map(|name| Ok(luo::retrieve_session(name).map(|_| 0)?)))
        },
        expect: Fails(ENOENT),
        ..PRESERVED
    },
];

fn in_session(mut world: World) -> Setup {
    world.kept.insert(0, luo::session()?);
    Ok(world)
}

fn preserve(world: &mut World) -> Got {
    Ok(luo::preserve(&world.kept[0], &world.fd)?)
}

pub fn preserved(world: World) -> Setup {
    let mut world = in_session(world)?;
    same("preserve", Ok(0), preserve(&mut world))?;
    Ok(world)
}

/// Everything that a preserved file refuses, in turn.
pub fn usable(world: &mut World) -> Got {
    let (page, size) = (world.page, world.size);
    world.ftruncate(page)?;
    world.pwrite(size, b"x")?;
    world.fallocate(PUNCH, 0, page)?;
    world.fallocate(0, size, size)?;
    world.add_seals(GROW | SHRINK)
}
