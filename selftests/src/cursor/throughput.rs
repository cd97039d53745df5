// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! How many rows a second a sender writes that all its receivers read: through a sealed region, and
//! through a memfd that has no seal. The seal is looked at when a descriptor is used, and rows go
//! through mappings: it should cost nothing.

use super::write_rows;
use super::{Load, Loss, Peer, SIZE, Store, all_succeed, await_word, read_rows, receivers, tell};
use crate::region::{self, Guarantee, Unsealed, receive_and_verify};
use crate::sys::{self, Map, RO, RW};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// How many receivers there are.
const SCALES: [usize; 3] = [1, 8, 64];
/// How long one run is to take, roughly.
const SECONDS: f64 = 0.2;
/// Rows of the run that finds out how many rows that is.
const FEW: u64 = 1024;
/// Runs of each sort. In each pair the other one goes first.
const PAIRS: usize = 9;

/// Measures, and prints a table as it goes. Errors: a run failed, or `out` did.
pub fn run(out: &mut impl Write) -> Result<(), String> {
    let unwritten = |error: std::io::Error| format!("stdout: {error}");
    let guarantee = Guarantee::best().map_err(|errno| format!("no memfd: {errno:?}"))?;
    writeln!(out, "sealed: {guarantee:?}; {PAIRS} pairs, median (least-most)")
        .map_err(unwritten)?;
    let heads = ["receivers", "rows/s sealed", "rows/s unsealed", "sealed/unsealed"];
    let [count, sealed, unsealed, ratio] = heads;
    writeln!(out, "{count:>9}  {sealed:>15}  {unsealed:>15}  {ratio}").map_err(unwritten)?;
    for count in SCALES {
        let (mut sealed, mut unsealed, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let rows = ((once(false, count, FEW)? * SECONDS) as u64).max(FEW);
        for pair in 0..PAIRS {
            let first = once(pair % 2 == 0, count, rows)?;
            let second = once(pair % 2 == 1, count, rows)?;
            let (with, without) = if pair % 2 == 0 { (first, second) } else { (second, first) };
            sealed.push(with);
            unsealed.push(without);
            ratios.push(with / without);
        }
        let (with, without) = (middle(&mut sealed), middle(&mut unsealed));
        let (ratio, least, most) = (middle(&mut ratios), ratios[0], ratios[PAIRS - 1]);
        let spread = format!("{ratio:.2} ({least:.2}-{most:.2})");
        writeln!(out, "{count:>9}  {with:>15.0}  {without:>15.0}  {spread}").map_err(unwritten)?;
    }
    Ok(())
}

/// The median; the values are sorted then.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rows a second, of one run.
fn once(sealed: bool, count: usize, rows: u64) -> Result<f64, String> {
    let (children, ends) = receivers(count, |_, mut socket| {
        let view = view(sealed, &socket)?;
        tell(&socket, 0)?;
        match read_rows(&*view, &mut socket, u64::MAX)? {
            seen if seen == rows => Ok(()),
            seen => Err(format!("{seen} rows of {rows} seen")),
        }
    });
    let (window, fd) = window(sealed).map_err(|errno| format!("a region: {errno:?}"))?;
    for end in &ends {
        region::send(end, &[fd.as_raw_fd()], SIZE as u64)
            .map_err(|errno| format!("send: {errno:?}"))?;
    }
    for end in &ends {
        await_word(end)?;
    }
    let mut peers = ends.into_iter().map(Peer::new).collect();
    let start = Instant::now();
    let written = write_rows(&*window, &mut peers, rows, Loss::Fail);
    let took = start.elapsed();
    drop(peers);
    all_succeed(children).and(written)?;
    Ok(rows as f64 / took.as_secs_f64())
}

fn window(sealed: bool) -> sys::Sys<(Box<dyn Store>, Box<dyn AsRawFd>)> {
    if sealed {
        let region = Unsealed::create("throughput", SIZE)?;
        return Ok((Box::new(region.map()?), Box::new(region.seal()?)));
    }
    let fd = region::memfd_create_region("throughput", SIZE)?;
    Ok((Box::new(Map::new(SIZE, RW, libc::MAP_SHARED, &fd, 0)?), Box::new(fd)))
}

fn view(sealed: bool, socket: &UnixStream) -> Result<Box<dyn Load>, String> {
    if sealed {
        let view = receive_and_verify(socket, SIZE).map_err(|refused| refused.to_string())?;
        return Ok(Box::new(view));
    }
    let fd = sys::receive(socket, &mut [0; 8]).map_err(|errno| format!("{errno:?}"))?;
    let fd = fd.descriptors.into_iter().next().ok_or("no descriptor came")?;
    let map = Map::new(SIZE, RO, libc::MAP_SHARED, &fd, 0);
    Ok(Box::new(map.map_err(|errno| format!("{errno:?}"))?))
}
