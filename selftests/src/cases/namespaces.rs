// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! vm.memfd_noexec: what memfd_create(2) does without MFD_EXEC and MFD_NOEXEC_SEAL, and with them, in
//! pid namespaces that the row makes. The machine's own setting is not touched.

use crate::case::*;
use crate::elsewhere::{beside_pid_namespace, in_pid_namespace, in_user_namespace, meanwhile};
use crate::kind::Kind;
use crate::need::{MEMFD_NOEXEC, Need};
use crate::sys::{self, mfd, seal};
use crate::world::{each, fresh};
use nix::errno::Errno::{self, *};
use nix::sys::stat::fstat;
use std::io::Write;

/// A row that is several processes.
const SCOPED: Case = Case {
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
const EXECUTABLE: Expect = Returns(looks(0o777, seal::SEAL));
/// One of mode 0777 that does.
const SEALABLE: Expect = Returns(looks(0o777, 0));
/// One of mode 0666 with F_SEAL_EXEC.
const NOEXEC: Expect = Returns(looks(0o666, seal::EXEC));

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
    // Namespaces in namespaces.
    Case {
        name: "inherited",
        about: "a new pid namespace begins with its parent's value",
        op: |_| {
            each(["0", "1", "2"], |value| {
                let got = scoped(&[value], || in_pid_namespace(|| Ok(said())))?;
                Ok(got - value.parse::<i64>().expect("a number"))
            })
        },
        expect: Returns(0),
        ..SCOPED
    },
    Case {
        name: "inherited_is_enforced",
        about: "and memfd_create(2) keeps to it there, and in the namespaces below",
        op: |_| {
            scoped(&["2"], || {
                let one = in_pid_namespace(|| born(mfd::EXEC));
                let two = in_pid_namespace(|| in_pid_namespace(|| born(mfd::EXEC)));
                each([one, two], |got| *got)
            })
        },
        expect: Fails(EACCES),
        ..SCOPED
    },
    Case {
        name: "not_below_the_parent",
        about: "a value below the parent's is EINVAL, in every namespace below it",
        op: |_| {
            let two = scoped(&["2"], || in_pid_namespace(|| each(["0", "1"], |value| set(value))));
            let one = scoped(&["1"], || in_pid_namespace(|| set("0")));
            let deep = scoped(&["2"], || {
                in_pid_namespace(|| in_pid_namespace(|| each(["0", "1"], |value| set(value))))
            });
            each([two, one, deep], |got| *got)
        },
        expect: Fails(EINVAL),
        ..SCOPED
    },
    Case {
        name: "not_below_the_parent_stays",
        about: "and the parent's value stays in force",
        op: |_| {
            scoped(&["1"], || {
                in_pid_namespace(|| {
                    let _ = set("0");
                    born(0)
                })
            })
        },
        expect: NOEXEC,
        ..SCOPED
    },
    Case {
        name: "the_parents_own",
        about: "the parent's value itself can be set, and taken back to after a higher one",
        op: |_| {
            scoped(&["1"], || {
                in_pid_namespace(|| {
                    ["1", "2", "1"].into_iter().try_fold(0, |_, value| set(value))?;
                    born(mfd::EXEC)
                })
            })
        },
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "raised_below_only",
        about: "what a namespace raises holds for those below it, and not for its parent",
        op: |_| {
            scoped(&["0"], || {
                let below = scoped(&["2"], || in_pid_namespace(|| born(mfd::EXEC)));
                if below != Err(EACCES.into()) {
                    return below;
                }
                born(0)
            })
        },
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "raised_beside",
        about: "nor for the process that made it and is outside: its children's namespace is not its own",
        op: |_| beside_pid_namespace(|| set("2"), || born(0)),
        expect: EXECUTABLE,
        ..SCOPED
    },
    Case {
        name: "parent_raised_later",
        about: "a parent that raises its value later raises it for the namespaces that are there",
        op: |_| raised_later("2", || born(mfd::EXEC)),
        expect: Fails(EACCES),
        ..SCOPED
    },
    Case {
        name: "parent_raised_later_is_read",
        about: "where it is read too",
        op: |_| raised_later("2", || Ok(said())),
        expect: Returns(2),
        ..SCOPED
    },
    Case {
        name: "parent_raised_later_bounds",
        about: "and bounds what they can set",
        op: |_| raised_later("2", || each(["0", "1"], |value| set(value))),
        expect: Fails(EINVAL),
        ..SCOPED
    },
    Case {
        name: "grandparent_raised_later",
        about: "all the way down: also where the namespace in between and the lowest were there before",
        op: |_| {
            in_pid_namespace(|| {
                meanwhile(
                    || set("1"),
                    |turn| {
                        in_pid_namespace(|| {
                            in_pid_namespace(|| {
                                turn();
                                born(0)
                            })
                        })
                    },
                )
            })
        },
        expect: NOEXEC,
        ..SCOPED
    },
    Case {
        name: "own_value_above_the_parents",
        about: "a parent that raises its value to less than a namespace has leaves that what it has",
        op: |_| {
            in_pid_namespace(|| {
                meanwhile(
                    || set("1"),
                    |turn| {
                        scoped(&["2"], || {
                            turn();
                            born(mfd::EXEC)
                        })
                    },
                )
            })
        },
        expect: Fails(EACCES),
        ..SCOPED
    },
    Case {
        name: "parent_lowered_later",
        about: "when a parent raises its value and lowers it again, a namespace is back at its own",
        op: |_| {
            in_pid_namespace(|| {
                meanwhile(
                    || ["2", "0"].into_iter().try_fold(0, |_, value| set(value)),
                    |turn| {
                        scoped(&["1"], || {
                            turn();
                            Ok(said())
                        })
                    },
                )
            })
        },
        expect: Returns(1),
        ..SCOPED
    },
    Case {
        name: "made_under_more",
        about: "a namespace that was made under a higher value keeps it when the parent's is lowered",
        op: |_| {
            scoped(&["2"], || {
                meanwhile(
                    || set("0"),
                    |turn| {
                        in_pid_namespace(|| {
                            turn();
                            born(mfd::EXEC)
                        })
                    },
                )
            })
        },
        expect: Fails(EACCES),
        ..SCOPED
    },
];

