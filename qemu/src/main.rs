// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Builds a patched kernel, boots it in QEMU with the suite as /init, and gives a verdict that
//! fails closed: each way to end has a class and an exit code (see `class.rs`).

mod apt;
mod build;
mod cache;
mod class;
mod cli;
mod config;
mod debian;
mod files;
mod fragment;
mod gittree;
mod guest;
mod interrupt;
mod kernel;
mod run;
mod series;
mod source;
mod tools;
mod tree;
mod ui;

use clap::Parser;
use class::{Class, Refusal, Step};
use cli::{Cli, Do};
use kernel::{Kernel, Request};
use memfd_seals::events::Outcome;
use memfd_seals::{cases, predict};
use std::path::Path;
use std::process::ExitCode;
use tools::Need;
use ui::Ui;

/// The emulator, as PATH finds it.
const QEMU: &str = "qemu-system-x86_64";

fn main() -> ExitCode {
    let mut ui = Ui::new();
    let class = run(&Cli::parse(), &mut ui).unwrap_or_else(|refusal| {
        ui.clear();
        eprintln!("{refusal}");
        refusal.class
    });
    ExitCode::from(class.code())
}

fn run(cli: &Cli, ui: &mut Ui) -> Step<Class> {
    if cli.command == Some(Do::Classes) {
        for class in Class::ALL {
            println!("{:>3}  {:<13} {}", class.code(), class.word(), class.about());
        }
        return Ok(Class::Pass);
    }
    interrupt::install()?;
    let here = std::env::current_dir().map_err(files::refuse(Path::new(".")))?;
    let request = cli.request(&here)?;
    let need = match cli.command {
        Some(Do::Apply) => Need::Apply,
        Some(Do::Build) => Need::Build,
        _ => Need::Run,
    };
    kernel::ready(need, &request.repo, ui)?;
    if need == Need::Apply {
        let patched = kernel::apply(&request, ui)?;
        println!("{}\nbase tree: {}", patched.words(), patched.base_tree().display());
        return Ok(Class::Pass);
    }
    let kernel = kernel::prepare(&request, ui)?;
    if need == Need::Build {
        println!("{}", kernel.vmlinux.display());
        return Ok(Class::Pass);
    }
    boot(&request, &kernel, ui)
}

/// Boots what was built, judges it, and prints the report.
fn boot(request: &Request, kernel: &Kernel, ui: &mut Ui) -> Step<Class> {
    let series = match kernel.series.as_str() {
        "none" => predict::Kernel::Stock,
        "hollow" => predict::Kernel::Hollow,
        _ => predict::Kernel::Sealed,
    };
    let filter = request.filter.as_deref();
    let tests = cases::all().into_iter().filter(|t| filter.is_none_or(|f| t.name().contains(f)));
    let predicted: Vec<_> = tests.map(|test| (test.name(), series.predicts(&test))).collect();
    let expected: Vec<_> = predicted.iter().map(|(name, (o, _))| (name.clone(), *o)).collect();
    if expected.is_empty() {
        let line = format!("FILTER={} selects no test", filter.unwrap_or_default());
        return Err(Refusal::new(Class::Usage, line));
    }
    let require = series.requires_seal().then(|| "--require-seal".to_owned());
    let options = guest::Options {
        repo: request.repo.clone(),
        cache: cache::root()?,
        qemu: QEMU.into(),
        kvm: true,
        cpus: 2,
        memory_mib: 512,
        init: require.into_iter().chain(request.filter.clone()).collect(),
        grouped: series != predict::Kernel::Sealed,
        earlier: ui.millis().to_vec(),
    };
    let stop = interrupt::flag();
    let mut told = |step: &str, what: &str, took| ui.ended(step, what, took);
    let finished = guest::run(kernel, &expected, &options, &stop, &mut told)?;
    let folder = finished.folder.strip_prefix(&request.repo).unwrap_or(&finished.folder);
    println!("{:<11}{}\n", "results", folder.display());
    if series == predict::Kernel::Stock {
        let known = predicted.iter().filter(|(_, (outcome, _))| *outcome == Outcome::Fail);
        known.for_each(|(name, (_, reason))| println!("known to fail: {name}: {reason}"));
    }
    finished.report.iter().for_each(|line| println!("{line}"));
    Ok(finished.verdict.class)
}
