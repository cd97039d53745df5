// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The folder that a run leaves: target/qemu-test/<start>-<pid>/, and `latest`, which points to
//! the newest. From its first moment on it holds the run's end three times over, in results.ktap,
//! junit.xml and summary.json; as long as there is none, that end is `internal`. A run that is
//! killed, or refused before anything was booted, so never leaves a pass of an earlier one behind
//! `latest`. Only a command line that makes no sense (class usage) is no run and leaves nothing.

use super::accel::Choice;
use super::tally::{Counts, Row, Surprise};
use crate::class::{Class, Refusal, Step};
use crate::files;
use crate::kernel::Kernel;
use memfd_seals::compare::{Grid, Guarantees};
use memfd_seals::report::{Ending, junit, ktap};
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
    command: String,
}

/// All that is written down of a run's end.
pub struct End<'a> {
    pub class: Class,
    /// The cause, in one line.
    pub line: &'a str,
    /// None: it was refused before there was one.
    pub kernel: Option<&'a Kernel>,
    /// None: nothing was booted.
    pub choice: Option<&'a Choice>,
    pub counts: Counts,
    pub surprises: &'a [Surprise],
    /// None: nobody asked, or nothing answered.
    pub guarantees: Option<&'a Guarantees>,
    pub rows: &'a [Row],
    /// Each step with its milliseconds.
    pub steps: &'a [(String, u128)],
}

impl<'a> End<'a> {
    /// The end of a run in which there was nothing to judge.
    pub fn refused(
        class: Class,
        line: &'a str,
        rows: &'a [Row],
        steps: &'a [(String, u128)],
    ) -> End<'a> {
        let counts = Counts::default();
        End {
            class,
            line,
            kernel: None,
            choice: None,
            counts,
            surprises: &[],
            guarantees: None,
            rows,
            steps,
        }
    }
}

/// A class as the reports have it: only a pass is one there.
pub fn ending(class: Class, cause: &str) -> Ending<'_> {
    match class {
        Class::Pass => Ending::Pass,
        Class::Fail => Ending::Fail { cause },
        other => Ending::Other { word: other.word(), cause },
    }
}

/// summary.json. Fields may be added; one that changes its meaning changes `schema`.
#[derive(Serialize)]
struct Summary<'a> {
    schema: u32,
    /// A class's word (`qemu-test classes`); "internal" until the run is over.
    verdict: &'a str,
    /// The cause, in one line.
    line: &'a str,
    exit_code: u8,
    /// What runs it again, with each variable that was given: "make qemu-test FILTER=replay".
    command: &'a str,
    /// "7.3.4 (Debian linux-source-7.3 7.3.4-1~bpo13+1)"; like what follows up to `salt` null if the
    /// run was refused before there was a kernel.
    base: Option<&'a str>,
    /// `uname -r` of the kernel.
    release: Option<&'a str>,
    series: Option<&'a str>,
    series_hash: Option<&'a str>,
    patches: Option<usize>,
    /// A hash of the patches' bytes, in their order.
    patches_hash: Option<&'a str>,
    salt: Option<&'a str>,
    /// "kvm" or "tcg"; null if nothing was booted.
    accelerator: Option<&'a str>,
    /// In words: "TCG: no /dev/kvm".
    accelerator_why: Option<&'a str>,
    /// Results by outcome, whatever was predicted.
    counts: &'a Counts,
    /// Milliseconds of each step.
    ms: BTreeMap<&'a str, u128>,
    /// What calls on a memfd on shmem gave under each seal, in the order of `seals`, and on hugetlbfs;
    /// null in a run with a filter, in one that did not come so far, and if the calls could not be made:
    /// then `guarantees_why` says why.
    guarantees: Option<&'a Grid>,
    guarantees_hugetlb: Option<&'a Grid>,
    guarantees_why: &'a str,
    /// The tests that did not come out as predicted: name, predicted, got (null: no result), why.
    surprises: &'a [Surprise],
    /// All tests, in the plan's order: name, predicted (null: nobody planned this result), outcome
    /// (null: no result), ms, why, output. Outcomes are pass, fail, error, skip, timeout.
    tests: &'a [Row],
}

