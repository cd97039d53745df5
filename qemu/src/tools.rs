// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The programs and headers that the steps need, and the packages of Debian and Ubuntu that have
//! them. The check looks at files only; it runs nothing while all is there.

use crate::arch::Target;
use crate::class::{Class, Refusal, Step};
use crate::run::{self, command, which};
use crate::ui::Ui;
use crate::{files, interrupt};
use std::path::Path;
use std::process::Command;

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Source and series.
    Apply,
    /// And a kernel.
    Build,
    /// And a guest.
    Run,
}

/// One thing that must be there.
#[derive(Clone, Debug)]
struct Tool {
    /// A program in PATH, a file if it begins with "/", or a header if it ends in ".h".
    name: String,
    package: &'static str,
    need: Need,
}

type Row = (&'static str, &'static str, Need);

const fn tool(name: &'static str, package: &'static str, need: Need) -> Row {
    (name, package, need)
}

/// What every target takes: the build runs programs of this machine too.
const TOOLS: &[Row] = &[
    tool("git", "git", Need::Apply),
    tool("tar", "tar", Need::Apply),
    tool("xz", "xz-utils", Need::Apply),
    tool("cp", "coreutils", Need::Apply),
    tool("gcc", "gcc", Need::Build),
    tool("ld", "binutils", Need::Build),
    tool("make", "make", Need::Build),
    tool("flex", "flex", Need::Build),
    tool("bison", "bison", Need::Build),
    tool("bc", "bc", Need::Build),
    tool("perl", "perl", Need::Build),
    tool("awk", "mawk", Need::Build),
    tool("find", "findutils", Need::Build),
    tool("cmp", "diffutils", Need::Build),
    // Debian's gcc only recommends it; it has the static libc as well.
    tool("stdio.h", "libc6-dev", Need::Build),
    // For objtool, which this config builds.
    tool("libelf.h", "libelf-dev", Need::Build),
];

/// All that a target takes.
fn tools(target: Target) -> Vec<Tool> {
    let (qemu, package) = target.arch.qemu();
    let tool =
        |(name, package, need): &Row| Tool { name: (*name).to_owned(), package, need: *need };
    let mut tools: Vec<Tool> = TOOLS.iter().map(tool).collect();
    tools.push(Tool { name: qemu.to_owned(), package, need: Need::Run });
    let kernel = (target.arch.programs(), Need::Build);
    for (programs, need) in [kernel, (target.user(), Need::Run)] {
        if programs.is_ours() || tools.iter().any(|tool| tool.package == programs.gcc) {
            continue;
        }
        let libc = format!("/usr/{}/lib/libc.a", programs.gnu);
        tools.push(Tool { name: programs.cc(), package: programs.gcc, need });
        tools.push(Tool { name: libc, package: programs.libc, need: Need::Run });
    }
    tools
}

/// Another run's apt-get, or the machine's own, is waited for.
const APT: &[&str] =
    &["-o", "DPkg::Lock::Timeout=300", "install", "-y", "-qq", "--no-install-recommends"];

/// Sees to it that everything for `need` is there; gives the packages that were installed.
pub fn ensure(need: Need, target: Target, log: &Path, ui: &mut Ui) -> Step<Vec<&'static str>> {
    let mut missing = tools(target);
    missing.retain(|tool| tool.need <= need && !there(&tool.name));
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let packages = packages(&missing);
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let debian = is_debian(&release) && which("apt-get").is_some();
    let Some(root) = as_root().filter(|_| debian) else { return Err(refusal(&missing, debian)) };
    ui.note(&format!("installing {}", packages.join(" ")));
    let mut apt_get = |args: &[&str]| {
        let mut told = false;
        let mut tick = || {
            if interrupt::seen() && !std::mem::replace(&mut told, true) {
                ui.note("stopping as soon as apt-get has ended");
            }
            ui.progress(|| "apt-get".into());
        };
        run::logged_to_the_end(apt(root).args(args), log, &mut tick)
    };
    let install = [APT, &packages].concat();
    // Lists that are absent or old make the first attempt fail; most of the time they are neither.
    let lack = || missing.iter().any(|t| !there(&t.name));
    if !apt_get(&install)?.success() && lack() {
        apt_get(&["update", "-qq"])?;
        // Another run may have installed it meanwhile.
        if !apt_get(&install)?.success() && lack() {
            let mut refusal = refusal(&missing, debian);
            let said = std::fs::read_to_string(log).unwrap_or_default();
            refusal.line = format!("{} (apt-get failed; see {})", refusal.line, log.display());
            return Err(if run::full(&said) { files::no_space(refusal) } else { refusal });
        }
    }
    if let Some(still) = missing.iter().find(|t| !there(&t.name)) {
        let line = format!("{} was installed, and {} is still missing", still.package, still.name);
        return Err(Refusal::new(Class::Tools, line));
    }
    Ok(packages)
}

