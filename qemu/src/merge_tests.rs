// SPDX-License-Identifier: GPL-2.0-only OR MIT
use super::*;
use crate::class::Step;
use crate::files;
use crate::gittree::GitTree;
use crate::series::tests::World;
use crate::series::{Applied, Manner, Series};

/// Forty numbered lines: hunks of two places far apart stay two.
fn shmem() -> String {
    (1..=40).map(|n| format!("line {n}\n")).collect()
}

/// A world whose series changes line 10 of mm/shmem.c, then line 30, and then mm/memfd.c.
fn world() -> (World, Series) {
    let world = World::new();
    files::write(&world.base.tree.join("mm/shmem.c"), shmem().as_bytes()).unwrap();
    let one = shmem().replace("line 10\n", "line ten\n");
    let two = one.replace("line 30\n", "line thirty\nand more\n");
    let series =
        world.series("s", &[("mm/shmem.c", &one), ("mm/shmem.c", &two), ("mm/memfd.c", "other\n")]);
    (world, series)
}

/// The base with another mm/shmem.c, as a maintainer's tree has it.
fn moved_on(world: &World, shmem: &str) -> Base {
    let tree = world.dir.path().join("theirs");
    for (path, text) in [("mm/shmem.c", shmem), ("mm/memfd.c", "memfd\n")] {
        files::mkdir(tree.join(path).parent().unwrap()).unwrap();
        files::write(&tree.join(path), text.as_bytes()).unwrap();
    }
    Base { id: format!("theirs {}", files::hash([shmem])), tree, ..world.base.clone() }
}

fn merged(world: &World, series: &Series, shmem: &str) -> Step<Applied> {
    let own = world.base.tree.clone();
    series.apply(&world.cache, &moved_on(world, shmem), Manner::Merge { own: Some(&own) })
}

fn stored(applied: &Applied, path: &str) -> String {
    let content = applied.files[path].as_ref().unwrap();
    std::fs::read_to_string(applied.store.join(&content.blob)).unwrap()
}

const ONE: &str = "0001-s-change-mm-shmem.c.patch";
const TWO: &str = "0002-s-change-mm-shmem.c.patch";

#[test]
fn on_the_own_base_nothing_moves() {
    let (world, series) = world();
    assert!(merged(&world, &series, &shmem()).unwrap().moved.is_empty());
}

#[test]
fn an_offset_is_told_in_either_manner() {
    let (world, series) = world();
    let text = format!("new\nlines\n{}", shmem());
    let want = [
        format!("moved: {ONE}: mm/shmem.c @@ -7 -> @@ -9 (+2)"),
        format!("moved: {TWO}: mm/shmem.c @@ -27 -> @@ -29 (+2)"),
    ];
    let strict = series.apply(&world.cache, &moved_on(&world, &text), Manner::Strict).unwrap();
    assert_eq!(strict.moved, want);
    // Once more from the cache: what was kept says the same.
    let again = merged(&world, &series, &text).unwrap();
    assert!(again.unchanged && again.moved == want);
}

#[test]
fn another_context_is_merged_and_told_but_never_on_our_own_base() {
    let (world, series) = world();
    let text = format!("new\n{}", shmem().replace("line 12\n", "line twelve\n"));
    let strict = series.apply(&world.cache, &moved_on(&world, &text), Manner::Strict);
    assert_eq!(
        strict.unwrap_err().line,
        format!("{ONE} does not apply: mm/shmem.c, the hunk at line 7")
    );
    let applied = merged(&world, &series, &text).unwrap();
    assert_eq!(
        applied.moved,
        [
            format!("merged 3-way: {ONE}: mm/shmem.c @@ -7 -> @@ -8 (+1), its context differs"),
            format!("moved: {TWO}: mm/shmem.c @@ -27 -> @@ -28 (+1)"),
        ]
    );
    let both =
        text.replace("line 10\n", "line ten\n").replace("line 30\n", "line thirty\nand more\n");
    assert_eq!(stored(&applied, "mm/shmem.c"), both);
}

#[test]
fn a_conflict_names_patch_file_and_hunk() {
    let (world, series) = world();
    let text = shmem().replace("line 30\n", "line XXX\n");
    let refusal = merged(&world, &series, &text).unwrap_err();
    assert_eq!(refusal.class, Class::Series);
    assert_eq!(
        refusal.line,
        format!("{TWO} conflicts, plain and merged 3-way: mm/shmem.c, the hunk at line 27")
    );
}

#[test]
fn a_patch_that_was_merged_there_is_skipped_and_told() {
    let (world, series) = world();
    let text = format!("new\n{}", shmem().replace("line 10\n", "line ten\n"));
    let applied = merged(&world, &series, &text).unwrap();
    assert_eq!(
        applied.moved,
        [
            format!("already there: {ONE}"),
            format!("moved: {TWO}: mm/shmem.c @@ -27 -> @@ -28 (+1)"),
        ]
    );
    assert_eq!(
        stored(&applied, "mm/shmem.c"),
        text.replace("line 30\n", "line thirty\nand more\n")
    );
}

#[test]
fn lines_that_end_in_cr_lf_are_a_conflict_that_says_so() {
    let (world, series) = world();
    let refusal = merged(&world, &series, &shmem().replace('\n', "\r\n")).unwrap_err();
    assert_eq!(refusal.class, Class::Series);
    assert!(refusal.line.ends_with("mm/shmem.c has lines that end in CR LF"), "{refusal}");
}

#[test]
fn a_file_that_is_gone_is_named() {
    let (world, series) = world();
    let base = moved_on(&world, &shmem());
    files::remove(&base.tree.join("mm/memfd.c")).unwrap();
    let own = world.base.tree.clone();
    let refusal = series.apply(&world.cache, &base, Manner::Merge { own: Some(&own) }).unwrap_err();
    assert_eq!(
        refusal.line,
        "0003-s-change-mm-memfd.c.patch conflicts, plain and merged 3-way: mm/memfd.c is not there"
    );
}

#[test]
fn without_the_files_it_was_made_for_the_refusal_says_what_is_missing() {
    let (world, series) = world();
    let text = shmem().replace("line 12\n", "line twelve\n");
    let base = moved_on(&world, &text);
    let refusal = series.apply(&world.cache, &base, Manner::Merge { own: None }).unwrap_err();
    assert_eq!(refusal.class, Class::Series);
    assert!(refusal.line.starts_with(&format!("{ONE} does not apply: mm/shmem.c, ")), "{refusal}");
    assert!(refusal.line.contains("needs the base's mm/shmem.c (blob "), "{refusal}");
}

#[test]
fn the_users_own_objects_will_do() {
    let (world, series) = world();
    let text = shmem().replace("line 12\n", "line twelve\n");
    let base = moved_on(&world, &text);
    let history = Scratch { dir: world.dir.path().join("history") };
    history.begin(&world.base.tree, &["mm/shmem.c".to_owned()].into()).unwrap();
    let git = GitTree { git_dir: history.dir.join(".git"), tree: history.head().unwrap() };
    let base = Base { git: Some(git), ..base };
    let applied = series.apply(&world.cache, &base, Manner::Merge { own: None }).unwrap();
    assert_eq!(
        applied.moved,
        [format!("merged 3-way: {ONE}: mm/shmem.c @@ -7 -> @@ -7 (+0), its context differs")]
    );
}

#[test]
fn only_the_patchs_side_of_a_conflict_is_looked_at() {
    let text = "Title\n=======\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> x\nend\n";
    assert_eq!(sides(text), [["theirs"]]);
}
