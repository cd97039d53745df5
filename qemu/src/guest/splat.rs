// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Looks for the kernel's cries on a whole console. The patterns are data: `qemu/splats.txt`.

use crate::class::{Class, Refusal, Step};
use std::path::Path;

/// How bad a row says its text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel stopped.
    Panic,
    /// It went on, wounded.
    Splat,
}

/// The rows of `splats.txt`.
#[derive(Debug)]
pub struct Patterns {
    cries: Vec<(Kind, String)>,
    allowed: Vec<String>,
}

/// One occurrence on the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splat {
    pub kind: Kind,
    /// The row's text.
    pub text: String,
    /// The console's line that holds it, in the guest's order, without carriage returns.
    pub line: String,
    /// 1-based number of that line.
    pub number: usize,
}

/// More splats than anybody reads.
const MOST: usize = 1000;

impl Patterns {
    /// Reads a file of rows. Refuses (class internal) a file that is missing or malformed: "no
    /// patterns" must never look like "no splats".
    pub fn load(path: &Path) -> Step<Patterns> {
        let refuse = |why: String| {
            Refusal::new(Class::Internal, format!("{}: {why}: restore the file", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
        Patterns::parse(&text).map_err(refuse)
    }

    /// Parses rows; the error names the row's line number.
    pub fn parse(text: &str) -> Result<Patterns, String> {
        let mut rows = Patterns { cries: Vec::new(), allowed: Vec::new() };
        let mut allow_rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
            if cells.iter().any(|cell| cell.len() < 4) {
                return Err(format!("line {number}: a cell of fewer than 4 characters"));
            }
            match cells[..] {
                ["panic", text] => rows.cries.push((Kind::Panic, text.to_owned())),
                ["splat", text] => rows.cries.push((Kind::Splat, text.to_owned())),
                ["allow", text, _why] => allow_rows.push((number, text.to_owned())),
                _ => {
                    return Err(format!(
                        "line {number}: not `panic | text`, `splat | text` or `allow | text | why`"
                    ));
                }
            }
        }
        for kind in [Kind::Panic, Kind::Splat] {
            if !rows.cries.iter().any(|(of, _)| *of == kind) {
                return Err(format!("no row of kind {kind:?}"));
            }
        }
        for (number, text) in allow_rows {
            let holds = |kind| rows.cries.iter().any(|(k, cry)| *k == kind && text.contains(cry));
            if holds(Kind::Panic) || !holds(Kind::Splat) {
                return Err(format!("line {number}: allows no splat's text, or allows a panic"));
            }
            rows.allowed.push(text);
        }
        Ok(rows)
    }

    /// Every occurrence in a console's bytes, in order; of splats [`MOST`] at most, but the first
    /// panic always. No text of a row has a newline in it, so each line is looked at alone.
    pub fn scan(&self, console: &[u8]) -> Vec<Splat> {
        let text = readable(console);
        let mut found: Vec<Splat> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let mut here = Vec::new();
            for (kind, cry) in &self.cries {
                if found.len() >= MOST && *kind == Kind::Splat {
                    continue;
                }
                let cries = line.match_indices(cry.as_str()).map(|(at, _)| at);
                here.extend(cries.filter(|at| !self.allows(line, *at, cry)).map(|at| {
                    let (text, line) = (cry.clone(), line.to_owned());
                    (at, Splat { kind: *kind, text, line, number: index + 1 })
                }));
            }
            here.sort_by_key(|(at, _)| *at);
            let panic = here.iter().any(|(_, splat)| splat.kind == Kind::Panic);
            found.extend(here.into_iter().map(|(_, splat)| splat));
            if panic && found.len() >= MOST {
                break;
            }
        }
        found
    }

    /// Whether an allowed text covers the very occurrence at `at`: another splat on the same line
    /// is still one.
    fn allows(&self, line: &str, at: usize, cry: &str) -> bool {
        self.allowed.iter().any(|text| {
            line.match_indices(text.as_str())
                .any(|(from, _)| from <= at && at + cry.len() <= from + text.len())
        })
    }
}

/// A console as a person reads it: no carriage returns, no NULs, and bytes that are not UTF-8
/// replaced.
pub fn readable(console: &[u8]) -> String {
    let kept: Vec<u8> = console.iter().copied().filter(|b| !matches!(b, b'\r' | 0)).collect();
    String::from_utf8_lossy(&kept).into_owned()
}
