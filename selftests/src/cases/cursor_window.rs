// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What the seal was proposed for: a sender that goes on writing what its receivers only read.
//! Where the kernel lacks it, the older seals that come nearest.

use super::programs::program;
use super::unaffected::tmpfs_file;
use crate::case::*;
use crate::child::wrong;
use crate::cursor::hostile::{Sealing, Viewer, tries};
use crate::cursor::lives::{receiver_dies, sender_dies, updates};
use crate::cursor::{self, SIZE};
use crate::kind::Kind;
use crate::need::Need;
use crate::region::{self, Guarantee, ReadOnly, Refused, Unsealed, receive_and_verify};
use crate::sys::{self, seal};
use crate::world::same;
use nix::errno::Errno::*;
use std::os::fd::{AsRawFd, OwnedFd};

/// Brings its own processes, and says itself what does not hold.
const WINDOW: Case = Case {
    on: OWN,
    setup: program,
    expect: Returns(0),
    starved: Starved::Untried("it is many processes and calls"),
    ..CONTROL
};

/// As `WINDOW`, for the seal.
const SEAL: Case = Case { under: &[seal::FS_WRITE], ..WINDOW };

pub const CASES: &[Case] = &[
    Case {
        name: "updates_1",
        about: "a receiver sees every row that the sender writes after the seal",
        rules: &[1, 10, 14],
        op: |_| held(updates(1, 8192)),
        ..WINDOW
    },
    Case {
        name: "updates_8",
        about: "eight receivers see every row",
        rules: &[1, 10, 14],
        op: |_| held(updates(8, 2048)),
        ..WINDOW
    },
    Case {
        name: "updates_64",
        about: "sixty-four receivers see every row",
        rules: &[1, 10, 14],
        op: |_| held(updates(64, 1024)),
        ..WINDOW
    },
    Case {
        name: "sender_dies",
        about: "receivers of a sender that dies amid a row keep their view, read-only, and get EOF",
        rules: &[10, 30],
        op: |_| held(sender_dies()),
        ..WINDOW
    },
    Case {
        name: "receiver_dies",
        about: "a receiver that dies takes neither the sender nor the others with it",
        op: |_| held(receiver_dies()),
        ..WINDOW
    },
    Case {
        name: "guarantee",
        about: "the helper gets the seal from a kernel that has it",
        rules: &[2, 21],
        op: |_| held(guarantee()),
        hollow: Deviation::Fails("the helper probes the seal by its meaning"),
        ..SEAL
    },
    Case {
        name: "hostile_same_uid",
        about: "a hostile receiver can't write, resize or replace the region in any way",
        rules: &[3, 5, 7, 8, 10, 12, 13, 16, 20],
        op: |_| held(tries(Viewer::SameUid, Sealing::Best, None)),
        ..WINDOW
    },
    Case {
        name: "hostile_other_uid",
        about: "nor can one of another user, who gets at nothing of the sender's either",
        rules: &[3, 5, 7, 8, 10, 12, 13, 16, 20],
        needs: &[Need::OtherUid],
        op: |_| held(tries(Viewer::OtherUid, Sealing::Best, None)),
        ..WINDOW
    },
    Case {
        name: "hostile_other_namespace",
        about: "nor can one with all capabilities of a user namespace of its own",
        rules: &[3, 5, 7, 8, 10, 12, 13, 16, 20],
        needs: &[Need::UserNamespace],
        op: |_| held(tries(Viewer::OtherNamespace, Sealing::Best, None)),
        ..WINDOW
    },
    Case {
        name: "hostile_io_uring",
        about: "nor does io_uring help any of the three",
        rules: &[3, 5, 7],
        needs: &[Need::IoUring, Need::OtherUid, Need::UserNamespace],
        op: |_| held(by_all(Need::IoUring)),
        ..WINDOW
    },
    Case {
        name: "hostile_aio",
        about: "nor does AIO",
        rules: &[3],
        needs: &[Need::Aio, Need::OtherUid, Need::UserNamespace],
        op: |_| held(by_all(Need::Aio)),
        ..WINDOW
    },
    Case {
        name: "hostile_userfaultfd",
        about: "nor does userfaultfd",
        rules: &[10],
        needs: &[Need::Userfaultfd, Need::OtherUid, Need::UserNamespace],
        op: |_| held(by_all(Need::Userfaultfd)),
        ..WINDOW
    },
    Case {
        name: "hostile_udmabuf",
        about: "nor does udmabuf, for who may open it",
        rules: &[25],
        needs: &[Need::Udmabuf],
        op: |_| held(tries(Viewer::SameUid, Sealing::Best, Some(Need::Udmabuf))),
        ..WINDOW
    },
    Case {
        name: "hostile_seal_alone",
        about: "the seal alone, without the two that it implies, is enough against all of it",
        rules: &[3, 5, 7, 8, 10, 12, 13, 16, 20],
        op: |_| held(tries(Viewer::SameUid, Sealing::FsWriteAlone, None)),
        hollow: Deviation::Fails("nothing enforces the seal"),
        ..SEAL
    },
    Case {
        name: "hostile_older_seals",
        about: "the older seals are enough too, but that fallocate(2) below EOF works",
        op: |_| {
            let older = Sealing::As(Guarantee::FutureWriteShrinkGrow);
            held(tries(Viewer::SameUid, older, None))
        },
        ..WINDOW
    },
    Case {
        name: "hostile_unsealed",
        about: "what the hostile receiver tries does work on a region that is not sealed",
        op: |_| held(tries(Viewer::SameUid, Sealing::None, None)),
        ..WINDOW
    },
    Case {
        name: "refuses_unsealed",
        about: "a receiver refuses a region that is not sealed",
        op: |_| refuses(&memfd(4096, 0), 4096, |fd| Refused::Writable { seals: seals(fd) }),
        ..WINDOW
    },
    Case {
        name: "refuses_too_few_seals",
        about: "a receiver refuses any of the older seals short of FUTURE_WRITE, SHRINK and GROW",
        op: |_| {
            let (size, write) = (seal::SHRINK | seal::GROW, seal::FUTURE_WRITE);
            let few = [write, write | seal::SHRINK, write | seal::GROW, size, size | seal::WRITE];
            for seals_set in few {
                let fd = memfd(4096, seals_set);
                refuses(&fd, 4096, |fd| Refused::Writable { seals: seals(fd) })?;
            }
            Ok(0)
        },
        ..WINDOW
    },
    Case {
        name: "accepts_older_seals",
        about: "a receiver takes FUTURE_WRITE, SHRINK and GROW for what they are",
        op: |_| {
            let three = seal::FUTURE_WRITE | seal::SHRINK | seal::GROW;
            accepts(&memfd(4096, three), Guarantee::FutureWriteShrinkGrow)
        },
        ..WINDOW
    },
    Case {
        name: "accepts_seal_alone",
        about: "a receiver takes the seal alone, if the kernel enforces it",
        rules: &[2],
        op: |_| accepts(&memfd(4096, seal::FS_WRITE), Guarantee::FsWrite),
        hollow: Deviation::Fails("the receiver does not trust the bit, which nothing enforces"),
        ..SEAL
    },
    Case {
        name: "refuses_short",
        about: "a receiver refuses a region that is smaller than it needs",
        op: |_| {
            let got = receive(&[sealed(4096).as_raw_fd()], 4096, 8192);
            is_refused(got, Refused::Short { wanted: 8192, size: 4096 })
        },
        ..WINDOW
    },
    Case {
        name: "refuses_false_claim",
        about: "a receiver refuses a region that is smaller than its sender says",
        op: |_| {
            let got = receive(&[sealed(4096).as_raw_fd()], 1 << 40, 0);
            is_refused(got, Refused::Short { wanted: 1 << 40, size: 4096 })
        },
        ..WINDOW
    },
    Case {
        name: "refuses_empty",
        about: "a receiver refuses a region of no bytes",
        op: |_| refuses(&sealed(0), 0, |_| Refused::Short { wanted: 1, size: 0 }),
        ..WINDOW
    },
    Case {
        name: "refuses_file",
        about: "a receiver refuses a file that can't be sealed: on a disk, and on a tmpfs",
        op: |_| {
            let program: OwnedFd = std::fs::File::open("/proc/self/exe").expect("it runs").into();
            let kind = nix::sys::statfs::fstatfs(&program).expect("statfs").filesystem_type();
            let no_more = Refused::Writable { seals: seal::SEAL };
            // In the guest the program is on a tmpfs.
            refuses(&program, 1, |_| match kind {
                nix::sys::statfs::TMPFS_MAGIC => no_more,
                _ => Refused::NoMemfd(EINVAL),
            })?;
            let file = tmpfs_file(Given::of(Kind::Own)).expect("a tmpfs").fd;
            refuses(&file, 1, |_| no_more)
        },
        ..WINDOW
    },
    Case {
        name: "refuses_pipe",
        about: "a receiver refuses a pipe, and a file of /proc",
        op: |_| {
            refuses(&nix::unistd::pipe()?.0, 1, |_| Refused::NoMemfd(EINVAL))?;
            let file: OwnedFd = std::fs::File::open("/proc/self/stat").expect("proc").into();
            refuses(&file, 1, |_| Refused::NoMemfd(EINVAL))
        },
        ..WINDOW
    },
    Case {
        name: "refuses_wrong_message",
        about: "a receiver refuses no descriptor, several, and bytes that are no size, and keeps none open",
        op: |_| {
            let fd = sealed(4096);
            let open = descriptors();
            for count in [0, 2, 253] {
                let wrong = Refused::Message { bytes: 8, descriptors: count };
                is_refused(receive(&vec![fd.as_raw_fd(); count], 4096, 4096), wrong)?;
            }
            let (to, from) = cursor::pair();
            nix::unistd::write(&to, b"size")?;
            let wrong = Refused::Message { bytes: 4, descriptors: 0 };
            is_refused(receive_and_verify(&from, 4096), wrong)?;
            drop((to, from));
            held(same("open descriptors", open, descriptors()))
        },
        ..WINDOW
    },
    Case {
        name: "refuses_truncated_message",
        about: "a receiver that may open no more descriptors says so (MSG_CTRUNC)",
        op: |_| {
            let (to, from) = cursor::pair();
            let fd = sealed(4096);
            region::send(&to, &[fd.as_raw_fd()], 4096)?;
            let none = [0u64; 2];
            let args = [0, libc::RLIMIT_NOFILE as usize, none.as_ptr() as usize, 0, 0, 0];
            sys::call(libc::SYS_prlimit64, args)?;
            is_refused(receive_and_verify(&from, 4096), Refused::Truncated)
        },
        ..WINDOW
    },
    Case {
        name: "refuses_nothing",
        about: "a receiver whose sender is gone says so",
        op: |_| {
            let (to, from) = cursor::pair();
            drop(to);
            is_refused(receive_and_verify(&from, 4096), Refused::Gone)
        },
        ..WINDOW
    },
];

