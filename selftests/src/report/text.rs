// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Text from the guest, made fit for a terminal, a line, or a shell.

/// Without what a terminal would act upon, what some reader takes for the end of a line, and what
/// XML has no place for.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c != '\t' && acts(c) { '\u{fffd}' } else { c }).collect()
}

fn acts(c: char) -> bool {
    c.is_control()
        // Line and paragraph separators: Python's splitlines() breaks a line there.
        || matches!(c, '\u{2028}' | '\u{2029}')
        // These change the direction of what follows.
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Each line, made plain; lines of nothing but blanks are left out.
pub fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(plain).filter(|line| !line.trim().is_empty())
}

/// All in one plain line.
pub fn one_line(text: &str) -> String {
    lines(text).map(|line| line.trim().replace('\t', " ")).collect::<Vec<_>>().join(" ")
}

/// A word as a POSIX shell reads it back, quoted only where it must be.
pub fn shell_word(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@+%".contains(c);
    if !word.is_empty() && word.chars().all(safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("tab\tand \u{e9} stay", "tab\tand \u{e9} stay")]
    #[case("\x1b[31mred\x07", "\u{fffd}[31mred\u{fffd}")]
    #[case(
        "a\u{85}b\u{2028}c\u{2029}d\x1ce\x0bf",
        "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f"
    )]
    #[case("x\u{202e}y\u{2066}z\u{ffff}", "x\u{fffd}y\u{fffd}z\u{fffd}")]
    fn nothing_acts(#[case] text: &str, #[case] want: &str) {
        assert_eq!(plain(text), want);
    }

    #[test]
    fn lines_become_one() {
        assert_eq!(one_line("a: b\n\n   c\r\nd\te\x1b\n"), "a: b c d e\u{fffd}");
    }

    #[rstest]
    #[case("", "''")]
    #[case("programs::replay", "programs::replay")]
    #[case("a b", "'a b'")]
    #[case("it's $HOME", r"'it'\''s $HOME'")]
    fn shell_words(#[case] word: &str, #[case] want: &str) {
        assert_eq!(shell_word(word), want);
    }
}
