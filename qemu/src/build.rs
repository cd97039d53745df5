// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The build step: the kernel's make, with its output in a log, and a vmlinux whose hash was
//! taken when make ended well.

use crate::arch::Arch;
use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::config::{Config, kernel_make};
use crate::files::{self, read_stamp, write_stamp};
use crate::run;
use crate::tree::WorkTree;
use crate::ui::Ui;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How many lines of an error are shown.
const SHOWN: usize = 12;

/// A kernel that was built.
pub struct Built {
    /// The uncompressed kernel, with its symbols.
    pub vmlinux: PathBuf,
    /// What QEMU boots: the same, or made from it.
    pub image: PathBuf,
    /// "7.3.4"
    pub release: String,
    /// Objects that make wrote this time.
    pub objects: usize,
    /// Whether make had nothing to do and was not asked.
    pub unchanged: bool,
}

#[derive(Serialize, Deserialize)]
struct Stamp {
    salt: String,
    vmlinux: String,
    image: String,
    release: String,
}

/// Builds vmlinux with `jobs` jobs. Refuses with [`Class::Build`], showing the errors.
pub fn build(
    cache: &Cache,
    work: &WorkTree,
    config: &Config,
    arch: Arch,
    jobs: usize,
    ui: &mut Ui,
) -> Step<Built> {
    let at = work.dir.join("build.json");
    let [vmlinux, image] = [Path::new("vmlinux"), arch.image()].map(|name| work.build.join(name));
    let tool = work.build.join("usr/gen_init_cpio");
    if let Some(stamp) = read_stamp::<Stamp>(&at) {
        let there = [&vmlinux, &image, &tool].iter().all(|file| file.is_file());
        if stamp.salt == config.salt
            && there
            && cache.hash_of(&vmlinux)? == stamp.vmlinux
            && cache.hash_of(&image)? == stamp.image
        {
            let Stamp { release, .. } = stamp;
            return Ok(Built { vmlinux, image, release, objects: 0, unchanged: true });
        }
    }
    // From here to the new stamp, whatever vmlinux there is counts for nothing.
    files::remove(&at)?;
    let log = work.dir.join("build.log");
    files::remove(&log)?;
    ui.note(&format!("log: {}", log.display()));
    let mut counter = Counter::new(&log);
    let mut make = kernel_make(work, arch);
    make.arg(format!("-j{jobs}")).args(arch.goals());
    let status = run::logged(&mut make, &log, &mut || {
        ui.progress(|| format!("{} objects, {}", counter.read(), counter.last))
    })?;
    if !status.success() {
        return Err(failed(&log));
    }
    if !tool.is_file() {
        let status = run::logged(kernel_make(work, arch).arg("usr/"), &log, &mut || ())?;
        if !status.success() || !tool.is_file() {
            return Err(failed(&log));
        }
    }
    if !vmlinux.is_file() || !image.is_file() {
        return Err(failed(&log));
    }
    let release = files::read_text(&work.build.join("include/config/kernel.release"))?;
    let release = release.trim().to_owned();
    let stamp = Stamp {
        salt: config.salt.clone(),
        vmlinux: cache.hash_of(&vmlinux)?,
        image: cache.hash_of(&image)?,
        release: release.clone(),
    };
    write_stamp(&at, &stamp)?;
    Ok(Built { vmlinux, image, release, objects: counter.read(), unchanged: false })
}

fn failed(log: &Path) -> Refusal {
    let said = files::read_text(log).unwrap_or_default();
    let line = format!(
        "the kernel did not build: mend what the lines above name, in the series or in CONFIG=; \
         make's output is in {}",
        log.display()
    );
    let refusal = Refusal { detail: errors(&said), ..Refusal::new(Class::Build, line) };
    // Where there was no room for an object there may have been none for the words either.
    if run::full(&said) { files::no_space(refusal) } else { files::or_full(log, refusal) }
}

