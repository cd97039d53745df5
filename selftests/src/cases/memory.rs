// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Writing into a mapping by other means than a store. The kernel then writes for the process, and may
//! do so only where the process could.

use crate::case::*;
use crate::mapped::{LATERS, new_ro, old_ro, private_ro, private_rw};
use crate::need::Need;
use crate::sys::{self, mfd};
use crate::uring;
use crate::world::{World, outlives, readable, same, sealed, word};
use nix::errno::Errno::*;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::File;
use std::os::fd::AsRawFd;

/// What the means write.
const DATA: &[u8; 4] = b"test";

const READ_ONLY: Deviation =
    Deviation::Passes("the mapping is shared and read-only, which is all that this looks at");

/// Into a read-only shared mapping made since.
const SINCE: Case = Case {
    rules: &[10],
    on: PLAIN,
    under: NO_WRITE,
    setup: |given| with_source(new_ro(given)?),
    expect: Fails(EFAULT),
    after: |f| readable(f.old()),
    hollow: READ_ONLY,
    ..CASE
};

/// Into an old writable mapping.
const BEFORE: Case = Case {
    rules: &[14],
    on: BOTH,
    under: LATERS,
    setup: |given| with_source(sealed(given)?),
    expect: Returns(4),
    after: |f| f.byte_is(0, DATA[0]),
    ..CASE
};

/// Into a private mapping: what is written is a copy.
const PRIVATE: Case = Case {
    rules: &[11],
    under: NO_WRITE,
    setup: |given| with_source(private_rw(given)?),
    after: |f| {
        same("the copy", DATA[0], f.old().load(0))?;
        f.unchanged()
    },
    ..BEFORE
};

/// A tracer writes into a child's private read-only mapping by force, and the child gets a copy.
const FORCED: Case = Case {
    setup: |given| with_source(private_ro(given)?),
    starved: IN_CHILD,
    after: |f| {
        readable(f.old())?;
        f.unchanged()
    },
    ..PRIVATE
};

