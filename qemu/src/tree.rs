// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The build's source tree: hard links to the pristine tree, with the series' files in their
//! place. From one run to the next only files that differ are rewritten, so that make rebuilds
//! only what depends on them.

use crate::cache::Cache;
use crate::class::{Class, Step};
use crate::files::{self, mkdir, read_stamp, refuse, write_stamp};
use crate::run::{self, command};
use crate::series::{Applied, Content};
use crate::source::Base;
use crate::ui::Ui;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// One kernel's working folder: its source tree, its build folder, and their stamps.
pub struct WorkTree {
    /// The folder of all of it.
    pub dir: PathBuf,
    /// The patched source.
    pub source: PathBuf,
    /// The build folder (`O=`).
    pub build: PathBuf,
    /// How many files were rewritten; none if the tree is new.
    pub rewritten: Option<usize>,
}

#[derive(Default, Serialize, Deserialize)]
struct Stamp {
    base: String,
    git_tree: Option<String>,
    files: BTreeMap<String, Option<Content>>,
    /// Paths that may be in any state: a run was killed while it rewrote them.
    pending: BTreeSet<String>,
}

/// Whether the working folder `dir` holds `base` with `applied` on top.
pub fn holds(dir: &Path, base: &Base, applied: &Applied) -> bool {
    let stamp: Option<Stamp> = read_stamp(&dir.join("tree.json"));
    stamp.is_some_and(|s| s.base == base.id && s.files == applied.files && s.pending.is_empty())
}

/// Brings the tree called `name` to `base` with `applied` on top.
pub fn sync(
    cache: &Cache,
    name: &str,
    base: &Base,
    applied: &Applied,
    ui: &mut Ui,
) -> Step<WorkTree> {
    let dir = cache.path(name);
    let mut work = WorkTree {
        source: dir.join("source"),
        build: dir.join("build"),
        dir: dir.clone(),
        rewritten: Some(0),
    };
    let at = dir.join("tree.json");
    let mut stamp: Stamp = read_stamp(&at).unwrap_or_default();
    let Some(mut paths) = moved(&stamp, base)?.filter(|_| work.source.is_dir()) else {
        begin(cache, &work, base, ui)?;
        stamp = Stamp { base: base.id.clone(), git_tree: git_tree(base), ..Stamp::default() };
        let changed: Vec<&String> = applied.files.keys().collect();
        rewrite(cache, &work, base, applied, changed.into_iter())?;
        stamp.files = applied.files.clone();
        write_stamp(&at, &stamp)?;
        work.rewritten = None;
        return Ok(work);
    };
    let either = stamp.files.keys().chain(applied.files.keys());
    paths.extend(either.filter(|p| stamp.files.get(*p) != applied.files.get(*p)).cloned());
    paths.append(&mut stamp.pending);
    if paths.is_empty() && stamp.base == base.id {
        return Ok(work);
    }
    // The old states stay recorded until the last file is right: a run that is killed here leaves
    // a list of what to look at, not a tree that looks done.
    stamp.pending = paths;
    write_stamp(&at, &stamp)?;
    work.rewritten = Some(rewrite(cache, &work, base, applied, stamp.pending.iter())?);
    let done = Stamp {
        base: base.id.clone(),
        git_tree: git_tree(base),
        files: applied.files.clone(),
        pending: BTreeSet::new(),
    };
    write_stamp(&at, &done)?;
    Ok(work)
}

fn git_tree(base: &Base) -> Option<String> {
    base.git.as_ref().map(|git| git.tree.clone())
}

/// The paths in which the base differs from the stamped one; none if that can't be told.
fn moved(stamp: &Stamp, base: &Base) -> Step<Option<BTreeSet<String>>> {
    if stamp.base == base.id {
        return Ok(Some(BTreeSet::new()));
    }
    let (Some(old), Some(git)) = (&stamp.git_tree, &base.git) else { return Ok(None) };
    Ok(git.changed_since(old)?.map(BTreeSet::from_iter))
}

/// A new tree. An old build folder goes too: its objects may look newer than these files.
fn begin(cache: &Cache, work: &WorkTree, base: &Base, ui: &mut Ui) -> Step<()> {
    cache.discard(&work.dir)?;
    let dir = cache.temp()?;
    let mut link = command("cp");
    link.arg("-al").arg("--").arg(&base.tree).arg(dir.join("source"));
    let mut tick = || ui.progress(|| "linking the build's source tree".into());
    run::check(&mut link, Class::Cache, "cp -al", &mut tick)?;
    mkdir(&dir.join("build"))?;
    files::rename(&dir, &work.dir)
}

/// Makes each path what the series, else the base, says. Gives how many files were wrong.
fn rewrite<'a>(
    cache: &Cache,
    work: &WorkTree,
    base: &Base,
    applied: &Applied,
    paths: impl Iterator<Item = &'a String>,
) -> Step<usize> {
    let temp = cache.temp()?;
    let mut rewritten = 0;
    for path in paths {
        let from = match applied.files.get(path) {
            Some(Some(content)) => Some(applied.store.join(&content.blob)),
            Some(None) => None,
            None => Some(base.tree.join(path)),
        };
        let from = from.filter(|from| from.symlink_metadata().is_ok());
        let to = work.source.join(path);
        if put(from.as_deref(), &to, &temp.join("file"))? {
            rewritten += 1;
        }
    }
    Ok(rewritten)
}

/// Makes `to` a copy of `from`, or nothing. True if it was something else. What is written is
/// never a link to `from`: its age must be now, so that make sees it.
fn put(from: Option<&Path>, to: &Path, temp: &Path) -> Step<bool> {
    let wanted = from.map(look).transpose()?;
    let found = if to.symlink_metadata().is_ok() { Some(look(to)?) } else { None };
    if wanted == found {
        return Ok(false);
    }
    match wanted {
        None => files::remove(to)?,
        Some(Look { link: Some(target), .. }) => {
            symlink(target, temp).map_err(refuse(temp))?;
            place(temp, to)?;
        }
        Some(Look { bytes, mode, .. }) => {
            std::fs::write(temp, bytes).map_err(refuse(temp))?;
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(temp, mode).map_err(refuse(temp))?;
            place(temp, to)?;
        }
    }
    Ok(true)
}

fn place(temp: &Path, to: &Path) -> Step<()> {
    if let Some(parent) = to.parent() {
        mkdir(parent)?;
    }
    files::rename(temp, to)
}

#[derive(PartialEq)]
struct Look {
    link: Option<PathBuf>,
    bytes: Vec<u8>,
    mode: u32,
}

fn look(path: &Path) -> Step<Look> {
    let kind = path.symlink_metadata().map_err(refuse(path))?;
    if kind.is_symlink() {
        let link = Some(std::fs::read_link(path).map_err(refuse(path))?);
        return Ok(Look { link, bytes: Vec::new(), mode: 0 });
    }
    // Only the owner's execute bit is the series' business; the rest is the umask's.
    let mode = if kind.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
    Ok(Look { link: None, bytes: files::read(path)?, mode })
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
