// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! io_uring: one operation at a time, or a chain of them.

use crate::calls::DATA;
use crate::case::{Given, Got, Setup, Starved};
use crate::sys::{self, Map, Sys};
use crate::world::{World, fresh};
use io_uring::{IoUring, opcode, squeue, types};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// What a request gives that io_uring has no worker for.
pub const NO_WORKER: Starved = Starved::Or(Errno::ECANCELED, "no memory for a worker of io_uring");

fn said(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Why there is no io_uring; none if there is.
pub fn missing() -> Option<String> {
    IoUring::new(4).err().map(|error| format!("no io_uring ({:?})", said(error)))
}

/// A ring, and a buffer of its own that is pinned as its fixed buffer 0.
pub struct Ring {
    ring: IoUring,
    buffer: Option<Map>,
}

impl Ring {
    /// As most programs have it.
    pub fn new() -> Result<Ring, Errno> {
        Ok(Ring { ring: IoUring::new(4).map_err(said)?, buffer: None })
    }

    /// A thread of the kernel's looks for requests.
    pub fn polled() -> Result<Ring, Errno> {
        let ring = IoUring::builder().setup_sqpoll(1).build(4).map_err(said)?;
        Ok(Ring { ring, buffer: None })
    }

    /// Registers a file as the ring's file 0.
    pub fn register(self, fd: &impl AsRawFd) -> Result<Ring, Errno> {
        self.ring.submitter().register_files(&[fd.as_raw_fd()]).map_err(said)?;
        Ok(self)
    }

    /// Pins a page of anonymous memory that holds this.
    pub fn with_buffer(mut self, data: &[u8]) -> Result<Ring, Errno> {
        let map = crate::calls::anonymous(crate::kind::Kind::Shmem.page())?;
        data.iter().enumerate().for_each(|(at, &byte)| map.store(at, byte));
        sys::uring_fix(&self.ring, &map)?;
        self.buffer = Some(map);
        Ok(self)
    }

    /// Submits one request and waits for it.
    pub fn run(&mut self, entry: squeue::Entry) -> Got {
        Ok(sys::uring(&mut self.ring, &entry)?)
    }

    /// Submits requests at once and waits for all: what each gave, in their order.
    pub fn run_all(&mut self, entries: &[squeue::Entry]) -> Result<Vec<Got>, Errno> {
        let values = sys::uring_all(&mut self.ring, entries)?;
        Ok(values.into_iter().map(|value| Ok(value?)).collect())
    }

    /// IORING_OP_WRITE_FIXED of bytes of the ring's own buffer.
    pub fn write_fixed(&mut self, fd: Fd, len: u32, offset: u64) -> Got {
        let from = self.buffer.as_ref().expect("with_buffer").addr() as *const u8;
        let entry = match fd {
            Fd::Number(fd) => opcode::WriteFixed::new(types::Fd(fd), from, len, 0),
            Fd::Registered => opcode::WriteFixed::new(types::Fixed(0), from, len, 0),
        };
        self.run(entry.offset(offset).build())
    }
}

/// How a request names its file.
#[derive(Clone, Copy)]
pub enum Fd {
    /// By descriptor.
    Number(RawFd),
    /// As the ring's file 0.
    Registered,
}

impl Fd {
    /// The world's descriptor.
    pub fn of(world: &World) -> Fd {
        Fd::Number(world.fd.as_raw_fd())
    }
}

/// IORING_OP_WRITE with these RWF flags.
pub fn write(fd: Fd, data: &[u8], offset: u64, flags: i32) -> squeue::Entry {
    let (from, len) = (data.as_ptr(), data.len() as u32);
    let entry = match fd {
        Fd::Number(fd) => opcode::Write::new(types::Fd(fd), from, len),
        Fd::Registered => opcode::Write::new(types::Fixed(0), from, len),
    };
    entry.offset(offset).rw_flags(flags).build()
}

/// IORING_OP_WRITEV of one part. Both must outlive the request.
pub fn writev(world: &World, parts: &[libc::iovec], offset: u64) -> squeue::Entry {
    let fd = types::Fd(world.fd.as_raw_fd());
    opcode::Writev::new(fd, parts.as_ptr(), parts.len() as u32).offset(offset).build()
}

/// IORING_OP_SPLICE from a pipe.
pub fn splice(world: &World, pipe: &impl AsRawFd, offset: i64, len: u32) -> squeue::Entry {
    let (from, to) = (types::Fd(pipe.as_raw_fd()), types::Fd(world.fd.as_raw_fd()));
    opcode::Splice::new(from, -1, to, offset, len).build()
}

/// IORING_OP_READ of the file's first bytes to an address.
pub fn read(from: &impl AsRawFd, to: usize, len: u32) -> Got {
    let fd = types::Fd(from.as_raw_fd());
    let entry = opcode::Read::new(fd, to as *mut u8, len).offset(0).build();
    Ring::new()?.run(entry)
}

/// IORING_OP_FTRUNCATE.
pub fn ftruncate(fd: Fd, size: usize) -> squeue::Entry {
    match fd {
        Fd::Number(fd) => opcode::Ftruncate::new(types::Fd(fd), size as u64).build(),
        Fd::Registered => opcode::Ftruncate::new(types::Fixed(0), size as u64).build(),
    }
}

/// IORING_OP_FTRUNCATE of a file that may be emptied.
pub fn truncates(fd: &impl AsRawFd) -> Sys {
    let mut ring = IoUring::new(4).map_err(said)?;
    sys::uring(&mut ring, &ftruncate(Fd::Number(fd.as_raw_fd()), 0))
}

/// IORING_OP_FALLOCATE.
pub fn fallocate(fd: Fd, mode: i32, offset: usize, len: usize) -> squeue::Entry {
    let (offset, len) = (offset as u64, len as u64);
    let entry = match fd {
        Fd::Number(fd) => opcode::Fallocate::new(types::Fd(fd), len),
        Fd::Registered => opcode::Fallocate::new(types::Fixed(0), len),
    };
    entry.offset(offset).mode(mode).build()
}

/// IORING_OP_OPENAT of a path that must outlive the request.
pub fn open(path: &std::ffi::CStr, flags: i32) -> squeue::Entry {
    opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).flags(flags).build()
}

