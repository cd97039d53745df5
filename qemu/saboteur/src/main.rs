// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! An /init that runs the suite, passes its events on, and does one kind of damage at one of them.
//!
//! What to do stands at the end of its own file, so that every damage is an INIT= of its own:
//! this program, the suite's, and a last line `#!sabotage <length of the suite> <when> <what>`.
//! <when> is `boot`, or the first event of a kind: `hello`, `plan`, `start`, `result`, `done`.

mod damage;

use damage::Damage;
use memfd_seals::events::Event;
use memfd_seals::init::{self, End};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const SUITE: &str = "/suite";
const EVENTS: &str = "/events";
const MARK: &[u8] = b"\n#!sabotage ";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, strike, name, cpu] = &args[..] {
        if strike == "strike" {
            return damage::strike(name, cpu);
        }
    }
    if let Err(line) = run(&args[1..]) {
        // On the console, where the kernel's words are: a saboteur that fails must be seen.
        eprintln!("saboteur: {line}");
    }
    init::end(End::Reboot);
}

fn run(args: &[String]) -> Result<(), String> {
    let (when, damage) = unpack()?;
    init::mount_all()?;
    if damage.needs_lkdtm() {
        init::mount_debugfs()?;
    }
    let option = args.iter().position(|arg| arg == "--events").ok_or("no --events")?;
    let place = args.get(option + 1).ok_or("--events without a path")?;
    let mut port = init::open_events(Path::new(place))?;
    if when == "boot" {
        damage.strike_first();
    }
    nix::unistd::mkfifo(EVENTS, Mode::S_IRWXU).map_err(|e| format!("{EVENTS}: {e}"))?;
    let mut args = args.to_vec();
    args[option + 1] = EVENTS.to_owned();
    // The suite is no /init here; what it would take as one, it is told. Leaks are not what is
    // looked for, and their scan takes its time.
    args.retain(|arg| arg != "--scan-leaks");
    args.extend(["--limit".to_owned(), init::limit().as_secs().to_string()]);
    let mut suite = Command::new(SUITE)
        .args(&args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("{SUITE}: {e}"))?;
    let hello_seen = damage.trace(suite.id());
    let events = File::open(EVENTS).map_err(|e| format!("{EVENTS}: {e}"))?;
    let mut due = when != "boot";
    for line in BufReader::new(events).split(b'\n') {
        let mut line = line.map_err(|e| format!("{EVENTS}: {e}"))?;
        let kind = kind(&line);
        line.push(b'\n');
        let now = due && kind == when;
        due &= !now;
        if now && damage == Damage::Cut {
            line.truncate(line.len() / 2);
        }
        port.write_all(&line).map_err(|e| format!("the port: {e}"))?;
        if now {
            damage.strike(&mut suite);
        }
        if kind == "hello" {
            hello_seen();
        }
    }
    suite.wait().map_err(|e| format!("{SUITE}: {e}"))?;
    let nonce = args.iter().position(|arg| arg == "--nonce").and_then(|at| args.get(at + 1));
    init::finish(false, false, nonce.ok_or("no --nonce")?)
}

/// Takes the suite out of this program's file. Gives when to do which damage.
fn unpack() -> Result<(String, Damage), String> {
    let this = std::fs::read("/init").map_err(|e| format!("/init: {e}"))?;
    let at = this.windows(MARK.len()).rposition(|window| window == MARK).ok_or("no orders")?;
    let orders = String::from_utf8_lossy(&this[at + MARK.len()..]).into_owned();
    let mut words = orders.split_whitespace();
    let length: usize = words.next().and_then(|word| word.parse().ok()).ok_or("no length")?;
    let when = words.next().ok_or("no event")?.to_owned();
    let damage = Damage::parse(&words.collect::<Vec<_>>())?;
    let suite = at.checked_sub(length).map(|from| &this[from..at]).ok_or("no suite")?;
    let refuse = |e| format!("{SUITE}: {e}");
    std::fs::write(SUITE, suite).map_err(refuse)?;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(SUITE, mode).map_err(refuse)?;
    Ok((when, damage))
}

/// The first word of an event: "start".
fn kind(line: &[u8]) -> &'static str {
    match serde_json::from_slice(line) {
        Ok(Event::Hello { .. }) => "hello",
        Ok(Event::Plan { .. }) => "plan",
        Ok(Event::Start { .. }) => "start",
        Ok(Event::Output { .. }) => "output",
        Ok(Event::Counted { .. }) => "counted",
        Ok(Event::Result { .. }) => "result",
        Ok(Event::Guarantees(_)) => "guarantees",
        Ok(Event::Done { .. }) => "done",
        Err(_) => "",
    }
}
