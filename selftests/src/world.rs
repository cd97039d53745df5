// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a case acts on: a file, what was mapped or opened before, and how it looked.

use crate::case::{Check, Given, Got, Setup, Stop};
use crate::child::wrong;
use crate::kind::Kind;
use crate::sys::{self, Ended, Map, Offset, RO, RW, Sys, mfd, seal};
use crate::uring::Ring;
use libc::c_int;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

/// The first byte of a fresh file. The next 63 are 0, for rows to write to; in small pages all others
/// are a pattern, and the second page begins with the mark plus one. In huge pages nothing else is
/// set, and on hugetlbfs the second page is a hole: clearing huge pages costs most of the time.
pub const MARK: u8 = 0x5a;
/// Where a fresh file's offset stands, so that a call that moves it is seen.
pub const OFFSET: i64 = 5;

/// The file and what belongs to it. Dropped in this order: on Linux 6.1 the kernel has a BUG if a file
/// goes while a buffer that udmabuf made of it is mapped.
pub struct World {
    /// A shared mapping that was made before the seal, if the row made one.
    pub old: Option<Map>,
    /// A mapping that the operation made and `after` looks at.
    pub new: Option<Map>,
    /// What the row was instantiated with.
    pub given: Given,
    /// The file, through its first descriptor unless a row replaced it (`via`).
    pub fd: OwnedFd,
    /// Size of one page of this kind, bytes.
    pub page: usize,
    /// Size when made, bytes: two pages.
    pub size: usize,
    /// What else the row needs to keep open: a pipe, a device, the first descriptor.
    pub kept: Vec<OwnedFd>,
    /// A ring of io_uring from before the seal, if the row made one.
    pub ring: Option<Ring>,
    /// A descriptor that the row's door wants from before the seal.
    pub(crate) early: Option<OwnedFd>,
    before: Option<Looks>,
}

/// How a file looks from outside.
#[derive(Clone, PartialEq, Eq)]
struct Looks {
    offset: Sys,
    size: u64,
    blocks: i64,
    mode: u32,
    seals: Sys,
    flags: Sys,
    /// Shared, as it may be most of what a small machine has.
    contents: Rc<Vec<(usize, Vec<u8>)>>,
}

/// The file's bytes, by offset: all of them on shmem. Of each huge page the first and last small one,
/// and 16 bytes of each 64 KiB, which finds a hole, a zeroed or a moved page and any small write
/// that a row makes.
fn sample(file: &File, size: usize, page: usize) -> std::io::Result<Vec<(usize, Vec<u8>)>> {
    const STRIDE: usize = 64 << 10;
    let end = Kind::Shmem.page();
    let first = (0..size).step_by(page).map(|at| (at, end));
    let last = (0..size).step_by(page).map(|at| (at + page - end, end)).filter(|_| page > end);
    let between = (STRIDE..size).step_by(STRIDE).map(|at| (at, 16));
    let mut parts: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, len) in first.chain(last).chain(between).filter(|&(at, _)| at < size) {
        let mut bytes = vec![0; len.min(size - at)];
        file.read_exact_at(&mut bytes, at as u64)?;
        parts.push((at, bytes));
    }
    Ok(parts)
}

