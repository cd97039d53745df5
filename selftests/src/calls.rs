// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The calls that write into a file or copy from one to another, their arguments as the kernel
//! takes them.

use crate::case::{Check, Given, Got, Setup};
use crate::sys::{self, Map, RW, Sys, mfd};
use crate::world::{World, same, sealed};
use libc::{c_int, c_long};
use nix::unistd::Whence;
use std::os::fd::{AsRawFd, OwnedFd};

/// What rows write.
pub const DATA: &[u8] = b"test";
/// An address that is no user's: refused before anything else is looked at. Where the program has 32
/// bits and the kernel more, it is as good as any other: `Need::KernelAddress`.
pub const NO_USER: usize = isize::MIN as usize;
/// A user's address where nothing is mapped: seen when the copy is tried.
pub const UNMAPPED: usize = 8;

fn call(nr: c_long, args: [usize; 6]) -> Got {
    Ok(sys::call(nr, args)?)
}

fn number(fd: &impl AsRawFd) -> usize {
    fd.as_raw_fd() as usize
}

/// `pwrite(2)` of `len` bytes at an address, which may be any.
pub fn pwrite_from(f: &World, addr: usize, len: usize, offset: i64) -> Got {
    let args = [number(&f.fd), addr, len].map(|word| word as u64);
    Ok(sys::call64(libc::SYS_pwrite64, [args[0], args[1], args[2], offset as u64, 0, 0])?)
}

/// `write(2)` of `len` bytes at an address, which may be any.
pub fn write_from(f: &World, addr: usize, len: usize) -> Got {
    call(libc::SYS_write, [number(&f.fd), addr, len, 0, 0, 0])
}

pub fn iovecs(parts: &[&[u8]]) -> Vec<libc::iovec> {
    let iovec = |part: &&[u8]| libc::iovec {
        iov_base: part.as_ptr() as *mut libc::c_void,
        iov_len: part.len(),
    };
    parts.iter().map(iovec).collect()
}

/// `writev(2)`.
pub fn writev(f: &World, parts: &[&[u8]]) -> Got {
    let iov = iovecs(parts);
    call(libc::SYS_writev, [number(&f.fd), iov.as_ptr() as usize, iov.len(), 0, 0, 0])
}

/// `pwritev(2)`.
pub fn pwritev(f: &World, parts: &[&[u8]], offset: i64) -> Got {
    let iov = iovecs(parts);
    let [fd, at, len] = [number(&f.fd), iov.as_ptr() as usize, iov.len()].map(|word| word as u64);
    Ok(sys::call64(libc::SYS_pwritev, [fd, at, len, offset as u64, 0, 0])?)
}

/// `pwritev2(2)`; at the file's offset if `offset` is -1.
pub fn pwritev2(f: &World, parts: &[&[u8]], offset: i64, flags: c_int) -> Got {
    let iov = iovecs(parts);
    let [fd, at, len] = [number(&f.fd), iov.as_ptr() as usize, iov.len()].map(|word| word as u64);
    Ok(sys::call64(libc::SYS_pwritev2, [fd, at, len, offset as u64, 0, flags as u64])?)
}

/// `splice(2)`; at the descriptors' own offsets where none is given.
pub fn splice(
    from: (&impl AsRawFd, Option<&mut i64>),
    to: (&impl AsRawFd, Option<&mut i64>),
    len: usize,
    flags: u32,
) -> Got {
    let (from_at, to_at) = (pointer(from.1), pointer(to.1));
    let args = [number(from.0), from_at, number(to.0), to_at, len, flags as usize];
    call(libc::SYS_splice, args)
}

/// `sendfile(2)`; at the source's own offset if none is given.
pub fn sendfile(to: &impl AsRawFd, from: &impl AsRawFd, at: Option<&mut i64>, len: usize) -> Got {
    call(libc::SYS_sendfile, [number(to), number(from), pointer(at), len, 0, 0])
}

/// `copy_file_range(2)`; at the descriptors' own offsets where none is given.
pub fn copy_file_range(
    from: (&impl AsRawFd, Option<&mut i64>),
    to: (&impl AsRawFd, Option<&mut i64>),
    len: usize,
) -> Got {
    let (from_at, to_at) = (pointer(from.1), pointer(to.1));
    call(libc::SYS_copy_file_range, [number(from.0), from_at, number(to.0), to_at, len, 0])
}

/// `tee(2)`.
pub fn tee(from: &impl AsRawFd, to: &impl AsRawFd, len: usize) -> Got {
    call(libc::SYS_tee, [number(from), number(to), len, 0, 0, 0])
}

fn pointer(offset: Option<&mut i64>) -> usize {
    offset.map_or(0, |offset| offset as *mut i64 as usize)
}

/// A pipe: its end to read, its end to write.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|errno| format!("pipe: {errno:?}"))
}

/// A pipe that holds `DATA`, its writing end kept first and its reading end second.
pub fn with_pipe(world: World) -> Result<World, String> {
    let (reader, writer) = pipe()?;
    nix::unistd::write(&writer, DATA).map_err(|errno| format!("pipe: {errno:?}"))?;
    Ok(world.keep(writer).keep(reader))
}

