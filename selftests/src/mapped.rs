// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Mappings: how rows make them before and after a seal, and what the kernel says of them.

use crate::case::{Check, Given, Got, Setup};
use crate::sys::{self, Map, RO, RW, Sys, mfd, seal};
use crate::world::{World, fresh, same, sealed_unmapped, word};
use libc::c_int;
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_EXEC, PROT_NONE, PROT_WRITE};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Writes and executes.
pub const WX: c_int = PROT_WRITE | PROT_EXEC;
/// Reads, writes and executes.
pub const RWX: c_int = RW | PROT_EXEC;
/// Reads and executes.
pub const RX: c_int = RO | PROT_EXEC;

/// `madvise(2)`: the pages are made to be there, for reading.
pub const MADV_POPULATE_READ: c_int = 22;
/// The same, for writing.
pub const MADV_POPULATE_WRITE: c_int = 23;

/// `madvise(2)`: small pages are put together to huge ones.
pub const MADV_COLLAPSE: c_int = 25;

/// Each seal that leaves old writable mappings alone.
pub const LATER: &[u32] = &[seal::FS_WRITE, seal::FUTURE_WRITE];
/// The same, alone and together.
pub const LATERS: &[u32] =
    &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::FS_WRITE | seal::FUTURE_WRITE];
/// Each set of seals under which a writable mapping is EPERM.
pub const EPERMS: &[u32] = &[
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::WRITE | seal::FUTURE_WRITE,
    seal::WRITE | seal::FS_WRITE,
    seal::FUTURE_WRITE | seal::FS_WRITE,
    seal::WRITE | seal::FUTURE_WRITE | seal::FS_WRITE,
];
/// The seals that were there before, each alone.
pub const OLDER: &[u32] = &[seal::WRITE, seal::FUTURE_WRITE];
/// Seals that are not about writing, and none.
pub const HARMLESS: &[u32] =
    &[0, seal::SEAL, seal::SHRINK, seal::GROW, seal::SEAL | seal::SHRINK | seal::GROW];

/// The row's seals, then a read-only shared mapping as `old`.
pub fn new_ro(given: Given) -> Setup {
    sealed_unmapped(given)?.map(RO)
}

/// A read-only shared mapping of an O_RDWR descriptor as `old`, then the row's seals.
pub fn old_ro(given: Given) -> Setup {
    fresh(given)?.map(RO)?.seal(given.seals)
}

/// The row's seals, then a private mapping as `old`.
pub fn private(given: Given, prot: c_int) -> Setup {
    sealed_unmapped(given)?.map_private(prot)
}

/// A private read-only mapping made after the seals.
pub fn private_ro(given: Given) -> Setup {
    private(given, RO)
}

/// A private writable mapping made after the seals.
pub fn private_rw(given: Given) -> Setup {
    private(given, RW)
}

/// `mmap(2)` MAP_SHARED of the whole file, for rows.
pub fn shared<const PROT: c_int, const FLAGS: c_int>(world: &mut World) -> Got {
    world.mmap_new(PROT, MAP_SHARED | FLAGS)
}

/// `mprotect(2)` of `old`, for rows.
pub fn protect<const PROT: c_int>(world: &mut World) -> Got {
    Ok(world.old().protect(PROT)?)
}

impl World {
    /// Maps the whole file private, as `old`.
    pub fn map_private(mut self, prot: c_int) -> Setup {
        self.old = Some(self.mmap(prot, MAP_PRIVATE).map_err(word)?);
        Ok(self)
    }

    /// Adds another memfd of the same kind and size that no seal is on, as the last one kept.
    pub fn beside_another(self) -> Setup {
        let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING | self.given.kind.flags();
        let other = sys::memfd_create("another", flags).map_err(word)?;
        sys::ftruncate(&other, self.size as i64).map_err(word)?;
        Ok(self.keep(other))
    }

    /// The descriptor that was kept last.
    pub fn last(&self) -> &OwnedFd {
        self.kept.last().expect("the row's setup keeps one")
    }

    /// `mprotect(2)` of `len` bytes at `at` of `old`.
    pub fn protect_part(&self, at: usize, len: usize, prot: c_int) -> Got {
        let args = [self.old().addr() + at, len, prot as usize, 0, 0, 0];
        Ok(sys::call(libc::SYS_mprotect, args)?)
    }

