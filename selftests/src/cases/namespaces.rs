// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! vm.memfd_noexec: what memfd_create(2) does without MFD_EXEC and MFD_NOEXEC_SEAL, and with them, in
//! pid namespaces that the row makes. The machine's own setting is not touched. Namespaces in namespaces
//! are in `nested.rs`.

use crate::case::*;
use crate::elsewhere::{in_pid_namespace, in_user_namespace};
use crate::kind::Kind;
use crate::need::{MEMFD_NOEXEC, Need};
use crate::sys::{self, mfd, seal};
use crate::world::{each, fresh};
use nix::errno::Errno::{self, *};
use std::io::Write;

/// A row that is several processes.
pub const SCOPED: Case = Case {
    on: OWN,
    needs: &[Need::PidNamespaces],
    setup: |_| fresh(Given::of(Kind::Shmem)),
    starved: IN_CHILD,
    ..CONTROL
};

/// The same where a file on hugetlbfs is made.
const SCOPED_HUGETLB: Case =
    Case { on: HUGETLB, setup: |_| fresh(Given::of(Kind::Shmem)), ..SCOPED };

/// A memfd of mode 0777 that takes no seal.
pub const EXECUTABLE: Expect = Returns(looks(0o777, seal::SEAL));
/// One of mode 0777 that does.
const SEALABLE: Expect = Returns(looks(0o777, 0));
/// One of mode 0666 with F_SEAL_EXEC.
pub const NOEXEC: Expect = Returns(looks(0o666, seal::EXEC));

