// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! `memfd-seals`: runs the suite on the kernel it stands on, by hand or as /init.

use clap::Parser;
use memfd_seals::cli::{Cli, say};
use memfd_seals::cursor::throughput;
use memfd_seals::{compare, door, init, model, parity, replay};
use std::io::stdout;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let code = match words.as_slice() {
        ["replay"] => replay::run(&mut stdout()).map_err(|error| format!("stdout: {error}")),
        ["cursor-window"] => throughput::run(&mut stdout()).map(|()| 0),
        ["model", ..] => model(),
        ["compare"] => compare::table().and_then(|text| print(&text)),
        ["parity", summary] => side_by_side(summary),
        [door::PERFORM, test, fd] => door::performed(test, fd).and_then(|text| print(&text)),
        _ => suite(),
    };
    ExitCode::from(code.unwrap_or_else(|line| {
        eprintln!("memfd-seals: {line}");
        2
    }))
}

/// What ashmem promises and what seals do, from the summary.json of a run of both.
fn side_by_side(summary: &str) -> Result<u8, String> {
    let text = std::fs::read_to_string(summary).map_err(|error| format!("{summary}: {error}"))?;
    let table = parity::Run::parse(&text).map_err(|line| format!("{summary}: {line}"))?.table();
    print(&format!("{}\n{}", table.text, parity::LEGEND))?;
    table.missing.iter().for_each(|line| eprintln!("memfd-seals: no cell: {line}"));
    Ok(u8::from(!table.missing.is_empty()))
}

/// The model, by hand.
fn model() -> Result<u8, String> {
    match model::cli::Cli::try_parse_from(std::env::args_os().skip(1)) {
        Ok(cli) => cli.run(),
        Err(asked) if !asked.use_stderr() => print(&asked.to_string()),
        Err(error) => Err(in_one_line(&error.to_string())),
    }
}

/// The suite, by hand or as /init.
fn suite() -> Result<u8, String> {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        // Help and version.
        Err(asked) if !asked.use_stderr() => return print(&asked.to_string()),
        Err(error) => return Err(in_one_line(&error.to_string())),
    };
    let end = cli.end();
    let code = cli.run();
    if init::is_init() {
        if let Err(line) = &code {
            eprintln!("memfd-seals: {line}");
        }
        init::end(end);
    }
    code
}

/// The first paragraph of clap's several.
fn in_one_line(error: &str) -> String {
    let lines = error.lines().take_while(|line| !line.trim().is_empty());
    let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    format!("{}; see --help", line.trim_start_matches("error: "))
}

fn print(text: &str) -> Result<u8, String> {
    say(&mut stdout(), text).map(|()| 0)
}
