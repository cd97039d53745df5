// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! This program in QEMU's place.

use crate::lab;
use crate::row::{On, Qemu, Row};
use memfd_seals::events::{Chain, Event};
use memfd_seals::init;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// A QEMU that was told to boot.
pub struct Fake {
    /// As the true one would get them.
    pub args: Vec<String>,
    /// The true one.
    qemu: PathBuf,
    lab: PathBuf,
}

/// `as-qemu <row> <lab> <true QEMU> <QEMU's arguments>`
pub fn main(rows: &[&Row], args: &[String]) -> ExitCode {
    let [name, lab, qemu, args @ ..] = args else { return ExitCode::from(99) };
    let Some(row) = rows.iter().find(|row| row.name == name) else { return ExitCode::from(99) };
    if args == ["--version"] {
        // What is learnt about KVM is kept by version: nothing that is learnt of a fake may count
        // for the true one, nor in another row or selftest.
        let id = format!("{}-{}", row.name.replace("::", "-"), made(Path::new(lab)));
        match row.qemu {
            Qemu::Version(said) => println!("{said}"),
            _ => println!("QEMU emulator version 9.0.0-{id}"),
        }
        return ExitCode::SUCCESS;
    }
    let mut fake = Fake { args: args.to_vec(), qemu: qemu.into(), lab: lab.into() };
    ExitCode::from(match row.qemu {
        Qemu::Edited(edit) => {
            edit(&mut fake.args);
            fake.become_true()
        }
        Qemu::Lies(edit) => {
            let mut events = fake.recorded();
            edit(&mut events);
            fake.replay(&written(&events))
        }
        Qemu::Damages(damage) => fake.replay(&damage(written(&fake.recorded()))),
        Qemu::Fake(act) => act(&mut fake),
        Qemu::True | Qemu::Version(_) | Qemu::Path(_) => 99,
    })
}

impl Fake {
    /// The value of an option, as `-accel`.
    pub fn value(&self, option: &str) -> &str {
        let at = self.args.iter().position(|arg| arg == option);
        at.and_then(|at| self.args.get(at + 1)).map_or("", String::as_str)
    }

    /// Changes the value of an option.
    pub fn set(&mut self, option: &str, value: &str) {
        if let Some(at) = self.args.iter().position(|arg| arg == option) {
            self.args[at + 1] = value.to_owned();
        }
    }

    /// A kernel that was built for the rows.
    pub fn vmlinux(&self, on: On) -> PathBuf {
        lab::vmlinux(&self.lab, on)
    }

    /// The word that this boot has to echo.
    fn nonce(&self) -> String {
        let mut words = self.value("-append").split(' ').skip_while(|word| *word != "--nonce");
        words.nth(1).unwrap_or_default().to_owned()
    }

    /// What the guest's console and this one's stderr say, and its events' port.
    pub fn console(&self, bytes: &[u8]) {
        put("/dev/fd/1", bytes);
    }

    pub fn events(&self, bytes: &[u8]) {
        put("/dev/fd/0", bytes);
    }

    /// The events of the recorded run without its `done`, with this boot's nonce.
    pub fn recorded(&self) -> Vec<Event> {
        let lines = self.stale();
        let lines = lines.split(|byte| *byte == b'\n');
        let mut events: Vec<Event> =
            lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        events.retain(|event| !matches!(event, Event::Done { .. }));
        if let Some(Event::Hello { nonce, .. }) = events.first_mut() {
            *nonce = self.nonce();
        }
        events
    }

    /// The recorded run as it was, the nonce too.
    pub fn stale(&self) -> Vec<u8> {
        fs::read(lab::recording(&self.lab).join("results.jsonl")).unwrap_or_default()
    }

    /// The recorded console with this boot's nonce, these events, and a clean end.
    pub fn replay(&self, events: &[u8]) -> u8 {
        let console = fs::read(lab::recording(&self.lab).join("console.log")).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).into_owned();
        let said = |rest: &str| rest.split_whitespace().next().map(str::to_owned);
        let old = console.split_once(init::LAST_WORD).and_then(|(_, rest)| said(rest));
        let console = old.map_or(console.clone(), |old| console.replace(&old, &self.nonce()));
        self.console(console.as_bytes());
        self.events(events);
        0
    }

    /// Does nothing more, until it is killed.
    pub fn stay(&self) -> ! {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }

    /// The true QEMU takes this process over.
    pub fn become_true(&self) -> u8 {
        eprintln!("{}", Command::new(&self.qemu).args(&self.args).exec());
        99
    }
}

/// Lines, and a `done` whose count and hash fit them.
pub fn written(events: &[Event]) -> Vec<u8> {
    let line = |event: &Event| {
        let mut line = serde_json::to_vec(event).unwrap_or_default();
        line.push(b'\n');
        line
    };
    let mut bytes: Vec<u8> = events.iter().flat_map(line).collect();
    let mut chain = Chain::default();
    chain.add(&bytes);
    let count = events.iter().filter(|event| matches!(event, Event::Result { .. })).count();
    bytes.extend(line(&Event::Done { count, sha256: chain.hex(), taint: Some(0) }));
    bytes
}

/// When the lab was made, for a word that no other has.
fn made(lab: &Path) -> u64 {
    let made = fs::metadata(lab.join("kvm")).and_then(|meta| meta.modified());
    let since = made.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.unwrap_or_default().as_millis() as u64
}

/// By the names under which QEMU opens its two channels.
fn put(channel: &str, bytes: &[u8]) {
    // A runner that has seen enough closes them; that is its right.
    if let Ok(mut file) = OpenOptions::new().write(true).open(channel) {
        let _ = file.write_all(bytes);
    }
}
