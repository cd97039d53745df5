// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a 32-bit task calls on a 64-bit kernel, through `int 0x80` (numbers of
//! `arch/x86/entry/syscalls/syscall_32.tbl`).

use crate::case::Got;
use crate::kind::Kind;
use crate::sys::{self, Ended, Map, Sys};
use crate::world::World;
use std::os::fd::{AsRawFd, OwnedFd};

const GETPID: u32 = 20;
const WRITE: u32 = 4;
const OPEN: u32 = 5;
const FCNTL: u32 = 55;
const MMAP: u32 = 90;
const TRUNCATE: u32 = 92;
const FTRUNCATE: u32 = 93;
const MPROTECT: u32 = 125;
const WRITEV: u32 = 146;
const PWRITE64: u32 = 181;
const SENDFILE: u32 = 187;
const MMAP2: u32 = 192;
const TRUNCATE64: u32 = 193;
const FTRUNCATE64: u32 = 194;
const FCNTL64: u32 = 221;
const SENDFILE64: u32 = 239;
const SPLICE: u32 = 313;
const FALLOCATE: u32 = 324;
const PWRITEV: u32 = 334;
const PROCESS_VM_WRITEV: u32 = 348;
const MEMFD_CREATE: u32 = 356;
const COPY_FILE_RANGE: u32 = 377;
const PWRITEV2: u32 = 379;

