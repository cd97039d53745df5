// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a patch changes, and where a tree that moved on has it: read from diffs alone.

use std::collections::BTreeMap;

/// What one patch does to one file.
#[derive(Debug, Default, PartialEq)]
pub struct FilePatch {
    /// Its path before; none for a new file.
    pub old: Option<String>,
    /// Its path after; none for a removed file.
    pub new: Option<String>,
    /// The abbreviated name of its blob before, if the patch says so; zeroes for a new file.
    pub blob: String,
    /// "100644"
    pub mode: String,
    pub hunks: Vec<Hunk>,
}

/// One hunk.
#[derive(Debug, PartialEq)]
pub struct Hunk {
    /// Its first line before the patch, as the header says: 1234 of `@@ -1234,6 +1240,7 @@`.
    pub line: usize,
    /// Its lines, each with ' ', '-' or '+' in front.
    pub lines: Vec<String>,
}

/// Lines that are removed and added at one place.
struct Change<'a> {
    /// The line before the patch at which they stand.
    line: usize,
    lines: Vec<&'a str>,
}

impl FilePatch {
    /// The path that people know it by.
    pub fn path(&self) -> &str {
        self.old.as_deref().or(self.new.as_deref()).unwrap_or_default()
    }

    /// Whether it makes a file that was not there.
    pub fn is_new(&self) -> bool {
        self.old.is_none()
    }
}

impl Hunk {
    /// The lines that it replaces, without marks.
    fn before(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|l| !l.starts_with('+')).map(|l| &l[1..])
    }

    /// How many of this hunk's lines, as they are after it, are among `lines` of a file.
    pub fn shares(&self, lines: &[&str]) -> usize {
        let after = self.lines.iter().filter(|l| !l.starts_with('-')).map(|l| &l[1..]);
        after.filter(|l| !l.trim().is_empty() && lines.contains(l)).count()
    }

    fn changes(&self) -> Vec<Change<'_>> {
        let (mut at, mut inside, mut changes) = (self.line, false, Vec::<Change>::new());
        for line in &self.lines {
            let context = line.starts_with(' ');
            match changes.last_mut().filter(|_| inside && !context) {
                Some(change) => change.lines.push(line),
                None if !context => changes.push(Change { line: at, lines: vec![line] }),
                None => {}
            }
            inside = !context;
            at += usize::from(!line.starts_with('+'));
        }
        changes
    }
}

/// The files of a patch as `git format-patch` or `git diff` writes it. Hunks are taken by their
/// own count of lines, so that nothing after them is read as one.
pub fn parse(patch: &str) -> Vec<FilePatch> {
    let mut files: Vec<FilePatch> = Vec::new();
    let mut lines = patch.split('\n');
    while let Some(line) = lines.next() {
        if line.starts_with("diff --git ") {
            files.push(FilePatch { mode: "100644".into(), ..FilePatch::default() });
        }
        let Some(file) = files.last_mut() else { continue };
        let path = |line: &str, side: &str| {
            let path = line.strip_prefix(side)?.trim_end_matches(['\t', '\r']);
            Some(path.to_owned())
        };
        if let Some(index) = line.strip_prefix("index ") {
            let mut words = index.split_whitespace();
            let blobs = words.next().and_then(|w| w.split_once("..")).unwrap_or_default();
            file.blob = blobs.0.to_owned();
            file.mode = words.next().map_or(std::mem::take(&mut file.mode), str::to_owned);
        } else if let Some(mode) = line.strip_prefix("deleted file mode ") {
            file.mode = mode.trim_end().to_owned();
        } else if line.starts_with("--- ") {
            file.old = path(line, "--- a/");
        } else if line.starts_with("+++ ") {
            file.new = path(line, "+++ b/");
        } else if let Some((start, mut old, mut new)) = header(line) {
            let mut hunk = Hunk { line: start, lines: Vec::new() };
            while old + new > 0 {
                let Some(line) = lines.next() else { break };
                old -= usize::from(!line.starts_with(['+', '\\'])).min(old);
                new -= usize::from(!line.starts_with(['-', '\\'])).min(new);
                match line.bytes().next() {
                    Some(b' ' | b'-' | b'+') => hunk.lines.push(line.to_owned()),
                    // Mail programs strip the blank of an empty line of context.
                    None => hunk.lines.push(" ".into()),
                    _ => {}
                }
            }
            file.hunks.push(hunk);
        }
    }
    files
}

