// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The one cache folder. What stands in it outside `tmp/` is complete: things are made in `tmp/`
//! and renamed, and `tmp/` is emptied when a run starts.
//!
//! One lock guards the whole folder until the process ends. Children inherit it: after a
//! `kill -9` the next run waits for an orphaned make instead of building beside it.

use crate::class::{Class, Refusal, Step};
use crate::files::{self, mkdir, read_stamp, refuse, write_stamp};
use crate::interrupt;
use crate::ui::Ui;
use nix::fcntl::{FcntlArg, FdFlag, Flock, FlockArg, fcntl};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

const NAME: &str = "fs-write-seal";

static HELD: Mutex<Option<Flock<File>>> = Mutex::new(None);

/// The cache folder, locked by this process.
pub struct Cache {
    root: PathBuf,
    made: AtomicUsize,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Memo {
    print: [i64; 6],
    sha256: String,
}

/// The cache folder of this user; nothing is made or locked.
pub fn root() -> Step<PathBuf> {
    location(|name| std::env::var_os(name).map(PathBuf::from))
}

impl Cache {
    /// Opens the folder of this user, waiting with one plain line while another run uses it.
    pub fn open(ui: &mut Ui) -> Step<Cache> {
        Cache::open_at(root()?, ui)
    }

    /// Opens a given folder.
    pub fn open_at(root: PathBuf, ui: &mut Ui) -> Step<Cache> {
        mkdir(&root)?;
        lock(&root.join("lock"), ui)?;
        let cache = Cache { root, made: AtomicUsize::new(0) };
        let tmp = cache.path("tmp");
        if std::fs::read_dir(&tmp).is_ok_and(|mut entries| entries.next().is_some()) {
            ui.note("removing what an interrupted run left");
        }
        files::remove(&tmp)?;
        mkdir(&tmp)?;
        Ok(cache)
    }

    /// The folder that an earlier step of this process has opened, and so locked.
    pub fn held(root: &Path) -> Cache {
        Cache { root: root.to_owned(), made: AtomicUsize::new(0) }
    }

    /// A place in the cache.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// A new empty folder on the cache's file system, to be renamed into place when complete.
    /// What is left of it goes when it is dropped.
    pub fn temp(&self) -> Step<Temp> {
        let number = self.made.fetch_add(1, Ordering::Relaxed).to_string();
        let temp = Temp(self.root.join("tmp").join(number));
        mkdir(&temp)?;
        Ok(temp)
    }

    /// Moves what stands at `path`, if anything, out of the way in one step, then removes it.
    pub fn discard(&self, path: &Path) -> Step<()> {
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        let aside = self.temp()?;
        files::rename(path, &aside.join("old"))
    }

    /// Notes that what is called `name`, or what a link of that name leads to, is used now.
    pub fn used(&self, name: &str) -> Step<()> {
        let real = std::fs::canonicalize(self.path(name)).ok();
        let name = real.as_deref().and_then(Path::file_name).unwrap_or(name.as_ref());
        mkdir(&self.path("used"))?;
        files::write(&self.path("used").join(name), b"")
    }

    /// When what is called `name` was last used.
    pub fn last_used(&self, name: &str) -> Option<SystemTime> {
        let age = |path: PathBuf| path.metadata().and_then(|m| m.modified()).ok();
        // What an older version made has no note.
        age(self.path("used").join(name)).or_else(|| age(self.path(name)))
    }

    /// Names of all that stands in the cache.
    pub fn names(&self) -> Step<Vec<String>> {
        let entries = std::fs::read_dir(&self.root).map_err(refuse(&self.root))?;
        Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
    }

    /// SHA-256 of a big file, read again only when its size, times or inode have changed.
    pub fn hash_of(&self, path: &Path) -> Step<String> {
        let (key, store) = (path.to_string_lossy().into_owned(), self.path("hashes.json"));
        let mut memos: BTreeMap<String, Memo> = read_stamp(&store).unwrap_or_default();
        let before = files::print(path);
        if let (Some(memo), Some(print)) = (memos.get(&key), before) {
            if memo.print == print {
                return Ok(memo.sha256.clone());
            }
        }
        let sha256 = files::hash_file(path)?;
        if let Some(print) = before {
            if files::print(path) == Some(print) {
                memos.retain(|path, _| Path::new(path).exists());
                memos.insert(key, Memo { print, sha256: sha256.clone() });
                write_stamp(&store, &memos)?;
            }
        }
        Ok(sha256)
    }
}

/// A folder in `tmp/`.
pub struct Temp(PathBuf);

impl std::ops::Deref for Temp {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // What can't be removed now is removed when the next run starts.
        let _ = files::remove(&self.0);
    }
}

