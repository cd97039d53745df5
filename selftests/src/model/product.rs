// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Kinds of file × seals × descriptors × mappings × operations.

use super::hunt::Branch;
use super::spec::step;
use super::state::{At, By, Op, Out, Share, Span, State, To};
use crate::kind::Kind;
use crate::sys::{RO, RW, seal};
use libc::{FALLOC_FL_KEEP_SIZE as KEEP, FALLOC_FL_PUNCH_HOLE as PUNCH, FALLOC_FL_ZERO_RANGE};
use libc::{MADV_DONTNEED, MADV_POPULATE_WRITE, MADV_REMOVE, PROT_NONE, PROT_WRITE};
use libc::{O_APPEND, O_DIRECT, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY};
use nix::errno::Errno::EBUSY;

/// What is done before the seal and after it, to get there.
type Way = (&'static str, &'static [Op], &'static [Op]);

/// The descriptor that the operation comes through.
pub const DOORS: &[Way] = &[
    ("original", &[], &[]),
    ("dup", &[], &[Op::Dup]),
    ("rdwr_before", &[Op::Open(O_RDWR), Op::UseFirst], &[Op::UseLast]),
    ("rdwr", &[], &[Op::Open(O_RDWR)]),
    ("wronly_before", &[Op::Open(O_WRONLY), Op::UseFirst], &[Op::UseLast]),
    ("wronly", &[], &[Op::Open(O_WRONLY)]),
    ("rdonly_before", &[Op::Open(O_RDONLY), Op::UseFirst], &[Op::UseLast]),
    ("rdonly", &[], &[Op::Open(O_RDONLY)]),
    ("path", &[], &[Op::Open(O_PATH)]),
    ("append", &[], &[Op::Open(O_RDWR | O_APPEND)]),
    ("direct", &[], &[Op::Open(O_RDWR | O_DIRECT)]),
];

const MAP_RW: Op = Op::Mmap(Share::Shared, RW, Span::File);
const MAP_RO: Op = Op::Mmap(Share::Shared, RO, Span::File);

/// What is mapped, by the first descriptor unless it says otherwise.
pub const MAPPED: &[Way] = &[
    ("unmapped", &[], &[]),
    ("shared_rw", &[MAP_RW], &[]),
    ("shared_ro", &[MAP_RO], &[]),
    ("protected", &[MAP_RW, Op::Protect(RO)], &[]),
    ("longer", &[Op::Mmap(Share::Shared, RW, Span::Longer)], &[]),
    ("by_reader", &[Op::Open(O_RDONLY), MAP_RO, Op::Close], &[]),
    ("private_rw", &[Op::Mmap(Share::Private, RW, Span::File)], &[]),
    ("shared_ro_since", &[], &[MAP_RO]),
];

/// The operations.
pub const OPS: &[Op] = &[
    Op::Write(By::Write, At::First),
    Op::Write(By::Write, At::Past),
    Op::Write(By::Pwrite, At::First),
    Op::Write(By::Pwrite, At::Past),
    Op::Write(By::Pwritev, At::First),
    Op::Write(By::Pwritev, At::Past),
    Op::Write(By::Splice, At::First),
    Op::Write(By::Splice, At::Past),
    Op::Write(By::Sendfile, At::First),
    Op::Write(By::Sendfile, At::Past),
    Op::Write(By::CopyFileRange, At::First),
    Op::Write(By::CopyFileRange, At::Past),
    Op::WriteNothing,
    Op::Read,
    Op::Truncate(To::Less),
    Op::Truncate(To::Same),
    Op::Truncate(To::More),
    Op::TruncatePath(To::Less),
    Op::TruncatePath(To::Same),
    Op::TruncatePath(To::More),
    Op::Fallocate(0, At::First),
    Op::Fallocate(0, At::Past),
    Op::Fallocate(KEEP, At::First),
    Op::Fallocate(KEEP, At::Past),
    Op::Fallocate(KEEP | PUNCH, At::First),
    Op::Fallocate(KEEP | PUNCH, At::Past),
    Op::Fallocate(FALLOC_FL_ZERO_RANGE, At::First),
    Op::Mmap(Share::Shared, PROT_NONE, Span::File),
    Op::Mmap(Share::Shared, RO, Span::File),
    Op::Mmap(Share::Shared, RO, Span::Longer),
    Op::Mmap(Share::Shared, PROT_WRITE, Span::File),
    Op::Mmap(Share::Shared, RW, Span::File),
    Op::Mmap(Share::Shared, RW, Span::Longer),
    Op::Mmap(Share::Private, RO, Span::File),
    Op::Mmap(Share::Private, RW, Span::File),
    Op::Mmap(Share::Private, RW, Span::Longer),
    Op::Chmod(true),
    Op::Chmod(false),
    Op::AddSeals(0),
    Op::AddSeals(seal::SEAL),
    Op::AddSeals(seal::SHRINK),
    Op::AddSeals(seal::GROW),
    Op::AddSeals(seal::WRITE),
    Op::AddSeals(seal::FUTURE_WRITE),
    Op::AddSeals(seal::EXEC),
    Op::AddSeals(seal::FS_WRITE),
    Op::AddSeals(0x80),
    Op::GetSeals,
    Op::Open(O_RDWR),
    Op::Open(O_WRONLY),
    Op::Open(O_RDONLY),
    Op::Open(O_PATH),
    Op::Open(O_RDWR | O_DIRECT),
    Op::Open(O_RDWR | O_TRUNC),
    Op::Open(O_RDONLY | O_TRUNC),
    Op::Dup,
    Op::Store,
    Op::VmWrite,
    Op::Load,
    Op::Protect(PROT_NONE),
    Op::Protect(RO),
    Op::Protect(RW),
    Op::Grow,
    Op::Duplicate,
    Op::Again,
    Op::Advise(MADV_REMOVE),
    Op::Advise(MADV_POPULATE_WRITE),
    Op::Advise(MADV_DONTNEED),
    Op::Unmap,
];

/// Every set of seals.
pub const SEALS: std::ops::Range<u32> = 0..0x80;

/// The kinds of file.
pub const KINDS: [Kind; 4] = [Kind::Shmem, Kind::Thp, Kind::Noexec, Kind::Hugetlb];

/// How much of the product is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Each kind, set of seals, descriptor, mapping and operation with each of the others: on plain
    /// shmem every set of seals under every operation through every descriptor; on the other kinds
    /// descriptors and mappings take turns.
    Pairs,
    /// All of it.
    Full,
}

