// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The config step: tinyconfig, the fragment, the salt, and the check that every option asked
//! for is still there after olddefconfig.

use crate::arch::Arch;
use crate::class::{Class, Refusal, Step};
use crate::files::{self, hash, read_stamp, write_stamp};
use crate::fragment::{Fragment, lost, options, value_of};
use crate::run::{self, command};
use crate::series::Applied;
use crate::source::Base;
use crate::tree::WorkTree;
use crate::ui::Ui;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::Command;

const SALT: &str = "CONFIG_BUILD_SALT";

/// What syncconfig makes, and whether the salt stands in it. The empty file tells fixdep which
/// objects the salt is in.
const SYNCED: &[(&str, bool)] = &[
    ("include/generated/autoconf.h", true),
    ("include/generated/rustc_cfg", true),
    ("include/config/BUILD_SALT", false),
    ("include/config/auto.conf.cmd", false),
    ("include/config/auto.conf", true),
];

/// A configured build folder.
pub struct Config {
    /// The build salt: a hash of base, series, fragment and compiler.
    pub salt: String,
    /// The number of options asked for.
    pub asked: usize,
    /// Whether nothing had to be done.
    pub unchanged: bool,
}

#[derive(Serialize, Deserialize)]
struct Stamp {
    /// See [`Identity`].
    inputs: String,
    salt: String,
    /// Of `.config`.
    sha256: String,
}

/// What a kernel is made of, in hashes.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The build salt: of base, series, fragment and compiler.
    pub salt: String,
    /// Of all that decides about the options.
    inputs: String,
}

impl Identity {
    /// Of the kernel that these make.
    pub fn of(base: &Base, applied: &Applied, fragment: &Fragment, arch: Arch) -> Step<Identity> {
        let compiler = compiler(arch)?;
        let common = [base.id.as_str(), &fragment.text, &compiler];
        let salt = hash(common.into_iter().chain([applied.series_hash.as_str()]));
        let decides = applied.files.iter().filter(|(path, _)| decides(path));
        let decides: Vec<String> =
            decides.map(|(p, c)| format!("{p} {}", c.as_ref().map_or("", |c| &c.blob))).collect();
        let inputs = hash(common.into_iter().chain(decides.iter().map(String::as_str)));
        Ok(Identity { salt: salt[..32].to_owned(), inputs })
    }
}

/// The salt that a working folder was last configured with.
pub fn salt_of(dir: &Path) -> Option<String> {
    read_stamp::<Stamp>(&dir.join("config.json")).map(|stamp| stamp.salt)
}

/// Configures the build folder. Refuses with [`Class::Config`], naming each option that was asked
/// for and is not there.
pub fn configure(
    work: &WorkTree,
    identity: &Identity,
    fragment: &Fragment,
    arch: Arch,
    ui: &mut Ui,
) -> Step<Config> {
    let Identity { salt, inputs } = identity.clone();
    let (at, dot) = (work.dir.join("config.json"), work.build.join(".config"));
    let asked = options(&fragment.text);
    let done = |unchanged| Config { salt: salt.clone(), asked: asked.len(), unchanged };

    let stamp: Option<Stamp> = read_stamp(&at);
    let intact = stamp.filter(|s| s.inputs == inputs && is(&dot, &s.sha256));
    let unchanged = intact.as_ref().is_some_and(|s| s.salt == salt);
    if unchanged {
        return Ok(done(true));
    }
    files::remove(&at)?;
    if let Some(Stamp { salt: old, .. }) = intact {
        resalt(&work.build, &old, &salt)?;
    } else {
        let log = work.dir.join("config.log");
        files::remove(&log)?;
        make(work, arch, "tinyconfig", &log, ui)?;
        let text = format!("{}\n{}\n{SALT}=\"{salt}\"\n", files::read_text(&dot)?, fragment.text);
        files::write(&dot, text.as_bytes())?;
        make(work, arch, "olddefconfig", &log, ui)?;
    }
    let text = files::read_text(&dot)?;
    let mut lost = lost(&asked, &text);
    if value_of(&options(&text), SALT) != format!("\"{salt}\"") {
        lost.push(format!("{SALT} was not taken"));
    }
    if !lost.is_empty() {
        let line = format!(
            "olddefconfig did not keep what was asked for: {}; ask for what they depend on too, \
             or for neither",
            lost.join(", ")
        );
        return Err(Refusal::new(Class::Config, line));
    }
    let sha256 = hash([text.as_bytes()]);
    write_stamp(&at, &Stamp { inputs, salt: salt.clone(), sha256 })?;
    Ok(done(false))
}

