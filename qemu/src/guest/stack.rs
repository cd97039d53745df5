// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The stacks of a console's splats, with source lines: by the tree's own
//! scripts/decode_stacktrace.sh, which needs bash, awk, nm, addr2line and a vmlinux with debug
//! information. Where it can't be had, the stacks are shown as they came. Decides nothing.

use super::splat::{Splat, readable};
use crate::kernel::Kernel;
use crate::run::{command, output, which};
use memfd_seals::report::text::plain;
use std::fs::File;
use std::io::{Seek, Write};

/// Splats that are decoded; what comes after the first ones is mostly their consequence.
const STACKS: usize = 4;
/// Lines of one splat.
const LONGEST: usize = 100;
/// Lines without a word of a splat's after which it is over.
const QUIET: usize = 40;
/// Seconds for one splat: each of its lines costs a fraction of one.
const SECONDS: &str = "20";
const SCRIPT: &str = "scripts/decode_stacktrace.sh";

/// One splat's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// 1-based number of the console's line that it begins with.
    pub number: usize,
    /// How many of the console's lines it is.
    pub count: usize,
    pub lines: Vec<String>,
    /// Why these lines are as they came; empty if they are decoded.
    pub raw: String,
}

/// Cuts the splats out of a console. An oops holds many words of `splats.txt`, and is one.
pub fn cut(console: &[u8], splats: &[Splat]) -> Vec<Stack> {
    let text = readable(console);
    let all: Vec<&str> = text.lines().collect();
    let (mut stacks, mut over) = (Vec::new(), 0);
    for splat in splats {
        if splat.number <= over {
            continue;
        }
        let (mut last_word, mut lines, mut kept) = (splat.number, Vec::new(), 1);
        for (at, line) in all.iter().enumerate().skip(splat.number - 1).take(LONGEST) {
            let word = splats.iter().any(|other| other.number == at + 1);
            if word {
                last_word = at + 1;
            } else if at + 1 - last_word > QUIET {
                break;
            }
            lines.push(plain(line));
            if word || line.contains("+0x") || line.contains("</TASK>") {
                kept = lines.len();
            }
            if line.contains("---[ end") {
                break;
            }
        }
        lines.truncate(kept);
        over = splat.number + kept - 1;
        stacks.push(Stack { number: splat.number, count: kept, lines, raw: String::new() });
    }
    stacks
}

/// Decodes the first few. Bounded in time; never fails, but says in `raw` why a stack is raw.
pub fn decode(kernel: &Kernel, mut stacks: Vec<Stack>) -> Vec<Stack> {
    stacks.truncate(STACKS);
    for stack in stacks.iter_mut().filter(|stack| stack.lines.iter().any(|l| l.contains("+0x"))) {
        match decoded(kernel, &stack.lines) {
            Ok(lines) => stack.lines = lines,
            Err(why) => stack.raw = format!("{SCRIPT}: {why}"),
        }
    }
    stacks
}

/// decoded.txt.
pub fn file(stacks: &[Stack]) -> String {
    let mut text = String::new();
    for stack in stacks {
        let raw = if stack.raw.is_empty() { String::new() } else { format!(" ({})", stack.raw) };
        text.push_str(&format!("console.log line {}{raw}:\n", stack.number));
        stack.lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        text.push('\n');
    }
    text
}

fn decoded(kernel: &Kernel, lines: &[String]) -> Result<Vec<String>, String> {
    let script = kernel.source_tree.join(SCRIPT);
    if !script.is_file() {
        return Err("the tree has none".to_owned());
    }
    let tools = ["timeout", "bash", "awk", "nm", "addr2line"];
    if let Some(tool) = tools.iter().find(|tool| which(tool).is_none()) {
        return Err(format!("{tool} is missing"));
    }
    let mut decode = command("timeout");
    decode.args(["-k", "2", SECONDS, "bash"]).arg(script).arg(&kernel.vmlinux);
    decode.env("CROSS_COMPILE", kernel.target.arch.programs().prefix());
    // The tree's path, which is taken off the file names: `auto` would have to guess it.
    decode.arg(&kernel.source_tree).stdin(input(lines).map_err(|e| e.to_string())?);
    let out = output(&mut decode, &mut || ()).map_err(|refusal| refusal.line)?;
    match out.status.code() {
        Some(0) => {}
        Some(124 | 137) => return Err(format!("not done within {SECONDS} s")),
        _ => return Err(format!("{}: {}", out.status, plain(out.stderr.trim()))),
    }
    let said = String::from_utf8_lossy(&out.stdout);
    let got: Vec<String> = said.lines().map(|line| short(&plain(line))).collect();
    let left = got.iter().filter(|line| line.contains("+0x")).count();
    if left == lines.iter().filter(|line| line.contains("+0x")).count() {
        return Err("found no source lines: is CONFIG_DEBUG_INFO on?".to_owned());
    }
    Ok(got)
}

fn input(lines: &[String]) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    for line in lines.iter().filter(|line| !line.contains("Code:")) {
        writeln!(file, "{}", harmless(line))?;
    }
    file.rewind()?;
    Ok(file)
}

/// Without the working folder in front of file names. The script takes off one, spelled as it is
/// given: generated files are in another, and a folder may have been built by another name.
fn short(line: &str) -> String {
    let name = |word: &str| {
        let (before, path) = word.split_at(word.find('/').unwrap_or(word.len()));
        let inside =
            ["/source/", "/build/./", "/build/"].iter().find_map(|dir| path.split_once(dir));
        match inside {
            Some((_, inside)) if before.is_empty() || before == "(" => format!("{before}{inside}"),
            _ => word.to_owned(),
        }
    };
    line.split(' ').map(name).collect::<Vec<_>>().join(" ")
}

