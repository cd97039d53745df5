// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What F_SEAL_FS_WRITE adds over the older seals, as a table from calls made on the spot.

use crate::case::{Given, Got, Stop};
use crate::kind::Kind;
use crate::sys::{Map, RO, RW, seal};
use crate::world::{World, fresh};
use libc::{FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, MAP_SHARED};

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

const COLUMNS: [(&str, u32); 3] = [
    ("FW", seal::FUTURE_WRITE),
    ("FW|S|G", seal::FUTURE_WRITE | seal::SHRINK | seal::GROW),
    ("FS_WRITE", seal::FS_WRITE),
];

type Row = (&'static str, fn(&mut World) -> String);

const ROWS: &[Row] = &[
    ("write()", |f| word(f.write(b"x"))),
    ("mmap() shared, writable", |f| word(f.mmap_new(RW, MAP_SHARED))),
    ("mmap() shared, read-only", |f| word(f.mmap_new(RO, MAP_SHARED))),
    ("  then mprotect() to writable", |f| {
        let map = Map::new(f.size, RO, MAP_SHARED, &f.fd, 0);
        word(map.and_then(|map| map.protect(RW)).map_err(Stop::from))
    }),
    ("store through an older mapping", |f| {
        word(f.reaches_file(f.old()).map(|()| 0).map_err(|_| nix::errno::Errno::EIO.into()))
    }),
    ("ftruncate() to grow", |f| word(f.ftruncate(f.size + f.page))),
    ("ftruncate() to shrink", |f| word(f.ftruncate(0))),
    ("  and to grow: old contents", |f| {
        let _ = f.ftruncate(0).and_then(|_| f.ftruncate(f.size));
        if f.byte_is(0, 0).is_ok() { "lost".into() } else { "kept".into() }
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

/// Makes each call on a fresh memfd of each column. A seal that the kernel refuses gives a column
/// of dashes. Errors: no memfd at all.
pub fn table() -> Result<String, String> {
    let heads = COLUMNS.map(|(head, _)| head.to_owned());
    let mut lines = vec![line("", heads)];
    for (name, call) in ROWS {
        let mut cells = Vec::new();
        for (_, seals) in COLUMNS {
            let world = fresh(Given::of(Kind::Shmem))?.map(RW)?;
            cells.push(match world.seal(seals) {
                Ok(mut world) => call(&mut world),
                Err(_) => "-".into(),
            });
        }
        lines.push(line(name, cells));
    }
    Ok(lines.concat())
}

fn line(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    let cells: String = cells.into_iter().map(|cell| format!("{cell:<10}")).collect();
    format!("{}\n", format!("{name:<36}{cells}").trim_end())
}

fn word(got: Got) -> String {
    match got {
        Ok(_) => "works".into(),
        Err(Stop::Errno(errno)) => format!("{errno:?}"),
        Err(Stop::Signal(signal)) => format!("{signal:?}"),
    }
}
