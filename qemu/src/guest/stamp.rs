// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Content decides whether a step can be skipped.

use crate::class::{Class, Refusal, Step};
use crate::files;
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Lower-case hex SHA-256 over `words`, and over the names and contents of `paths`; folders count
/// with all they hold. A path that can't be read is refused (class build).
pub fn digest(words: &[&str], paths: &[&Path]) -> Step<String> {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    words.iter().for_each(|word| add(word.as_bytes()));
    for root in paths {
        let mut files = Vec::new();
        collect(root, &mut files).map_err(|e| unreadable(root, &e))?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
            add(name.as_bytes());
            add(&fs::read(&file).map_err(|e| unreadable(&file, &e))?);
        }
    }
    Ok(files::hex(&hash.finalize()))
}

/// Notes what a product's content is, beside it, for [`intact`].
pub fn note(product: &Path) -> Step<()> {
    files::write(&beside(product), files::hash_file(product)?.as_bytes())
}

/// Whether a product is there, and is what was noted: a file that a crash left empty is not.
pub fn intact(product: &Path) -> bool {
    let noted = fs::read_to_string(beside(product));
    noted.is_ok_and(|noted| files::hash_file(product).is_ok_and(|now| now == noted))
}

fn beside(product: &Path) -> PathBuf {
    let mut name = product.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    fs::read_dir(path)?.try_for_each(|entry| collect(&entry?.path(), files))
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(Class::Build, format!("{}: cannot be read: {error}", path.display()))
}

/// Removes all but the newest `keep` entries of `folder` whose names start with `prefix`.
/// A run beside this one may do the same, so what is already gone is no error.
pub fn prune(folder: &Path, prefix: &str, keep: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut found: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    for (_, path) in found.iter().rev().skip(keep) {
        let _ = fs::remove_file(path);
    }
}

/// The last lines of a log, for a refusal.
pub fn tail(log: &Path, lines: usize) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| line.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_that_changed_is_not_intact() {
        let dir = tempfile::tempdir().unwrap();
        let product = dir.path().join("initramfs-1.cpio");
        assert!(!intact(&product));
        fs::write(&product, "one").unwrap();
        assert!(!intact(&product), "nothing was noted");
        note(&product).unwrap();
        assert!(intact(&product));
        fs::write(&product, "").unwrap();
        assert!(!intact(&product));
    }
}
