// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a run came to, held against its row.

use crate::lab::Lab;
use crate::row::Row;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A run that ended, or had to be killed.
pub struct Ran {
    /// None if it was killed.
    pub code: Option<i32>,
    pub took: Duration,
    pub stdout: String,
    pub stderr: String,
    /// summary.json of the folder that it left, if it left one.
    pub summary: Option<serde_json::Value>,
}

impl Ran {
    /// From what it printed into `folder`, and where `latest` points to now.
    pub fn read(code: Option<i32>, took: Duration, folder: &Path, latest: &Path) -> Ran {
        let text = |name| {
            let bytes = fs::read(folder.join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let summary = fs::read(latest.join("summary.json")).ok();
        let summary = summary.map(|text| serde_json::from_slice(&text).unwrap_or_default());
        // Beside what it printed, as the next rows' runs push it out.
        for name in ["console.log", "results.jsonl", "summary.json"] {
            let _ = fs::copy(latest.join(name), folder.join(name));
        }
        Ran { code, took, stdout: text("stdout"), stderr: text("stderr"), summary }
    }

    /// The class that it names: in the report's last line, or at the start of a refusal's last line.
    fn class(&self) -> &str {
        let verdict = self.stdout.lines().find_map(|line| line.strip_prefix("verdict: "));
        let refusal = self.stderr.lines().next_back().and_then(|line| line.split_once(": "));
        verdict.or(refusal.map(|(class, _)| class)).unwrap_or("")
    }

    /// Why, as it says itself.
    fn cause(&self) -> &str {
        let cause = self.stdout.lines().find_map(|line| line.strip_prefix("cause: "));
        let refusal = self.stderr.lines().next_back().and_then(|line| line.split_once(": "));
        cause.or(refusal.map(|(_, why)| why)).unwrap_or("")
    }

    /// What it says about the accelerator.
    pub fn accelerator(&self) -> &str {
        let line = self.stdout.lines().find_map(|line| line.strip_prefix("accelerator: "));
        line.unwrap_or("")
    }

    /// Whether this is the end that the row states; in words either way.
    pub fn must_be(&self, lab: &Lab, row: &Row) -> Result<String, String> {
        let mut wrong = Vec::new();
        let mut differ = |what: &str, got: String, wanted: String| {
            if got != wanted {
                wrong.push(format!("{what} {got}, not {wanted}"));
            }
        };
        let code = self.code.map_or("none".into(), |code| code.to_string());
        let due = lab.code(row.class).map_or("unknown".into(), |code| code.to_string());
        differ("class", self.class().into(), row.class.into());
        differ("exit", code, due.clone());
        if let Some(summary) = &self.summary {
            let word = |name: &str| summary[name].to_string().trim_matches('"').to_owned();
            differ("summary.json's verdict", word("verdict"), row.class.into());
            differ("summary.json's exit_code", word("exit_code"), due.clone());
        }
        for (what, got, part) in [
            ("cause", self.cause(), row.cause),
            ("the report", &self.stdout, row.shows),
            ("accelerator", self.accelerator(), row.accelerator),
        ] {
            if !got.contains(part) {
                let got: String = got.chars().take(400).collect();
                wrong.push(format!("{what} {got:?} lacks {part:?}"));
            }
        }
        let took = self.took.as_secs_f64();
        if took > row.within as f64 {
            wrong.push(format!("{took:.1} s, bound {} s", row.within));
        }
        if let Some(left) = left_running(&lab.farm()) {
            wrong.push(format!("left running: {left}"));
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let mut words = format!("class {}, exit {due}, {took:.1} s of {} s", row.class, row.within);
        if !row.accelerator.is_empty() {
            words.push_str(&format!("; {}", self.accelerator()));
        }
        Ok(words)
    }
}

/// The command line of a process that has to do with the rows' runs and outlived one.
fn left_running(farm: &Path) -> Option<String> {
    let farm = farm.to_string_lossy();
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&*farm).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn what_outlives_a_run_is_found() {
        let farm = Path::new("/no/such/farm-of-a-test");
        assert_eq!(left_running(farm), None);
        let mut waiting = Command::new("sh");
        waiting.args(["-c", "echo; read line"]).arg(farm);
        let mut waiting = waiting.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // Its command line is there a little later than it is: when it has said something.
        let said = waiting.stdout.as_mut().unwrap().read_exact(&mut [0]);
        let found = left_running(farm);
        waiting.kill().unwrap();
        waiting.wait().unwrap();
        said.unwrap();
        assert!(found.is_some());
    }
}
