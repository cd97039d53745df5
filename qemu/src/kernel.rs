// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! From a request to a built kernel: source, series, config, build.

use crate::arch::Target;
use crate::bases::{self, Listed};
use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::config::{self, Identity};
use crate::debian::{self, Found};
use crate::fragment::Fragment;
use crate::series::{Applied, Manner, Series};
use crate::source::{self, Base};
use crate::ui::Ui;
use crate::{build, files, keep, tools, tree};
use std::num::NonZeroU32;
use std::path::PathBuf;

/// How many of Debian's other versions are tried when the base's own has left the archive.
const TRIES: usize = 4;

/// What a person asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project's folder.
    pub repo: PathBuf,
    /// `KERNEL=`
    pub kernel: Option<PathBuf>,
    /// `SERIES=`
    pub series: Option<String>,
    /// `BASE=`: a folder under `patches/`.
    pub base: String,
    /// `ARCH=` and `ABI=`
    pub target: Target,
    /// `CONFIG=`
    pub config: Option<String>,
    /// `FILTER=`: the tests to run.
    pub filter: Option<String>,
    /// `JOBS=`
    pub jobs: usize,
    /// `CPUS=`
    pub cpus: Option<NonZeroU32>,
    /// `MEMORY=`
    pub memory_mib: Option<NonZeroU32>,
    /// `APPEND=`: more of the kernel's command line.
    pub append: Option<String>,
    /// `QEMU=`: a name or a path.
    pub qemu: String,
    /// `KVM=`: the device; none if it is off.
    pub kvm: Option<PathBuf>,
    /// `INIT=`: what is booted in the suite's place.
    pub init: Option<PathBuf>,
}

/// A kernel that was built and can be booted.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub target: Target,
    pub vmlinux: PathBuf,
    /// What QEMU boots.
    pub image: PathBuf,
    pub build_dir: PathBuf,
    /// The patched source.
    pub source_tree: PathBuf,
    /// "7.3.4", from include/config/kernel.release.
    pub release: String,
    /// `CONFIG_BUILD_SALT`: a hash of base, series, fragment and compiler.
    pub salt: String,
    /// "7.3.4 (Debian linux-source-7.3 7.3.4-1~bpo13+1)"
    pub base: String,
    /// "patches/mainline", "none", "hollow", or a path.
    pub series: String,
    /// Of the content the series makes; empty for "none".
    pub series_hash: String,
    pub patches: usize,
    /// Of the patches' bytes; empty for "none".
    pub patches_hash: String,
}

/// A series applied to a base in a scratch repository; no source tree has it yet.
pub struct Patched {
    cache: Cache,
    base: Base,
    series: Series,
    applied: Applied,
}

impl Patched {
    /// The base's tree, as it was unpacked.
    pub fn base_tree(&self) -> &std::path::Path {
        &self.base.tree
    }

    /// What the base is, whatever it is called: changes with its content.
    pub fn base_id(&self) -> &str {
        &self.base.id
    }

    /// "patches/mainline: 11 patches apply to 7.3.4 (...)"
    pub fn words(&self) -> String {
        let (name, base) = (&self.series.name, &self.base.name);
        match self.series.patches.len() {
            0 => format!("none: {base} as it is"),
            1 => format!("{name}: 1 patch applies to {base}"),
            n => format!("{name}: {n} patches apply to {base}"),
        }
    }
}

/// The source and series steps. The cache stays locked until the process ends.
pub fn apply(request: &Request, ui: &mut Ui) -> Step<Patched> {
    let (patched, line) = patch(request, ui)?;
    keep::prune(&patched.cache, ui)?;
    ui.end(&line, patched.applied.unchanged);
    Ok(patched)
}

