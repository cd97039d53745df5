// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The shape of a case. Cases are data; what runs them is in `run.rs` and `child.rs`.

use crate::door::Door;
use crate::kind::Kind;
use crate::need::{self, Need};
use crate::sys::seal;
use crate::world::World;
use nix::errno::Errno;
use nix::sys::signal::Signal;

/// One row of the suite. `..CASE` supplies what a row does not say.
pub struct Case {
    /// Unique within its file.
    pub name: &'static str,
    /// One sentence that says what is checked; `--list` prints it.
    pub about: &'static str,
    /// The rules of SEMANTICS.md that it checks; empty for a control.
    pub rules: &'static [u8],
    /// The kinds of file that it runs on: a test each.
    pub on: &'static [Kind],
    /// The seals that `sealed` sets: a test each.
    pub under: &'static [u32],
    /// The descriptors that its operation comes through: a test each.
    pub through: &'static [Door],
    /// What it needs beside the kind and the seal; a lack is a skip with its reason.
    pub needs: &'static [Need],
    /// Makes the world. An error here is an ERROR: nothing is known about the kernel.
    pub setup: fn(Given) -> Setup,
    /// The one operation that is judged.
    pub op: fn(&mut World) -> Got,
    /// What it must give.
    pub expect: Expect,
    /// What must hold afterwards. After a refusal it is checked without being asked for that
    /// offset, size, contents, seals, mode and flags are as before.
    pub after: fn(&mut World) -> Check,
    /// What it may give instead when one of its allocations is made to fail (`fault.rs`).
    pub starved: Starved,
    /// What a kernel that takes the seal and enforces nothing is known to do otherwise.
    pub hollow: Deviation,
    /// No test runs beside it: it wants two CPUs for itself.
    pub alone: bool,
}

/// What a row is instantiated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Given {
    pub kind: Kind,
    /// For `sealed`; 0 in a row that is about no seal or brings its own.
    pub seals: u32,
    pub door: Door,
}

impl Given {
    /// A file of this kind, nothing else.
    pub fn of(kind: Kind) -> Given {
        Given { kind, seals: 0, door: Door::Original }
    }
}

/// What `setup` gives.
pub type Setup = Result<World, String>;
/// What `op` gives.
pub type Got = Result<i64, Stop>;
/// What `after` gives: the first thing that does not hold.
pub type Check = Result<(), String>;

/// How an operation did not return a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It failed with this errno.
    Errno(Errno),
    /// It was killed by this signal.
    Signal(Signal),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Errno(errno)
    }
}

/// What an operation must give. There is no bare "fails".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Exactly this errno, and nothing changed.
    Fails(Errno),
    /// Exactly this value.
    Returns(i64),
    /// Any value.
    Works,
    /// Killed by exactly this signal.
    Dies(Signal),
}
pub use Expect::{Dies, Fails, Returns, Works};

