// SPDX-License-Identifier: GPL-2.0-only OR MIT
use super::*;
use crate::scratch::Scratch;
use crate::ui::Ui;
use rstest::rstest;
use tempfile::TempDir;

/// A tiny kernel, a cache, and patches against it made by git itself.
pub struct World {
    pub dir: TempDir,
    pub cache: Cache,
    pub base: Base,
}

pub const SHMEM: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n";

impl World {
    pub fn new() -> World {
        let dir = TempDir::new().unwrap();
        let tree = dir.path().join("pristine");
        for (path, text) in [
            ("Makefile", "VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n"),
            ("Kconfig", ""),
            ("mm/shmem.c", SHMEM),
            ("mm/memfd.c", "memfd\n"),
        ] {
            mkdir(tree.join(path).parent().unwrap()).unwrap();
            std::fs::write(tree.join(path), text).unwrap();
        }
        let cache = Cache::open_at(dir.path().join("cache"), &mut Ui::new()).unwrap();
        let base = Base {
            id: "base 1".into(),
            origin: "fake".into(),
            version: "7.3.4".into(),
            name: "7.3.4 (fake)".into(),
            tree,
            git: None,
            notes: Vec::new(),
            unchanged: true,
        };
        World { dir, cache, base }
    }

    /// A series that makes the given files of the pristine tree, one patch each.
    pub fn series(&self, name: &str, patches: &[(&str, &str)]) -> Series {
        let repo = self.dir.path().join(format!("{name}.repo"));
        let scratch = Scratch { dir: repo.clone() };
        let paths = ["mm/shmem.c", "mm/memfd.c"].map(String::from);
        scratch.begin(&self.base.tree, &BTreeSet::from(paths)).unwrap();
        for (path, text) in patches {
            mkdir(repo.join(path).parent().unwrap()).unwrap();
            std::fs::write(repo.join(path), text).unwrap();
            scratch.git(&["add", "-A"]).unwrap();
            scratch.git(&["commit", "-q", "-m", &format!("{name}: change {path}")]).unwrap();
        }
        let out = self.dir.path().join(name);
        scratch.git(&["format-patch", "-q", "-o", out.to_str().unwrap(), "base"]).unwrap();
        std::fs::write(out.join("cover-letter.txt"), "not a patch").unwrap();
        Series::find(self.dir.path(), out.to_str(), "mainline").unwrap()
    }
}

fn stored(applied: &Applied, path: &str) -> String {
    let content = applied.files[path].as_ref().unwrap();
    std::fs::read_to_string(applied.store.join(&content.blob)).unwrap()
}

#[test]
fn it_applies_and_is_kept() {
    let world = World::new();
    let changed = SHMEM.replace("four", "FOUR");
    let series = world.series("s", &[("mm/shmem.c", &changed), ("mm/new.c", "new\n")]);
    assert_eq!(series.patches.len(), 2);
    let first = series.apply(&world.cache, &world.base, Manner::Strict).unwrap();
    assert!(!first.unchanged);
    assert_eq!(first.files.keys().collect::<Vec<_>>(), ["mm/new.c", "mm/shmem.c"]);
    assert_eq!(stored(&first, "mm/shmem.c"), changed);
    assert_eq!(stored(&first, "mm/new.c"), "new\n");
    let second = series.apply(&world.cache, &world.base, Manner::Strict).unwrap();
    assert!(second.unchanged && second.files == first.files);
}

#[test]
fn another_commit_message_gives_the_same_hash() {
    let world = World::new();
    let changed = SHMEM.replace("four", "FOUR");
    let one = world.series("one", &[("mm/shmem.c", &changed)]);
    let two = world.series("two", &[("mm/shmem.c", &changed)]);
    let (one, two) = (
        one.apply(&world.cache, &world.base, Manner::Strict).unwrap(),
        two.apply(&world.cache, &world.base, Manner::Strict).unwrap(),
    );
    assert!(!two.unchanged);
    assert_eq!(one.series_hash, two.series_hash);
}

#[test]
fn a_refusal_names_patch_file_and_line() {
    let world = World::new();
    let (once, twice) = (SHMEM.replace("four", "FOUR"), SHMEM.replace("four", "4"));
    let series = world.series("s", &[("mm/memfd.c", "other\n"), ("mm/shmem.c", &once)]);
    std::fs::write(world.base.tree.join("mm/shmem.c"), &twice).unwrap();
    let refusal = series.apply(&world.cache, &world.base, Manner::Strict).unwrap_err();
    assert_eq!(refusal.class, Class::Series);
    assert_eq!(
        refusal.line,
        "0002-s-change-mm-shmem.c.patch does not apply: mm/shmem.c, the hunk at line 1"
    );
}

