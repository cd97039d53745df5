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
mod hunks;
mod interrupt;
mod keep;
mod kernel;
mod machine;
mod merge;
mod plan;
mod run;
mod scratch;
mod series;
mod source;
mod tools;
mod tree;
mod ui;

use clap::Parser;
use class::{Class, Step};
use cli::{Cli, Do};
use kernel::{Kernel, Request};
use memfd_seals::predict;
use plan::Plan;
use std::path::Path;
use std::process::ExitCode;
use tools::Need;
use ui::Ui;

fn main() -> ExitCode {
    let mut ui = Ui::new();
    let class = run(&Cli::parse(), &mut ui).unwrap_or_else(|refusal| {
        ui.refuse(&refusal);
        refusal.class
    });
    ExitCode::from(class.code())
}

fn run(cli: &Cli, ui: &mut Ui) -> Step<Class> {
    if cli.command == Some(Do::Classes) {
        for class in Class::ALL {
            ui.say(&format!("{:>3}  {:<13} {}", class.code(), class.word(), class.about()));
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
        ui.say(&patched.words());
        ui.say(&format!("base tree: {}", patched.base_tree().display()));
        return Ok(Class::Pass);
    }
    // What can be known to be wrong without a kernel is said before one is built.
    let plan = Plan::of(&request)?;
    if need == Need::Run {
        guest::qemu::find(&request.qemu, &cache::root()?)?;
    }
    let kernel = kernel::prepare(&request, ui)?;
    if need == Need::Build {
        ui.say(&kernel.vmlinux.display().to_string());
        return Ok(Class::Pass);
    }
    boot(&request, &plan, &kernel, ui)
}

/// Boots what was built, judges it, and prints the report.
fn boot(request: &Request, plan: &Plan, kernel: &Kernel, ui: &mut Ui) -> Step<Class> {
    let options = guest::Options {
        repo: request.repo.clone(),
        cache: cache::root()?,
        qemu: request.qemu.clone(),
        kvm: request.kvm.clone(),
        suite: request.init.clone(),
        cpus: plan.machine.cpus,
        memory_mib: plan.machine.memory_mib,
        init: plan.init(request),
        grouped: plan.kernel != predict::Kernel::Sealed,
        earlier: ui.millis().to_vec(),
    };
    let stop = interrupt::flag();
    let mut told = |step: &str, what: &str, took| ui.ended(step, what, took);
    let finished = guest::run(kernel, &plan.expected, &options, &stop, &mut told)?;
    let folder = finished.folder.strip_prefix(&request.repo).unwrap_or(&finished.folder);
    ui.say(&format!("{:<11}{}\n", "results", folder.display()));
    plan.known.iter().chain(&finished.report).for_each(|line| ui.say(line));
    Ok(finished.verdict.class)
}
