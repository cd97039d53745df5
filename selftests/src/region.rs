// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A region of memory that its sender goes on writing and that nobody else can: Android's
//! CursorWindow. The types keep the order of the steps:
//!
//! 1. [`Unsealed::create`] makes the memfd, [`Unsealed::map`] the one writable mapping,
//! 2. [`Unsealed::seal`] takes the rights of every descriptor away and says what was got,
//! 3. [`Sealed::send`] hands it over a Unix socket,
//! 4. [`receive_and_verify`], in the receiver, trusts nothing but what the kernel says of it.
//!
//! ```
//! use memfd_seals::region::{Unsealed, receive_and_verify};
//! use std::os::unix::net::UnixStream;
//!
//! let (to, from) = UnixStream::pair()?;
//! // The sender.
//! let region = Unsealed::create("window", 8192)?;
//! let window = region.map()?;
//! let region = region.seal()?;
//! region.send(&to)?;
//! window.store(0, 42);
//! // A receiver.
//! let view = receive_and_verify(&from, 8192)?;
//! assert_eq!((view.len(), view.load(0)), (8192, 42));
//! window.store(0, 43);
//! assert_eq!(view.load(0), 43);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is not sealed can't be sent as read-only:
//!
//! ```compile_fail,E0599
//! use memfd_seals::region::Unsealed;
//! use std::os::unix::net::UnixStream;
//!
//! let (to, _from) = UnixStream::pair().unwrap();
//! let region = Unsealed::create("window", 8192).unwrap();
//! region.send(&to); // there is no such method
//! ```
//!
//! # F_SEAL_SEAL
//!
//! Every receiver gets a descriptor that is open for writing, and that is all F_ADD_SEALS asks for.
//! So without F_SEAL_SEAL one receiver can change the seals of all: F_SEAL_WRITE (refused only as
//! long as the sender's mapping lives) has kernels before 6.7 refuse any further shared mapping,
//! read-only ones too, and F_SEAL_SEAL itself takes the choice from the sender. With it, the seals
//! that one receiver has verified are those of all receivers, for ever. The price: the sender can't
//! add F_SEAL_WRITE once it has written all; to freeze a region, send a new one.
//!
//! # What no seal prevents
//!
//! A process that may ptrace the sender writes as the sender. That is decided by uid, user namespace
//! and PR_SET_DUMPABLE, not by this file.

use crate::sys::{self, Map, RO, RW, Sys, mfd, seal};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

/// What a seal keeps everybody but the holder of an older mapping from doing.
///
/// Both: no write(2) of any kind (EPERM), no other size (EPERM), no writable shared mapping, no hole
/// punched; a read-only mapping can't be made writable (EACCES).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// F_SEAL_FS_WRITE: nothing goes through a descriptor. A writable mmap(2) is EACCES, fallocate(2)
    /// is EPERM everywhere. The seal alone implies the other two; SHRINK and GROW are set for
    /// receivers such as udmabuf and Wayland compositors, which look for them by F_GET_SEALS.
    FsWrite,
    /// F_SEAL_FUTURE_WRITE with SHRINK and GROW, where the kernel has no F_SEAL_FS_WRITE. A writable
    /// mmap(2) is EPERM, and fallocate(2) below EOF works: any receiver can have the file's holes
    /// filled with zeroes, which nobody can tell but by the memory that it takes.
    FutureWriteShrinkGrow,
}

impl Guarantee {
    /// The seals that a sender adds.
    pub const fn seals(self) -> u32 {
        match self {
            Guarantee::FsWrite => seal::FS_WRITE | seal::SHRINK | seal::GROW | seal::SEAL,
            Guarantee::FutureWriteShrinkGrow => OLDER | seal::SEAL,
        }
    }

    /// The best that this kernel has.
    pub fn best() -> Sys<Guarantee> {
        Ok(if has_fs_write()? { Guarantee::FsWrite } else { Guarantee::FutureWriteShrinkGrow })
    }
}

/// F_SEAL_FUTURE_WRITE alone would let a receiver shrink the file and grow it again, which zeroes it.
const OLDER: u32 = seal::FUTURE_WRITE | seal::SHRINK | seal::GROW;

