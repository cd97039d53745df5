// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The model says of each hand-written case that it covers what the case says: the case is the authority.

use libc::{FALLOC_FL_KEEP_SIZE as KEEP, FALLOC_FL_PUNCH_HOLE as PUNCH, FALLOC_FL_ZERO_RANGE};
use libc::{MADV_DONTNEED, MADV_POPULATE_WRITE, MADV_REMOVE};
use libc::{O_RDONLY, O_RDWR, O_TRUNC, PROT_NONE, PROT_WRITE};
use memfd_seals::case::{Expect, Test};
use memfd_seals::cases;
use memfd_seals::door::Door;
use memfd_seals::kind::Kind;
use memfd_seals::model::product::OPS;
use memfd_seals::model::spec::step;
use memfd_seals::model::state::{At, By, Op, Out, Share, Span, State, To};
use memfd_seals::sys::{RO, RW, seal};
use nix::errno::Errno;
use std::collections::BTreeSet;

/// How a row's setup gets to its operation: what comes before the row's seals and what after them.
#[derive(Clone, Copy)]
struct Setup {
    /// Whether `world::sealed` maps the file, where F_SEAL_WRITE is not among the seals.
    mapped: bool,
    before: &'static [Op],
    since: &'static [Op],
}

const SEALED: Setup = Setup { mapped: true, before: &[], since: &[] };
const UNMAPPED: Setup = Setup { mapped: false, ..SEALED };
const fn before(ops: &'static [Op]) -> Setup {
    Setup { before: ops, ..UNMAPPED }
}
const fn since(ops: &'static [Op]) -> Setup {
    Setup { since: ops, ..UNMAPPED }
}

const fn shared(prot: i32) -> Op {
    Op::Mmap(Share::Shared, prot, Span::File)
}
const PRIVATE_RW: Op = Op::Mmap(Share::Private, RW, Span::File);
const SHARED_RW: Op = shared(RW);
const SHARED_RO: Op = shared(RO);
const BEFORE_RW: Setup = before(&[SHARED_RW]);
const BEFORE_RO: Setup = before(&[SHARED_RO]);
const SINCE_RO: Setup = since(&[SHARED_RO]);
const EXEC_SEALED: Setup = before(&[Op::Chmod(false), Op::AddSeals(seal::EXEC)]);
const PUNCHED: i32 = KEEP | PUNCH;
const APPEND: Op = Op::Write(By::Write, At::First);
/// The row adds its own seals.
const OWN: Op = Op::AddSeals(0);