pub const CASES: &[Case] = &[
    // 0
    Case {
        name: "scope_0",
        about: "vm.memfd_noexec 0: without a flag a memfd is executable",
        op: |_| scoped(&["0"], || born(0)),
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "scope_0_allow_sealing",
        about: "and with MFD_ALLOW_SEALING executable with no seal",
        op: |_| scoped(&["0"], || born(mfd::ALLOW_SEALING)),
        expect: SEALABLE,
        ..SCOPED
    },
    Case {
        name: "scope_0_exec",
        about: "MFD_EXEC is what it is",
        op: |_| scoped(&["0"], || born(mfd::EXEC)),
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "scope_0_noexec_seal",
        about: "and so is MFD_NOEXEC_SEAL",
        op: |_| scoped(&["0"], || born(mfd::NOEXEC_SEAL)),
        expect: NOEXEC,
        ..SCOPED
    },
    // 1
    Case {
        name: "scope_1",
        about: "vm.memfd_noexec 1: without a flag a memfd is as with MFD_NOEXEC_SEAL",
        op: |_| {
            scoped(&["1"], || each([0, mfd::CLOEXEC, mfd::ALLOW_SEALING], |flags| born(*flags)))
        },
        expect: NOEXEC,
        ..SCOPED
    },
    Case {
        name: "scope_1_hugetlb",
        about: "on hugetlbfs too",
        op: |_| scoped(&["1"], || born(mfd::HUGETLB)),
        expect: NOEXEC,
        ..SCOPED_HUGETLB
    },
    Case {
        name: "scope_1_exec",
        about: "MFD_EXEC still gives an executable one",
        op: |_| scoped(&["1"], || born(mfd::EXEC)),
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "scope_1_exec_allow_sealing",
        about: "and with MFD_ALLOW_SEALING one without a seal",
        op: |_| scoped(&["1"], || born(mfd::EXEC | mfd::ALLOW_SEALING)),
        expect: SEALABLE,
        ..SCOPED
    },
    Case {
        name: "scope_1_noexec_seal",
        about: "MFD_NOEXEC_SEAL is what it is",
        op: |_| scoped(&["1"], || born(mfd::NOEXEC_SEAL)),
        expect: NOEXEC,
        ..SCOPED
    },
    // 2
    Case {
        name: "scope_2",
        about: "vm.memfd_noexec 2: without a flag a memfd is as with MFD_NOEXEC_SEAL",
        op: |_| {
            scoped(&["2"], || each([0, mfd::CLOEXEC, mfd::ALLOW_SEALING], |flags| born(*flags)))
        },
        expect: NOEXEC,
        ..SCOPED
    },
    Case {
        name: "scope_2_hugetlb",
        about: "on hugetlbfs too",
        op: |_| scoped(&["2"], || born(mfd::HUGETLB)),
        expect: NOEXEC,
        ..SCOPED_HUGETLB
    },
    Case {
        name: "scope_2_exec",
        about: "MFD_EXEC is EACCES, whatever is beside it",
        op: |_| {
            let more = [0, mfd::CLOEXEC, mfd::ALLOW_SEALING, mfd::HUGETLB];
            scoped(&["2"], || each(more, |more| born(mfd::EXEC | more)))
        },
        expect: Fails(EACCES),
        ..SCOPED
    },
    Case {
        name: "scope_2_noexec_seal",
        about: "MFD_NOEXEC_SEAL is what it is",
        op: |_| scoped(&["2"], || born(mfd::NOEXEC_SEAL)),
        expect: NOEXEC,
        ..SCOPED
    },
    Case {
        name: "scope_2_bad_flags",
        about: "flags that are wrong by themselves are EINVAL there too",
        op: |_| {
            let wrong = [mfd::EXEC | mfd::NOEXEC_SEAL, mfd::EXEC | 1 << 5, 1 << 5];
            scoped(&["2"], || each(wrong, |flags| born(*flags)))
        },
        expect: Fails(EINVAL),
        ..SCOPED
    },
    Case {
        name: "scope_2_user_namespace",
        about: "a user namespace is no way around it",
        needs: &[Need::PidNamespaces, Need::UserNamespace],
        op: |_| scoped(&["2"], || in_user_namespace(|| born(mfd::EXEC))),
        expect: Fails(EACCES),
        ..SCOPED
    },
    Case {
        name: "scope_2_old_files",
        about: "an executable memfd from before is not touched",
        op: |_| {
            let fd = sys::memfd_create("old", mfd::EXEC | mfd::ALLOW_SEALING)?;
            scoped(&["2"], || told(&fd))
        },
        expect: SEALABLE,
        ..SCOPED
    },
    // What can be set.
    Case {
        name: "values",
        about: "0, 1 and 2 can be set, to and fro, as long as no namespace above has more",
        op: |_| {
            in_pid_namespace(|| {
                for value in ["0", "1", "2", "1", "0", "2", "0"] {
                    set(value)?;
                    if said() != value.parse::<i64>().expect("a number") {
                        return Err(EIO.into());
                    }
                }
                born(0)
            })
        },
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "no_other_value",
        about: "no other value can be set: EINVAL",
        op: |_| scoped(&["1"], || each(["3", "-1", "256", "4294967297", "x"], |value| set(value))),
        expect: Fails(EINVAL),
        ..SCOPED
    },
    Case {
        name: "refused_value",
        about: "a value that is refused leaves the one before",
        op: |_| {
            scoped(&["1"], || {
                let _ = each(["3", "-1", "x"], |value| set(value));
                Ok(said())
            })
        },
        expect: Returns(1),
        ..SCOPED
    },
    Case {
        name: "without_the_right",
        about: "a process without CAP_SYS_ADMIN over the pid namespace can't set it: EPERM",
        needs: &[Need::PidNamespaces, Need::UserNamespace],
        op: |_| scoped(&["1"], || in_user_namespace(|| each(["1", "2"], |value| set(value)))),
        expect: Fails(EPERM),
        ..SCOPED
    },
    Case {
        name: "with_a_user_namespace_of_its_own",
        about: "one that has it over its own pid namespace sets it there",
        needs: &[Need::PidNamespaces, Need::UserNamespace],
        op: |_| in_user_namespace(|| scoped(&["2"], || born(mfd::EXEC))),
        expect: Fails(EACCES),
        ..SCOPED
    },
];

/// In pid namespaces, one in the other, that set these, the first process of the lowest does this.
pub fn scoped(values: &[&str], body: impl FnOnce() -> Got) -> Got {
    let Some((value, rest)) = values.split_first() else { return body() };
    in_pid_namespace(|| {
        set(value).expect("vm.memfd_noexec");
        scoped(rest, body)
    })
}

/// Sets vm.memfd_noexec for the pid namespace of this process.
pub fn set(value: &str) -> Got {
    let file = std::fs::File::options().write(true).open(MEMFD_NOEXEC);
    let written = file.and_then(|mut file| file.write_all(value.as_bytes()));
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    Ok(written.map(|()| 0).map_err(errno)?)
}

/// What it says there.
pub fn said() -> i64 {
    let text = std::fs::read_to_string(MEMFD_NOEXEC).expect("vm.memfd_noexec");
    text.trim().parse().expect("a number")
}

/// Mode and seals in one number.
const fn looks(mode: u32, seals: u32) -> i64 {
    (seals << 12 | mode) as i64
}

/// Creates a memfd: its mode and seals.
pub fn born(flags: u32) -> Got {
    told(&sys::memfd_create("scoped", flags)?)
}

fn told(fd: &std::os::fd::OwnedFd) -> Got {
    Ok(looks(sys::fstat(fd)?.st_mode & 0o777, sys::get_seals(fd)? as u32))
}
