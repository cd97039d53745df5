// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! iommufd (`include/uapi/linux/iommufd.h`), and the access of its selftest, which stands for a
//! device's (`drivers/iommu/iommufd/iommufd_test.h`).

use crate::sys::{self, Sys};
use crate::world::World;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

const IOAS_ALLOC: usize = 0x3b81;
const IOAS_MAP_FILE: usize = 0x3b8f;
const TEST_CMD: usize = 0x3ba0;

const MAP_WRITEABLE: u32 = 1 << 1;
const MAP_READABLE: u32 = 1 << 2;

const TEST_OP_CREATE_ACCESS: u32 = 5;
const TEST_OP_ACCESS_RW: u32 = 8;
const ACCESS_RW_WRITE: u64 = 1;

#[repr(C)]
struct IoasAlloc {
    size: u32,
    flags: u32,
    id: u32,
}

#[repr(C)]
struct IoasMapFile {
    size: u32,
    flags: u32,
    ioas: u32,
    fd: i32,
    start: u64,
    length: u64,
    iova: u64,
}

#[repr(C)]
#[derive(Default)]
struct TestCmd {
    size: u32,
    op: u32,
    id: u32,
    reserved: u32,
    /// As each operation has it.
    args: [u64; 6],
    last: u32,
}

/// The addresses of a device that may reach what is mapped there.
pub struct Space {
    iommufd: OwnedFd,
    id: u32,
    access: OwnedFd,
}

impl Space {
    /// One with nothing in it.
    pub fn new() -> Result<Space, String> {
        let path = "/dev/iommu";
        let device = std::fs::OpenOptions::new().read(true).write(true).open(path);
        let iommufd = OwnedFd::from(device.map_err(|error| format!("{path}: {error}"))?);
        let mut ioas = IoasAlloc { size: size_of::<IoasAlloc>() as u32, flags: 0, id: 0 };
        ioctl(&iommufd, IOAS_ALLOC, &raw mut ioas as usize)
            .map_err(|errno| format!("IOMMU_IOAS_ALLOC: {errno:?}"))?;
        let mut test = TestCmd { op: TEST_OP_CREATE_ACCESS, id: ioas.id, ..TestCmd::default() };
        let fd = test
            .run(&iommufd)
            .map_err(|errno| format!("no access of iommufd's selftest ({errno:?})"))
            .map(|()| test.args[0] as u32)?;
        Ok(Space { iommufd, id: ioas.id, access: sys::own(fd as i32) })
    }

    /// IOMMU_IOAS_MAP_FILE of the whole file, for a device that reads, and writes if `writable`.
    pub fn map(&self, world: &World, writable: bool) -> Sys<u64> {
        let flags = if writable { MAP_WRITEABLE } else { 0 };
        let fd = world.fd.as_raw_fd();
        let mut map = IoasMapFile { fd, ..self.whole(flags, world.size) };
        ioctl(&self.iommufd, IOAS_MAP_FILE, &raw mut map as usize)?;
        Ok(map.iova)
    }

    fn whole(&self, flags: u32, length: usize) -> IoasMapFile {
        let (size, flags) = (size_of::<IoasMapFile>() as u32, MAP_READABLE | flags);
        let length = length as u64;
        IoasMapFile { size, flags, ioas: self.id, fd: -1, start: 0, length, iova: 0 }
    }

    /// The device stores a byte.
    pub fn store(&self, at: u64, byte: u8) -> Sys {
        self.rw(at, &mut [byte], ACCESS_RW_WRITE)
    }

    /// The device loads a byte.
    pub fn load(&self, at: u64) -> Sys<u8> {
        let mut byte = [0];
        self.rw(at, &mut byte, 0)?;
        Ok(byte[0])
    }

    fn rw(&self, at: u64, data: &mut [u8], flags: u64) -> Sys {
        let buffer = data.as_mut_ptr() as u64;
        let mut test = TestCmd {
            op: TEST_OP_ACCESS_RW,
            id: self.access.as_raw_fd() as u32,
            args: [at, data.len() as u64, buffer, flags, 0, 0],
            ..TestCmd::default()
        };
        test.run(&self.iommufd).map(|()| 0)
    }
}

/// Why nothing can be mapped there; none if a file can.
pub fn missing() -> Option<String> {
    let space = match Space::new() {
        Ok(space) => space,
        Err(why) => return Some(why),
    };
    // For a device that neither reads nor writes, which is refused first: Linux 6.18 loses a reference
    // to the space if it comes to a descriptor that is none, and warns when the last one is closed.
    let mut map = IoasMapFile { flags: 0, ..space.whole(0, 0) };
    let got = ioctl(&space.iommufd, IOAS_MAP_FILE, &raw mut map as usize);
    (got == Err(Errno::ENOTTY)).then(|| "no IOMMU_IOAS_MAP_FILE in this kernel".into())
}

impl TestCmd {
    fn run(&mut self, iommufd: &OwnedFd) -> Sys<()> {
        self.size = size_of::<TestCmd>() as u32;
        ioctl(iommufd, TEST_CMD, &raw mut *self as usize).map(|_| ())
    }
}

fn ioctl(fd: &OwnedFd, request: usize, arg: usize) -> Result<i64, Errno> {
    sys::call(libc::SYS_ioctl, [fd.as_raw_fd() as usize, request, arg, 0, 0, 0])
}
