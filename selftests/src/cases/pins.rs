// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Pages that something beside mappings holds: a pipe, a socket, a ring. F_SEAL_WRITE waits a while
//! for them to be let go of and is EBUSY then; no other seal looks at them.

use crate::case::*;
use crate::child::wrong;
use crate::kind::Kind;
use crate::mapped::{no_count_left, private_rw};
use crate::need::Need;
use crate::sys::{self, Map, RO, RW, seal};
use crate::uring;
use crate::world::{World, fresh, same, sealed_unmapped, word};
use libc::{MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// What a pipe takes of a page.
const PART: usize = 4096;

/// F_SEAL_WRITE while a page is held.
const HELD: Case = Case {
    under: &[0],
    on: BARE,
    op: |f| f.add_seals(seal::WRITE),
    expect: Fails(EBUSY),
    after: until_let_go,
    ..CASE
};

/// Seals that don't look: each is added while a page is held.
const UNASKED: Case = Case {
    rules: &[1],
    under: &[
        seal::FS_WRITE,
        seal::FUTURE_WRITE,
        seal::GROW,
        seal::SHRINK,
        seal::SEAL,
        seal::FS_WRITE | seal::FUTURE_WRITE | seal::GROW | seal::SHRINK | seal::SEAL,
    ],
    on: BARE,
    op: at_once,
    expect: Returns(0),
    after: |f| {
        f.seals_are(f.given.seals)?;
        f.unchanged_but_seals()
    },
    ..CASE
};

pub const CASES: &[Case] = &[
    Case {
        name: "spliced_first",
        about: "F_SEAL_WRITE is EBUSY while a pipe holds a part of the first page",
        on: &[Kind::Shmem, Kind::Thp],
        setup: |given| spliced(fresh(given)?, 0),
        ..HELD
    },
    Case {
        name: "spliced_last",
        about: "F_SEAL_WRITE is EBUSY while a pipe holds the end of the last page",
        on: &[Kind::Shmem, Kind::Thp],
        setup: |given| spliced(fresh(given)?, 2 * given.kind.page() - PART),
        ..HELD
    },
    Case {
        name: "spliced_far",
        about: "F_SEAL_WRITE is EBUSY for the last page of many: it lets others run now and then on its way",
        on: PLAIN,
        setup: |given| {
            let world = fresh(given)?;
            world.fallocate(0, 0, many()).map_err(|stop| format!("fallocate: {stop:?}"))?;
            // What was never written has no page to hold.
            world.pwrite(many() - 1, b"x").map_err(|stop| format!("pwrite: {stop:?}"))?;
            spliced(world, many() - PART)
        },
        ..HELD
    },
    Case {
        name: "vmspliced_first",
        about: "F_SEAL_WRITE is EBUSY while a pipe holds a part of the first page of a mapping that is gone",
        setup: |given| vmspliced(fresh(given)?, MAP_SHARED, 0),
        ..HELD
    },
    Case {
        name: "vmspliced_inside",
        about: "it is for a page inside of a huge one",
        on: &[Kind::Thp, Kind::Hugetlb],
        setup: |given| vmspliced(fresh(given)?, MAP_SHARED, 5 * PART),
        ..HELD
    },
    Case {
        name: "vmspliced_last",
        about: "it is for the end of the last page",
        setup: |given| vmspliced(fresh(given)?, MAP_SHARED, 2 * given.kind.page() - PART),
        ..HELD
    },
    Case {
        name: "vmspliced_since",
        about: "it is for a page that was taken by a mapping made since another seal",
        rules: &[22],
        on: BOTH,
        under: &[seal::FS_WRITE, seal::FUTURE_WRITE],
        setup: |given| vmspliced(sealed_unmapped(given)?, MAP_SHARED, 0),
        hollow: Deviation::Passes("F_SEAL_WRITE looks at pins"),
        ..HELD
    },
    Case {
        name: "vmspliced_private_untouched",
        about: "it is for the file's page that a private mapping shows",
        on: BOTH,
        setup: |given| vmspliced(fresh(given)?, MAP_PRIVATE, 0),
        ..HELD
    },
    Case {
        name: "private_copy",
        about: "a private mapping's copy that a pipe holds is not the file's: F_SEAL_WRITE succeeds at once",
        setup: |given| {
            let mut world = private_rw(given)?;
            world.old().store(1, 9);
            let map = world.old.take().expect("mapped");
            splice_from(world, map, 0)
        },
        op: at_once_write,
        expect: Returns(0),
        after: |f| f.unchanged_but_seals(),
        ..HELD
    },
    Case {
        name: "teed",
        about: "F_SEAL_WRITE is EBUSY while a second pipe holds what the first has let go of",
        on: PLAIN,
        setup: |given| {
            let mut world = spliced(fresh(given)?, 0)?;
            let (reader, writer) = pipe()?;
            let args = [raw(&world.kept[0]), raw(&writer), PART, 0, 0, 0];
            same("tee", Ok(PART as i64), sys::call(libc::SYS_tee, args))?;
            drain(&world.kept[0])?;
            world.kept = vec![reader, writer];
            Ok(world)
        },
        ..HELD
    },
    Case {
        name: "in_a_socket",
        about: "F_SEAL_WRITE is EBUSY while a page is in flight in a socket, by sendfile(2)",
        on: &[Kind::Shmem, Kind::Thp],
        setup: |given| {
            let world = fresh(given)?;
            let (from, to) = std::os::unix::net::UnixStream::pair().map_err(word)?;
            let mut at = 0i64;
            let args = [raw(&from), raw(&world.fd), &raw mut at as usize, PART, 0, 0];
            same("sendfile", Ok(PART as i64), sys::call(libc::SYS_sendfile, args))?;
            Ok(world.keep(to.into()).keep(from.into()))
        },
        ..HELD
    },
    Case {
        name: "fixed_buffer",
        about: "F_SEAL_WRITE is EBUSY while io_uring has pages as a fixed buffer whose mapping is gone",
        needs: &[Need::IoUring, Need::LockedMemory],
        setup: |given| fixed(fresh(given)?),
        ..HELD
    },
    Case {
        name: "two_holders",
        about: "F_SEAL_WRITE is EBUSY as long as one of two holders is left",
        on: PLAIN,
        setup: |given| {
            let world = spliced(spliced(fresh(given)?, 0)?, given.kind.page())?;
            // The pipe that holds the second page.
            world.kept.iter().take(1).try_for_each(drain)?;
            Ok(world)
        },
        ..HELD
    },
    Case {
        name: "with_others",
        about: "seals that are asked for in the same call are not set either",
        rules: &[22],
        on: PLAIN,
        under: &[seal::FUTURE_WRITE, seal::FS_WRITE, seal::SEAL | seal::SHRINK | seal::GROW],
        setup: |given| spliced(fresh(given)?, 0),
        op: |f| f.add_seals(f.given.seals | seal::WRITE),
        hollow: Deviation::Passes("F_SEAL_WRITE looks at pins"),
        ..HELD
    },
    Case {
        name: "exec_implies",
        about: "F_SEAL_EXEC on an executable file is EBUSY too: it implies F_SEAL_WRITE",
        needs: &[Need::ExecSeal],
        rules: &[23],
        setup: |given| vmspliced(fresh(given)?, MAP_SHARED, 0),
        op: |f| f.add_seals(seal::EXEC),
        ..HELD
    },
    Case {
        name: "unasked_pipe",
        about: "the other seals are added at once while a pipe holds a page",
        setup: |given| vmspliced(fresh(given)?, MAP_SHARED, 0),
        ..UNASKED
    },
    Case {
        name: "unasked_fixed_buffer",
        about: "they are while io_uring has the pages as a fixed buffer",
        needs: &[Need::IoUring, Need::LockedMemory],
        on: BOTH,
        setup: |given| fixed(fresh(given)?),
        ..UNASKED
    },
    Case {
        name: "unasked_exec",
        about: "F_SEAL_EXEC on a file that is not executable is added at once",
        needs: &[Need::ExecSeal],
        under: &[0],
        rules: &[],
        setup: |given| {
            let world = vmspliced(fresh(given)?, MAP_SHARED, 0)?;
            let mode = nix::sys::stat::Mode::from_bits_retain(0o600);
            nix::sys::stat::fchmod(&world.fd, mode).map_err(word)?;
            Ok(world)
        },
        op: |f| quickly(|| f.add_seals(seal::EXEC)),
        after: |f| f.seals_are(seal::EXEC),
        ..UNASKED
    },
    Case {
        name: "write_again",
        about: "F_SEAL_WRITE where it is set already looks at no page",
        rules: &[],
        under: &[seal::WRITE],
        setup: |given| vmspliced(sealed_unmapped(given)?, MAP_SHARED, 0),
        ..UNASKED
    },
    Case {
        name: "let_go_in_time",
        about: "F_SEAL_WRITE succeeds when the page is let go of while it waits",
        under: &[0, seal::FS_WRITE, seal::FUTURE_WRITE],
        rules: &[22],
        setup: |given| {
            let world = vmspliced(fresh(given)?.seal(given.seals)?, MAP_SHARED, 0)?;
            Ok(world)
        },
        op: |f| {
            let since = Instant::now();
            let child = sys::fork(|| {
                std::thread::sleep(AWHILE);
                drain(&f.kept[0]).expect("drain");
                0
            })?;
            let got = f.add_seals(seal::WRITE);
            let waited = since.elapsed() >= AWHILE;
            waitpid(child, None)?;
            if got.is_ok() && !waited {
                wrong("it was sealed while the page was held");
            }
            got
        },
        starved: IN_CHILD,
        expect: Returns(0),
        after: |f| {
            f.seals_are(f.given.seals | seal::WRITE)?;
            f.unchanged_but_seals()
        },
        ..HELD
    },
    Case {
        name: "killed_in_time",
        about: "a task that is killed while it waits has added nothing",
        on: BOTH,
        setup: |given| vmspliced(fresh(given)?, MAP_SHARED, 0),
        op: |f| {
            let child = sys::fork(|| i32::from(f.add_seals(seal::WRITE).is_ok()))?;
            std::thread::sleep(AWHILE);
            kill(child, Signal::SIGKILL)?;
            match waitpid(child, None)? {
                WaitStatus::Signaled(_, signal, _) => Err(Stop::Signal(signal)),
                WaitStatus::Exited(_, code) => Ok(code.into()),
                other => panic!("{other:?}"),
            }
        },
        starved: IN_CHILD,
        expect: Dies(Signal::SIGKILL),
        after: |f| {
            f.unchanged()?;
            until_let_go(f)
        },
        ..HELD
    },
    Case {
        name: "reader_is_none",
        about: "pages that were only read, mapped and looked at hold up no seal",
        setup: |given| {
            let world = fresh(given)?;
            let map = world.mmap(RO, MAP_SHARED).map_err(word)?;
            map.load(0);
            map.load(world.page);
            sys::pread(&world.fd, &mut [0; 64], 0).map_err(word)?;
            Ok(world)
        },
        op: at_once_write,
        expect: Returns(0),
        after: |f| f.unchanged_but_seals(),
        ..HELD
    },
];

/// Bytes of a file that has more pages than the kernel looks at without a pause.
fn many() -> usize {
    4500 * Kind::Shmem.page()
}

/// For how long a page is held on to: long enough for a seal to be waiting by then, and a part of the
/// 150 ms that it waits.
const AWHILE: Duration = Duration::from_millis(25);

fn raw(fd: &impl AsRawFd) -> usize {
    fd.as_raw_fd() as usize
}

fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(word)
}