pub const CASES: &[Case] = &[
    Case {
        name: "proc_mem_since",
        about: "/proc/self/mem can't write into a mapping made since",
        on: BOTH,
        op: by_proc_mem,
        expect: Fails(EIO),
        ..SINCE
    },
    Case {
        name: "proc_mem_before",
        about: "/proc/self/mem writes into an old writable mapping",
        op: by_proc_mem,
        ..BEFORE
    },
    Case {
        name: "proc_mem_private",
        about: "/proc/self/mem writes into a private mapping, and the file does not see it",
        op: by_proc_mem,
        ..PRIVATE
    },
    Case {
        name: "tracer_mem_since",
        about: "a tracer can't write into a child's mapping made since by /proc/PID/mem",
        op: by_tracer_mem,
        expect: Fails(EIO),
        starved: IN_CHILD,
        ..SINCE
    },
    Case {
        name: "tracer_mem_before",
        about: "a tracer writes into a child's old writable mapping by /proc/PID/mem",
        op: by_tracer_mem,
        starved: IN_CHILD,
        ..BEFORE
    },
    Case {
        name: "tracer_mem_private",
        about: "a tracer writes into a child's private read-only mapping by /proc/PID/mem, and the file does not see it",
        op: by_tracer_mem,
        ..FORCED
    },
    Case {
        name: "poke_since",
        about: "PTRACE_POKEDATA can't write into a child's mapping made since",
        on: BOTH,
        op: by_poke,
        expect: Fails(EIO),
        starved: IN_CHILD,
        ..SINCE
    },
    Case {
        name: "poke_before",
        about: "PTRACE_POKEDATA writes into a child's old writable mapping",
        op: by_poke,
        expect: Returns(0),
        starved: IN_CHILD,
        ..BEFORE
    },
    Case {
        name: "poke_before_ro",
        about: "PTRACE_POKEDATA can't write into a child's old mapping that is read-only for now: EIO as ever",
        setup: |given| with_source(old_ro(given)?),
        op: by_poke,
        expect: Fails(EIO),
        starved: IN_CHILD,
        after: |f| readable(f.old()),
        hollow: READ_ONLY,
        ..BEFORE
    },
    Case {
        name: "poke_private",
        about: "PTRACE_POKEDATA writes into a child's private read-only mapping, and the file does not see it",
        op: by_poke,
        expect: Returns(0),
        ..FORCED
    },
    Case {
        name: "vm_writev_since",
        about: "process_vm_writev(2) can't write into a mapping made since",
        on: BOTH,
        op: |f| Ok(sys::process_vm_write(Pid::this(), DATA, f.old().addr())?),
        ..SINCE
    },
    Case {
        name: "vm_writev_before",
        about: "process_vm_writev(2) writes into an old writable mapping",
        op: |f| Ok(sys::process_vm_write(Pid::this(), DATA, f.old().addr())?),
        ..BEFORE
    },
    Case {
        name: "vm_writev_private",
        about: "process_vm_writev(2) writes into a private mapping, and the file does not see it",
        op: |f| Ok(sys::process_vm_write(Pid::this(), DATA, f.old().addr())?),
        ..PRIVATE
    },
    Case {
        name: "vm_writev_child_since",
        about: "process_vm_writev(2) can't write into a child's mapping made since",
        op: |f| stopped(|child| Ok(sys::process_vm_write(child, DATA, f.old().addr())?)),
        starved: IN_CHILD,
        ..SINCE
    },
    Case {
        name: "vm_writev_child_before",
        about: "process_vm_writev(2) writes into a child's old writable mapping",
        op: |f| stopped(|child| Ok(sys::process_vm_write(child, DATA, f.old().addr())?)),
        starved: IN_CHILD,
        ..BEFORE
    },
    Case {
        name: "read_since",
        about: "read(2) can't put what it reads into a mapping made since",
        on: BOTH,
        op: by_read,
        ..SINCE
    },
    Case {
        name: "read_before",
        about: "read(2) puts what it reads into an old writable mapping",
        op: by_read,
        ..BEFORE
    },
    Case {
        name: "read_private",
        about: "read(2) puts what it reads into a private mapping, and the file does not see it",
        op: by_read,
        ..PRIVATE
    },
    Case {
        name: "recv_since",
        about: "recv(2) can't put a message into a mapping made since",
        op: by_recv,
        ..SINCE
    },
    Case {
        name: "recv_before",
        about: "recv(2) puts a message into an old writable mapping",
        op: by_recv,
        starved: STEPS,
        ..BEFORE
    },
    Case {
        name: "io_uring_since",
        about: "io_uring can't put what it reads into a mapping made since",
        needs: &[Need::IoUring],
        op: |f| uring::read(f.last(), f.old().addr(), 4),
        starved: uring::NO_WORKER,
        ..SINCE
    },
    Case {
        name: "io_uring_before",
        about: "io_uring puts what it reads into an old writable mapping",
        needs: &[Need::IoUring],
        op: |f| uring::read(f.last(), f.old().addr(), 4),
        starved: uring::NO_WORKER,
        ..BEFORE
    },
    Case {
        name: "io_uring_fixed_since",
        about: "io_uring can't register a mapping made since as a fixed buffer",
        needs: &[Need::IoUring],
        op: |f| uring::Fixed::pin(f.old()).map(|_| 0).map_err(Stop::from),
        ..SINCE
    },
    Case {
        name: "getrandom_since",
        about: "getrandom(2) can't fill a mapping made since",
        op: |f| Ok(sys::call(libc::SYS_getrandom, [f.old().addr(), 4, 0, 0, 0, 0])?),
        ..SINCE
    },
    Case {
        name: "futex_since",
        about: "FUTEX_WAKE_OP can't change a word of a mapping made since",
        op: by_futex,
        ..SINCE
    },
    Case {
        name: "futex_before",
        about: "FUTEX_WAKE_OP changes a word of an old writable mapping",
        op: by_futex,
        expect: Returns(0),
        ..BEFORE
    },
    Case {
        name: "futex_wait_since",
        about: "FUTEX_WAIT reads a word of a mapping made since, and finds that it differs",
        op: |f| {
            let args = [f.old().addr(), libc::FUTEX_WAIT as usize, 1, 0, 0, 0];
            Ok(sys::call(libc::SYS_futex, args)?)
        },
        expect: Fails(EAGAIN),
        hollow: Deviation::Passes("it only reads"),
        ..SINCE
    },
    Case {
        name: "wait_status_since",
        about: "wait4(2) can't put a child's status into a mapping made since",
        op: |f| {
            let child = sys::fork(|| 0)?;
            let args = [child.as_raw() as usize, f.old().addr(), 0, 0, 0, 0];
            Ok(sys::call(libc::SYS_wait4, args)?)
        },
        starved: IN_CHILD,
        ..SINCE
    },
    Case {
        name: "thread_before",
        about: "another thread stores through an old writable mapping",
        op: |f| {
            let map = f.old();
            std::thread::scope(|scope| scope.spawn(|| map.store(0, DATA[0])).join())
                .expect("the thread");
            Ok(4)
        },
        starved: Starved::Untried("the library does not survive a thread that can't be made"),
        ..BEFORE
    },
    Case {
        name: "vfork_before",
        about: "a child that shares this process's memory, as vfork(2)'s does, stores through an old writable mapping",
        op: |f| {
            let child = sys::vforked(|| f.old().store(0, DATA[0]))?;
            assert_eq!(waitpid(child, None)?, WaitStatus::Exited(child, 0));
            Ok(4)
        },
        starved: IN_CHILD,
        ..BEFORE
    },
    Case {
        name: "thread_since",
        about: "another thread's store through a mapping made since is a SIGSEGV as well",
        op: |f| {
            let map = f.old();
            outlives(|| {
                let done = std::thread::scope(|scope| scope.spawn(|| map.store(0, 1)).join());
                done.expect("the thread");
            })
        },
        starved: IN_CHILD,
        expect: Dies(Signal::SIGSEGV),
        ..SINCE
    },
];

