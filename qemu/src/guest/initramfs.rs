// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The guest's root file system: an archive written by the kernel's own gen_init_cpio, which
//! makes device nodes without root. Not compressed: unpacking would cost more than reading.

use super::stamp;
use crate::class::{Class, Refusal, Step};
use crate::{files, run};
use std::path::{Path, PathBuf};

/// What the archive holds besides programs; /init opens /dev/console before anything is mounted.
const NODES: &str = "\
dir /dev 0755 0 0
nod /dev/console 0600 0 0 c 5 1
nod /dev/null 0666 0 0 c 1 3
dir /proc 0755 0 0
dir /sys 0755 0 0
dir /tmp 1777 0 0
dir /run 0755 0 0
";

/// The archive, and whether it had to be written.
pub struct Archive {
    pub path: PathBuf,
    pub built: bool,
}

/// Writes an archive of `programs`, pairs of a path in the guest and a file, into `folder`.
/// `build_dir` is the kernel's, for `usr/gen_init_cpio`.
pub fn build(build_dir: &Path, programs: &[(&str, &Path)], folder: &Path) -> Step<Archive> {
    let generator = build_dir.join("usr/gen_init_cpio");
    let mut inputs: Vec<&Path> = programs.iter().map(|(_, file)| *file).collect();
    inputs.push(&generator);
    let names: Vec<&str> = programs.iter().map(|(name, _)| *name).collect();
    let digest = stamp::digest(&[NODES, &names.join(" ")], &inputs)?;
    let path = folder.join(format!("initramfs-{}.cpio", &digest[..16]));
    if stamp::intact(&path) {
        return Ok(Archive { path, built: false });
    }
    // Paths with spaces can't be written in the list, so the generator is started where links
    // without any stand for them.
    let scratch = tempfile::tempdir_in(folder).map_err(files::refuse(folder))?;
    let mut list = NODES.to_owned();
    for (index, (name, file)) in programs.iter().enumerate() {
        let link = scratch.path().join(index.to_string());
        let file = file.canonicalize().map_err(files::refuse(file))?;
        std::os::unix::fs::symlink(file, &link).map_err(files::refuse(&link))?;
        list.push_str(&format!("file {name} {index} 0755 0 0\n"));
    }
    let list_file = scratch.path().join("list");
    std::fs::write(&list_file, list).map_err(files::refuse(&list_file))?;
    let refuse =
        |why: String| Refusal::new(Class::Build, format!("{}: {why}", generator.display()));
    let mut generate = run::inheriting(&generator);
    // A fixed time makes the same inputs the same bytes.
    generate.args(["-t", "0", "list"]).current_dir(scratch.path());
    let output = run::output(&mut generate, &mut || ())?;
    if !output.status.success() {
        let said = output.stderr.lines().next().unwrap_or("failed").to_owned();
        return Err(files::or_full(folder, refuse(said)));
    }
    files::write(&path, &output.stdout)?;
    stamp::note(&path)?;
    stamp::prune(folder, "initramfs-", 8);
    Ok(Archive { path, built: true })
}
