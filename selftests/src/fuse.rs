// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A FUSE file system that is one file, and the forked child that serves it
//! (`include/uapi/linux/fuse.h`).
//!
//! Its root is the file, and it is mounted nowhere: no names, so five requests are all of the
//! protocol. The crates for FUSE bring threads or a dozen crates with them, and a server is forked
//! here from a process of one thread, which must stay small.

use crate::sys::{self, Sys};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

/// What is behind the file.
pub enum Behind {
    /// This file: reads, writes and mappings are passed through to it.
    File(OwnedFd),
    /// Bytes of this value, which a read waits for until it is let go.
    Held(u8),
}

/// The mounted file, and the ends of what its server waits for and tells. The server ends when the
/// process that started it does.
pub struct Mounted {
    root: OwnedFd,
    /// Closing it lets the reads go that are held.
    pub go: OwnedFd,
    arrived: File,
}

mod op {
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const RELEASE: u32 = 18;
    pub const INIT: u32 = 26;
    pub const INTERRUPT: u32 = 36;
    pub const BATCH_FORGET: u32 = 42;
}

const MAJOR: u32 = 7;
const MINOR: u32 = 40;
const INIT_EXT: u32 = 1 << 30;
/// FUSE_PASSTHROUGH is bit 37.
const FLAGS2_PASSTHROUGH: u32 = 1 << (37 - 32);
const FOPEN_DIRECT_IO: u32 = 1 << 0;
const FOPEN_PASSTHROUGH: u32 = 1 << 7;
const DEV_IOC_BACKING_OPEN: usize = 0x4010_e501;
const MAX_WRITE: u32 = 4096;
/// More than any request that the kernel has for such a MAX_WRITE.
const REQUEST: usize = 64 << 10;

/// Of fuse_in_header.
const HEADER: usize = 40;

/// Mounts the file and forks its server. Errors: what could not be done.
pub fn mount(behind: Behind) -> Result<Mounted, String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let device = device.map_err(|error| format!("/dev/fuse: {error}"))?;
    let root = mounted(&device).map_err(|errno| format!("mounting FUSE: {errno:?}"))?;
    let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| format!("{e:?}"));
    let ((held, go), (arrived, tell)) = (pipe()?, pipe()?);
    let not_ours = [go.as_raw_fd(), root.as_raw_fd()];
    sys::fork(move || {
        sys::die_with_parent();
        // Or it would hold its own reads back, and keep its own mount.
        not_ours.into_iter().for_each(|fd| drop(sys::own(fd)));
        let mut server =
            Server { device, behind, held: File::from(held), tell: File::from(tell), id: 0 };
        while server.answer().is_some() {}
        0
    })
    .map_err(|errno| format!("fork: {errno:?}"))?;
    Ok(Mounted { root, go, arrived: File::from(arrived) })
}

fn mounted(device: &File) -> Sys<OwnedFd> {
    const SET_STRING: usize = 1;
    const CMD_CREATE: usize = 6;
    const CLOEXEC: usize = 1;
    let context = sys::call(libc::SYS_fsopen, [c"fuse".as_ptr() as usize, CLOEXEC, 0, 0, 0, 0])?;
    let context = sys::own(context as i32);
    let fs = context.as_raw_fd() as usize;
    let device = format!("{}\0", device.as_raw_fd());
    let options = [
        ("fd\0", &*device),
        ("rootmode\0", "100600\0"),
        ("user_id\0", "0\0"),
        ("group_id\0", "0\0"),
    ];
    for (key, value) in options {
        let (key, value) = (key.as_ptr() as usize, value.as_ptr() as usize);
        sys::call(libc::SYS_fsconfig, [fs, SET_STRING, key, value, 0, 0])?;
    }
    sys::call(libc::SYS_fsconfig, [fs, CMD_CREATE, 0, 0, 0, 0])?;
    Ok(sys::own(sys::call(libc::SYS_fsmount, [fs, CLOEXEC, 0, 0, 0, 0])? as i32))
}

impl Mounted {
    /// Opens the file.
    pub fn open(&self, flags: libc::c_int) -> Sys<OwnedFd> {
        let path = format!("/proc/self/fd/{}", self.root.as_raw_fd());
        let flags = nix::fcntl::OFlag::from_bits_retain(flags | libc::O_CLOEXEC);
        nix::fcntl::open(path.as_str(), flags, nix::sys::stat::Mode::empty())
    }

    /// Waits until a read has come to the server, which holds it.
    pub fn wait_for_read(&mut self) -> Result<(), String> {
        self.arrived.read_exact(&mut [0]).map_err(|error| format!("no read came: {error}"))
    }
}

