// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! References that a refused call has kept: an open file that nobody can close any more keeps its
//! lock, too.

use crate::case::{Check, Got, Setup};
use crate::sys;
use crate::world::{World, same};
use std::os::fd::{AsRawFd, OwnedFd};

/// Locks the file until `fd` is closed: a setup for `closes`.
pub fn lock(world: World) -> Setup {
    same("flock", Ok(0), flock(&world.fd))?;
    Ok(world)
}

/// Nobody else holds the open file: the lock that `lock` took ends when `fd` is closed.
pub fn closes(world: &mut World) -> Check {
    world.fd = world.reopen(libc::O_RDWR).map_err(|e| format!("reopen: {e:?}"))?;
    same("flock(2) once the first descriptor is closed", Ok(0), flock(&world.fd))
}

fn flock(fd: &OwnedFd) -> Got {
    let how = libc::LOCK_EX | libc::LOCK_NB;
    Ok(sys::call(libc::SYS_flock, [fd.as_raw_fd() as usize, how as usize, 0, 0, 0, 0])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Given;
    use crate::kind::Kind;
    use crate::world::fresh;

    #[test]
    fn an_open_file_that_is_kept_is_seen() {
        let locked = || lock(fresh(Given::of(Kind::Shmem)).unwrap()).unwrap();
        assert_eq!(closes(&mut locked()), Ok(()));
        let mut world = locked();
        let kept = world.fd.try_clone().unwrap();
        assert!(closes(&mut world).unwrap_err().contains("EAGAIN"));
        drop(kept);
    }
}
