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
use std::path::Path;
use std::process::ExitCode;
use tools::Need;
use ui::Ui;

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
        println!("{}", kernel::apply(&request, ui)?.words());
        return Ok(Class::Pass);
    }
    let kernel = kernel::prepare(&request, ui)?;
    if need == Need::Build {
        println!("{}", kernel.vmlinux.display());
        return Ok(Class::Pass);
    }
    boot(&request, &kernel, ui)
}

/// The one place where the guest half is called: initramfs, boot, verdict.
fn boot(request: &kernel::Request, kernel: &kernel::Kernel, ui: &mut Ui) -> Step<Class> {
    let _ = (request, kernel, ui.millis());
    Err(Refusal::new(Class::Internal, "the guest half is not wired in yet"))
}
