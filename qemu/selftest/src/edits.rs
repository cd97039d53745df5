// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What can happen to a stream: to its bytes on their way, or to its events before they are
//! written.

use memfd_seals::events::{Event, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Damage on the way.
#[derive(Clone, Debug)]
pub enum Edit {
    Flip(Index, u8),
    Overwrite(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    End(Index),
    /// A part of the stream, once more elsewhere.
    Splice(Index, Index, usize),
    KernelText(Index),
    DropLine(Index),
    DoubleLine(Index, Index),
    SwapLines(Index, Index),
}

/// A guest that lies, with a count and a hash that fit.
#[derive(Clone, Debug)]
pub enum Lie {
    Outcome(Index, Outcome),
    /// An event's test is another one, planned or not.
    Name(Index, Index),
    Drop(Index),
    Repeat(Index, Index),
    Swap(Index, Index),
    /// What a person reads, which proves nothing: such a lie alone passes.
    Words(Index),
    Nonce,
    Salt,
}

/// One input.
#[derive(Clone, Debug)]
pub enum Input {
    Bytes(Vec<u8>),
    Edited(Vec<Edit>),
    Lied(Vec<Lie>),
}

/// Inputs of every kind.
pub fn inputs() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..200).prop_map(Input::Bytes),
        6 => vec(edit(), 1..4).prop_map(Input::Edited),
        3 => vec(lie(), 0..4).prop_map(Input::Lied),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let short = || vec(any::<u8>(), 1..12);
    prop_oneof![
        (at(), 0..8u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (at(), short()).prop_map(|(at, bytes)| Edit::Overwrite(at, bytes)),
        (at(), short()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (at(), 1..60usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        at().prop_map(Edit::End),
        (at(), at(), 1..200usize).prop_map(|(from, to, length)| Edit::Splice(from, to, length)),
        at().prop_map(Edit::KernelText),
        at().prop_map(Edit::DropLine),
        (at(), at()).prop_map(|(line, to)| Edit::DoubleLine(line, to)),
        (at(), at()).prop_map(|(a, b)| Edit::SwapLines(a, b)),
    ]
}

fn lie() -> impl Strategy<Value = Lie> {
    let at = any::<Index>;
    let outcome = prop_oneof![
        Just(Outcome::Pass),
        Just(Outcome::Fail),
        Just(Outcome::Error),
        Just(Outcome::Skip),
        Just(Outcome::Timeout),
    ];
    prop_oneof![
        (at(), outcome).prop_map(|(at, outcome)| Lie::Outcome(at, outcome)),
        (at(), at()).prop_map(|(at, name)| Lie::Name(at, name)),
        at().prop_map(Lie::Drop),
        (at(), at()).prop_map(|(event, to)| Lie::Repeat(event, to)),
        (at(), at()).prop_map(|(a, b)| Lie::Swap(a, b)),
        at().prop_map(Lie::Words),
        Just(Lie::Nonce),
        Just(Lie::Salt),
    ]
}

impl Edit {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match self {
            Edit::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Edit::Overwrite(at, with) => {
                let from = at.index(length);
                let to = (from + with.len()).min(length);
                bytes[from..to].copy_from_slice(&with[..to - from]);
            }
            Edit::Insert(at, more) => insert(bytes, at.index(length), more),
            Edit::Remove(at, count) => {
                let from = at.index(length);
                bytes.drain(from..(from + count).min(length));
            }
            Edit::End(at) => bytes.truncate(at.index(length)),
            Edit::Splice(from, to, count) => {
                let from = from.index(length);
                let part = bytes[from..(from + count).min(length)].to_vec();
                insert(bytes, to.index(length), &part);
            }
            Edit::KernelText(at) => {
                insert(bytes, at.index(length), b"[    1.234567] random: crng init done\r\n");
            }
            Edit::DropLine(at) => {
                on_lines(bytes, |lines| drop(lines.remove(at.index(lines.len()))))
            }
            Edit::DoubleLine(line, to) => on_lines(bytes, |lines| {
                let line = lines[line.index(lines.len())].clone();
                lines.insert(to.index(lines.len() + 1), line);
            }),
            Edit::SwapLines(a, b) => on_lines(bytes, |lines| {
                let count = lines.len();
                lines.swap(a.index(count), b.index(count));
            }),
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

/// Changes a stream line by line.
pub fn on_lines(bytes: &mut Vec<u8>, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut lines = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    *bytes = lines.concat();
}

impl Lie {
    pub fn apply(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let length = events.len();
        match self {
            Lie::Outcome(at, other) => {
                if let Event::Result { outcome, .. } = &mut events[at.index(length)] {
                    *outcome = *other;
                }
            }
            Lie::Name(at, other) => {
                let other = ["a::one", "a::two", "b::three", "b::four"][other.index(4)].to_owned();
                match &mut events[at.index(length)] {
                    Event::Plan { tests } => tests.push(other),
                    Event::Start { test } => *test = other,
                    Event::Output { test, .. }
                    | Event::Counted { test, .. }
                    | Event::Result { test, .. } => *test = other,
                    Event::Hello { .. } | Event::Guarantees(_) | Event::Done { .. } => {}
                }
            }
            Lie::Drop(at) => drop(events.remove(at.index(length))),
            Lie::Repeat(event, to) => {
                let event = events[event.index(length)].clone();
                events.insert(to.index(length + 1), event);
            }
            Lie::Swap(a, b) => events.swap(a.index(length), b.index(length)),
            Lie::Words(at) => match &mut events[at.index(length)] {
                Event::Hello { release, .. } => release.push('+'),
                Event::Output { line, .. } => line.push_str(" \"\u{e9}\\\n"),
                Event::Counted { checks, .. } => *checks += 1,
                Event::Result { ms, why, .. } => (*ms, *why) = (*ms + 1, "said so".into()),
                Event::Guarantees(said) => said.why.push('+'),
                Event::Plan { .. } | Event::Start { .. } | Event::Done { .. } => {}
            },
            Lie::Nonce | Lie::Salt => {
                if let Event::Hello { nonce, salt, .. } = &mut events[0] {
                    let word = if matches!(self, Lie::Nonce) { nonce } else { salt };
                    word.push('0');
                }
            }
        }
    }
}
