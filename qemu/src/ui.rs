// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a person sees of a run: one line per step with its time, and progress in long ones.

use crate::class::Refusal;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::{Duration, Instant};

/// How long a step is silent where lines cannot be rewritten.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
/// How often a line is rewritten on a terminal.
const REWRITE_EVERY: Duration = Duration::from_millis(100);
/// Where the times begin, in characters, unless the terminal is narrower.
const WIDTH: usize = 84;
/// The characters of a step's name.
const STEP: usize = 11;
/// The characters of a time.
const TIME: usize = 9;
/// Of a terminal that does not say how wide it is.
const COLUMNS: usize = 80;

/// The output of a run, and the time that each step took.
pub struct Ui {
    terminal: bool,
    rewriting: bool,
    step: &'static str,
    began: Instant,
    last: Instant,
    millis: Vec<(String, u128)>,
}

impl Default for Ui {
    fn default() -> Ui {
        Ui::new()
    }
}

impl Ui {
    /// A user interface on stdout.
    pub fn new() -> Ui {
        let (terminal, now) = (stdout().is_terminal(), Instant::now());
        Ui { terminal, rewriting: false, step: "", began: now, last: now, millis: Vec::new() }
    }

    /// A step begins; its clock starts. A terminal shows at once which one it is.
    pub fn begin(&mut self, step: &'static str) {
        (self.step, self.began, self.last) = (step, Instant::now(), Instant::now());
        if self.terminal {
            self.rewrite("...");
        }
    }

    /// Says how far the step is. Cheap enough to be called at any rate.
    pub fn progress(&mut self, text: impl FnOnce() -> String) {
        let every = if self.terminal { REWRITE_EVERY } else { PLAIN_EVERY };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let text = format!("... {}", text());
        if self.terminal {
            self.rewrite(&text);
        } else {
            let line = step_line(self.step, &text, self.began.elapsed(), WIDTH);
            self.put(&format!("{line}\n"));
        }
    }

    /// A line that the next one takes the place of.
    fn rewrite(&mut self, text: &str) {
        self.rewriting = true;
        let line = fitted(self.step, text, self.began.elapsed(), columns());
        self.put(&format!("\r\x1b[K{line}"));
    }

    /// Where the times begin.
    fn width(&self) -> usize {
        if self.terminal { width_in(columns()) } else { WIDTH }
    }

    /// A plain line of its own, within a step or between two.
    pub fn note(&mut self, line: &str) {
        self.clear();
        self.put(&format!("{:<STEP$}{line}\n", self.step));
    }

    /// The step ended: its one line, and its time for the summary.
    pub fn end(&mut self, text: &str, unchanged: bool) {
        let text = if unchanged { format!("{text} (unchanged)") } else { text.to_owned() };
        self.ended(self.step, &text, self.began.elapsed());
    }

    /// The same for a step that somebody else timed.
    pub fn ended(&mut self, step: &str, text: &str, took: Duration) {
        self.clear();
        self.put(&format!("{}\n", step_line(step, text, took, self.width())));
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
        // Unit tests have lines of their own.
        if cfg!(test) {
            return;
        }
        // A closed stdout must not stop a build: the exit code still tells how it ended.
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// The terminal's width: as COLUMNS has it, which a person set, or as the terminal says itself.
fn columns() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(|n| *n > 0);
    let told = || terminal_size::terminal_size_of(stdout()).map(|(width, _)| width.0.into());
    asked.or_else(told).filter(|n| *n > 0).unwrap_or(COLUMNS)
}

/// Where the times begin in so many columns. The last one is left free: some terminals wrap once it
/// is filled.
fn width_in(columns: usize) -> usize {
    WIDTH.min(columns.saturating_sub(TIME + 1))
}

/// A line that fits, its time included: one that wraps can't be taken back.
fn fitted(step: &str, text: &str, took: Duration, columns: usize) -> String {
    let width = width_in(columns);
    let cut: String = text.chars().take(width.saturating_sub(STEP + 1)).collect();
    let line = step_line(step, &cut, took, width);
    line.chars().take(columns.saturating_sub(1)).collect()
}

/// A text that is too long for its place is not cut: its time just comes later.
fn step_line(step: &str, text: &str, took: Duration, width: usize) -> String {
    format!("{:<width$}{:>7.1} s", format!("{step:<STEP$}{text}"), took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn times_stand_in_one_column() {
        let short = step_line("source", "7.3.4", Duration::from_millis(40), WIDTH);
        let long = step_line("build", "vmlinux, 1234 objects", Duration::from_secs(173), WIDTH);
        assert!(short.starts_with("source     7.3.4 "));
        assert!(short.ends_with("    0.0 s") && long.ends_with("  173.0 s"));
        assert_eq!((short.len(), long.len()), (WIDTH + TIME, WIDTH + TIME));
    }

    #[rstest]
    #[case(200, WIDTH + TIME, "boot       ... 123 of 279 tests, 2 failed  ", " 12.3 s")]
    #[case(50, 49, "boot       ... 123 of 279 tests, 2 fail ", "   12.3 s")]
    #[case(30, 29, "boot       ... 123 ", "   12.3 s")]
    #[case(8, 7, "boot   ", "")]
    #[case(0, 0, "", "")]
    fn a_line_fits(
        #[case] columns: usize,
        #[case] length: usize,
        #[case] start: &str,
        #[case] end: &str,
    ) {
        let took = Duration::from_millis(12_300);
        let got = fitted("boot", "... 123 of 279 tests, 2 failed", took, columns);
        assert_eq!(got.len(), length, "{got}");
        assert!(got.starts_with(start) && got.ends_with(end), "{got}");
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
