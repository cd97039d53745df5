// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The source step: what `KERNEL=` says, as a pristine tree in the cache that nobody writes to.

use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files::{self, hash};
use crate::gittree::{self, GitTree};
use crate::run::{self, Tick, command};
use crate::ui::Ui;
use std::path::{Path, PathBuf};

/// A kernel's source before the series.
#[derive(Clone, Debug)]
pub struct Base {
    /// Identity of its content: a package's version and hash, a tarball's hash, a git tree's hash.
    pub id: String,
    /// Where it comes from, as a file name: stays the same when a git tree moves on.
    pub origin: String,
    /// "7.3.4"
    pub version: String,
    /// "7.3.4 (Debian linux-source-7.3 7.3.4-1~bpo13+1)"
    pub name: String,
    /// The pristine tree: complete, and never written to.
    pub tree: PathBuf,
    /// Where two states of this base can be compared, if it comes from git.
    pub git: Option<GitTree>,
    /// What a person should be told, a line each.
    pub notes: Vec<String>,
    /// Whether it was there already.
    pub unchanged: bool,
}

/// The base that `KERNEL=` names.
pub fn given(cache: &Cache, kernel: &Path, ui: &mut Ui) -> Step<Base> {
    let path = std::fs::canonicalize(kernel).map_err(|e| not_a_kernel(kernel, &e.to_string()))?;
    if path.is_file() {
        tarball(cache, &path, ui)
    } else if let Some(git_dir) = gittree::git_dir(&path) {
        gittree::committed(cache, &path, &git_dir, ui)
    } else {
        is_kernel(kernel, &path)?;
        gittree::uncommitted(cache, &path, ui)
    }
}

/// The refusal of a `KERNEL=` that is none.
pub fn not_a_kernel(kernel: &Path, why: &str) -> Refusal {
    let shown = kernel.display();
    let line = format!(
        "KERNEL={shown} is no kernel ({why}); give a git tree, an unpacked tree or a tarball of Linux"
    );
    Refusal::new(Class::NotAKernel, line)
}

/// Unpacks any tar archive into `dir`.
pub fn untar(archive: &Path, dir: &Path, tick: Tick) -> Step<()> {
    let mut tar = command("tar");
    // Many tarballs of kernels are made of blocks that all CPUs can unpack at once.
    tar.env("XZ_DEFAULTS", "-T0").arg("-xf").arg(archive).arg("-C").arg(dir);
    tar.args(["--no-same-owner", "--no-same-permissions"]);
    let done = run::check(&mut tar, Class::Source, "tar", tick);
    done.map(drop).map_err(|refusal| files::or_full(dir, refusal))
}

fn tarball(cache: &Cache, path: &Path, ui: &mut Ui) -> Step<Base> {
    let sha256 = cache.hash_of(path)?;
    let origin = format!("tarball-{}", &sha256[..16]);
    let place = cache.path(&origin);
    let unchanged = place.is_dir();
    if !unchanged {
        let dir = cache.temp()?;
        let unpacked =
            untar(path, &dir, &mut || ui.progress(|| format!("unpacking {}", path.display())));
        unpacked.map_err(|mut refusal| {
            if refusal.class == Class::Source {
                refusal = not_a_kernel(path, &refusal.line);
            }
            refusal
        })?;
        let top = top_folder(&dir)?;
        is_kernel(path, &top)?;
        files::rename(&top, &place)?;
    }
    let version = is_kernel(path, &place)?;
    Ok(Base {
        id: format!("tarball {sha256}"),
        name: format!("{version} ({})", path.display()),
        origin,
        version,
        tree: place,
        git: None,
        notes: Vec::new(),
        unchanged,
    })
}

/// The one folder that a tarball holds, or the place it was unpacked to.
pub fn top_folder(dir: &Path) -> Step<PathBuf> {
    let entries = std::fs::read_dir(dir).map_err(files::refuse(dir))?;
    let entries: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    Ok(match entries.as_slice() {
        [one] if one.is_dir() => one.clone(),
        _ => dir.to_owned(),
    })
}

/// The version of the kernel in `tree`, or the refusal that names `kernel`.
pub fn is_kernel(kernel: &Path, tree: &Path) -> Step<String> {
    let makefile = std::fs::read(tree.join("Makefile"))
        .map_err(|_| not_a_kernel(kernel, "it has no Makefile"))?;
    if !tree.join("Kconfig").is_file() {
        return Err(not_a_kernel(kernel, "it has no Kconfig"));
    }
    version_of(&String::from_utf8_lossy(&makefile))
        .ok_or_else(|| not_a_kernel(kernel, "its Makefile has no VERSION and PATCHLEVEL"))
}

/// A file name for a path that says which path it is to a person, and differs for each path.
pub fn name_for(path: &Path) -> String {
    let last = path.file_name().unwrap_or_default().to_string_lossy();
    let plain: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(24).collect();
    format!("{plain}-{}", &hash([path.as_os_str().as_encoded_bytes()])[..8])
}

/// "7.3.4" or "7.4.0-rc1", from the top of a kernel's Makefile.
pub fn version_of(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        makefile.lines().take(20).find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let number = |name: &str| value(name).filter(|v| v.parse::<u32>().is_ok());
    let (version, patchlevel) = (number("VERSION")?, number("PATCHLEVEL")?);
    let sublevel = number("SUBLEVEL").unwrap_or_else(|| "0".into());
    let extra = value("EXTRAVERSION").unwrap_or_default();
    Some(format!("{version}.{patchlevel}.{sublevel}{extra}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n", Some("7.3.4"))]
    #[case(
        "# x\nVERSION = 7\nPATCHLEVEL = 4\nSUBLEVEL = 0\nEXTRAVERSION = -rc1\n",
        Some("7.4.0-rc1")
    )]
    #[case("VERSION = 1.2.3\nPATCHLEVEL = 3\n", None)]
    #[case("all:\n\tcc x.c\n", None)]
    fn versions(#[case] makefile: &str, #[case] want: Option<&str>) {
        assert_eq!(version_of(makefile).as_deref(), want);
    }

    #[test]
    fn names_differ_by_path() {
        let (a, b) = (name_for(Path::new("/a/linux-next")), name_for(Path::new("/b/linux-next")));
        assert!(a.starts_with("linux_next-") && a != b);
    }
}
