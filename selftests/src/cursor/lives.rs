// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Whole lives of a window: all goes well, the sender dies, a receiver dies.

use super::{Loss, Peer, SIZE, all_succeed, child, is_left, read_rows, receivers};
use super::{write_and_die, write_rows};
use crate::case::Check;
use crate::region::{Guarantee, ReadOnly, Unsealed, Writable, receive_and_verify};
use crate::sys::{self, Map, RW};
use crate::world::same;
use nix::errno::Errno::*;
use std::os::unix::net::UnixStream;

/// Makes a region, sends it to all, and keeps the mapping only.
fn hand_out(ends: Vec<UnixStream>) -> (Writable, Vec<Peer>) {
    let region = Unsealed::create("window", SIZE).expect("a region");
    let window = region.map().expect("a mapping");
    let region = region.seal().expect("F_ADD_SEALS");
    for end in &ends {
        region.send(end).expect("send");
    }
    (window, ends.into_iter().map(Peer::new).collect())
}

fn take(socket: &UnixStream) -> Result<ReadOnly, String> {
    receive_and_verify(socket, SIZE).map_err(|refused| refused.to_string())
}

/// This many receivers see all of this many rows.
pub fn updates(count: usize, rows: u64) -> Check {
    let (children, ends) = receivers(count, |_, mut socket| {
        let view = take(&socket)?;
        same("rows seen", rows, read_rows(&view, &mut socket, u64::MAX)?)
    });
    let (window, mut peers) = hand_out(ends);
    let written = write_rows(&window, &mut peers, rows, Loss::Fail);
    // So that nobody waits for a sender that has failed.
    drop(peers);
    // A receiver's complaint is the cause, where there are two.
    all_succeed(children).and(written)
}

/// Receivers of a sender that dies amid a row keep what they have.
pub fn sender_dies() -> Check {
    // Amid the second round of the ring.
    const LAST: u64 = 100;
    let (children, ends) = receivers(3, |_, mut socket| {
        let view = take(&socket)?;
        same("rows seen", LAST, read_rows(&view, &mut socket, u64::MAX)?)?;
        is_left(&view, LAST)?;
        let errno = match view.guarantee() {
            Guarantee::FsWrite => EACCES,
            Guarantee::FutureWriteShrinkGrow => EPERM,
        };
        let map = Map::new(SIZE, RW, libc::MAP_SHARED, &view, 0);
        same("a writable mapping", Some(errno), map.err())?;
        same("pwrite", Err(EPERM), sys::pwritev2(&view, b"x", 0, 0))?;
        is_left(&view, LAST)
    });
    let sender = child(move || {
        sys::sigpipe_kills();
        let (window, mut peers) = hand_out(ends);
        write_and_die(&window, &mut peers, LAST)
    });
    let killed = sender.is_killed();
    all_succeed(children).and(killed)
}

/// The sender and the other receivers go on when one dies.
pub fn receiver_dies() -> Check {
    const ROWS: u64 = 1024;
    let (mut children, ends) = receivers(3, |number, mut socket| {
        let view = take(&socket)?;
        if number == 1 {
            read_rows(&view, &mut socket, 64)?;
            let died = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            return Err(format!("SIGKILL: {died:?}"));
        }
        same("rows seen", ROWS, read_rows(&view, &mut socket, u64::MAX)?)
    });
    sys::sigpipe_kills();
    let (window, mut peers) = hand_out(ends);
    let written = write_rows(&window, &mut peers, ROWS, Loss::Forget);
    let left = same("receivers left", 2, peers.len());
    drop(peers);
    let killed = children.remove(1).is_killed();
    all_succeed(children).and(killed).and(written).and(left)
}
