// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! From a built kernel to a verdict: suite, intree, initramfs, boot, verdict.

pub mod accel;
pub mod again;
pub mod boot;
pub mod initramfs;
pub mod intree;
pub mod progress;
pub mod qemu;
pub mod record;
pub mod report;
mod rust_std;
pub mod splat;
pub mod stack;
pub mod stamp;
pub mod stream;
pub mod suite;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod watch;

use crate::cache::Cache;
use crate::class::{Class, Refusal, Step};
use crate::files;
use crate::kernel::Kernel;
use crate::ui::Ui;
use accel::{Accel, Choice, Memory};
use again::Again;
use boot::{Boot, Ended, Limits};
use memfd_seals::events::Outcome;
use progress::Progress;
use qemu::{Machine, Qemu};
use record::{End, Folder};
use splat::Patterns;
use stack::Stack;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use verdict::{Evidence, Verdict};

/// What the caller decides.
pub struct Options {
    /// The workspace's root.
    pub repo: PathBuf,
    /// Where small memories are kept.
    pub cache: PathBuf,
    /// QEMU's name or path: "qemu-system-x86_64".
    pub qemu: String,
    /// KVM's device; none if KVM is not to be tried.
    pub kvm: Option<PathBuf>,
    /// What is booted in the suite's place.
    pub suite: Option<PathBuf>,
    pub cpus: u32,
    pub memory_mib: u32,
    /// More of the kernel's command line.
    pub append: String,
    /// More arguments of /init: `--require-seal`, words of a filter. No double quotes.
    pub init: Vec<String>,
    /// Whether the report lists the names by predicted outcome.
    pub grouped: bool,
    /// The command that runs it again, for the report.
    pub again: Again,
}

/// A run that came to a verdict.
pub struct Finished {
    pub verdict: Verdict,
    /// What to print; its last line is `verdict: <class>`.
    pub report: Vec<String>,
}

struct Run<'a> {
    kernel: &'a Kernel,
    expected: &'a [(String, Outcome)],
    options: &'a Options,
    folder: &'a Folder,
    steps: Vec<(String, u128)>,
    choice: Option<Choice>,
    stop: &'a AtomicBool,
    ui: &'a mut Ui,
}

/// A boot, judged.
struct Judged {
    verdict: Verdict,
    boot: Boot,
    stacks: Vec<Stack>,
}

/// Boots `kernel` and judges it by `expected`, the planned tests in order with what is predicted
/// of each. A refusal means that there was nothing to judge. Either is written to `folder`.
pub fn run(
    kernel: &Kernel,
    expected: &[(String, Outcome)],
    options: &Options,
    folder: &Folder,
    stop: &AtomicBool,
    ui: &mut Ui,
) -> Step<Finished> {
    let steps = ui.millis().to_vec();
    let mut run = Run { kernel, expected, options, folder, steps, choice: None, stop, ui };
    match run.until_verdict() {
        Ok(judged) => run.finish(judged),
        Err(refusal) => {
            // The refusal is the news; that it could not be written down too would hide it.
            let rows = tally::rows(expected, &[]);
            let end = End::refused(refusal.class, &refusal.line, &rows, &run.steps);
            let choice = run.choice.as_ref();
            let _ = folder.end(&End { kernel: Some(kernel), choice, ..end });
            Err(refusal)
        }
    }
}

