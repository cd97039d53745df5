// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every sequence of operations up to a depth.

use super::hunt::Branch;
use super::state::{At, By, Op, Share, Span, To};
use crate::kind::Kind;
use crate::sys::{RO, RW, seal};
use libc::{FALLOC_FL_KEEP_SIZE as KEEP, FALLOC_FL_PUNCH_HOLE as PUNCH};
use libc::{MADV_REMOVE, O_RDONLY, O_RDWR};

/// The operations of sequences: 25 at most, as their number grows by that with each step.
pub const ALPHABET: &[Op] = &[
    FS_WRITE,
    Op::AddSeals(seal::SEAL),
    Op::AddSeals(seal::SHRINK),
    Op::AddSeals(seal::GROW),
    Op::AddSeals(seal::WRITE),
    Op::AddSeals(seal::FUTURE_WRITE),
    Op::AddSeals(seal::EXEC),
    Op::Write(By::Pwrite, At::First),
    Op::Write(By::Write, At::Past),
    Op::Truncate(To::Less),
    Op::Truncate(To::More),
    Op::Fallocate(0, At::Past),
    Op::Fallocate(KEEP | PUNCH, At::First),
    Op::Mmap(Share::Shared, RW, Span::File),
    Op::Mmap(Share::Shared, RO, Span::Longer),
    Op::Mmap(Share::Private, RW, Span::Longer),
    Op::Store,
    Op::Protect(RW),
    Op::Protect(RO),
    Op::Duplicate,
    Op::Advise(MADV_REMOVE),
    Op::Unmap,
    Op::Chmod(false),
    Op::Open(O_RDONLY),
    Op::Open(O_RDWR),
];

/// The seal that the suite is about.
pub const FS_WRITE: Op = Op::AddSeals(seal::FS_WRITE);

/// The sequences of exactly this many operations, by what they begin with: those in which the seal is
/// added, or those in which it is not. What the model does not take is left out by `Branch::checks`.
pub fn branches(kind: Kind, depth: u32, sealed: bool) -> impl Iterator<Item = Branch<'static>> {
    let letters = ALPHABET.len();
    let prefixes = letters.pow(depth - 1);
    (0..prefixes).filter_map(move |number| {
        let digit = |place| ALPHABET[number / letters.pow(place) % letters];
        let prefix: Vec<Op> = (0..depth - 1).rev().map(digit).collect();
        let last = match (sealed, prefix.contains(&FS_WRITE)) {
            (true, true) => ALPHABET,
            (true, false) => &ALPHABET[..1],
            (false, true) => return None,
            (false, false) => &ALPHABET[1..],
        };
        Some(Branch { kind, prefix, last })
    })
}
