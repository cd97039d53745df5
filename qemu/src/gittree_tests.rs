// SPDX-License-Identifier: GPL-2.0-only OR MIT
use super::*;
use crate::series::Applied;
use crate::tree;
use tempfile::TempDir;

/// A tiny kernel in a folder, and a cache beside it.
struct World {
    dir: TempDir,
    cache: Cache,
}

impl World {
    fn new() -> World {
        let dir = TempDir::new().unwrap();
        let cache = Cache::open_at(dir.path().join("cache"), &mut Ui::new()).unwrap();
        let world = World { dir, cache };
        world.write("Makefile", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n");
        world.write("Kconfig", "");
        world.write("mm/shmem.c", "one\n");
        world
    }

    fn user(&self) -> PathBuf {
        self.dir.path().join("linux")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.user().join(path);
        mkdir(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = git(&self.user().join(".git"));
        git.env("GIT_WORK_TREE", self.user())
            .current_dir(self.user())
            .env("GIT_OPTIONAL_LOCKS", "0");
        git.args(["-c", "user.name=x", "-c", "user.email=x@localhost"]).args(args);
        let out = run::check(&mut git, Class::Internal, "git", &mut || ()).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "x"]);
    }

    fn base(&self) -> Base {
        source::given(&self.cache, &self.user(), &mut Ui::new()).unwrap()
    }

    fn rewritten(&self, base: &Base) -> Option<usize> {
        let applied = Applied::default();
        tree::sync(&self.cache, "work-w", base, &applied, &mut Ui::new()).unwrap().rewritten
    }

    fn built_from(&self, path: &str) -> String {
        std::fs::read_to_string(self.cache.path("work-w/source").join(path)).unwrap()
    }
}

#[test]
fn a_git_tree_moves_on_and_only_what_differs_is_rewritten() {
    let world = World::new();
    world.git(&["init", "-q"]);
    world.commit();
    let first = world.base();
    assert_eq!((first.version.as_str(), first.unchanged), ("7.3.4", false));
    assert_eq!(world.rewritten(&first), None);

    // What is not committed is not built, and that is said.
    world.write("mm/shmem.c", "two\n");
    let index = files::print(&world.user().join(".git/index"));
    let same = world.base();
    assert!(same.unchanged && same.id == first.id && same.notes.len() == 1, "{:?}", same.notes);
    assert_eq!(files::print(&world.user().join(".git/index")), index);
    assert_eq!(world.rewritten(&same), Some(0));

    world.write("mm/new.c", "new\n");
    world.commit();
    let second = world.base();
    assert!(!second.unchanged && second.origin == first.origin && second.notes.is_empty());
    assert_eq!(world.rewritten(&second), Some(2));
    assert_eq!(world.built_from("mm/shmem.c") + &world.built_from("mm/new.c"), "two\nnew\n");
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert_eq!(world.git(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_checkout_that_was_killed_half_way_is_mended() {
    let world = World::new();
    world.git(&["init", "-q"]);
    world.commit();
    let first = world.base();
    let place = first.tree.parent().unwrap();
    files::remove(&place.join("stamp.json")).unwrap();
    files::write(&first.tree.join("mm/shmem.c"), b"half").unwrap();
    files::write(&place.join("index.lock"), b"").unwrap();
    files::write(&first.tree.join("mm/of-another-state.c"), b"").unwrap();
    let again = world.base();
    assert!(!again.tree.join("mm/of-another-state.c").exists());
    assert_eq!(files::read(&again.tree.join("mm/shmem.c")).unwrap(), b"one\n");
}

#[test]
fn an_unpacked_tree_is_read_as_it_is_now() {
    let world = World::new();
    let first = world.base();
    assert_eq!(world.rewritten(&first), None);
    assert!(world.base().unchanged);
    world.write("mm/shmem.c", "another\n");
    let second = world.base();
    assert!(second.id != first.id);
    assert_eq!(world.rewritten(&second), Some(1));
    assert_eq!(world.built_from("mm/shmem.c"), "another\n");
    assert!(!world.user().join(".git").exists());
}

#[test]
fn what_is_no_kernel_is_refused() {
    let world = World::new();
    std::fs::remove_file(world.user().join("Kconfig")).unwrap();
    let refused =
        |world: &World| source::given(&world.cache, &world.user(), &mut Ui::new()).unwrap_err();
    assert_eq!(refused(&world).class, Class::NotAKernel);
    world.git(&["init", "-q"]);
    assert_eq!(refused(&world).class, Class::NotAKernel);
    world.commit();
    let refusal = refused(&world);
    assert!(refusal.class == Class::NotAKernel && refusal.line.contains("no Kconfig"), "{refusal}");
}
