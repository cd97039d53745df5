// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `git am -3` for a tree that has moved on: it needs the files that the patches were made for,
//! which their `index` lines name, and these are brought together here.

use crate::class::{Class, Refusal, Step};
use crate::files::{is_full, no_space, read_text, refuse};
use crate::gittree;
use crate::hunks::{self, FilePatch};
use crate::run::{self, Output};
use crate::scratch::{Scratch, name_of};
use crate::source::Base;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files that a series was made for, put among the objects of a scratch repository.
pub struct Ancestry {
    /// Paths whose file was nowhere to be had, with its blob.
    pub missing: BTreeMap<String, String>,
}

impl Ancestry {
    /// Finds each file by the name of its blob in the series' own base (`own`), in the tree at
    /// hand, which need not have changed it, or among the user's git objects; then applies the
    /// patches to these files, which makes the blobs that the later patches name.
    pub fn restore(
        scratch: &Scratch,
        patches: &[PathBuf],
        base: &Base,
        own: Option<&Path>,
    ) -> Step<Ancestry> {
        let index = scratch.dir.join(".git/ancestry");
        let git = |args: &[&str]| {
            let mut git = scratch.command(args);
            git.env("GIT_INDEX_FILE", &index);
            git
        };
        let mut first = BTreeMap::new();
        for patch in patches {
            for file in hunks::parse(&read_text(patch)?) {
                first.entry(file.path().to_owned()).or_insert(file);
            }
        }
        let mut missing = BTreeMap::new();
        for (path, file) in first.iter().filter(|(_, file)| !file.is_new()) {
            let Some(blob) = find(scratch, path, file, base, own)? else {
                missing.insert(path.clone(), file.blob.clone());
                continue;
            };
            let entry = format!("{},{blob},{path}", file.mode);
            let mut add = git(&["update-index", "--add", "--cacheinfo", &entry]);
            run::check(&mut add, Class::Internal, "git update-index", &mut || ())?;
        }
        for patch in patches {
            let full = std::fs::canonicalize(patch).map_err(refuse(patch))?;
            let mut apply = git(&["apply", "--cached", "--whitespace=nowarn"]);
            apply.args(missing.keys().map(|path| format!("--exclude={path}"))).arg(full);
            let out = run::output(&mut apply, &mut || ())?;
            if !out.status.success() {
                let what = format!("{} does not apply to what it was made for", name_of(patch));
                return Err(run::failed(Class::Series, &what, &out));
            }
        }
        Ok(Ancestry { missing })
    }
}

/// The blob that a patch was made for, now in the scratch repository.
fn find(
    scratch: &Scratch,
    path: &str,
    file: &FilePatch,
    base: &Base,
    own: Option<&Path>,
) -> Step<Option<String>> {
    for tree in own.into_iter().chain([base.tree.as_path()]) {
        let at = tree.join(path);
        if at.is_file() {
            let mut hash = scratch.command(&["hash-object", "-w", "--no-filters", "--"]);
            let name = run::check(hash.arg(&at), Class::Internal, "git hash-object", &mut || ())?;
            let name = String::from_utf8_lossy(&name).trim().to_owned();
            if !file.blob.is_empty() && name.starts_with(&file.blob) {
                return Ok(Some(name));
            }
        }
    }
    let Some(git) = &base.git else { return Ok(None) };
    let Some(content) = gittree::blob(&git.git_dir, &file.blob)? else { return Ok(None) };
    let copy = scratch.dir.join(".git/found");
    std::fs::write(&copy, content).map_err(refuse(&copy))?;
    let copy = copy.to_string_lossy();
    let name = scratch.git(&["hash-object", "-w", "--no-filters", "--", &copy])?;
    Ok(Some(String::from_utf8_lossy(&name).trim().to_owned()))
}

/// `git am -3`. Refuses as `plainly` does, and with what stands against a merge as well.
pub fn am(
    scratch: &Scratch,
    patch: &Path,
    missing: &BTreeMap<String, String>,
    plainly: Refusal,
) -> Step<()> {
    let text = read_text(patch)?;
    let files = hunks::parse(&text);
    let lost = files.iter().filter_map(|file| missing.get_key_value(file.path()));
    let lost: Vec<_> = lost.map(|(path, blob)| format!("{path} (blob {blob})")).collect();
    if !lost.is_empty() {
        let line = format!(
            "{}; a 3-way merge needs the base's {}: run it once without KERNEL=, which fetches the \
             base, or fetch the base's history into your tree",
            plainly.line,
            lost.join(", ")
        );
        return Err(Refusal { line, ..plainly });
    }
    let full = std::fs::canonicalize(patch).map_err(refuse(patch))?;
    let out = run::output(scratch.command(&["am", "--3way"]).arg(&full), &mut || ())?;
    if out.status.success() {
        return Ok(());
    }
    if run::full(&out.stderr) || is_full(&scratch.dir) {
        return Err(no_space(run::failed(Class::Series, "git am -3", &out)));
    }
    let conflicts = conflicts(scratch, &files, &out)?;
    if conflicts.is_empty() {
        let line = format!("{}; nor does `git am -3` take it", plainly.line);
        return Err(Refusal { line, ..plainly });
    }
    let line =
        format!("{} conflicts, plain and merged 3-way: {}", name_of(patch), conflicts.join("; "));
    Err(Refusal { line, ..plainly })
}

/// Each conflict that `git am -3` left: its file, and the hunk of the patch that is in it.
fn conflicts(scratch: &Scratch, files: &[FilePatch], out: &Output) -> Step<Vec<String>> {
    let said = String::from_utf8_lossy(&out.stdout);
    let mut found = Vec::new();
    for line in said.lines().filter_map(|line| line.strip_prefix("CONFLICT (")) {
        let Some((_, path)) = line.split_once("Merge conflict in ") else {
            // "modify/delete): mm/x.c deleted in HEAD and modified in ..."
            let file = files.iter().find(|file| line.contains(file.path()));
            let why = line.split_once("): ").map_or(line, |(_, why)| why);
            let what = match file {
                Some(file) if line.starts_with("modify/delete") => {
                    format!("{} is not there", file.path())
                }
                _ => why.to_owned(),
            };
            found.push(what);
            continue;
        };
        let merged = read_text(&scratch.dir.join(path))?;
        let hunks = files.iter().filter(|file| file.path() == path).flat_map(|file| &file.hunks);
        for theirs in sides(&merged) {
            let hunk = hunks.clone().max_by_key(|hunk| hunk.shares(&theirs));
            let line = hunk.map_or(0, |hunk| hunk.line);
            let what = format!("{path}, the hunk at line {line}");
            if !found.contains(&what) {
                found.push(what);
            }
        }
        let mut ours = scratch.command(&["cat-file", "blob"]);
        let ours = run::output(ours.arg(format!("HEAD:{path}")), &mut || ())?;
        if ours.stdout.windows(2).any(|two| two == b"\r\n") {
            found.push(format!("{path} has lines that end in CR LF"));
        }
    }
    Ok(found)
}

/// The patch's side of each conflict that is marked in a file.
fn sides(merged: &str) -> Vec<Vec<&str>> {
    let (mut sides, mut marked, mut theirs) = (Vec::new(), false, None::<Vec<&str>>);
    for line in merged.lines() {
        if line.starts_with("<<<<<<< ") {
            marked = true;
        } else if line.starts_with(">>>>>>> ") {
            sides.extend(theirs.take());
            marked = false;
        } else if let Some(theirs) = &mut theirs {
            theirs.push(line);
        } else if marked && line == "=======" {
            theirs = Some(Vec::new());
        }
    }
    sides
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
