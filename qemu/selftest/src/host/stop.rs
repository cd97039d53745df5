// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Runs that are stopped or killed in a certain step, and the run after them.

use super::world::{Pads, Stall, World};
use crate::lab::Lab;
use crate::row::Row;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Where a run is when it is hit.
#[derive(Clone, Copy, PartialEq)]
pub enum At {
    /// apt-get installs something.
    Tools,
    /// This program has done its work, and has not ended.
    Program(Stall),
    /// QEMU runs, and the guest says nothing more.
    Boot,
    /// QEMU ends well.
    Verdict,
}

/// What hits it.
#[derive(Clone, Copy, PartialEq)]
pub enum By {
    /// Ctrl-C: SIGINT to its process group.
    CtrlC,
    /// SIGTERM to the runner.
    Term,
    /// SIGKILL to its process group.
    Kill,
    /// SIGKILL to the runner and to all that it started.
    KillAll,
}

/// A run that is hit, and the run after it, which must pass. What is hit by a signal that can be
/// handled must end as the row says.
pub fn stopped(lab: &Lab, row: &Row, at: At, by: By) -> Result<String, String> {
    let mut world = World::new(lab, row, Pads::default())?;
    if at == At::Tools {
        world.without_bc()?;
    }
    let mut command = world.command()?;
    match at {
        At::Tools => {}
        At::Program(stall) => {
            let program = world.stall(stall)?;
            if stall.0 == "cargo" {
                command.env("CARGO", program);
                let stamp = lab.farm().join("target/guest/suite.stamp");
                let _ = fs::remove_file(stamp);
            }
        }
        At::Boot => drop(command.env("HOST_MARK", &world.mark)),
        At::Verdict => {
            let end = if matches!(by, By::CtrlC | By::Term) { "int" } else { "kill" };
            command.env("HOST_END", end);
        }
    }
    let _ = fs::remove_file(lab.farm().join("target/qemu-test/latest"));
    let mut child = start(&mut command, &world.folder)?;
    if at != At::Verdict {
        until(|| world.mark.exists(), 30).ok_or("the step was never reached")?;
        hit(&child, by)?;
    }
    let since = Instant::now();
    let status = ended(&mut child, 30)?;
    let took = since.elapsed();
    // What the runner started ends with it; apt-get alone goes on, for a second here.
    let folder = world.folder.to_string_lossy().into_owned();
    if until(|| running(&folder).is_none(), 4).is_none() {
        let left = running(&folder).unwrap_or_default();
        return Err(format!("still running after {:.1} s: {left}", since.elapsed().as_secs_f64()));
    }
    let mut words = String::new();
    if matches!(by, By::CtrlC | By::Term) {
        let ran = world.ran(status, took);
        // A verdict that stands already is not taken back.
        let stands = at == At::Verdict && status == Some(0);
        if !stands {
            words = ran.must_be(lab, row)? + "; ";
        }
    } else if status.is_some() {
        return Err(format!("exit {status:?} in spite of SIGKILL"));
    }
    if let At::Program(stall) = at {
        world.unstall(stall)?;
    }
    let _ = fs::remove_file(&world.mark);
    let again = world.must_pass()?;
    Ok(format!("{words}then a run that passes, {again:.1} s"))
}

/// Runs from nothing, hit at one moment after another: each ends as it should, and whatever it left,
/// the run after it passes, with the same kernel to the byte.
pub fn anywhere(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads { source: 24 << 10, vmlinux: 1 })?;
    let began = Instant::now();
    let (first, kernel) = (world.must_pass()?, world.vmlinux()?);
    let (moments, mut slowest) = (32, Duration::ZERO);
    for moment in 0..moments {
        world.forget()?;
        let by = if moment % 3 == 0 { By::CtrlC } else { By::KillAll };
        let mut child = start(&mut world.command()?, &world.folder)?;
        // A little beyond the end, so that the end is among the moments.
        std::thread::sleep(Duration::from_secs_f64(first * 1.1 * moment as f64 / moments as f64));
        let _ = hit(&child, by);
        let since = Instant::now();
        let status = ended(&mut child, 10)?;
        let said = fs::read_to_string(world.folder.join("stderr")).unwrap_or_default();
        let fits = match status {
            Some(0) => true,
            Some(130) => by == By::CtrlC && said.starts_with("interrupted: "),
            // Before it handles signals, Ctrl-C ends it as it ends any program.
            None => by == By::KillAll || moment == 0,
            _ => false,
        };
        if !fits {
            return Err(format!("moment {moment}: exit {status:?}: {said}"));
        }
        slowest = slowest.max(since.elapsed());
        world.must_pass().map_err(|why| format!("moment {moment}: {why}"))?;
        if world.vmlinux()? != kernel {
            return Err(format!("moment {moment}: the run after it built another kernel"));
        }
    }
    if slowest > Duration::from_secs(3) {
        return Err(format!("one took {:.1} s to end", slowest.as_secs_f64()));
    }
    let all = began.elapsed().as_secs_f64();
    Ok(format!("{moments} moments, each followed by a run that passes, {all:.1} s"))
}

