// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Live update: preserving a memfd in a session (`include/uapi/linux/liveupdate.h`).

use crate::sys::{self, Sys};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const CREATE_SESSION: usize = 0xba00;
const PRESERVE_FD: usize = 0xba40;

#[repr(C)]
struct CreateSession {
    size: u32,
    fd: i32,
    name: [u8; 64],
}

#[repr(C)]
struct PreserveFd {
    size: u32,
    fd: i32,
    token: u64,
}

/// A new session. It ends, and lets go of its files, when the descriptor is closed.
pub fn session() -> Result<OwnedFd, String> {
    let device = open().map_err(|error| format!("/dev/liveupdate: {error}"))?;
    let mut arg = CreateSession { size: size_of::<CreateSession>() as u32, fd: -1, name: [0; 64] };
    let name = format!("memfd-seals-{}", std::process::id());
    arg.name[..name.len()].copy_from_slice(name.as_bytes());
    let device = device.as_raw_fd() as usize;
    sys::call(libc::SYS_ioctl, [device, CREATE_SESSION, &raw mut arg as usize, 0, 0, 0])
        .map_err(|errno| format!("LIVEUPDATE_IOCTL_CREATE_SESSION: {errno:?}"))?;
    Ok(sys::own(arg.fd))
}

/// The device has one opener at a time, and another case may be at it.
fn open() -> std::io::Result<File> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match OpenOptions::new().read(true).write(true).open("/dev/liveupdate") {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other,
        }
    }
}

/// Why there is no live update; none if there is.
pub fn missing() -> Option<String> {
    open().err().map(|error| format!("/dev/liveupdate: {error}"))
}

/// Preserves a file in the session.
pub fn preserve(session: &OwnedFd, file: &OwnedFd) -> Sys {
    let arg = PreserveFd { size: size_of::<PreserveFd>() as u32, fd: file.as_raw_fd(), token: 1 };
    let session = session.as_raw_fd() as usize;
    sys::call(libc::SYS_ioctl, [session, PRESERVE_FD, &raw const arg as usize, 0, 0, 0])
}