    /// `mmap(2)` MAP_FIXED over this mapping, which goes on to own what is there then.
    pub fn mmap_over(&self, map: &Map, prot: c_int, flags: c_int) -> Got {
        let fd = self.fd.as_raw_fd();
        let new = Map::at(map.addr(), map.len(), prot, flags | MAP_FIXED, fd, 0)?;
        std::mem::forget(new);
        Ok(0)
    }

    /// Unmaps `len` bytes at `at` of `old`, which still owns what is left on both sides.
    pub fn unmap_part(&self, at: usize, len: usize) -> Sys {
        sys::call(libc::SYS_munmap, [self.old().addr() + at, len, 0, 0, 0, 0])
    }

    /// A store to this mapping of the second page is seen by a reader of the file.
    pub fn second_reaches_file(&self, map: &Map, at: usize) -> Check {
        map.store(at + 2, 0xc4);
        self.byte_is(self.page + 2, 0xc4)
    }
}

/// Anonymous memory, aligned so that any kind of file can be mapped over it.
pub fn room(world: &World, prot: c_int) -> Sys<Map> {
    let (size, align) = (world.size, world.page);
    let flags = MAP_PRIVATE | MAP_ANONYMOUS;
    let all = Map::at(0, size + align, PROT_NONE, flags, -1, 0)?;
    let addr = all.addr().next_multiple_of(align);
    drop(all);
    Map::at(addr, size, prot, flags, -1, 0)
}

impl Map {
    /// `mremap(2)` to where another mapping is, which is replaced.
    pub fn move_over(self, target: Map) -> Sys<Map> {
        let flags = (libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED) as usize;
        let args = [self.addr(), self.len(), self.len(), flags, target.addr(), 0];
        sys::call(libc::SYS_mremap, args)?;
        // Nothing is left behind.
        std::mem::forget(self);
        Ok(target)
    }
}

/// What /proc/self/smaps says under this word of the mapping at this address.
pub fn smaps(addr: usize, word: &str) -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/self/smaps").map_err(|error| error.to_string())?;
    let start = format!("{addr:x}-");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&start));
    let line = lines.find_map(|line| line.strip_prefix(word));
    let line = line.ok_or_else(|| format!("/proc/self/smaps has no {word} at {addr:#x}"))?;
    Ok(line.trim().to_owned())
}

/// 1 if the kernel may make `old` writable, else 0.
pub fn may_write(world: &mut World) -> Got {
    let flags = smaps(world.old().addr(), "VmFlags:").expect("/proc/self/smaps");
    Ok(i64::from(flags.split_whitespace().any(|flag| flag == "mw")))
}

/// The mapping's permissions as /proc/self/maps shows them: `r--s` and the like.
pub fn permissions(map: &Map) -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/self/maps").map_err(word)?;
    let start = format!("{:x}-", map.addr());
    let line = text.lines().find(|line| line.starts_with(&start));
    let shown = line.and_then(|line| line.split_whitespace().nth(1));
    shown.map(str::to_owned).ok_or_else(|| "no such line in /proc/self/maps".into())
}

/// The mapping has these permissions.
pub fn permits(map: &Map, shown: &str) -> Check {
    same("permissions", shown.to_owned(), permissions(map)?)
}

/// F_SEAL_WRITE succeeds once nothing is mapped any more: no count was left behind.
pub fn no_count_left(world: &mut World) -> Check {
    (world.old, world.new) = (None, None);
    same("F_SEAL_WRITE", Ok(0), world.add_seals(seal::WRITE))
}

/// A forked child performs the operation: what it got, an errno included.
pub fn child_gets(body: impl FnOnce() -> Sys) -> Got {
    match sys::in_child(|| body().err().map_or(0, |errno| errno as i32))? {
        sys::Ended::Exit(0) => Ok(0),
        sys::Ended::Exit(errno) => Err(Errno::from_raw(errno).into()),
        sys::Ended::Signal(signal) => panic!("the child died by signal {signal}"),
    }
}

/// `madvise(2)` on all of `old`, for rows.
pub fn vm_advise(world: &World, advice: c_int) -> Got {
    Ok(world.old().advise(0, world.old().len(), advice)?)
}