/// The rows, and what they are in the model's words.
#[rustfmt::skip]
const ROWS: &[(&str, Setup, Op)] = &[
    ("writing::pwrite", SEALED, Op::Write(By::Pwrite, At::First)),
    ("writing::pwrite_readers", SEALED, Op::Write(By::Pwrite, At::First)),
    ("writing::pwrite_paths", SEALED, Op::Write(By::Pwrite, At::First)),
    ("writing::pwrite_allowed", SEALED, Op::Write(By::Pwrite, At::First)),
    ("writing::pwrite_both_seals", SEALED, Op::Write(By::Pwrite, At::First)),
    ("writing::pwrite_other_seals", SEALED, Op::Write(By::Pwrite, At::First)),
    ("writing::pwrite_past_eof", SEALED, Op::Write(By::Pwrite, At::Past)),
    ("writing::pwrite_hugetlb", SEALED, Op::Write(By::Pwrite, At::Past)),
    ("writing::write", SEALED, Op::Write(By::Write, At::First)),
    ("writing::write_allowed", SEALED, Op::Write(By::Write, At::First)),
    ("writing::write_without_a_map", UNMAPPED, Op::Write(By::Write, At::First)),
    ("writing::write_hugetlb", SEALED, Op::Write(By::Write, At::First)),
    ("writing::write_nothing_hugetlb", SEALED, Op::WriteNothing),
    ("writing::pwritev", SEALED, Op::Write(By::Pwritev, At::First)),
    ("writing::pwritev_allowed", SEALED, Op::Write(By::Pwritev, At::First)),
    ("writing::o_append", SEALED, APPEND),
    ("writing::o_append_allowed", SEALED, APPEND),
    ("write_edges::zero_length", SEALED, Op::WriteNothing),
    ("write_edges::past_eof_allowed", SEALED, Op::Write(By::Pwrite, At::Past)),
    ("write_edges::grow_at_eof", SEALED, Op::Write(By::Pwrite, At::Past)),
    ("write_edges::grow_append", SEALED, APPEND),
    ("copying::splice", SEALED, Op::Write(By::Splice, At::First)),
    ("copying::splice_allowed", SEALED, Op::Write(By::Splice, At::First)),
    ("copying::splice_grow", SEALED, Op::Write(By::Splice, At::Past)),
    ("copying::splice_append", SEALED, Op::Write(By::Splice, At::First)),
    ("copying::splice_readers", SEALED, Op::Write(By::Splice, At::First)),
    ("copying::sendfile", SEALED, Op::Write(By::Sendfile, At::First)),
    ("copying::sendfile_allowed", SEALED, Op::Write(By::Sendfile, At::First)),
    ("copying::sendfile_grow", SEALED, Op::Write(By::Sendfile, At::Past)),
    ("copying::sendfile_append", SEALED, Op::Write(By::Sendfile, At::First)),
    ("copy_ranges::copy_file_range", SEALED, Op::Write(By::CopyFileRange, At::First)),
    ("copy_ranges::copy_file_range_allowed", SEALED, Op::Write(By::CopyFileRange, At::First)),
    ("copy_ranges::copy_file_range_grow", SEALED, Op::Write(By::CopyFileRange, At::Past)),
    ("copy_ranges::copy_file_range_append", SEALED, Op::Write(By::CopyFileRange, At::First)),
    ("reading::read", SEALED, Op::Read),
    ("reading::read_wronly", SEALED, Op::Read),
    ("resizing::shrink", SEALED, Op::Truncate(To::Less)),
    ("resizing::shrink_through", SEALED, Op::Truncate(To::Less)),
    ("resizing::shrink_allowed", SEALED, Op::Truncate(To::Less)),
    ("resizing::grow", SEALED, Op::Truncate(To::More)),
    ("resizing::grow_allowed", SEALED, Op::Truncate(To::More)),
    ("resizing::same_size", SEALED, Op::Truncate(To::Same)),
    ("resizing::readers", SEALED, Op::Truncate(To::Less)),
    ("resizing::paths", SEALED, Op::Truncate(To::Less)),
    ("resizing::unmapped", UNMAPPED, Op::Truncate(To::Less)),
    ("resizing::truncate_by_path", SEALED, Op::TruncatePath(To::Less)),
    ("resizing::truncate_by_path_allowed", SEALED, Op::TruncatePath(To::Less)),
    ("resizing::truncate_by_path_grow", SEALED, Op::TruncatePath(To::More)),
    ("resizing::truncate_by_path_grow_allowed", SEALED, Op::TruncatePath(To::More)),
    ("resizing::o_trunc", SEALED, Op::Open(O_RDWR | O_TRUNC)),
    ("resizing::o_trunc_allowed", SEALED, Op::Open(O_RDWR | O_TRUNC)),
    ("resizing::o_trunc_rdonly", SEALED, Op::Open(O_RDONLY | O_TRUNC)),
    ("resizing::o_trunc_rdonly_allowed", SEALED, Op::Open(O_RDONLY | O_TRUNC)),
    ("allocating::punch", SEALED, Op::Fallocate(PUNCHED, At::First)),
    ("allocating::punch_through", SEALED, Op::Fallocate(PUNCHED, At::First)),
    ("allocating::punch_allowed", SEALED, Op::Fallocate(PUNCHED, At::First)),
    ("allocating::punch_past_eof", SEALED, Op::Fallocate(PUNCHED, At::Past)),
    ("allocating::punch_past_eof_allowed", SEALED, Op::Fallocate(PUNCHED, At::Past)),
    ("allocating::inside", SEALED, Op::Fallocate(0, At::First)),
    ("allocating::inside_allowed", SEALED, Op::Fallocate(0, At::First)),
    ("allocating::inside_older_seals", SEALED, Op::Fallocate(0, At::First)),
    ("allocating::keep_size_inside", SEALED, Op::Fallocate(KEEP, At::First)),
    ("allocating::keep_size_inside_allowed", SEALED, Op::Fallocate(KEEP, At::First)),
    ("allocating::past_eof", SEALED, Op::Fallocate(0, At::Past)),
    ("allocating::past_eof_allowed", SEALED, Op::Fallocate(0, At::Past)),
    ("allocating::keep_size_past_eof", SEALED, Op::Fallocate(KEEP, At::Past)),
    ("allocating::keep_size_past_eof_allowed", SEALED, Op::Fallocate(KEEP, At::Past)),
    ("allocate_edges::zero_range", SEALED, Op::Fallocate(FALLOC_FL_ZERO_RANGE, At::First)),
    ("allocate_edges::readers", SEALED, Op::Fallocate(PUNCHED, At::First)),
    ("allocate_edges::paths", SEALED, Op::Fallocate(0, At::First)),
    ("mapping::shared_rw", SEALED, SHARED_RW),
    ("mapping::shared_rw_eperm", SEALED, SHARED_RW),
    ("mapping::shared_rw_eperm_doors", SEALED, SHARED_RW),
    ("mapping::shared_w", SEALED, shared(PROT_WRITE)),
    ("mapping::shared_w_eperm", SEALED, shared(PROT_WRITE)),
    ("mapping::longer_than_file_rw", SEALED, Op::Mmap(Share::Shared, RW, Span::Longer)),
    ("mapping::longer_than_file_rw_eperm", SEALED, Op::Mmap(Share::Shared, RW, Span::Longer)),
    ("mapping::shared_rw_readers", SEALED, SHARED_RW),
    ("mapping::shared_rw_write_only", SEALED, SHARED_RW),
    ("mapping::shared_w_write_only", SEALED, shared(PROT_WRITE)),
    ("mapping::shared_ro_write_only", SEALED, SHARED_RO),
    ("mapping::shared_rw_paths", SEALED, SHARED_RW),
    ("private::rw", UNMAPPED, PRIVATE_RW),
    ("private::rw_doors", UNMAPPED, PRIVATE_RW),
    ("private::rw_readers", UNMAPPED, PRIVATE_RW),
    ("private::rw_write_only", UNMAPPED, PRIVATE_RW),
    ("private::ro_to_rw", since(&[Op::Mmap(Share::Private, RO, Span::File)]), Op::Protect(RW)),
    ("private::before_ro_to_rw", before(&[Op::Mmap(Share::Private, RO, Span::File)]), Op::Protect(RW)),
    ("private::dontneed", since(&[PRIVATE_RW]), Op::Advise(MADV_DONTNEED)),
    ("private::mremap_grow", since(&[PRIVATE_RW]), Op::Grow),
    ("private::mremap_duplicate", since(&[PRIVATE_RW]), Op::Duplicate),
    ("private::not_counted", before(&[PRIVATE_RW, Op::Store]), Op::AddSeals(seal::WRITE)),
    ("protecting::since_rw", SINCE_RO, Op::Protect(RW)),
    ("protecting::since_rw_with_others", SINCE_RO, Op::Protect(RW)),
    ("protecting::since_w", SINCE_RO, Op::Protect(PROT_WRITE)),
    ("protecting::since_none_to_rw", since(&[shared(PROT_NONE)]), Op::Protect(RW)),
    ("protecting::since_store", SINCE_RO, Op::Store),
    ("existing::store", SEALED, Op::Store),
    ("existing::harmless_seals", SEALED, Op::Store),
    ("memory::vm_writev_before", SEALED, Op::VmWrite),
    ("memory::vm_writev_since", SINCE_RO, Op::VmWrite),
    ("memory::read_before", SEALED, Op::Store),
    ("memory::read_since", SINCE_RO, Op::Store),
    ("remapping::before_grow", SEALED, Op::Grow),
    ("remapping::before_duplicate", SEALED, Op::Duplicate),
    ("remapping::before_duplicate_ro", BEFORE_RO, Op::Duplicate),
    ("remapping::grow_hugetlb", SEALED, Op::Grow),
    ("remapping::duplicate_hugetlb", SEALED, Op::Duplicate),
    ("remapping::since_grow", since(&[SHARED_RO, Op::Grow]), Op::Protect(RW)),
    ("remapping::since_duplicate", since(&[SHARED_RO, Op::Duplicate]), Op::Protect(RW)),
    ("remapping::file_pages_rw", SEALED, Op::Again),
    ("remapping::file_pages_rw_eperm", SEALED, Op::Again),
    ("remapping::file_pages_unsealed", SEALED, Op::Again),
    ("remapping::file_pages_ro", BEFORE_RO, Op::Again),
    ("advising::remove_before", SEALED, Op::Advise(MADV_REMOVE)),
    ("advising::remove_before_ro", BEFORE_RO, Op::Advise(MADV_REMOVE)),
    ("advising::remove_since", SINCE_RO, Op::Advise(MADV_REMOVE)),
    ("advising::remove_unsealed", BEFORE_RW, Op::Advise(MADV_REMOVE)),
    ("advising::remove_private", since(&[PRIVATE_RW]), Op::Advise(MADV_REMOVE)),
    ("advising::populate_write_since", SINCE_RO, Op::Advise(MADV_POPULATE_WRITE)),
    ("advising::populate_write_before", SEALED, Op::Advise(MADV_POPULATE_WRITE)),
    ("advising::populate_write_private", since(&[PRIVATE_RW]), Op::Advise(MADV_POPULATE_WRITE)),
    ("advising::dontneed_since", SINCE_RO, Op::Advise(MADV_DONTNEED)),
    ("advising::dontneed_before", SEALED, Op::Advise(MADV_DONTNEED)),
    ("sealing::add", UNMAPPED, OWN),
    ("sealing::add_through", UNMAPPED, OWN),
    ("sealing::again", UNMAPPED, OWN),
    ("sealing::nothing", BEFORE_RW, Op::AddSeals(0)),
    ("busy::writable_map", BEFORE_RW, OWN),
    ("busy::writable_map_exec_seal", before(&[Op::Chmod(true), SHARED_RW]), OWN),
    ("busy::write_only_map", before(&[shared(PROT_WRITE)]), OWN),
    ("busy::readonly_map", BEFORE_RO, OWN),
    ("busy::prot_none_map", before(&[shared(PROT_NONE)]), OWN),
    ("busy::made_readonly", before(&[SHARED_RW, Op::Protect(RO)]), OWN),
    ("busy::duplicated", before(&[SHARED_RW, Op::Duplicate]), OWN),
    ("patient::with_writable_map", BEFORE_RW, OWN),
    ("patient::private_map", before(&[PRIVATE_RW]), OWN),
    ("patient::map_of_rdonly", before(&[Op::Open(O_RDONLY), SHARED_RO, Op::Close]), OWN),
    ("patient::then_write_with_writable_map", BEFORE_RW, Op::AddSeals(seal::WRITE)),
    ("patient::then_write_with_old_readonly_map", BEFORE_RO, Op::AddSeals(seal::WRITE)),
    ("patient::then_write_with_new_readonly_map", SINCE_RO, Op::AddSeals(seal::WRITE)),
    ("patient::then_exec_with_writable_map", before(&[Op::Chmod(true), SHARED_RW]), Op::AddSeals(seal::EXEC)),
    ("exec::bits_through", EXEC_SEALED, Op::Chmod(true)),
    ("exec::bits_through_rdonly", EXEC_SEALED, Op::Chmod(true)),
];

