// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Offsets and sizes of 64 bits, for programs whose registers have 32: the kernel takes them in two,
//! by calls of other numbers.

use super::{Sys, fstat_raw, raw};
use libc::{c_int, c_long};
use nix::unistd::Whence;
use std::os::fd::AsRawFd;

/// Numbers that are the same everywhere; not every libc knows them.
pub const SYS_FCHMODAT2: c_long = 452;
pub const SYS_MSEAL: c_long = 462;

#[cfg(target_arch = "x86")]
mod nr {
    pub const SYS_SHMGET: libc::c_long = 395;
    pub const SYS_SHMCTL: libc::c_long = 396;
    pub const SYS_SHMAT: libc::c_long = 397;
}
#[cfg(not(target_arch = "x86"))]
mod nr {
    pub use libc::{SYS_shmat as SYS_SHMAT, SYS_shmctl as SYS_SHMCTL, SYS_shmget as SYS_SHMGET};
}
#[cfg(target_arch = "arm")]
mod by_arch {
    pub use libc::{
        SYS_arm_fadvise64_64 as SYS_FADVISE64, SYS_arm_sync_file_range as SYS_SYNC_FILE_RANGE,
        SYS_mmap2 as SYS_MMAP,
    };
}
#[cfg(not(target_arch = "arm"))]
mod by_arch {
    pub use libc::{
        SYS_fadvise64 as SYS_FADVISE64, SYS_mmap as SYS_MMAP,
        SYS_sync_file_range as SYS_SYNC_FILE_RANGE,
    };
}
pub use by_arch::*;
pub use nr::*;

/// O_LARGEFILE as the kernel has it: libc says 0 where every file is large.
pub const O_LARGEFILE: c_int =
    if cfg!(any(target_arch = "aarch64", target_arch = "arm")) { 0o400000 } else { 0o100000 };

/// `F_SETLK` of a `struct flock` that has 64 bits for an offset.
pub const F_SETLK: c_int = if cfg!(target_pointer_width = "64") { libc::F_SETLK } else { 13 };

/// Any system call, its arguments as a 64-bit kernel takes them: one word each. Where this program
/// has words of 32 bits, the call that takes as much is made.
#[cfg(target_pointer_width = "64")]
pub fn call64(nr: c_long, args: [u64; 6]) -> Sys {
    raw(nr, args.map(|arg| arg as usize))
}

/// Any system call, its arguments as a 64-bit kernel takes them: one word each. Where this program
/// has words of 32 bits, the call that takes as much is made.
///
/// Panics for a mapping at an offset that no such call can name.
#[cfg(target_pointer_width = "32")]
pub fn call64(nr: c_long, args: [u64; 6]) -> Sys {
    let [a, b, c, d, e, f] = args;
    let short = |nr, args: [u64; 6]| raw(nr, args.map(|arg| arg as usize));
    match nr {
        libc::SYS_pread64 | libc::SYS_pwrite64 => Words::of(&[a, b, c]).pair(d).call(nr),
        // The halves of these never move to an even register.
        libc::SYS_preadv | libc::SYS_pwritev => short(nr, [a, b, c, d, d >> 32, 0]),
        libc::SYS_preadv2 | libc::SYS_pwritev2 => short(nr, [a, b, c, d, d >> 32, f]),
        libc::SYS_fallocate => Words::of(&[a, b]).pair(c).pair(d).call(nr),
        libc::SYS_ftruncate => Words::of(&[a]).pair(b).call(libc::SYS_ftruncate64),
        libc::SYS_truncate => Words::of(&[a]).pair(b).call(libc::SYS_truncate64),
        libc::SYS_readahead => Words::of(&[a]).pair(b).word(c).call(nr),
        SYS_FADVISE64 | SYS_SYNC_FILE_RANGE if cfg!(target_arch = "arm") => {
            Words::of(&[a, d]).pair(b).pair(c).call(nr)
        }
        SYS_SYNC_FILE_RANGE => Words::of(&[a]).pair(b).pair(c).word(d).call(nr),
        #[cfg(target_arch = "x86")]
        SYS_FADVISE64 => Words::of(&[a]).pair(b).pair(c).word(d).call(libc::SYS_fadvise64_64),
        libc::SYS_lseek => {
            let mut here = 0i64;
            short(libc::SYS__llseek, [a, b >> 32, b, &raw mut here as u64, c, 0])?;
            Ok(here)
        }
        SYS_MMAP => {
            // In units of 4 KiB, whatever the size of a page.
            assert!(f % 4096 == 0 && f >> 44 == 0, "mmap2(2) can't name {f:#x}");
            short(libc::SYS_mmap2, [a, b, c, d, e, f >> 12])
        }
        libc::SYS_fcntl => short(libc::SYS_fcntl64, args),
        libc::SYS_sendfile => short(libc::SYS_sendfile64, args),
        libc::SYS_fchown => short(libc::SYS_fchown32, args),
        _ => short(nr, args),
    }
}

