// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A CursorWindow: rows that one process writes into a region while others read them.
//!
//! The rows go round a ring. The sender rings each receiver's socket after a batch, and never
//! overtakes the slowest one, which acknowledges what it has read; so every receiver must see every
//! row. Between the bells it goes on writing, so receivers read what is being written. A row is a
//! seqlock: its first word is odd while it is written, and tells which row it is. One row more, the
//! live one, is rewritten in place all the time.

pub mod hostile;
pub mod lives;
mod processes;
pub mod throughput;
mod tries;

pub use processes::{Child, all_succeed, child, pair, receivers};

use crate::region::{ReadOnly, Writable};
use crate::sys::Map;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Rows in the ring.
const SLOTS: u64 = 64;
/// Rows between two bells.
const BATCH: u64 = 32;
/// Words of a row.
const WORDS: usize = 8;
/// Words of the region, by what they hold: how many rows there will be, how many there are.
const TOTAL: usize = 0;
const HEAD: usize = 1;
const LIVE: usize = WORDS;
const RING: usize = 2 * WORDS;
/// Size of a region in bytes.
pub const SIZE: usize = 8 * (RING + SLOTS as usize * WORDS);

/// What a sender writes through.
pub trait Store {
    /// Stores a word; what was stored before is seen by who sees this.
    fn store(&self, word: usize, value: u64);
}

/// What a receiver reads through.
pub trait Load {
    /// Loads a word; what is loaded after it is not older.
    fn load(&self, word: usize) -> u64;
}

impl Store for Writable {
    fn store(&self, word: usize, value: u64) {
        Writable::store(self, word, value)
    }
}

impl Load for ReadOnly {
    fn load(&self, word: usize) -> u64 {
        ReadOnly::load(self, word)
    }
}

/// For the memfd without a seal that the throughput is compared with.
impl Load for Map {
    fn load(&self, word: usize) -> u64 {
        self.word(word).load(std::sync::atomic::Ordering::Acquire)
    }
}

impl Store for Map {
    fn store(&self, word: usize, value: u64) {
        self.word(word).store(value, std::sync::atomic::Ordering::Release);
    }
}

fn slot(row: u64) -> usize {
    RING + (row % SLOTS) as usize * WORDS
}

/// A word of a row's contents: another one for each row and place.
fn content(row: u64, word: usize) -> u64 {
    (row * WORDS as u64 + word as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Begins a row: from here until `end` a reader knows that it is not whole.
fn begin(window: &(impl Store + ?Sized), at: usize, row: u64) {
    window.store(at, 2 * row + 1);
    (1..WORDS).for_each(|word| window.store(at + word, content(row, word)));
}

fn end(window: &(impl Store + ?Sized), at: usize, row: u64) {
    window.store(at, 2 * row + 2);
}

/// What a reader finds in a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This row, whole.
    Row(u64),
    /// It is being written, or nobody has written it yet.
    Unfinished,
    /// It says that it is this row, and is not: torn.
    Torn(u64),
}

fn look(view: &(impl Load + ?Sized), at: usize) -> Found {
    let seq = view.load(at);
    if seq == 0 || seq % 2 == 1 {
        return Found::Unfinished;
    }
    let row = seq / 2 - 1;
    let whole = (1..WORDS).all(|word| view.load(at + word) == content(row, word));
    match view.load(at) == seq {
        false => Found::Unfinished,
        true if whole => Found::Row(row),
        true => Found::Torn(row),
    }
}

/// The sender's end of one receiver's socket.
pub struct Peer {
    socket: UnixStream,
    acknowledged: u64,
}

impl Peer {
    pub fn new(socket: UnixStream) -> Peer {
        Peer { socket, acknowledged: 0 }
    }

    /// Waits until it has read this many rows. Errors: it is gone.
    fn wait_for(&mut self, rows: u64) -> Result<(), String> {
        while self.acknowledged < rows {
            self.acknowledged = await_word(&self.socket)?;
        }
        Ok(())
    }
}

/// What the sender does with a receiver that is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It goes on with the others.
    Forget,
    /// It fails.
    Fail,
}

/// Writes rows 0 to `total` for all the peers, and waits until they have read them.
pub fn write_rows(
    window: &(impl Store + ?Sized),
    peers: &mut Vec<Peer>,
    total: u64,
    loss: Loss,
) -> Result<(), String> {
    window.store(TOTAL, total);
    write_until(window, peers, total, loss)
}

/// As `write_rows` of twice as many rows, but the sender dies by SIGKILL in the middle of this one.
pub fn write_and_die(
    window: &(impl Store + ?Sized),
    peers: &mut Vec<Peer>,
    row: u64,
) -> Result<(), String> {
    window.store(TOTAL, 2 * row);
    write_until(window, peers, row, Loss::Fail)?;
    begin(window, slot(row), row);
    let died = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    Err(format!("SIGKILL: {died:?}"))
}

fn write_until(
    window: &(impl Store + ?Sized),
    peers: &mut Vec<Peer>,
    until: u64,
    loss: Loss,
) -> Result<(), String> {
    for row in 0..until {
        // The slot's last row was one round ago.
        each(peers, loss, |peer| peer.wait_for((row + 1).saturating_sub(SLOTS)))?;
        for at in [LIVE, slot(row)] {
            begin(window, at, row);
            end(window, at, row);
        }
        window.store(HEAD, row + 1);
        if (row + 1) % BATCH == 0 || row + 1 == until {
            each(peers, loss, |peer| tell(&peer.socket, row + 1))?;
        }
    }
    each(peers, loss, |peer| peer.wait_for(until))
}

