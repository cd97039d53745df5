// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What is refused before a kernel is looked for: clear words, in no time. `make test` runs these.

use crate::row::{On, Qemu, ROW, Row};

/// A row about a variable's value.
const USAGE: Row = Row { on: On::Nothing, class: "usage", within: 3, ..ROW };
/// A row about QEMU itself.
const QEMU: Row = Row { class: "qemu", ..USAGE };

pub const ROWS: &[Row] = &[
    Row {
        name: "refusals::qemu_absent",
        about: "there is no QEMU",
        qemu: Qemu::Path("/no/such/qemu-system-x86_64"),
        cause: "/no/such/qemu-system-x86_64: not found: install qemu-system-x86",
        ..QEMU
    },
    Row {
        name: "refusals::qemu_too_old",
        about: "QEMU is older than its microvm can be used",
        qemu: Qemu::Version("QEMU emulator version 4.2.1 (Debian 1:4.2-3ubuntu6.29)"),
        cause: "version 4.2.1 is too old: 5.2 is the least",
        ..QEMU
    },
    Row {
        name: "refusals::qemu_without_version",
        about: "QEMU= names a program that is no QEMU",
        qemu: Qemu::Version("hello"),
        cause: "says nothing that is a version",
        ..QEMU
    },
    Row {
        name: "refusals::too_little_memory",
        about: "the guest is to have less memory than the suite needs",
        env: &[("MEMORY", "64")],
        cause: "MEMORY=64 is too little: the suite needs ",
        ..USAGE
    },
    Row {
        name: "refusals::memory_in_words",
        about: "MEMORY= is no number",
        env: &[("MEMORY", "1G")],
        cause: "MEMORY=1G is no number of MiB",
        ..USAGE
    },
    Row {
        name: "refusals::no_cpu",
        about: "the guest is to have no CPU",
        env: &[("CPUS", "0")],
        cause: "CPUS=0 is no number of CPUs",
        ..USAGE
    },
    Row {
        name: "refusals::no_test",
        about: "FILTER= selects no test: nothing would run, and nothing could fail",
        env: &[("FILTER", "no_such_test")],
        cause: "FILTER=no_such_test selects no test",
        ..USAGE
    },
    Row {
        name: "refusals::no_config",
        about: "CONFIG= names nothing",
        env: &[("CONFIG", "no-such-config")],
        cause: "CONFIG=no-such-config: ",
        ..USAGE
    },
    Row {
        name: "refusals::no_series",
        about: "SERIES= names no folder",
        env: &[("SERIES", "/no/such/series")],
        cause: "SERIES=/no/such/series: ",
        ..USAGE
    },
];
