// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A kernel that is built in no time, a cache of its own, and programs that stall on demand.

use crate::fake::{Fake, written};
use crate::lab::{Lab, tell};
use crate::ran::Ran;
use crate::row::Row;
use memfd_seals::events::Event;
use nix::sys::signal::{Signal, kill};
use nix::unistd::getppid;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A program to stall: its name, and a shell pattern of the words with which it does.
pub type Stall = (&'static str, &'static str);

/// What the kernel's make does for the steps config and build. `pad` is MiB of vmlinux.
const MAKEFILE: &str = "\
VERSION = 7
PATCHLEVEL = 3
SUBLEVEL = 4
EXTRAVERSION = -host
.DELETE_ON_ERROR:
tinyconfig:
\t@echo CONFIG_TINY=y >$(O)/.config
olddefconfig:
\t@echo CONFIG_OLD=y >>$(O)/.config
vmlinux:
\t@mkdir -p $(O)/usr $(O)/include/config
\t@echo 7.3.4-host >$(O)/include/config/kernel.release
\t@printf '#!/bin/sh\\nexec host-archive \"$$@\"\\n' >$(O)/usr/gen_init_cpio
\t@chmod +x $(O)/usr/gen_init_cpio
\t@cat pad mm/shmem.c >$(O)/vmlinux
\t@dd if=/dev/zero bs=1M count=PAD >>$(O)/vmlinux
";

const PATCH: &str = "\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: x <x@localhost>
Date: Mon, 1 Jan 2001 00:00:00 +0000
Subject: [PATCH] x

---
diff --git a/mm/shmem.c b/mm/shmem.c
--- a/mm/shmem.c
+++ b/mm/shmem.c
@@ -1,2 +1,3 @@
 one
+one and a half
 two
--
2.0
";

/// How big things are, for rows about room.
#[derive(Clone, Copy, Default)]
pub struct Pads {
    /// KiB of a file in the source.
    pub source: usize,
    /// MiB of vmlinux.
    pub vmlinux: usize,
}

/// A row's kernel, cache and programs.
pub struct World<'a> {
    lab: &'a Lab,
    row: &'a Row,
    pub folder: PathBuf,
    /// First in PATH.
    bin: PathBuf,
    /// The rest of PATH.
    path: String,
    /// Is made by what stalls.
    pub mark: PathBuf,
}

impl<'a> World<'a> {
    pub fn new(lab: &'a Lab, row: &'a Row, pads: Pads) -> Result<World<'a>, String> {
        let folder = lab.folder(row);
        let bin = folder.join("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let world = World { lab, row, bin, path, mark: folder.join("mark"), folder };
        let pad = "x".repeat(pads.source << 10);
        // That no row finds another's memfd_test, or an archive with it.
        let of = world.folder.display();
        let main = format!("const char of[] = \"{of}\";\nint main(void) {{ return 0; }}\n");
        for (name, text) in [
            ("Makefile", MAKEFILE.replace("PAD", &pads.vmlinux.to_string()).as_str()),
            ("Kconfig", ""),
            ("pad", &pad),
            ("mm/shmem.c", "one\ntwo\n"),
            ("tools/testing/selftests/memfd/memfd_test.c", &main),
            ("tools/testing/selftests/memfd/common.c", ""),
            ("tools/testing/selftests/memfd/common.h", ""),
            ("include/uapi/linux/memfd.h", ""),
            ("include/uapi/linux/fcntl.h", ""),
            ("include/uapi/linux/falloc.h", ""),
        ] {
            put(&world.folder.join("linux").join(name), text)?;
        }
        // The headers above are empty, and nothing in the program needs the true ones.
        put(&world.folder.join("series/0001-x.patch"), PATCH)?;
        let mut tar = Command::new("tar");
        tar.current_dir(&world.folder).args(["-cf", "linux.tar", "linux"]);
        let packed = tar.status().map_err(|e| format!("tar: {e}"))?;
        if !packed.success() {
            return Err(format!("tar: {packed}"));
        }
        world.program("host-archive", "echo archive\n")?;
        Ok(world)
    }

    /// The runner, as [`Lab::command`] has it, on this kernel and with these programs. A row about
    /// a checkout has the unpacked tree, which goes through git; the others have the tarball.
    pub fn command(&self) -> Result<Command, String> {
        let mut command = self.lab.command(self.row)?;
        let kernel = if self.row.name.contains("checkout") { "linux" } else { "linux.tar" };
        command
            .env("KERNEL", self.folder.join(kernel))
            .env("SERIES", self.folder.join("series"))
            .env("XDG_CACHE_HOME", self.folder.join("cache"))
            .env("PATH", format!("{}:{}", self.bin.display(), self.path))
            .env("KVM", "off")
            .process_group(0);
        Ok(command)
    }

    /// Runs once more, without anything in its way: it must pass, and leave nothing half-made.
    pub fn must_pass(&self) -> Result<f64, String> {
        let row = Row { class: "pass", cause: "", within: 30, ..*self.row };
        let ran = self.lab.run(&mut self.command()?, &row)?;
        let took = ran.took.as_secs_f64();
        ran.must_be(self.lab, &row).map_err(|why| format!("a normal run: {why}"))?;
        self.is_tidy()?;
        Ok(took)
    }

