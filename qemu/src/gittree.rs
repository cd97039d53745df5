// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Kernel source from a git tree, or from an unpacked tree made into one.
//!
//! The user's checkout and its git folder are only read. The pristine tree is a work tree in the
//! cache with an index of its own, moved from one state to the next by `git read-tree -u`, which
//! rewrites only the files that differ.

use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files::{self, mkdir, read_stamp, write_stamp};
use crate::run::{self, Tick, command};
use crate::source::{self, Base, name_for, not_a_kernel};
use crate::ui::Ui;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A state of a tree that git knows.
#[derive(Clone, Debug)]
pub struct GitTree {
    /// The git folder that has its objects.
    pub git_dir: PathBuf,
    /// The tree object's name.
    pub tree: String,
}

impl GitTree {
    /// Paths that differ between `old` and this state; none if git no longer knows `old`.
    pub fn changed_since(&self, old: &str) -> Step<Option<Vec<String>>> {
        let mut diff = git(&self.git_dir);
        diff.args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", old, &self.tree]);
        let out = run::output(&mut diff, &mut || ())?;
        let names = out.stdout.split(|b| *b == 0).filter(|n| !n.is_empty());
        let names = names.map(|n| String::from_utf8_lossy(n).into_owned()).collect();
        Ok(out.status.success().then_some(names))
    }
}

/// The git folder of a checkout, a linked work tree or a bare repository.
pub fn git_dir(path: &Path) -> Option<PathBuf> {
    let dot = path.join(".git");
    if dot.is_dir() {
        return Some(dot);
    }
    if let Ok(text) = std::fs::read_to_string(&dot) {
        return Some(path.join(text.strip_prefix("gitdir:")?.trim()));
    }
    let bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
    bare.then(|| path.to_owned())
}

/// The content of a blob by its name, which may be abbreviated; none if git does not have it.
pub fn blob(git_dir: &Path, name: &str) -> Step<Option<Vec<u8>>> {
    if name.len() < 7 || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    // A clone without blobs would fetch it: this program asks no server but Debian's.
    let mut show = git(git_dir);
    show.env("GIT_NO_LAZY_FETCH", "1").args(["cat-file", "blob", name]);
    let out = run::output(&mut show, &mut || ())?;
    Ok(out.status.success().then_some(out.stdout))
}

/// What HEAD of a git tree holds.
pub fn committed(cache: &Cache, path: &Path, git_dir: &Path, ui: &mut Ui) -> Step<Base> {
    let mut ask = git(git_dir);
    ask.args(["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"]);
    let commit = word(&mut ask, path)?;
    let tree = word(git(git_dir).args(["rev-parse", "HEAD^{tree}"]), path)?;
    let mut notes = Vec::new();
    if !git_dir.eq(path) && dirty(git_dir, path, ui)? {
        notes.push(format!("uncommitted changes in {} are not included", path.display()));
    }
    let name = |version: &str| format!("{version} (git {} {})", path.display(), &commit[..12]);
    checkout(cache, path, GitTree { git_dir: git_dir.into(), tree }, "git", notes, &name, ui)
}

/// What an unpacked tree holds now, as a tree in a private git folder.
pub fn uncommitted(cache: &Cache, path: &Path, ui: &mut Ui) -> Step<Base> {
    let private = cache.path(format!("objects-{}.git", name_for(path)));
    if !private.is_dir() {
        let dir = cache.temp()?;
        let mut init = git(&dir);
        init.args(["init", "-q", "--bare"]).arg(dir.as_os_str());
        run::check(&mut init, Class::Source, "git init", &mut || ())?;
        files::rename(&dir, &private)?;
    }
    files::remove(&private.join("index.lock"))?;
    let mut add = git(&private);
    // Loose objects are read once or twice: compressing them well is not worth its time.
    add.env("GIT_WORK_TREE", path).current_dir(path);
    add.args(["-c", "core.looseCompression=1", "add", "-A", "--", "."]);
    let progress = || format!("reading {}", path.display());
    let full = |refusal| files::or_full(&private, refusal);
    let added = run::check(&mut add, Class::Source, "git add", &mut || ui.progress(progress));
    added.map_err(full)?;
    let tree = word(git(&private).arg("write-tree"), path).map_err(full)?;
    let name = |version: &str| format!("{version} ({})", path.display());
    let state = GitTree { git_dir: private, tree };
    checkout(cache, path, state, "tree", Vec::new(), &name, ui)
}

