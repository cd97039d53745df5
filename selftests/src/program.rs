// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The smallest program there is, for memfds that are run: it ends with 0.

/// The machine's number in an ELF header, and the instructions for exit(0).
#[cfg(target_arch = "x86_64")]
const EXIT: Option<(u16, &[u8])> =
    Some((62, &[0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05]));
#[cfg(target_arch = "aarch64")]
const EXIT: Option<(u16, &[u8])> =
    Some((183, &[0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const EXIT: Option<(u16, &[u8])> = None;

/// Where it is loaded; a multiple of any page's size.
const BASE: u64 = 0x40_0000;
const HEADER: u16 = 64;
const SEGMENT: u16 = 56;

/// The file, zeros up to `size`. Where its instructions are not known here, it is this program
/// itself, which with the argument `--help` ends with 0 too.
pub fn smallest(size: usize) -> std::io::Result<Vec<u8>> {
    let Some((machine, code)) = EXIT else { return std::fs::read("/proc/self/exe") };
    let entry = BASE + u64::from(HEADER + SEGMENT);
    let mut file = Vec::new();
    // 64 bits, little-endian, version 1; an executable.
    file.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend(2u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    // Entry, segments, no sections; no flags.
    [entry, HEADER.into(), 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(0u32.to_le_bytes());
    [HEADER, SEGMENT, 1, 0, 0, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    // One segment, to be loaded, readable and executable: all of the file.
    [1u32, 5].iter().for_each(|word| file.extend(word.to_le_bytes()));
    let len = size as u64;
    [0, BASE, BASE, len, len, 1 << 16].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend_from_slice(code);
    file.resize(size, 0);
    Ok(file)
}