/// A memfd of `size` bytes that can be sealed and never executed; executable where the kernel is too
/// old for that (before 6.3).
pub fn memfd_create_region(name: &str, size: usize) -> Sys<OwnedFd> {
    let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING;
    let fd = match sys::memfd_create(name, flags | mfd::NOEXEC_SEAL) {
        Err(Errno::EINVAL) => sys::memfd_create(name, flags)?,
        other => other?,
    };
    sys::ftruncate(&fd, i64::try_from(size).map_err(|_| Errno::EFBIG)?)?;
    Ok(fd)
}

/// A region that everybody who gets at it can write. It can be mapped and sealed, not sent.
#[derive(Debug)]
pub struct Unsealed {
    fd: OwnedFd,
    size: usize,
}

impl Unsealed {
    /// A region of zeroes. The name is for /proc only.
    pub fn create(name: &str, size: usize) -> Sys<Unsealed> {
        Ok(Unsealed { fd: memfd_create_region(name, size)?, size })
    }

    /// The mapping to write through. There is no other time for it than before the seal.
    pub fn map(&self) -> Sys<Writable> {
        Ok(Writable(Map::new(self.size, RW, libc::MAP_SHARED, &self.fd, 0)?))
    }

    /// Seals it as well as this kernel can. Mappings that exist stay as they are.
    pub fn seal(self) -> Sys<Sealed> {
        self.seal_as(Guarantee::best()?)
    }

    /// Seals it in one of the two ways, whatever the kernel makes of that.
    pub fn seal_as(self, guarantee: Guarantee) -> Sys<Sealed> {
        sys::add_seals(&self.fd, guarantee.seals())?;
        Ok(Sealed { fd: self.fd, size: self.size, guarantee })
    }
}

/// The sender's own mapping, which outlives the seal.
#[derive(Debug)]
pub struct Writable(Map);

impl Writable {
    /// Stores the word of this index; what was stored before is seen by who sees this.
    pub fn store(&self, word: usize, value: u64) {
        self.0.word(word).store(value, std::sync::atomic::Ordering::Release);
    }
}

/// A region that can be handed to anybody.
#[derive(Debug)]
pub struct Sealed {
    fd: OwnedFd,
    size: usize,
    guarantee: Guarantee,
}

impl Sealed {
    /// What was got.
    pub fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Sends the descriptor, and the size, over a connected Unix socket. A receiver that is gone is
    /// EPIPE, never SIGPIPE. What is sent is the same open file: its offset is everybody's, so
    /// none should read(2) it.
    pub fn send(&self, socket: &impl AsRawFd) -> Sys<()> {
        send(socket, &[self.fd.as_raw_fd()], self.size as u64)
    }
}

impl AsRawFd for Sealed {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// The message: the size in bytes, little-endian, with one descriptor.
type Size = [u8; 8];

/// Sends any descriptors with any claim, as a sender that is not to be trusted does.
pub(crate) fn send(socket: &impl AsRawFd, fds: &[i32], claim: u64) -> Sys<()> {
    let size: Size = claim.to_le_bytes();
    let (data, rights) = ([IoSlice::new(&size)], [ControlMessage::ScmRights(fds)]);
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    match sendmsg::<()>(socket.as_raw_fd(), &data, rights, MsgFlags::MSG_NOSIGNAL, None)? {
        sent if sent == size.len() => Ok(()),
        _ => Err(Errno::EMSGSIZE),
    }
}

/// Why a receiver does not take what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The sender is gone.
    Gone,
    /// Not a message of `Sealed::send`: this many bytes, this many descriptors.
    Message { bytes: usize, descriptors: usize },
    /// The kernel dropped descriptors on the way (MSG_CTRUNC): this process may have too many open.
    Truncated,
    /// No file that has seals: a pipe, a file of a disk.
    NoMemfd(Errno),
    /// Somebody else may still write or resize it: these are its seals.
    Writable { seals: u32 },
    /// Smaller than it has to be, or than the sender says.
    Short { wanted: u64, size: u64 },
    /// A system call failed otherwise.
    Os(Errno),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Gone => write!(f, "the sender is gone"),
            Refused::Message { bytes, descriptors } => {
                write!(f, "a message of {bytes} bytes with {descriptors} descriptors is no region")
            }
            Refused::Truncated => write!(f, "the kernel dropped descriptors of the message"),
            Refused::NoMemfd(errno) => write!(f, "no memfd: F_GET_SEALS gives {errno:?}"),
            Refused::Writable { seals } => {
                write!(f, "its seals, {seals:#x}, leave others able to write or resize it")
            }
            Refused::Short { wanted, size } => {
                write!(f, "it has {size} bytes in place of {wanted}")
            }
            Refused::Os(errno) => write!(f, "{}", errno.desc()),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Refused {
        Refused::Os(errno)
    }
}

