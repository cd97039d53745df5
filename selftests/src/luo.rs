// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Live update: preserving a memfd in a session (`include/uapi/linux/liveupdate.h`).

use crate::sys::{self, Sys};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

const CREATE_SESSION: usize = 0xba00;
const RETRIEVE_SESSION: usize = 0xba01;
const PRESERVE_FD: usize = 0xba40;
const RETRIEVE_FD: usize = 0xba41;
const FINISH: usize = 0xba42;

/// `struct liveupdate_ioctl_create_session`, and the same for retrieving one.
#[repr(C)]
struct Session {
    size: u32,
    fd: i32,
    name: [u8; 64],
}

/// `struct liveupdate_session_preserve_fd`, and the same for retrieving one.
#[repr(C)]
struct Preserved {
    size: u32,
    fd: i32,
    token: u64,
}

/// `struct liveupdate_session_finish`.
#[repr(C)]
struct Finish {
    size: u32,
    reserved: u32,
}

/// A new session. It ends, and lets go of its files, when the descriptor is closed.
pub fn session() -> Result<OwnedFd, String> {
    another_session("")
}

/// A session of another name than the others of this process.
pub fn another_session(suffix: &str) -> Result<OwnedFd, String> {
    let device = open().map_err(|error| format!("/dev/liveupdate: {error}"))?;
    by_name(&device, CREATE_SESSION, suffix)
        .map_err(|errno| format!("LIVEUPDATE_IOCTL_CREATE_SESSION: {errno:?}"))
}

/// A session that a kernel before this one has left, as if there were one.
pub fn retrieve_session(suffix: &str) -> Sys<OwnedFd> {
    let device =
        open().map_err(|error| nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    by_name(&device, RETRIEVE_SESSION, suffix)
}

fn by_name(device: &File, nr: usize, suffix: &str) -> Sys<OwnedFd> {
    let mut arg = Session { size: size_of::<Session>() as u32, fd: -1, name: [0; 64] };
    let name = format!("memfd-seals-{}{suffix}", std::process::id());
    arg.name[..name.len()].copy_from_slice(name.as_bytes());
    ioctl(device, nr, &raw mut arg as usize)?;
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
    let device = match open() {
        Ok(device) => device,
        Err(error) => return Some(format!("/dev/liveupdate: {error}")),
    };
    // There is no such session. The device takes no call of a program that has fewer bits than the
    // kernel.
    let got = by_name(&device, RETRIEVE_SESSION, "-probe");
    (got.err() == Some(nix::errno::Errno::ENOTTY))
        .then(|| "/dev/liveupdate takes no ioctl(2) of this program".into())
}

/// Preserves a file in the session.
pub fn preserve(session: &OwnedFd, file: &impl AsRawFd) -> Sys {
    preserve_as(session, file, 1)
}

/// Preserves a file under this token.
pub fn preserve_as(session: &OwnedFd, file: &impl AsRawFd, token: u64) -> Sys {
    let arg = Preserved { size: size_of::<Preserved>() as u32, fd: file.as_raw_fd(), token };
    ioctl(session, PRESERVE_FD, &raw const arg as usize)
}

/// Takes a file back from the session.
pub fn retrieve(session: &OwnedFd, token: u64) -> Sys<OwnedFd> {
    let mut arg = Preserved { size: size_of::<Preserved>() as u32, fd: -1, token };
    ioctl(session, RETRIEVE_FD, &raw mut arg as usize)?;
    Ok(sys::own(arg.fd as RawFd))
}

/// Ends the retrieving of files from the session.
pub fn finish(session: &OwnedFd) -> Sys {
    let arg = Finish { size: size_of::<Finish>() as u32, reserved: 0 };
    ioctl(session, FINISH, &raw const arg as usize)
}

fn ioctl(fd: &impl AsRawFd, nr: usize, arg: usize) -> Sys {
    sys::call(libc::SYS_ioctl, [fd.as_raw_fd() as usize, nr, arg, 0, 0, 0])
}
