// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The scratch folder `target/selftest`, and runs of the real `qemu-test` in it.
//!
//! `repo/` in it is this repository by symbolic links, with a `target/` of its own: the rows' runs
//! leave `target/qemu-test/latest` alone. Kernels are taken from the cache that everybody uses.

use crate::ran::Ran;
use crate::row::{Init, On, Qemu, Row};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a caller's environment must not change in a row.
const CLEARED: &[&str] = &["SERIES", "CONFIG", "FILTER", "CPUS", "MEMORY", "QEMU", "KVM", "INIT"];
/// The tests of a row on the debug kernel: two, as its boot is what costs.
const FEW: &str = "programs::replay";

/// Where rows are run.
pub struct Lab {
    /// The scratch folder.
    pub path: PathBuf,
    /// The repository.
    pub repo: PathBuf,
    /// The runner.
    pub runner: PathBuf,
    /// QEMU as the caller has it: a path.
    pub qemu: PathBuf,
    /// Exit codes by class, as the runner prints them.
    codes: BTreeMap<String, i32>,
}

impl Lab {
    /// Empties the scratch folder of the repository that the current folder is in.
    pub fn open() -> Result<Lab, String> {
        let here = std::env::current_dir().map_err(|e| e.to_string())?;
        let is_ours = |dir: &&Path| dir.join("qemu/kernel.config").is_file();
        let repo = here.ancestors().find(is_ours).ok_or("not in a clone of this project")?;
        let (repo, path) = (repo.to_owned(), repo.join("target/selftest"));
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let runner = this.with_file_name("qemu-test");
        let _ = fs::remove_dir_all(&path);
        let farm = path.join("repo");
        tell(&farm, fs::create_dir_all(farm.join("target")))?;
        for entry in fs::read_dir(&repo).map_err(|e| e.to_string())?.flatten() {
            let name = entry.file_name();
            if name != "target" && name != ".git" {
                tell(&farm, symlink(entry.path(), farm.join(&name)))?;
            }
        }
        // The suite need not be built twice.
        tell(&repo, fs::create_dir_all(repo.join("target/guest")))?;
        tell(&farm, symlink(repo.join("target/guest"), farm.join("target/guest")))?;
        // Openable, and no KVM at all.
        tell(&path, fs::write(path.join("kvm"), ""))?;
        let qemu = std::env::var("QEMU").ok().filter(|name| !name.is_empty());
        let qemu = which(&qemu.unwrap_or_else(|| "qemu-system-x86_64".into()));
        let mut lab = Lab { path, repo, runner, qemu, codes: BTreeMap::new() };
        let classes = lab.output(lab.bare().arg("classes"))?;
        for line in classes.lines() {
            let mut words = line.split_whitespace();
            if let (Some(Ok(code)), Some(word)) = (words.next().map(str::parse), words.next()) {
                lab.codes.insert(word.to_owned(), code);
            }
        }
        Ok(lab)
    }

    /// Builds what the rows on these kernels take: the kernels, the suite, the saboteur, and a
    /// recording of a run in which nothing is broken.
    pub fn prepare(&self, on: &[On]) -> Result<(), String> {
        if !on.iter().any(|on| *on != On::Nothing) {
            return Ok(());
        }
        for (wanted, config) in [(On::Default, ""), (On::Debug, "debug")] {
            if wanted == On::Default || on.contains(&wanted) {
                let built = self.build(config)?;
                tell(&self.path, symlink(built, vmlinux(&self.path, wanted)))?;
            }
        }
        self.output(self.bare().arg("run"))?;
        let latest = self.farm().join("target/qemu-test/latest");
        let recording = recording(&self.path);
        tell(&recording, fs::create_dir(&recording))?;
        for name in ["console.log", "results.jsonl"] {
            tell(&latest, fs::copy(latest.join(name), recording.join(name)))?;
        }
        self.build_saboteur()
    }