/// A row's word on a kernel that takes the seal and enforces nothing. What other kernels are known to
/// do otherwise stands in deviations.toml.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// What follows from the row: see `predict.rs`.
    None,
    /// It fails there, for this reason.
    Fails(&'static str),
    /// It fails there on this kind of file only, for this reason.
    FailsOn(Kind, &'static str),
    /// It passes there all the same, for this reason.
    Passes(&'static str),
}

/// What an operation may give when the kernel has no memory for it. Whatever it gives, nothing
/// has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starved {
    /// ENOMEM.
    Enomem,
    /// ENOMEM, or this errno for this reason.
    Or(Errno, &'static str),
    /// Not tried, for this reason.
    Untried(&'static str),
}

/// For rows whose operation runs in a child: its allocations are not counted.
pub const IN_CHILD: Starved = Starved::Untried("the operation runs in a child of its own");

/// For rows whose operation is several, of which the first ones change something.
pub const STEPS: Starved = Starved::Untried("the steps before the one that fails have happened");

fn no_setup(_: Given) -> Setup {
    Err("the row has no setup".into())
}

fn no_op(_: &mut World) -> Got {
    Err(Errno::ENOSYS.into())
}

fn nothing(_: &mut World) -> Check {
    Ok(())
}

/// Every kind of memfd.
pub const EVERY: &[Kind] = &[Kind::Shmem, Kind::Thp, Kind::Noexec, Kind::Hugetlb];
/// One of each file system.
pub const BOTH: &[Kind] = &[Kind::Shmem, Kind::Hugetlb];
/// Every kind of memfd on shmem.
pub const SHMEM: &[Kind] = &[Kind::Shmem, Kind::Thp, Kind::Noexec];
/// Every kind that has no seal from its beginning.
pub const BARE: &[Kind] = &[Kind::Shmem, Kind::Thp, Kind::Hugetlb];
/// The plain memfd only.
pub const PLAIN: &[Kind] = &[Kind::Shmem];
/// hugetlbfs only.
pub const HUGETLB: &[Kind] = &[Kind::Hugetlb];
/// The row brings its own file.
pub const OWN: &[Kind] = &[Kind::Own];

/// Each seal there is.
pub const EACH_SEAL: &[u32] = &[
    seal::SEAL,
    seal::SHRINK,
    seal::GROW,
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::EXEC,
    seal::FS_WRITE,
];
/// Each seal that forbids write(2).
pub const NO_WRITE: &[u32] = &[seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE];
/// Each seal that forbids a smaller size.
pub const NO_SHRINK: &[u32] = &[seal::FS_WRITE, seal::SHRINK];
/// Each seal that forbids a larger size.
pub const NO_GROW: &[u32] = &[seal::FS_WRITE, seal::GROW];

/// Seals that leave writing below EOF and punching holes alone, one by one and all of them; with
/// no seal first, which shows what they leave alone.
pub const MAY_WRITE: &[u32] = &[
    0,
    seal::SEAL,
    seal::SHRINK,
    seal::GROW,
    seal::EXEC,
    seal::SEAL | seal::SHRINK | seal::GROW | seal::EXEC,
];
/// The same of a smaller size.
pub const MAY_SHRINK: &[u32] = &[
    0,
    seal::SEAL,
    seal::GROW,
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::EXEC,
    seal::SEAL | seal::GROW | seal::WRITE | seal::FUTURE_WRITE | seal::EXEC,
];
/// The same of a larger size.
pub const MAY_GROW: &[u32] = &[
    0,
    seal::SEAL,
    seal::SHRINK,
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::EXEC,
    seal::SEAL | seal::SHRINK | seal::WRITE | seal::FUTURE_WRITE | seal::EXEC,
];
/// The same of a write that starts past EOF.
pub const MAY_WRITE_PAST_EOF: &[u32] =
    &[0, seal::SEAL, seal::SHRINK, seal::EXEC, seal::SEAL | seal::SHRINK | seal::EXEC];
/// The same of allocating below EOF.
pub const MAY_ALLOCATE: &[u32] = &[
    0,
    seal::SEAL,
    seal::SHRINK,
    seal::GROW,
    seal::WRITE,
    seal::FUTURE_WRITE,
    seal::EXEC,
    seal::SEAL | seal::SHRINK | seal::GROW | seal::WRITE | seal::FUTURE_WRITE | seal::EXEC,
];
/// No seal, and each that forbids write(2): for what they do not decide.
pub const ANY_WRITE: &[u32] = &[0, seal::FS_WRITE, seal::FUTURE_WRITE, seal::WRITE];
/// No seal, and each that forbids a size: for what they do not decide.
pub const ANY_SIZE: &[u32] = &[0, seal::FS_WRITE, seal::SHRINK, seal::GROW];

/// A row about F_SEAL_FS_WRITE, and others if it says so.
pub const CASE: Case = Case {
    name: "",
    about: "",
    rules: &[],
    on: EVERY,
    under: &[seal::FS_WRITE],
    through: &[Door::Original],
    needs: &[],
    setup: no_setup,
    op: no_op,
    expect: Works,
    after: nothing,
    starved: Starved::Enomem,
    hollow: Deviation::None,
    alone: false,
};

/// A row that every kernel must pass, with the seal or without.
pub const CONTROL: Case = Case { under: &[0], ..CASE };

/// One instance of a case.
#[derive(Clone, Copy)]
pub struct Test {
    /// The file that holds the row.
    pub area: &'static str,
    pub case: &'static Case,
    pub given: Given,
}

impl Test {
    /// The row on every kind of file, under every seal, through every descriptor that it names.
    pub fn all(area: &'static str, case: &'static Case) -> Vec<Test> {
        let mut tests = Vec::new();
        for &kind in case.on {
            for &seals in case.under {
                let doors = case.through.iter().filter(|door| door.fits(kind));
                tests.extend(doors.map(|&door| Test {
                    area,
                    case,
                    given: Given { kind, seals, door },
                }));
            }
        }
        tests
    }

    /// `area::case::kind`, then the seal if the row is run under several, then the descriptor
    /// unless it is the original one. A row that brings its own file has no kind.
    pub fn name(&self) -> String {
        let Given { kind, seals, door } = self.given;
        let seals = if self.case.under.len() > 1 { seal::words(seals) } else { String::new() };
        let parts = [kind.suffix().to_owned(), seals, door.suffix()];
        let parts = parts.iter().filter(|part| !part.is_empty());
        parts.fold(format!("{}::{}", self.area, self.case.name), |name, part| {
            format!("{name}::{part}")
        })
    }

    /// What it needs beside the kind and the seal: what the row says, and what its instance does.
    pub fn needs(&self) -> impl Iterator<Item = Need> {
        let kind = self.given.kind;
        let row = self.case.needs.iter().copied().filter(move |need| need.concerns(kind));
        need::implied(self.given, self.case.needs).chain(row)
    }

    /// Whether it is about F_SEAL_FS_WRITE.
    pub fn needs_seal(&self) -> bool {
        self.given.seals & seal::FS_WRITE != 0
    }
}
