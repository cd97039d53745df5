// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! splice(2) and sendfile(2) into the file and out of it.

use crate::calls::*;
use crate::case::*;
use crate::door::{Door, READERS};
use crate::sys::{self, seal};
use crate::world::{same, sealed};
use libc::{O_APPEND, O_RDWR, SPLICE_F_MOVE};
use nix::errno::Errno::*;

/// No seal, and each that decides over a write.
const ANY: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE, seal::GROW];
/// No seal, and every one that there is.
const EACH: &[u32] = &[
    0,
    seal::FS_WRITE,
    seal::FUTURE_WRITE,
    seal::WRITE,
    seal::GROW,
    seal::SHRINK,
    seal::SEAL,
    seal::EXEC,
];
const FIRST: Deviation = Deviation::Passes("it is looked at first");
const HUGETLB_NEVER: Deviation = Deviation::Passes("hugetlbfs never had splice(2) or write(2)");
const APPENDING: &[Door] = &[Door::Before(O_RDWR | O_APPEND), Door::After(O_RDWR | O_APPEND)];

const REFUSED: Case =
    Case { rules: &[3], on: SHMEM, under: NO_WRITE, setup: sealed, expect: Fails(EPERM), ..CASE };
const ALLOWED: Case = Case { on: PLAIN, under: MAY_WRITE, expect: Returns(4), ..CONTROL };
/// What is refused whatever the seals.
const NEVER: Case = Case { rules: &[3], on: PLAIN, under: ANY, hollow: FIRST, ..CASE };
const GROWING: Case = Case { on: SHMEM, under: &[seal::GROW], expect: Fails(EPERM), ..CONTROL };
/// What every seal leaves alone.
const OUT: Case = Case { rules: &[18], on: PLAIN, under: EACH, ..CASE };

fn piped_in(given: Given) -> Setup {
    with_pipe(sealed(given)?)
}

fn page_in(given: Given) -> Setup {
    with_given_page(sealed(given)?)
}

/// An empty pipe, kept as `with_pipe` does.
fn to_pipe(given: Given) -> Setup {
    let (reader, writer) = pipe()?;
    Ok(sealed(given)?.keep(writer).keep(reader))
}

