// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What gcov counted in a kernel that was built for it, as lines: the guest's way out is its console.

use std::fmt::Write;
use std::path::Path;

/// What a line begins with: "gcov: <object's .gcda, as the build has it> <offset> <bytes in hex>".
pub const HEAD: &str = "gcov:";
/// Bytes a line: a record of the kernel's log holds a little less than 1,000 characters.
const CHUNK: usize = 300;

/// Says each file below `folder`, debugfs's gcov, in its lines. Errors: the line to print, as without
/// the counts nothing is known.
pub fn print(folder: &Path, say: &mut dyn FnMut(&str) -> Result<(), String>) -> Result<(), String> {
    let word = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(word)? {
        let entry = entry.map_err(word)?;
        let path = entry.path();
        if entry.file_type().map_err(word)?.is_dir() {
            print(&path, say)?;
        } else if path.extension().is_some_and(|end| end == "gcda") {
            let counts = std::fs::read(&path).map_err(word)?;
            for (nth, bytes) in counts.chunks(CHUNK).enumerate() {
                let mut line = format!("{HEAD} {} {} ", path.display(), nth * CHUNK);
                bytes.iter().for_each(|byte| write!(line, "{byte:02x}").expect("a string"));
                say(&line)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_in_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("mm");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("a.gcda"), [0xab; CHUNK + 1]).unwrap();
        std::fs::write(below.join("a.gcno"), "no counts").unwrap();
        let mut lines = Vec::new();
        let mut say = |line: &str| {
            lines.push(line.to_owned());
            Ok(())
        };
        print(folder.path(), &mut say).unwrap();
        let path = below.join("a.gcda");
        let whole = format!("gcov: {} 0 {}", path.display(), "ab".repeat(CHUNK));
        assert_eq!(lines, [whole, format!("gcov: {} {CHUNK} ab", path.display())]);
        assert!(print(&path.join("none"), &mut |_| Ok(())).is_err());
    }
}