fn held(check: Check) -> Got {
    check.map_or_else(|what| wrong(what), |()| Ok(0))
}

fn guarantee() -> Check {
    let region = Unsealed::create("guarantee", SIZE).expect("a region");
    let region = region.seal().expect("F_ADD_SEALS");
    same("the guarantee", Guarantee::FsWrite, region.guarantee())?;
    let asked = seal::FS_WRITE | seal::SHRINK | seal::GROW | seal::SEAL;
    same("seals", asked, sys::get_seals(&region).expect("F_GET_SEALS") as u32 & !seal::EXEC)
}

/// By every one of the three, after the proof that the tries work where no seal is.
fn by_all(need: Need) -> Check {
    tries(Viewer::SameUid, Sealing::None, Some(need)).map_err(|what| format!("no seal: {what}"))?;
    let viewers = [Viewer::SameUid, Viewer::OtherUid, Viewer::OtherNamespace];
    viewers.into_iter().try_for_each(|viewer| {
        tries(viewer, Sealing::Best, Some(need)).map_err(|what| format!("{viewer:?}: {what}"))
    })
}

/// A memfd of this size with these seals.
fn memfd(size: usize, seals: u32) -> OwnedFd {
    let fd = region::memfd_create_region("offered", size).expect("a memfd");
    sys::add_seals(&fd, seals).expect("F_ADD_SEALS");
    fd
}

