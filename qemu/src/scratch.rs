// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The scratch repository of the series step: just the files that the patches touch, `git am`, and
//! what came of it.

use crate::class::{Class, Refusal, Step};
use crate::files::{is_full, mkdir, no_space, or_full, read_text, refuse};
use crate::hunks;
use crate::run::{self, Output, command};
use crate::series::{Applied, Content};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository of its own, whose HEAD has the base's files and then each patch.
pub struct Scratch {
    pub dir: PathBuf,
}

impl Scratch {
    /// Commits those of `paths` that `tree` has.
    pub fn begin(&self, tree: &Path, paths: &BTreeSet<String>) -> Step<()> {
        mkdir(&self.dir)?;
        self.git(&["init", "-q", "-b", "base"])?;
        for path in paths {
            copy(&tree.join(path), &self.dir.join(path))?;
        }
        self.git(&["add", "-A", "-f"])?;
        self.git(&["commit", "-q", "--allow-empty", "-m", "base"])?;
        self.git(&["tag", "base"]).map(drop)
    }

    /// Plain `git am`: a hunk may stand at another line, its context may not differ.
    pub fn am(&self, patch: &Path) -> Step<()> {
        let full = std::fs::canonicalize(patch).map_err(refuse(patch))?;
        let out = run::output(self.command(&["am", "-q", "--no-3way"]).arg(&full), &mut || ())?;
        if out.status.success() {
            return Ok(());
        }
        if run::full(&out.stderr) || is_full(&self.dir) {
            return Err(no_space(run::failed(Class::Series, "git am", &out)));
        }
        let line = format!("{} does not apply: {}", name_of(patch), complaint(&out));
        Err(Refusal::new(Class::Series, line))
    }

    /// What HEAD is.
    pub fn head(&self) -> Step<String> {
        let head = self.git(&["rev-parse", "HEAD"])?;
        Ok(String::from_utf8_lossy(&head).trim().to_owned())
    }

    /// Where HEAD has the hunks of `patch`, which was applied to `before`: a line for each that is
    /// not where and what the patch says.
    pub fn moved(&self, patch: &Path, before: &str) -> Step<Vec<String>> {
        let name = name_of(patch);
        if self.head()? == before {
            return Ok(vec![format!("already there: {name}")]);
        }
        let text = read_text(patch)?;
        let made = self.git(&["diff-tree", "-p", "-U3", "-M", "--no-color", before, "HEAD"])?;
        let mut texts = BTreeMap::new();
        for file in hunks::parse(&text).iter().filter(|file| !file.is_new()) {
            let mut show = self.command(&["cat-file", "blob"]);
            let out = run::output(show.arg(format!("{before}:{}", file.path())), &mut || ())?;
            let blob = String::from_utf8_lossy(&out.stdout).into_owned();
            texts.insert(file.path().to_owned(), blob);
        }
        Ok(hunks::report(&name, &text, &String::from_utf8_lossy(&made), &texts))
    }

    /// What the patches made of the base; new contents go to the folder `store`.
    pub fn result(&self, store: &Path) -> Step<Applied> {
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

    /// Git in this repository; it must succeed.
    pub fn git(&self, args: &[&str]) -> Step<Vec<u8>> {
        let what = format!("git {}", args[0]);
        let done = run::check(&mut self.command(args), Class::Internal, &what, &mut || ());
        done.map_err(|refusal| or_full(&self.dir, refusal))
    }

    /// Git in this repository, free of the user's configuration.
    pub fn command(&self, args: &[&str]) -> Command {
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

/// A patch's file name.
pub fn name_of(patch: &Path) -> String {
    patch.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
