// SPDX-License-Identifier: GPL-2.0-only OR MIT
use super::*;
use crate::series::Manner;
use crate::series::tests::{SHMEM, World};
use std::os::unix::fs::MetadataExt;

fn ino(path: &Path) -> u64 {
    path.metadata().unwrap().ino()
}

fn sync_to(world: &World, applied: &Applied) -> WorkTree {
    sync(&world.cache, "work-w", &world.base, applied, &mut Ui::new()).unwrap()
}

#[test]
fn only_what_differs_is_rewritten_and_the_pristine_tree_never() {
    let world = World::new();
    let changed = SHMEM.replace("four", "FOUR");
    let one = world.series("one", &[("mm/shmem.c", &changed), ("mm/new.c", "new\n")]);
    let one = one.apply(&world.cache, &world.base, Manner::Strict).unwrap();
    let two = world.series("two", &[("mm/shmem.c", &changed), ("mm/memfd.c", "other\n")]);
    let two = two.apply(&world.cache, &world.base, Manner::Strict).unwrap();

    let work = sync_to(&world, &one);
    assert_eq!(work.rewritten, None);
    let at = |path: &str| work.source.join(path);
    assert_eq!(std::fs::read_to_string(at("mm/shmem.c")).unwrap(), changed);
    assert_eq!(ino(&at("Makefile")), ino(&world.base.tree.join("Makefile")));
    let shmem = ino(&at("mm/shmem.c"));

    assert_eq!(sync_to(&world, &one).rewritten, Some(0));
    assert_eq!(sync_to(&world, &two).rewritten, Some(2));
    assert_eq!(ino(&at("mm/shmem.c")), shmem);
    assert_eq!(std::fs::read_to_string(at("mm/memfd.c")).unwrap(), "other\n");
    assert!(!at("mm/new.c").exists());

    assert_eq!(sync_to(&world, &Applied::default()).rewritten, Some(2));
    assert_eq!(std::fs::read_to_string(at("mm/shmem.c")).unwrap(), SHMEM);
    // A copy, not the old link: make must see that it is newer than the object.
    assert_ne!(ino(&at("mm/shmem.c")), ino(&world.base.tree.join("mm/shmem.c")));
    assert_eq!(std::fs::read_to_string(world.base.tree.join("mm/shmem.c")).unwrap(), SHMEM);
}

#[test]
fn a_run_that_was_killed_between_files_is_mended() {
    let world = World::new();
    let series = world.series("s", &[("mm/memfd.c", "other\n")]);
    let applied = series.apply(&world.cache, &world.base, Manner::Strict).unwrap();
    let work = sync_to(&world, &applied);
    let mut stamp: Stamp = read_stamp(&work.dir.join("tree.json")).unwrap();
    stamp.pending.insert("mm/shmem.c".into());
    write_stamp(&work.dir.join("tree.json"), &stamp).unwrap();
    files::write(&work.source.join("mm/shmem.c"), b"half").unwrap();
    assert_eq!(sync_to(&world, &applied).rewritten, Some(1));
    assert_eq!(std::fs::read_to_string(work.source.join("mm/shmem.c")).unwrap(), SHMEM);
}

#[test]
fn another_base_or_a_lost_stamp_is_a_new_tree() {
    let mut world = World::new();
    let work = sync_to(&world, &Applied::default());
    files::write(&work.build.join("stale.o"), b"").unwrap();
    world.base.id = "base 2".into();
    assert_eq!(sync_to(&world, &Applied::default()).rewritten, None);
    assert!(!work.build.join("stale.o").exists());
    files::remove(&work.dir.join("tree.json")).unwrap();
    assert_eq!(sync_to(&world, &Applied::default()).rewritten, None);
}