/// Operations of the model that no hand-written case has as its own, and why.
const WITHOUT_A_ROW: &[(Op, &str)] = &[
    (Op::GetSeals, "a row looks at it after every operation"),
    (Op::Dup, "a descriptor of many rows"),
    (Op::Load, "rows load in the program itself"),
    (Op::Unmap, "rows do it to get to something else"),
];

/// What the model says of a test.
fn predicted(test: &Test, setup: Setup, op: Op) -> Out {
    let seals = test.given.seals;
    let mut s = State::fresh(test.given.kind, 0x7f);
    let mut ops = Vec::new();
    let adds = op == OWN && test.case.name != "nothing";
    // F_SEAL_EXEC is not to bring others along, where a row's setup sets it; see `seal_alone`.
    if seals & seal::EXEC != 0 && !adds {
        ops.push(Op::Chmod(false));
    }
    if setup.mapped && seals & seal::WRITE == 0 {
        ops.push(SHARED_RW);
    }
    ops.extend(setup.before);
    let door = match test.given.door {
        Door::Before(flags) | Door::After(flags) => Op::Open(flags),
        _ => Op::Dup,
    };
    if let Door::Before(_) = test.given.door {
        ops.extend([door, Op::UseFirst]);
    }
    if !adds && seals != 0 {
        ops.push(Op::AddSeals(seals));
    }
    ops.extend(setup.since);
    match test.given.door {
        Door::Original => {}
        Door::Before(_) => ops.push(Op::UseLast),
        _ => ops.push(door),
    }
    for op in ops {
        assert!(s.takes(op), "{}: {op:?}", test.name());
        let out = step(&mut s, op);
        assert!(!matches!(out, Out::Fails(_)), "{}: its setup: {op:?}: {out:?}", test.name());
    }
    let op = if adds { Op::AddSeals(seals) } else { op };
    assert!(s.takes(op), "{}: {op:?}", test.name());
    step(&mut s, op)
}