/// IORING_OP_FSYNC.
pub fn fsync(fd: Fd) -> squeue::Entry {
    match fd {
        Fd::Number(fd) => opcode::Fsync::new(types::Fd(fd)).build(),
        Fd::Registered => opcode::Fsync::new(types::Fixed(0)).build(),
    }
}

/// One request on a ring of its own.
pub fn once(entry: squeue::Entry) -> Got {
    Ring::new()?.run(entry)
}

/// A file whose seals come after a ring that has it registered, with a fixed buffer of `DATA`.
pub fn registered(given: Given) -> Setup {
    in_ring(given, Ring::new())
}

/// The same with a ring of which a thread of the kernel's takes its requests.
pub fn polled(given: Given) -> Setup {
    in_ring(given, Ring::polled())
}

fn in_ring(given: Given, ring: Result<Ring, Errno>) -> Setup {
    let mut world = fresh(given)?;
    let ring = ring.and_then(|ring| ring.with_buffer(DATA)?.register(&world.fd));
    world.ring = Some(ring.map_err(|errno| format!("ring: {errno:?}"))?);
    world.seal_alone(given.seals)
}

/// The ring that one of these made.
pub fn ring(f: &mut World) -> &mut Ring {
    f.ring.as_mut().expect("the setup makes a ring")
}

/// A ring that has a mapping pinned as its fixed buffer.
pub struct Fixed(IoUring);

impl Fixed {
    /// Pins the mapping's pages.
    pub fn pin(map: &Map) -> Result<Fixed, Errno> {
        let ring = IoUring::new(4).map_err(said)?;
        sys::uring_fix(&ring, map)?;
        Ok(Fixed(ring))
    }

    /// IORING_OP_READ_FIXED: `len` bytes of `from` into the pinned pages at `to`.
    pub fn read(&mut self, from: &impl AsRawFd, to: usize, len: u32) -> Got {
        let fd = types::Fd(from.as_raw_fd());
        let entry = opcode::ReadFixed::new(fd, to as *mut u8, len, 0).build();
        Ok(sys::uring(&mut self.0, &entry)?)
    }

    /// The ring, with its pinned pages and without its mappings.
    pub fn into_fd(self) -> Result<OwnedFd, Errno> {
        Ok(sys::own(sys::fcntl(&self.0, libc::F_DUPFD_CLOEXEC, 0)? as i32))
    }
}

/// IORING_UNREGISTER_BUFFERS: the pages are let go of before this returns.
pub fn unregister(ring: &OwnedFd) -> Sys {
    let buffers = 1;
    let args = [ring.as_raw_fd() as usize, buffers, 0, 0, 0, 0];
    sys::call(libc::SYS_io_uring_register, args)
}