fn apt(root: &[&str]) -> Command {
    let mut words = root.iter().chain(&["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    let mut apt = run::lasting(words.next().expect("never empty"));
    apt.args(words);
    apt
}

/// The words before a command that make it root's; none if they would ask for a password.
fn as_root() -> Option<&'static [&'static str]> {
    if nix::unistd::geteuid().is_root() {
        return Some(&[]);
    }
    let sudo = run::output(command("sudo").args(["-n", "true"]), &mut || ());
    sudo.is_ok_and(|out| out.status.success()).then_some(&["sudo", "-n"])
}

fn there(name: &str) -> bool {
    if name.starts_with('/') {
        return Path::new(name).is_file();
    }
    if !name.ends_with(".h") {
        return which(name).is_some();
    }
    if Path::new("/usr/include").join(name).is_file() {
        return true;
    }
    // Elsewhere (Nix, a cross compiler) only the compiler knows where its headers are.
    let args = ["-E", "-include", name, "-x", "c", "/dev/null", "-o", "/dev/null"];
    which("gcc").is_some()
        && run::output(command("gcc").args(args), &mut || ()).is_ok_and(|o| o.status.success())
}

fn packages(missing: &[Tool]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    packages.sort();
    packages.dedup();
    packages
}

/// Without QEMU alone, a kernel can still be built: a class of its own.
fn refusal(missing: &[Tool], debian: bool) -> Refusal {
    let only_qemu = missing.iter().all(|tool| tool.name.starts_with("qemu-system"));
    let class = if only_qemu { Class::Qemu } else { Class::Tools };
    let names: Vec<_> = missing.iter().map(|tool| tool.name.as_str()).collect();
    let how = if debian {
        format!("run: sudo apt-get install --no-install-recommends {}", packages(missing).join(" "))
    } else {
        format!("install what Debian calls {}", packages(missing).join(" "))
    };
    Refusal::new(class, format!("missing {}; {how}", names.join(", ")))
}

/// Whether /etc/os-release is Debian's, Ubuntu's, or of something made from them.
fn is_debian(release: &str) -> bool {
    let field = |line: &str| {
        let value = line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE="))?;
        let mut words = value.trim_matches('"').split(' ');
        words.any(|word| word == "debian" || word == "ubuntu").then_some(())
    };
    release.lines().any(|line| field(line).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use rstest::rstest;
    use std::collections::HashSet;

    #[rstest]
    #[case("NAME=x\nID=debian\n", true)]
    #[case("ID=ubuntu\nID_LIKE=debian\n", true)]
    #[case("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true)]
    #[case("ID=fedora\n", false)]
    #[case("", false)]
    fn releases(#[case] release: &str, #[case] want: bool) {
        assert_eq!(is_debian(release), want);
    }

    #[rstest]
    #[case(&["flex", "bison"], true, Class::Tools,
           "missing flex, bison; run: sudo apt-get install --no-install-recommends bison flex")]
    #[case(&["qemu-system-x86_64"], false, Class::Qemu,
           "missing qemu-system-x86_64; install what Debian calls qemu-system-x86")]
    fn one_line_says_what_to_run(
        #[case] names: &[&str],
        #[case] debian: bool,
        #[case] class: Class,
        #[case] line: &str,
    ) {
        let all = tools(Target::default());
        let named = |name: &&str| all.iter().find(|t| t.name == *name).unwrap().clone();
        let missing: Vec<Tool> = names.iter().map(named).collect();
        let got = refusal(&missing, debian);
        assert_eq!((got.class, got.line.as_str()), (class, line));
    }

    #[test]
    fn each_tool_stands_once() {
        for (arch, compat) in [(Arch::X86_64, true), (Arch::Arm64, false), (Arch::Arm64, true)] {
            let all = tools(Target { arch, compat });
            let names: HashSet<_> = all.iter().map(|t| &t.name).collect();
            assert_eq!(names.len(), all.len());
        }
    }
}