pub const CASES: &[Case] = &[
    Case {
        name: "splice",
        about: "splice(2) from a pipe fails; the pipe keeps its bytes",
        setup: piped_in,
        op: |f| splice((&f.kept[1], None), (&f.fd, None), 4, 0),
        after: pipe_is_full,
        ..REFUSED
    },
    Case {
        name: "splice_at_offset",
        about: "splice(2) at an offset of the caller's fails and leaves that offset",
        on: PLAIN,
        setup: piped_in,
        op: |f| {
            let mut at = 1;
            let got = splice((&f.kept[1], None), (&f.fd, Some(&mut at)), 4, 0);
            unmoved(got, [(1, at)])
        },
        after: pipe_is_full,
        ..REFUSED
    },
    Case {
        name: "splice_move",
        about: "splice(2) with SPLICE_F_MOVE of a page that vmsplice(2) gave fails",
        setup: page_in,
        op: |f| splice((&f.kept[1], None), (&f.fd, Some(&mut 0)), f.page, SPLICE_F_MOVE),
        ..REFUSED
    },
    Case {
        name: "splice_allowed",
        about: "splice(2) from a pipe works under the other seals",
        setup: piped_in,
        op: |f| splice((&f.kept[1], None), (&f.fd, None), 4, 0),
        after: |f| {
            same("bytes in the pipe", Ok(0), piped(f))?;
            f.offset_is(9)?;
            f.bytes_are(4, b"\0test\0")
        },
        ..ALLOWED
    },
    Case {
        name: "splice_move_allowed",
        about: "splice(2) with SPLICE_F_MOVE of a page that vmsplice(2) gave works as ever",
        setup: page_in,
        op: |f| {
            let len = f.page;
            let got = splice((&f.kept[1], None), (&f.fd, Some(&mut 0)), len, SPLICE_F_MOVE)?;
            Ok(got - len as i64)
        },
        expect: Returns(0),
        after: |f| f.bytes_are(0, b"t\0"),
        ..ALLOWED
    },
    Case {
        name: "splice_grow",
        about: "F_SEAL_GROW refuses splice(2) to EOF; the pipe keeps its bytes",
        setup: piped_in,
        op: |f| {
            let mut at = f.size as i64;
            let got = splice((&f.kept[1], None), (&f.fd, Some(&mut at)), 4, 0);
            unmoved(got, [(f.size as i64, at)])
        },
        after: pipe_is_full,
        ..GROWING
    },
    Case {
        name: "splice_append",
        about: "splice(2) to an O_APPEND descriptor is EINVAL whatever the seals",
        through: APPENDING,
        setup: piped_in,
        op: |f| splice((&f.kept[1], None), (&f.fd, None), 4, 0),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "splice_readers",
        about: "splice(2) to a descriptor that can't write is EBADF whatever the seals",
        through: READERS,
        setup: piped_in,
        op: |f| splice((&f.kept[1], None), (&f.fd, None), 4, 0),
        expect: Fails(EBADF),
        ..NEVER
    },
    Case {
        name: "splice_hugetlb",
        about: "hugetlbfs takes no splice(2): EINVAL",
        rules: &[24],
        on: HUGETLB,
        setup: piped_in,
        op: |f| splice((&f.kept[1], None), (&f.fd, None), 4, 0),
        expect: Fails(EINVAL),
        after: pipe_is_full,
        hollow: HUGETLB_NEVER,
        ..NEVER
    },
    Case {
        name: "splice_out",
        about: "splice(2) out of the file works under every seal",
        setup: to_pipe,
        op: |f| splice((&f.fd, Some(&mut 0)), (&f.kept[0], None), 4, 0),
        expect: Returns(4),
        after: |f| {
            let mut got = [0; 4];
            nix::unistd::read(&f.kept[1], &mut got).map_err(|e| e.to_string())?;
            same("what arrived", [0x5a, 0, 0, 0], got)?;
            f.unchanged()
        },
        ..OUT
    },
    Case {
        name: "tee_and_back",
        about: "bytes that were spliced out and duplicated by tee(2) can't be spliced in again",
        setup: |given| {
            let f = to_pipe(given)?;
            let (reader, writer) = pipe()?;
            let said = |got| move |stop| format!("{got}: {stop:?}");
            splice((&f.fd, Some(&mut 0)), (&f.kept[0], None), 4, 0).map_err(said("splice"))?;
            tee(&f.kept[1], &writer, 4).map_err(said("tee"))?;
            Ok(f.keep(reader))
        },
        op: |f| splice((&f.kept[2], None), (&f.fd, None), 4, 0),
        ..REFUSED
    },
    Case {
        name: "sendfile",
        about: "sendfile(2) from another memfd fails and leaves the source's offset",
        setup: from_memfd,
        op: |f| sendfile(&f.fd, &f.kept[0], None, 4),
        after: source_stays,
        ..REFUSED
    },
    Case {
        name: "sendfile_at_offset",
        about: "sendfile(2) from an offset of the caller's fails and leaves that offset",
        on: PLAIN,
        setup: from_memfd,
        op: |f| {
            let mut at = 1;
            let got = sendfile(&f.fd, &f.kept[0], Some(&mut at), 4);
            unmoved(got, [(1, at)])
        },
        after: source_stays,
        ..REFUSED
    },
    Case {
        name: "sendfile_from_disk",
        about: "sendfile(2) from a file of another file system fails",
        on: PLAIN,
        setup: from_disk,
        op: |f| sendfile(&f.fd, &f.kept[0], None, 4),
        after: source_stays,
        ..REFUSED
    },
    Case {
        name: "sendfile_from_itself",
        about: "sendfile(2) from the file itself fails",
        setup: sealed,
        op: |f| sendfile(&f.fd, &f.fd, Some(&mut 0), 4),
        ..REFUSED
    },
    Case {
        name: "sendfile_allowed",
        about: "sendfile(2) works under the other seals",
        setup: from_memfd,
        op: |f| sendfile(&f.fd, &f.kept[0], None, 4),
        after: took_from_source,
        ..ALLOWED
    },
    Case {
        name: "sendfile_grow",
        about: "F_SEAL_GROW refuses sendfile(2) at EOF",
        setup: |given| {
            let world = from_memfd(given)?;
            let end = nix::unistd::Whence::SeekEnd;
            sys::lseek(&world.fd, 0, end).map_err(|e| e.to_string())?;
            Ok(world)
        },
        op: |f| sendfile(&f.fd, &f.kept[0], None, 4),
        after: source_stays,
        ..GROWING
    },
    Case {
        name: "sendfile_append",
        about: "sendfile(2) to an O_APPEND descriptor is EINVAL whatever the seals",
        through: APPENDING,
        setup: from_memfd,
        op: |f| sendfile(&f.fd, &f.kept[0], None, 4),
        expect: Fails(EINVAL),
        ..NEVER
    },
    Case {
        name: "sendfile_hugetlb",
        about: "hugetlbfs takes no sendfile(2): EINVAL",
        rules: &[24],
        on: HUGETLB,
        setup: from_memfd,
        op: |f| sendfile(&f.fd, &f.kept[0], None, 4),
        expect: Fails(EINVAL),
        after: source_stays,
        hollow: HUGETLB_NEVER,
        ..NEVER
    },
    Case {
        name: "sendfile_out",
        about: "sendfile(2) out of the file works under every seal",
        setup: to_memfd,
        op: |f| sendfile(&f.kept[0], &f.fd, Some(&mut 0), 4),
        expect: Returns(4),
        after: arrived,
        ..OUT
    },
];
