// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The splat scan: its data's format, and golden consoles in `qemu/tests/<case>/`, each with
//! `console`, `class` (the class's word, and for a splat the line that must be named) and
//! `exit-code`. Those of LKDTM were cut out of what `make selftest` records.

use crate::class::Class;
use crate::guest::splat::{Kind, Patterns};
use rstest::rstest;
use std::fs;
use std::path::Path;

fn shipped() -> Patterns {
    Patterns::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("splats.txt")).unwrap()
}

#[test]
fn golden_consoles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let patterns = shipped();
    let mut seen = 0;
    for case in fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let console = fs::read(case.join("console")).unwrap();
        let wanted = fs::read_to_string(case.join("class")).unwrap();
        let found = patterns.scan(&console);
        let first = found.iter().find(|s| s.kind == Kind::Panic).or(found.first());
        let class = match first.map(|splat| splat.kind) {
            None => Class::Pass,
            Some(Kind::Panic) => Class::Panic,
            Some(Kind::Splat) => Class::Splat,
        };
        let line = first.map_or(String::new(), |splat| format!("{}\n", splat.line.trim()));
        assert_eq!(format!("{}\n{line}", class.word()), wanted, "{}", case.display());
        let code = fs::read_to_string(case.join("exit-code")).unwrap();
        assert_eq!(format!("{}\n", class.code()), code, "{}", case.display());
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} cases");
}

#[rstest]
#[case::empty("")]
#[case::comments_only("# nothing\n")]
#[case::no_panic_row("splat | WARNING:\n")]
#[case::no_splat_row("panic | Kernel panic\n")]
#[case::no_kind("panic | Kernel panic\nWARNING:\n")]
#[case::unknown_kind("panic | Kernel panic\nsplat | WARNING:\nsplatt | BUG:\n")]
#[case::short_text("panic | Kernel panic\nsplat | x\n")]
#[case::empty_text("panic | Kernel panic\nsplat | \n")]
#[case::too_many_cells("panic | Kernel panic\nsplat | WARNING: | why\n")]
#[case::allow_without_reason("panic | Kernel panic\nsplat | WARNING:\nallow | WARNING: x\n")]
#[case::allow_empty_reason("panic | Kernel panic\nsplat | WARNING:\nallow | WARNING: x | \n")]
#[case::allow_of_nothing("panic | Kernel panic\nsplat | WARNING:\nallow | harmless | because\n")]
#[case::allow_of_panic(
    "panic | Kernel panic\nsplat | WARNING:\nallow | Kernel panic WARNING: | because\n"
)]
fn malformed_rows_are_errors(#[case] text: &str) {
    assert!(Patterns::parse(text).is_err());
}

#[test]
fn a_missing_file_is_an_error() {
    let refusal = Patterns::load(Path::new("no/such/splats.txt")).unwrap_err();
    assert_eq!(refusal.class, Class::Internal);
}

#[test]
fn an_allowed_text_covers_itself_only() {
    let rows = "panic | Kernel panic\nsplat | WARNING:\nsplat | BUG:\n\
                allow | foo: WARNING: old firmware | known and harmless\n";
    let patterns = Patterns::parse(rows).unwrap();
    let count = |console: &[u8]| patterns.scan(console).len();
    assert_eq!(count(b"[1.0] foo: WARNING: old firmware\r\n"), 0);
    assert_eq!(count(b"[1.0] foo: WARNING: new firmware\r\n"), 1);
    assert_eq!(count(b"foo: WARNING: old firmware WARNING: at mm/x.c\n"), 1);
    assert_eq!(count(b"foo: WARNING: old firmware BUG: x\n"), 1);
    assert_eq!(count(b"foo: WARNING: old\nfirmware\n"), 1);
}

#[rstest]
#[case::alone(b"WARNING:")]
#[case::after_text_without_newline(b"test output WARNING: CPU: 0")]
#[case::carriage_return_within(b"WARN\rING: CPU: 0")]
#[case::nul_within(b"WARN\0ING: CPU: 0")]
#[case::after_bytes_that_are_no_text(b"\xff\xfe\x00WARNING: CPU: 0")]
fn nothing_hides_a_splat(#[case] console: &[u8]) {
    assert_eq!(shipped().scan(console).len(), 1);
}
