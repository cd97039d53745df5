// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Every way to lie that we could think of, and what each is called.

mod boots;
mod consoles;
mod endings;
mod reports;
mod verdicts;
