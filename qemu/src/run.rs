// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Child processes: each in a process group of its own, which is killed when the run is
//! interrupted, and each with an exit status that somebody looked at.

use crate::class::{Class, Refusal, Step};
use crate::{files, interrupt};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What the kernel's make, git and apt may see of the caller's environment. Anything else (CC,
/// LLVM, KCFLAGS, MAKEFLAGS of an outer make, GIT_DIR, ...) would change what is built without
/// changing the salt.
const KEPT: &[&str] = &["PATH", "HOME", "USER", "TMPDIR", "CCACHE_DIR"];

/// The variables that name a proxy: apt's way out on some networks.
const PROXIES: &[&str] =
    &["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/// How a child ended and what it said.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Called again and again while a child runs, for progress.
pub type Tick<'a> = &'a mut dyn FnMut();

/// Where `program` is: in PATH, or there if it is named with a slash.
pub fn which(program: impl AsRef<Path>) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let executable = |p: &PathBuf| {
        p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let program = program.as_ref();
    if program.components().count() > 1 {
        return Some(program.to_owned()).filter(executable);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(executable)
}

/// A command with a small, known environment, as [`inheriting`] in all else.
pub fn command(program: &str) -> Command {
    with_small_environment(inheriting(program))
}

fn with_small_environment(mut command: Command) -> Command {
    command.env_clear().env("LC_ALL", "C");
    let kept = KEPT.iter().chain(PROXIES);
    command.envs(kept.filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

/// A command with the caller's environment, which gets SIGTERM when this program dies.
pub fn inheriting(program: impl AsRef<OsStr>) -> Command {
    dying(program, "TERM")
}

/// A command with the caller's environment. Where setpriv can do it, the child gets `signal` when
/// this program dies, even by SIGKILL.
pub fn dying(program: impl AsRef<OsStr>, signal: &str) -> Command {
    let program = program.as_ref();
    static WRAP: OnceLock<bool> = OnceLock::new();
    let wrap = WRAP.get_or_init(|| {
        let probe = ["--pdeathsig", "TERM", "--", "true"];
        which("setpriv").is_some()
            && Command::new("setpriv")
                .args(probe)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success())
    });
    let command = if *wrap && which(program).is_some() {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    alone(command)
}

fn alone(mut command: Command) -> Command {
    command.stdin(Stdio::null()).process_group(0);
    command
}

/// Like [`command`], for a program that goes on when this one dies: dpkg is not left half-way.
pub fn lasting(program: &str) -> Command {
    with_small_environment(alone(Command::new(program)))
}

/// Runs to the end, whatever the exit status; output is kept.
pub fn output(command: &mut Command, tick: Tick) -> Step<Output> {
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let readers = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = wait(&mut child, tick)?;
    let end = Instant::now() + LEFT_BEHIND;
    let stdout = collected(&readers.0, end);
    let stderr = String::from_utf8_lossy(&collected(&readers.1, end)).into_owned();
    Ok(Output { status, stdout, stderr })
}

/// Runs to the end with all output in `log`, appended; the exit status is the caller's to judge.
pub fn logged(command: &mut Command, log: &Path, tick: Tick) -> Step<ExitStatus> {
    wait(&mut log_into(command, log)?, tick)
}

/// Like [`logged`], but an interrupt waits for the child: dpkg is not left half-way.
pub fn logged_to_the_end(command: &mut Command, log: &Path, tick: Tick) -> Step<ExitStatus> {
    let mut child = log_into(command, log)?;
    while child.try_wait().map_err(lost)?.is_none() {
        tick();
        thread::sleep(Duration::from_millis(20));
    }
    interrupt::check()?;
    child.wait().map_err(lost)
}

fn log_into(command: &mut Command, log: &Path) -> Step<Child> {
    let open = || File::options().create(true).append(true).open(log).map_err(files::refuse(log));
    spawn(command.stdout(open()?).stderr(open()?))
}

fn lost(error: std::io::Error) -> Refusal {
    Refusal::new(Class::Internal, format!("waiting for a child: {error}"))
}

/// Runs a command that must succeed and gives its stdout; else refuses with `class`, `what` and
/// the first line of its complaint.
pub fn check(command: &mut Command, class: Class, what: &str, tick: Tick) -> Step<Vec<u8>> {
    let out = output(command, tick)?;
    if out.status.success() { Ok(out.stdout) } else { Err(failed(class, what, &out)) }
}

/// The refusal for a command that failed: a full disk is one whatever the command was.
pub fn failed(class: Class, what: &str, out: &Output) -> Refusal {
    let lines: Vec<&str> = out.stderr.lines().filter(|l| !l.trim().is_empty()).collect();
    let said = lines
        .iter()
        .find(|l| l.starts_with("E:") || l.starts_with("error") || l.starts_with("fatal"))
        .or(lines.first());
    let said = said.map_or_else(|| out.status.to_string(), |l| l.trim().to_owned());
    let refusal = Refusal::new(class, format!("{what}: {said}"));
    if full(&out.stderr) { files::no_space(refusal) } else { refusal }
}

/// Whether a program's words say that the disk is full.
pub fn full(words: &str) -> bool {
    // The last one is git's own.
    let said = ["No space left on device", "Disk quota exceeded", "Out of diskspace"];
    said.iter().any(|said| words.contains(said))
}

fn spawn(command: &mut Command) -> Step<Child> {
    interrupt::check()?;
    command.spawn().map_err(|e| {
        let name = command.get_program().to_string_lossy().into_owned();
        Refusal::new(Class::Tools, format!("{name} could not be started: {e}"))
    })
}

/// How long a pipe is read that something holds which the child has left behind, a daemon for
/// example: what the child itself wrote is there by then.
const LEFT_BEHIND: Duration = Duration::from_secs(2);

fn drain(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (send, all) = channel();
    thread::spawn(move || {
        let mut pipe = pipe;
        let mut chunk = vec![0; 64 << 10];
        // A pipe that breaks ends the output; the exit status tells whether that was early.
        while let Some(Ok(count @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut chunk)) {
            if send.send(chunk[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    all
}

fn collected(chunks: &Receiver<Vec<u8>>, end: Instant) -> Vec<u8> {
    let left = || end.saturating_duration_since(Instant::now());
    std::iter::from_fn(|| chunks.recv_timeout(left()).ok()).flatten().collect()
}

fn wait(child: &mut Child, tick: Tick) -> Step<ExitStatus> {
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().map_err(lost)? {
            return if interrupt::seen() { Err(interrupt::refusal()) } else { Ok(status) };
        }
        if interrupt::seen() {
            stop(child);
            return Err(interrupt::refusal());
        }
        tick();
        thread::sleep(pause);
        // Short commands are noticed at once, long ones cost nothing.
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Ends a child and its group: SIGTERM, so that make removes half-written objects, then SIGKILL.
fn stop(child: &mut Child) {
    let group = Pid::from_raw(child.id() as i32);
    let _ = killpg(group, Signal::SIGTERM);
    let patience = Instant::now() + Duration::from_secs(2);
    while Instant::now() < patience && killpg(group, None).is_ok() {
        let _ = child.try_wait();
        thread::sleep(Duration::from_millis(10));
    }
    let _ = killpg(group, Signal::SIGKILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("exit 0", true, "")]
    #[case("echo 'fatal: that' >&2; echo 'hint: this' >&2; exit 3", false, "sh: fatal: that")]
    #[case("echo this >&2; echo that >&2; exit 3", false, "sh: this")]
    #[case("exit 3", false, "sh: exit status: 3")]
    fn status_is_checked(#[case] script: &str, #[case] good: bool, #[case] line: &str) {
        let got = check(command("sh").args(["-c", script]), Class::Internal, "sh", &mut || ());
        assert_eq!(got.is_ok(), good);
        assert_eq!(got.err().map_or(String::new(), |r| r.line), line);
    }

    #[test]
    fn what_a_child_leaves_behind_is_not_waited_for() {
        let start = Instant::now();
        let got = check(
            command("sh").args(["-c", "sleep 20 & echo this"]),
            Class::Internal,
            "sh",
            &mut || (),
        );
        assert_eq!(got.unwrap(), b"this\n");
        assert!(start.elapsed() < Duration::from_secs(15));
    }

    #[rstest]
    #[case("tar: x: Cannot write: No space left on device")]
    #[case("fatal: sha1 file 'index.lock' write error. Out of diskspace")]
    fn a_full_disk_is_one_whoever_says_it(#[case] said: &str) {
        let script = &format!("echo \"{said}\" >&2; exit 2");
        let got = check(command("sh").args(["-c", script]), Class::Source, "tar", &mut || ());
        assert_eq!(got.unwrap_err().class, Class::NoSpace);
    }

    #[test]
    fn a_program_that_is_absent_is_a_tool() {
        let got = output(&mut command("no-such-program-here"), &mut || ());
        assert_eq!(got.err().unwrap().class, Class::Tools);
    }
}
