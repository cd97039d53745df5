// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! How much the model's checks are of.

use memfd_seals::model::product::{DOORS, Extent, KINDS, MAPPED, OPS, SEALS, branches, ways};
use memfd_seals::model::sequences::{self, ALPHABET};
use memfd_seals::model::state::Op;
use std::collections::{BTreeMap, HashSet};
use std::process::Command;

const ALL: u32 = 0x7f;

/// The pairs of values of different axes (kind, seals, descriptor, mapping, operation), as places in a
/// table of all.
fn pairs(values: [usize; 5]) -> impl Iterator<Item = usize> {
    let sizes = [KINDS.len(), SEALS.len(), DOORS.len(), MAPPED.len(), OPS.len()];
    let all: usize = sizes.iter().sum();
    // Every value of every axis in one row.
    let place = move |axis: usize| sizes[..axis].iter().sum::<usize>() + values[axis];
    (0..5).flat_map(move |a| (a + 1..5).map(move |b| place(a) * all + place(b)))
}

/// All checks of an extent, by the indices of their values.
fn checked(extent: Extent) -> impl Iterator<Item = [usize; 5]> {
    KINDS.into_iter().enumerate().flat_map(move |(at, kind)| {
        let ways =
            SEALS.flat_map(move |seals| ways(kind, seals, extent).map(move |way| (seals, way)));
        let branches = branches(kind, SEALS, ALL, extent);
        ways.zip(branches).flat_map(move |((seals, (door, mapped)), branch)| {
            let (_, ops) = branch.checks(ALL).expect("the model takes each prefix");
            let number = |op: Op| OPS.iter().position(|other| *other == op).expect("of the list");
            let checks: Vec<_> =
                ops.map(|op| [at, seals as usize, door, mapped, number(op)]).collect();
            checks
        })
    })
}

#[test]
fn the_default_meets_every_pair_of_values_that_the_product_meets() {
    let mut count = 0;
    let mut met = vec![false; 1 << 16];
    for values in checked(Extent::Pairs) {
        count += 1;
        pairs(values).for_each(|pair| met[pair] = true);
    }
    assert!(count >= 50_000, "{count} checks");
    let missing = checked(Extent::Full).find(|values| pairs(*values).any(|pair| !met[pair]));
    assert_eq!(missing, None);
}

/// A mapping that comes only with some seal says nothing of those without.
#[test]
fn on_each_kind_each_mapping_is_met_with_each_seal_and_without() {
    for kind in KINDS {
        let mut met = HashSet::new();
        for seals in SEALS {
            for (_, mapped) in ways(kind, seals, Extent::Pairs) {
                met.extend((0..7).map(|bit| (bit, seals >> bit & 1, mapped)));
            }
        }
        assert_eq!(met.len(), 7 * 2 * MAPPED.len(), "{kind:?}");
    }
}

#[test]
fn the_product_is_whole() {
    let ways: usize =
        SEALS.map(|seals| ways(KINDS[0], seals, Extent::Full).collect::<HashSet<_>>().len()).sum();
    assert_eq!(ways, 128 * DOORS.len() * MAPPED.len());
}

#[test]
fn sequences_are_all_of_their_alphabet_and_each_once() {
    assert!(ALPHABET.len() <= 25);
    let mut seen = HashSet::new();
    for sealed in [false, true] {
        for branch in sequences::branches(KINDS[0], 3, sealed) {
            for &last in branch.last {
                assert!(seen.insert([branch.prefix[0], branch.prefix[1], last]));
            }
        }
    }
    assert_eq!(seen.len(), ALPHABET.len().pow(3));
}

/// `memfd-seals model --list` with these words: how often each line comes.
fn listed(words: &[&str]) -> BTreeMap<String, usize> {
    let out = Command::new(env!("CARGO_BIN_EXE_memfd-seals"))
        .args(["model", "--list", "--require-seal"])
        .args(words)
        .output()
        .expect("the suite runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut lines = BTreeMap::new();
    for line in String::from_utf8(out.stdout).expect("text").lines() {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

#[test]
fn four_shards_are_the_whole_and_no_more() {
    let mut together: BTreeMap<String, usize> = BTreeMap::new();
    let mut sizes = Vec::new();
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let part = listed(&["--kind", "shmem", "--kind", "hugetlb", "--shard", shard]);
        sizes.push(part.values().sum::<usize>());
        part.into_iter().for_each(|(line, count)| *together.entry(line).or_default() += count);
    }
    assert_eq!(together, listed(&["--kind", "shmem", "--kind", "hugetlb"]));
    assert!(sizes.iter().all(|size| *size > 15_000), "{sizes:?}");
}
