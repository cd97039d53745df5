// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Makes the allocations of one operation fail, one at a time: the kernel's fault injection
//! (Documentation/fault-injection/fault-injection.rst), by /proc/self/fail-nth.

use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::OnceLock;

/// Under debugfs: which allocations may be made to fail, and that no stack is printed for each.
const KNOBS: &[(&str, &str)] = &[
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

static ON: OnceLock<()> = OnceLock::new();

/// Every test is from now on repeated with each allocation of its operation failing in turn.
/// `debugfs` is where that is mounted. Errors: the kernel can't do it, or this is not root.
pub fn enable(debugfs: &Path) -> Result<(), String> {
    for (name, value) in KNOBS {
        let path = debugfs.join(name);
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut knob| knob.write_all(value.as_bytes()))
            .map_err(|error| format!("fault injection: {}: {error}", path.display()))?;
    }
    let nth = Nth::open()?;
    nth.arm(1)?;
    let made = crate::sys::memfd_create("fault", 0);
    match (made, nth.disarm()?) {
        (Err(Errno::ENOMEM), true) => {}
        (made, _) => return Err(format!("fault injection: memfd_create(2) gave {made:?}")),
    }
    let _ = ON.set(());
    Ok(())
}

/// Whether `enable` was called.
pub fn on() -> bool {
    ON.get().is_some()
}

/// This process's counter of allocations that are still to succeed.
pub struct Nth(File);

impl Nth {
    /// Of the calling process: a child has one of its own, which starts at rest.
    pub fn open() -> Result<Nth, String> {
        let file = OpenOptions::new().read(true).write(true).open("/proc/self/fail-nth");
        file.map(Nth).map_err(|error| format!("/proc/self/fail-nth: {error}"))
    }

    /// The `nth` allocation from here fails (1: the first); 0 stops the counting.
    pub fn arm(&self, nth: u32) -> Result<(), String> {
        let text = nth.to_string();
        self.0.write_all_at(text.as_bytes(), 0).map_err(|error| format!("fail-nth: {error}"))
    }

    /// Stops the counting, and says whether an allocation failed since `arm`.
    pub fn disarm(&self) -> Result<bool, String> {
        let mut text = [0; 16];
        let count = self.0.read_at(&mut text, 0).map_err(|error| format!("fail-nth: {error}"))?;
        self.arm(0)?;
        Ok(text[..count].trim_ascii() == b"0")
    }
}