fn each(
    peers: &mut Vec<Peer>,
    loss: Loss,
    mut step: impl FnMut(&mut Peer) -> Result<(), String>,
) -> Result<(), String> {
    let mut lost = Ok(());
    peers.retain_mut(|peer| match step(peer) {
        Err(why) if loss == Loss::Fail => {
            lost = Err(why);
            true
        }
        stepped => stepped.is_ok(),
    });
    lost
}

/// Waits for a number. Errors: the peer is gone, or silent for too long.
fn await_word(mut socket: &UnixStream) -> Result<u64, String> {
    let mut word = [0; 8];
    socket.read_exact(&mut word).map_err(|error| format!("the other side: {error}"))?;
    Ok(u64::from_le_bytes(word))
}

/// Sends a number. A peer that is gone is EPIPE, not SIGPIPE.
fn tell(socket: &UnixStream, count: u64) -> Result<(), String> {
    match send(socket.as_raw_fd(), &count.to_le_bytes(), MsgFlags::MSG_NOSIGNAL) {
        Ok(8) => Ok(()),
        Ok(count) => Err(format!("{count} of 8 bytes sent")),
        Err(errno) => Err(format!("send: {errno:?}")),
    }
}

/// Reads rows until there are no more, `enough` of them, or the sender is gone: how many it has seen.
/// Errors: a row was missed or torn, or the live row went back.
pub fn read_rows(
    view: &(impl Load + ?Sized),
    socket: &mut UnixStream,
    enough: u64,
) -> Result<u64, String> {
    let (mut next, mut live) = (0, 0);
    loop {
        let mut word = [0; 8];
        match socket.read_exact(&mut word) {
            Ok(()) => {}
            Err(gone) if is_gone(&gone) => return Ok(next),
            Err(error) => return Err(format!("the sender: {error}")),
        }
        let bell = u64::from_le_bytes(word);
        if view.load(HEAD) < bell {
            return Err(format!("the bell for row {bell} rang before it could be seen"));
        }
        // More may have come since the bell.
        while next < view.load(HEAD) {
            match look(view, slot(next)) {
                Found::Row(row) if row == next => next += 1,
                other => return Err(format!("row {next}: {other:?}")),
            }
            live = see_live(view, live)?;
        }
        let gone = tell(socket, next).is_err();
        // The last bell is waited for, even if its rows have been seen: the sender rings it.
        if gone || bell == view.load(TOTAL) || next >= enough {
            return Ok(next);
        }
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    let reset = error.raw_os_error() == Some(Errno::ECONNRESET as i32);
    reset || error.kind() == std::io::ErrorKind::UnexpectedEof
}

/// The live row, if it holds still for a moment.
fn see_live(view: &(impl Load + ?Sized), before: u64) -> Result<u64, String> {
    match look(view, LIVE) {
        Found::Unfinished => Ok(before),
        Found::Row(row) if row >= before => Ok(row),
        other => Err(format!("the live row, after {before}: {other:?}")),
    }
}

/// What the sender leaves that died in the middle of this row: a row that says so, after whole ones.
pub fn is_left(view: &(impl Load + ?Sized), row: u64) -> Result<(), String> {
    for whole in (row + 1).saturating_sub(SLOTS)..row {
        match look(view, slot(whole)) {
            Found::Row(found) if found == whole => {}
            other => return Err(format!("row {whole}, after the sender's death: {other:?}")),
        }
    }
    match (look(view, slot(row)), view.load(slot(row))) {
        (Found::Unfinished, seq) if seq == 2 * row + 1 => Ok(()),
        (found, seq) => Err(format!("row {row}, in which the sender died: {found:?} ({seq})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::memfd_create_region;
    use crate::sys::RW;

    fn window() -> Map {
        let fd = memfd_create_region("rows", SIZE).unwrap();
        Map::new(SIZE, RW, libc::MAP_SHARED, &fd, 0).unwrap()
    }

    #[test]
    fn a_row_is_found_only_when_it_is_whole() {
        let window = window();
        assert_eq!(look(&window, slot(3)), Found::Unfinished);
        begin(&window, slot(3), 3);
        assert_eq!(look(&window, slot(3)), Found::Unfinished);
        end(&window, slot(3), 3);
        assert_eq!(look(&window, slot(3)), Found::Row(3));
    }

    #[test]
    fn a_torn_row_is_noticed_in_each_word() {
        for word in 1..WORDS {
            let window = window();
            begin(&window, slot(3), 3);
            end(&window, slot(3), 3);
            Store::store(&window, slot(3) + word, content(2, word));
            assert_eq!(look(&window, slot(3)), Found::Torn(3));
        }
    }

    #[test]
    fn a_missed_row_is_noticed() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let window = window();
        let mut peers = vec![Peer::new(there)];
        // Nobody reads: all of the ring is written, and then the sender waits in vain.
        peers[0].socket.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
        assert!(write_rows(&window, &mut peers, SLOTS + 1, Loss::Fail).is_err());
        assert_eq!(look(&window, slot(0)), Found::Row(0));
        begin(&window, slot(5), 5 + SLOTS);
        end(&window, slot(5), 5 + SLOTS);
        let missed = read_rows(&window, &mut here, u64::MAX);
        assert_eq!(missed, Err(format!("row 5: Row({})", 5 + SLOTS)));
    }
}
