// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Where a target's standard library comes from: the toolchain has it, rustup fetches it, or cargo
//! builds it from the very compiler's source, which Debian has as a package.

use crate::apt::{self, Apt};
use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files;
use crate::run::{self, Tick, command};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's packages of the source, and suites that may have them.
const PACKAGES: &[(&str, &[&str])] = &[
    ("rust-src", &["trixie-backports", "forky", "sid", "trixie", "bookworm"]),
    ("rust-web-src", &["bookworm", "bookworm-security", "trixie", "bullseye-security"]),
];

/// What cargo has to do for it.
#[derive(Debug, PartialEq, Eq)]
pub enum RustStd {
    /// Nothing.
    There,
    /// Build it from this folder, which is the source's `library`.
    From(PathBuf),
}

/// For the compiler in PATH. Refuses (class tools) with what to install.
pub fn find(triple: &str, cache: &Cache, tick: Tick) -> Step<RustStd> {
    let sysroot = PathBuf::from(said(&["--print", "sysroot"])?);
    let there = || sysroot.join("lib/rustlib").join(triple).join("lib").is_dir();
    if there() {
        return Ok(RustStd::There);
    }
    // Its own words would only confuse if what comes next helps.
    let add = run::which("rustup").map(|_| {
        run::output(run::inheriting("rustup").args(["target", "add", triple]), &mut *tick)
    });
    if add.transpose()?.is_some_and(|out| out.status.success()) && there() {
        return Ok(RustStd::There);
    }
    let beside = sysroot.join("lib/rustlib/src/rust/library");
    if beside.join("std").is_dir() {
        return Ok(RustStd::From(beside));
    }
    let version = said(&["--version"])?;
    let version = version.split(' ').nth(1).unwrap_or_default();
    let kept = cache.path(format!("rust-{version}"));
    if !kept.is_dir() && !fetch(version, cache, &kept, tick)? {
        let line = format!(
            "no standard library for {triple}: `rustup target add {triple}`, or the source of Rust \
             {version} (Debian's rust-src)"
        );
        return Err(Refusal::new(Class::Tools, line));
    }
    Ok(RustStd::From(kept.join("library")))
}

impl RustStd {
    /// Has `cargo` build it, if need be.
    pub fn ask(&self, cargo: &mut Command) {
        if let RustStd::From(library) = self {
            // cargo calls it unstable; the compiler is a stable one, and so is what comes out.
            cargo.arg("-Zbuild-std=std,panic_unwind").env("RUSTC_BOOTSTRAP", "1");
            cargo.env("__CARGO_TESTS_ONLY_SRC_ROOT", library);
        }
    }
}

/// What the compiler says.
fn said(args: &[&str]) -> Step<String> {
    let mut rustc = run::inheriting("rustc");
    let text = run::check(rustc.args(args), Class::Tools, "rustc", &mut || ())?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// Fetches the source of this version to `place`; false if no mirror has it.
fn fetch(version: &str, cache: &Cache, place: &Path, tick: Tick) -> Step<bool> {
    let mirrors = apt::mirrors()?;
    for (package, suites) in PACKAGES {
        for suite in *suites {
            for mirror in mirrors.iter().filter(|mirror| apt::may_have(mirror, suite)) {
                let apt = Apt::new(cache.temp()?)?;
                if !apt.fetch_lists(mirror, suite, false, &mut *tick)? {
                    continue;
                }
                let versions = apt.versions(package)?;
                let Some(own) = versions.iter().find(|own| is(own, version)) else { break };
                let dir = cache.temp()?;
                let deb = apt.download(package, own, &dir, &mut *tick)?;
                let mut extract = command("dpkg-deb");
                extract.arg("-x").arg(&deb).arg(dir.join("all"));
                run::check(&mut extract, Class::Source, "dpkg-deb -x", &mut *tick)?;
                let source = dir.join(format!("all/usr/src/rustc-{version}"));
                files::rename(&source, place)?;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a package's version is one of this compiler: "1.95.0+dfsg1-1~bpo13+1" of "1.95.0".
fn is(package: &str, compiler: &str) -> bool {
    let rest = package.strip_prefix(compiler);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1.95.0+dfsg1-1~bpo13+1", "1.95.0", true)]
    #[case("1.95.0-1", "1.95.0", true)]
    #[case("1.95.01-1", "1.95.0", false)]
    #[case("1.94.0+dfsg1-1", "1.95.0", false)]
    fn packages_of_a_compiler(#[case] package: &str, #[case] compiler: &str, #[case] want: bool) {
        assert_eq!(is(package, compiler), want);
    }
}
