// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! Processes that the owner of a file does not trust: they have a descriptor and nothing else.

use crate::sys;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_dumpable;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::fs::write;

/// A process by what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stranger {
    /// Another user and group, in no other groups.
    Nobody,
    /// The same, and root in a user namespace of its own, with all capabilities there.
    Namespaced,
    /// The owner, without any capability.
    Powerless,
}

impl Stranger {
    /// Its part of a test's name.
    pub fn word(self) -> &'static str {
        match self {
            Stranger::Nobody => "nobody",
            Stranger::Namespaced => "namespaced",
            Stranger::Powerless => "powerless",
        }
    }

    /// Makes this process such a one, for good.
    pub fn enter(self) {
        match self {
            Stranger::Nobody => nobody(),
            Stranger::Namespaced => {
                nobody();
                // A process that has changed its user may not write its own maps else.
                set_dumpable(true).expect("PR_SET_DUMPABLE");
                unshare(CloneFlags::CLONE_NEWUSER).expect("a user namespace");
                let inside = format!("0 {NOBODY} 1");
                write("/proc/self/setgroups", "deny").expect("setgroups");
                write("/proc/self/uid_map", &inside).expect("uid_map");
                write("/proc/self/gid_map", &inside).expect("gid_map");
            }
            Stranger::Powerless => {
                const VERSION_3: u32 = 0x2008_0522;
                let (header, none) = ([VERSION_3, 0], [0_u32; 6]);
                let args = [header.as_ptr() as usize, none.as_ptr() as usize, 0, 0, 0, 0];
                sys::call(libc::SYS_capset, args).expect("capset");
            }
        }
    }
}

const NOBODY: u32 = 65534;

fn nobody() {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    setgroups(&[]).expect("setgroups");
    setresgid(group, group, group).expect("setresgid");
    setresuid(user, user, user).expect("setresuid");
}
