// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Whole programs: the mail's, and the kernel's own memfd_test.

use crate::case::*;
use crate::child::wrong;
use crate::kind::Kind;
use crate::need::{Need, Probe, probe_seal};
use crate::world::fresh;
use crate::{compare, replay};
use std::process::Command;

pub const CASES: &[Case] = &[
    // Its two rows share a System V semaphore: they stand apart, so as not to run at once.
    Case {
        name: "memfd_test",
        about: "the kernel's own memfd_test passes on shmem",
        on: OWN,
        needs: &[Need::MemfdTest],
        setup: program,
        op: |_| memfd_test(&[]),
        expect: Returns(0),
        ..CONTROL
    },
    Case {
        name: "replay",
        about: "the mail's program prints the mail's nine lines and exits with 0",
        rules: &[8],
        on: OWN,
        setup: program,
        op: |_| {
            let (text, code) = run_replay();
            text.lines().for_each(crate::child::say);
            if text != replay::TRANSCRIPT {
                wrong(format!("not the mail's nine lines, but:\n{text}"));
            }
            Ok(code)
        },
        expect: Returns(0),
        hollow: Deviation::Fails("the seal is taken and the write passes"),
        ..CASE
    },
    Case {
        name: "compare",
        about: "what the seal adds over the older ones is what the cover letter's table says",
        on: OWN,
        setup: program,
        op: |_| {
            let table = compare::table().expect("memfds");
            if table != compare::TABLE {
                wrong(format!("the table is now:\n{table}"));
            }
            Ok(0)
        },
        expect: Returns(0),
        hollow: Deviation::Fails("the column of FS_WRITE refuses nothing"),
        ..CASE
    },
    Case {
        name: "replay_is_honest",
        about: "the mail's program exits with 1 exactly where probing finds no seal",
        on: OWN,
        setup: program,
        op: |_| {
            let absent = probe_seal() != Probe::Present;
            let (text, code) = run_replay();
            if (text != replay::TRANSCRIPT) != absent {
                wrong(format!("it printed:\n{text}"));
            }
            Ok(code - i64::from(absent))
        },
        expect: Returns(0),
        ..CONTROL
    },
    Case {
        name: "memfd_test_hugetlbfs",
        about: "the kernel's own memfd_test passes on hugetlbfs",
        on: OWN,
        needs: &[Need::MemfdTest],
        setup: |given| match crate::need::kind_missing(Kind::Hugetlb) {
            None => program(given),
            Some(reason) => Err(reason),
        },
        op: |_| memfd_test(&["hugetlbfs"]),
        expect: Returns(0),
        ..CONTROL
    },
];

/// A program makes its own files; this world is only there to be the row's.
pub(super) fn program(_: Given) -> Setup {
    fresh(Given::of(Kind::Shmem))
}

/// What `memfd-seals replay` prints, and its exit code.
fn run_replay() -> (String, i64) {
    let out = Command::new("/proc/self/exe").arg("replay").output().expect("replay");
    let code = out.status.code().expect("an exit code");
    (String::from_utf8(out.stdout).expect("text"), code.into())
}

fn memfd_test(args: &[&str]) -> Got {
    let out = Command::new("/memfd_test").args(args).output().expect("/memfd_test");
    let text = String::from_utf8_lossy(&out.stdout);
    let last = text.lines().last().unwrap_or("nothing");
    if !out.status.success() || last != "memfd: DONE" {
        wrong(format!("{}; it said last: {last}", out.status));
    }
    Ok(0)
}
