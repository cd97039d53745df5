// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The guest's machine: what the kernel's config says that it needs, in lines such as
//! `#! memory 512`, what the suite can't do there, and what `CPUS=` and `MEMORY=` ask for.

use crate::arch::Arch;
use crate::class::{Class, Refusal, Step};

/// The lines of a config fragment that are about the machine. A later line wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// `#! memory N`: MiB that the suite needs on this kernel.
    pub memory_mib: u32,
    /// `#! cpus N`
    pub cpus: u32,
    /// `#! init WORDS`: more arguments of /init.
    pub init: Vec<String>,
    /// `#! arch NAME`: the only architecture that the options are for.
    pub arch: Option<String>,
    /// `#! lacks FEATURE`, of selftests/src/feature.rs. All such lines hold.
    pub lacks: Vec<String>,
}

impl Wants {
    /// Refuses (class usage) a `#!` line that is not understood, and a text that lacks one of the
    /// two numbers.
    pub fn parse(text: &str) -> Step<Wants> {
        let mut wants = Wants::default();
        for line in text.lines().filter_map(|line| line.strip_prefix("#!")) {
            let mut words = line.split_whitespace();
            let number = |word: Option<&str>| word.and_then(|w| w.parse().ok()).filter(|n| *n > 0);
            let understood = match (words.next(), words.clone().count()) {
                (Some("memory"), 1) => number(words.next()).map(|n| wants.memory_mib = n),
                (Some("cpus"), 1) => number(words.next()).map(|n| wants.cpus = n),
                (Some("arch"), 1) => words.next().map(|name| wants.arch = Some(name.to_owned())),
                (Some("lacks"), 1) => words.next().map(|name| wants.lacks.push(name.to_owned())),
                (Some("init"), 1..) => {
                    wants.init = words.map(str::to_owned).collect();
                    Some(())
                }
                _ => None,
            };
            if understood.is_none() {
                let line = format!(
                    "#!{line}: not understood; a config has `#! memory MiB`, `#! cpus N`, `#! init WORDS`, \
                     `#! arch NAME` and `#! lacks FEATURE`"
                );
                return Err(Refusal::new(Class::Usage, line));
            }
        }
        if wants.memory_mib == 0 || wants.cpus == 0 {
            let line = "qemu/kernel.config lacks its `#! memory` or `#! cpus` line";
            return Err(Refusal::new(Class::Usage, line));
        }
        Ok(wants)
    }

    /// Refuses (class usage) an architecture that the options are not for.
    pub fn suit(self, arch: Arch) -> Step<Wants> {
        match &self.arch {
            Some(only) if only != arch.name() => {
                let line = format!("this CONFIG= is for ARCH={only}: say so, or leave it");
                Err(Refusal::new(Class::Usage, line))
            }
            _ => Ok(self),
        }
    }

    /// With what a person asked for in its place. Refuses (class usage) less memory than the
    /// suite needs: the guest would only say so by killing something.
    pub fn settle(self, cpus: Option<u32>, memory_mib: Option<u32>) -> Step<Wants> {
        let least = self.memory_mib;
        if let Some(given) = memory_mib.filter(|given| *given < least) {
            let line = format!(
                "MEMORY={given} is too little: the suite needs {least} (MiB) on this kernel"
            );
            return Err(Refusal::new(Class::Usage, line));
        }
        let cpus = cpus.unwrap_or(self.cpus);
        Ok(Wants { cpus, memory_mib: memory_mib.unwrap_or(least), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BOTH: &str = "#! memory 512\nCONFIG_X=y\n#! cpus 2\n";

    #[test]
    fn later_lines_win() {
        let wants = Wants::parse(&format!("{BOTH}# memory 9\n#! cpus 1\n#! init --a b\n")).unwrap();
        let init = vec!["--a".to_owned(), "b".to_owned()];
        assert_eq!(wants, Wants { memory_mib: 512, cpus: 1, init, ..Wants::default() });
    }

    #[test]
    fn options_of_another_architecture_are_refused() {
        let wants =
            Wants::parse(&format!("{BOTH}#! arch arm64\n#! lacks a\n#! lacks b\n")).unwrap();
        assert_eq!(wants.lacks, ["a", "b"]);
        assert!(wants.clone().suit(Arch::Arm64).is_ok());
        let refusal = wants.suit(Arch::X86_64).unwrap_err();
        assert_eq!(refusal.line, "this CONFIG= is for ARCH=arm64: say so, or leave it");
    }

    #[rstest]
    #[case("#! memory 512\n")]
    #[case("#! memory 512\n#! cpus 0\n")]
    #[case("#! memory 512 MiB\n#! cpus 2\n")]
    #[case("#! memory 512\n#! cpus 2\n#! init\n")]
    #[case("#! memory 512\n#! cpus 2\n#! disk 3\n")]
    fn bad_lines_are_refused(#[case] text: &str) {
        assert_eq!(Wants::parse(text).unwrap_err().class, Class::Usage);
    }

    #[test]
    fn what_is_asked_for_wins_unless_it_is_too_little() {
        let wants = || Wants::parse(BOTH).unwrap();
        let got = wants().settle(Some(1), Some(1024)).unwrap();
        assert_eq!((got.cpus, got.memory_mib), (1, 1024));
        let refusal = wants().settle(None, Some(511)).unwrap_err();
        assert_eq!(
            refusal.line,
            "MEMORY=511 is too little: the suite needs 512 (MiB) on this kernel"
        );
    }
}