/// A region that was received: nobody but its sender can write it, and nobody can resize it.
#[derive(Debug)]
pub struct ReadOnly {
    fd: OwnedFd,
    map: Map,
    guarantee: Guarantee,
}

impl ReadOnly {
    /// What the seals guarantee.
    pub fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// Size in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// The word of this index; what is loaded after it is not older than it.
    pub fn load(&self, word: usize) -> u64 {
        self.map.word(word).load(std::sync::atomic::Ordering::Acquire)
    }
}

impl AsRawFd for ReadOnly {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl AsFd for ReadOnly {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes a region from a connected Unix socket, of `least` bytes or more, and maps all of it.
///
/// The sender's word counts for nothing: whether the file can still be written is F_GET_SEALS', how
/// large it is fstat(2)'s, in that order, since only the size of a sealed file stays what it is.
pub fn receive_and_verify(socket: &impl AsRawFd, least: usize) -> Result<ReadOnly, Refused> {
    let mut claim: Size = [0; 8];
    let mut got = sys::receive(socket, &mut claim)?;
    let fd = match (got.bytes, got.descriptors.len()) {
        _ if got.truncated => return Err(Refused::Truncated),
        (0, 0) => return Err(Refused::Gone),
        (8, 1) => got.descriptors.remove(0),
        (bytes, descriptors) => return Err(Refused::Message { bytes, descriptors }),
    };
    let guarantee = verify(&fd)?;
    let size = sys::fstat(&fd)?.st_size as u64;
    let wanted = u64::from_le_bytes(claim).max(least as u64).max(1);
    if size < wanted {
        return Err(Refused::Short { wanted, size });
    }
    let len = usize::try_from(size).map_err(|_| Errno::EFBIG)?;
    Ok(ReadOnly { map: Map::new(len, RO, libc::MAP_SHARED, &fd, 0)?, fd, guarantee })
}

/// What the seals of a file guarantee. F_SEAL_WRITE is no such seal: with it the sender can't go on.
fn verify(fd: &OwnedFd) -> Result<Guarantee, Refused> {
    let seals = sys::get_seals(fd).map_err(Refused::NoMemfd)? as u32;
    // The bit alone says nothing on a kernel where it means something else.
    if seals & seal::FS_WRITE != 0 && has_fs_write()? {
        Ok(Guarantee::FsWrite)
    } else if seals & OLDER == OLDER {
        Ok(Guarantee::FutureWriteShrinkGrow)
    } else {
        Err(Refused::Writable { seals })
    }
}

/// What probing F_SEAL_FS_WRITE by its meaning found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// F_ADD_SEALS took it, and a pwrite after it gave EPERM.
    Present,
    /// F_ADD_SEALS refused it.
    Refused(Errno),
    /// F_ADD_SEALS took it and a pwrite after it still worked: the bit means something else.
    Hollow,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Probe::Present => write!(f, "present"),
            Probe::Refused(errno) => write!(f, "absent: F_ADD_SEALS gives {errno:?}"),
            Probe::Hollow => write!(f, "absent: F_ADD_SEALS takes 0x40, but pwrite still works"),
        }
    }
}

/// Probes F_SEAL_FS_WRITE on a scratch memfd.
pub fn probe_seal() -> Probe {
    let attempt = || -> Sys<Probe> {
        let fd = memfd_create_region("probe", 0)?;
        sys::pwritev2(&fd, b"old", 0, 0)?;
        sys::add_seals(&fd, seal::FS_WRITE)?;
        Ok(match sys::pwritev2(&fd, b"new", 0, 0) {
            Err(Errno::EPERM) => Probe::Present,
            _ => Probe::Hollow,
        })
    };
    attempt().unwrap_or_else(Probe::Refused)
}

/// Whether the seal is there, probed once a process. Errors: no telling now, for want of memory or
/// descriptors, say; that is not kept.
fn has_fs_write() -> Sys<bool> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    if let Some(&found) = FOUND.get() {
        return Ok(found);
    }
    let found = match probe_seal() {
        Probe::Present => true,
        Probe::Hollow | Probe::Refused(Errno::EINVAL) => false,
        Probe::Refused(errno) => return Err(errno),
    };
    Ok(*FOUND.get_or_init(|| found))
}