/// Keeps a pipe, reading end first, that holds a part of the file's page at `at`.
fn spliced(world: World, at: usize) -> Setup {
    let (reader, writer) = pipe()?;
    let mut at = at as i64;
    let args = [raw(&world.fd), &raw mut at as usize, raw(&writer), 0, PART, 0];
    same("splice", Ok(PART as i64), sys::call(libc::SYS_splice, args))?;
    Ok(world.keep(reader).keep(writer))
}

/// The same by way of a mapping, which is unmapped then.
fn vmspliced(world: World, flags: i32, at: usize) -> Setup {
    let map = world.mmap(RO, flags).map_err(word)?;
    splice_from(world, map, at)
}

fn splice_from(world: World, map: Map, at: usize) -> Setup {
    let (reader, writer) = pipe()?;
    let part = [map.addr() + at, PART];
    let args = [raw(&writer), part.as_ptr() as usize, 1, 0, 0, 0];
    same("vmsplice", Ok(PART as i64), sys::call(libc::SYS_vmsplice, args))?;
    Ok(world.keep(reader).keep(writer))
}

/// Keeps a ring that has the file's pages as its fixed buffer; nothing maps them.
fn fixed(world: World) -> Setup {
    let map = world.mmap(RW, MAP_SHARED).map_err(word)?;
    let ring = uring::Fixed::pin(&map).map_err(word)?.into_fd().map_err(word)?;
    Ok(world.keep(ring))
}

