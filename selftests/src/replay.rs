// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The program of the October 2018 mail that proposed F_SEAL_FS_WRITE, line for line:
//! <https://lore.kernel.org/all/20181009222042.9781-1-joel@joelfernandes.org/>.

use crate::region::memfd_create_region;
use crate::sys::{self, Map, RO, RW, Sys, seal};
use nix::errno::Errno;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

/// What the mail says that its program prints: nine lines, since `perror` puts the reason of the
/// refused map on a line of its own.
pub const TRANSCRIPT: &str = "\
ret=3
map 0 passed
write passed
map 1 prot-write passed as expected
fs-write seal now active
write failed as expected due to fs-write seal
map 2 prot-write failed as expected due to seal
: Permission denied
map 3 prot-read passed as expected
";

const REGION_SIZE: usize = 4096;

/// Runs the mail's program, printing to `out`. Gives the exit code: 0 if each step went as the
/// mail says, 1 if one did not, in which case its line says so.
pub fn run(out: &mut impl Write) -> io::Result<u8> {
    // A descriptor that leaked from a shell must not change the first line.
    sys::close_from(3);
    let mut code = 0;
    let mut step = |out: &mut dyn Write, ok: bool, good: &str, bad: &str| -> io::Result<()> {
        code |= u8::from(!ok);
        writeln!(out, "{}", if ok { good } else { bad })
    };

    let fd = match memfd_create_region("test_region", REGION_SIZE) {
        Ok(fd) => fd,
        Err(errno) => {
            writeln!(out, "ret=-1\nmemfd_create_region: {}", errno.desc())?;
            return Ok(1);
        }
    };
    writeln!(out, "ret={}", fd.as_raw_fd())?;

    let map = |prot| Map::new(REGION_SIZE, prot, libc::MAP_SHARED, &fd, 0);
    let map0 = map(RW);
    step(out, map0.is_ok(), "map 0 passed", "map 0 failed")?;

    let wrote = nix::unistd::write(&fd, b"test");
    let bad = format!("write failed even though no fs-write seal ({})", outcome(wrote));
    step(out, wrote == Ok(4), "write passed", &bad)?;

    let map1 = map(RW);
    let bad = format!("map 1 prot-write failed even though no seal\n: {}", reason(&map1));
    step(out, map1.is_ok(), "map 1 prot-write passed as expected", &bad)?;

    let added = sys::add_seals(&fd, seal::FS_WRITE);
    let bad = format!("fcntl failed, errno: {}", added.err().map_or(0, |errno| errno as i32));
    step(out, added.is_ok(), "fs-write seal now active", &bad)?;

    let wrote = nix::unistd::write(&fd, b"test");
    let good = "write failed as expected due to fs-write seal";
    step(out, wrote != Ok(4), good, "write passed (unexpected)")?;

    let map2 = map(RW);
    let good = format!("map 2 prot-write failed as expected due to seal\n: {}", reason(&map2));
    step(out, map2.is_err(), &good, "map 2 passed")?;

    let map3 = map(RO);
    let bad = format!("map 3 failed\n: {}", reason(&map3));
    step(out, map3.is_ok(), "map 3 prot-read passed as expected", &bad)?;
    Ok(code)
}

/// As the mail's printf has it: the return value and errno.
fn outcome(result: Result<usize, Errno>) -> String {
    match result {
        Ok(count) => format!("ret={count} errno =0"),
        Err(errno) => format!("ret=-1 errno ={}", errno as i32),
    }
}

/// The words of `perror(3)`.
fn reason(map: &Sys<Map>) -> &'static str {
    map.as_ref().err().map_or("Success", |errno| errno.desc())
}
