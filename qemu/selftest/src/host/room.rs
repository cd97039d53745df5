// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Disks that are full and folders that can't be written: mounts in a namespace of the row's own,
//! gone with it. A second run in there, with room, must pass.

use super::world::{Pads, World};
use crate::lab::Lab;
use crate::ran::Ran;
use crate::row::Row;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A disk, by its KiB, and what has to go on it.
pub type Disk = (usize, Pads);

pub const SOURCE: Disk = (2048, Pads { source: 4096, vmlinux: 0 });
/// The source leaves some blocks, and git's own files need more.
pub const SERIES: Disk = (4096 + 140, Pads { source: 4096, vmlinux: 0 });
pub const BUILD: Disk = (4096, Pads { source: 0, vmlinux: 8 });

/// Runs a script in a namespace of its own, after `before`; `run name` in it is the row's run, whose
/// words and exit code go to a folder of that name. Gives why there can be no namespace, if so.
fn in_namespace(
    world: &World,
    lab: &Lab,
    before: &str,
    script: &str,
) -> Result<Option<String>, String> {
    let runner = world.command()?;
    let script = format!(
        "set -e\n{before}\n: >ready\nset +e\n\
         run() {{\nmkdir -p $1\n(cd '{}' && exec '{}' run) >$1/stdout 2>$1/stderr\n\
         echo $? >$1/code\n}}\n{script}\n",
        lab.farm().display(),
        runner.get_program().to_string_lossy(),
    );
    let mut command = Command::new("unshare");
    command.arg(if nix::unistd::geteuid().is_root() { "-m" } else { "-mr" });
    command.args(["sh", "-c", &script]).current_dir(&world.folder).process_group(0);
    for (name, value) in runner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let out = command.output().map_err(|e| format!("unshare: {e}"))?;
    let tried = world.folder.join("ready").exists();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let why = said.lines().next().unwrap_or("no namespace of its own");
    Ok((!tried).then(|| format!("not tried: {why}")))
}

/// Two runs: after `before`, and again after `between`.
fn twice(
    world: &World,
    lab: &Lab,
    row: &Row,
    before: &str,
    between: &str,
) -> Result<String, String> {
    let began = Instant::now();
    let script = format!("run first\n{between}\nrun second");
    if let Some(why) = in_namespace(world, lab, before, &script)? {
        return Ok(why);
    }
    let took = began.elapsed();
    let ran = |name: &str| {
        let folder = world.folder.join(name);
        let code = fs::read_to_string(folder.join("code")).ok();
        let code = code.and_then(|code| code.trim().parse().ok());
        // The results' folder may have been on a mount that is gone.
        Ran::read(code, took, &folder, Path::new("/nonexistent"))
    };
    let words = ran("first").must_be(lab, row)?;
    let pass = Row { class: "pass", cause: "", ..*row };
    ran("second").must_be(lab, &pass).map_err(|why| format!("with room: {why}"))?;
    Ok(format!("{words}; then, with room, a run that passes"))
}

/// A disk of each of these sizes at `place`: the run must pass or say that it is full, and with
/// room it must pass. Some must be too small, and the last must be big enough.
fn sweep(world: &World, lab: &Lab, place: &str, sizes: &[usize]) -> Result<String, String> {
    let list: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let each = format!(
        "for kib in {}; do\nmount -t tmpfs -o size=${{kib}}k none '{place}'\nrun $kib\n\
         mount -o remount,size=256m '{place}'\nrun $kib/again\numount '{place}'\ndone",
        list.join(" ")
    );
    let probe = format!("mkdir -p '{place}'\nmount -t tmpfs none '{place}'\numount '{place}'");
    if let Some(why) = in_namespace(world, lab, &probe, &each)? {
        return Ok(why);
    }
    let mut full = 0;
    for kib in sizes {
        let read = |name: &str| {
            let text = fs::read_to_string(world.folder.join(kib.to_string()).join(name));
            text.unwrap_or_default().trim().to_owned()
        };
        let (code, said) = (read("code"), read("stderr"));
        // The refusal's own line comes after what it rests on.
        let line = said.lines().next_back().unwrap_or_default();
        if code == "16" && line.starts_with("no-space: ") && line.contains("make room") {
            full += 1;
        } else if code != "0" {
            return Err(format!("{kib} KiB: exit {code:?}: {said}"));
        }
        let again = read("again/code");
        if again != "0" {
            return Err(format!("{kib} KiB, with room: exit {again:?}: {}", read("again/stderr")));
        }
    }
    if full == 0 || full == sizes.len() {
        return Err(format!("{full} of {} disks were full", sizes.len()));
    }
    Ok(format!("{full} of {} disks were full, and said so; each passed with room", sizes.len()))
}