/// Arguments, as registers of 32 bits have them, and how many there are. In no vector: a child of
/// several threads, which must not allocate, makes calls too.
#[cfg(target_pointer_width = "32")]
struct Words([usize; 6], usize);

#[cfg(target_pointer_width = "32")]
impl Words {
    fn of(words: &[u64]) -> Words {
        words.iter().fold(Words([0; 6], 0), |all, &word| all.word(word))
    }

    fn word(mut self, word: u64) -> Words {
        self.0[self.1] = word as usize;
        self.1 += 1;
        self
    }

    /// 64 bits; on ARM they start in an even register.
    fn pair(mut self, value: u64) -> Words {
        if cfg!(target_arch = "arm") {
            self.1 = self.1.next_multiple_of(2);
        }
        self.word(value).word(value >> 32)
    }

    fn call(self, nr: c_long) -> Sys {
        raw(nr, self.0)
    }
}

/// An offset or a size in a file, of whatever type a row has it.
pub trait Offset {
    /// As the kernel takes it; what is negative stays it.
    fn wide(self) -> u64;
}

impl Offset for usize {
    fn wide(self) -> u64 {
        self as u64
    }
}

impl Offset for i64 {
    fn wide(self) -> u64 {
        self as u64
    }
}

/// For literals.
impl Offset for i32 {
    fn wide(self) -> u64 {
        i64::from(self) as u64
    }
}

/// `fstat(2)`.
pub fn fstat(fd: &impl AsRawFd) -> Sys<libc::stat64> {
    fstat_raw(fd.as_raw_fd())
}

/// `ftruncate(2)`.
pub fn ftruncate(fd: &impl AsRawFd, size: i64) -> Sys<()> {
    call64(libc::SYS_ftruncate, [fd.as_raw_fd() as u64, size as u64, 0, 0, 0, 0]).map(|_| ())
}

/// `truncate(2)`.
pub fn truncate(path: &str, size: i64) -> Sys<()> {
    let path = std::ffi::CString::new(path).map_err(|_| nix::errno::Errno::EINVAL)?;
    call64(libc::SYS_truncate, [path.as_ptr() as u64, size as u64, 0, 0, 0, 0]).map(|_| ())
}

/// `lseek(2)`.
pub fn lseek(fd: &impl AsRawFd, to: i64, whence: Whence) -> Sys {
    let whence = whence as c_int as u64;
    call64(libc::SYS_lseek, [fd.as_raw_fd() as u64, to as u64, whence, 0, 0, 0])
}

/// `pread(2)`.
pub fn pread(fd: &impl AsRawFd, to: &mut [u8], at: i64) -> Sys<usize> {
    let (fd, len) = (fd.as_raw_fd() as u64, to.len() as u64);
    let args = [fd, to.as_mut_ptr() as u64, len, at as u64, 0, 0];
    call64(libc::SYS_pread64, args).map(|count| count as usize)
}

/// `pwrite(2)`.
pub fn pwrite(fd: &impl AsRawFd, data: &[u8], at: i64) -> Sys<usize> {
    let (fd, len) = (fd.as_raw_fd() as u64, data.len() as u64);
    let args = [fd, data.as_ptr() as u64, len, at as u64, 0, 0];
    call64(libc::SYS_pwrite64, args).map(|count| count as usize)
}

/// `fallocate(2)`.
pub fn fallocate(fd: &impl AsRawFd, mode: c_int, at: i64, len: i64) -> Sys {
    let args = [fd.as_raw_fd() as u64, mode as u64, at as u64, len as u64, 0, 0];
    call64(libc::SYS_fallocate, args)
}
