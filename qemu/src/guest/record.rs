// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The folder that a run leaves: target/qemu-test/<start>-<pid>/, and `latest`, which points to
//! the last complete one.

use super::accel::Choice;
use super::tally::{Counts, Surprise};
use crate::class::{Class, Step};
use crate::files;
use crate::kernel::Kernel;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many runs are kept.
const KEEP: usize = 10;

/// A run's folder, under way.
pub struct Folder {
    pub path: PathBuf,
    parent: PathBuf,
}

/// summary.json.
#[derive(Serialize)]
pub struct Summary<'a> {
    /// A class's word; "internal" until the run is over.
    pub verdict: &'a str,
    pub line: &'a str,
    pub exit_code: u8,
    pub base: &'a str,
    pub release: &'a str,
    pub series: &'a str,
    pub series_hash: &'a str,
    pub patches: usize,
    pub salt: &'a str,
    /// "kvm" or "tcg"; absent if nothing was booted.
    pub accelerator: Option<&'a str>,
    /// In words: "TCG: no /dev/kvm".
    pub accelerator_why: Option<&'a str>,
    pub counts: Counts,
    /// Milliseconds of each step.
    pub ms: BTreeMap<&'a str, u128>,
    pub surprises: &'a [Surprise],
}

impl Folder {
    /// Makes the folder under `repo`/target/qemu-test, with a summary that says "internal": a run
    /// that is killed leaves that, never a pass.
    pub fn create(repo: &Path, kernel: &Kernel) -> Step<Folder> {
        let parent = repo.join("target/qemu-test");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}", utc(now.as_secs()), std::process::id());
        let path = parent.join(name);
        files::mkdir(&path)?;
        let folder = Folder { path, parent };
        let line = "the run did not come to its end";
        folder.summarize(kernel, Class::Internal, line, None, &Counts::default(), &[], &[])?;
        Ok(folder)
    }

    /// Replaces summary.json.
    #[allow(clippy::too_many_arguments)]
    pub fn summarize(
        &self,
        kernel: &Kernel,
        class: Class,
        line: &str,
        choice: Option<&Choice>,
        counts: &Counts,
        surprises: &[Surprise],
        steps: &[(String, u128)],
    ) -> Step<()> {
        let summary = Summary {
            verdict: class.word(),
            line,
            exit_code: class.code(),
            base: &kernel.base,
            release: &kernel.release,
            series: &kernel.series,
            series_hash: &kernel.series_hash,
            patches: kernel.patches,
            salt: &kernel.salt,
            accelerator: choice.map(|choice| choice.accel.word()),
            accelerator_why: choice.map(|choice| choice.why.as_str()),
            counts: counts.clone(),
            ms: steps.iter().map(|(name, ms)| (name.as_str(), *ms)).collect(),
            surprises,
        };
        let mut text = serde_json::to_string_pretty(&summary).unwrap_or_default();
        text.push('\n');
        files::write(&self.path.join("summary.json"), text.as_bytes())
    }

    /// Writes one more file.
    pub fn write(&self, name: &str, text: &str) -> Step<()> {
        files::write(&self.path.join(name), text.as_bytes())
    }

    /// Points `latest` here, in one step, and removes the oldest runs.
    pub fn publish(&self) -> Step<()> {
        let latest = self.parent.join("latest");
        let next = self.parent.join(format!("latest-{}", std::process::id()));
        let refuse = |e: std::io::Error| files::refuse(&latest)(e);
        let _ = fs::remove_file(&next);
        let name = self.path.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(name, &next).map_err(refuse)?;
        fs::rename(&next, &latest).map_err(refuse)?;
        self.remove_old();
        Ok(())
    }

    /// Names begin with the time, so that their order is that of the runs.
    fn remove_old(&self) {
        let Ok(entries) = fs::read_dir(&self.parent) else { return };
        let is_run = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
        let mut runs: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| is_run(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path())
            .collect();
        runs.sort();
        for run in runs.iter().rev().skip(KEEP) {
            let _ = fs::remove_dir_all(run);
        }
    }
}

/// Seconds since 1970 as `20260102-030405`, UTC.
fn utc(seconds: u64) -> String {
    let (days, rest) = ((seconds / 86_400) as i64, seconds % 86_400);
    // Civil date of a day number; years begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::utc;
    use rstest::rstest;

    #[rstest]
    #[case(0, "19700101-000000")]
    #[case(951_782_400, "20000229-000000")]
    #[case(1_700_000_000, "20231114-221320")]
    #[case(4_102_444_799, "20991231-235959")]
    fn utc_is_what_date_says(#[case] seconds: u64, #[case] text: &str) {
        assert_eq!(utc(seconds), text);
    }
}
