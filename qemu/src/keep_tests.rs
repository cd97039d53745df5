// SPDX-License-Identifier: GPL-2.0-only OR MIT
use super::*;
use crate::arch::Arch;
use crate::fragment::Fragment;
use crate::series::Manner;
use crate::series::tests::{SHMEM, World};
use std::path::Path;

fn touch(path: &Path) {
    files::mkdir(path.parent().unwrap()).unwrap();
    files::write(path, b"").unwrap();
}

#[test]
fn clones_share_a_folder_of_one_content() {
    let world = World::new();
    let changed = SHMEM.replace("four", "FOUR");
    let series = world.series("s", &[("mm/shmem.c", &changed)]);
    let applied = series.apply(&world.cache, &world.base, Manner::Strict).unwrap();
    let fragment = |text: &str| Fragment { name: "default".into(), text: text.into() };
    let of =
        |text: &str| Identity::of(&world.base, &applied, &fragment(text), Arch::default()).unwrap();
    let choose = |applied: &Applied, identity: &Identity| {
        choose(&world.cache, "work-mine".into(), &world.base, applied, identity)
    };
    let identity = of("CONFIG_A=y\n");
    assert_eq!(choose(&applied, &identity), "work-mine");

    tree::sync(&world.cache, "work-theirs", &world.base, &applied, &mut Ui::new()).unwrap();
    assert_eq!(choose(&applied, &identity), "work-mine", "it was never configured");
    let stamp = format!(r#"{{"inputs":"","salt":"{}","sha256":""}}"#, identity.salt);
    files::write(&world.cache.path("work-theirs/config.json"), stamp.as_bytes()).unwrap();
    assert_eq!(choose(&applied, &identity), "work-theirs");
    assert_eq!(choose(&applied, &of("CONFIG_A=n\n")), "work-mine");

    // Their tree goes on to another series, and their folder is killed before it is configured.
    let none = Applied::default();
    tree::sync(&world.cache, "work-theirs", &world.base, &none, &mut Ui::new()).unwrap();
    assert_eq!(choose(&applied, &identity), "work-mine");
}

#[test]
fn what_was_used_last_is_kept_with_what_it_stands_on() {
    let world = World::new();
    let cache = &world.cache;
    for (age, name) in ["tarball-a", "git-b", "tree-c", "tree-d", "git-e"].iter().enumerate() {
        touch(&cache.path(name).join("x"));
        cache.used(name).unwrap();
        age_of(cache, name, 1000 - age as u64);
    }
    touch(&cache.path("objects-c.git/x"));
    for n in 0..WORKS as u64 + 2 {
        let name = format!("work-{}-s-{n}", if n < 2 { "tree-c" } else { "tarball-a" });
        touch(&cache.path(&name).join("tree.json"));
        cache.used(&name).unwrap();
        age_of(cache, &name, 500 - n);
    }
    prune(cache, &mut Ui::new()).unwrap();
    let there = |name: &str| cache.path(name).exists();
    for (name, want) in [
        ("work-tree-c-s-0", false),
        ("work-tree-c-s-1", false),
        ("work-tarball-a-s-2", true),
        ("work-tarball-a-s-9", true),
        // The oldest, but folders were made from it.
        ("tarball-a", true),
        ("git-b", false),
        ("tree-c", false),
        ("objects-c.git", false),
        ("used/tree-c", false),
        // Used last.
        ("tree-d", true),
        ("git-e", true),
    ] {
        assert_eq!(there(name), want, "{name}");
    }
}

#[test]
fn what_this_run_uses_and_what_was_downloaded_stay() {
    let world = World::new();
    let cache = &world.cache;
    let sha256 = "0123456789abcdef".repeat(4);
    files::write(&cache.path("debian-7.3.json"), format!(r#"{{"sha256":"{sha256}"}}"#).as_bytes())
        .unwrap();
    for name in
        ["debian-0123456789abcdef", "debian-fedcba9876543210", "git-a", "git-b", "work-git-a-mine"]
    {
        touch(&cache.path(name).join("x"));
        cache.used(name).unwrap();
        age_of(cache, name, if name.starts_with("debian-") { 900 } else { 800 });
    }
    for n in 0..WORKS {
        touch(&cache.path(format!("work-git-b-{n}")).join("x"));
    }
    std::os::unix::fs::symlink("work-git-a-mine", cache.path("work-a-link")).unwrap();
    cache.used("work-a-link").unwrap();
    prune(cache, &mut Ui::new()).unwrap();
    assert!(cache.path("work-git-a-mine").exists() && cache.path("work-a-link").exists());
    assert!(cache.path("debian-0123456789abcdef").exists());
    assert!(!cache.path("debian-fedcba9876543210").exists());
}

/// Makes it so that `name` was used some seconds ago.
fn age_of(cache: &Cache, name: &str, seconds: u64) {
    let file = std::fs::File::options().write(true).open(cache.path("used").join(name)).unwrap();
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(seconds))
        .unwrap();
}