/// A pipe into which a page was given by `vmsplice(2)`, kept as in `with_pipe`.
pub fn with_given_page(world: World) -> Result<World, String> {
    let make = || -> Sys<(OwnedFd, OwnedFd)> {
        let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
        let page = anonymous(world.page)?;
        page.store(0, DATA[0]);
        let iov = [libc::iovec { iov_base: page.addr() as *mut _, iov_len: page.len() }];
        let flags = libc::SPLICE_F_GIFT as usize;
        let args = [number(&writer), iov.as_ptr() as usize, 1, flags, 0, 0];
        sys::call(libc::SYS_vmsplice, args)?;
        Ok((reader, writer))
    };
    let (reader, writer) = make().map_err(|errno| format!("vmsplice: {errno:?}"))?;
    Ok(world.keep(writer).keep(reader))
}

/// How many bytes the pipe still holds that `with_pipe` made.
pub fn piped(f: &mut World) -> Sys<usize> {
    let mut count: c_int = 0;
    let args = [number(&f.kept[1]), libc::FIONREAD as usize, &raw mut count as usize, 0, 0, 0];
    sys::call(libc::SYS_ioctl, args)?;
    Ok(count as usize)
}

/// The pipe that `with_pipe` made still holds all of its bytes.
pub fn pipe_is_full(f: &mut World) -> Check {
    same("bytes in the pipe", Ok(DATA.len()), piped(f))
}

/// An unsealed memfd with eight bytes, its offset at 2, kept first.
pub fn with_source(world: World) -> Result<World, String> {
    let fd = memfd().map_err(|errno| format!("source: {errno:?}"))?;
    Ok(world.keep(fd))
}

/// A file of another file system with eight bytes, its offset at 2, kept first: the program.
pub fn with_disk_source(world: World) -> Result<World, String> {
    let file = std::fs::File::open("/proc/self/exe").map_err(|e| format!("the program: {e}"))?;
    sys::lseek(&file, 2, Whence::SeekSet).map_err(|e| format!("the program: {e}"))?;
    Ok(world.keep(file.into()))
}

fn memfd() -> Sys<OwnedFd> {
    let fd = sys::memfd_create("source", mfd::CLOEXEC)?;
    nix::unistd::write(&fd, b"01234567")?;
    sys::lseek(&fd, 2, Whence::SeekSet)?;
    Ok(fd)
}

/// The source that was kept first stands where it stood.
pub fn source_stays(f: &mut World) -> Check {
    let here = sys::lseek(&f.kept[0], 0, Whence::SeekCur);
    same("the source's offset", Ok(2), here)
}

/// Private anonymous memory.
pub fn anonymous(len: usize) -> Sys<Map> {
    Map::at(0, len, RW, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
}

/// Two pages, of which the second can't be read: the address of the last two bytes of the first.
pub fn half_bad(page: usize) -> Sys<(Map, usize)> {
    let map = anonymous(2 * page)?;
    let (second, none) = (map.addr() + page, libc::PROT_NONE as usize);
    sys::call(libc::SYS_mprotect, [second, page, none, 0, 0, 0])?;
    let addr = map.addr() + page - 2;
    Ok((map, addr))
}

/// What the call gave, if it left these offsets alone; else the first that it moved.
pub fn unmoved<const N: usize>(got: Got, offsets: [(i64, i64); N]) -> Got {
    offsets.iter().find(|(was, is)| was != is).map_or(got, |&(_, is)| Ok(is))
}

/// The file that was kept first holds the file's first bytes.
pub fn arrived(f: &mut World) -> Check {
    let mut got = [0; 4];
    sys::pread(&f.kept[0], &mut got, 0).map_err(|e| e.to_string())?;
    same("what arrived", [0x5a, 0, 0, 0], got)?;
    f.unchanged()
}

/// `after` of a copy of four bytes that starts at 2 in the source.
pub fn took_from_source(f: &mut World) -> Check {
    f.offset_is(9)?;
    f.size_is(f.size)?;
    f.bytes_are(4, b"\x002345\0")
}

/// The other end of a copy that comes out of the file: an empty memfd, kept first.
pub fn to_memfd(given: Given) -> Setup {
    let fd = sys::memfd_create("target", mfd::CLOEXEC).map_err(|e| e.to_string())?;
    Ok(sealed(given)?.keep(fd))
}

/// As `sealed`, with a source of bytes: a memfd.
pub fn from_memfd(given: Given) -> Setup {
    with_source(sealed(given)?)
}

/// As `sealed`, with a source of bytes on another file system.
pub fn from_disk(given: Given) -> Setup {
    with_disk_source(sealed(given)?)
}

/// As `sealed`, and no file may be longer than this many of its pages. SIGXFSZ is held back: rows
/// look at the errno.
pub fn limited<const PAGES: usize>(given: Given) -> Setup {
    let world = sealed(given)?;
    limit_size(PAGES * world.page).map_err(|errno| format!("RLIMIT_FSIZE: {errno:?}"))?;
    Ok(world)
}

fn limit_size(len: usize) -> Sys<()> {
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGXFSZ);
    set.thread_block()?;
    let limit = [len as u64; 2];
    let args = [0, libc::RLIMIT_FSIZE as usize, limit.as_ptr() as usize, 0, 0, 0];
    sys::call(libc::SYS_prlimit64, args).map(|_| ())
}