/// All steps to a built kernel. The cache stays locked until the process ends, so that no other
/// run rebuilds the kernel that this one boots.
pub fn prepare(request: &Request, ui: &mut Ui) -> Step<Kernel> {
    let arch = request.target.arch;
    let listed = bases::find(&request.repo, &request.base)?;
    let fragment = Fragment::find(&request.repo, request.config.as_deref(), arch, &listed)?;
    let (Patched { cache, base, series, applied }, line) = patch(request, ui)?;
    let identity = Identity::of(&base, &applied, &fragment, arch)?;
    let own = format!("work-{}-{}-{}", base.origin, series.key, fragment.name);
    let name = keep::choose(&cache, own, &base, &applied, &identity);
    cache.used(&name)?;
    keep::prune(&cache, ui)?;
    let work = tree::sync(&cache, &name, &base, &applied, ui)?;
    let (line, unchanged) = match work.rewritten {
        None => (format!("{line}, new source tree"), false),
        Some(0) => (line, applied.unchanged),
        Some(n) => (format!("{line}, {} rewritten", counted(n, "file", "files")), false),
    };
    ui.end(&line, unchanged);

    ui.begin("config");
    let config = config::configure(&work, &identity, &fragment, arch, ui)?;
    ui.end(&format!("tinyconfig and {} options", config.asked), config.unchanged);

    ui.begin("build");
    let built = build::build(&cache, &work, &config, arch, request.jobs, ui)?;
    let objects =
        if built.unchanged { String::new() } else { format!(", {} objects", built.objects) };
    ui.end(&format!("vmlinux {}{objects}", built.release), built.unchanged);

    let patches_hash = series.hash()?;
    Ok(Kernel {
        target: request.target,
        vmlinux: built.vmlinux,
        image: built.image,
        build_dir: work.build,
        source_tree: work.source,
        release: built.release,
        salt: identity.salt,
        base: base.name,
        series: series.name,
        series_hash: applied.series_hash,
        patches: series.patches.len(),
        patches_hash,
    })
}

/// The source step, and the series step up to its line.
fn patch(request: &Request, ui: &mut Ui) -> Step<(Patched, String)> {
    // What can be wrong in the request is said before anything is fetched.
    let series = Series::find(&request.repo, request.series.as_deref(), &request.base)?;
    let wanted = bases::find(&request.repo, &request.base)?;

    ui.begin("source");
    let cache = Cache::open(ui)?;
    let base = match &request.kernel {
        Some(kernel) => source::given(&cache, kernel, ui)?,
        None => match debian::find(&cache, &wanted, ui)? {
            Found::Ready(base) => base,
            Found::Instead(others) => instead(&cache, &wanted, &series, others, ui)?,
        },
    };
    cache.used(&base.origin)?;
    ui.end(&base.name, base.unchanged);
    for note in &base.notes {
        ui.note(note);
    }

    ui.begin("series");
    // A user's tree may have moved on; our own base may not.
    let own =
        request.kernel.as_ref().and(debian::cached(&cache, &wanted.kernel)).map(|own| own.tree);
    let manner = match request.kernel {
        Some(_) => Manner::Merge { own: own.as_deref() },
        None => Manner::Strict,
    };
    let applied = series.apply(&cache, &base, manner).map_err(|mut refusal| {
        if refusal.class == Class::Series {
            refusal.line += "; rebase it, or set KERNEL= to a tree that it is for";
        }
        refusal
    })?;
    for line in &applied.moved {
        ui.note(line);
    }
    let count = counted(series.patches.len(), "patch", "patches");
    let line = if series.patches.is_empty() {
        "none: the stock kernel".into()
    } else {
        format!("{}: {count} applied", series.name)
    };
    Ok((Patched { cache, base, series, applied }, line))
}

/// The newest of Debian's other versions that the series applies to.
fn instead(
    cache: &Cache,
    wanted: &Listed,
    series: &Series,
    others: Vec<debian::Candidate>,
    ui: &mut Ui,
) -> Step<Base> {
    let kernel = &wanted.kernel;
    ui.note(&format!(
        "linux-source-{kernel} has left Debian's archive: trying newer and older ones"
    ));
    let mut tried = Vec::new();
    for candidate in others.iter().take(TRIES) {
        let base = debian::fetch(cache, kernel, candidate, ui)?;
        match series.apply(cache, &base, Manner::Strict) {
            Ok(_) => return Ok(base),
            Err(refusal) if refusal.class == Class::Series => {
                debian::forget(cache, kernel)?;
                ui.note(&format!("not {}: {}", base.name, refusal.line));
                tried.push(base.version);
            }
            Err(other) => return Err(other),
        }
    }
    let line = format!(
        "linux-source-{kernel} has left Debian's archive, and the series applies to none of {}; \
         set KERNEL= to a Linux {kernel} tree",
        tried.join(", ")
    );
    Err(Refusal::new(Class::Series, line))
}

/// "1 patch", "2 patches"
fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The tools step: what the steps up to `need` run.
pub fn ready(need: tools::Need, request: &Request, ui: &mut Ui) -> Step<()> {
    ui.begin("tools");
    let logs = request.repo.join("target/qemu-test");
    files::mkdir(&logs)?;
    // Said now, and not when a kernel was built whose results can't be written.
    files::writable(&logs)?;
    let installed = tools::ensure(need, request.target, &logs.join("tools.log"), ui)?;
    let line = if installed.is_empty() {
        "all there".into()
    } else {
        format!("installed {}", installed.join(" "))
    };
    ui.end(&line, installed.is_empty());
    Ok(())
}