/// A second run, which waits for the first: it names it, and both pass.
pub fn two_at_once(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let [mut first, mut second] = first_and_second(&world)?;
    let waits = waits_for(&world, &first);
    let _ = fs::remove_file(&world.mark);
    let since = Instant::now();
    let (one, two) = (ended(&mut first, 30)?, ended(&mut second, 30)?);
    waits?;
    if one != Some(0) {
        return Err(format!("the first run: exit {one:?}; see {}/first", world.folder.display()));
    }
    world.is_tidy()?;
    world.ran(two, since.elapsed()).must_be(lab, row)
}

/// A run that stands in its boot until the mark goes, and one that is started beside it.
fn first_and_second(world: &World) -> Result<[Child; 2], String> {
    let mut command = world.command()?;
    command.env("HOST_MARK", &world.mark);
    let first = start(&mut command, &world.folder.join("first"))?;
    until(|| world.mark.exists(), 30).ok_or("the first run never got to its boot")?;
    Ok([first, start(&mut world.command()?, &world.folder)?])
}

/// Whether the second run says that it waits for the first.
fn waits_for(world: &World, first: &Child) -> Result<(), String> {
    let said = || fs::read_to_string(world.folder.join("stdout")).unwrap_or_default();
    let name = format!("waiting for process {} (", first.id());
    until(|| said().contains(&name), 10)
        .ok_or_else(|| format!("it did not say {name:?}: {:?}", said()))
}

/// Two runs in one clone, each with a cache of its own: nothing waits, and both pass.
pub fn side_by_side(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let mut other = world.command()?;
    other.env("XDG_CACHE_HOME", world.folder.join("other"));
    let mut first = start(&mut other, &world.folder.join("first"))?;
    let began = Instant::now();
    let mut second = start(&mut world.command()?, &world.folder)?;
    let (one, two) = (ended(&mut first, 60)?, ended(&mut second, 60)?);
    if one != Some(0) {
        return Err(format!("the other run: exit {one:?}; see {}/first", world.folder.display()));
    }
    world.ran(two, began.elapsed()).must_be(lab, row)
}

/// Ctrl-C while it waits for a run that holds the cache.
pub fn stopped_while_waiting(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let [mut first, mut second] = first_and_second(&world)?;
    let waits = waits_for(&world, &first);
    hit(&second, By::CtrlC)?;
    let since = Instant::now();
    let status = ended(&mut second, 10)?;
    let took = since.elapsed();
    hit(&first, By::CtrlC)?;
    ended(&mut first, 10)?;
    waits?;
    let words = world.ran(status, took).must_be(lab, row)?;
    let again = world.must_pass()?;
    Ok(format!("{words}; then a run that passes, {again:.1} s"))
}

/// Nobody takes what it prints.
pub fn unheard(lab: &Lab, row: &Row) -> Result<String, String> {
    let world = World::new(lab, row, Pads::default())?;
    let full = || File::options().write(true).open("/dev/full").map_err(|e| e.to_string());
    let mut command = world.command()?;
    command.stdout(full()?).stderr(full()?);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    match ended(&mut child, row.within)? {
        Some(0) => Ok("exit 0; then a run that passes".to_owned()),
        code => Err(format!("exit {code:?}")),
    }
    .and_then(|words| world.must_pass().map(|_| words))
}

fn start(command: &mut Command, folder: &Path) -> Result<Child, String> {
    fs::create_dir_all(folder).map_err(|e| e.to_string())?;
    let file = |name| File::create(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    command.stdout(file("stdout")?).stderr(file("stderr")?);
    command.spawn().map_err(|e| e.to_string())
}

fn hit(child: &Child, by: By) -> Result<(), String> {
    let pid = Pid::from_raw(child.id() as i32);
    match by {
        By::CtrlC => killpg(pid, Signal::SIGINT),
        By::Term => kill(pid, Signal::SIGTERM),
        By::Kill => killpg(pid, Signal::SIGKILL),
        By::KillAll => {
            let all = descendants(child.id());
            let done = kill(pid, Signal::SIGKILL);
            for pid in all {
                let _ = kill(Pid::from_raw(pid as i32), Signal::SIGKILL);
            }
            done
        }
    }
    .map_err(|e| format!("kill: {e}"))
}

/// What it started, and what they started.
fn descendants(of: u32) -> Vec<u32> {
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<u32> = all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let mut found = vec![of];
    // Numbers may have wrapped, so that a child can have a smaller one than its parent.
    loop {
        let more = |pid: &&u32| {
            !found.contains(pid) && parent(**pid).is_some_and(|parent| found.contains(&parent))
        };
        let more: Vec<u32> = all.iter().filter(more).copied().collect();
        if more.is_empty() {
            found.remove(0);
            return found;
        }
        found.extend(more);
    }
}

/// Its exit code when it ends; none if a signal ended it.
fn ended(child: &mut Child, seconds: u64) -> Result<Option<i32>, String> {
    let mut status = None;
    let poll = || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    };
    if until(poll, seconds).is_none() {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("it did not end within {seconds} s"));
    }
    Ok(status.and_then(|status| status.code()))
}

fn until(mut done: impl FnMut() -> bool, seconds: u64) -> Option<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        if done() {
            return Some(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// The command line of a process that has to do with a folder.
fn running(folder: &str) -> Option<String> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(folder).then_some(line)
    })
}
