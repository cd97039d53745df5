// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What seals do, as tables from calls made on the spot: what F_SEAL_FS_WRITE adds over the older
//! ones, and what this kernel guarantees under each.

use crate::case::{Given, Got, Stop};
use crate::kind::Kind;
use crate::sys::{Map, RO, RW, seal};
use crate::world::{MARK, World, fresh};
use crate::{child, init, need};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_PRIVATE, MAP_SHARED};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The table on a kernel with the series; the cover letter carries it. (No `"\` at the start of the
/// string: that would take the first line's indentation away.)
pub const TABLE: &str = "                                    FW        FW|S|G    FS_WRITE
write()                             EPERM     EPERM     EPERM
mmap() shared, writable             EPERM     EPERM     EACCES
mmap() shared, read-only            works     works     works
  then mprotect() to writable       EACCES    EACCES    EACCES
store through an older mapping      works     works     works
ftruncate() to grow                 works     EPERM     EPERM
ftruncate() to shrink               works     EPERM     EPERM
  and to grow: old contents         lost      kept      kept
fallocate() past EOF                works     EPERM     EPERM
fallocate() below EOF               works     works     EPERM
fallocate() to punch a hole         EPERM     EPERM     EPERM
F_GET_SEALS                         0x10      0x16      0x40
";

/// A head, and the seals that its column is of.
type Column = (&'static str, u32);

const COLUMNS: &[Column] = &[
    ("FW", seal::FUTURE_WRITE),
    ("FW|S|G", seal::FUTURE_WRITE | seal::SHRINK | seal::GROW),
    ("FS_WRITE", seal::FS_WRITE),
];

/// Those of the table that a run ends with.
const SEALS: &[Column] = &[
    ("none", 0),
    ("SHRINK", seal::SHRINK),
    ("GROW", seal::GROW),
    ("WRITE", seal::WRITE),
    ("FUTURE_WRITE", seal::FUTURE_WRITE),
    ("EXEC", seal::EXEC),
    ("FW|S|G", seal::FUTURE_WRITE | seal::SHRINK | seal::GROW),
    ("FS_WRITE", seal::FS_WRITE),
];

/// A line's name and the call that its cells are of.
type Row = (&'static str, fn(&mut World) -> String);

/// The line whose call needs a mapping from before the seal, which F_SEAL_WRITE refuses.
const OLDER: &str = "store through an older mapping";

const ROWS: &[Row] = &[
    ("write()", |f| word(f.write(b"x"))),
    ("mmap() shared, writable", |f| word(f.mmap_new(RW, MAP_SHARED))),
    ("mmap() shared, read-only", |f| word(f.mmap_new(RO, MAP_SHARED))),
    ("  then mprotect() to writable", |f| {
        let map = Map::new(f.size, RO, MAP_SHARED, &f.fd, 0);
        word(map.and_then(|map| map.protect(RW)).map_err(Stop::from))
    }),
    (OLDER, |f| word(f.reaches_file(f.old()).map(|()| 0).map_err(|_| Errno::EIO.into()))),
    ("ftruncate() to grow", |f| word(f.ftruncate(f.size + f.page))),
    ("ftruncate() to shrink", |f| word(f.ftruncate(0))),
    ("  and to grow: old contents", |f| {
        let _ = f.ftruncate(0).and_then(|_| f.ftruncate(f.size));
        if f.byte_is(0, MARK).is_ok() { "kept".into() } else { "lost".into() }
    }),
    ("fallocate() past EOF", |f| word(f.fallocate(0, f.size, f.page))),
    ("fallocate() below EOF", |f| word(f.fallocate(0, 0, f.size))),
    ("fallocate() to punch a hole", |f| {
        word(f.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, f.page))
    }),
    ("F_GET_SEALS", |f| match crate::sys::get_seals(&f.fd) {
        Ok(seals) => format!("{seals:#x}"),
        Err(errno) => format!("{errno:?}"),
    }),
];

/// What the cover letter's table does not have: no column of it differs.
const MORE: &[Row] = &[
    ("mmap() private, past EOF: size", |f| match f.mmap_past_eof(RW, MAP_PRIVATE) {
        Ok(_) => if f.size_is(f.size).is_ok() { "kept" } else { "grows" }.into(),
        refused => word(refused),
    }),
    ("fchmod() to make executable", |f| {
        let mode = nix::sys::stat::Mode::from_bits_retain(0o700);
        word(nix::sys::stat::fchmod(&f.fd, mode).map(|()| 0).map_err(Stop::from))
    }),
];

/// What the calls gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The heads of the columns.
    pub seals: Vec<String>,
    pub lines: Vec<Line>,
}

/// One call under each seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub call: String,
    /// "works", an errno, or "-" where the kernel has no such seal.
    pub gives: Vec<String>,
}

/// What a kernel guarantees under each seal, of a memfd on shmem and of one on hugetlbfs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantees {
    pub shmem: Option<Grid>,
    pub hugetlb: Option<Grid>,
    /// Why nothing can be said of one; empty if both are there.
    pub why: String,
}

/// The comparison that the cover letter carries. Errors: no memfd at all.
pub fn table() -> Result<String, String> {
    Ok(grid(Kind::Shmem, COLUMNS, ROWS)?.text(36, |_| 10))
}

/// What the running kernel guarantees under each seal.
pub fn guarantees() -> Guarantees {
    let mut why = Vec::new();
    let mut of = |kind: Kind| {
        let said = guaranteed(kind);
        why.extend(said.as_ref().err().map(|line| format!("{}: {line}", kind.suffix())));
        said.ok()
    };
    let (shmem, hugetlb) = (of(Kind::Shmem), of(Kind::Hugetlb));
    Guarantees { shmem, hugetlb, why: why.join("; ") }
}

/// The calls are made in a child, which a kernel that does not keep its word may kill. Errors: why
/// nothing can be said.
fn guaranteed(kind: Kind) -> Result<Grid, String> {
    if let Some(missing) = need::kind_missing(kind) {
        return Err(missing);
    }
    let said = child::found_out(LIMIT.max(init::limit()), || {
        let grid = grid(kind, SEALS, &rows())?;
        Ok(vec![serde_json::to_string(&grid).map_err(|e| e.to_string())?])
    })?;
    serde_json::from_str(&said.concat()).map_err(|error| error.to_string())
}

/// The calls of [`guarantees`].
fn rows() -> Vec<Row> {
    let (seals, calls) = ROWS.split_last().expect("there are rows");
    [calls, MORE, &[*seals]].concat()
}

/// The calls take milliseconds; the clearing of huge pages, which may have 32 MiB, seconds where there is
/// no KVM.
const LIMIT: Duration = Duration::from_secs(60);

impl Grid {
    /// Whether it has the lines and columns that [`guarantees`] makes, and each cell.
    pub fn is_whole(&self) -> bool {
        let calls = self.lines.iter().map(|line| line.call.as_str());
        self.seals.iter().eq(SEALS.iter().map(|(head, _)| head))
            && calls.eq(rows().iter().map(|(call, _)| *call))
            && self.lines.iter().all(|line| line.gives.len() == self.seals.len())
    }

    /// Lines for people, as narrow as the cells allow.
    pub fn narrow(&self) -> String {
        let width = |at: usize| {
            let cells = self.lines.iter().map(|line| line.gives[at].len());
            cells.chain([self.seals[at].len()]).max().unwrap_or(0) + 1
        };
        let name = self.lines.iter().map(|line| line.call.len()).max().unwrap_or(0) + 1;
        self.text(name, width)
    }

    fn text(&self, name: usize, width: impl Fn(usize) -> usize) -> String {
        let line = |call: &str, cells: &[String]| {
            let cells = cells.iter().enumerate();
            let cells: String = cells.map(|(at, cell)| format!("{cell:<0$}", width(at))).collect();
            format!("{}\n", format!("{call:<name$}{cells}").trim_end())
        };
        let lines = self.lines.iter().map(|row| line(&row.call, &row.gives));
        [line("", &self.seals)].into_iter().chain(lines).collect()
    }
}

/// Makes each call on a fresh memfd of each column.
fn grid(kind: Kind, columns: &[Column], rows: &[Row]) -> Result<Grid, String> {
    let mut lines = Vec::new();
    for (name, call) in rows {
        let cell = |(_, seals): &Column| cell(kind, *seals, *name == OLDER, *call);
        let gives = columns.iter().map(cell).collect::<Result<_, _>>()?;
        lines.push(Line { call: name.to_string(), gives });
    }
    Ok(Grid { seals: columns.iter().map(|(head, _)| head.to_string()).collect(), lines })
}

/// What a call gives under seals, on a file that is not executable: F_SEAL_EXEC implies others on one
/// that is.
fn cell(
    kind: Kind,
    seals: u32,
    mapped: bool,
    call: fn(&mut World) -> String,
) -> Result<String, String> {
    let world = fresh(Given::of(kind))?;
    let world = if mapped { world.map(RW)? } else { world };
    let mode = nix::sys::stat::Mode::from_bits_retain(0o600);
    nix::sys::stat::fchmod(&world.fd, mode).map_err(|errno| format!("fchmod: {errno:?}"))?;
    let mut world = world;
    Ok(match if seals == 0 { Ok(0) } else { world.add_seals(seals) } {
        Ok(_) => call(&mut world),
        Err(Stop::Errno(Errno::EBUSY)) => "EBUSY".into(),
        Err(_) => "-".into(),
    })
}

fn word(got: Got) -> String {
    match got {
        Ok(_) => "works".into(),
        Err(Stop::Errno(errno)) => format!("{errno:?}"),
        Err(Stop::Signal(signal)) => format!("{signal:?}"),
    }
}
