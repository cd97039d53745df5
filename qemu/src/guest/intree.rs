// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Compiles the kernel's own memfd_test of the tree under test, static, for the guest.

use super::stamp;
use crate::arch::Programs;
use crate::class::{Class, Refusal, Step};
use crate::{files, run};
use std::path::{Path, PathBuf};

/// Flags of tools/testing/selftests/memfd/Makefile, and static.
const FLAGS: &[&str] = &["-static", "-O2", "-w", "-D_FILE_OFFSET_BITS=64"];

/// The tree's memfd_test, and whether it had to be compiled.
pub struct Tool {
    pub binary: PathBuf,
    pub built: bool,
}

/// Compiles memfd_test of `source_tree` into `folder`. Its name there carries the digest of its
/// sources, of the headers they use and of the compiler, so two trees never share one.
pub fn build(source_tree: &Path, programs: &Programs, folder: &Path) -> Step<Tool> {
    files::mkdir(folder)?;
    let tests = source_tree.join("tools/testing/selftests/memfd");
    let uapi = source_tree.join("include/uapi");
    let sources = ["memfd_test.c", "common.c", "common.h"].map(|name| tests.join(name));
    let headers = ["memfd.h", "fcntl.h", "falloc.h"].map(|name| uapi.join("linux").join(name));
    let inputs: Vec<&Path> = sources.iter().chain(&headers).map(PathBuf::as_path).collect();
    let digest = stamp::digest(&[&compiler(&programs.cc())?, &FLAGS.join(" ")], &inputs)?;
    let binary = folder.join(format!("memfd_test-{}", &digest[..16]));
    if stamp::intact(&binary) {
        return Ok(Tool { binary, built: false });
    }
    let part = folder.join(format!("part-{}-memfd_test", std::process::id()));
    let mut gcc = run::inheriting(programs.cc());
    // The tree's own headers of what is tested, and the machine's of all else: that spares
    // `make headers`, without which the others of the tree do not always stand alone.
    let include = folder.join(format!("part-{}-include", std::process::id()));
    files::mkdir(&include.join("linux"))?;
    for header in &headers {
        let name = header.file_name().unwrap_or_default();
        let place = include.join("linux").join(name);
        std::fs::copy(header, &place).map_err(files::refuse(&place))?;
    }
    gcc.args(FLAGS).arg("-I").arg(&include).args(&sources[..2]).arg("-o").arg(&part);
    let output = run::output(&mut gcc, &mut || ());
    files::remove(&include)?;
    let unfinished = output.as_ref().map_or(true, |output| !output.status.success());
    let full = unfinished && files::is_full(folder);
    if unfinished {
        let _ = std::fs::remove_file(&part);
    }
    let output = output?;
    if unfinished {
        let line = format!("{}: memfd_test.c does not compile", tests.display());
        let mut refusal = Refusal::new(Class::Build, line);
        refusal.detail = output.stderr.lines().take(12).map(str::to_owned).collect();
        let full = full || run::full(&output.stderr);
        return Err(if full { files::no_space(refusal) } else { refusal });
    }
    std::fs::rename(&part, &binary).map_err(files::refuse(&binary))?;
    stamp::note(&binary)?;
    stamp::prune(folder, "memfd_test-", 16);
    Ok(Tool { binary, built: true })
}

/// What the compiler says it is.
fn compiler(gcc: &str) -> Step<String> {
    let said = run::output(run::inheriting(gcc).arg("--version"), &mut || ())?.stdout;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