/// The cache is on a disk of any size.
pub fn full_cache_anywhere(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads { source: 64, vmlinux: 1 })?;
    let sizes: Vec<usize> = (0..32).map(|n| 4 + 48 * n).chain([8 << 10]).collect();
    sweep(&world, lab, &world.folder.join("cache").to_string_lossy(), &sizes)
}

/// The results are on a disk of any size.
pub fn full_results_anywhere(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    world.must_pass()?;
    let sizes: Vec<usize> = (1..20).map(|n| 4 * n).chain([1 << 10]).collect();
    sweep(&world, lab, &lab.farm().join("target/qemu-test").to_string_lossy(), &sizes)
}

/// The cache is on a disk of this size.
pub fn full_cache(lab: &Lab, row: &Row, (kib, pads): Disk) -> Result<String, String> {
    let world = World::new(lab, row, pads)?;
    let before = format!("mkdir -p cache\nmount -t tmpfs -o size={kib}k none cache");
    twice(&world, lab, row, &before, "mount -o remount,size=256m cache")
}

/// What is built for the guest is on a disk with room for the suite, and for little else.
pub fn full_guest(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let guest = lab.farm().join("target/guest");
    let guest = guest.canonicalize().map_err(|e| format!("{}: {e}", guest.display()))?;
    // The suite, where it is expected, beside the stamp that says that it need not be built.
    let before = format!(
        "guest='{}'\nfor f in $(cd \"$guest\" && ls suite.stamp */release/memfd-seals); do\n\
         mkdir -p kept/$(dirname $f)\ncp -p \"$guest/$f\" kept/$f\ndone\n\
         size=$(du -sk kept | cut -f1)\nmount -t tmpfs -o size=$((size + 300))k none \"$guest\"\n\
         cp -pr kept/. \"$guest\"",
        guest.display()
    );
    let between = format!("mount -o remount,size=256m '{}'", guest.display());
    twice(&world, lab, row, &before, &between)
}

/// The results are on a disk with less room than they take.
pub fn full_results(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let results = lab.farm().join("target/qemu-test");
    let results = results.display();
    let before = format!("mkdir -p '{results}'\nmount -t tmpfs -o size=40k none '{results}'");
    twice(&world, lab, row, &before, &format!("mount -o remount,size=16m '{results}'"))
}

pub fn readonly_cache(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let before = "mkdir -p cache\nmount --bind cache cache\nmount -o remount,bind,ro cache";
    twice(&world, lab, row, before, "umount cache")
}

pub fn readonly_results(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let results = lab.farm().join("target/qemu-test");
    let results = results.display();
    let before = format!(
        "mkdir -p '{results}'\nmount --bind '{results}' '{results}'\n\
         mount -o remount,bind,ro '{results}'"
    );
    let words = twice(&world, lab, row, &before, &format!("umount '{results}'"))?;
    let said = fs::read_to_string(world.folder.join("first/stdout")).unwrap_or_default();
    if said.contains("build ") { Err("said when a kernel was built".into()) } else { Ok(words) }
}
