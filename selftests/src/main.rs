// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `memfd-seals`: runs the suite on the kernel it stands on, by hand or as /init.

use clap::Parser;
use memfd_seals::cursor::throughput;
use memfd_seals::{compare, door, fault, init, need, replay, run};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Conformance suite for memfd seals. Instead of it, `memfd-seals replay` runs the program of the
/// mail that proposed F_SEAL_FS_WRITE, `memfd-seals compare` shows what that seal adds, and
/// `memfd-seals cursor-window` measures rows a second through a sealed region and an unsealed one.
#[derive(Parser)]
#[command(name = "memfd-seals", version)]
struct Cli {
    #[command(flatten)]
    libtest: libtest_mimic::Arguments,
    /// Write the event stream (JSON lines) to this file or port.
    #[arg(long, value_name = "PATH")]
    events: Option<PathBuf>,
    /// Word to echo in the event stream's first line.
    #[arg(long, default_value = "")]
    nonce: String,
    /// Run what needs F_SEAL_FS_WRITE, also if probing does not find it.
    #[arg(long)]
    require_seal: bool,
    /// Time limit of one test, in seconds [default: 20; as /init, ten times what the boot took].
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
    /// Repeat each test with every allocation of its operation failing in turn (fault injection).
    #[arg(long)]
    fail_allocations: bool,
    /// Before the end, print what kmemleak finds on the console.
    #[arg(long)]
    scan_leaks: bool,
    /// As /init, how to end the machine.
    #[arg(long, value_enum, default_value = "power-off")]
    end: init::End,
}

fn main() -> ExitCode {
    match std::env::args_os().nth(1).as_ref().and_then(|word| word.to_str()) {
        Some("replay") => {
            return match replay::run(&mut std::io::stdout()) {
                Ok(code) => ExitCode::from(code),
                Err(error) => complain(&format!("stdout: {error}")),
            };
        }
        Some("cursor-window") => {
            return match throughput::run(&mut std::io::stdout()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(line) => complain(&line),
            };
        }
        Some("compare") => {
            return match compare::table() {
                Ok(table) => print(&table),
                Err(line) => complain(&line),
            };
        }
        Some(door::PERFORM) => {
            let args: Vec<String> = std::env::args().skip(2).collect();
            return match args.as_slice() {
                [test, fd] => door::performed(test, fd),
                _ => Err(format!("{} TEST FD", door::PERFORM)),
            }
            .map_or_else(|line| complain(&line), |text| print(&text));
        }
        _ => {}
    }
    let cli = Cli::parse();
    if cli.libtest.list {
        return print(&run::list(&cli.libtest));
    }
    let end = cli.end;
    let code = judge(cli).unwrap_or_else(|line| complain(&line));
    if init::is_init() {
        init::end(end);
    }
    code
}

fn judge(cli: Cli) -> Result<ExitCode, String> {
    if init::is_init() {
        init::mount_all()?;
        init::silence_stdout();
        if cli.fail_allocations || cli.scan_leaks {
            init::mount_debugfs()?;
        }
    }
    if cli.fail_allocations {
        fault::enable(Path::new(init::DEBUGFS))?;
    }
    need::require_seal(cli.require_seal);
    let events = cli.events.as_deref().map(init::open_events).transpose()?;
    let limit = cli.limit.map_or_else(init::limit, Duration::from_secs);
    let (scan, nonce) = (cli.scan_leaks, cli.nonce.clone());
    let last = Box::new(move || init::finish(scan, &nonce));
    let options = run::Options { libtest: cli.libtest, events, nonce: cli.nonce, limit, last };
    let conclusion = run::run(options)?;
    Ok(conclusion.exit_code())
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("stdout: {error}")),
    }
}

fn complain(line: &str) -> ExitCode {
    eprintln!("memfd-seals: {line}");
    ExitCode::from(2)
}
