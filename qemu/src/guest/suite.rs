// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Builds the suite as one static binary, which is all of the guest's user space.

use super::rust_std;
use super::stamp;
use crate::arch::Programs;
use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::{files, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGE: &str = "memfd-seals";
const STATIC: &str = "-C target-feature=+crt-static";

/// The suite's binary, and whether it had to be built.
pub struct Suite {
    pub binary: PathBuf,
    pub built: bool,
}

/// Builds the suite of the workspace `repo` into `repo/target/guest`, as one of the `programs`.
///
/// Cargo's own check that nothing changed takes about 100 ms here, so a stamp over the contents
/// of all that goes into the suite, and over the product, is asked first.
pub fn build(repo: &Path, programs: &Programs, cache: &Cache) -> Step<Suite> {
    let target_dir = repo.join("target/guest");
    files::mkdir(&target_dir)?;
    let musl = programs.is_ours() && cfg!(target_env = "musl");
    let libc = if musl { "musl" } else { programs.env };
    let triple = format!("{}-unknown-linux-{libc}", programs.rust);
    let binary = target_dir.join(&triple).join("release").join(PACKAGE);
    let ours = format!("{STATIC}{}", programs.flags);
    let flags = match std::env::var("RUSTFLAGS") {
        Ok(flags) => format!("{flags} {ours}"),
        Err(_) => ours,
    };
    let inputs = ["selftests", "Cargo.toml", "Cargo.lock"].map(|name| repo.join(name));
    let inputs = stamp::digest(&[&triple, &flags], &inputs.each_ref().map(PathBuf::as_path))?;
    let stamped = target_dir.join(format!("suite-{triple}.stamp"));
    let with_product = |binary: &Path| stamp::digest(&[&inputs], &[binary]);
    if let (Ok(old), Ok(now)) = (fs::read_to_string(&stamped), with_product(&binary)) {
        if old == now {
            return Ok(Suite { binary, built: false });
        }
    }
    let mut cargo = cargo(repo, &target_dir, &triple, &flags);
    if !programs.is_ours() {
        rust_std::find(&triple, cache, &mut || ())?.ask(&mut cargo);
        let name = triple.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{name}_LINKER"), programs.cc());
    }
    compile(cargo, &target_dir)?;
    is_static(&binary)?;
    files::write(&stamped, with_product(&binary)?.as_bytes())?;
    Ok(Suite { binary, built: true })
}

fn cargo(repo: &Path, target_dir: &Path, triple: &str, flags: &str) -> Command {
    // Under `cargo run` the variable names the very cargo in use.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = run::inheriting(cargo);
    build
        .current_dir(repo)
        .args(["build", "--release", "--locked", "-p", PACKAGE, "--target", triple])
        .arg("--target-dir")
        .arg(target_dir)
        .env("RUSTFLAGS", flags)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    build
}

fn compile(mut build: Command, target_dir: &Path) -> Step<()> {
    let log = target_dir.join("suite.log");
    files::remove(&log)?;
    if run::logged(&mut build, &log, &mut || ())?.success() {
        return Ok(());
    }
    let mut refusal =
        Refusal::new(Class::Build, format!("the suite did not build: see {}", log.display()));
    refusal.detail = stamp::tail(&log, 12);
    if refusal.detail.iter().any(|line| run::full(line)) {
        return Err(files::no_space(refusal));
    }
    Err(files::or_full(target_dir, refusal))
}

/// Refuses anything but a little-endian ELF without an interpreter: nothing in the guest could load it, and the kernel would only say "No working init found".
pub fn is_static(binary: &Path) -> Step<()> {
    let refuse = |why: &str| Refusal::new(Class::Build, format!("{}: {why}", binary.display()));
    let elf = fs::read(binary).map_err(|e| refuse(&e.to_string()))?;
    match has_interpreter(&elf) {
        Some(false) => Ok(()),
        Some(true) => Err(refuse("is linked dynamically: remove what overrides crt-static")),
        None => Err(refuse("is not an ELF file")),
    }
}

/// Whether a program header has the type PT_INTERP (3); None if these are no ELF headers.
fn has_interpreter(elf: &[u8]) -> Option<bool> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let (table, sizes) = match elf.get(..6)? {
        b"\x7fELF\x01\x01" => (u32::from_le_bytes(elf.get(28..32)?.try_into().ok()?).into(), 42),
        b"\x7fELF\x02\x01" => (u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?), 54),
        _ => return None,
    };
    let table = usize::try_from(table).ok()?;
    let (size, count) = (u16_at(sizes)? as usize, u16_at(sizes + 2)? as usize);
    let mut found = false;
    for index in 0..count {
        let at = table.checked_add(index * size)?;
        found |= elf.get(at..at.checked_add(4)?)? == 3u32.to_le_bytes();
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_has_an_interpreter_and_text_is_no_elf() {
        let shell = fs::read("/proc/self/exe").unwrap();
        assert!(has_interpreter(&shell).is_some());
        assert_eq!(has_interpreter(b"#!/bin/sh\n"), None);
        assert_eq!(has_interpreter(&shell[..40]), None);
    }
}
