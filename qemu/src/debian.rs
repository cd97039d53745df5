// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The kernel source of Debian's `linux-source-X.Y` package, found through the machine's mirrors.

use crate::apt::{self, Apt};
use crate::bases::{Listed, Source};
use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files::{self, read_stamp, refuse, write_stamp};
use crate::run::{self, Tick, command};
use crate::source::{self, Base};
use crate::ui::Ui;
use serde::{Deserialize, Serialize};
use std::path::Path;

const PREFIX: &str = "linux-source-";
/// The source package.
const ORIG: &str = "linux";
const SET_KERNEL: &str =
    "set KERNEL= to a kernel's git tree, unpacked tree or tarball and run it again";

/// What was unpacked for a base, so that the next run asks nobody.
#[derive(Clone, Serialize, Deserialize)]
struct Unpacked {
    package: String,
    version: String,
    sha256: String,
    kernel: String,
}

/// One package that can be fetched.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    package: String,
    version: String,
    suite: String,
    mirror: String,
}

/// What the archive has for a base.
pub enum Found {
    /// The base's own version, unpacked already.
    Ready(Base),
    /// Not the base's own version: the newest first, to be tried until the series applies.
    Instead(Vec<Candidate>),
}

/// The tree for a base: from the cache, else from the first suite that has it.
pub fn find(cache: &Cache, listed: &Listed, ui: &mut Ui) -> Step<Found> {
    let base = &listed.kernel;
    if let Some(ready) = cached(cache, base) {
        return Ok(Found::Ready(ready));
    }
    let mirrors = apt::mirrors()?;
    if mirrors.is_empty() {
        let line =
            format!("no apt mirror on this machine to fetch {PREFIX}{base} from; {SET_KERNEL}");
        return Err(Refusal::new(Class::Source, line));
    }
    let sources = listed.source == Source::Orig;
    let (mut others, mut answered) = (Vec::new(), false);
    for suite in &listed.suites {
        for mirror in mirrors.iter().filter(|mirror| apt::may_have(mirror, suite)) {
            let apt = Apt::new(cache.temp()?)?;
            let fetched = apt.fetch_lists(mirror, suite, sources, &mut || {
                ui.progress(|| format!("asking a Debian mirror for {suite}"))
            })?;
            if !fetched {
                continue;
            }
            answered = true;
            let mut offers = offers(&apt, suite, mirror)?;
            if sources {
                offers = origs(&apt, base, suite, mirror)?;
            }
            let wanted = [format!("{PREFIX}{base}"), ORIG.to_owned()];
            let own = offers.iter().find(|c| wanted.contains(&c.package)).cloned();
            if let Some(own) = own {
                return fetch(cache, base, &own, ui).map(Found::Ready);
            }
            others.extend(offers);
            break;
        }
    }
    if !answered {
        let line = format!("no mirror of this machine gave a Debian archive's lists; {SET_KERNEL}");
        return Err(Refusal::new(Class::Source, line));
    }
    let others = newest_first(others);
    if others.is_empty() {
        let line = format!("Debian has no {PREFIX}* package any more; {SET_KERNEL}");
        return Err(Refusal::new(Class::Source, line));
    }
    Ok(Found::Instead(others))
}

/// The tree that an earlier run chose for `base`.
pub fn cached(cache: &Cache, base: &str) -> Option<Base> {
    let unpacked: Unpacked = read_stamp(&cache.path(format!("debian-{base}.json")))?;
    let ready = describe(cache, base, &unpacked);
    ready.tree.is_dir().then_some(ready)
}

/// Downloads and unpacks one package.
pub fn fetch(cache: &Cache, base: &str, candidate: &Candidate, ui: &mut Ui) -> Step<Base> {
    let Candidate { package, version, suite, mirror } = candidate;
    let apt = Apt::new(cache.temp()?)?;
    let fetched = apt.fetch_lists(mirror, suite, package == ORIG, &mut || ())?;
    if !fetched {
        let line =
            format!("the mirror stopped answering for {suite}; run it again, or {SET_KERNEL}");
        return Err(Refusal::new(Class::Source, line));
    }
    // Renamed into place when complete: a kill while it is unpacked costs no second download.
    let kept = cache.path(format!("{package}_{}.deb", version.replace(['/', ':'], "_")));
    if !kept.is_file() {
        let into = cache.temp()?;
        ui.note(&format!("downloading {package} {version} from {suite}"));
        let tick: Tick =
            &mut || ui.progress(|| format!("downloading {package}: {} MB", megabytes(&into)));
        let file = match package.as_str() {
            ORIG => apt.download_orig(package, version, &into, tick)?,
            _ => apt.download(package, version, &into, tick)?,
        };
        files::rename(&file, &kept)?;
    }
    let sha256 = cache.hash_of(&kept)?;
    let place = cache.path(tree_name(&sha256));
    if !place.is_dir() {
        unpack(cache, &kept, package, &place, ui)?;
    }
    let kernel =
        source::version_of(&files::read_text(&place.join("Makefile"))?).ok_or_else(|| {
            Refusal::new(Class::Source, format!("{package} {version}: no kernel in it"))
        })?;
    let unpacked = Unpacked { package: package.clone(), version: version.clone(), sha256, kernel };
    write_stamp(&cache.path(format!("debian-{base}.json")), &unpacked)?;
    files::remove(&kept)?;
    Ok(Base { unchanged: false, ..describe(cache, base, &unpacked) })
}

