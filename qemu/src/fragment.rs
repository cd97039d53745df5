// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The options that are asked for, and what became of them.

use crate::arch::Arch;
use crate::bases::Listed;
use crate::class::{Class, Refusal, Step};
use crate::files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is asked of the kernel's configuration.
pub struct Fragment {
    /// "default", or what `CONFIG=` names, after the architecture if it is not x86_64: part of the
    /// working folder's name.
    pub name: String,
    /// Kconfig lines.
    pub text: String,
}

impl Fragment {
    /// `qemu/kernel.config`, followed by the architecture's in `qemu/arch/` and by what `CONFIG=`
    /// names: a file, or `<name>` for `qemu/<name>.config`; without the options that the base does
    /// not have, and with its own.
    pub fn find(repo: &Path, given: Option<&str>, arch: Arch, base: &Listed) -> Step<Fragment> {
        let Fragment { name, text } = Fragment::whole(repo, given, arch)?;
        let also = base.also.iter().map(|line| format!("{line}\n"));
        let name = if arch == Arch::default() { name } else { format!("{}-{name}", arch.name()) };
        Ok(Fragment { name, text: without(&text, &base.options) + &also.collect::<String>() })
    }

    fn whole(repo: &Path, given: Option<&str>, arch: Arch) -> Step<Fragment> {
        let mut text = files::read_text(&repo.join("qemu/kernel.config"))?;
        text.push_str(&files::read_text(&of_arch(repo, arch.name()))?);
        let Some(given) = given else { return Ok(Fragment { name: "default".into(), text }) };
        let named = repo.join("qemu").join(format!("{given}.config"));
        let ours = named.is_file();
        let path = if ours { named } else { PathBuf::from(given) };
        let more = std::fs::read_to_string(&path).map_err(|e| {
            let line = format!(
                "CONFIG={given}: {e}; give a file of Kconfig lines, or the X of a qemu/X.config"
            );
            Refusal::new(Class::Usage, line)
        })?;
        text.push_str(&more);
        let full = std::fs::canonicalize(&path).map_err(files::refuse(&path))?;
        let name = if ours { given.into() } else { crate::source::name_for(&full) };
        Ok(Fragment { name, text })
    }
}

/// The file of `qemu/arch/` with this name.
pub fn of_arch(repo: &Path, name: &str) -> PathBuf {
    repo.join(format!("qemu/arch/{name}.config"))
}

/// The text without the lines of these options, which are named without CONFIG_.
fn without(text: &str, lacking: &[String]) -> String {
    let names: Vec<String> = lacking.iter().map(|name| format!("CONFIG_{name}")).collect();
    let kept = |line: &&str| !options(line).keys().any(|name| names.iter().any(|n| n == name));
    text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// Option and value of each line; "n" for "is not set". A later line wins, as in Kconfig.
pub fn options(text: &str) -> BTreeMap<&str, &str> {
    let option = |line: &'_ str| -> Option<(usize, usize)> {
        if let Some(name) = line.strip_prefix("# ").and_then(|l| l.strip_suffix(" is not set")) {
            return name.starts_with("CONFIG_").then_some((2, 2 + name.len()));
        }
        (line.starts_with("CONFIG_")).then(|| (0, line.find('=').unwrap_or(0)))
    };
    let mut options = BTreeMap::new();
    for line in text.lines().map(str::trim_end) {
        if let Some((from, to)) = option(line).filter(|(from, to)| from < to) {
            let value = if from == 2 { "n" } else { &line[to + 1..] };
            options.insert(&line[from..to], value);
        }
    }
    options
}

/// An option's value; "n" if it is not there.
pub fn value_of<'a>(options: &BTreeMap<&str, &'a str>, name: &str) -> &'a str {
    options.get(name).copied().unwrap_or("n")
}

/// What was asked for and is otherwise, in words.
pub fn lost(asked: &BTreeMap<&str, &str>, config: &str) -> Vec<String> {
    let got = options(config);
    let differ = asked.iter().filter(|(name, value)| value_of(&got, name) != **value);
    let words = |(name, value): (&&str, &&str)| match got.get(*name) {
        None => format!("{name}={value} is gone"),
        Some(other) => format!("{name}={value} became {other}"),
    };
    differ.map(words).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GOT: &str =
        "# Automatic\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"x=y\"\nCONFIG_M=m\n";

    #[test]
    fn what_a_base_lacks_is_not_asked_for() {
        let text = "# about\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=y\n";
        assert_eq!(without(text, &["A".into(), "B".into()]), "# about\nCONFIG_AB=y\n");
    }

    #[rstest]
    #[case("CONFIG_A=y\nCONFIG_S=\"x=y\"\n", &[])]
    #[case("CONFIG_B=y\n", &["CONFIG_B=y became n"])]
    #[case("CONFIG_NONSENSE=y\n", &["CONFIG_NONSENSE=y is gone"])]
    #[case("# CONFIG_NONSENSE is not set\nCONFIG_B=n\n", &[])]
    #[case("# CONFIG_A is not set\n", &["CONFIG_A=n became y"])]
    #[case("CONFIG_M=y\n", &["CONFIG_M=y became m"])]
    #[case("CONFIG_B=y\nCONFIG_B=n\n# CONFIG_C=y is a comment\n", &[])]
    fn dropped_options_are_named(#[case] fragment: &str, #[case] want: &[&str]) {
        assert_eq!(lost(&options(fragment), GOT), want);
    }
}
