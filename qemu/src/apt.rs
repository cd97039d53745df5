// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A private apt: the machine's own mirrors, proxies and keys, but a state folder of its own, so
//! that it needs no root, verifies the archive's signature, and leaves the machine as it is.

use crate::cache::Temp;
use crate::class::{Class, Step};
use crate::files::{self, mkdir};
use crate::run::{self, Tick, command};
use std::path::{Path, PathBuf};
use std::process::Command;

const KEYRINGS: &[&str] = &[
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
];

/// The base URIs of the machine's package mirrors, those that look like Debian's first. Empty
/// where there is no apt.
pub fn mirrors() -> Step<Vec<String>> {
    if run::which("apt-get").is_none() || run::which("dpkg-deb").is_none() {
        return Ok(Vec::new());
    }
    let mut ask = command("apt-get");
    ask.args(["indextargets", "--no-release-info", "Created-By: Packages"]);
    let text = run::check(&mut ask, Class::Source, "apt-get indextargets", &mut || ())?;
    Ok(parse_mirrors(&String::from_utf8_lossy(&text)))
}

/// One mirror's view of one suite.
pub struct Apt {
    dir: Temp,
}

impl Apt {
    /// Sets up a private apt in the empty folder `dir`, which goes with it.
    pub fn new(dir: Temp) -> Step<Apt> {
        for folder in ["state/lists/partial", "cache/archives/partial", "empty"] {
            mkdir(&dir.join(folder))?;
        }
        files::write(&dir.join("status"), b"")?;
        let mut ask = command("apt-config");
        let acquire =
            run::check(ask.args(["dump", "Acquire"]), Class::Source, "apt-config", &mut || ())?;
        let root = nix::unistd::geteuid().is_root();
        let text = configuration(&dir, &String::from_utf8_lossy(&acquire), root);
        files::write(&dir.join("apt.conf"), text.as_bytes())?;
        Ok(Apt { dir })
    }

    /// Fetches the lists of `suite` from `mirror`, of its source packages too if `sources`. False if
    /// the mirror does not have them or their signature does not hold.
    pub fn fetch_lists(&self, mirror: &str, suite: &str, sources: bool, tick: Tick) -> Step<bool> {
        let keyring = KEYRINGS.iter().find(|k| Path::new(k).exists());
        let signed = keyring.map_or(String::new(), |k| format!("[signed-by={k}] "));
        let kinds: &[&str] = if sources { &["deb", "deb-src"] } else { &["deb"] };
        let line = |kind: &&str| format!("{kind} {signed}{mirror} {suite} main\n");
        let lines: String = kinds.iter().map(line).collect();
        files::write(&self.dir.join("sources.list"), lines.as_bytes())?;
        let mut update = self.command("apt-get");
        let out = run::output(update.args(["update", "-qq", "--error-on=any"]), tick)?;
        if run::full(&out.stderr) {
            return Err(run::failed(Class::NoSpace, "apt-get update", &out));
        }
        Ok(out.status.success())
    }

    /// Every version of `package` in the fetched lists, newest first.
    pub fn versions(&self, package: &str) -> Step<Vec<String>> {
        let mut ask = self.command("apt-cache");
        let text =
            run::check(ask.args(["madison", package]), Class::Source, "apt-cache", &mut || ())?;
        Ok(parse_madison(&String::from_utf8_lossy(&text), package))
    }

    /// Names of all packages that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Step<Vec<String>> {
        let mut ask = self.command("apt-cache");
        let text =
            run::check(ask.args(["pkgnames", prefix]), Class::Source, "apt-cache", &mut || ())?;
        Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
    }

    /// Downloads one package into the empty folder `into`; apt checks its hash against the signed
    /// lists. Gives the file's path.
    pub fn download(&self, package: &str, version: &str, into: &Path, tick: Tick) -> Step<PathBuf> {
        let mut get = self.command("apt-get");
        get.current_dir(into).args(["download", "-qq", &format!("{package}={version}")]);
        run::check(&mut get, Class::Source, &format!("downloading {package} {version}"), tick)?;
        found(into, |name| name.ends_with(".deb"), package)
    }

    /// Downloads the upstream tarball of a source package into the empty folder `into`; the same check.
    pub fn download_orig(
        &self,
        package: &str,
        version: &str,
        into: &Path,
        tick: Tick,
    ) -> Step<PathBuf> {
        let mut get = self.command("apt-get");
        let what = format!("{package}={version}");
        get.current_dir(into).args(["source", "-qq", "--download-only", "--tar-only", &what]);
        run::check(&mut get, Class::Source, &format!("downloading {package} {version}"), tick)?;
        found(into, |name| name.contains(".orig.tar."), &what)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(program);
        command.env("APT_CONFIG", self.dir.join("apt.conf"));
        command
    }
}

