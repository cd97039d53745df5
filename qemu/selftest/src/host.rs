// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The host fails: a full disk, a folder that can't be written, a second run, a signal.
//!
//! These rows have a kernel that is built in no time, a cache of their own, and a QEMU that replays
//! a recorded run: all steps are the real ones, and none takes long.

mod room;
mod stop;
mod world;

use crate::row::{On, Qemu, ROW, Row};
use stop::{At, By};

const TAR: At = At::Program(("tar", "*"));
const ADD: At = At::Program(("git", "*' add '*"));
const READ_TREE: At = At::Program(("git", "*' read-tree '*"));
const AM: At = At::Program(("git", "*' am '*"));
const CONFIG: At = At::Program(("make", "*' olddefconfig '*"));
const BUILD: At = At::Program(("make", "*' vmlinux '*"));
const CARGO: At = At::Program(("cargo", "*' build '*"));
const GCC: At = At::Program(("gcc", "*memfd_test.c*"));
const ARCHIVE: At = At::Program(("host-archive", "*"));

const HOST: Row = Row { on: On::Default, qemu: Qemu::Fake(world::qemu), within: 30, ..ROW };
/// Ends within seconds of its signal. apt-get and the suite's cargo are no exception here.
const STOPPED: Row = Row { class: "interrupted", cause: "stopped", within: 3, ..HOST };
const KILLED: Row = Row { class: "pass", ..HOST };

/// One row for each way to be hit in a step.
macro_rules! hits {
    ($($at:expr, $step:literal, $while:literal;)+) => { &[$(
        Row {
            name: concat!("host::ctrl_c_in_", $step),
            about: concat!("Ctrl-C ", $while),
            by: |lab, row| stop::stopped(lab, row, $at, By::CtrlC),
            ..STOPPED
        },
        Row {
            name: concat!("host::kill_in_", $step),
            about: concat!("kill -9 of the runner ", $while),
            by: |lab, row| stop::stopped(lab, row, $at, By::Kill),
            ..KILLED
        },
        Row {
            name: concat!("host::kill_all_in_", $step),
            about: concat!("kill -9 of the runner and all that it started ", $while),
            by: |lab, row| stop::stopped(lab, row, $at, By::KillAll),
            ..KILLED
        },
    )+] };
}

/// What a signal does in each step.
pub const SIGNALS: &[Row] = hits! {
    At::Tools, "tools", "while apt-get installs what is missing";
    TAR, "source", "while a tarball is unpacked";
    ADD, "reading_for_checkout", "while git reads an unpacked tree";
    READ_TREE, "checkout", "while git checks a tree out";
    AM, "series", "while a patch is applied";
    CONFIG, "config", "while the kernel is configured";
    BUILD, "build", "while the kernel is built";
    CARGO, "suite", "while the suite is built";
    GCC, "memfd_test", "while memfd_test is compiled";
    ARCHIVE, "initramfs", "while the archive is written";
    At::Boot, "boot", "while the guest runs";
    At::Verdict, "verdict", "when QEMU has ended";
};

pub const ROWS: &[Row] = &[
    Row {
        name: "host::term_in_suite",
        about: "SIGTERM to the runner alone while the suite is built",
        by: |lab, row| stop::stopped(lab, row, CARGO, By::Term),
        ..STOPPED
    },
    Row {
        name: "host::ctrl_c_while_waiting",
        about: "Ctrl-C to a run that waits for another",
        by: stop::stopped_while_waiting,
        within: 1,
        ..STOPPED
    },
    Row {
        name: "host::two_at_once",
        about: "a second run starts while one is under way: it says for whom it waits",
        by: stop::two_at_once,
        ..HOST
    },
    Row {
        name: "host::side_by_side",
        about: "two runs in one clone with a cache each",
        by: stop::side_by_side,
        ..HOST
    },
    Row {
        name: "host::unheard",
        about: "stdout and stderr take nothing: the exit code still tells",
        by: stop::unheard,
        ..HOST
    },
    Row {
        name: "host::hit_anywhere",
        about: "Ctrl-C or kill -9 of all at one moment after another",
        by: stop::anywhere,
        ..HOST
    },
    Row {
        name: "host::full_cache_anywhere",
        about: "the cache's disk is full at one size after another",
        by: room::full_cache_anywhere,
        ..HOST
    },
    Row {
        name: "host::full_checkout_anywhere",
        about: "the same where the source is an unpacked tree, which goes through git",
        by: room::full_cache_anywhere,
        ..HOST
    },
    Row {
        name: "host::full_results_anywhere",
        about: "the disk of the results is full at one size after another",
        by: room::full_results_anywhere,
        ..HOST
    },
    Row {
        name: "host::full_in_source",
        about: "the cache's disk is full while a tarball is unpacked",
        by: |lab, row| room::full_cache(lab, row, room::SOURCE),
        class: "no-space",
        cause: "make room",
        ..HOST
    },
    Row {
        name: "host::full_in_series",
        about: "the cache's disk is full while patches are applied",
        by: |lab, row| room::full_cache(lab, row, room::SERIES),
        class: "no-space",
        cause: "make room",
        ..HOST
    },
    Row {
        name: "host::full_in_build",
        about: "the cache's disk is full while the kernel is built",
        by: |lab, row| room::full_cache(lab, row, room::BUILD),
        class: "no-space",
        cause: "make room",
        ..HOST
    },
    Row {
        name: "host::full_in_memfd_test",
        about: "the disk of target/guest is full while memfd_test is compiled",
        by: room::full_guest,
        class: "no-space",
        cause: "memfd_test",
        ..HOST
    },
    Row {
        name: "host::full_in_results",
        about: "the disk of the results is full while the guest runs",
        by: room::full_results,
        class: "no-space",
        cause: "make room",
        ..HOST
    },
    Row {
        name: "host::readonly_cache",
        about: "the cache is on a read-only file system",
        by: room::readonly_cache,
        class: "cache",
        cause: "set XDG_CACHE_HOME",
        ..HOST
    },
    Row {
        name: "host::readonly_results",
        about: "the results' folder is on a read-only file system: said before a kernel is built",
        by: room::readonly_results,
        class: "cache",
        cause: "make it writable",
        ..HOST
    },
];
