// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Shared mappings that a sealed file still lets be made, and those of a file that is not sealed.

use super::mapping::VALIDATE;
use crate::case::*;
use crate::door::Door;
use crate::mapped::{HARMLESS, LATER, RWX, RX, permits, shared};
use crate::sys::{Map, RO, RW, seal};
use crate::world::shows_second_page;
use crate::world::{map_ro, readable, same, sealed, sealed_reopened, sealed_unmapped};
use libc::{MAP_LOCKED, MAP_POPULATE, MAP_SHARED, PROT_NONE, PROT_WRITE};

/// What every write seal leaves alone.
const OPEN: Case = Case {
    rules: &[10],
    on: BOTH,
    under: NO_WRITE,
    setup: sealed_unmapped,
    expect: Returns(0),
    ..CASE
};

pub const CASES: &[Case] = &[
    Case {
        name: "shared_ro",
        about: "mmap(2) MAP_SHARED without PROT_WRITE works and shows the contents",
        on: EVERY,
        op: map_ro,
        after: |f| {
            permits(f.made(), "r--s")?;
            readable(f.made())?;
            f.unchanged()
        },
        ..OPEN
    },
    Case {
        name: "shared_ro_doors",
        about: "it works through every descriptor that can read",
        on: PLAIN,
        through: &[
            Door::Dup,
            Door::Before(libc::O_RDWR),
            Door::After(libc::O_RDWR),
            Door::Before(libc::O_RDONLY),
            Door::After(libc::O_RDONLY),
            Door::Received,
            Door::Queued,
            Door::Threaded,
        ],
        op: map_ro,
        after: |f| readable(f.made()),
        ..OPEN
    },
    Case {
        name: "shared_ro_shows_old",
        about: "it shows what an old writable mapping stores",
        under: LATER,
        setup: sealed,
        op: map_ro,
        after: |f| {
            f.old().store(1, 7);
            same("what the old mapping wrote", 7, f.made().load(1))
        },
        ..OPEN
    },
    Case {
        name: "shared_rx",
        about: "mmap(2) MAP_SHARED with PROT_READ|PROT_EXEC works",
        on: EVERY,
        op: shared::<RX, 0>,
        after: |f| {
            permits(f.made(), "r-xs")?;
            readable(f.made())
        },
        ..OPEN
    },
    Case {
        name: "shared_none",
        about: "mmap(2) MAP_SHARED with PROT_NONE works, and can be made readable",
        op: shared::<PROT_NONE, 0>,
        after: |f| {
            permits(f.made(), "---s")?;
            same("mprotect to PROT_READ", Ok(0), f.made().protect(RO))?;
            readable(f.made())
        },
        ..OPEN
    },
    Case {
        name: "validate_ro",
        about: "mmap(2) MAP_SHARED_VALIDATE without PROT_WRITE works",
        op: shared::<RO, VALIDATE>,
        after: |f| readable(f.made()),
        ..OPEN
    },
    Case {
        name: "populate_ro",
        about: "MAP_POPULATE for reading works",
        op: shared::<RO, MAP_POPULATE>,
        after: |f| readable(f.made()),
        ..OPEN
    },
    Case {
        name: "locked_ro",
        about: "MAP_LOCKED for reading works",
        op: shared::<RO, MAP_LOCKED>,
        after: |f| readable(f.made()),
        ..OPEN
    },
    Case {
        name: "second_page_ro",
        about: "a mapping of the second page alone works for reading",
        on: SHMEM,
        op: |f| {
            f.new = Some(Map::new(f.page, RO, MAP_SHARED, &f.fd, f.page as i64)?);
            Ok(0)
        },
        after: |f| shows_second_page(f.made()),
        ..OPEN
    },
    Case {
        name: "longer_than_file_ro",
        about: "a mapping longer than the file works for reading and does not grow it",
        rules: &[10, 24],
        op: |f| f.mmap_past_eof(RO, MAP_SHARED),
        after: |f| {
            readable(f.made())?;
            f.unchanged()
        },
        ..OPEN
    },
    Case {
        name: "harmless_rw",
        about: "seals that are not about writing, and none, let a writable mapping be made",
        on: EVERY,
        under: HARMLESS,
        setup: sealed_unmapped,
        op: shared::<RW, 0>,
        expect: Returns(0),
        after: |f| {
            permits(f.made(), "rw-s")?;
            f.reaches_file(f.made())
        },
        ..CONTROL
    },
    Case {
        name: "harmless_rw_doors",
        about: "so they do through every descriptor that can write",
        on: PLAIN,
        under: &[0, seal::SEAL | seal::SHRINK | seal::GROW],
        through: &[
            Door::Dup,
            Door::Before(libc::O_RDWR),
            Door::After(libc::O_RDWR),
            Door::Received,
            Door::Queued,
            Door::Threaded,
        ],
        setup: sealed_unmapped,
        op: shared::<RW, 0>,
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..CONTROL
    },
    Case {
        name: "harmless_validate_rwx",
        about: "they let MAP_SHARED_VALIDATE with all three be made",
        on: EVERY,
        under: HARMLESS,
        setup: sealed_unmapped,
        op: shared::<RWX, VALIDATE>,
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..CONTROL
    },
    Case {
        name: "harmless_w",
        about: "they let a mapping with PROT_WRITE alone be made",
        on: BOTH,
        under: HARMLESS,
        setup: sealed_unmapped,
        op: shared::<PROT_WRITE, MAP_POPULATE>,
        expect: Returns(0),
        after: |f| f.reaches_file(f.made()),
        ..CONTROL
    },
    Case {
        name: "read_through_rdonly",
        about: "a receiver that opens it O_RDONLY reads and maps it",
        rules: &[18],
        on: EVERY,
        under: NO_WRITE,
        setup: |given| sealed_reopened(given, libc::O_RDONLY),
        op: map_ro,
        expect: Returns(0),
        after: |f| readable(f.made()),
        ..CASE
    },
];