/// The script lets bash and awk evaluate words of its input, and a guest's program can write to the
/// console too: nothing gets there but what an honest stack is made of. `Code:` lines, which it
/// would disassemble at length, do not get there at all.
fn harmless(line: &str) -> String {
    let honest = |c: char| c.is_ascii_alphanumeric() || " \t_.,:;?<>()[]/+-=@#*|~!%&^".contains(c);
    line.chars().map(|c| if honest(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::splat::Patterns;
    use std::fs;
    use std::path::Path;

    const OOPS: &str = "[0.1] quiet\r\n[0.2] BUG: unable to handle page fault\r\n[0.2] Oops: 0002\r\n\
        [0.2] RIP: 0010:shmem_add_seals+0x1/0x2\r\n[0.2] Call Trace:\r\n[0.2]  memfd_fcntl+0x3/0x4\r\n\
        [0.2]  </TASK>\r\n[0.2] ---[ end trace 0000000000000000 ]---\r\n\
        [0.3] Kernel panic - not syncing: Fatal exception\r\n[0.3] Kernel Offset: disabled\r\n";

    fn cut_from(console: &str) -> Vec<Stack> {
        let patterns = Patterns::parse(include_str!("../../splats.txt")).unwrap();
        cut(console.as_bytes(), &patterns.scan(console.as_bytes()))
    }

    fn kernel(folder: &Path, script: &str) -> Kernel {
        fs::create_dir_all(folder.join("scripts")).unwrap();
        if !script.is_empty() {
            fs::write(folder.join(SCRIPT), script).unwrap();
        }
        Kernel {
            target: Default::default(),
            vmlinux: folder.join("vmlinux"),
            image: folder.join("vmlinux"),
            build_dir: folder.into(),
            source_tree: folder.into(),
            release: String::new(),
            salt: String::new(),
            base: String::new(),
            series: String::new(),
            series_hash: String::new(),
            patches: 0,
        }
    }

    #[test]
    fn an_oops_is_one_and_the_panic_after_it_another() {
        let stacks = cut_from(OOPS);
        let got: Vec<_> = stacks.iter().map(|s| (s.number, s.lines.len())).collect();
        assert_eq!(got, [(2, 7), (9, 1)]);
        assert_eq!(stacks[0].lines[6], "[0.2] ---[ end trace 0000000000000000 ]---");
    }

    #[test]
    fn a_splat_ends_where_the_console_goes_on_quietly() {
        let quiet: String = (0..200).map(|n| format!("[1.0] line {n}\n")).collect();
        let stacks = cut_from(&format!("{quiet}WARNING: x\n foo+0x1/0x2\n{quiet}BUG: y\n{quiet}"));
        let got: Vec<_> = stacks.iter().map(|s| (s.number, s.lines.len())).collect();
        assert_eq!(got, [(201, 2), (403, 1)]);
        let endless = cut_from(&"BUG: again\n".repeat(1000));
        assert_eq!((endless.len(), endless[0].lines.len()), (10, LONGEST));
    }

    #[test]
    fn decoded_by_the_trees_script() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sed \"s|shmem_add_seals+0x1/0x2|shmem_add_seals (${2##*/} mm/memfd.c:1)|\"\n";
        let stacks = decode(&kernel(folder.path(), script), cut_from(OOPS));
        let name = folder.path().file_name().unwrap().to_string_lossy();
        assert_eq!(
            stacks[0].lines[2],
            format!("[0.2] RIP: 0010:shmem_add_seals ({name} mm/memfd.c:1)")
        );
        assert_eq!((stacks[0].raw.as_str(), stacks[1].raw.as_str()), ("", ""));
        assert!(file(&stacks).starts_with("console.log line 2:\n[0.2] BUG: unable"));
    }

    #[test]
    fn what_cannot_be_decoded_is_raw_and_says_why() {
        for (script, why) in [
            ("", "the tree has none"),
            ("cat", "found no source lines: is CONFIG_DEBUG_INFO on?"),
            ("echo bad >&2; exit 3", "exit status: 3: bad"),
            ("exit 124", "not done within 20 s"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let stacks = decode(&kernel(folder.path(), script), cut_from(OOPS));
            assert_eq!(stacks[0].raw, format!("{SCRIPT}: {why}"));
            assert_eq!(stacks[0].lines, cut_from(OOPS)[0].lines);
        }
    }

    #[test]
    fn file_names_begin_in_the_tree() {
        let line = "[0.4]  do_exit (/c/work-a/source/kernel/exit.c:9 /c/work-b/build/./arch/x.h:2)";
        assert_eq!(short(line), "[0.4]  do_exit (kernel/exit.c:9 arch/x.h:2)");
        for line in ["[0.4]  do_exit (kernel/exit.c:9)", "a/source/b  and/or (/x/y.c:1)"] {
            assert_eq!(short(line), line);
        }
    }

    #[test]
    fn a_console_gives_the_script_nothing_to_evaluate() {
        let evil = r#"BUG: x+a[$(touch /tmp/x)]+0x1/0x2 `id` "y" 'z' \ {v}"#;
        assert_eq!(harmless(evil), "BUG: x+a[?(touch /tmp/x)]+0x1/0x2 ?id? ?y? ?z? ? ?v?");
        let honest = "[    0.4]  ? __do_sys_fcntl.isra.0+0x18/0x50 [udmabuf] (P) <TASK> #PF: a=b";
        assert_eq!(harmless(honest), honest);
    }
}