/// Where the cache is, as the XDG base directory specification has it: relative paths don't count.
fn location(variable: impl Fn(&str) -> Option<PathBuf>) -> Step<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let place = variable("XDG_CACHE_HOME")
        .filter(absolute)
        .or_else(|| variable("HOME").filter(absolute).map(|home| home.join(".cache")))
        .map(|dir| dir.join(NAME))
        .ok_or_else(|| {
            Refusal::new(Class::Cache, "neither XDG_CACHE_HOME nor HOME is set: no cache folder")
        })?;
    // The kernel's own Makefile refuses them, but only once its source has been fetched.
    if place.to_string_lossy().contains([' ', ':']) {
        let line = format!(
            "{}: a kernel can't be built below a path with a space or a colon; set XDG_CACHE_HOME \
             to another",
            place.display()
        );
        return Err(Refusal::new(Class::Cache, line));
    }
    Ok(place)
}

fn lock(path: &Path, ui: &mut Ui) -> Step<()> {
    let mut file = File::options().create(true).append(true).open(path).map_err(refuse(path))?;
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|e| refuse(path)(e.into()))?;
    let mut told = false;
    let mut held = loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => break held,
            Err((back, nix::errno::Errno::EWOULDBLOCK)) => file = back,
            Err((_, e)) => return Err(refuse(path)(e.into())),
        }
        if !std::mem::replace(&mut told, true) {
            ui.note(&waiting(path));
        }
        ui.progress(|| waiting(path));
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(50));
    };
    let words: Vec<String> = std::env::args().skip(1).collect();
    let here = std::env::current_dir().unwrap_or_default();
    let holder = format!("{} {}: {}", std::process::id(), here.display(), words.join(" "));
    // Only for the words of those who wait.
    let _ = held.set_len(0).and_then(|()| held.write_all(holder.as_bytes()));
    *HELD.lock().unwrap_or_else(|e| e.into_inner()) = Some(held);
    Ok(())
}

/// Who has the lock, in words: each holder writes its number and what it does into the file.
fn waiting(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path).display();
    let holder = std::fs::read_to_string(path).unwrap_or_default();
    let (pid, what) = holder.split_once(' ').unwrap_or_default();
    let lives = !pid.is_empty() && Path::new("/proc").join(pid).exists();
    let of = format!("process {pid} ({})", what.trim_end_matches([':', ' ']));
    match (pid, lives) {
        ("", _) => format!("waiting for another run, which uses {folder}"),
        (_, true) => format!("waiting for {of}, which uses {folder}"),
        (_, false) => {
            format!("waiting for what {of} left running when it was killed; it uses {folder}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some("/x"), Some("/home/u"), Some("/x/fs-write-seal"))]
    #[case(None, Some("/home/u"), Some("/home/u/.cache/fs-write-seal"))]
    #[case(Some(""), Some("/home/u"), Some("/home/u/.cache/fs-write-seal"))]
    #[case(Some("x"), None, None)]
    #[case(Some("/a b"), None, None)]
    #[case(None, Some("/home:u"), None)]
    #[case(None, None, None)]
    fn cache_home(
        #[case] xdg: Option<&str>,
        #[case] home: Option<&str>,
        #[case] want: Option<&str>,
    ) {
        let got = location(|name| if name == "HOME" { home } else { xdg }.map(PathBuf::from));
        assert_eq!(got.ok(), want.map(PathBuf::from));
    }

    #[rstest]
    #[case("", "waiting for another run, which uses /")]
    #[case("1 /here: run", "waiting for process 1 (/here: run), which uses /")]
    #[case("4294967295 /here: ", "waiting for what process 4294967295 (/here) left running")]
    fn who_is_waited_for(#[case] holder: &str, #[case] want: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        std::fs::write(&path, holder).unwrap();
        assert!(waiting(&path).starts_with(want), "{}", waiting(&path));
    }

    #[test]
    fn leftovers_go_and_hashes_follow_content() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("c");
        mkdir(&root.join("tmp/half")).unwrap();
        let cache = Cache::open_at(root.clone(), &mut Ui::new()).unwrap();
        assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0);
        let big = dir.path().join("big");
        std::fs::write(&big, "one").unwrap();
        let one = cache.hash_of(&big).unwrap();
        assert_eq!(cache.hash_of(&big).unwrap(), one);
        std::fs::write(&big, "other").unwrap();
        assert_ne!(cache.hash_of(&big).unwrap(), one);
        cache.discard(&big).unwrap();
        assert!(!big.exists());
    }
}
