// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a case may need of the kernel or the machine, probed by meaning and never by version.

use crate::kind::{Kind, THP, free_huge_pages, huge_page_size, thp_size};
use crate::sys::{self, Ended, mfd, seal};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use std::sync::OnceLock;

/// A thing that a case may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// io_uring.
    IoUring,
    /// Linux AIO.
    Aio,
    /// userfaultfd(2).
    Userfaultfd,
    /// /dev/udmabuf.
    Udmabuf,
    /// /dev/liveupdate.
    LiveUpdate,
    /// A 32-bit system call entry.
    Compat,
    /// remap_file_pages(2).
    RemapFilePages,
    /// System V shared memory.
    SysvShm,
    /// The right to be another user.
    OtherUsers,
    /// The capabilities of root that might be taken for more than a seal: CAP_SYS_ADMIN,
    /// CAP_DAC_OVERRIDE, CAP_FOWNER.
    Capabilities,
    /// User namespaces.
    UserNamespaces,
    /// The kernel's own memfd_test, which the runner puts beside the suite.
    MemfdTest,
}

/// What probing the seal by its meaning found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// F_ADD_SEALS took it, and a pwrite after it gave EPERM.
    Present,
    /// F_ADD_SEALS refused it.
    Refused(Errno),
    /// F_ADD_SEALS took it and a pwrite after it still worked: the bit means something else.
    Hollow,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Probe::Present => write!(f, "present"),
            Probe::Refused(errno) => write!(f, "absent: F_ADD_SEALS gives {errno:?}"),
            Probe::Hollow => write!(f, "absent: F_ADD_SEALS takes 0x40, but pwrite still works"),
        }
    }
}

/// Probes F_SEAL_FS_WRITE on a scratch memfd.
pub fn probe_seal() -> Probe {
    let attempt = || -> Result<Probe, Errno> {
        let fd = sys::memfd_create("probe", mfd::CLOEXEC | mfd::ALLOW_SEALING)?;
        sys::pwritev2(&fd, b"old", 0, 0)?;
        sys::add_seals(&fd, seal::FS_WRITE)?;
        Ok(match sys::pwritev2(&fd, b"new", 0, 0) {
            Err(Errno::EPERM) => Probe::Present,
            _ => Probe::Hollow,
        })
    };
    attempt().unwrap_or_else(Probe::Refused)
}

static REQUIRE_SEAL: OnceLock<bool> = OnceLock::new();

/// Says once whether the kernel is meant to have the seal: cases then run whatever the probe finds.
pub fn require_seal(required: bool) {
    let _ = REQUIRE_SEAL.set(required);
}

/// Why a test of F_SEAL_FS_WRITE can't be run; none if it can.
pub fn seal_missing() -> Option<String> {
    if *REQUIRE_SEAL.get().unwrap_or(&false) {
        return None;
    }
    match probe_seal() {
        Probe::Present => None,
        absent => Some(format!("no F_SEAL_FS_WRITE ({absent})")),
    }
}

impl Need {
    /// Why it is missing; none if it is there.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::IoUring => crate::uring::missing(),
            Need::Aio => no_call("Linux AIO", libc::SYS_io_setup, [0; 6]),
            Need::Userfaultfd => match crate::uffd::open() {
                Ok(_) => None,
                Err(errno) => Some(format!("no userfaultfd ({errno:?})")),
            },
            Need::Udmabuf => device("/dev/udmabuf"),
            Need::LiveUpdate => crate::luo::missing(),
            Need::Compat => crate::compat::missing(),
            Need::RemapFilePages => {
                no_call("remap_file_pages", libc::SYS_remap_file_pages, [0, 0, 1, 0, 0, 0])
            }
            Need::SysvShm => {
                no_call("System V shared memory", libc::SYS_shmctl, [usize::MAX, 0, 0, 0, 0, 0])
            }
            Need::OtherUsers if nix::unistd::geteuid().is_root() => None,
            Need::OtherUsers => Some("can't be another user (run it as root)".into()),
            Need::Capabilities => powerless(),
            Need::UserNamespaces => {
                let made = sys::in_child(|| {
                    unshare(CloneFlags::CLONE_NEWUSER).map_or_else(|errno| errno as i32, |()| 0)
                });
                (made != Ok(Ended::Exit(0))).then(|| {
                    format!("no user namespaces ({made:?}; needs CONFIG_USER_NS and user.max_user_namespaces)")
                })
            }
            Need::MemfdTest if Path::new("/memfd_test").exists() => None,
            Need::MemfdTest => Some("no /memfd_test beside the suite".into()),
        }
    }
}

/// Why this kind of file can't be had; none if it can. Looked up once: see `run.rs`.
pub fn kind_missing(kind: Kind) -> Option<String> {
    static HUGETLB: OnceLock<Option<String>> = OnceLock::new();
    match kind {
        Kind::Hugetlb => HUGETLB.get_or_init(hugetlb_missing).clone(),
        Kind::Thp => thp_missing(),
        Kind::Noexec => sys::memfd_create("probe", mfd::CLOEXEC | mfd::NOEXEC_SEAL)
            .err()
            .map(|errno| format!("no MFD_NOEXEC_SEAL ({errno:?})")),
        _ => None,
    }
}

/// Files get huge pages where they are advised; the suite takes no machine's settings for granted.
fn thp_missing() -> Option<String> {
    if thp_size().is_none() {
        return Some("no transparent huge pages in this kernel".into());
    }
    let switch = format!("{THP}/shmem_enabled");
    let set = std::fs::read_to_string(&switch).unwrap_or_default();
    let advised = ["[advise]", "[always]", "[within_size]"].iter().any(|word| set.contains(word));
    (!advised).then(|| {
        let set = set.split(['[', ']']).nth(1).unwrap_or("absent");
        format!("{switch} is {set} (as root: echo advise > {switch})")
    })
}

fn hugetlb_missing() -> Option<String> {
    if huge_page_size().is_none() {
        return Some("no hugetlb in this kernel".into());
    }
    let free = free_huge_pages();
    (free < HUGE_PAGES).then(|| {
        let how = format!("as root: echo {HUGE_PAGES} > /proc/sys/vm/nr_hugepages");
        format!("{free} free huge pages, {HUGE_PAGES} needed ({how})")
    })
}

/// Free huge pages that the suite needs: eight for each of the two cases that run at once.
const HUGE_PAGES: usize = 16;

/// Why this process is not all that root can be.
fn powerless() -> Option<String> {
    const WANTED: u64 = 1 << 21 | 1 << 1 | 1 << 3;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let has = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or("").trim();
    let all = u64::from_str_radix(has, 16).is_ok_and(|has| has & WANTED == WANTED);
    (!all).then(|| format!("capabilities are {has:?}, {WANTED:x} needed (run it as root)"))
}

fn no_call(what: &str, nr: libc::c_long, args: [usize; 6]) -> Option<String> {
    (sys::call(nr, args) == Err(Errno::ENOSYS)).then(|| format!("no {what} in this kernel"))
}

fn device(path: &str) -> Option<String> {
    match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => None,
        Err(error) => Some(format!("{path}: {error}")),
    }
}
