// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Builds a patched kernel, boots it in QEMU with the suite as /init, and gives a verdict that
//! fails closed: each way to end has a class and an exit code (see `class.rs`). Its parts are in
//! `lib.rs`.

use clap::Parser;
use memfd_seals::predict;
use qemu_test::class::{Class, Step};
use qemu_test::cli::{Cli, Do};
use qemu_test::guest::again::Again;
use qemu_test::guest::record::Folder;
use qemu_test::guest::tally;
use qemu_test::kernel::{self, Kernel, Request};
use qemu_test::plan::Plan;
use qemu_test::tools::Need;
use qemu_test::ui::Ui;
use qemu_test::{cache, files, guest, interrupt};
use std::path::Path;
use std::process::ExitCode;

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
    if need == Need::Apply {
        kernel::ready(need, &request, ui)?;
        let patched = kernel::apply(&request, ui)?;
        ui.say(&patched.words());
        ui.say(&format!("base tree: {}", patched.base_tree().display()));
        ui.say(&format!("base id: {}", patched.base_id()));
        return Ok(Class::Pass);
    }
    // What can be known to be wrong without a kernel is said before one is built.
    let plan = Plan::of(&request)?;
    if need == Need::Build {
        let vmlinux = kernel(need, &request, ui)?.vmlinux;
        ui.say(&vmlinux.display().to_string());
        return Ok(Class::Pass);
    }
    let rows = tally::rows(&plan.expected, &[]);
    let folder = Folder::create(&request.repo, &rows, Again::of(&request).all())?;
    match kernel(need, &request, ui) {
        Ok(kernel) => boot(&request, &plan, &kernel, &folder, ui),
        Err(refusal) => {
            // The refusal is the news; that it could not be written down too would hide it.
            let _ = folder.refuse(refusal.class, &refusal.line, &rows, ui.millis());
            Err(refusal)
        }
    }
}

/// The tools, and all steps to a kernel.
fn kernel(need: Need, request: &Request, ui: &mut Ui) -> Step<Kernel> {
    kernel::ready(need, request, ui)?;
    if need == Need::Run {
        guest::qemu::find(&request.qemu, request.target.arch, &cache::root()?)?;
    }
    kernel::prepare(request, ui)
}

/// Boots what was built, judges it, and prints the report.
fn boot(
    request: &Request,
    plan: &Plan,
    kernel: &Kernel,
    folder: &Folder,
    ui: &mut Ui,
) -> Step<Class> {
    let options = guest::Options {
        repo: request.repo.clone(),
        cache: cache::root()?,
        qemu: request.qemu.clone(),
        kvm: request.kvm.clone(),
        suite: request.init.clone(),
        cpus: plan.machine.cpus,
        memory_mib: plan.machine.memory_mib,
        append: request.append.clone().unwrap_or_default(),
        init: plan.init(request),
        grouped: plan.kernel != predict::Kernel::Sealed,
        again: Again::of(request),
    };
    let stop = interrupt::flag();
    let finished = guest::run(kernel, &plan.expected, &options, folder, &stop, ui)?;
    ui.say(&format!("{:<11}{}\n", "results", folder.name(&request.repo)));
    plan.known.iter().chain(&finished.report).for_each(|line| ui.say(line));
    Ok(finished.verdict.class)
}