/// Start and number of lines before, and number after: `@@ -12,3 +14 @@` is (12, 3, 1).
fn header(line: &str) -> Option<(usize, usize, usize)> {
    let (old, new) = line.strip_prefix("@@ -")?.split_once(" @@")?.0.split_once(" +")?;
    let range = |text: &str| {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let ((start, old), (_, new)): ((usize, usize), (usize, usize)) = (range(old)?, range(new)?);
    Some((start, old, new))
}

/// What became of the hunks of `patch`, which is called `name`, in a tree whose own diff with it is `made` and whose files
/// were `before`: a line for each hunk that is not where and what the patch says.
pub fn report(
    name: &str,
    patch: &str,
    made: &str,
    before: &BTreeMap<String, String>,
) -> Vec<String> {
    let (wanted, made) = (parse(patch), parse(made));
    let mut lines = Vec::new();
    for file in wanted.iter().filter(|file| !file.is_new()) {
        let path = file.path();
        let hunks = made.iter().filter(|m| m.path() == path).flat_map(|m| &m.hunks);
        let found: Vec<Change> = hunks.flat_map(Hunk::changes).collect();
        let text = before.get(path).map(String::as_str).unwrap_or_default();
        let text: Vec<&str> = text.split('\n').collect();
        let mut next = 0;
        for hunk in &file.hunks {
            // Git may cut one hunk into two, or join two: changes are the same in either.
            let mut offset = None;
            for change in hunk.changes() {
                let same = |c: &Change| c.lines == change.lines;
                let Some(at) = found[next..].iter().position(same) else { continue };
                let there = found[next + at].line;
                offset.get_or_insert(there as isize - change.line as isize);
                next += at + 1;
            }
            let was = hunk.line;
            let Some(offset) = offset else {
                lines.push(format!("already there: {name}: {path} @@ -{was} @@"));
                continue;
            };
            let now = was as isize + offset;
            let from = usize::try_from(now - 1).ok().and_then(|from| text.get(from..));
            let same = from.is_some_and(|text| {
                let mut text = text.iter();
                hunk.before().all(|line| text.next() == Some(&line))
            });
            let place = format!("@@ -{was} -> @@ -{now} ({offset:+})");
            match (same, offset) {
                (true, 0) => {}
                (true, _) => lines.push(format!("moved: {name}: {path} {place}")),
                (false, _) => {
                    lines.push(format!("merged 3-way: {name}: {path} {place}, its context differs"))
                }
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PATCH: &str = "\
Subject: x

diff --git a/mm/x.c b/mm/x.c
index 0f6fff004f5e..aa12b5da5fb4 100755
--- a/mm/x.c
+++ b/mm/x.c
@@ -2,3 +2,3 @@ int x(void)
 two
-three
+THREE
 four
@@ -8,2 +8,3 @@
 eight

+more
-- 
2.47.3
";

    #[test]
    fn a_patch_is_read_by_its_own_counts() {
        let files = parse(PATCH);
        let [file] = &files[..] else { panic!("{files:?}") };
        assert_eq!(
            (file.path(), file.blob.as_str(), file.mode.as_str()),
            ("mm/x.c", "0f6fff004f5e", "100755")
        );
        assert_eq!(file.hunks[0].lines, [" two", "-three", "+THREE", " four"]);
        assert_eq!((file.hunks[1].line, file.hunks[1].lines.len()), (8, 3));
        let new = parse(
            "diff --git a/n b/n\nindex 000..123\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+x\n",
        );
        assert!(new[0].is_new() && new[0].path() == "n");
    }

    #[rstest]
    #[case("two\nthree\nfour\n", 2, &[])]
    #[case("two\nthree\nfour\n", 9, &["moved: p: mm/x.c @@ -2 -> @@ -9 (+7)"])]
    #[case("two\nthree\nfour\n", 1, &["moved: p: mm/x.c @@ -2 -> @@ -1 (-1)"])]
    #[case("zwei\nthree\nfour\n", 2, &["merged 3-way: p: mm/x.c @@ -2 -> @@ -2 (+0), its context differs"])]
    fn hunks_are_found_again(#[case] text: &str, #[case] line: usize, #[case] want: &[&str]) {
        let head = "diff --git a/mm/x.c b/mm/x.c\n--- a/mm/x.c\n+++ b/mm/x.c\n";
        let patch = format!("{head}@@ -2,3 +2,3 @@\n two\n-three\n+THREE\n four\n");
        let context = text.split('\n').next().unwrap();
        let made = format!("{head}@@ -{line},3 +{line},3 @@\n {context}\n-three\n+THREE\n four\n");
        let text = format!("{}{text}", "x\n".repeat(line - 1));
        let got = report("p", &patch, &made, &[("mm/x.c".to_owned(), text)].into());
        assert_eq!(got, want);
    }

    #[test]
    fn a_hunk_without_a_trace_was_there() {
        let got = report("p", PATCH, "", &BTreeMap::new());
        assert_eq!(got, ["already there: p: mm/x.c @@ -2 @@", "already there: p: mm/x.c @@ -8 @@"]);
    }
}