/// Why there is no FUSE, or none that passes mappings through; none if there is.
pub fn missing() -> Option<String> {
    let probe = || -> Result<(), String> {
        let memfd = sys::memfd_create("probe", sys::mfd::CLOEXEC);
        let memfd = memfd.map_err(|errno| format!("memfd_create: {errno:?}"))?;
        let opened = mount(Behind::File(memfd))?.open(libc::O_RDWR);
        opened.map(drop).map_err(|errno| format!("no FUSE passthrough ({errno:?})"))
    };
    probe().err()
}

struct Server {
    device: File,
    behind: Behind,
    held: File,
    tell: File,
    /// Of the file behind, as the kernel knows it; 0 until it does.
    id: i32,
}

/// Numbers, one after the other, as a C structure has them.
struct Words(Vec<u8>);

impl Words {
    fn u32s(mut self, words: &[u32]) -> Words {
        words.iter().for_each(|word| self.0.extend(word.to_ne_bytes()));
        self
    }

    fn u64s(mut self, words: &[u64]) -> Words {
        words.iter().for_each(|word| self.0.extend(word.to_ne_bytes()));
        self
    }
}

impl Server {
    /// One request; none when the file system is gone.
    fn answer(&mut self) -> Option<()> {
        let mut request = vec![0; REQUEST];
        // One request a read, and always a whole one.
        let len = self.device.read(&mut request).ok()?;
        debug_assert!(len >= HEADER);
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().expect("4 bytes"));
        let (opcode, unique) = (word(4), [word(8), word(12)]);
        // Only fuse_read_in has it.
        let size = word(HEADER + 16);
        let given = match opcode {
            op::FORGET | op::BATCH_FORGET | op::INTERRUPT => return Some(()),
            op::INIT => Ok(init()),
            op::GETATTR => Ok(attributes()),
            op::OPEN => self.open(),
            op::READ => Ok(self.read(size)),
            op::RELEASE => Ok(Words(Vec::new())),
            _ => Err(Errno::ENOSYS),
        };
        let (error, Words(body)) = match given {
            Ok(body) => (0, body),
            Err(errno) => (-(errno as i32), Words(Vec::new())),
        };
        let head = [16 + body.len() as u32, error as u32, unique[0], unique[1]];
        let Words(mut reply) = Words(Vec::new()).u32s(&head);
        reply.extend(body);
        // A request that was interrupted is no longer there to be answered.
        let _ = self.device.write(&reply);
        Some(())
    }

    fn open(&mut self) -> Result<Words, Errno> {
        let flags = match &self.behind {
            Behind::Held(_) => FOPEN_DIRECT_IO,
            Behind::File(file) => {
                // There is one backing file for an inode, whoever opens it.
                if self.id == 0 {
                    let map = [file.as_raw_fd(), 0, 0, 0];
                    let device = self.device.as_raw_fd() as usize;
                    let args = [device, DEV_IOC_BACKING_OPEN, map.as_ptr() as usize, 0, 0, 0];
                    self.id = sys::call(libc::SYS_ioctl, args)? as i32;
                }
                FOPEN_PASSTHROUGH
            }
        };
        Ok(Words(Vec::new()).u64s(&[0]).u32s(&[flags, self.id as u32]))
    }

    fn read(&mut self, size: u32) -> Words {
        let Behind::Held(byte) = self.behind else { return Words(Vec::new()) };
        let _ = self.tell.write_all(&[1]);
        // Until the other end is closed.
        let _ = self.held.read(&mut [0]);
        Words(vec![byte; size as usize])
    }
}

/// fuse_init_out.
fn init() -> Words {
    let (queues, granularity, pages, stacked) = (0, 1, 1, 1);
    let known = [MAJOR, MINOR, 0, INIT_EXT, queues, MAX_WRITE, granularity, pages];
    Words(Vec::new()).u32s(&known).u32s(&[FLAGS2_PASSTHROUGH, stacked]).u32s(&[0; 6])
}

/// fuse_attr_out of a regular file that is forgotten at once.
fn attributes() -> Words {
    let (inode, size) = (1, u64::from(MAX_WRITE));
    let (mode, links) = (libc::S_IFREG | 0o600, 1);
    Words(Vec::new())
        .u64s(&[0, 0, inode, size, 0, 0, 0, 0])
        .u32s(&[0, 0, 0, mode, links, 0, 0, 0, MAX_WRITE, 0])
}