/// The lines of a build log that say what is wrong: the last ones if there are many.
pub fn errors(log: &str) -> Vec<String> {
    let said = |line: &&str| {
        ["error:", "undefined reference", "***", "Error ", "No space left"]
            .iter()
            .any(|word| line.contains(word))
            && !line.trim_start().starts_with("make: Leaving")
    };
    let mut lines: Vec<String> = log.lines().filter(said).map(str::to_owned).collect();
    if lines.is_empty() {
        lines = log.lines().filter(|l| !l.trim().is_empty()).map(str::to_owned).collect();
    }
    // A chain of makes repeats one failure; what was wrong stands before it.
    let real = lines.iter().filter(|l| !l.starts_with("make")).count();
    if real > 0 {
        let mut chain = 0;
        lines.retain(|l| !l.starts_with("make") || std::mem::replace(&mut chain, 1) == 0);
    }
    lines.split_off(lines.len().saturating_sub(SHOWN))
}

/// Counts objects in a log while it grows.
struct Counter {
    file: Option<File>,
    path: PathBuf,
    rest: String,
    objects: usize,
    last: String,
}

impl Counter {
    fn new(path: &Path) -> Counter {
        let (file, rest, last) = (None, String::new(), String::new());
        Counter { file, path: path.to_owned(), rest, objects: 0, last }
    }

    fn read(&mut self) -> usize {
        self.file = self.file.take().or_else(|| File::open(&self.path).ok());
        let mut bytes = Vec::new();
        if let Some(file) = &mut self.file {
            // Progress only: a log that can't be read shows in the end, by make's own status.
            let _ = file.read_to_end(&mut bytes);
        }
        self.feed(&String::from_utf8_lossy(&bytes));
        self.objects
    }

    fn feed(&mut self, text: &str) {
        self.rest.push_str(text);
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            if let Some(object) = object(&line) {
                self.objects += 1;
                self.last = object.to_owned();
            }
        }
    }
}

/// The object that a line of kbuild's short output names.
fn object(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("  ")?.split_whitespace();
    let (tool, target) = (words.next()?, words.next()?);
    let made = matches!(tool, "CC" | "AS" | "LD" | "AR" | "HOSTCC" | "HOSTLD" | "VDSO");
    (made && words.next().is_none()).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("  CC      mm/shmem.o\n", Some("mm/shmem.o"))]
    #[case("  HOSTCC  scripts/basic/fixdep\n", Some("scripts/basic/fixdep"))]
    #[case("  UPD     include/generated/utsrelease.h\n", None)]
    #[case("  CALL    scripts/checksyscalls.sh\n", None)]
    #[case("make[1]: Entering directory 'x'\n", None)]
    fn objects(#[case] line: &str, #[case] want: Option<&str>) {
        assert_eq!(object(line), want);
    }

    #[test]
    fn lines_cut_by_a_read_count_once() {
        let mut counter = Counter::new(Path::new("/nonexistent"));
        for part in ["  CC      mm/sh", "mem.o\n  CC", "      mm/memfd.o\n"] {
            counter.feed(part);
        }
        assert_eq!((counter.objects, counter.last.as_str()), (2, "mm/memfd.o"));
    }

    #[rstest]
    #[case::compiler(
        "  CC x.o\nmm/shmem.c:12:3: error: expected ';'\n  CC y.o\n\
         make[3]: *** [scripts/Makefile.build:287: mm/shmem.o] Error 1\n\
         make[2]: *** [scripts/Makefile.build:500: mm] Error 2\n",
        &["mm/shmem.c:12:3: error: expected ';'",
          "make[3]: *** [scripts/Makefile.build:287: mm/shmem.o] Error 1"])]
    #[case::linker(
        "ld: mm/shmem.o: undefined reference to `seal'\nmake: *** [Makefile:1: vmlinux] Error 1\n",
        &["ld: mm/shmem.o: undefined reference to `seal'",
          "make: *** [Makefile:1: vmlinux] Error 1"])]
    #[case::silent("gone\n\n", &["gone"])]
    fn errors_of_a_log(#[case] log: &str, #[case] want: &[&str]) {
        assert_eq!(errors(log), want);
    }

    #[test]
    fn many_errors_are_cut() {
        let log: String = (0..40).map(|n| format!("x.c:{n}: error: y\n")).collect();
        let got = errors(&log);
        assert_eq!((got.len(), got[SHOWN - 1].as_str()), (SHOWN, "x.c:39: error: y"));
    }
}
