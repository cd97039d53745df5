// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `--bless FILE`: a row for each unexpected result, without the reason that a person has to add
//! before the file can be used.

use crate::deviations::Row as Known;
use crate::events::Outcome;
use crate::report::Row;
use crate::report::text::one_line;
use std::fmt::Write;

/// What `--bless` comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Blessing {
    /// The rows, to stand at the end of the file; empty if there are none.
    pub text: String,
    pub rows: usize,
    /// What no row can say, a line each.
    pub notes: Vec<String>,
}

/// Rows for what came out wrong. `seen` says of which kernel; `known` gives the row that speaks of a
/// test in the file already.
pub fn bless<'a>(rows: &[Row], seen: &str, known: impl Fn(&str) -> Option<&'a Known>) -> Blessing {
    let mut blessing = Blessing::default();
    let mut tests: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        // From its second run on a test has its round in its name.
        let name = row.name.split('@').next().unwrap_or_default();
        match tests.iter_mut().find(|(of, _)| *of == name) {
            Some((_, rounds)) => rounds.push(row),
            None => tests.push((name, vec![row])),
        }
    }
    for (name, rounds) in tests {
        let Some(wrong) = rounds.iter().find(|row| row.is_wrong()) else { continue };
        let Some(got) = wrong.outcome else { continue };
        if let Some(other) = rounds.iter().find(|row| row.outcome != Some(got)) {
            let other = other.outcome.map_or("nothing", Outcome::word);
            blessing.notes.push(format!("{name}: {got} in one round and {other} in another"));
        } else if let Some(known) = known(name) {
            let (place, was) = (known.place(), known.got);
            let note = format!("{name}: {place} has it as {was}, and it is {got}: change that row");
            blessing.notes.push(note);
        } else {
            blessing.rows += 1;
            let why = if wrong.why.is_empty() { wrong.words() } else { one_line(&wrong.why) };
            let _ = writeln!(
                blessing.text,
                "\n[[deviation]]\n# {seen}: {why}\ntest = \"{name}\"\ngot = \"{got}\"\nreason = \"\"",
                seen = one_line(seen),
            );
        }
    }
    blessing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deviations::Table;

    const SHRINK: &str = "resizing::shrink::shmem::fs_write";

    fn row(name: &str, predicted: Outcome, outcome: Outcome, why: &str) -> Row {
        let (predicted, outcome) = (Some(predicted), Some(outcome));
        let (name, why) = (name.to_owned(), why.to_owned());
        let (reason, output) = (String::new(), Vec::new());
        Row { name, predicted, outcome, reason, ms: 0, why, output, checks: 0 }
    }

    #[test]
    fn what_is_blessed_is_refused_until_it_is_explained() {
        let rows = [
            row("a", Outcome::Pass, Outcome::Pass, ""),
            row(SHRINK, Outcome::Pass, Outcome::Fail, "expected EPERM,\n\"got\" 4"),
            row("resizing::grow::shmem::fs_write", Outcome::Fail, Outcome::Pass, ""),
        ];
        let blessing = bless(&rows, "Linux 1", |_| None);
        assert_eq!((blessing.rows, blessing.notes.len()), (2, 0));
        let refused = Table::parse("t", &blessing.text).unwrap_err();
        assert!(
            refused.starts_with("t:2: resizing::shrink::shmem::fs_write: the reason is missing"),
            "{refused}"
        );
        let explained = blessing.text.replace("reason = \"\"", "reason = \"as ever\"");
        let table = Table::parse("t", &explained).unwrap();
        assert_eq!(table.find(SHRINK, &[], &[]).unwrap().got, Outcome::Fail);
        assert_eq!(
            table.find("resizing::grow::shmem::fs_write", &[], &[]).unwrap().got,
            Outcome::Pass
        );
    }

    #[test]
    fn rounds_that_differ_and_rows_that_are_there_are_for_people() {
        let again = format!("{SHRINK}@2");
        let rows = [
            row(SHRINK, Outcome::Pass, Outcome::Pass, ""),
            row(&again, Outcome::Pass, Outcome::Fail, "x"),
        ];
        let blessing = bless(&rows, "x", |_| None);
        assert_eq!(blessing.notes, [format!("{SHRINK}: fail in one round and pass in another")]);
        let text = format!("[[deviation]]\ntest = \"{SHRINK}\"\ngot = \"skip\"\nreason = \"x\"");
        let table = Table::parse("t", &text).unwrap();
        let blessing = bless(&rows[1..], "x", |name| table.find(name, &[], &[]));
        assert_eq!(
            (blessing.rows, blessing.notes),
            (0, vec![format!("{SHRINK}: t:1 has it as skip, and it is fail: change that row")])
        );
    }
}