/// An error as a setup gives it.
pub fn word(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A memfd that can be sealed: two pages, marked, offset 5, nothing mapped.
pub fn fresh(given: Given) -> Setup {
    with_flags(given, mfd::ALLOW_SEALING)
}

/// As `fresh`, with these flags of `memfd_create(2)`.
pub fn with_flags(given: Given, flags: u32) -> Setup {
    let kind = given.kind;
    let fd = sys::memfd_create("memfd-seals", mfd::CLOEXEC | kind.flags() | flags).map_err(word)?;
    World::over(given, fd, kind.page())
}

/// The usual case: an old writable mapping, then the row's seals. With F_SEAL_WRITE, which is
/// refused while there is such a mapping, there is none.
pub fn sealed(given: Given) -> Setup {
    let world = fresh(given)?;
    let world = if given.seals & seal::WRITE == 0 { world.map(RW)? } else { world };
    world.seal_alone(given.seals)
}

/// The row's seals, and nothing was ever mapped.
pub fn sealed_unmapped(given: Given) -> Setup {
    fresh(given)?.seal_alone(given.seals)
}

/// As `sealed`, acting through another descriptor opened after the seal.
pub fn sealed_reopened(given: Given, flags: c_int) -> Setup {
    sealed(given)?.via(flags)
}

/// A shared mapping of these bytes of the file, aligned to `page`.
pub(crate) fn aligned(fd: &OwnedFd, size: usize, page: usize, prot: c_int) -> Sys<Map> {
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let room = Map::at(0, size + page, libc::PROT_NONE, anonymous, -1, 0)?;
    let addr = room.addr().next_multiple_of(page);
    drop(room);
    Map::at(addr, size, prot, libc::MAP_SHARED, fd.as_raw_fd(), 0)
}

impl World {
    /// Sizes and marks a file, and makes a world of it.
    pub fn over(given: Given, fd: OwnedFd, page: usize) -> Setup {
        let world = World::inherited(given, fd).with_page(page);
        let size = world.size;
        sys::ftruncate(&world.fd, size as i64).map_err(word)?;
        let map = aligned(&world.fd, size, page, RW).map_err(word)?;
        if given.kind == Kind::Thp {
            map.advise(0, size, libc::MADV_HUGEPAGE).map_err(word)?;
        }
        map.store(0, MARK);
        if given.kind != Kind::Hugetlb {
            map.store(page, MARK + 1);
        }
        if !given.kind.is_huge() {
            (64..page).for_each(|at| map.store(at, at as u8));
            (page + 64..size).for_each(|at| map.store(at, (at + 1) as u8));
        }
        if given.kind == Kind::Thp {
            // Two bytes were touched: any smaller pages would not fill the file.
            let blocks = sys::fstat(&world.fd).map_err(word)?.st_blocks;
            same("bytes in huge pages", size as i64, blocks * 512)?;
        }
        world.seek(OFFSET).map_err(word)?;
        world.open_early()
    }

    /// A world over a file that somebody else has made.
    pub(crate) fn inherited(given: Given, fd: OwnedFd) -> World {
        let (old, new, ring, early, before) = (None, None, None, None, None);
        let kept = Vec::new();
        let world = World { given, fd, page: 0, size: 0, old, kept, new, ring, early, before };
        world.with_page(given.kind.page())
    }

    fn with_page(self, page: usize) -> World {
        World { page, size: 2 * page, ..self }
    }

    /// Adds seals, for a setup.
    pub fn seal(self, seals: u32) -> Setup {
        sys::add_seals(&self.fd, seals)
            .map_err(|errno| format!("F_ADD_SEALS {seals:#x}: {errno:?}"))?;
        Ok(self)
    }

    /// As `seal`, and F_SEAL_EXEC brings no others: on an executable file it would.
    pub fn seal_alone(self, seals: u32) -> Setup {
        if seals & seal::EXEC != 0 && self.given.kind.seals() & seal::EXEC == 0 {
            let mode = nix::sys::stat::Mode::from_bits_retain(0o666);
            nix::sys::stat::fchmod(&self.fd, mode).map_err(word)?;
        }
        self.seal(seals)
    }

    /// Maps the whole file shared, as `old`.
    pub fn map(mut self, prot: c_int) -> Setup {
        self.old = Some(self.mmap(prot, libc::MAP_SHARED).map_err(word)?);
        Ok(self)
    }

    /// Opens the file again through /proc and acts through that descriptor from now on.
    pub fn via(mut self, flags: c_int) -> Setup {
        let fd = self.reopen(flags).map_err(|errno| format!("reopen: {errno:?}"))?;
        if flags & libc::O_ACCMODE != libc::O_WRONLY {
            sys::lseek(&fd, OFFSET, nix::unistd::Whence::SeekSet).map_err(word)?;
        }
        let first = std::mem::replace(&mut self.fd, fd);
        self.kept.push(first);
        Ok(self)
    }

    /// Keeps a descriptor open until the case ends.
    pub fn keep(mut self, fd: OwnedFd) -> World {
        self.kept.push(fd);
        self
    }

    /// `/proc/self/fd/N` of the file.
    pub fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }

    /// Opens the file again through /proc.
    pub fn reopen(&self, flags: c_int) -> Sys<OwnedFd> {
        let flags = flags | libc::O_CLOEXEC | sys::O_LARGEFILE;
        let flags = nix::fcntl::OFlag::from_bits_retain(flags);
        nix::fcntl::open(self.path().as_str(), flags, nix::sys::stat::Mode::empty())
    }

    /// `mmap(2)` of the whole file.
    pub fn mmap(&self, prot: c_int, flags: c_int) -> Sys<Map> {
        Map::new(self.size, prot, flags, &self.fd, 0)
    }

    /// `mmap(2)` of the whole file, kept as `new` for `after`.
    pub fn mmap_new(&mut self, prot: c_int, flags: c_int) -> Got {
        self.new = Some(self.mmap(prot, flags)?);
        Ok(0)
    }

    /// `mmap(2)` of twice the file's size, kept as `new` for `after`.
    pub fn mmap_past_eof(&mut self, prot: c_int, flags: c_int) -> Got {
        self.new = Some(Map::new(2 * self.size, prot, flags, &self.fd, 0)?);
        Ok(0)
    }

    /// The mapping from before the seal.
    pub fn old(&self) -> &Map {
        self.old.as_ref().expect("the row's setup maps")
    }

    /// The mapping that the operation made.
    pub fn made(&self) -> &Map {
        self.new.as_ref().expect("the row's op maps")
    }

    /// `pwrite(2)`.
    pub fn pwrite(&self, offset: usize, data: &[u8]) -> Got {
        let args = [self.fd.as_raw_fd() as usize, data.as_ptr() as usize, data.len(), offset, 0, 0];
        Ok(sys::call(libc::SYS_pwrite64, args)?)
    }

    /// `write(2)` at the file's offset.
    pub fn write(&self, data: &[u8]) -> Got {
        let args = [self.fd.as_raw_fd() as usize, data.as_ptr() as usize, data.len(), 0, 0, 0];
        Ok(sys::call(libc::SYS_write, args)?)
    }

    /// `ftruncate(2)`.
    pub fn ftruncate(&self, size: impl Offset) -> Got {
        let args = [self.fd.as_raw_fd() as u64, size.wide(), 0, 0, 0, 0];
        Ok(sys::call64(libc::SYS_ftruncate, args)?)
    }

    /// `fallocate(2)`.
    pub fn fallocate(&self, mode: c_int, offset: impl Offset, len: impl Offset) -> Got {
        let fd = self.fd.as_raw_fd() as u64;
        Ok(sys::call64(libc::SYS_fallocate, [fd, mode as u64, offset.wide(), len.wide(), 0, 0])?)
    }

    /// `fcntl(fd, F_ADD_SEALS, seals)`.
    pub fn add_seals(&self, seals: u32) -> Got {
        Ok(sys::add_seals(&self.fd, seals)?)
    }

    fn seek(&self, offset: i64) -> Sys {
        sys::lseek(&self.fd, offset, nix::unistd::Whence::SeekSet)
    }

    fn looks(&self) -> Result<Looks, String> {
        let reader = File::from(self.reopen(libc::O_RDONLY).map_err(word)?);
        let stat = sys::fstat(&reader).map_err(word)?;
        let contents = sample(&reader, stat.st_size as usize, self.page).map_err(word)?;
        Ok(Looks {
            // An error of O_PATH's, say, is as good to compare as any offset.
            offset: sys::lseek(&self.fd, 0, nix::unistd::Whence::SeekCur),
            size: stat.st_size as u64,
            blocks: stat.st_blocks,
            mode: stat.st_mode,
            // Not through `fd`, which may be a path that says nothing of them.
            seals: sys::get_seals(&reader),
            flags: sys::fcntl(&self.fd, libc::F_GETFL, 0),
            contents: Rc::new(contents),
        })
    }

    /// Remembers how the file looks.
    pub fn remember(&mut self) -> Check {
        self.before = Some(self.looks()?);
        Ok(())
    }

    /// The file looks as it did: offset, size, mode, seals, flags and every byte.
    pub fn unchanged(&self) -> Check {
        self.unchanged_but(|_| {})
    }

    /// As `unchanged`, but for the seals.
    pub fn unchanged_but_seals(&self) -> Check {
        let seals = self.looks()?.seals;
        self.unchanged_but(|looks| looks.seals = seals)
    }

    /// As `unchanged`, but for the blocks.
    pub fn unchanged_but_blocks(&self) -> Check {
        let blocks = sys::fstat(&self.fd).map_err(word)?.st_blocks;
        self.unchanged_but(|looks| looks.blocks = blocks)
    }

    fn unchanged_but(&self, edit: impl Fn(&mut Looks)) -> Check {
        let mut before = self.before.clone().ok_or("nothing was remembered")?;
        edit(&mut before);
        let after = self.looks()?;
        same("offset", before.offset, after.offset)?;
        same("size", before.size, after.size)?;
        same("st_blocks", before.blocks, after.blocks)?;
        same("mode", format!("{:o}", before.mode), format!("{:o}", after.mode))?;
        same("seals", before.seals, after.seals)?;
        same("F_GETFL", before.flags, after.flags)?;
        for ((at, old), (_, new)) in before.contents.iter().zip(after.contents.iter()) {
            if let Some(byte) = (0..old.len()).find(|&byte| old[byte] != new[byte]) {
                let (at, old, new) = (at + byte, old[byte], new[byte]);
                return Err(format!("contents changed: byte {at} was {old:#x}, is {new:#x}"));
            }
        }
        Ok(())
    }

    /// The size is this.
    pub fn size_is(&self, size: impl Offset) -> Check {
        same("size", size.wide() as i64, sys::fstat(&self.fd).map_err(word)?.st_size)
    }

    /// F_GET_SEALS gives exactly these, beside what such a file has from its beginning.
    pub fn seals_are(&self, seals: u32) -> Check {
        let seals = seals | self.given.kind.seals();
        same("seals", Ok(seals as i64), sys::get_seals(&self.fd))
    }

    /// The byte at `offset`, read through a descriptor, is this.
    pub fn byte_is(&self, offset: usize, byte: u8) -> Check {
        let mut got = [0];
        File::from(self.reopen(libc::O_RDONLY).map_err(word)?)
            .read_exact_at(&mut got, offset as u64)
            .map_err(word)?;
        same(&format!("byte {offset}"), byte, got[0])
    }

    /// A store through this mapping is seen by a reader of the file.
    pub fn reaches_file(&self, map: &Map) -> Check {
        map.store(1, 0xc3);
        self.byte_is(1, 0xc3)
    }

    /// A store through this mapping is not seen by a reader of the file.
    pub fn isolated_from_file(&self, map: &Map) -> Check {
        self.byte_is(1, 0)?;
        map.store(1, 0xc3);
        self.byte_is(1, 0)
    }
}

