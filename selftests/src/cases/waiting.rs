// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Calls that wait for the inode's lock behind F_ADD_SEALS, as a holder of the lock has them do.

use crate::case::*;
use crate::child::wrong;
use crate::kind::Kind;
use crate::need::Need;
use crate::sys::{self, Map, RW, Sys, seal};
use crate::udmabuf;
use crate::world::{World, fresh, same};
use libc::{FALLOC_FL_KEEP_SIZE, MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno::*;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

/// The fault that such a row looks for needs no lack of memory.
const WAITING: Case =
    Case { setup: fresh, starved: STEPS, expect: Returns(0), alone: true, ..CASE };

pub const CASES: &[Case] = &[
    Case {
        name: "hugetlb_mmap_past_eof",
        about: "a mapping that waits for the inode behind F_ADD_SEALS does not grow the file any more",
        rules: &[24],
        on: HUGETLB,
        under: NO_GROW,
        op: |f| {
            // Who is woken first differs from kernel to kernel: from 0.2 ms, which may be before the seal,
            // to 26 ms, which is after it.
            for late in 0..32 {
                grow_behind_a_seal(f, Duration::from_micros(200 << (late % 8)))?;
            }
            Ok(0)
        },
        hollow: Deviation::Fails("the seal is there, and nothing keeps to it"),
        ..WAITING
    },
    Case {
        name: "udmabuf_behind_write_seal",
        about: "UDMABUF_CREATE that waits for the inode behind F_SEAL_WRITE sees the seal",
        on: PLAIN,
        under: &[0],
        needs: &[Need::Udmabuf],
        setup: |given| super::busy::pinned(fresh(given)?.seal(seal::SHRINK)?.map(RW)?),
        op: |f| {
            f.old = None;
            // No refusal as others are: the seal has changed meanwhile.
            let made = udmabuf_behind(f)?;
            same("UDMABUF_CREATE", Err(EINVAL), made.map(|_| ())).unwrap_or_else(|why| wrong(why));
            Ok(0)
        },
        after: |f| f.seals_are(seal::SHRINK | seal::WRITE),
        ..WAITING
    },
];

/// UDMABUF_CREATE while a child has the inode locked to add F_SEAL_WRITE.
fn udmabuf_behind(f: &World) -> Sys<Sys<OwnedFd>> {
    let sealer = act(|| f.add_seals(seal::WRITE).map(|_| ()).map_err(|e| format!("seal: {e:?}")))?;
    // The seal waits up to 150 ms for the page in the pipe, with the inode locked.
    sleep(Duration::from_millis(20));
    let drain = act(|| {
        sleep(Duration::from_millis(20));
        nix::unistd::read(&f.kept[0], &mut [0; 16]).map(|_| ()).map_err(|e| e.to_string())
    })?;
    let made = udmabuf::create(f);
    waitpid(drain, None)?;
    // Whether the seal is there then is for the row to say: a buffer has it refused.
    waitpid(sealer, None)?;
    Ok(made)
}

/// Whether UDMABUF_CREATE waits, for a probe.
pub fn udmabuf_waits() -> Result<bool, String> {
    let mut file =
        super::busy::pinned(fresh(Given::of(Kind::Shmem))?.seal(seal::SHRINK)?.map(RW)?)?;
    file.old = None;
    let made = udmabuf_behind(&file).map_err(|errno| errno.to_string())?;
    Ok(made.err() == Some(EINVAL))
}

/// Where the shared page says that the child has begun.
const BEGUN: usize = 0;

/// A child holds the inode's lock, this process queues for it to add the row's seals, and a second
/// child queues behind it, so much later, with a mapping longer than the file.
fn grow_behind_a_seal(f: &World, later: Duration) -> Sys<()> {
    let f = fresh(f.given).unwrap_or_else(|why| panic!("{why}"));
    let told = Map::at(0, 4096, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0)?;
    // Forked first, so that it has nothing to do but to wait for its turn.
    let mapper = act(|| {
        begun(&told);
        sleep(later);
        let len = 2 * f.size;
        let map = Map::new(len, RW, MAP_PRIVATE | libc::MAP_NORESERVE, &f.fd, 0);
        map.map(|_| ()).map_err(|errno| format!("mmap: {errno:?}"))
    })?;
    let holder = act(|| {
        told.store(BEGUN, 1);
        // It clears pages with the lock held; refused if the seal came first after all.
        let held = f.fallocate(FALLOC_FL_KEEP_SIZE, 0, 7 * f.page);
        match held {
            Ok(_) | Err(Stop::Errno(EPERM)) => Ok(()),
            Err(stop) => Err(format!("fallocate: {stop:?}")),
        }
    })?;
    begun(&told);
    sleep(Duration::from_micros(200));
    sys::add_seals(&f.fd, f.given.seals)?;
    let sealed = sys::fstat(&f.fd)?.st_size;
    wait(mapper)?;
    wait(holder)?;
    f.size_is(sealed as usize).unwrap_or_else(|why| wrong(format!("after the seal, {why}")));
    Ok(())
}

/// Waits until the other process has begun.
fn begun(told: &Map) {
    while told.load(BEGUN) == 0 {
        std::thread::yield_now();
    }
}

/// Runs in a child; what it returns as an error is the kernel's fault.
fn act(body: impl FnOnce() -> Result<(), String>) -> Sys<Pid> {
    sys::fork(|| match body() {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("{why}");
            1
        }
    })
}

fn wait(child: Pid) -> Sys<()> {
    match waitpid(child, None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        other => wrong(format!("the other process: {other:?}")),
    }
}