/// Why there are no 32-bit calls; none if there are.
pub fn missing() -> Option<String> {
    let pid = || match call(GETPID, [0; 6]) {
        Ok(pid) if pid == i64::from(std::process::id()) => 0,
        _ => 1,
    };
    match sys::in_child(pid) {
        Ok(Ended::Exit(0)) => None,
        other => Some(format!("no 32-bit system calls ({other:?})")),
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn call(nr: u32, args: [u32; 6]) -> Sys {
    sys::compat_call(nr, args)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86")))]
fn call(_: u32, _: [u32; 6]) -> Sys {
    Err(nix::errno::Errno::ENOSYS)
}

/// Of memory that a 32-bit pointer reaches; elsewhere there is no call to take one.
#[cfg(target_arch = "x86_64")]
const LOW: libc::c_int = libc::MAP_32BIT;
#[cfg(not(target_arch = "x86_64"))]
const LOW: libc::c_int = 0;

/// A page that a 32-bit pointer reaches: what the calls point to is put there.
struct Desk {
    page: Map,
    used: usize,
}

impl Desk {
    fn new() -> Sys<Desk> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | LOW;
        Ok(Desk { page: Map::at(0, Kind::Shmem.page(), sys::RW, flags, -1, 0)?, used: 0 })
    }

    /// The address of these bytes there.
    fn put(&mut self, bytes: &[u8]) -> u32 {
        let at = self.used.next_multiple_of(8);
        bytes.iter().enumerate().for_each(|(i, &byte)| self.page.store(at + i, byte));
        self.used = at + bytes.len();
        (self.page.addr() + at) as u32
    }

    /// The address of the file's /proc path.
    fn path(&mut self, f: &World) -> u32 {
        self.put(format!("{}\0", f.path()).as_bytes())
    }

    /// The address of an iovec over these bytes.
    fn iovec(&mut self, bytes: &[u8]) -> u32 {
        let base = self.put(bytes);
        self.iovec_at(base, bytes.len() as u32)
    }

    fn iovec_at(&mut self, base: u32, len: u32) -> u32 {
        self.put(&[base.to_ne_bytes(), len.to_ne_bytes()].concat())
    }
}

fn fd(fd: &impl AsRawFd) -> u32 {
    fd.as_raw_fd() as u32
}

/// The two halves of a 64-bit argument, as two registers have them.
fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// What the rows write.
const DATA: &[u8] = b"test";

/// `memfd_create` of a file that can be sealed.
pub fn memfd_create() -> Sys<OwnedFd> {
    let mut desk = Desk::new()?;
    let (name, flags) = (desk.put(b"compat\0"), sys::mfd::CLOEXEC | sys::mfd::ALLOW_SEALING);
    Ok(sys::own(call(MEMFD_CREATE, [name, flags, 0, 0, 0, 0])? as i32))
}

/// `fcntl64(fd, F_ADD_SEALS, seals)`.
pub fn add_seals(f: &World, seals: u32) -> Got {
    Ok(call(FCNTL64, [fd(&f.fd), libc::F_ADD_SEALS as u32, seals, 0, 0, 0])?)
}

/// `fcntl(fd, F_ADD_SEALS, seals)`, the call before that.
pub fn add_seals_old(f: &World, seals: u32) -> Got {
    Ok(call(FCNTL, [fd(&f.fd), libc::F_ADD_SEALS as u32, seals, 0, 0, 0])?)
}

/// `fcntl64(fd, F_GET_SEALS)`.
pub fn get_seals(f: &World) -> Got {
    Ok(call(FCNTL64, [fd(&f.fd), libc::F_GET_SEALS as u32, 0, 0, 0, 0])?)
}

/// `write`.
pub fn write(f: &World) -> Got {
    let mut desk = Desk::new()?;
    Ok(call(WRITE, [fd(&f.fd), desk.put(DATA), 4, 0, 0, 0])?)
}

/// `pwrite64`.
pub fn pwrite(f: &World, offset: u64) -> Got {
    let (mut desk, (low, high)) = (Desk::new()?, halves(offset));
    Ok(call(PWRITE64, [fd(&f.fd), desk.put(DATA), 4, low, high, 0])?)
}

/// `writev`.
pub fn writev(f: &World) -> Got {
    let mut desk = Desk::new()?;
    Ok(call(WRITEV, [fd(&f.fd), desk.iovec(DATA), 1, 0, 0, 0])?)
}

/// `pwritev`.
pub fn pwritev(f: &World, offset: u64) -> Got {
    let (mut desk, (low, high)) = (Desk::new()?, halves(offset));
    Ok(call(PWRITEV, [fd(&f.fd), desk.iovec(DATA), 1, low, high, 0])?)
}

/// `pwritev2`; at the file's offset if `offset` is all ones.
pub fn pwritev2(f: &World, offset: u64, flags: i32) -> Got {
    let (mut desk, (low, high)) = (Desk::new()?, halves(offset));
    Ok(call(PWRITEV2, [fd(&f.fd), desk.iovec(DATA), 1, low, high, flags as u32])?)
}

/// `sendfile` at an offset of the caller's, of 32 bits.
pub fn sendfile(f: &World, from: &impl AsRawFd) -> Got {
    let mut desk = Desk::new()?;
    Ok(call(SENDFILE, [fd(&f.fd), fd(from), desk.put(&[0; 4]), 4, 0, 0])?)
}

/// `sendfile64` at an offset of the caller's.
pub fn sendfile64(f: &World, from: &impl AsRawFd) -> Got {
    let mut desk = Desk::new()?;
    Ok(call(SENDFILE64, [fd(&f.fd), fd(from), desk.put(&[0; 8]), 4, 0, 0])?)
}

/// `splice` to offset 1.
pub fn splice(f: &World, pipe: &impl AsRawFd) -> Got {
    let mut desk = Desk::new()?;
    Ok(call(SPLICE, [fd(pipe), 0, fd(&f.fd), desk.put(&1u64.to_ne_bytes()), 4, 0])?)
}

/// `copy_file_range` to offset 1.
pub fn copy_file_range(f: &World, from: &impl AsRawFd) -> Got {
    let mut desk = Desk::new()?;
    let to = desk.put(&1u64.to_ne_bytes());
    Ok(call(COPY_FILE_RANGE, [fd(from), 0, fd(&f.fd), to, 4, 0])?)
}

/// `ftruncate64`.
pub fn ftruncate64(f: &World, size: u64) -> Got {
    let (low, high) = halves(size);
    Ok(call(FTRUNCATE64, [fd(&f.fd), low, high, 0, 0, 0])?)
}

/// `ftruncate`, whose size has 32 bits.
pub fn ftruncate(f: &World, size: u32) -> Got {
    Ok(call(FTRUNCATE, [fd(&f.fd), size, 0, 0, 0, 0])?)
}

/// `truncate64` by the /proc path.
pub fn truncate64(f: &World, size: u64) -> Got {
    let (mut desk, (low, high)) = (Desk::new()?, halves(size));
    Ok(call(TRUNCATE64, [desk.path(f), low, high, 0, 0, 0])?)
}

/// `truncate` by the /proc path, whose size has 32 bits.
pub fn truncate(f: &World, size: u32) -> Got {
    let mut desk = Desk::new()?;
    Ok(call(TRUNCATE, [desk.path(f), size, 0, 0, 0, 0])?)
}

/// `open` of the /proc path, without O_LARGEFILE unless `flags` has it.
pub fn open(f: &World, flags: i32) -> Sys<OwnedFd> {
    let mut desk = Desk::new()?;
    Ok(sys::own(call(OPEN, [desk.path(f), flags as u32, 0, 0, 0, 0])? as i32))
}

/// `fallocate`.
pub fn fallocate(f: &World, mode: i32, offset: u64, len: u64) -> Got {
    let ((low, high), (len, more)) = (halves(offset), halves(len));
    Ok(call(FALLOCATE, [fd(&f.fd), mode as u32, low, high, len, more])?)
}

/// `mmap2` of one page, kept as `new`.
pub fn mmap2(f: &mut World, prot: i32, flags: i32) -> Got {
    let len = f.page as u32;
    let addr = call(MMAP2, [0, len, prot as u32, flags as u32, fd(&f.fd), 0])?;
    f.new = Some(Map::adopt(addr as usize, f.page));
    Ok(0)
}

/// The call before that, whose arguments are in memory.
pub fn mmap(f: &mut World, prot: i32, flags: i32) -> Got {
    let mut desk = Desk::new()?;
    let args = [0, f.page as u32, prot as u32, flags as u32, fd(&f.fd), 0];
    let args = desk.put(&args.map(u32::to_ne_bytes).concat());
    let addr = call(MMAP, [args, 0, 0, 0, 0, 0])?;
    f.new = Some(Map::adopt(addr as usize, f.page));
    Ok(0)
}

/// `mprotect` of a mapping that `mmap2` made.
pub fn mprotect(map: &Map, prot: i32) -> Got {
    Ok(call(MPROTECT, [map.addr() as u32, map.len() as u32, prot as u32, 0, 0, 0])?)
}

/// `process_vm_writev` of this process into a mapping that `mmap2` made.
pub fn process_vm_writev(map: &Map) -> Got {
    let mut desk = Desk::new()?;
    let local = desk.iovec(DATA);
    let remote = desk.iovec_at(map.addr() as u32 + 1, DATA.len() as u32);
    Ok(call(PROCESS_VM_WRITEV, [std::process::id(), local, 1, remote, 1, 0])?)
}
