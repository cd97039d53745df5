// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Prints COVERAGE.md.

fn main() {
    print!("{}", memfd_seals::coverage::page());
}