/// The branches of these sets of seals on this kind of file.
pub fn branches(
    kind: Kind,
    sets: impl Iterator<Item = u32>,
    all_seals: u32,
    extent: Extent,
) -> impl Iterator<Item = Branch<'static>> {
    sets.flat_map(move |seals| {
        ways(kind, seals, extent).map(move |(door, mapped)| Branch {
            kind,
            prefix: prefix(kind, seals, all_seals, &DOORS[door], &MAPPED[mapped]),
            last: OPS,
        })
    })
}

/// The descriptors and mappings, by index, that go with this set of seals.
pub fn ways(kind: Kind, seals: u32, extent: Extent) -> impl Iterator<Item = (usize, usize)> {
    let (doors, mapped) = (DOORS.len(), MAPPED.len());
    // Turns that differ by one from set to set meet all pairs, as the numbers share no divisor.
    let turn = seals as usize;
    let ways = match (extent, kind) {
        (Extent::Full, _) => 0..doors * mapped,
        (Extent::Pairs, Kind::Shmem) => turn * doors..(turn + 1) * doors,
        (Extent::Pairs, _) => turn..turn + 1,
    };
    ways.map(move |way| match (extent, kind) {
        (Extent::Full, _) => (way / mapped, way % mapped),
        (Extent::Pairs, Kind::Shmem) => (way % doors, way % mapped),
        // One for each set: not the same mapping with the same low bits of it each time.
        (Extent::Pairs, _) => (way % doors, (way + way / mapped) % mapped),
    })
}

/// Gets there. F_SEAL_WRITE, which is refused where something is mapped to write to, is asked for all
/// the same, and then left out.
fn prefix(kind: Kind, seals: u32, all_seals: u32, door: &Way, mapped: &Way) -> Vec<Op> {
    // Not executable: F_SEAL_EXEC brings no others then.
    let mut prefix = vec![Op::Chmod(false)];
    prefix.extend([mapped.1, door.1].concat());
    if seals != 0 {
        prefix.push(Op::AddSeals(seals));
        let mut state = State::fresh(kind, all_seals);
        let last = prefix.iter().map(|&op| step(&mut state, op)).last();
        if last == Some(Out::Fails(EBUSY)) && seals != seal::WRITE {
            prefix.push(Op::AddSeals(seals & !seal::WRITE));
        }
    }
    prefix.extend([mapped.2, door.2].concat());
    prefix
}
