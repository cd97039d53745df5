// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The series step: plain `git am` in a scratch repository that holds just the files the patches
//! touch. Its result is kept in the cache under the hash of what went in.

use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files::{self, hash, mkdir, read_stamp, refuse, write_stamp};
use crate::run::{self, Output, command};
use crate::source::{Base, name_for};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Which patches, before they met a base.
#[derive(Clone, Debug)]
pub struct Series {
    /// "patches/mainline", "none", "hollow", or the path as given.
    pub name: String,
    /// The same as a file name.
    pub key: String,
    /// The patches in order.
    pub patches: Vec<PathBuf>,
}

/// A file after the series: its mode as git writes it, and its content's name in
/// [`Applied::store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub mode: String,
    pub blob: String,
}

/// What a series makes of a base.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Applied {
    /// Name of the tree object of all touched files; empty without patches. Only content counts.
    pub series_hash: String,
    /// Each file that differs from the base; none where it is removed.
    pub files: BTreeMap<String, Option<Content>>,
    /// The folder that holds the contents.
    #[serde(skip)]
    pub store: PathBuf,
    /// Whether it was in the cache.
    #[serde(skip)]
    pub unchanged: bool,
}

impl Series {
    /// What `SERIES=` means: a folder, `none`, `hollow`, or unset for `patches/<base>`.
    pub fn find(repo: &Path, given: Option<&str>, base: &str) -> Step<Series> {
        // What belongs to the project goes by its name, so that all clones share one build.
        let (name, dir, key) = match given {
            None => (format!("patches/{base}"), repo.join("patches").join(base), Some(base)),
            Some("none") => {
                return Ok(Series { name: "none".into(), key: "none".into(), patches: Vec::new() });
            }
            Some("hollow") => ("hollow".into(), repo.join("qemu/hollow"), given),
            Some(path) => (path.into(), PathBuf::from(path), None),
        };
        let listed = std::fs::read_dir(&dir).map_err(|e| {
            let line = format!("SERIES={name}: {e}; give a folder of patches, none or hollow");
            Refusal::new(Class::Usage, line)
        })?;
        let mut patches: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
        patches.retain(|path| path.extension().is_some_and(|e| e == "patch") && path.is_file());
        patches.sort();
        if patches.is_empty() {
            let line = format!("{name} holds no *.patch file; SERIES=none boots the stock kernel");
            return Err(Refusal::new(Class::Series, line));
        }
        let full = std::fs::canonicalize(&dir).map_err(refuse(&dir))?;
        let key = key.map_or_else(|| name_for(&full), str::to_owned);
        Ok(Series { name, key, patches })
    }

    /// Applies the patches to `base`. Refuses with [`Class::Series`], naming patch and file, if
    /// one does not apply.
    pub fn apply(&self, cache: &Cache, base: &Base) -> Step<Applied> {
        if self.patches.is_empty() {
            return Ok(Applied { unchanged: true, ..Applied::default() });
        }
        let patches: Vec<Vec<u8>> =
            self.patches.iter().map(|p| files::read(p)).collect::<Step<_>>()?;
        let inputs = [base.id.as_bytes()].into_iter().chain(patches.iter().map(Vec::as_slice));
        let place = cache.path(format!("series-{}", &hash(inputs)[..16]));
        let (stamp, store) = (place.join("applied.json"), place.join("files"));
        if let Some(applied) = read_stamp::<Applied>(&stamp) {
            return Ok(Applied { store, unchanged: true, ..applied });
        }
        let dir = cache.temp()?;
        let scratch = Scratch { dir: dir.join("scratch") };
        scratch.begin(&base.tree, &touched(&patches))?;
        for patch in &self.patches {
            scratch.am(patch)?;
        }
        let made = dir.join("made");
        mkdir(&made.join("files"))?;
        let applied = scratch.result(&made.join("files"))?;
        write_stamp(&made.join("applied.json"), &applied)?;
        cache.discard(&place)?;
        files::rename(&made, &place)?;
        Ok(Applied { store, ..applied })
    }
}

struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn begin(&self, tree: &Path, paths: &BTreeSet<String>) -> Step<()> {
        mkdir(&self.dir)?;
        self.git(&["init", "-q", "-b", "base"])?;
        for path in paths {
            copy(&tree.join(path), &self.dir.join(path))?;
        }
        self.git(&["add", "-A", "-f"])?;
        self.git(&["commit", "-q", "--allow-empty", "-m", "base"])?;
        self.git(&["tag", "base"]).map(drop)
    }

    fn am(&self, patch: &Path) -> Step<()> {
        let full = std::fs::canonicalize(patch).map_err(refuse(patch))?;
        let out = run::output(self.command(&["am", "-q", "--no-3way"]).arg(&full), &mut || ())?;
        if out.status.success() {
            return Ok(());
        }
        if run::full(&out.stderr) {
            return Err(run::failed(Class::NoSpace, "git am", &out));
        }
        let name = patch.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{name} does not apply: {}", complaint(&out));
        Err(Refusal::new(Class::Series, line))
    }

    fn result(&self, store: &Path) -> Step<Applied> {
        let tree = self.git(&["rev-parse", "HEAD^{tree}"])?;
        let series_hash = String::from_utf8_lossy(&tree).trim().to_owned();
        let raw = self.git(&["diff-tree", "-r", "-z", "--raw", "--no-renames", "base", "HEAD"])?;
        let files = parse_raw(&String::from_utf8_lossy(&raw)).ok_or_else(|| {
            Refusal::new(Class::Internal, "git diff-tree said something unexpected")
        })?;
        for (path, content) in &files {
            if let Some(content) = content {
                copy(&self.dir.join(path), &store.join(&content.blob))?;
            }
        }
        Ok(Applied { series_hash, files, ..Applied::default() })
    }

    fn git(&self, args: &[&str]) -> Step<Vec<u8>> {
        let what = format!("git {}", args[0]);
        run::check(&mut self.command(args), Class::Internal, &what, &mut || ())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut git = command("git");
        git.current_dir(&self.dir).env("GIT_DIR", self.dir.join(".git"));
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "qemu-test");
            git.env(format!("GIT_{role}_EMAIL"), "qemu-test@localhost");
            git.env(format!("GIT_{role}_DATE"), "1000000000 +0000");
        }
        git.args(["-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]);
        git.args(["-c", "gc.auto=0", "-c", "advice.mergeConflict=false"]);
        git.args(args);
        git
    }
}

/// Copies a file or a link, if there is one; its mode stays.
fn copy(from: &Path, to: &Path) -> Step<()> {
    let Ok(kind) = from.symlink_metadata() else { return Ok(()) };
    if let Some(parent) = to.parent() {
        mkdir(parent)?;
    }
    if kind.is_symlink() {
        let target = std::fs::read_link(from).map_err(refuse(from))?;
        // Two paths may hold one content: the second finds it there.
        if to.symlink_metadata().is_ok() { Ok(()) } else { symlink(target, to).map_err(refuse(to)) }
    } else if kind.is_file() {
        std::fs::copy(from, to).map(drop).map_err(refuse(to))
    } else {
        Ok(())
    }
}

/// Every path that the patches' headers name, old names of renames and copies too. A commit
/// message may add a few that do not exist: they do no harm.
fn touched(patches: &[Vec<u8>]) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for patch in patches {
        for line in String::from_utf8_lossy(patch).lines() {
            let named = ["--- a/", "+++ b/", "rename from ", "copy from "]
                .iter()
                .find_map(|prefix| line.strip_prefix(prefix))
                .or_else(|| same_on_both_sides(line));
            if let Some(path) = named.map(|p| p.trim_end_matches(['\t', '\r'])) {
                let plain = |c| matches!(c, Component::Normal(_));
                if !path.is_empty() && Path::new(path).components().all(plain) {
                    paths.insert(path.to_owned());
                }
            }
        }
    }
    paths
}

/// The path of `diff --git a/x b/x`, which is all there is for an empty file or a new mode.
fn same_on_both_sides(line: &str) -> Option<&str> {
    let both = line.strip_prefix("diff --git a/")?;
    let (left, right) =
        (both.get(..both.len().checked_sub(3)? / 2)?, both.get(both.len() / 2 + 2..)?);
    (left == right).then_some(left)
}

/// What `git am` said, in one line: files with lines, or its first error.
fn complaint(out: &Output) -> String {
    let said = format!("{}\n{}", out.stderr, String::from_utf8_lossy(&out.stdout));
    let errors: Vec<&str> = said.lines().filter_map(|l| l.strip_prefix("error: ")).collect();
    let hunks: Vec<String> = errors
        .iter()
        .filter_map(|e| e.strip_prefix("patch failed: ")?.rsplit_once(':'))
        .map(|(file, line)| format!("{file}, the hunk at line {line}"))
        .collect();
    if !hunks.is_empty() {
        return hunks.join("; ");
    }
    let first = errors.first().copied().or(said.lines().find(|l| !l.trim().is_empty()));
    first.map_or_else(|| "git am gave no reason".into(), |l| l.trim().to_owned())
}

/// Parses `git diff-tree --raw -z`: `:100644 100644 <old> <new> M\0path\0`.
fn parse_raw(raw: &str) -> Option<BTreeMap<String, Option<Content>>> {
    let mut fields = raw.split_terminator('\0');
    let mut files = BTreeMap::new();
    while let Some(head) = fields.next() {
        let words: Vec<&str> = head.strip_prefix(':')?.split(' ').collect();
        let [_, mode, _, blob, status] = words[..] else { return None };
        let content = Content { mode: mode.to_owned(), blob: blob.to_owned() };
        files.insert(fields.next()?.to_owned(), (status != "D").then_some(content));
    }
    Some(files)
}

#[cfg(test)]
#[path = "series_tests.rs"]
pub mod tests;
