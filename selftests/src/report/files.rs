// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Where a run by hand leaves its reports. A file holds an end from the run's first moment: that it
//! did not come to its end, until it has.

use super::json::About;
use super::{Ending, Row, json, junit, ktap};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What `--ktap`, `--junit` and `--json` say.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Files {
    /// Write the results as KTAP to this file; - is stdout
    #[arg(long, value_name = "FILE")]
    ktap: Option<PathBuf>,
    /// Write the results as JUnit XML to this file; - is stdout
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the results as one JSON object to this file; - is stdout
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Files {
    fn all(&self) -> impl Iterator<Item = &Path> {
        [&self.ktap, &self.junit, &self.json].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Whether one of them is stdout, which people's words then leave alone. Errors: two are the same.
    pub fn take_stdout(&self) -> Result<bool, String> {
        let all: Vec<_> = self.all().collect();
        let twice = |at: usize| all[..at].contains(&all[at]);
        if let Some(at) = (0..all.len()).find(|at| twice(*at)) {
            let name =
                if is_stdout(all[at]) { "stdout".into() } else { all[at].display().to_string() };
            return Err(format!("{name} can't hold two reports"));
        }
        Ok(all.into_iter().any(is_stdout))
    }

    /// Writes the end that holds until there is another. Errors: a file that can't be written.
    pub fn begin(&self, planned: &[Row]) -> Result<(), String> {
        let cause = "the run did not come to its end";
        self.write(Ending::Other { word: "internal", cause }, &About::default(), planned, None)
    }

    /// Writes the end; `stdout` is where that is, if one of the files is.
    pub fn end(
        &self,
        ending: Ending,
        about: &About,
        rows: &[Row],
        stdout: Option<&mut dyn Write>,
    ) -> Result<(), String> {
        self.write(ending, about, rows, stdout)
    }

    fn write(
        &self,
        ending: Ending,
        about: &About,
        rows: &[Row],
        mut stdout: Option<&mut dyn Write>,
    ) -> Result<(), String> {
        let mut put = |file: &Option<PathBuf>, text: &dyn Fn() -> Result<String, String>| {
            let Some(file) = file else { return Ok(()) };
            match (is_stdout(file), &mut stdout) {
                (false, _) => replace(file, text()?.as_bytes()),
                (true, Some(out)) => out
                    .write_all(text()?.as_bytes())
                    .and_then(|()| out.flush())
                    .map_err(|error| format!("stdout: {error}")),
                (true, None) => Ok(()),
            }
        };
        put(&self.ktap, &|| Ok(ktap::ktap(ending, rows)))?;
        put(&self.junit, &|| junit::junit("memfd-seals", ending, rows))?;
        put(&self.json, &|| json::json(ending, about, rows))
    }
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// Replaces a file's contents in one step: all of it is there, or what was. A pipe or a device is
/// written to.
pub fn replace(file: &Path, contents: &[u8]) -> Result<(), String> {
    let refuse = |error: std::io::Error| format!("{}: {error}", file.display());
    if std::fs::metadata(file).is_ok_and(|what| !what.is_file()) {
        let mut open = std::fs::OpenOptions::new().write(true).open(file).map_err(refuse)?;
        return open.write_all(contents).map_err(refuse);
    }
    // What a link leads to is replaced, not the link.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut part = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(refuse)?;
    part.write_all(contents).map_err(refuse)?;
    part.persist(&file).map_err(|error| refuse(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::fs;

    #[rstest]
    #[case(None, None, Some(false))]
    #[case(Some("-"), None, Some(true))]
    #[case(Some("-"), Some("a"), Some(true))]
    #[case(Some("-"), Some("-"), None)]
    #[case(Some("a"), Some("a"), None)]
    fn stdout_holds_one(
        #[case] ktap: Option<&str>,
        #[case] json: Option<&str>,
        #[case] want: Option<bool>,
    ) {
        let of = |file: Option<&str>| file.map(PathBuf::from);
        let files = Files { ktap: of(ktap), junit: None, json: of(json) };
        assert_eq!(files.take_stdout().ok(), want);
    }

    #[test]
    fn a_file_is_replaced_whole_and_a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "a much longer text than the next").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        replace(Path::new("/dev/null"), b"new").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(replace(&folder.path().join("no/such/folder"), b"").is_err());
    }

    /// A run that is killed leaves no green file.
    #[test]
    fn what_begins_is_not_green() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| Some(folder.path().join(name));
        let files = Files { ktap: path("ktap"), junit: path("xml"), json: path("json") };
        files.begin(&[]).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let cause = "the run did not come to its end";
        assert!(read("ktap").ends_with(&format!("not ok 1 verdict # internal: {cause}\n")));
        assert!(read("xml").contains("errors=\"1\""));
        assert!(read("json").contains("\"verdict\": \"internal\""));
    }
}
