// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a person sees of a run: one line per step with its time, and progress in long ones.

use crate::class::Refusal;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::{Duration, Instant};

/// How long a step is silent where lines cannot be rewritten.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
/// How often a line is rewritten on a terminal.
const REWRITE_EVERY: Duration = Duration::from_millis(100);
/// Where the times begin, in characters.
const WIDTH: usize = 84;

/// The output of a run, and the time that each step took.
pub struct Ui {
    terminal: bool,
    rewriting: bool,
    step: &'static str,
    began: Instant,
    last: Instant,
    millis: Vec<(String, u128)>,
}

impl Ui {
    /// A user interface on stdout.
    pub fn new() -> Ui {
        let (terminal, now) = (stdout().is_terminal(), Instant::now());
        Ui { terminal, rewriting: false, step: "", began: now, last: now, millis: Vec::new() }
    }

    /// A step begins; its clock starts.
    pub fn begin(&mut self, step: &'static str) {
        (self.step, self.began, self.last) = (step, Instant::now(), Instant::now());
    }

    /// Says how far the step is. Cheap enough to be called at any rate.
    pub fn progress(&mut self, text: impl FnOnce() -> String) {
        let every = if self.terminal { REWRITE_EVERY } else { PLAIN_EVERY };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let line = step_line(self.step, &format!("... {}", text()), self.began.elapsed());
        if self.terminal {
            self.rewriting = true;
            let cut: String = line.chars().take(columns()).collect();
            self.put(&format!("\r\x1b[K{cut}"));
        } else {
            self.put(&format!("{line}\n"));
        }
    }

    /// A plain line of its own, within a step or between two.
    pub fn note(&mut self, line: &str) {
        self.clear();
        self.put(&format!("{:<11}{line}\n", self.step));
    }

    /// The step ended: its one line, and its time for the summary.
    pub fn end(&mut self, text: &str, unchanged: bool) {
        let text = if unchanged { format!("{text} (unchanged)") } else { text.to_owned() };
        self.ended(self.step, &text, self.began.elapsed());
    }

    /// The same for a step that somebody else timed.
    pub fn ended(&mut self, step: &str, text: &str, took: Duration) {
        self.clear();
        self.put(&format!("{}\n", step_line(step, text, took)));
        self.millis.push((step.to_owned(), took.as_millis()));
    }

    /// Name and milliseconds of each step that ended, in order.
    pub fn millis(&self) -> &[(String, u128)] {
        &self.millis
    }

    /// Takes a rewritten line off the terminal, so that the next words stand alone.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.rewriting) {
            self.put("\r\x1b[K");
        }
    }

    /// A line of the report.
    pub fn say(&mut self, line: &str) {
        self.clear();
        self.put(&format!("{line}\n"));
    }

    /// Why there is no report.
    pub fn refuse(&mut self, refusal: &Refusal) {
        self.clear();
        let _ = writeln!(stderr(), "{refusal}");
    }

    fn put(&self, text: &str) {
        // A closed stdout must not stop a build: the exit code still tells how it ended.
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn columns() -> usize {
    std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(80)
}

fn step_line(step: &str, text: &str, took: Duration) -> String {
    format!("{:<WIDTH$}{:>7.1} s", format!("{step:<11}{text}"), took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_in_one_column() {
        let short = step_line("source", "7.3.4", Duration::from_millis(40));
        let long = step_line("build", "vmlinux, 1234 objects", Duration::from_secs(173));
        assert!(short.starts_with("source     7.3.4 "));
        assert!(short.ends_with("    0.0 s") && long.ends_with("  173.0 s"));
        assert_eq!(short.len(), long.len());
    }

    #[test]
    fn steps_are_recorded_in_order() {
        let mut ui = Ui::new();
        for step in ["source", "series"] {
            ui.begin(step);
            ui.end("", true);
        }
        let names: Vec<_> = ui.millis().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["source", "series"]);
    }
}
