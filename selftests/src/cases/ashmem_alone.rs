// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What /dev/ashmem has and a memfd has no call for: pages that may be purged, a name that is given
//! later, a protection that is taken back.

use super::ashmem::BEFORE;
use crate::ashmem::{self, dropped, fresh, intact, mapped, shows, unmapped};
use crate::case::*;
use crate::door::Door;
use crate::elsewhere::as_nobody;
use crate::need::Need;
use crate::steps::held;
use crate::sys::{self, RO, RW};
use crate::world::{World, same};
use libc::{MAP_SHARED, PROT_EXEC};
use nix::errno::Errno::*;

/// Every unpinned page of every region goes at once: no other row may run beside these.
const PINS: Case = Case { setup: mapped, alone: true, ..BEFORE };
const PURGES: Case = Case { needs: &[Need::Ashmem, Need::Capabilities], ..PINS };

pub const CASES: &[Case] = &[
    Case {
        name: "no_name",
        about: "a region without a name is called dev/ashmem",
        setup: fresh,
        op: |f| {
            held(same("name", Ok(ashmem::NO_NAME.into()), ashmem::name(&f.fd)));
            Ok(0)
        },
        ..BEFORE
    },
    Case {
        name: "rename_mapped",
        about: "ASHMEM_SET_NAME fails from the first mmap(2) on",
        setup: fresh,
        op: |f| Ok(ashmem::set_name(&f.fd, "window")?),
        expect: Fails(EINVAL),
        ..BEFORE
    },
    Case {
        name: "take_back",
        about: "ASHMEM_SET_PROT_MASK can't give writing back",
        setup: dropped,
        op: |f| Ok(ashmem::set_mask(&f.fd, RW)?),
        expect: Fails(EINVAL),
        after: intact,
        ..BEFORE
    },
    Case {
        name: "take_back_exec",
        about: "it gives PROT_EXEC back to a process for which reading implies it (personality(2))",
        through: &[Door::Received],
        setup: dropped,
        op: |f| {
            sys::call(libc::SYS_personality, [libc::READ_IMPLIES_EXEC as usize, 0, 0, 0, 0, 0])?;
            ashmem::set_mask(&f.fd, RO)?;
            Ok(ashmem::mask(&f.fd)?)
        },
        expect: Returns((RO | PROT_EXEC) as i64),
        ..BEFORE
    },
    Case {
        name: "keep_exec",
        about: "the protection can be dropped to reading and executing",
        setup: |given| {
            let world = mapped(given)?;
            ashmem::set_mask(&world.fd, RO | PROT_EXEC).map_err(|errno| errno.to_string())?;
            Ok(world)
        },
        op: |f| f.mmap_new(RO | PROT_EXEC, MAP_SHARED),
        ..BEFORE
    },
    Case {
        name: "pinned",
        about: "ASHMEM_GET_PIN_STATUS: a region is pinned until ASHMEM_UNPIN",
        op: |f| {
            let before = ashmem::is_pinned(&f.fd, 0, f.size)?;
            ashmem::unpin(&f.fd, 0, f.page)?;
            Ok(2 * before + ashmem::is_pinned(&f.fd, 0, f.size)?)
        },
        expect: Returns(2),
        ..PINS
    },
    Case {
        name: "pin_again",
        about: "ASHMEM_PIN says that nothing was purged meanwhile, and the contents are there",
        op: |f| {
            ashmem::unpin(&f.fd, 0, f.size)?;
            Ok(ashmem::pin(&f.fd, 0, f.size)?)
        },
        after: shows,
        ..PINS
    },
    Case {
        name: "pin_purged",
        about: "ASHMEM_PIN says that a page was purged meanwhile, which is a page of zeroes now",
        op: |f| {
            ashmem::unpin(&f.fd, 0, f.page)?;
            ashmem::purge(&f.fd)?;
            Ok(ashmem::pin(&f.fd, 0, f.size)?)
        },
        expect: Returns(1),
        after: |f| {
            same("the first page's first byte", 0, f.old().load(0))?;
            f.old().store(0, crate::world::MARK);
            shows(f)
        },
        ..PURGES
    },
    Case {
        name: "pin_unmapped",
        about: "there is nothing to unpin before the first mmap(2)",
        setup: unmapped,
        op: |f| Ok(ashmem::unpin(&f.fd, 0, f.size)?),
        expect: Fails(EINVAL),
        ..PINS
    },
    Case {
        name: "pin_past_end",
        about: "nor past a region's end",
        op: |f| Ok(ashmem::unpin(&f.fd, f.page, f.size)?),
        expect: Fails(EINVAL),
        ..PINS
    },
    Case {
        name: "purge_by_nobody",
        about: "ASHMEM_PURGE_ALL_CACHES is root's",
        op: |f| as_nobody(|| Ok(ashmem::purge(&f.fd)?)),
        expect: Fails(EPERM),
        after: shows,
        ..PURGES
    },
    Case {
        name: "emptied_by_receiver",
        about: "a receiver who may only read unpins the region, and its contents go for all",
        setup: dropped,
        op: |f: &mut World| {
            as_nobody(|| Ok(ashmem::unpin(&f.fd, 0, f.size)?))?;
            ashmem::purge(&f.fd)?;
            Ok(f.old().load(0).into())
        },
        ..PURGES
    },
];
