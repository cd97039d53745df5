// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Compiles the kernel's own memfd_test of the tree under test, static, for the guest.

use super::stamp;
use crate::class::{Class, Refusal, Step};
use crate::files;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags of tools/testing/selftests/memfd/Makefile, and static.
const FLAGS: &[&str] = &["-static", "-O2", "-w", "-D_FILE_OFFSET_BITS=64"];

/// The tree's memfd_test, and whether it had to be compiled.
pub struct Tool {
    pub binary: PathBuf,
    pub built: bool,
}

/// Compiles memfd_test of `source_tree` into `folder`. Its name there carries the digest of its
/// sources, of the headers they use and of the compiler, so two trees never share one.
pub fn build(source_tree: &Path, folder: &Path) -> Step<Tool> {
    files::mkdir(folder)?;
    let tests = source_tree.join("tools/testing/selftests/memfd");
    let uapi = source_tree.join("include/uapi");
    let sources = ["memfd_test.c", "common.c", "common.h"].map(|name| tests.join(name));
    let headers = ["memfd.h", "fcntl.h", "falloc.h"].map(|name| uapi.join("linux").join(name));
    let inputs: Vec<&Path> = sources.iter().chain(&headers).map(PathBuf::as_path).collect();
    let digest = stamp::digest(&[&compiler()?, &FLAGS.join(" ")], &inputs)?;
    let binary = folder.join(format!("memfd_test-{}", &digest[..16]));
    if binary.is_file() {
        return Ok(Tool { binary, built: false });
    }
    let part = folder.join(format!("part-{}-memfd_test", std::process::id()));
    let output = Command::new("gcc")
        .args(FLAGS)
        // The uapi folder as it stands in the tree is enough for these two files, and spares
        // `make headers`.
        .arg("-I")
        .arg(&uapi)
        .args(&sources[..2])
        .arg("-o")
        .arg(&part)
        .output()
        .map_err(no_compiler)?;
    if !output.status.success() {
        let _ = std::fs::remove_file(&part);
        let line = format!("{}: memfd_test.c does not compile", tests.display());
        let mut refusal = Refusal::new(Class::Build, line);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        refusal.detail = words.lines().take(12).map(str::to_owned).collect();
        return Err(refusal);
    }
    std::fs::rename(&part, &binary).map_err(files::refuse(&binary))?;
    stamp::prune(folder, "memfd_test-", 8);
    Ok(Tool { binary, built: true })
}

/// What the compiler says it is.
fn compiler() -> Step<String> {
    let output = Command::new("gcc").arg("--version").output().map_err(no_compiler)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn no_compiler(error: std::io::Error) -> Refusal {
    Refusal::new(Class::Tools, format!("gcc: {error}: install gcc and libc6-dev"))
}