/// As well sealed as the kernel can.
fn sealed(size: usize) -> OwnedFd {
    memfd(size, Guarantee::best().expect("a probe").seals())
}

fn seals(fd: &OwnedFd) -> u32 {
    sys::get_seals(fd).expect("F_GET_SEALS") as u32
}

/// What a receiver makes of these descriptors and this claim.
fn receive(fds: &[i32], claim: u64, least: usize) -> Result<ReadOnly, Refused> {
    let (to, from) = cursor::pair();
    region::send(&to, fds, claim).expect("send");
    receive_and_verify(&from, least)
}

fn is_refused(got: Result<ReadOnly, Refused>, why: Refused) -> Got {
    held(same("the receiver", Err(why), got.map(|view| view.guarantee())))
}

fn refuses(fd: &OwnedFd, least: usize, why: impl Fn(&OwnedFd) -> Refused) -> Got {
    is_refused(receive(&[fd.as_raw_fd()], least as u64, least), why(fd))
}

fn accepts(fd: &OwnedFd, guarantee: Guarantee) -> Got {
    let got = receive(&[fd.as_raw_fd()], 4096, 4096).map(|view| (view.guarantee(), view.len()));
    held(same("the receiver", Ok((guarantee, 4096)), got))
}

/// How many descriptors this process has open.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd").count()
}
