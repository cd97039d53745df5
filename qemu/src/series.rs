// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The series step: `git am` in a scratch repository that holds just the files the patches touch.
//! Its result is kept in the cache under the hash of what went in.

use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files::{self, hash, mkdir, read_stamp, refuse, write_stamp};
use crate::merge::{self, Ancestry};
use crate::scratch::Scratch;
use crate::source::{Base, name_for};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

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

/// How far a patch may be bent to fit.
#[derive(Clone, Copy, Debug)]
pub enum Manner<'a> {
    /// Plain `git am`.
    Strict,
    /// And where that fails, a 3-way merge with the file that the patch was made for.
    Merge {
        /// The tree of the series' own base, if there is one.
        own: Option<&'a Path>,
    },
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
    /// Where hunks went that are not where the patches say, a line each.
    #[serde(default)]
    pub moved: Vec<String>,
    /// Whether it was in the cache.
    #[serde(skip)]
    pub unchanged: bool,
}

/// Whether it is the cover letter that git format-patch wrote, of a later revision too: 0000-, v2-0000-.
fn is_cover(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let later = name.split_once('-').filter(|(version, _)| version.starts_with('v'));
    later.map_or(&*name, |(_, rest)| rest).starts_with("0000-")
}

/// Whether a patch has the seal in a macro of mm/memfd.c where it was not.
fn adds_seal(mail: &str) -> bool {
    let (mut memfd, mut before) = (false, "");
    for line in mail.lines().filter(|line| !line.starts_with('-') || line.starts_with("---")) {
        if line.starts_with("diff --git ") {
            memfd = line.ends_with(" b/mm/memfd.c");
        }
        let macro_of = before.ends_with('\\') || line.starts_with("+#define F_ALL_SEALS");
        if memfd && macro_of && line.starts_with('+') && line.contains("F_SEAL_FS_WRITE") {
            return true;
        }
        before = line;
    }
    false
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
        patches.retain(|path| !is_cover(path));
        patches.sort();
        if patches.is_empty() {
            let line = format!("{name} holds no *.patch file; SERIES=none boots the stock kernel");
            return Err(Refusal::new(Class::Series, line));
        }
        let full = std::fs::canonicalize(&dir).map_err(refuse(&dir))?;
        let key = key.map_or_else(|| name_for(&full), str::to_owned);
        Ok(Series { name, key, patches })
    }

    /// The subjects of the patches, as `git log` will have them. A patch that can't be read has none.
    pub fn subjects(&self) -> Vec<String> {
        let texts = self.patches.iter().filter_map(|patch| std::fs::read(patch).ok());
        texts.filter_map(|text| subject(&String::from_utf8_lossy(&text))).collect()
    }

    /// A hash of the patches' bytes, in their order; empty without patches.
    pub fn hash(&self) -> Step<String> {
        let patches: Vec<Vec<u8>> =
            self.patches.iter().map(|patch| files::read(patch)).collect::<Step<_>>()?;
        Ok(if patches.is_empty() { String::new() } else { hash(&patches) })
    }

    /// Whether F_ADD_SEALS takes the seal by these patches: one adds it to a macro of mm/memfd.c, which is
    /// F_ALL_SEALS. What enforces the seal may come before that.
    pub fn brings_seal(&self) -> bool {
        let texts = self.patches.iter().filter_map(|patch| std::fs::read(patch).ok());
        texts.into_iter().any(|text| adds_seal(&String::from_utf8_lossy(&text)))
    }

    /// Applies the patches to `base`. Refuses with [`Class::Series`], naming patch and file, if
    /// one does not apply.
    pub fn apply(&self, cache: &Cache, base: &Base, manner: Manner) -> Step<Applied> {
        if self.patches.is_empty() {
            return Ok(Applied { unchanged: true, ..Applied::default() });
        }
        let patches: Vec<Vec<u8>> =
            self.patches.iter().map(|p| files::read(p)).collect::<Step<_>>()?;
        let inputs = [base.id.as_bytes()].into_iter().chain(patches.iter().map(Vec::as_slice));
        let name = format!("series-{}", &hash(inputs)[..16]);
        cache.used(&name)?;
        let place = cache.path(name);
        let (stamp, store) = (place.join("applied.json"), place.join("files"));
        if let Some(applied) = read_stamp::<Applied>(&stamp) {
            return Ok(Applied { store, unchanged: true, ..applied });
        }
        let dir = cache.temp()?;
        let scratch = Scratch { dir: dir.join("scratch") };
        scratch.begin(&base.tree, &touched(&patches))?;
        let mut ancestry = None;
        let mut moved = Vec::new();
        for patch in &self.patches {
            let before = scratch.head()?;
            if let Err(refusal) = scratch.am(patch) {
                let own = match manner {
                    Manner::Merge { own } if refusal.class == Class::Series => own,
                    _ => return Err(refusal),
                };
                scratch.git(&["am", "--abort"])?;
                let found = match ancestry.take() {
                    Some(found) => found,
                    None => Ancestry::restore(&scratch, &self.patches, base, own)?,
                };
                merge::am(&scratch, patch, &ancestry.insert(found).missing, refusal)?;
            }
            moved.extend(scratch.moved(patch, &before)?);
        }
        let made = dir.join("made");
        mkdir(&made.join("files"))?;
        let applied = Applied { moved, ..scratch.result(&made.join("files"))? };
        write_stamp(&made.join("applied.json"), &applied)?;
        cache.discard(&place)?;
        files::rename(&made, &place)?;
        Ok(Applied { store, ..applied })
    }
}

/// The subject of a mail, unfolded, without what stands in brackets before it.
fn subject(mail: &str) -> Option<String> {
    let mut lines = mail.lines().skip_while(|line| !line.starts_with("Subject:"));
    let first = lines.next()?.trim_start_matches("Subject:").trim();
    let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
    let whole = folded.fold(first.to_owned(), |whole, line| format!("{whole} {}", line.trim()));
    let mut rest = whole.as_str();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|tag| tag.split_once(']')) {
        rest = after.trim_start();
    }
    Some(rest.to_owned())
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

#[cfg(test)]
#[path = "series_tests.rs"]
pub mod tests;