/// Keeps /proc/self/mem, and a file that begins with DATA.
fn with_source(world: World) -> Setup {
    let mem = File::options().read(true).write(true).open("/proc/self/mem");
    let source = sys::memfd_create("source", mfd::CLOEXEC).map_err(word)?;
    sys::pwritev2(&source, DATA, 0, 0).map_err(word)?;
    Ok(world.keep(mem.map_err(word)?.into()).keep(source))
}

fn write_at(mem: &impl AsRawFd, to: usize) -> Got {
    let args = [mem.as_raw_fd() as usize, DATA.as_ptr() as usize, DATA.len(), to, 0, 0];
    Ok(sys::call(libc::SYS_pwrite64, args)?)
}

fn by_proc_mem(world: &mut World) -> Got {
    write_at(&world.kept[0], world.old().addr())
}

fn by_tracer_mem(world: &mut World) -> Got {
    stopped(|child| {
        let path = format!("/proc/{child}/mem");
        let mem = File::options().read(true).write(true).open(path).expect("/proc/PID/mem");
        write_at(&mem, world.old().addr())
    })
}

fn by_poke(world: &mut World) -> Got {
    let word = u64::from_le_bytes(*b"test\0\0\0\0") as usize;
    stopped(|child| {
        let pid = child.as_raw() as usize;
        let args = [libc::PTRACE_POKEDATA as usize, pid, world.old().addr(), word, 0, 0];
        Ok(sys::call(libc::SYS_ptrace, args)?)
    })
}

fn by_read(world: &mut World) -> Got {
    let fd = world.last().as_raw_fd() as usize;
    Ok(sys::call(libc::SYS_pread64, [fd, world.old().addr(), DATA.len(), 0, 0, 0])?)
}

fn by_recv(world: &mut World) -> Got {
    let (from, to) = std::os::unix::net::UnixStream::pair().expect("socketpair");
    nix::unistd::write(&from, DATA)?;
    let args = [to.as_raw_fd() as usize, world.old().addr(), DATA.len(), 0, 0, 0];
    Ok(sys::call(libc::SYS_recvfrom, args)?)
}

/// FUTEX_OP_SET of DATA's first byte to the mapping's first word.
fn by_futex(world: &mut World) -> Got {
    let here = 0u32;
    let set = (DATA[0] as usize) << 12;
    let op = libc::FUTEX_WAKE_OP as usize;
    let args = [&raw const here as usize, op, 1, 1, world.old().addr(), set];
    Ok(sys::call(libc::SYS_futex, args)?)
}

/// What this does to a forked child that stands still, traced by this process.
fn stopped(body: impl FnOnce(Pid) -> Got) -> Got {
    let child = sys::fork(|| {
        nix::sys::ptrace::traceme().expect("traceme");
        raise(Signal::SIGSTOP).expect("stop");
        0
    })?;
    match waitpid(child, None)? {
        WaitStatus::Stopped(..) => {}
        other => panic!("the child did not stop: {other:?}"),
    }
    let got = body(child);
    kill(child, Signal::SIGKILL)?;
    waitpid(child, None)?;
    got
}
