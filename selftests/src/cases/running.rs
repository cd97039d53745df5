// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Memfds that hold a program: which seals let them run, and what a running one keeps from whom.

use super::refusing::NOT_FS_WRITE;
use super::sealing::implied;
use crate::case::*;
use crate::elsewhere::{as_nobody, traced, untraced};
use crate::need::Need;
use crate::program::smallest;
use crate::sys::{self, RO, Sys, mfd, seal};
use crate::world::{World, each, refused, same};
use nix::errno::Errno::{self, *};
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, fchmod};
use std::convert::Infallible;
use std::fs::File;
use std::os::fd::OwnedFd;

/// Of a memfd that holds a program, and that only its first descriptor has open.
const PROGRAM: Case = Case { on: PLAIN, setup: program, starved: IN_CHILD, ..CONTROL };

/// No seal, and each one.
const ANY: &[u32] = &[
    0,
    seal::SEAL,
    seal::SHRINK,
    seal::GROW,
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::EXEC,
    seal::FS_WRITE,
    0x7f,
];

pub const CASES: &[Case] = &[
    Case {
        name: "runs",
        about: "execveat(2) runs an executable memfd to its end, whatever seals it has",
        rules: &[18, 23],
        under: ANY,
        setup: |given| program(given)?.seal(given.seals),
        op: |f| ran(&f.fd),
        expect: Returns(0),
        after: |f| f.unchanged(),
        ..PROGRAM
    },
    Case {
        name: "runs_for_another_user",
        about: "another user runs it too, if its mode lets him",
        under: &[seal::EXEC, seal::FS_WRITE],
        needs: &[Need::OtherUid],
        rules: &[18],
        setup: |given| program(given)?.seal(given.seals),
        op: |f| as_nobody(|| ran(&f.fd)),
        expect: Returns(0),
        ..PROGRAM
    },
    Case {
        name: "runs_while_mapped",
        about: "it runs while somebody has a writable mapping from before the seal",
        rules: &[14],
        under: &[0, seal::FUTURE_WRITE, seal::FS_WRITE],
        setup: |given| program(given)?.map(crate::sys::RW)?.seal(given.seals),
        op: |f| ran(&f.fd),
        expect: Returns(0),
        ..PROGRAM
    },
    Case {
        name: "runs_from_rdonly",
        about: "it runs from a descriptor opened O_RDONLY",
        rules: &[18],
        under: &[0, seal::EXEC, seal::FS_WRITE],
        setup: |given| program(given)?.seal(given.seals)?.via(libc::O_RDONLY),
        op: |f| ran(&f.fd),
        expect: Returns(0),
        ..PROGRAM
    },
    Case {
        name: "noexec",
        about: "a memfd of MFD_NOEXEC_SEAL can't be run: EACCES, by the superuser neither",
        needs: &[Need::ExecSeal],
        on: BOTH,
        setup: |given| made(given, mfd::NOEXEC_SEAL),
        op: |f| ran(&f.fd),
        expect: Fails(EACCES),
        ..PROGRAM
    },
    Case {
        name: "noexec_whatever_else",
        about: "whatever seals are added",
        needs: &[Need::ExecSeal],
        rules: &[18],
        under: &[seal::WRITE, seal::SEAL, seal::FS_WRITE],
        setup: |given| made(given, mfd::NOEXEC_SEAL)?.seal(given.seals),
        op: |f| ran(&f.fd),
        expect: Fails(EACCES),
        after: |f| {
            let got = each([0o777, 0o100, 0o4711], |mode| {
                Ok(fchmod(&f.fd, Mode::from_bits_retain(*mode)).map(|()| 0)?)
            });
            refused("making it executable", EPERM, got)?;
            refused("running it then", EACCES, ran(&f.fd))
        },
        hollow: NOT_FS_WRITE,
        ..PROGRAM
    },
    Case {
        name: "open_for_writing",
        about: "a memfd that is open for writing by a second descriptor can't be run: ETXTBSY",
        rules: &[16],
        under: &[0, seal::EXEC, seal::WRITE, seal::FS_WRITE],
        setup: |given| {
            let world = program(given)?.seal(given.seals)?;
            let writer = world.reopen(libc::O_WRONLY).map_err(|e| e.to_string())?;
            Ok(world.keep(writer))
        },
        op: |f| ran(&f.fd),
        expect: Fails(ETXTBSY),
        after: |f| {
            f.kept.clear();
            same("once that is closed", Ok(0), ran(&f.fd))
        },
        hollow: NOT_FS_WRITE,
        ..PROGRAM
    },
    Case {
        name: "while_it_runs_no_writer",
        about: "a memfd that runs can't be opened for writing: ETXTBSY; afterwards it can",
        rules: &[16],
        under: &[0, seal::EXEC, seal::FS_WRITE],
        setup: |given| program(given)?.seal(given.seals),
        op: |f| {
            let running = traced(|| exec(&f.fd))?;
            let got =
                each([libc::O_WRONLY, libc::O_RDWR], |flags| Ok(f.reopen(*flags).map(|_| 0)?));
            untraced(running);
            got
        },
        expect: Fails(ETXTBSY),
        after: |f| {
            let got: Got = f.reopen(libc::O_RDWR).map(|_| 0).map_err(Stop::from);
            same("once it has ended", Ok(0), got)
        },
        hollow: NOT_FS_WRITE,
        ..PROGRAM
    },
    Case {
        name: "sealed_while_it_runs",
        about: "a memfd that runs takes every seal: its text is a private mapping",
        rules: &[1],
        under: EACH_SEAL,
        op: |f| {
            let running = traced(|| exec(&f.fd))?;
            let got = f.add_seals(f.given.seals);
            untraced(running);
            got
        },
        expect: Returns(0),
        after: |f| {
            same("seals", Ok(implied(f.given.seals).into()), sys::get_seals(&f.fd))?;
            same("it still runs", Ok(0), ran(&f.fd))
        },
        ..PROGRAM
    },
    Case {
        name: "first_descriptor_while_it_runs",
        about: "a seal holds against the first descriptor, which is no writer for execveat(2)",
        rules: &[3],
        under: NO_WRITE,
        setup: |given| program(given)?.seal(given.seals),
        op: |f| {
            let running = traced(|| exec(&f.fd))?;
            let got = f.pwrite(0, b"x");
            untraced(running);
            got
        },
        expect: Fails(EPERM),
        ..PROGRAM
    },
    Case {
        name: "executable_map",
        about: "a sealed memfd is mapped to be executed, shared and private",
        rules: &[10, 11],
        under: &[
            0,
            seal::SEAL,
            seal::GROW,
            seal::WRITE,
            seal::FUTURE_WRITE,
            seal::EXEC,
            seal::FS_WRITE,
        ],
        setup: |given| program(given)?.seal(given.seals),
        op: |f| {
            let rx = RO | libc::PROT_EXEC;
            f.mmap_new(rx, libc::MAP_PRIVATE)?;
            f.mmap_new(rx, libc::MAP_SHARED)
        },
        expect: Returns(0),
        after: |f| {
            let writable = sys::RW | libc::PROT_EXEC;
            let sealed = f.given.seals & (seal::WRITE | seal::FUTURE_WRITE | seal::FS_WRITE);
            match f.given.seals & seal::EXEC | sealed {
                0 => same("mprotect", Ok(0), f.made().protect(writable)),
                _ => same("mprotect", Err(EACCES), f.made().protect(writable)),
            }
        },
        starved: STEPS,
        hollow: Deviation::Fails("VM_MAYWRITE is not cleared"),
        ..PROGRAM
    },
    Case {
        name: "noexec_maps_executable",
        about: "MFD_NOEXEC_SEAL is about execveat(2): mappings with PROT_EXEC work as on any file",
        on: &[crate::kind::Kind::Noexec],
        setup: crate::world::fresh,
        op: |f| {
            let rwx = sys::RW | libc::PROT_EXEC;
            f.mmap_new(rwx, libc::MAP_PRIVATE)?;
            f.mmap_new(rwx, libc::MAP_SHARED)
        },
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        starved: STEPS,
        ..PROGRAM
    },
    Case {
        name: "no_program",
        about: "a memfd that holds no program is ENOEXEC",
        setup: crate::world::fresh,
        op: |f| ran(&f.fd),
        expect: Fails(ENOEXEC),
        after: |f| refused("run again", ENOEXEC, ran(&f.fd)),
        ..PROGRAM
    },
];