impl Folder {
    /// Makes the folder under `repo`/target/qemu-test, and points `latest` to it. `rows` are the
    /// planned tests, none of which has a result yet.
    /// `command` is what runs it again.
    pub fn create(repo: &Path, rows: &[Row], command: String) -> Step<Folder> {
        let parent = repo.join("target/qemu-test");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{}-{}", utc(now.as_secs()), std::process::id());
        let folder = Folder { path: parent.join(name), parent, command };
        let made = files::mkdir(&folder.path).and_then(|()| {
            folder.refuse(Class::Internal, "the run did not come to its end", rows, &[])
        });
        if made.is_err() {
            // On a full disk, too, an earlier run must not pass for this one.
            let _ = files::remove(&folder.parent.join("latest"));
        }
        made.map(|()| folder)
    }

    /// Writes down that there was nothing to judge.
    pub fn refuse(
        &self,
        class: Class,
        line: &str,
        rows: &[Row],
        steps: &[(String, u128)],
    ) -> Step<()> {
        self.end(&End::refused(class, line, rows, steps))
    }

    /// Replaces summary.json, results.ktap and junit.xml, and points `latest` here.
    pub fn end(&self, end: &End) -> Step<()> {
        let kernel = end.kernel;
        let summary = Summary {
            schema: 1,
            verdict: end.class.word(),
            line: end.line,
            command: &self.command,
            exit_code: end.class.code(),
            base: kernel.map(|kernel| kernel.base.as_str()),
            release: kernel.map(|kernel| kernel.release.as_str()),
            series: kernel.map(|kernel| kernel.series.as_str()),
            series_hash: kernel.map(|kernel| kernel.series_hash.as_str()),
            patches: kernel.map(|kernel| kernel.patches),
            patches_hash: kernel.map(|kernel| kernel.patches_hash.as_str()),
            salt: kernel.map(|kernel| kernel.salt.as_str()),
            accelerator: end.choice.map(|choice| choice.accel.word()),
            accelerator_why: end.choice.map(|choice| choice.why.as_str()),
            counts: &end.counts,
            ms: end.steps.iter().map(|(name, ms)| (name.as_str(), *ms)).collect(),
            guarantees: end.guarantees.and_then(|said| said.shmem.as_ref()),
            guarantees_hugetlb: end.guarantees.and_then(|said| said.hugetlb.as_ref()),
            guarantees_why: end.guarantees.map_or("", |said| said.why.as_str()),
            surprises: end.surprises,
            tests: end.rows,
        };
        let mut text = serde_json::to_string_pretty(&summary).unwrap_or_default();
        text.push('\n');
        let ending = ending(end.class, end.line);
        let junit = junit::junit("qemu-test", ending, end.rows)
            .map_err(|line| Refusal::new(Class::Internal, line))?;
        let files = [
            ("results.ktap", ktap::ktap(ending, end.rows)),
            ("junit.xml", junit),
            ("summary.json", text),
        ];
        let written = files.iter().try_for_each(|(name, text)| self.write(name, text));
        let ended = written.and_then(|()| self.publish());
        if ended.is_err() {
            // Half an end must not look like a good one.
            for (name, _) in &files {
                let _ = files::remove(&self.path.join(name));
            }
        }
        ended
    }

    /// The folder as a person types it who stands in `repo`.
    pub fn name(&self, repo: &Path) -> String {
        self.path.strip_prefix(repo).unwrap_or(&self.path).display().to_string()
    }

    /// Writes one more file.
    pub fn write(&self, name: &str, text: &str) -> Step<()> {
        files::write(&self.path.join(name), text.as_bytes())
    }

    /// Points `latest` here, in one step, and removes the oldest runs.
    fn publish(&self) -> Step<()> {
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
        // A clock that was set back must not cost the present run.
        runs.retain(|run| *run != self.path);
        for run in runs.iter().rev().skip(KEEP - 1) {
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
