// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The shape of a row: what is broken, and how the run must end.

use crate::fake::Fake;
use crate::lab::Lab;
use memfd_seals::events::Event;
use std::path::PathBuf;

/// One breakage. Rows are written as struct literals that end in `..ROW`.
#[derive(Clone, Copy)]
pub struct Row {
    /// `group::name`, where the group is the file.
    pub name: &'static str,
    /// What is broken, in one sentence.
    pub about: &'static str,
    /// The kernel that has to be there.
    pub on: On,
    /// Variables of the run. `{lab}` in a value is the scratch folder.
    pub env: &'static [(&'static str, &'static str)],
    /// What the guest runs.
    pub init: Init,
    /// What the guest runs on.
    pub qemu: Qemu,
    /// How the row is run; [`once`] unless a row needs more than one run, or another.
    pub by: fn(&Lab, &Row) -> Result<String, String>,
    /// The word of the class in which it must end.
    pub class: &'static str,
    /// Part of the cause that must be given; only a pass has none.
    pub cause: &'static str,
    /// Part of what the report must show beside, where the cause may be told in two ways.
    pub shows: &'static str,
    /// Part of what must be said about the accelerator, where that is the point.
    pub accelerator: &'static str,
    /// Seconds in which it must end.
    pub within: u64,
}

/// What a row that says no more is: the suite on the true QEMU, and it passes.
pub const ROW: Row = Row {
    name: "",
    about: "",
    on: On::Default,
    env: &[],
    init: Init::Suite,
    qemu: Qemu::True,
    by: once,
    class: "pass",
    cause: "",
    shows: "",
    accelerator: "",
    within: 20,
};

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// None: the run has to be refused before one is looked for.
    Nothing,
    /// That of `make qemu-test`.
    Default,
    /// `CONFIG=debug`, which has LKDTM, and is asked for a few tests only.
    Debug,
}

/// What the guest runs.
#[derive(Clone, Copy)]
pub enum Init {
    /// The suite, as always.
    Suite,
    /// The saboteur, with when and what it is to do: `start lkdtm PANIC`.
    Saboteur(&'static str),
    /// Something else.
    Other(fn(&Lab) -> Result<PathBuf, String>),
}

/// What the guest runs on.
#[derive(Clone, Copy)]
pub enum Qemu {
    /// The true one.
    True,
    /// The true one, with other arguments.
    Edited(fn(&mut Vec<String>)),
    /// One that replays a recorded run whose events were changed; their count and hash fit.
    Lies(fn(&mut Vec<Event>)),
    /// One that replays a recorded run whose bytes were changed on their way.
    Damages(fn(Vec<u8>) -> Vec<u8>),
    /// One that does something else, and exits with what this gives.
    Fake(fn(&mut Fake) -> u8),
    /// One that says this of its version.
    Version(&'static str),
    /// A path.
    Path(&'static str),
}

/// One run, whose end must be the row's.
pub fn once(lab: &Lab, row: &Row) -> Result<String, String> {
    let mut command = lab.command(row)?;
    lab.run(&mut command, row)?.must_be(lab, row)
}
