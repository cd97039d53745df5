// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the man pages promise is checked: `patches/man-pages/claims.toml` has each sentence that the
//! patches add, and the cases that hold it.

use glob::Pattern;
use memfd_seals::cases;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Map {
    says_nothing: Vec<Silent>,
    claim: Vec<Claim>,
}

/// A sentence that promises nothing of the kernel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Silent {
    sentence: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    sentence: String,
    /// As in COVERAGE.md: rows, `area::case`, and with `::` after them tests; `*` is any text.
    cases: Vec<String>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../patches/man-pages")
}

fn map() -> Map {
    let text = std::fs::read_to_string(folder().join("claims.toml")).unwrap();
    toml::from_str(&text).unwrap_or_else(|e| panic!("claims.toml: {e}"))
}

/// The sentences of all patches that have a word on an added line, in their order.
fn sentences() -> Vec<String> {
    let mut patches: Vec<_> = glob::glob(folder().join("*.patch").to_str().unwrap())
        .unwrap()
        .map(|path| std::fs::read_to_string(path.unwrap()).unwrap())
        .collect();
    patches.sort();
    assert!(!patches.is_empty(), "no patches in {}", folder().display());
    patches.iter().flat_map(|patch| added(patch)).collect()
}

/// The same of one patch.
fn added(patch: &str) -> Vec<String> {
    let mut page = Page::default();
    for line in patch.lines().skip_while(|line| !line.starts_with("@@")) {
        match line.split_at_checked(1) {
            Some(("+", text)) => page.line(text, true),
            Some((" ", text)) => page.line(text, false),
            Some(("-", _)) => {}
            _ => {
                page.end();
                page.code = false;
            }
        }
    }
    page.end();
    page.done
}

/// What is read of a page: text, joined to sentences.
#[derive(Default)]
struct Page {
    words: Vec<String>,
    new: bool,
    /// Within .EX and .EE.
    code: bool,
    /// The next line is the tag of a paragraph.
    tag: bool,
    done: Vec<String>,
}

impl Page {
    fn line(&mut self, line: &str, new: bool) {
        let (name, rest) = match line.strip_prefix('.') {
            Some(request) => request.split_once(' ').unwrap_or((request, "")),
            None => ("", line),
        };
        match name {
            "EX" => self.code = true,
            "EE" => self.code = false,
            _ => {}
        }
        let text = match name {
            _ if self.code => return,
            "" => unescape(rest),
            "B" | "I" => words(rest).join(" "),
            "BR" | "RB" | "BI" | "IB" | "IR" | "RI" => words(rest).concat(),
            name if name.starts_with("\\\"") => return,
            _ => {
                self.end();
                self.tag = matches!(name, "TP" | "TQ");
                return;
            }
        };
        if std::mem::take(&mut self.tag) {
            return;
        }
        self.words.push(text);
        self.new |= new;
        // Sentences end where lines do: semantic newlines.
        if self.words.last().unwrap().trim_end_matches(')').ends_with(['.', ':', '?', '!']) {
            self.end();
        }
    }

    fn end(&mut self) {
        let sentence = std::mem::take(&mut self.words).join(" ");
        if std::mem::take(&mut self.new) && !sentence.is_empty() {
            self.done.push(sentence);
        }
    }
}

/// The arguments of a macro.
fn words(rest: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in rest.trim_end().chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.iter().filter(|word| !word.is_empty()).map(|word| unescape(word)).collect()
}

fn unescape(text: &str) -> String {
    let pairs = [("\\-", "-"), ("\\&", ""), ("\\~", " "), ("\\[aq]", "'")];
    let plain = pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    assert!(!plain.contains('\\'), "an escape that this test does not know: {text}");
    plain
}

#[test]
fn every_sentence_is_in_the_map_and_every_entry_in_a_page() {
    let map = map();
    let said = sentences();
    let known: Vec<_> = map.claim.iter().map(|claim| &claim.sentence).collect();
    let known = [known, map.says_nothing.iter().map(|silent| &silent.sentence).collect()].concat();
    let missing: Vec<_> = said.iter().filter(|sentence| !known.contains(sentence)).collect();
    let gone: Vec<_> = known.iter().filter(|sentence| !said.contains(sentence)).collect();
    assert!(missing.is_empty(), "not in claims.toml: {missing:#?}");
    assert!(gone.is_empty(), "of claims.toml, but in no page: {gone:#?}");
    assert_eq!(known.len(), known.iter().collect::<BTreeSet<_>>().len(), "an entry stands twice");
}

#[test]
fn every_claim_has_cases_and_every_other_sentence_a_reason() {
    let map = map();
    let tests: BTreeSet<String> = cases::all().iter().map(|test| test.name()).collect();
    for Claim { sentence, cases } in &map.claim {
        assert!(!cases.is_empty(), "no case: {sentence}");
        for case in cases {
            let (whole, below) = (Pattern::new(case), Pattern::new(&format!("{case}::*")));
            let (whole, below) = (whole.expect("a pattern"), below.expect("a pattern"));
            let there = tests.iter().any(|test| whole.matches(test) || below.matches(test));
            assert!(there, "{case} is no case: {sentence}");
        }
    }
    for Silent { sentence, reason } in &map.says_nothing {
        assert!(reason.len() > 10, "no reason: {sentence}");
    }
}

#[test]
fn text_is_read_as_a_reader_sees_it() {
    let patch = "--- a/x\n+++ b/x\n@@ -1,3 +1,9 @@\n a cut\n sentence.\n+.TP\n+.BR SEAL \" (since 1)\"\n\
                 +With\n+.BR write (2),\n+.\\\" no word\n+it\n fails\\~so.\n+.EX\n+int x;\n+.EE\n\
                 +New\n-Old\n end.\n Not new.\n";
    assert_eq!(added(patch), ["With write(2), it fails so.", "New end."]);
}