/// What a download that went well has left.
fn found(into: &Path, is: impl Fn(&str) -> bool, what: &str) -> Step<PathBuf> {
    let mut left = std::fs::read_dir(into).map_err(files::refuse(into))?.flatten();
    let file = left.find(|entry| is(&entry.file_name().to_string_lossy()));
    file.map(|entry| entry.path()).ok_or_else(|| {
        let line = format!("downloading {what} went well and left nothing");
        crate::class::Refusal::new(Class::Source, line)
    })
}

/// Whether a suite is worth asking this mirror for: those of security have mirrors of their own.
pub fn may_have(mirror: &str, suite: &str) -> bool {
    suite.ends_with("-security") == mirror.contains("security")
}

fn configuration(dir: &Path, acquire: &str, root: bool) -> String {
    let at = |name: &str| dir.join(name).display().to_string();
    let mut lines = vec![
        format!("Dir::State \"{}\";", at("state")),
        format!("Dir::State::lists \"{}\";", at("state/lists")),
        format!("Dir::State::status \"{}\";", at("status")),
        format!("Dir::Cache \"{}\";", at("cache")),
        format!("Dir::Etc::sourcelist \"{}\";", at("sources.list")),
        // Without these, hooks and pins of the machine would run and count here.
        format!("Dir::Etc::sourceparts \"{}\";", at("empty")),
        format!("Dir::Etc::parts \"{}\";", at("empty")),
        format!("Dir::Etc::preferencesparts \"{}\";", at("empty")),
        "Dir::Etc::preferences \"/dev/null\";".into(),
        "Dir::Etc::main \"/dev/null\";".into(),
        acquire.trim_end().into(),
        "#clear Acquire::Languages;".into(),
        "Acquire::Languages { \"none\"; };".into(),
        // Whatever the machine allows itself: this archive's signature must hold.
        "Acquire::AllowInsecureRepositories \"false\";".into(),
        "Acquire::AllowWeakRepositories \"false\";".into(),
        "Acquire::AllowDowngradeToInsecureRepositories \"false\";".into(),
    ];
    if root {
        // The user _apt need not be able to reach root's cache folder.
        lines.push("APT::Sandbox::User \"root\";".into());
    }
    lines.join("\n") + "\n"
}

/// The Repo-URI fields of `apt-get indextargets`, once each.
fn parse_mirrors(text: &str) -> Vec<String> {
    let mut mirrors: Vec<String> = Vec::new();
    for uri in text.lines().filter_map(|l| l.strip_prefix("Repo-URI: ")).map(str::trim) {
        if !mirrors.iter().any(|m| m == uri) {
            mirrors.push(uri.to_owned());
        }
    }
    // Other archives would be asked in vain; a mirror's path nearly always says what it mirrors.
    mirrors.sort_by_key(|m| !m.trim_end_matches('/').ends_with("/debian"));
    mirrors
}

/// The second column of `apt-cache madison`.
fn parse_madison(text: &str, package: &str) -> Vec<String> {
    let row = |line: &str| {
        let mut columns = line.split('|').map(str::trim);
        (columns.next()? == package).then(|| columns.next().map(str::to_owned))?
    };
    text.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("", &[])]
    #[case("MetaKey: x\nRepo-URI: http://a.example/debian/\n\nRepo-URI: http://a.example/debian/\n",
           &["http://a.example/debian/"])]
    #[case("Repo-URI: http://x.example/node\nRepo-URI: http://a.example/debian-security/\n\
            Repo-URI: http://a.example/debian\n",
           &["http://a.example/debian", "http://x.example/node", "http://a.example/debian-security/"])]
    fn mirrors_of_indextargets(#[case] text: &str, #[case] want: &[&str]) {
        assert_eq!(parse_mirrors(text), want);
    }

    #[rstest]
    #[case("", &[])]
    #[case(" linux-source-7.3 | 7.3.4-1~bpo13+1 | http://a.example/debian sid/main amd64 Packages\n",
           &["7.3.4-1~bpo13+1"])]
    #[case("linux-source-7.3 | 7.3.5-1 | x\nlinux-source-7.3 | 7.3.4-1 | x\nlinux | 9 | x\n",
           &["7.3.5-1", "7.3.4-1"])]
    fn versions_of_madison(#[case] text: &str, #[case] want: &[&str]) {
        assert_eq!(parse_madison(text, "linux-source-7.3"), want);
    }

    #[test]
    fn the_machines_proxy_holds_and_its_laxness_does_not() {
        let acquire = "Acquire::http::Proxy \"http://p.example\";\n\
                       Acquire::AllowInsecureRepositories \"1\";\n";
        let text = configuration(Path::new("/c"), acquire, true);
        let at = |what: &str| text.rfind(what).unwrap_or_else(|| panic!("no {what}"));
        assert!(at("http::Proxy") < at("AllowInsecureRepositories \"false\""));
        assert!(text.contains("Dir::State::lists \"/c/state/lists\";"));
        assert!(text.contains("APT::Sandbox::User"));
    }
}
