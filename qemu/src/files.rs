// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Files written whole or not at all, hashes, and the one place where an I/O error becomes a
//! refusal that names its path.

use crate::class::{Class, Refusal, Step};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Maps an I/O error on `path` to a refusal: a full disk to [`Class::NoSpace`], a path that may
/// not be written to [`Class::Cache`], anything else to [`Class::Internal`].
pub fn refuse(path: &Path) -> impl FnOnce(io::Error) -> Refusal + use<> {
    let path = path.to_owned();
    move |error| {
        use io::ErrorKind::*;
        let (class, advice) = match error.kind() {
            StorageFull | QuotaExceeded => (Class::NoSpace, "; make room and run it again"),
            PermissionDenied | ReadOnlyFilesystem | NotADirectory => {
                let cached = crate::cache::root().is_ok_and(|root| path.starts_with(root));
                let other = "; make it writable, or set XDG_CACHE_HOME to another folder";
                (Class::Cache, if cached { other } else { "; make it writable" })
            }
            _ => (Class::Internal, ""),
        };
        Refusal::new(class, format!("{}: {error}{advice}", path.display()))
    }
}

/// Lower-case hex of the SHA-256 over `parts`, each followed by its length so that no two lists
/// of parts hash alike.
pub fn hash<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part.as_ref());
        sha.update((part.as_ref().len() as u64).to_le_bytes());
    }
    hex(&sha.finalize())
}

/// Lower-case hex of the SHA-256 of a file's content.
pub fn hash_file(path: &Path) -> Step<String> {
    let mut file = File::open(path).map_err(refuse(path))?;
    let (mut sha, mut buffer) = (Sha256::new(), vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer).map_err(refuse(path))? {
            0 => return Ok(hex(&sha.finalize())),
            n => sha.update(&buffer[..n]),
        }
        crate::interrupt::check()?;
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What tells, without reading a file, that its content is still the one that was hashed: size,
/// mtime, ctime (nanoseconds) and inode, as in git's index.
pub fn print(path: &Path) -> Option<[i64; 6]> {
    let m = fs::metadata(path).ok()?;
    let (size, ino) = (m.size() as i64, m.ino() as i64);
    Some([size, ino, m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()])
}

/// Whether the file system that holds `path` has next to nothing left (under 1 MiB).
pub fn is_full(path: &Path) -> bool {
    nix::sys::statvfs::statvfs(path)
        .is_ok_and(|s| s.blocks_available() * s.fragment_size() < 1 << 20)
}

/// What a program's failure is, whose files are in `folder`: most say why, and some do not.
pub fn or_full(folder: &Path, refusal: Refusal) -> Refusal {
    if is_full(folder) { no_space(refusal) } else { refusal }
}

/// The same refusal, of a disk that is full.
pub fn no_space(refusal: Refusal) -> Refusal {
    if refusal.line.contains("make room") {
        return refusal;
    }
    let line = format!("{}; the disk is full: make room and run it again", refusal.line);
    Refusal { class: Class::NoSpace, line, ..refusal }
}

/// Refuses a folder in which no file can be made.
pub fn writable(folder: &Path) -> Step<()> {
    let probe = folder.join(format!("probe-{}", std::process::id()));
    fs::write(&probe, b"x").map_err(refuse(folder))?;
    remove(&probe)
}

/// Makes a folder and its parents.
pub fn mkdir(path: &Path) -> Step<()> {
    fs::create_dir_all(path).map_err(refuse(path))
}

/// Reads a whole file.
pub fn read(path: &Path) -> Step<Vec<u8>> {
    fs::read(path).map_err(refuse(path))
}

/// Reads a whole file as text; bytes that are not UTF-8 are replaced.
pub fn read_text(path: &Path) -> Step<String> {
    Ok(String::from_utf8_lossy(&read(path)?).into_owned())
}

/// Replaces a file by rename, so that a reader or a kill sees the old content or the new one.
pub fn write(path: &Path, content: &[u8]) -> Step<()> {
    // Named by process: two runs may write one file at once, whichever is last stays.
    let mut temp = path.as_os_str().to_owned();
    temp.push(format!(".new-{}", std::process::id()));
    let temp = PathBuf::from(temp);
    fs::write(&temp, content).map_err(refuse(&temp))?;
    rename(&temp, path)
}

/// Renames.
pub fn rename(from: &Path, to: &Path) -> Step<()> {
    fs::rename(from, to).map_err(refuse(to))
}

/// Removes a file, a link or a folder with all it holds; fine if there is none. A folder can be a
/// kernel tree, which takes seconds: an interrupt leaves the rest of it.
pub fn remove(path: &Path) -> Step<()> {
    let Ok(kind) = fs::symlink_metadata(path) else { return Ok(()) };
    let removed = if kind.is_dir() {
        for entry in fs::read_dir(path).map_err(refuse(path))? {
            crate::interrupt::check()?;
            remove(&entry.map_err(refuse(path))?.path())?;
        }
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(refuse(path)),
    }
}

/// Reads a stamp. One that is absent, or that this version does not understand, is none.
pub fn read_stamp<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a stamp.
pub fn write_stamp<T: Serialize>(path: &Path, stamp: &T) -> Step<()> {
    let text = serde_json::to_vec_pretty(stamp)
        .map_err(|e| Refusal::new(Class::Internal, format!("{}: {e}", path.display())))?;
    write(path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(io::ErrorKind::StorageFull, Class::NoSpace)]
    #[case(io::ErrorKind::QuotaExceeded, Class::NoSpace)]
    #[case(io::ErrorKind::PermissionDenied, Class::Cache)]
    #[case(io::ErrorKind::ReadOnlyFilesystem, Class::Cache)]
    #[case(io::ErrorKind::Other, Class::Internal)]
    fn errors_have_classes_and_name_the_path(#[case] kind: io::ErrorKind, #[case] class: Class) {
        let refusal = refuse(Path::new("/some/where"))(kind.into());
        assert_eq!(refusal.class, class);
        assert!(refusal.line.starts_with("/some/where: "), "{}", refusal.line);
    }

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(hash(["ab", "c"]), hash(["a", "bc"]));
        assert_eq!(hash(["ab", "c"]).len(), 64);
    }

    #[test]
    fn write_replaces_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write(&path, b"one").unwrap();
        let linked = dir.path().join("linked");
        fs::hard_link(&path, &linked).unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read(&linked).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