/// Takes out what the pipe or socket holds.
fn drain(fd: &OwnedFd) -> Check {
    let got = nix::unistd::read(fd, &mut [0; PART]).map_err(word)?;
    same("bytes in the pipe", PART, got)
}

/// Nothing is held any more.
fn let_go(world: &mut World) {
    for fd in &world.kept {
        // A ring lets go some time after it is closed; this is at once. Not of pipes: ENOTTY and such.
        let _ = uring::unregister(fd);
    }
    world.kept.clear();
}

/// What was refused is as if it had not been asked for, until the page is let go of.
fn until_let_go(world: &mut World) -> Check {
    let seals = sys::get_seals(&world.fd).map_err(word)? as u32;
    if seals & (seal::FS_WRITE | seal::FUTURE_WRITE) == 0 {
        world.mmap_new(RW, MAP_SHARED).map_err(|stop| format!("mmap: {stop:?}"))?;
        world.reaches_file(world.made())?;
        if world.given.kind != Kind::Hugetlb {
            same("pwrite", Ok(1), world.pwrite(1, b"x"))?;
        }
        world.new = None;
    }
    let_go(world);
    no_count_left(world)
}

/// Adds the row's seals, which must not wait: the task never gives up its CPU of its own accord.
fn at_once(world: &mut World) -> Got {
    quickly(|| world.add_seals(world.given.seals))
}

fn at_once_write(world: &mut World) -> Got {
    quickly(|| world.add_seals(seal::WRITE))
}

fn quickly(body: impl FnOnce() -> Got) -> Got {
    let before = getrusage(UsageWho::RUSAGE_SELF)?.voluntary_context_switches();
    let got = body();
    let waits = getrusage(UsageWho::RUSAGE_SELF)?.voluntary_context_switches() - before;
    // Waiting for pins takes four, and nobody else wants what a seal locks.
    if waits >= 4 {
        wrong(format!("it waited {waits} times"));
    }
    got
}
