// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The model of `model/spec.rs` beside the kernel. `memfd-seals model` does more of the same.

use crate::case::*;
use crate::child::{counts, say, wrong};
use crate::deviations::Table;
use crate::kind::Kind;
use crate::model::cli::{SEED, STEPS as WALK_STEPS, WALKS, all_seals, features};
use crate::model::hunt::Hunt;
use crate::model::product::{self, Extent};
use crate::model::state::DENY_WRITE;
use crate::model::{sequences, walks};
use crate::sys::seal;
use crate::world::{World, fresh};

/// Each combination of the seals that forbid writing; with each of the four others.
const EACH_COMBINATION: &[u32] = &[
    0,
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::WRITE | seal::FUTURE_WRITE,
    seal::FS_WRITE,
    seal::FS_WRITE | seal::WRITE,
    seal::FS_WRITE | seal::FUTURE_WRITE,
    seal::FS_WRITE | seal::WRITE | seal::FUTURE_WRITE,
];

/// A row that gives the number of sequences in which the kernel disagrees.
const MODEL: Case = Case {
    rules: &[3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 19, 20, 21, 22, 24],
    under: &[0, seal::FS_WRITE],
    setup: fresh,
    expect: Returns(0),
    starved: Starved::Untried("thousands of operations on thousands of files"),
    hollow: Deviation::Fails("nothing enforces the seal, and the model says that it is enforced"),
    ..CASE
};

pub const CASES: &[Case] = &[
    Case {
        name: "product",
        about: "each operation, through each descriptor, beside each mapping, under each set of seals, does what the model says",
        under: EACH_COMBINATION,
        op: |f| {
            let (kind, seals) = (f.given.kind, f.given.seals);
            // Each other seal is there or not.
            let sets = product::SEALS.filter(move |set| set & DENY_WRITE == seals);
            hunted(f, |hunt| {
                product::branches(kind, sets, hunt.all_seals, Extent::Pairs)
                    .try_for_each(|branch| hunt.branch(&branch))
            })
        },
        ..MODEL
    },
    Case {
        name: "sequences",
        about: "every sequence of three operations does what the model says",
        // Each begins with a fresh file: of huge pages that are cleared, too many.
        on: &[Kind::Shmem, Kind::Noexec, Kind::Hugetlb],
        op: |f| {
            let (kind, sealed) = (f.given.kind, is_sealed(f));
            hunted(f, |hunt| {
                sequences::branches(kind, 3, sealed).try_for_each(|branch| hunt.branch(&branch))
            })
        },
        ..MODEL
    },
    Case {
        name: "walks",
        about: "long sequences of operations by chance do what the model says",
        op: |f| {
            let (kind, sealed) = (f.given.kind, is_sealed(f));
            let count = if kind.is_huge() { WALKS / 5 } else { WALKS };
            say(&format!("{count} walks from seed {SEED}"));
            hunted(f, |hunt| {
                (SEED..SEED + count)
                    .try_for_each(|seed| walks::walk(hunt, kind, sealed, WALK_STEPS, seed))
            })
        },
        ..MODEL
    },
];

fn is_sealed(f: &World) -> bool {
    f.given.seals & seal::FS_WRITE != 0
}

/// The number of disagreements, of which the first is told in full.
fn hunted(f: &World, work: impl FnOnce(&mut Hunt) -> Result<(), String>) -> Got {
    let table = Table::own().unwrap_or_else(|why| panic!("{why}"));
    let hunt = Hunt::new(all_seals(), features(), &table);
    let mut hunt = hunt.unwrap_or_else(|why| panic!("{why}"));
    work(&mut hunt).unwrap_or_else(|why| panic!("{}: {why}", f.given.kind.suffix()));
    let tally = hunt.tally;
    say(&tally.line());
    counts(tally.checks);
    if tally.checks == 0 {
        panic!("nothing was checked");
    }
    if let Some(first) = tally.first {
        let (what, program) = first.split_once('\n').unwrap_or((&first, ""));
        program.lines().for_each(say);
        wrong(format!("{} disagreements, the first: {what}", tally.disagreements));
    }
    Ok(tally.disagreements as i64)
}