/// What a process gets in a pid namespace whose parent sets this once it is there.
fn raised_later(value: &str, body: impl FnOnce() -> Got) -> Got {
    in_pid_namespace(|| {
        meanwhile(
            || set(value),
            |turn| {
                in_pid_namespace(|| {
                    assert_eq!(said(), 0);
                    turn();
                    body()
                })
            },
        )
    })
}

/// In pid namespaces, one in the other, that set these, the first process of the lowest does this.
fn scoped(values: &[&str], body: impl FnOnce() -> Got) -> Got {
    let Some((value, rest)) = values.split_first() else { return body() };
    in_pid_namespace(|| {
        set(value).expect("vm.memfd_noexec");
        scoped(rest, body)
    })
}

/// Sets vm.memfd_noexec for the pid namespace of this process.
fn set(value: &str) -> Got {
    let file = std::fs::File::options().write(true).open(MEMFD_NOEXEC);
    let written = file.and_then(|mut file| file.write_all(value.as_bytes()));
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    Ok(written.map(|()| 0).map_err(errno)?)
}

/// What it says there.
fn said() -> i64 {
    let text = std::fs::read_to_string(MEMFD_NOEXEC).expect("vm.memfd_noexec");
    text.trim().parse().expect("a number")
}

/// Mode and seals in one number.
const fn looks(mode: u32, seals: u32) -> i64 {
    (seals << 12 | mode) as i64
}

/// Creates a memfd: its mode and seals.
fn born(flags: u32) -> Got {
    told(&sys::memfd_create("scoped", flags)?)
}

fn told(fd: &std::os::fd::OwnedFd) -> Got {
    Ok(looks(fstat(fd)?.st_mode & 0o777, sys::get_seals(fd)? as u32))
}