#[test]
fn a_missing_file_and_a_broken_patch_are_named() {
    let world = World::new();
    let series = world.series("s", &[("mm/memfd.c", "other\n")]);
    std::fs::remove_file(world.base.tree.join("mm/memfd.c")).unwrap();
    let line = series.apply(&world.cache, &world.base, Manner::Strict).unwrap_err().line;
    assert!(line.contains("0001-") && line.contains("mm/memfd.c"), "{line}");
    std::fs::write(&series.patches[0], "no patch at all\n").unwrap();
    let line = series.apply(&world.cache, &world.base, Manner::Strict).unwrap_err().line;
    assert!(line.contains("0001-") && line.contains("format"), "{line}");
}

#[rstest]
#[case("--- a/mm/shmem.c\n+++ b/mm/shmem.c\n", &["mm/shmem.c"])]
#[case("--- /dev/null\n+++ b/new.c\n", &["new.c"])]
#[case("rename from a.c\nrename to b.c\n", &["a.c"])]
#[case("diff --git a/x.sh b/x.sh\nold mode 100644\nnew mode 100755\n", &["x.sh"])]
#[case("diff --git a/x b/y\n", &[])]
#[case("diff --git a/\n", &[])]
#[case("--- a/../../etc/passwd\n+++ b//etc/passwd\n", &[])]
fn touched_paths(#[case] patch: &str, #[case] want: &[&str]) {
    let got = touched(&[patch.as_bytes().to_vec()]);
    assert_eq!(got.iter().map(String::as_str).collect::<Vec<_>>(), want);
}

#[rstest]
#[case("none", 0)]
fn without_patches(#[case] given: &str, #[case] want: usize) {
    let series = Series::find(Path::new("/nonexistent"), Some(given), "mainline").unwrap();
    assert_eq!(series.patches.len(), want);
}

#[rstest]
#[case(Some("/nonexistent/x"), Class::Usage)]
#[case(Some("empty"), Class::Series)]
fn no_series(#[case] given: Option<&str>, #[case] class: Class) {
    let dir = TempDir::new().unwrap();
    let path = given.map(|g| dir.path().join(g));
    if given == Some("empty") {
        mkdir(path.as_ref().unwrap()).unwrap();
    }
    let given = path.as_ref().and_then(|p| p.to_str());
    assert_eq!(Series::find(dir.path(), given, "mainline").unwrap_err().class, class);
}

#[rstest]
#[case("From x\nSubject: [PATCH 1/8] mm: fix\nDate: y\n", Some("mm: fix"))]
#[case(
    "Subject: [PATCH v2] [RFC] hugetlbfs: don't let\n mmap() grow\n\n body",
    Some("hugetlbfs: don't let mmap() grow")
)]
#[case("Subject: mm: no tag\n", Some("mm: no tag"))]
#[case("From: a\n\nno mail", None)]
fn subjects(#[case] mail: &str, #[case] want: Option<&str>) {
    assert_eq!(subject(mail).as_deref(), want);
}

#[rstest]
#[case("0000-cover-letter.patch", true)]
#[case("v2-0000-cover-letter.patch", true)]
#[case("v2-0001-mm-x.patch", false)]
#[case("0001-v2-0000-x.patch", false)]
fn cover_letters(#[case] name: &str, #[case] want: bool) {
    assert_eq!(is_cover(Path::new(name)), want);
}

const OLDER: &str = "diff --git a/mm/memfd.c b/mm/memfd.c\n@@ -1 +1,2 @@\n \t\t     F_SEAL_WRITE | \\\n\
                     -\t\t     F_SEAL_FUTURE_WRITE)\n+\t\t     F_SEAL_FUTURE_WRITE | \\\n";

#[rstest]
#[case(&format!("{OLDER}+\t\t     F_SEAL_FS_WRITE)\n"), true)]
#[case(&format!("{OLDER}+\t\t     0x40)\n"), false)]
#[case(&OLDER.replace("memfd.c", "memfd_luo.c").replace("FUTURE", "FS"), false)]
#[case(
    "diff --git a/mm/memfd.c b/mm/memfd.c\n+#define F_ALL_SEALS (F_SEAL_WRITE | F_SEAL_FS_WRITE)\n",
    true
)]
#[case("diff --git a/mm/memfd.c b/mm/memfd.c\n+\tif (seals & F_SEAL_FS_WRITE)\n", false)]
#[case("diff --git a/include/uapi/linux/fcntl.h b/x\n+#define F_SEAL_FS_WRITE 0x0040\n", false)]
fn the_patch_that_lets_the_seal_be_set(#[case] mail: &str, #[case] want: bool) {
    assert_eq!(adds_seal(mail), want);
}

#[test]
fn one_patch_of_each_series_lets_the_seal_be_set() {
    let repo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for row in crate::bases::all(repo).unwrap() {
        let series = Series::find(repo, None, &row.folder).unwrap();
        let texts = series.patches.iter().map(|patch| std::fs::read_to_string(patch).unwrap());
        assert_eq!(texts.filter(|text| adds_seal(text)).count(), 1, "{}", row.folder);
    }
}
