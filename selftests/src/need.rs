// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a case may need of the kernel or the machine, probed by meaning and never by version.

use crate::cursor::hostile::Viewer;
use crate::kind::{Kind, THP, free_huge_pages, huge_page_size, thp_size};
pub use crate::region::{Probe, probe_seal};
use crate::sys::{self, mfd};
use nix::errno::Errno;
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
    /// The right to become another user.
    OtherUid,
    /// A user namespace of one's own.
    UserNamespace,
    /// Files on shmem that may have large folios, whether or not they have.
    LargeFolios,
    /// The kernel's own memfd_test, which the runner puts beside the suite.
    MemfdTest,
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
            Need::OtherUid => Viewer::OtherUid.missing(),
            Need::UserNamespace => Viewer::OtherNamespace.missing(),
            Need::LargeFolios => thp_missing(),
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
    let (free, needed) = (free_huge_pages(), HUGE_PAGES * AT_ONCE.get().unwrap_or(&1));
    (free < needed).then(|| {
        let how = format!("as root: echo {needed} > /proc/sys/vm/nr_hugepages");
        format!("{free} free huge pages, {needed} needed ({how})")
    })
}

/// Free huge pages that one case needs.
const HUGE_PAGES: usize = 8;

static AT_ONCE: OnceLock<usize> = OnceLock::new();

/// Says once how many cases run at once.
pub fn at_once(cases: usize) {
    let _ = AT_ONCE.set(cases);
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