/// Brings the pristine tree of `path` to `state`.
fn checkout(
    cache: &Cache,
    path: &Path,
    state: GitTree,
    kind: &str,
    notes: Vec<String>,
    name: &dyn Fn(&str) -> String,
    ui: &mut Ui,
) -> Step<Base> {
    let origin = format!("{kind}-{}", name_for(path));
    let place = cache.path(&origin);
    let stamp = place.join("stamp.json");
    let unchanged = read_stamp::<String>(&stamp).is_some_and(|tree| tree == state.tree);
    if !unchanged {
        for file in ["Makefile", "Kconfig"] {
            let mut ask = git(&state.git_dir);
            ask.args(["cat-file", "-e", &format!("{}:{file}", state.tree)]);
            if !run::output(&mut ask, &mut || ())?.status.success() {
                return Err(not_a_kernel(path, &format!("it has no {file}")));
            }
        }
        let tick = |ui: &mut Ui| ui.progress(|| format!("checking out {}", path.display()));
        if place.is_dir() {
            // From here to the new stamp the tree is neither state; read-tree mends it if killed.
            files::remove(&stamp)?;
            files::remove(&place.join("index.lock"))?;
            read_tree(&state, &place, &mut || tick(ui))?;
            clean(&state, &place, &mut || tick(ui))?;
        } else {
            let dir = cache.temp()?;
            mkdir(&dir.join("tree"))?;
            read_tree(&state, &dir, &mut || tick(ui))?;
            files::rename(&dir, &place)?;
        }
    }
    let tree = place.join("tree");
    let version = source::is_kernel(path, &tree)?;
    if !unchanged {
        write_stamp(&stamp, &state.tree)?;
    }
    let (id, name) = (format!("git {}", state.tree), name(&version));
    Ok(Base { id, origin, version, name, tree, git: Some(state), notes, unchanged })
}

fn read_tree(state: &GitTree, place: &Path, tick: Tick) -> Step<()> {
    let mut read = git(&state.git_dir);
    read.env("GIT_WORK_TREE", place.join("tree")).env("GIT_INDEX_FILE", place.join("index"));
    read.current_dir(place.join("tree"));
    read.args(["read-tree", "--reset", "-u", &state.tree]);
    // Git says that it could not write a file, and not why.
    let done = run::check(&mut read, Class::Source, "git read-tree", tick);
    done.map(drop).map_err(|refusal| files::or_full(place, refusal))
}

/// Removes what is in no state: files of a checkout that was killed before its index knew them.
fn clean(state: &GitTree, place: &Path, tick: Tick) -> Step<()> {
    let mut clean = git(&state.git_dir);
    clean.env("GIT_WORK_TREE", place.join("tree")).env("GIT_INDEX_FILE", place.join("index"));
    clean.current_dir(place.join("tree")).args(["clean", "-q", "-ffdx"]);
    run::check(&mut clean, Class::Source, "git clean", tick).map(drop)
}

/// Whether tracked files of a checkout differ from HEAD.
fn dirty(git_dir: &Path, path: &Path, ui: &mut Ui) -> Step<bool> {
    let mut status = git(git_dir);
    status.env("GIT_WORK_TREE", path).current_dir(path).env("GIT_OPTIONAL_LOCKS", "0");
    status.args(["status", "--porcelain", "--untracked-files=no", "--ignore-submodules"]);
    let progress = || format!("looking for uncommitted changes in {}", path.display());
    let out = run::check(&mut status, Class::Source, "git status", &mut || ui.progress(progress))?;
    Ok(!out.is_empty())
}

fn word(command: &mut Command, path: &Path) -> Step<String> {
    let out = run::output(command, &mut || ())?;
    if !out.status.success() {
        let refusal = run::failed(Class::NotAKernel, "git", &out);
        return Err(if refusal.class == Class::NotAKernel {
            not_a_kernel(path, &refusal.line)
        } else {
            refusal
        });
    }
    let word = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if word.len() < 40 || !word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Refusal::new(Class::Internal, format!("git gave no object name: {word:?}")));
    }
    Ok(word)
}

/// Git on a given folder: without the user's configuration, hooks or filters' monitors, and with
/// stat data compared in a way that hard links to the work tree do not disturb.
fn git(git_dir: &Path) -> Command {
    let mut git = command("git");
    git.env("GIT_DIR", git_dir);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for setting in [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.sparseCheckout=false",
        "core.autocrlf=false",
        "core.trustctime=false",
        "core.bare=false",
        "core.fileMode=true",
        "core.symlinks=true",
        "gc.auto=0",
    ] {
        git.args(["-c", setting]);
    }
    git
}

#[cfg(test)]
#[path = "gittree_tests.rs"]
mod tests;
