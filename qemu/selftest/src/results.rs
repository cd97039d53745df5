// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A fake QEMU that replays a recorded run of all tests, right in everything but one.

use crate::fake::{Fake, written};
use crate::row::{Qemu, ROW, Row};
use memfd_seals::events::{Event, Outcome};

/// A replay that passes. Nothing is executed: what KVM does is no part of these rows.
const REPLAY: Row = Row { env: &[("KVM", "off")], within: 10, ..ROW };
/// A row about results that contradict something.
const CORRUPT: Row = Row { class: "corrupt", ..REPLAY };
/// A row about results that are not all there.
const CUT: Row = Row { class: "truncated", ..REPLAY };

pub const ROWS: &[Row] = &[
    Row {
        name: "results::replayed",
        about: "nothing is changed: the recording itself is good",
        qemu: Qemu::Lies(|_| {}),
        ..REPLAY
    },
    Row {
        name: "results::split",
        about: "events come in pieces of 31 bytes",
        qemu: Qemu::Fake(in_pieces),
        ..REPLAY
    },
    Row {
        name: "results::doubled",
        about: "a result is reported twice",
        qemu: Qemu::Lies(|events| {
            let at = nth(events, 100);
            events.insert(at, events[at].clone());
        }),
        cause: "is reported twice",
        ..CORRUPT
    },
    Row {
        name: "results::run_twice",
        about: "a test's events are all there twice",
        qemu: Qemu::Lies(|events| {
            let (from, to) = (nth(events, 99) + 1, nth(events, 100) + 1);
            let again = events[from..to].to_vec();
            events.splice(to..to, again);
        }),
        cause: "is reported twice",
        ..CORRUPT
    },
    Row {
        name: "results::missing",
        about: "a test has no result",
        qemu: Qemu::Lies(|events| drop(events.remove(nth(events, 100)))),
        cause: "has no result",
        ..CUT
    },
    Row {
        name: "results::missing_at_the_end",
        about: "the last test has no result",
        qemu: Qemu::Lies(|events| {
            let last = events.iter().rposition(|event| matches!(event, Event::Result { .. }));
            drop(events.remove(last.unwrap_or(0)));
        }),
        cause: "the guarantees came before",
        ..CUT
    },
    Row {
        name: "results::no_guarantees",
        about: "the guest does not say what it guarantees",
        qemu: Qemu::Lies(|events| events.retain(|e| !matches!(e, Event::Guarantees(_)))),
        cause: "done came before the guarantees",
        ..CUT
    },
    Row {
        name: "results::other_guarantees",
        about: "the guest says what it guarantees of calls that nobody asked for",
        qemu: Qemu::Lies(|events| {
            if let Some(Event::Guarantees(said)) = events.last_mut() {
                said.shmem.iter_mut().for_each(|grid| grid.lines.reverse());
            }
        }),
        cause: "of other calls or seals",
        ..CORRUPT
    },
    Row {
        name: "results::unknown",
        about: "a test that nobody planned is reported",
        qemu: Qemu::Lies(|events| {
            let at = nth(events, 100) + 1;
            let test = String::from("writing::nobody_knows_it");
            let start = Event::Start { test: test.clone() };
            let result = Event::Result { test, outcome: Outcome::Pass, ms: 1, why: String::new() };
            events.splice(at..at, [start, result]);
        }),
        cause: "writing::nobody_knows_it was not planned",
        ..CORRUPT
    },
    Row {
        name: "results::reordered",
        about: "two tests are reported in the other order",
        qemu: Qemu::Lies(|events| {
            let (a, b, c) = (nth(events, 99) + 1, nth(events, 100) + 1, nth(events, 101) + 1);
            events[a..c].rotate_left(b - a);
        }),
        cause: "out of order",
        ..CORRUPT
    },
    Row {
        name: "results::empty_plan",
        about: "the guest plans nothing, and does so well",
        qemu: Qemu::Lies(|events| {
            events.truncate(1);
            events.push(Event::Plan { tests: Vec::new() });
        }),
        class: "no-plan",
        cause: "the plan is empty",
        ..CORRUPT
    },
    Row {
        name: "results::short_plan",
        about: "the guest plans, runs and reports all tests but one",
        qemu: Qemu::Lies(|events| {
            let (from, to) = (nth(events, 99) + 1, nth(events, 100) + 1);
            events.drain(from..to);
            plan(events).remove(100);
        }),
        cause: "the plan lacks",
        ..CORRUPT
    },
    Row {
        name: "results::all_skipped",
        about: "every test is skipped, with a reason",
        qemu: Qemu::Lies(|events| {
            for event in events {
                if let Event::Result { outcome, why, .. } = event {
                    (*outcome, *why) = (Outcome::Skip, "not today".into());
                }
            }
        }),
        class: "fail",
        cause: "pass predicted, skip seen",
        ..CORRUPT
    },
    Row {
        name: "results::one_failed",
        about: "one test failed",
        qemu: Qemu::Lies(|events| {
            let at = nth(events, 100);
            if let Event::Result { outcome, why, .. } = &mut events[at] {
                (*outcome, *why) = (Outcome::Fail, "expected EPERM, got 1".into());
            }
        }),
        class: "fail",
        cause: "pass predicted, fail seen",
        ..CORRUPT
    },
    Row {
        name: "results::stale",
        about: "the results of an earlier run come once more",
        qemu: Qemu::Fake(|fake| {
            let stale = fake.stale();
            fake.replay(&stale)
        }),
        class: "wrong-kernel",
        cause: "the results are of another boot",
        ..CORRUPT
    },
    Row {
        name: "results::other_kernel",
        about: "the results are this boot's, but name another kernel",
        qemu: Qemu::Lies(|events| {
            if let Some(Event::Hello { salt, .. }) = events.first_mut() {
                *salt = "0123456789abcdef0123456789abcdef".into();
            }
        }),
        class: "wrong-kernel",
        cause: "another kernel ran",
        ..CORRUPT
    },
    Row {
        name: "results::cut_in_a_line",
        about: "the results end in the middle of a line",
        qemu: Qemu::Damages(|mut bytes| {
            let line = bytes.iter().position(|b| *b == b'\n').unwrap_or(0);
            bytes.truncate((line + bytes.len()) / 2);
            while bytes.pop() != Some(b'"') {}
            bytes
        }),
        cause: "cut short after",
        ..CUT
    },
    Row {
        name: "results::cut_in_done",
        about: "the results end in the middle of their last line",
        qemu: Qemu::Damages(|mut bytes| {
            bytes.truncate(bytes.len() - 20);
            bytes
        }),
        cause: "cut short after",
        ..CUT
    },
    Row {
        name: "results::no_done",
        about: "all results are there, but not the last line",
        qemu: Qemu::Damages(|mut bytes| {
            bytes.pop();
            while bytes.last() != Some(&b'\n') {
                bytes.pop();
            }
            bytes
        }),
        cause: "no done event",
        ..CUT
    },
    Row {
        name: "results::kernel_text_between",
        about: "a line of the kernel's stands among the results",
        qemu: Qemu::Damages(|bytes| {
            insert(bytes, 50, 0, b"[    1.234567] random: crng init done\r\n")
        }),
        cause: "results line 51: ",
        ..CORRUPT
    },
    Row {
        name: "results::kernel_text_within",
        about: "a line of the kernel's stands within a result's",
        qemu: Qemu::Damages(|bytes| {
            insert(bytes, 50, 9, b"[    1.234567] random: crng init done\r\n")
        }),
        cause: "results line 51: ",
        ..CORRUPT
    },
    Row {
        name: "results::more_after_done",
        about: "bytes follow the last line",
        qemu: Qemu::Damages(|mut bytes| {
            bytes.extend(b"\n");
            bytes
        }),
        cause: "bytes follow the done event",
        ..CORRUPT
    },
    Row {
        name: "results::forged_hash",
        about: "a result was changed on its way",
        qemu: Qemu::Damages(|bytes| {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            text.replacen("\"ms\":", "\"ms\":1", 1).into_bytes()
        }),
        cause: "done's hash",
        ..CORRUPT
    },
    Row {
        name: "results::none",
        about: "the console is good, and not a byte of results comes",
        qemu: Qemu::Fake(|fake| fake.replay(b"")),
        class: "no-plan",
        cause: "the guest never said hello",
        ..CORRUPT
    },
    Row {
        name: "results::warning_beside",
        about: "the results are good, and the console has a warning",
        qemu: Qemu::Fake(|fake| {
            fake.console(b"[    0.9] WARNING: mm/shmem.c:123 at shmem_add_seals+0x1/0x2\r\n");
            let events = written(&fake.recorded());
            fake.replay(&events)
        }),
        class: "splat",
        cause: "WARNING: mm/shmem.c:123",
        ..CORRUPT
    },
    Row {
        name: "results::qemu_fails",
        about: "the results are good, and QEMU exits with 1",
        qemu: Qemu::Fake(|fake| {
            let events = written(&fake.recorded());
            fake.replay(&events) + 1
        }),
        class: "qemu",
        cause: "QEMU ended with status 1",
        ..CORRUPT
    },
    Row {
        name: "results::qemu_stays",
        about: "the results are good, and QEMU does not end",
        qemu: Qemu::Fake(|fake| {
            let events = written(&fake.recorded());
            fake.replay(&events);
            fake.stay()
        }),
        class: "hang",
        cause: "did not end within",
        within: 25,
        ..CORRUPT
    },
    Row {
        name: "results::mute",
        about: "QEMU runs, and not a byte comes",
        qemu: Qemu::Fake(|fake| fake.stay()),
        class: "hang",
        cause: "not a byte from the guest",
        within: 40,
        ..CORRUPT
    },
];

/// The place of a result's event, by the number of results before it.
fn nth(events: &[Event], n: usize) -> usize {
    let mut results = events.iter().enumerate().filter(|(_, e)| matches!(e, Event::Result { .. }));
    results.nth(n).map_or(0, |(at, _)| at)
}

fn plan(events: &mut [Event]) -> &mut Vec<String> {
    match &mut events[1] {
        Event::Plan { tests } => tests,
        other => panic!("the recording's second event is {other:?}"),
    }
}

/// Puts `text` into a stream, `within` bytes behind the start of a line.
fn insert(bytes: Vec<u8>, line: usize, within: usize, text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
    let at = lines[..line].iter().map(|line| line.len()).sum::<usize>() + within;
    [&bytes[..at], text, &bytes[at..]].concat()
}

fn in_pieces(fake: &mut Fake) -> u8 {
    for piece in written(&fake.recorded()).chunks(31) {
        fake.events(piece);
        // So that the reader gets hold of it before the next one comes.
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    fake.replay(b"")
}