/// Forgets which package stands in for `base`: the series does not apply to it.
pub fn forget(cache: &Cache, base: &str) -> Step<()> {
    files::remove(&cache.path(format!("debian-{base}.json")))
}

fn unpack(cache: &Cache, deb: &Path, package: &str, place: &Path, ui: &mut Ui) -> Step<()> {
    let dir = cache.temp()?;
    let tick = |ui: &mut Ui| ui.progress(|| format!("unpacking {package}"));
    if package == ORIG {
        source::untar(deb, &dir, &mut || tick(ui))?;
        return files::rename(&source::top_folder(&dir)?, place);
    }
    let mut extract = command("dpkg-deb");
    extract.arg("-x").arg(deb).arg(dir.as_os_str());
    run::check(&mut extract, Class::Source, "dpkg-deb -x", &mut || tick(ui))?;
    let packed = dir.join(format!("usr/src/{package}.tar.xz"));
    source::untar(&packed, &dir, &mut || tick(ui))?;
    files::rename(&dir.join(package), place)
}

fn offers(apt: &Apt, suite: &str, mirror: &str) -> Step<Vec<Candidate>> {
    let mut offers = Vec::new();
    for package in apt.names(PREFIX)?.into_iter().filter(|name| series_of(name).is_some()) {
        if let Some(version) = apt.versions(&package)?.into_iter().next() {
            let (suite, mirror) = (suite.to_owned(), mirror.to_owned());
            offers.push(Candidate { package, version, suite, mirror });
        }
    }
    Ok(offers)
}

/// The source packages of this kernel, the newest first.
fn origs(apt: &Apt, base: &str, suite: &str, mirror: &str) -> Step<Vec<Candidate>> {
    let mut own = apt.versions(ORIG)?;
    own.retain(|version| version.strip_prefix(base).is_some_and(|rest| rest.starts_with('.')));
    own.sort_by_key(|version| std::cmp::Reverse(numbers(version)));
    let candidate = |version| {
        let (package, suite, mirror) = (ORIG.to_owned(), suite.to_owned(), mirror.to_owned());
        Candidate { package, version, suite, mirror }
    };
    Ok(own.into_iter().map(candidate).collect())
}

/// 6, 18, 5, 1, 13, 1 of 6.18.5-1~bpo13+1: to be compared one by one.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// Newest X.Y first, each once: the first suite that has it wins.
fn newest_first(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|c| std::cmp::Reverse(series_of(&c.package)));
    candidates.dedup_by(|later, first| later.package == first.package);
    candidates
}

/// X and Y of `linux-source-X.Y`; none for `linux-source-7.3-rt` and the like.
fn series_of(package: &str) -> Option<(u32, u32)> {
    let (x, y) = package.strip_prefix(PREFIX)?.split_once('.')?;
    Some((x.parse().ok()?, y.parse().ok()?))
}

/// The name of the tree in the cache.
pub fn tree_name(sha256: &str) -> String {
    format!("debian-{}", &sha256[..16])
}

fn describe(cache: &Cache, base: &str, from: &Unpacked) -> Base {
    let Unpacked { package, version, sha256, kernel } = from;
    let instead = (package != ORIG && *package != format!("{PREFIX}{base}"))
        .then(|| format!("Debian has no {PREFIX}{base} any more: using {package} {version}"));
    Base {
        id: format!("debian {version} {sha256}"),
        origin: tree_name(sha256),
        version: kernel.clone(),
        name: format!("{kernel} (Debian {package} {version})"),
        tree: cache.path(tree_name(sha256)),
        git: None,
        notes: instead.into_iter().collect(),
        unchanged: true,
    }
}

fn megabytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).map_err(refuse(dir)).into_iter().flatten().flatten();
    entries.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum::<u64>() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("linux-source-7.3", Some((7, 3)))]
    #[case("linux-source-6.12", Some((6, 12)))]
    #[case("linux-source-7.3-rt", None)]
    #[case("linux-source", None)]
    fn names(#[case] package: &str, #[case] want: Option<(u32, u32)>) {
        assert_eq!(series_of(package), want);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(numbers("6.18.15-1~bpo13+1") > numbers("6.18.5-1~bpo13+1"));
        assert!(numbers("6.18.5-2") > numbers("6.18.5-1~bpo13+1"));
    }

    #[test]
    fn newest_is_by_number_and_the_first_suite_wins() {
        let candidate = |package: &str, suite: &str| Candidate {
            package: package.into(),
            version: "1".into(),
            suite: suite.into(),
            mirror: "m".into(),
        };
        let got = newest_first(vec![
            candidate("linux-source-7.9", "a"),
            candidate("linux-source-7.10", "a"),
            candidate("linux-source-7.10", "b"),
        ]);
        let got: Vec<_> = got.iter().map(|c| (c.package.as_str(), c.suite.as_str())).collect();
        assert_eq!(got, [("linux-source-7.10", "a"), ("linux-source-7.9", "a")]);
    }
}
