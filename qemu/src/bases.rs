// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The list of kernels that have a series, `patches/bases.toml`.

use crate::class::{Class, Refusal, Step};
use crate::files;
use serde::Deserialize;
use std::path::Path;

/// A row of it: see the list's head.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    pub folder: String,
    pub kernel: String,
    pub suites: Vec<String>,
    #[serde(default)]
    pub source: Source,
    #[serde(default)]
    pub options: Vec<String>,
    #[serde(default)]
    pub also: Vec<String>,
    #[serde(default)]
    pub features: Vec<String>,
    /// For ci/matrix: here it is only checked.
    #[serde(default)]
    #[cfg_attr(not(test), allow(dead_code))]
    pub more: Vec<More>,
}

/// What else the matrix runs it on: values of the runner's variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(test), allow(dead_code))]
pub struct More {
    pub arch: String,
    pub config: String,
    pub abi: String,
}

/// What the source comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The package linux-source-X.Y.
    #[default]
    Package,
    /// The upstream tarball of the source package `linux`.
    Orig,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    base: Vec<Listed>,
}

const LIST: &str = "patches/bases.toml";

/// All rows.
pub fn all(repo: &Path) -> Step<Vec<Listed>> {
    let text = files::read_text(&repo.join(LIST))?;
    let list: List = toml::from_str(&text).map_err(|error| {
        Refusal::new(Class::Usage, format!("{LIST}: {}", error.message().replace('\n', " ")))
    })?;
    Ok(list.base)
}

/// The row that `BASE=` names.
pub fn find(repo: &Path, folder: &str) -> Step<Listed> {
    let all = all(repo)?;
    let names: Vec<&str> = all.iter().map(|base| base.folder.as_str()).collect();
    let none = || {
        let line = format!("BASE={folder}: there are {}; see {LIST}", names.join(", "));
        Refusal::new(Class::Usage, line)
    };
    all.iter().find(|base| base.folder == folder).cloned().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memfd_seals::feature::FEATURES;

    fn repo() -> std::path::PathBuf {
        concat!(env!("CARGO_MANIFEST_DIR"), "/..").into()
    }

    #[test]
    fn each_row_has_its_folder_and_names_what_there_is() {
        for base in all(&repo()).unwrap() {
            assert!(repo().join("patches").join(&base.folder).is_dir(), "{}", base.folder);
            assert!(!base.suites.is_empty(), "{}", base.folder);
            for name in &base.features {
                assert!(FEATURES.iter().any(|feature| feature.name == name), "{name}");
            }
            for (at, more) in base.more.iter().enumerate() {
                assert!(["", "x86_64", "arm64"].contains(&more.arch.as_str()), "{more:?}");
                assert!(["", "32"].contains(&more.abi.as_str()), "{more:?}");
                let config = repo().join("qemu").join(format!("{}.config", more.config));
                assert!(more.config.is_empty() || config.is_file(), "{more:?}");
                assert_ne!(*more, More::default(), "{}: it is run so anyway", base.folder);
                assert!(!base.more[..at].contains(more), "{more:?} stands twice");
            }
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_which_there_are() {
        let refusal = find(&repo(), "7.9").unwrap_err();
        assert_eq!(refusal.class, Class::Usage);
        assert!(refusal.line.starts_with("BASE=7.9: there are mainline, "), "{}", refusal.line);
    }
}
