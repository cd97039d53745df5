// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The command that runs the same again: what a person pastes after a failure.

use crate::arch::Arch;
use crate::kernel::Request;
use memfd_seals::report::text::shell_word;

/// The variables of a run that decide what it does. JOBS decides only how fast.
#[derive(Clone, Debug, Default)]
pub struct Again {
    filter: Option<String>,
    others: Vec<(&'static str, String)>,
}

impl Again {
    /// As the run was asked for; what has its default is left out.
    pub fn of(request: &Request) -> Again {
        let path = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
        let other = |value: &str, default: &str| (value != default).then(|| value.to_owned());
        let kvm = request.kvm.as_ref().map_or("off".to_owned(), path);
        let others = [
            ("SERIES", request.series.clone()),
            ("BASE", other(&request.base, "mainline")),
            ("ARCH", other(request.target.arch.name(), Arch::default().name())),
            ("ABI", request.target.compat.then(|| "32".to_owned())),
            ("CONFIG", request.config.clone()),
            ("KERNEL", request.kernel.as_ref().map(path)),
            ("CPUS", request.cpus.map(|n| n.to_string())),
            ("MEMORY", request.memory_mib.map(|n| n.to_string())),
            ("APPEND", request.append.clone()),
            ("QEMU", other(&request.qemu, request.target.arch.qemu().0)),
            ("KVM", other(&kvm, "/dev/kvm")),
            ("INIT", request.init.as_ref().map(path)),
        ];
        let others = others.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Again { filter: request.filter.clone(), others }
    }

    /// What differs from a plain run: "FILTER=replay CONFIG=debug"; empty for a plain one.
    pub fn said(&self) -> String {
        self.all().strip_prefix("make qemu-test").unwrap_or_default().trim().to_owned()
    }

    /// The whole run.
    pub fn all(&self) -> String {
        self.command(self.filter.as_deref())
    }

    /// Only the tests whose name contains this.
    pub fn only(&self, test: &str) -> String {
        self.command(Some(test))
    }

    fn command(&self, filter: Option<&str>) -> String {
        let filter = filter.map(|text| ("FILTER", text));
        let others = self.others.iter().map(|(name, value)| (*name, value.as_str()));
        let mut command = "make qemu-test".to_owned();
        for (name, value) in filter.into_iter().chain(others) {
            // make expands what follows a dollar also in its arguments.
            command.push_str(&format!(" {name}={}", shell_word(&value.replace('$', "$$"))));
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Target;
    use rstest::rstest;
    use std::process::Command;

    fn request() -> Request {
        Request {
            repo: "/repo".into(),
            kernel: None,
            series: None,
            base: "mainline".into(),
            target: Target::default(),
            config: None,
            filter: None,
            jobs: 3,
            cpus: None,
            memory_mib: None,
            append: None,
            qemu: "qemu-system-x86_64".into(),
            kvm: Some("/dev/kvm".into()),
            init: None,
        }
    }

    fn everything(value: &str) -> Request {
        Request {
            kernel: Some(value.into()),
            series: Some(value.into()),
            base: value.into(),
            target: Target { arch: Arch::Arm64, compat: true },
            config: Some(value.into()),
            filter: Some(value.into()),
            cpus: "1".parse().ok(),
            memory_mib: "777".parse().ok(),
            append: Some(value.into()),
            qemu: value.into(),
            kvm: None,
            init: Some(value.into()),
            ..request()
        }
    }

    #[test]
    fn defaults_are_left_out() {
        let again = Again::of(&request());
        assert_eq!(again.all(), "make qemu-test");
        assert_eq!(again.only("programs::replay"), "make qemu-test FILTER=programs::replay");
        let again = Again::of(&everything("x"));
        assert_eq!(
            again.all(),
            "make qemu-test FILTER=x SERIES=x BASE=x ARCH=arm64 ABI=32 CONFIG=x KERNEL=x CPUS=1 \
             MEMORY=777 APPEND=x QEMU=x KVM=off INIT=x"
        );
        assert!(again.only("y z").starts_with("make qemu-test FILTER='y z' SERIES=x "));
    }

    /// The command through a shell and the very make that the Makefile is for.
    #[rstest]
    #[case("plain/path")]
    #[case("two  words")]
    #[case("it's \"quoted\"")]
    #[case("$HOME $(shell echo no) $$ ${x}")]
    #[case("a#b;c&d|e>f*g?h[i]!~`j`%k=l\\m")]
    fn what_is_pasted_arrives(#[case] value: &str) {
        let folder = tempfile::tempdir().unwrap();
        let names = "FILTER SERIES BASE CONFIG KERNEL APPEND QEMU INIT";
        let makefile = format!("export {names}\nqemu-test:\n\t@env\n");
        std::fs::write(folder.path().join("Makefile"), makefile).unwrap();
        let command = Again::of(&everything(value)).all();
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &command]).current_dir(folder.path());
        let output = shell.env_remove("MAKEFLAGS").env_remove("MAKEOVERRIDES").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        for name in names.split(' ') {
            let line = format!("{name}={value}");
            assert!(said.lines().any(|l| l == line), "{line} is not in:\n{said}");
        }
    }
}
