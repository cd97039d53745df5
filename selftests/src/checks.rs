// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What rows look at afterwards, beside what `world.rs` does by itself.

use crate::case::Check;
use crate::sys;
use crate::world::{World, same};
use std::fs::File;
use std::os::unix::fs::FileExt;

impl World {
    /// The bytes at `offset`, read through a descriptor, are these.
    pub fn bytes_are(&self, offset: usize, bytes: &[u8]) -> Check {
        let mut got = vec![0; bytes.len()];
        File::from(self.reopen(libc::O_RDONLY).map_err(|error| error.to_string())?)
            .read_exact_at(&mut got, offset as u64)
            .map_err(|error| error.to_string())?;
        let wrong = (0..got.len()).find(|&at| got[at] != bytes[at]);
        wrong.map_or(Ok(()), |at| same(&format!("byte {}", offset + at), bytes[at], got[at]))
    }

    /// The descriptor's offset is this.
    pub fn offset_is(&self, offset: i64) -> Check {
        let here = sys::lseek(&self.fd, 0, nix::unistd::Whence::SeekCur);
        same("offset", Ok(offset), here)
    }
}