fn agrees(expect: Expect, out: Out) -> bool {
    match (expect, out) {
        (Expect::Fails(errno), Out::Fails(other)) => errno == other,
        // The model's stores are the kernel's, which gets EFAULT where a program gets a signal.
        (Expect::Dies(_), Out::Fails(errno)) => errno == Errno::EFAULT,
        (Expect::Returns(_) | Expect::Works, Out::Gives(_) | Out::Works) => true,
        _ => false,
    }
}

#[test]
fn with_every_row_that_it_covers() {
    let tests = cases::all();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (row, setup, op) in ROWS {
        let named = |test: &&Test| format!("{}::{}", test.area, test.case.name) == *row;
        let mine: Vec<&Test> = tests.iter().filter(named).collect();
        assert!(!mine.is_empty(), "{row}: there is no such row");
        for test in mine.into_iter().filter(|test| test.given.kind != Kind::Own) {
            compared += 1;
            let out = predicted(test, *setup, *op);
            if !agrees(test.case.expect, out) {
                let (name, expect) = (test.name(), test.case.expect);
                wrong.push(format!("{name}: the row says {expect:?}, the model {out:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    // So that a table that lost its rows is noticed.
    assert!(compared > 1000, "only {compared} tests compared");
}

/// Rows without a second thought would leave the model to itself: what it does has a case.
#[test]
fn each_operation_has_a_row() {
    let words = |op: &Op| format!("{op:?}").split(['(', ',']).next().unwrap_or_default().to_owned();
    let mut covered: BTreeSet<String> = ROWS.iter().map(|(_, _, op)| words(op)).collect();
    covered.extend(ROWS.iter().flat_map(|(_, s, _)| s.before.iter().chain(s.since)).map(words));
    let excused: BTreeSet<String> = WITHOUT_A_ROW.iter().map(|(op, _)| words(op)).collect();
    let lacking: Vec<_> = OPS
        .iter()
        .filter(|op| !covered.contains(&words(op)) && !excused.contains(&words(op)))
        .collect();
    assert!(lacking.is_empty(), "{lacking:?}");
}
