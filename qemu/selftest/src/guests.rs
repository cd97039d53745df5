// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Real guests: kernels that break, and an /init that is not what it should be.

use crate::lab::{Lab, tell};
use crate::row::{Init, On, Qemu, ROW, Row};
use std::fs;
use std::path::PathBuf;

/// A row about the first instructions of a kernel, which need the CPU that TCG emulates.
const EARLY: Row = Row { env: &[("KVM", "off")], within: 40, ..ROW };
/// A row on the debug kernel, which has LKDTM.
const DEBUG: Row = Row { on: On::Debug, class: "splat", within: 60, ..ROW };

pub const ROWS: &[Row] = &[
    Row { name: "guests::whole", about: "nothing is broken", ..ROW },
    Row {
        name: "guests::one_cpu",
        about: "nothing is broken, with one CPU",
        env: &[("CPUS", "1")],
        ..ROW
    },
    Row {
        name: "guests::debug",
        about: "nothing is broken on the debug kernel: what the next rows break was whole",
        class: "pass",
        ..DEBUG
    },
    Row {
        name: "guests::panic",
        about: "the kernel panics while a test runs",
        init: Init::Saboteur("start lkdtm PANIC"),
        class: "panic",
        cause: "Kernel panic - not syncing: dumptest",
        ..DEBUG
    },
    Row {
        name: "guests::early_panic",
        about: "the kernel panics before its console is there, but for the early one",
        qemu: Qemu::Edited(|args| append(args, "mem=4M ")),
        class: "panic",
        cause: "Kernel panic - not syncing",
        ..EARLY
    },
    Row {
        name: "guests::mute_panic",
        about: "the kernel panics before its console is there, and has no early one",
        qemu: Qemu::Edited(|args| {
            append(args, "mem=4M ");
            replace(args, "earlycon=uart8250,io,0x3f8 ", "");
        }),
        class: "hang",
        cause: "not a byte from the guest",
        ..EARLY
    },
    Row {
        name: "guests::dead_cpu",
        about: "the CPU can't run the kernel's first instructions",
        qemu: Qemu::Edited(|args| replace(args, "max,", "qemu32,")),
        class: "no-plan",
        cause: "the guest never said hello",
        ..EARLY
    },
    Row {
        name: "guests::oops",
        about: "a process that runs beside a test oopses",
        init: Init::Saboteur("start lkdtm EXCEPTION"),
        cause: "Oops: ",
        ..DEBUG
    },
    Row {
        name: "guests::bug",
        about: "BUG() in the kernel",
        init: Init::Saboteur("start lkdtm BUG"),
        cause: "kernel BUG at drivers/misc/lkdtm/bugs.c",
        ..DEBUG
    },
    Row {
        name: "guests::warning",
        about: "WARN() in the kernel, once all tests have passed",
        init: Init::Saboteur("done lkdtm WARNING"),
        cause: "WARNING: drivers/misc/lkdtm/bugs.c",
        ..DEBUG
    },
    Row {
        name: "guests::kasan",
        about: "the kernel writes to memory that it has freed",
        init: Init::Saboteur("start lkdtm WRITE_AFTER_FREE"),
        cause: "BUG: KASAN: ",
        ..DEBUG
    },
    Row {
        name: "guests::ubsan",
        about: "the kernel reads beyond an array",
        init: Init::Saboteur("start lkdtm ARRAY_BOUNDS"),
        cause: "UBSAN: array-index-out-of-bounds",
        ..DEBUG
    },
    Row {
        name: "guests::list",
        about: "the kernel links into a list that is corrupt",
        init: Init::Saboteur("start lkdtm CORRUPT_LIST_ADD"),
        cause: "list_add corruption",
        ..DEBUG
    },
    Row {
        name: "guests::refcount",
        about: "a reference count goes below zero",
        init: Init::Saboteur("start lkdtm REFCOUNT_DEC_NEGATIVE"),
        cause: "refcount_t: ",
        ..DEBUG
    },
    Row {
        name: "guests::lockdep",
        about: "a process goes back to user space with a spinlock held",
        init: Init::Saboteur("start lkdtm SPINLOCKUP"),
        // The scheduler may come first with its own complaint.
        cause: "console line",
        shows: "WARNING: lock held when returning to user space",
        ..DEBUG
    },
    Row {
        name: "guests::rcu_stall",
        about: "one CPU turns in circles and lets nothing else run: RCU waits for it",
        init: Init::Saboteur("start stall SOFTLOCKUP"),
        cause: "rcu: INFO: rcu_",
        ..DEBUG
    },
    Row {
        name: "guests::tainted",
        about: "the kernel has a mark that it did not say a word of",
        init: Init::Saboteur("plan taint"),
        class: "splat",
        cause: "the kernel is tainted (64), without a splat",
        ..ROW
    },
    Row {
        name: "guests::asleep",
        about: "/init says hello, and then nothing",
        init: Init::Saboteur("hello sleep"),
        class: "hang",
        cause: "no event for",
        within: 90,
        ..ROW
    },
    Row {
        name: "guests::asleep_before_hello",
        about: "/init says nothing at all",
        init: Init::Saboteur("boot sleep"),
        class: "hang",
        cause: "no event, and not a word for",
        within: 90,
        ..ROW
    },
    Row {
        name: "guests::asleep_at_the_end",
        about: "/init does not end the machine",
        init: Init::Saboteur("done sleep"),
        class: "hang",
        cause: "did not end within",
        within: 30,
        ..ROW
    },
    Row {
        name: "guests::test_hangs",
        about: "one test stops, and the others go on",
        init: Init::Saboteur("hello hang"),
        env: &[("FILTER", "mapping")],
        class: "fail",
        cause: "pass predicted, timeout seen",
        within: 40,
        ..ROW
    },
    Row {
        name: "guests::init_exits",
        about: "/init exits while the suite runs",
        init: Init::Saboteur("result exit"),
        class: "panic",
        cause: "Attempted to kill init! exitcode=0x00000100",
        ..ROW
    },
    Row {
        name: "guests::init_crashes",
        about: "/init is killed by a fault of its own",
        init: Init::Saboteur("result crash"),
        class: "panic",
        cause: "Attempted to kill init! exitcode=0x0000000",
        ..ROW
    },
    Row {
        name: "guests::init_only_exits",
        about: "/init is a program that exits at once",
        init: Init::Saboteur("boot exit"),
        class: "panic",
        cause: "Attempted to kill init!",
        ..ROW
    },
    Row {
        name: "guests::init_only_reboots",
        about: "/init is a program that ends the machine at once",
        init: Init::Saboteur("boot end"),
        class: "no-plan",
        cause: "the guest never said hello",
        ..ROW
    },
    Row {
        name: "guests::init_is_dynamic",
        about: "/init needs a loader that the guest lacks",
        init: Init::Other(|_| Ok("/bin/sh".into())),
        class: "build",
        cause: "is linked dynamically",
        ..ROW
    },
    Row {
        name: "guests::init_is_text",
        about: "/init is no program",
        init: Init::Other(text),
        class: "build",
        cause: "is not a 64-bit ELF file",
        ..ROW
    },
    Row {
        name: "guests::init_is_absent",
        about: "INIT= names no file",
        init: Init::Other(|_| Ok("/no/such/init".into())),
        class: "build",
        cause: "/no/such/init: No such file",
        ..ROW
    },
    Row {
        name: "guests::suite_killed",
        about: "the suite is killed, and /init ends the machine in good order",
        init: Init::Saboteur("result kill"),
        class: "truncated",
        cause: "started",
        ..ROW
    },
    Row {
        name: "guests::cut",
        about: "the machine ends in the middle of a result's line",
        init: Init::Saboteur("result cut"),
        class: "truncated",
        cause: "cut short after",
        ..ROW
    },
    Row {
        name: "guests::stale_kernel",
        about: "another kernel is booted than the one that was built",
        // The debug kernel has to be there, and is not asked for.
        env: &[("CONFIG", "")],
        qemu: Qemu::Fake(|fake| {
            let debug = fake.vmlinux(On::Debug);
            fake.set("-kernel", &debug.to_string_lossy());
            fake.set("-m", "512M");
            fake.become_true()
        }),
        class: "wrong-kernel",
        cause: "another kernel ran",
        ..DEBUG
    },
];

fn text(lab: &Lab) -> Result<PathBuf, String> {
    let path = lab.path.join("text");
    tell(&path, fs::write(&path, "#!/bin/sh\nexit 0\n"))?;
    Ok(path)
}

/// Puts words in front of the kernel's command line.
fn append(args: &mut [String], words: &str) {
    if let Some(at) = args.iter().position(|arg| arg == "-append") {
        args[at + 1].insert_str(0, words);
    }
}

fn replace(args: &mut [String], from: &str, to: &str) {
    args.iter_mut().for_each(|arg| *arg = arg.replace(from, to));
}
