// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Seal bits of `include/uapi/linux/fcntl.h`; this is their one home.

/// No more seals.
pub const SEAL: u32 = 0x0001;
/// No shrinking.
pub const SHRINK: u32 = 0x0002;
/// No growing.
pub const GROW: u32 = 0x0004;
/// No writing; refused while writable mappings exist.
pub const WRITE: u32 = 0x0008;
/// No writing except through old mappings.
pub const FUTURE_WRITE: u32 = 0x0010;
/// No change of the execute bits.
pub const EXEC: u32 = 0x0020;
/// No writing and no resizing except through old mappings.
pub const FS_WRITE: u32 = 0x0040;

/// Their names as the suite has them in those of tests.
const WORDS: &[(u32, &str)] = &[
    (SEAL, "seal"),
    (SHRINK, "shrink"),
    (GROW, "grow"),
    (WRITE, "write"),
    (FUTURE_WRITE, "future_write"),
    (EXEC, "exec"),
    (FS_WRITE, "fs_write"),
];

/// The names of these seals, `none` if there are none.
pub fn words(seals: u32) -> String {
    let words: Vec<_> =
        WORDS.iter().filter(|(bit, _)| seals & bit != 0).map(|(_, word)| *word).collect();
    if words.is_empty() { "none".into() } else { words.join("_") }
}