/// Both are the same, or what differs.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, got: T) -> Check {
    if expected == got {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, got {got:?}"))
    }
}

/// The operation must fail with this errno: for a second look in `after`.
pub fn refused(what: &str, errno: Errno, got: Got) -> Check {
    same(what, Err(Stop::Errno(errno)), got)
}

/// Each of them must fail with this errno: the first result that is another, else that errno.
pub fn all_fail(errno: Errno, results: impl IntoIterator<Item = Got>) -> Got {
    let errno = Err(Stop::Errno(errno));
    results.into_iter().find(|got| *got != errno).unwrap_or(errno)
}

/// The same of each: what they all give, for a row whose expectation is about every one.
pub fn each<T: std::fmt::Debug>(
    items: impl IntoIterator<Item = T>,
    mut op: impl FnMut(&T) -> Got,
) -> Got {
    let mut all: Option<Got> = None;
    for item in items {
        let got = op(&item);
        if all.is_some_and(|before| before != got) {
            wrong(format!("{item:?} gave {got:?}, and those before it {all:?}"));
        }
        all = Some(got);
    }
    all.expect("a row names something")
}

/// Runs in a forked child: 0, or the signal that killed it.
pub fn outlives(body: impl FnOnce()) -> Got {
    let ended = sys::in_child(|| {
        body();
        0
    })?;
    match ended {
        Ended::Exit(0) => Ok(0),
        Ended::Exit(code) => panic!("the child exited with {code}"),
        Ended::Signal(signal) => {
            Err(Stop::Signal(Signal::try_from(signal).expect("a known signal")))
        }
    }
}

/// Stores a byte from a forked child, which may be killed.
pub fn store_in_child(map: &Map, offset: usize, byte: u8) -> Got {
    outlives(|| map.store(offset, byte))
}

/// The mapping shows the first page of the file.
pub fn readable(map: &Map) -> Check {
    same("first byte", MARK, map.load(0))
}

/// The mapping shows the second page of a shmem file at its start.
pub fn shows_second_page(map: &Map) -> Check {
    same("first byte", MARK + 1, map.load(0))
}

/// Read-only shared mapping of the whole file.
pub fn map_ro(world: &mut World) -> Got {
    world.mmap_new(RO, libc::MAP_SHARED)
}
