// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Swap on a RAM disk, and pages that are there.

use crate::sys::{self, Map};
use crate::world::{World, same};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

const DEVICE: &str = "/dev/ram0";
const DEVICE_C: &std::ffi::CStr = c"/dev/ram0";
/// Bytes of swap, the header's page included: more than any case wants.
const SWAP: usize = 8 << 20;
/// Of a page, bytes.
fn size() -> usize {
    crate::kind::Kind::Shmem.page()
}

/// This process, for the scheduler.
const THIS: Pid = Pid::from_raw(0);
/// How our own header is told from data that must not be lost.
const LABEL: &[u8; 16] = b"memfd-seals\0\0\0\0\0";

/// Swap, until it is dropped. One case has it at a time.
pub struct Swap {
    _turn: Flock<File>,
}

/// The first page of a swap area (`union swap_header` of `include/linux/swap.h`).
fn header() -> Vec<u8> {
    let mut page = vec![0; size()];
    page[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    page[1028..1032].copy_from_slice(&((SWAP / size() - 1) as u32).to_ne_bytes());
    page[1052..1068].copy_from_slice(LABEL);
    let end = page.len();
    page[end - 10..].copy_from_slice(b"SWAPSPACE2");
    page
}

/// The device, once it is this process's turn. Errors: why it can't be used.
fn take() -> Result<Flock<File>, String> {
    let device = OpenOptions::new().read(true).write(true).open(DEVICE);
    let device = device.map_err(|error| format!("{DEVICE}: {error}"))?;
    let device = Flock::lock(device, FlockArg::LockExclusive)
        .map_err(|(_, errno)| format!("{DEVICE}: flock: {errno:?}"))?;
    let mut page = vec![0; size()];
    device.read_exact_at(&mut page, 0).map_err(|error| format!("{DEVICE}: {error}"))?;
    let ours = page == header();
    if !ours && page.iter().any(|&byte| byte != 0) {
        return Err(format!("{DEVICE} holds data"));
    }
    // A case that was killed has left it on.
    let _ = off();
    Ok(device)
}

fn off() -> Result<i64, Errno> {
    sys::call(libc::SYS_swapoff, [DEVICE_C.as_ptr() as usize, 0, 0, 0, 0, 0])
}

/// Why there is no swap; none if there is.
pub fn missing() -> Option<String> {
    on().err()
}

/// Turns it on. Errors: why it can't be.
pub fn on() -> Result<Swap, String> {
    let device = take()?;
    device.write_all_at(&header(), 0).map_err(|error| format!("{DEVICE}: {error}"))?;
    device.sync_all().map_err(|error| format!("{DEVICE}: {error}"))?;
    sys::call(libc::SYS_swapon, [DEVICE_C.as_ptr() as usize, 0, 0, 0, 0, 0])
        .map_err(|errno| format!("swapon {DEVICE}: {errno:?}"))?;
    Ok(Swap { _turn: device })
}

impl Drop for Swap {
    fn drop(&mut self) {
        let _ = off();
    }
}

impl Swap {
    /// Has every page of the file leave memory, through a mapping of all of it. Errors: how many
    /// bytes did.
    pub fn out(&self, world: &World, map: &Map) -> Result<(), String> {
        let word = |errno: Errno| format!("{errno:?}");
        // Only pages that are mapped are looked at.
        (0..map.len()).step_by(size()).for_each(|at| {
            map.load(at);
        });
        let ours = sched_getaffinity(THIS).map_err(word)?;
        let cpus: Vec<_> =
            (0..CpuSet::count()).filter(|&cpu| ours.is_set(cpu) == Ok(true)).collect();
        let mut swapped = 0;
        for round in 0..100 {
            // A page that was just used waits in a list of the CPU that used it, where it can't be
            // taken, and the call empties the list of its own CPU only.
            let mut one = CpuSet::new();
            one.set(cpus[round % cpus.len()])
                .and_then(|()| sched_setaffinity(THIS, &one))
                .map_err(word)?;
            map.advise(0, map.len(), libc::MADV_PAGEOUT).map_err(word)?;
            swapped = swapped_bytes(map)?;
            if swapped == world.size {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        sched_setaffinity(THIS, &ours).map_err(word)?;
        same("bytes that are swapped out", world.size, swapped)
    }
}

/// What of the mapped file is in swap, as /proc tells it.
fn swapped_bytes(map: &Map) -> Result<usize, String> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").map_err(|error| error.to_string())?;
    let start = format!("{:x}-", map.addr());
    let mut lines = smaps.lines().skip_while(|line| !line.starts_with(&start)).skip(1);
    let swap = lines.find_map(|line| line.strip_prefix("Swap:")).ok_or("no Swap in smaps")?;
    let kib = swap.trim().trim_end_matches(" kB").parse::<usize>();
    kib.map(|kib| kib * 1024).map_err(|error| format!("smaps: {error}"))
}
