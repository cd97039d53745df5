// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! vm.memfd_noexec in pid namespaces below others: no one is laxer than any above it.

use super::namespaces::{EXECUTABLE, NOEXEC, SCOPED, born, said, scoped, set};
use crate::case::*;
use crate::elsewhere::{beside_pid_namespace, in_pid_namespace, meanwhile};
use crate::sys::mfd;
use crate::world::each;
use nix::errno::Errno::*;

pub const CASES: &[Case] = &[
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
