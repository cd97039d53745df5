// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Which working folder a run takes, and what the cache keeps.

use crate::cache::Cache;
use crate::class::Step;
use crate::config::{self, Identity};
use crate::files::{self, read_stamp};
use crate::series::Applied;
use crate::source::Base;
use crate::tree;
use crate::ui::Ui;
use std::cmp::Reverse;

/// Working folders that are kept: the ones used last. Each is about 1 GB.
const WORKS: usize = 16;
/// Pristine trees that are kept although no kept folder was made from them.
const BASES: usize = 2;
/// Results of series that are kept, about 1 MB each.
const SERIES: usize = 64;

/// The working folder that already has this kernel's content, whatever it is called (another
/// clone's series, a folder that moved); else `own`, which is brought to it.
pub fn choose(
    cache: &Cache,
    own: String,
    base: &Base,
    applied: &Applied,
    identity: &Identity,
) -> String {
    let same = |name: &String| {
        let dir = cache.path(name);
        config::salt_of(&dir).is_some_and(|salt| salt == identity.salt)
            && tree::holds(&dir, base, applied)
    };
    if same(&own) {
        return own;
    }
    let mut others = cache.names().unwrap_or_default();
    others.retain(|name| name.starts_with("work-") && same(name));
    others.into_iter().max_by_key(|name| cache.last_used(name)).unwrap_or(own)
}

/// Removes what has not been used for longest, saying so. What this run uses has been noted
/// before, so that it is never among it.
pub fn prune(cache: &Cache, ui: &mut Ui) -> Step<()> {
    let mut names = cache.names()?;
    names.sort_by_key(|name| Reverse(cache.last_used(name)));
    let of = |kinds: &[&str]| {
        let is = |name: &&String| kinds.iter().any(|kind| name.starts_with(kind));
        // A link stands for a folder that has its own name.
        let folder = |name: &&String| cache.path(name).symlink_metadata().is_ok_and(|m| m.is_dir());
        names.iter().filter(is).filter(folder).collect::<Vec<_>>()
    };
    let works = of(&["work-"]);
    let (kept, old) = works.split_at(works.len().min(WORKS));
    let mut remove: Vec<&String> = old.to_vec();
    remove.extend(of(&["series-"]).into_iter().skip(SERIES));
    let stands = |base: &str| kept.iter().any(|work| work.starts_with(&format!("work-{base}-")));
    // What was downloaded would have to be downloaded again.
    let chosen = |base: &str| {
        let stamps = names.iter().filter(|n| n.starts_with("debian-") && n.ends_with(".json"));
        stamps.into_iter().any(|name| {
            let stamp = read_stamp::<serde_json::Value>(&cache.path(name));
            let sha256 = stamp.as_ref().and_then(|stamp| stamp.get("sha256")?.as_str());
            sha256.is_some_and(|sha256| crate::debian::tree_name(sha256) == base)
        })
    };
    let bases = of(&["debian-", "tarball-", "git-", "tree-"]).into_iter().skip(BASES);
    remove.extend(bases.filter(|base| !stands(base) && !chosen(base)));
    for name in remove {
        let unused = cache.last_used(name).and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let hours = unused.as_secs() / 3600;
        let unused = if hours < 48 { format!("{hours} h") } else { format!("{} days", hours / 24) };
        ui.note(&format!("removing {name} from the cache: not used for {unused}"));
        cache.discard(&cache.path(name))?;
        if let Some(of) = name.strip_prefix("tree-") {
            cache.discard(&cache.path(format!("objects-{of}.git")))?;
        }
        files::remove(&cache.path("used").join(name))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