/// An executable memfd for sealing that holds a program.
fn program(given: Given) -> Setup {
    made(given, crate::need::mfd_exec() | mfd::ALLOW_SEALING)
}

fn made(given: Given, flags: u32) -> Setup {
    let flags = flags | mfd::CLOEXEC | given.kind.flags();
    let fd = sys::memfd_create("program", flags).map_err(|e| e.to_string())?;
    let world = World::inherited(given, fd);
    if !given.kind.is_huge() {
        let text = smallest(world.size).map_err(|e| e.to_string())?;
        same("written", Ok(text.len() as i64), world.pwrite(0, &text))?;
    }
    Ok(world)
}

/// Becomes the program, which says nothing that is heard, and ends with 0.
fn exec(fd: &OwnedFd) -> Sys<Infallible> {
    let null = File::options().write(true).open("/dev/null").map_err(|_| Errno::EIO)?;
    nix::unistd::dup2_stdout(&null)?;
    let args = [c"memfd-seals", c"--help"];
    nix::unistd::execveat(fd, c"", &args, &[c""; 0], AtFlags::AT_EMPTY_PATH)
}

/// Runs the program in a child: 0, or why it did not start.
fn ran(fd: &OwnedFd) -> Got {
    match sys::in_child(|| exec(fd).map_or_else(|errno| errno as i32, |never| match never {}))? {
        sys::Ended::Exit(0) => Ok(0),
        sys::Ended::Exit(errno) => Err(Errno::from_raw(errno).into()),
        sys::Ended::Signal(signal) => panic!("the program died of signal {signal}"),
    }
}