impl Run<'_> {
    /// Writes a verdict down, and puts it into words.
    fn finish(self, judged: Judged) -> Step<Finished> {
        let Judged { verdict, boot, stacks } = judged;
        let choice = self.choice.clone().unwrap_or_else(|| Choice::tcg("nothing ran"));
        let rows = tally::rows(self.expected, &verdict.tests);
        if !stacks.is_empty() {
            self.folder.write("decoded.txt", &stack::file(&stacks))?;
        }
        self.folder.end(&End {
            class: verdict.class,
            line: &verdict.line,
            kernel: Some(self.kernel),
            choice: Some(&choice),
            counts: verdict.counts.clone(),
            surprises: &verdict.surprises,
            guarantees: verdict.guarantees.as_ref(),
            rows: &rows,
            steps: &self.steps,
        })?;
        let report = report::lines(&report::Told {
            verdict: &verdict,
            expected: self.expected,
            rows: &rows,
            choice: &choice,
            grouped: self.options.grouped,
            again: &self.options.again,
            stacks: &stacks,
            console: &splat::readable(&boot.console),
            folder: &self.folder.name(&self.options.repo),
        });
        Ok(Finished { verdict, report })
    }

    fn until_verdict(&mut self) -> Step<Judged> {
        let kernel = self.kernel;
        let repo = &self.options.repo;
        let guest = repo.join("target/guest");
        let patterns = Patterns::load(&repo.join("qemu/splats.txt"))?;
        let qemu = qemu::find(&self.options.qemu, kernel.target.arch, &self.options.cache)?;
        let suite = self.step("suite", || match &self.options.suite {
            Some(given) => {
                suite::is_static(given)?;
                Ok((format!("INIT={}", given.display()), given.clone()))
            }
            None => {
                let suite =
                    suite::build(repo, kernel.target.user(), &Cache::held(&self.options.cache))?;
                Ok((news(suite.built, "static"), suite.binary))
            }
        })?;
        let tool = self.step("memfd_test", || {
            let tool = intree::build(&kernel.source_tree, kernel.target.user(), &guest)?;
            Ok((news(tool.built, "the kernel's own"), tool.binary))
        })?;
        let initrd = self.step("initramfs", || {
            let programs = [("/init", suite.as_path()), ("/memfd_test", &tool)];
            let archive = initramfs::build(&kernel.build_dir, &programs, &guest)?;
            Ok((news(archive.built, "/init, /memfd_test"), archive.path))
        })?;
        let nonce = nonce()?;
        let boot = self.boot(&qemu, &initrd, &nonce, &patterns)?;
        let start = Instant::now();
        let verdict = verdict::judge(&Evidence {
            expected: self.expected,
            events: &boot.events,
            console: &boot.console,
            words: &boot.words,
            ended: &boot.ended,
            nonce: &nonce,
            salt: &kernel.salt,
            release: &kernel.release,
            cpus: self.options.cpus,
            guarantees: self.options.init.iter().any(|word| word == "--guarantees"),
            patterns: &patterns,
        });
        self.note("verdict", verdict.class.word(), start.elapsed());
        let stacks = self.stacks(&verdict, &boot, &patterns)?;
        Ok(Judged { verdict, boot, stacks })
    }

    /// The stacks of what the console is blamed for.
    fn stacks(&mut self, verdict: &Verdict, boot: &Boot, patterns: &Patterns) -> Step<Vec<Stack>> {
        if !matches!(verdict.class, Class::Panic | Class::Splat) {
            return Ok(Vec::new());
        }
        let cut = stack::cut(&boot.console, &patterns.scan(&boot.console));
        if cut.is_empty() {
            return Ok(cut);
        }
        let (kernel, count) = (self.kernel, cut.len());
        self.step("stacks", || {
            let stacks = stack::decode(kernel, cut);
            Ok((format!("{} of {count}, in decoded.txt", stacks.len()), stacks))
        })
    }

    /// Boots with what [`accel::choose`] says, and again under TCG if KVM didn't carry it.
    fn boot(&mut self, qemu: &Qemu, initrd: &Path, nonce: &str, patterns: &Patterns) -> Step<Boot> {
        let Kernel { image, target, .. } = self.kernel;
        let cache = &self.options.cache;
        let (mut choice, memory) = match &self.options.kvm {
            None => (Choice::tcg("as asked"), None),
            Some(_) if !target.arch.is_ours() => {
                (Choice::tcg(format!("another architecture, {}", target.arch.name())), None)
            }
            Some(device) => accel::choose(device, || Memory::open(cache, &qemu.version, image))?,
        };
        let mut boot = self.boot_once(qemu, initrd, nonce, &choice)?;
        if let (Accel::Kvm, Some(why)) = (choice.accel, kvm_failed(&boot, patterns)) {
            self.folder.write("console-kvm.log", &splat::readable(&boot.console))?;
            let why = format!("/dev/kvm opens, but {why}");
            choice = Choice::tcg(&why);
            boot = self.boot_once(qemu, initrd, nonce, &choice)?;
            // A kernel that says hello to no one says nothing about KVM.
            if let (Some(memory), Some(_)) = (memory, boot.hello_after) {
                memory.failed(&why)?;
            }
        } else if let (Accel::Kvm, Some(memory), Ended::Kvm(why)) =
            (choice.accel, memory, &boot.ended)
        {
            // It died in a test: that is judged, and the next run does without.
            memory.failed(&format!("/dev/kvm opens, but QEMU said: {why}"))?;
        }
        Ok(boot)
    }

    fn boot_once(
        &mut self,
        qemu: &Qemu,
        initrd: &Path,
        nonce: &str,
        choice: &Choice,
    ) -> Step<Boot> {
        self.choice = Some(choice.clone());
        let mut init: Vec<String> =
            ["--events", "/dev/vport0p1", "--nonce", nonce, "--end", "reboot"]
                .map(str::to_owned)
                .to_vec();
        init.extend(self.options.init.iter().cloned());
        let machine = Machine {
            arch: self.kernel.target.arch,
            image: &self.kernel.image,
            initrd,
            accel: choice.accel,
            cpus: self.options.cpus,
            memory_mib: self.options.memory_mib,
            append: &self.options.append,
            init: &init,
        };
        let by_hand = machine.args("/dev/stdout", "results-by-hand.jsonl");
        self.folder.write("qemu-command.txt", &qemu::paste(&qemu.path, &by_hand))?;
        let args = machine.args(boot::CONSOLE, boot::EVENTS);
        let limits = Limits::of(choice.accel);
        self.ui.begin("boot");
        let (mut progress, ui) = (Progress::new(self.expected), &mut *self.ui);
        let mut heard = |bytes: &[u8]| {
            progress.feed(bytes).iter().for_each(|line| ui.note(line));
            ui.progress(|| progress.words());
        };
        let folder = &self.folder.path;
        let boot = boot::run(&qemu.path, &args, folder, limits, self.stop, &mut heard)?;
        self.note("boot", &format!("{}; QEMU {}", choice.why, qemu.version), boot.took);
        Ok(boot)
    }

    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Step<(String, T)>) -> Step<T> {
        if self.stop.load(Ordering::Relaxed) {
            let line = format!("stopped before {name}: the same command can be run again");
            return Err(Refusal::new(Class::Interrupted, line));
        }
        self.ui.begin(name);
        let start = Instant::now();
        let result = work();
        // A child that the terminal's Ctrl-C ended must not look like a build that failed.
        if result.is_err() && self.stop.load(Ordering::Relaxed) {
            let line = format!("stopped in {name}: the same command can be run again");
            return Err(Refusal::new(Class::Interrupted, line));
        }
        let (what, value) = result?;
        self.note(name, &what, start.elapsed());
        Ok(value)
    }

    fn note(&mut self, name: &str, what: &str, took: Duration) {
        self.ui.ended(name, what, took);
        match self.steps.iter_mut().find(|(of, _)| of == name) {
            Some((_, ms)) => *ms += took.as_millis(),
            None => self.steps.push((name.to_owned(), took.as_millis())),
        }
    }
}

/// Why a boot under KVM has to be repeated without; none if it carried the kernel to hello, or the
/// kernel to a splat: such a boot is judged.
fn kvm_failed(boot: &Boot, patterns: &Patterns) -> Option<String> {
    if boot.hello_after.is_some() || !patterns.scan(&boot.console).is_empty() {
        return None;
    }
    let said = boot::complaint(&boot.words);
    match &boot.ended {
        Ended::Kvm(why) => Some(format!("QEMU said: {why}")),
        Ended::Limit(limit) => Some(limit.clone()),
        Ended::Exited(_) | Ended::Killed(_) => Some(match said {
            Some(said) => format!("QEMU said: {said}"),
            None => "the guest said no hello".to_owned(),
        }),
    }
}

fn news(built: bool, what: &str) -> String {
    if built { what.to_owned() } else { format!("{what}, unchanged") }
}

/// 32 hex digits that no other boot had.
fn nonce() -> Step<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|e| Refusal::new(Class::Internal, format!("/dev/urandom: {e}")))?;
    Ok(files::hex(&bytes))
}
