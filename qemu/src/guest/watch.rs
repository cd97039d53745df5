// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Follows a running QEMU: keeps what comes, and says when it has to be cut off.

use super::boot::{self, Ended, Limits};
use crate::class::{Class, Refusal, Step};
use crate::files;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the stop flag is looked at.
const POLL: Duration = Duration::from_millis(15);
/// More than this from one channel is a guest gone mad, not a report.
const MOST_BYTES: usize = 64 << 20;

/// What a listening thread heard.
pub enum Said {
    Console(Vec<u8>),
    Events(Vec<u8>),
    Words(Vec<u8>),
    /// One of the three is closed.
    Closed,
}

/// Told of the events' bytes as they come, and of nothing now and then: for progress only.
pub type Heard<'a> = &'a mut dyn FnMut(&[u8]);

/// The run folder's two growing files.
pub struct Logs {
    console: (std::path::PathBuf, File),
    events: (std::path::PathBuf, File),
}

impl Logs {
    /// Creates both in `folder`.
    pub fn create(folder: &Path) -> Step<Logs> {
        let create = |name: &str| {
            let path = folder.join(name);
            let file = File::create(&path).map_err(files::refuse(&path))?;
            Ok((path, file))
        };
        Ok(Logs { console: create("console.log")?, events: create("results.jsonl")? })
    }
}

fn write(log: &mut (std::path::PathBuf, File), bytes: &[u8]) -> Step<()> {
    log.1.write_all(bytes).map_err(files::refuse(&log.0))
}

/// What has come so far, and when.
pub struct Watch {
    pub limits: Limits,
    start: Instant,
    pub console: Vec<u8>,
    pub events: Vec<u8>,
    pub words: Vec<u8>,
    /// When the first event came.
    pub hello: Option<Instant>,
    /// When the console last said something.
    last_word: Instant,
    last_event: Instant,
    /// When `done` or a panic was seen: QEMU is to end soon.
    closing: Option<Instant>,
    open: usize,
}

impl Watch {
    /// Nothing has come yet; QEMU was started at `start`.
    pub fn new(limits: Limits, start: Instant) -> Watch {
        Watch {
            limits,
            start,
            console: Vec::new(),
            events: Vec::new(),
            words: Vec::new(),
            hello: None,
            last_word: start,
            last_event: start,
            closing: None,
            open: 3,
        }
    }

    /// Until all channels are closed (None) or the run has to be cut off (why).
    pub fn follow(
        &mut self,
        said: &Receiver<Said>,
        logs: &mut Logs,
        stop: &AtomicBool,
        heard: Heard,
    ) -> Step<Option<Ended>> {
        while self.open > 0 {
            if stop.load(Ordering::Relaxed) {
                let line = "stopped while the guest ran: the same command can be run again";
                return Err(Refusal::new(Class::Interrupted, line));
            }
            match said.recv_timeout(POLL) {
                Ok(said) => self.take(said, logs, heard)?,
                Err(RecvTimeoutError::Timeout) => heard(&[]),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(why) = self.kvm_gave_up() {
                return Ok(Some(Ended::Kvm(why)));
            }
            if let Some(limit) = self.over() {
                return Ok(Some(Ended::Limit(limit)));
            }
        }
        Ok(None)
    }

    /// What was still under way when QEMU ended.
    pub fn drain(&mut self, said: &Receiver<Said>, logs: &mut Logs, heard: Heard) -> Step<()> {
        let start = Instant::now();
        while self.open > 0 && start.elapsed() < Duration::from_secs(2) {
            match said.recv_timeout(POLL) {
                Ok(said) => self.take(said, logs, heard)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, said: Said, logs: &mut Logs, heard: Heard) -> Step<()> {
        match said {
            Said::Console(bytes) => {
                write(&mut logs.console, &bytes)?;
                self.last_word = Instant::now();
                if grow(&mut self.console, &bytes, b"Kernel panic - not syncing") {
                    self.closing.get_or_insert_with(Instant::now);
                }
            }
            Said::Events(bytes) => {
                write(&mut logs.events, &bytes)?;
                self.last_event = Instant::now();
                if self.hello.is_none() {
                    self.hello = Some(self.last_event);
                    self.limits = self.limits.once_booted(self.last_event - self.start);
                }
                heard(&bytes);
                if grow(&mut self.events, &bytes, b"{\"event\":\"done\"") {
                    self.closing.get_or_insert(self.last_event);
                }
            }
            Said::Words(bytes) => self.words.extend(bytes),
            Said::Closed => self.open -= 1,
        }
        Ok(())
    }

    /// QEMU prints this, and then stays, stopped.
    fn kvm_gave_up(&self) -> Option<String> {
        let words = String::from_utf8_lossy(&self.words);
        let line = words.lines().find(|line| line.contains("KVM internal error"))?;
        Some(boot::bare(line).to_owned())
    }

    fn over(&self) -> Option<String> {
        let limits = self.limits.while_booting(self.last_word - self.start);
        let mute = self.console.is_empty() && self.events.is_empty();
        let since_last = self.last_event.elapsed();
        let all = self.start.elapsed();
        if mute && all > limits.first_byte {
            Some(format!("not a byte from the guest in {:?}", limits.first_byte))
        } else if self.closing.is_some_and(|at| at.elapsed() > limits.end) {
            Some(format!("QEMU did not end within {:.0?} of the guest's last word", limits.end))
        } else if self.hello.is_none() && self.last_word.elapsed() > limits.silence {
            Some(format!("no event, and not a word for {:.0?}", limits.silence))
        } else if self.hello.is_some() && since_last > limits.between_events {
            Some(format!("no event for {:.0?}", limits.between_events))
        } else if all > limits.total {
            Some(format!("not done within {:?}", limits.total))
        } else if self.console.len().max(self.events.len()) > MOST_BYTES {
            Some(format!("more than {} MiB from one channel", MOST_BYTES >> 20))
        } else {
            None
        }
    }
}

/// Appends, and says whether `mark` is now there and was not wholly there before.
fn grow(all: &mut Vec<u8>, more: &[u8], mark: &[u8]) -> bool {
    let from = all.len().saturating_sub(mark.len() - 1);
    all.extend_from_slice(more);
    all[from..].windows(mark.len()).any(|window| window == mark)
}