/// The kernel's make on a working folder.
pub fn kernel_make(work: &WorkTree, arch: Arch) -> Command {
    let mut make = command("make");
    make.arg("-C").arg(&work.source).arg(format!("O={}", work.build.display()));
    // Fixed, so that equal inputs give an equal vmlinux.
    make.args(["KBUILD_BUILD_TIMESTAMP=2001-09-09", "KBUILD_BUILD_USER=qemu-test"]);
    make.args(["KBUILD_BUILD_HOST=localhost", "KBUILD_BUILD_VERSION=1"]);
    make.arg(format!("ARCH={}", arch.name()));
    make.arg(format!("CROSS_COMPILE={}", arch.programs().prefix()));
    make
}

fn make(work: &WorkTree, arch: Arch, target: &str, log: &Path, ui: &mut Ui) -> Step<()> {
    let mut tick = || ui.progress(|| format!("make {target}"));
    let status = run::logged(kernel_make(work, arch).arg(target), log, &mut tick)?;
    if status.success() {
        return Ok(());
    }
    let said = files::read_text(log)?;
    let line = format!("make {target} failed; its output is in {}", log.display());
    let refusal =
        Refusal { detail: crate::build::errors(&said), ..Refusal::new(Class::Config, line) };
    Err(if run::full(&said) { files::no_space(refusal) } else { files::or_full(log, refusal) })
}

/// The first line of `gcc --version`, which names the machine that it compiles for.
fn compiler(arch: Arch) -> Step<String> {
    let gcc = arch.programs().cc();
    let what = format!("{gcc} --version");
    let text = run::check(command(&gcc).arg("--version"), Class::Tools, &what, &mut || ())?;
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// Whether a file of the series can change which options there are, or their defaults.
fn decides(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("Kconfig")
        || path.starts_with("scripts/")
        || path == "Makefile"
        || name.ends_with("config")
}

fn is(path: &Path, sha256: &str) -> bool {
    std::fs::read(path).is_ok_and(|content| hash([content]) == sha256)
}

/// Changes the salt, and nothing else, in `.config` and in what syncconfig made of it, as
/// syncconfig would: it reads all of Kconfig, which takes longer than compiling a file.
///
/// `.config` is written first and auto.conf last. A run that is killed in between leaves a
/// `.config` that is newer, and then make runs syncconfig itself. So it does where these files
/// are not what is expected here.
fn resalt(build: &Path, old: &str, new: &str) -> Step<()> {
    let dot = build.join(".config");
    let age = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let mut generated = Vec::new();
    for (name, salted) in SYNCED {
        let path = build.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if age(&path) >= age(&dot) && text.contains(old) == *salted {
            generated.push((path, text.replace(old, new)));
        }
    }
    files::write(&dot, with_salt(&files::read_text(&dot)?, new).as_bytes())?;
    if generated.len() == SYNCED.len() {
        for (path, text) in generated {
            files::write(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

/// `.config` with another salt.
fn with_salt(config: &str, salt: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("CONFIG_BUILD_SALT=") {
            format!("{SALT}=\"{salt}\"\n")
        } else {
            format!("{line}\n")
        }
    };
    config.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("mm/Kconfig", true)]
    #[case("mm/Kconfig.debug", true)]
    #[case("scripts/cc-version.sh", true)]
    #[case("kernel/configs/tiny.config", true)]
    #[case("Makefile", true)]
    #[case("mm/Makefile", false)]
    #[case("mm/shmem.c", false)]
    fn files_that_decide(#[case] path: &str, #[case] want: bool) {
        assert_eq!(decides(path), want);
    }

    #[rstest]
    #[case::in_step("", "new")]
    #[case::of_another_salt("other ", "old")]
    fn generated_files_follow_the_salt(#[case] spoilt: &str, #[case] want: &str) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        files::write(&path(".config"), b"CONFIG_BUILD_SALT=\"old\"\n").unwrap();
        for (name, salted) in SYNCED {
            files::mkdir(path(name).parent().unwrap()).unwrap();
            files::write(&path(name), if *salted { b"old\n" } else { b"" }).unwrap();
        }
        if !spoilt.is_empty() {
            files::write(&path("include/generated/rustc_cfg"), spoilt.as_bytes()).unwrap();
        }
        resalt(dir.path(), "old", "new").unwrap();
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert_eq!(read(".config"), "CONFIG_BUILD_SALT=\"new\"\n");
        assert_eq!(read("include/config/auto.conf").trim(), want);
    }

    #[test]
    fn only_the_salts_line_changes() {
        let old = "CONFIG_A=y\nCONFIG_BUILD_SALT=\"old\"\n# CONFIG_B is not set\n";
        let new = "CONFIG_A=y\nCONFIG_BUILD_SALT=\"new\"\n# CONFIG_B is not set\n";
        assert_eq!(with_salt(old, "new"), new);
    }
}