    /// Builds a kernel, showing how far it is. Gives its path.
    fn build(&self, config: &str) -> Result<String, String> {
        let mut build = self.bare();
        let build = build.arg("build").env("CONFIG", config).stdout(Stdio::piped());
        let mut child = build.spawn().map_err(|e| format!("{}: {e}", self.runner.display()))?;
        let mut last = String::new();
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
            last = line.map_err(|e| e.to_string())?;
            println!("{last}");
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(last) } else { Err(format!("qemu-test build: {status}")) }
    }

    /// Static, as the suite is: nothing in a guest could load it otherwise.
    fn build_saboteur(&self) -> Result<(), String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(&self.repo).args(["build", "--release", "--locked", "--quiet"]);
        build.args(["-p", "saboteur", "--target", &triple(), "--target-dir", "target/guest"]);
        build
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        self.output(&mut build).map(drop)
    }

    /// Where the rows' runs happen.
    pub fn farm(&self) -> PathBuf {
        self.path.join("repo")
    }

    /// A row's own folder.
    pub fn folder(&self, row: &Row) -> PathBuf {
        self.path.join(row.name.replace("::", "/"))
    }

    /// A class's exit code.
    pub fn code(&self, class: &str) -> Option<i32> {
        self.codes.get(class).copied()
    }

    /// The runner, without a command.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(&self.runner);
        command.current_dir(self.farm()).stdin(Stdio::null());
        for name in CLEARED {
            command.env_remove(name);
        }
        command.env("QEMU", &self.qemu);
        command
    }

    /// The runner with all that a row asks for.
    pub fn command(&self, row: &Row) -> Result<Command, String> {
        let folder = self.folder(row);
        tell(&folder, fs::create_dir_all(&folder))?;
        let mut command = self.bare();
        command.arg("run");
        if row.on == On::Debug {
            command.env("CONFIG", "debug").env("FILTER", FEW);
        }
        match row.init {
            Init::Suite => {}
            Init::Saboteur(orders) => {
                command.env("INIT", self.saboteur(&folder, orders)?);
            }
            Init::Other(make) => {
                command.env("INIT", make(self)?);
            }
        }
        match row.qemu {
            Qemu::True => {}
            Qemu::Path(path) => {
                command.env("QEMU", path);
            }
            _ => {
                command.env("QEMU", self.fake(&folder, row)?);
            }
        }
        let lab = self.path.to_string_lossy();
        command.envs(row.env.iter().map(|(name, value)| (name, value.replace("{lab}", &lab))));
        Ok(command)
    }

    /// The saboteur, the suite and its orders in one file.
    fn saboteur(&self, folder: &Path, orders: &str) -> Result<PathBuf, String> {
        let built = self.repo.join("target/guest").join(triple()).join("release");
        let read = |name| fs::read(built.join(name)).map_err(|e| format!("{name}: {e}"));
        let (mut program, suite) = (read("saboteur")?, read("memfd-seals")?);
        program.extend(&suite);
        program.extend(format!("\n#!sabotage {} {orders}\n", suite.len()).as_bytes());
        let path = folder.join("init");
        tell(&path, fs::write(&path, program))?;
        Ok(path)
    }

    /// A program that is this one again, as the row's QEMU.
    fn fake(&self, folder: &Path, row: &Row) -> Result<PathBuf, String> {
        let this = std::env::current_exe().map_err(|e| e.to_string())?;
        let path = folder.join("qemu-system-fake");
        let script = format!(
            "#!/bin/sh\nexec '{}' as-qemu {} '{}' '{}' \"$@\"\n",
            this.display(),
            row.name,
            self.path.display(),
            self.qemu.display()
        );
        tell(&path, fs::write(&path, script))?;
        tell(&path, fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))?;
        Ok(path)
    }

    /// Runs it to its end, but not far beyond the row's bound.
    pub fn run(&self, command: &mut Command, row: &Row) -> Result<Ran, String> {
        let folder = self.folder(row);
        tell(&folder, fs::create_dir_all(&folder))?;
        let latest = self.farm().join("target/qemu-test/latest");
        let _ = fs::remove_file(&latest);
        let file = |name| File::create(folder.join(name)).map_err(|e| format!("{name}: {e}"));
        command.stdout(file("stdout")?).stderr(file("stderr")?);
        let start = Instant::now();
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let most = Duration::from_secs(2 * row.within + 10);
        let status = loop {
            match child.try_wait().map_err(|e| e.to_string())? {
                Some(status) => break Some(status),
                None if start.elapsed() > most => {
                    // QEMU and make were told to die with it.
                    let _ = child.kill();
                    let _ = child.wait();
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        Ok(Ran::read(status.and_then(|s| s.code()), start.elapsed(), &folder, &latest))
    }

    fn output(&self, command: &mut Command) -> Result<String, String> {
        let out = command.output().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let said = [out.stdout, out.stderr].concat();
        Err(format!("{command:?}: {}\n{}", out.status, String::from_utf8_lossy(&said)))
    }
}

/// What a run left in which nothing was broken.
pub fn recording(lab: &Path) -> PathBuf {
    lab.join("recording")
}

/// A kernel of [`Lab::prepare`].
pub fn vmlinux(lab: &Path, on: On) -> PathBuf {
    lab.join(format!("vmlinux-{on:?}"))
}

fn triple() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-unknown-linux-{libc}", std::env::consts::ARCH)
}

fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| name.into())
}

/// An I/O error in words.
pub fn tell<T>(path: &Path, done: std::io::Result<T>) -> Result<T, String> {
    done.map_err(|error| format!("{}: {error}", path.display()))
}