    /// The kernel that was built.
    pub fn vmlinux(&self) -> Result<Vec<u8>, String> {
        let cache = self.folder.join("cache/fs-write-seal");
        let entries = fs::read_dir(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
        let built = entries.flatten().map(|entry| entry.path().join("build/vmlinux"));
        let built: Vec<PathBuf> = built.filter(|path| path.is_file()).collect();
        let [one] = &built[..] else { return Err(format!("{} kernels", built.len())) };
        tell(one, fs::read(one))
    }

    /// Removes the cache.
    pub fn forget(&self) -> Result<(), String> {
        let cache = self.folder.join("cache");
        tell(&cache, fs::remove_dir_all(&cache))
    }

    /// Nothing is left that was under way.
    pub fn is_tidy(&self) -> Result<(), String> {
        let tmp = self.folder.join("cache/fs-write-seal/tmp");
        let left = fs::read_dir(&tmp).map_err(|e| format!("{}: {e}", tmp.display()))?.count();
        if left > 0 { Err(format!("{left} entries left in {}", tmp.display())) } else { Ok(()) }
    }

    /// How the row must end, by what was printed to `stdout` and `stderr` in the row's folder.
    pub fn ran(&self, code: Option<i32>, took: Duration) -> Ran {
        Ran::read(code, took, &self.folder, &self.lab.farm().join("target/qemu-test/latest"))
    }

    /// Makes a program that does its work, leaves the mark, and does not come back.
    pub fn stall(&self, (name, words): Stall) -> Result<PathBuf, String> {
        let (path, mark) = (&self.path, self.mark.display());
        let work = match name {
            "host-archive" => "echo archive".to_owned(),
            _ => format!("{name} \"$@\""),
        };
        let script = format!(
            "PATH='{path}'\ncase \" $* \" in {words}) ;; *) exec {name} \"$@\" ;; esac\n\
             {work}\n: >'{mark}'\nexec sleep 60\n"
        );
        self.program(name, &script)
    }

    /// Takes it away again.
    pub fn unstall(&self, (name, _): Stall) -> Result<(), String> {
        let path = self.bin.join(name);
        tell(&path, fs::remove_file(&path))?;
        if name == "host-archive" { self.program(name, "echo archive\n").map(drop) } else { Ok(()) }
    }

    /// Lets bc be missing until apt-get, which is made for it, has run for a while.
    pub fn without_bc(&mut self) -> Result<(), String> {
        let farm = self.folder.join("path");
        tell(&farm, fs::create_dir_all(&farm))?;
        for dir in std::env::split_paths(&self.path) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if name != "bc" && name != "sudo" && name != "apt-get" {
                    // The first of a name counts, as in PATH.
                    let _ = symlink(entry.path(), farm.join(name));
                }
            }
        }
        let (bin, mark) = (self.bin.display(), self.mark.display());
        let install = format!(": >'{mark}'\nsleep 1\nln -sf /bin/true '{bin}/bc'\n");
        self.program("apt-get", &install)?;
        self.program("sudo", "shift\nexec \"$@\"\n")?;
        self.path = farm.to_string_lossy().into_owned();
        Ok(())
    }

    fn program(&self, name: &str, script: &str) -> Result<PathBuf, String> {
        let path = self.bin.join(name);
        put(&path, &format!("#!/bin/sh\n{script}"))?;
        tell(&path, fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))?;
        Ok(path)
    }
}

/// The row's QEMU: replays the recorded run as if this kernel had been booted. Variables name a
/// mark that it makes, to go on when that is removed, and what it sends to its parent in the end.
pub fn qemu(fake: &mut Fake) -> u8 {
    if let Ok(mark) = std::env::var("HOST_MARK") {
        let _ = fs::write(&mark, "");
        while Path::new(&mark).exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let beside = |name: &str| {
        fs::read_to_string(Path::new(fake.value("-kernel")).with_file_name(name))
            .unwrap_or_default()
    };
    let (config, ours) = (beside(".config"), beside("include/config/kernel.release"));
    let mut salts = config.lines().filter_map(|line| line.strip_prefix("CONFIG_BUILD_SALT="));
    let mut events = fake.recorded();
    if let Some(Event::Hello { salt, release, .. }) = events.first_mut() {
        *salt = salts.next_back().unwrap_or_default().trim_matches('"').to_owned();
        *release = ours.trim().to_owned();
    }
    let code = fake.replay(&written(&events));
    match std::env::var("HOST_END").as_deref() {
        Ok("int") => drop(kill(getppid(), Signal::SIGINT)),
        Ok("kill") => drop(kill(getppid(), Signal::SIGKILL)),
        _ => {}
    }
    code
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    if let Some(parent) = path.parent() {
        tell(parent, fs::create_dir_all(parent))?;
    }
    tell(path, fs::write(path, text))
}
