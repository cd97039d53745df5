// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! What a case may need of the kernel or the machine, probed by meaning and never by version.

use crate::calls::NO_USER;
use crate::case::Given;
use crate::cursor::hostile::Viewer;
use crate::kind::{Kind, THP, free_huge_pages, huge_page_size, thp_size};
use crate::lacking;
use crate::mapped::MADV_COLLAPSE;
pub use crate::region::{Probe, probe_seal};
use crate::sys::{self, Ended, mfd, seal};
use crate::uffd;
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::OnceLock;

/// A thing that a case may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// io_uring.
    IoUring,
    /// F_SEAL_EXEC, and the flags of memfd_create(2) that came with it.
    ExecSeal,
    /// Opening a memfd O_DIRECT.
    DirectIo,
    /// RWF_NOAPPEND.
    Noappend,
    /// IORING_OP_FTRUNCATE.
    UringTruncate,
    /// Extended attributes of users on a memfd.
    UserXattrs,
    /// FS_IOC_SETFLAGS on a memfd.
    InodeFlags,
    /// udmabuf of hugetlbfs, as of shmem.
    UdmabufHugetlb,
    /// mremap(2) that moves a mapping, if that is one of hugetlbfs.
    HugetlbMoves,
    /// MADV_DONTNEED on a mapping, if that is one of hugetlbfs.
    HugetlbDontneed,
    /// Linux AIO.
    Aio,
    /// userfaultfd(2).
    Userfaultfd,
    /// UFFDIO_CONTINUE on memfds.
    UffdContinue,
    /// UFFDIO_WRITEPROTECT on memfds.
    UffdProtect,
    /// UFFDIO_MOVE.
    UffdMove,
    /// MADV_POPULATE_READ and MADV_POPULATE_WRITE.
    Populate,
    /// MREMAP_DONTUNMAP of a mapping of a file.
    Dontunmap,
    /// /dev/udmabuf.
    Udmabuf,
    /// /dev/ashmem.
    Ashmem,
    /// iommufd, and its selftest's access.
    Iommufd,
    /// FUSE with passthrough, and the right to mount it.
    Fuse,
    /// Loop devices.
    Loop,
    /// Swap on a RAM disk that holds nothing.
    Swap,
    /// /dev/liveupdate.
    LiveUpdate,
    /// A 32-bit system call entry.
    Compat,
    /// Arguments of 64 bits in one word.
    Words64,
    /// An address that no user space has.
    KernelAddress,
    /// remap_file_pages(2).
    RemapFilePages,
    /// Huge pages that MADV_COLLAPSE puts together.
    Collapse,
    /// Compaction of memory when root asks for it.
    Compaction,
    /// mseal(2).
    Mseal,
    /// Protection keys for pages of user space.
    Pkeys,
    /// pkey_mprotect(2), which works without a key too.
    PkeyMprotect,
    /// System V shared memory.
    SysvShm,
    /// fchmodat2(2).
    Fchmodat2,
    /// The right to mount, for files that are no memfds.
    Mounts,
    /// Pid namespaces in which nothing is set, with vm.memfd_noexec.
    PidNamespaces,
    /// The right to become another user.
    OtherUid,
    /// A user namespace of one's own.
    UserNamespace,
    /// The capabilities of root that might be taken for more than a seal: CAP_SYS_ADMIN,
    /// CAP_DAC_OVERRIDE, CAP_FOWNER.
    Capabilities,
    /// Memory that may be pinned: huge pages, in as many cases as run at once.
    LockedMemory,
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
    /// The feature that this is, if there are bases without it: what needs it is predicted to be
    /// skipped there.
    pub fn feature(self) -> Option<&'static str> {
        match self {
            // vm.memfd_noexec came with it.
            Need::ExecSeal | Need::PidNamespaces => Some("exec_seal"),
            Need::DirectIo => Some("direct_io"),
            Need::Noappend => Some("rwf_noappend"),
            Need::UringTruncate => Some("uring_truncate"),
            Need::UserXattrs => Some("user_xattrs"),
            Need::InodeFlags => Some("inode_flags"),
            Need::UdmabufHugetlb => Some("udmabuf_hugetlb"),
            Need::HugetlbMoves => Some("hugetlb_moves"),
            Need::HugetlbDontneed => Some("hugetlb_dontneed"),
            Need::Fuse => Some("fuse_passthrough"),
            Need::UffdContinue => Some("uffd_continue"),
            Need::UffdProtect => Some("uffd_protect"),
            Need::UffdMove => Some("uffd_move"),
            Need::Populate => Some("madv_populate"),
            Need::Collapse => Some("madv_collapse"),
            Need::Dontunmap => Some("mremap_dontunmap"),
            Need::Mseal => Some("mseal"),
            Need::Fchmodat2 => Some("fchmodat2"),
            Need::Iommufd => Some("iommufd_map_file"),
            Need::LiveUpdate => Some("live_update"),
            Need::Ashmem => Some("ashmem"),
            Need::Compat => Some("int80"),
            Need::Pkeys => Some("pkeys"),
            Need::PkeyMprotect => Some("pkey_mprotect"),
            Need::Words64 => Some("words64"),
            Need::KernelAddress => Some("kernel_address"),
            _ => None,
        }
    }

    /// Whether a test on this kind of file needs it, where its row says so.
    pub fn concerns(self, kind: Kind) -> bool {
        kind == Kind::Hugetlb || !matches!(self, Need::HugetlbMoves | Need::HugetlbDontneed)
    }

    /// Why it is missing; none if it is there.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::ExecSeal => lacking::exec_seal(),
            Need::DirectIo => lacking::direct_io(),
            Need::Noappend => lacking::noappend(),
            Need::UringTruncate => lacking::uring_truncate(),
            Need::UserXattrs => lacking::user_xattrs(),
            Need::InodeFlags => lacking::inode_flags(),
            Need::UdmabufHugetlb => crate::udmabuf::hugetlb_missing(),
            Need::HugetlbMoves => lacking::hugetlb_moves(),
            Need::HugetlbDontneed => lacking::hugetlb_dontneed(),
            Need::IoUring => crate::uring::missing(),
            Need::Aio => no_call("Linux AIO", libc::SYS_io_setup, [0; 6]),
            Need::Userfaultfd => match uffd::open() {
                Ok(_) => None,
                Err(errno) => Some(format!("no userfaultfd ({errno:?})")),
            },
            Need::UffdContinue => uffd::lacking("UFFDIO_CONTINUE", uffd::MINOR_BOTH),
            Need::UffdProtect => uffd::lacking("UFFDIO_WRITEPROTECT", uffd::WP_BOTH),
            Need::UffdMove => uffd::lacking("UFFDIO_MOVE", uffd::MOVES),
            Need::Populate => lacking::populate(),
            Need::Dontunmap => lacking::dontunmap(),
            Need::Udmabuf => device("/dev/udmabuf"),
            Need::Ashmem => crate::ashmem::missing(),
            Need::Iommufd => crate::iommufd::missing(),
            Need::Fuse => crate::fuse::missing(),
            Need::Loop => crate::loopdev::missing(),
            Need::Swap => crate::swap::missing(),
            Need::LiveUpdate => crate::luo::missing(),
            Need::Compat => crate::compat::missing(),
            Need::Words64 => (usize::BITS < 64)
                .then(|| "a program of 32 bits can't say so much in one argument".into()),
            Need::KernelAddress => kernel_address_missing(),
            Need::RemapFilePages => {
                no_call("remap_file_pages", libc::SYS_remap_file_pages, [0, 0, 1, 0, 0, 0])
            }
            Need::Collapse => collapse_missing(),
            Need::Compaction => std::fs::OpenOptions::new()
                .write(true)
                .open(COMPACT)
                .err()
                .map(|error| format!("{COMPACT}: {error} (needs root and CONFIG_COMPACTION)")),
            Need::Mseal => no_call("mseal", sys::SYS_MSEAL, [0; 6]),
            Need::Pkeys => pkeys_missing(),
            Need::PkeyMprotect => {
                no_call("pkey_mprotect(2)", libc::SYS_pkey_mprotect, [0, 0, 0, usize::MAX, 0, 0])
            }
            Need::SysvShm => {
                no_call("System V shared memory", sys::SYS_SHMCTL, [usize::MAX, 0, 0, 0, 0, 0])
            }
            Need::Fchmodat2 => {
                no_call("fchmodat2(2)", sys::SYS_FCHMODAT2, [usize::MAX, 0, 0, 0, 0, 0])
            }
            Need::Mounts => match crate::elsewhere::mount(c"tmpfs") {
                Ok(_) => None,
                Err(errno) => Some(format!("a tmpfs can't be mounted ({errno:?}; run it as root)")),
            },
            Need::PidNamespaces => unshared(CloneFlags::CLONE_NEWPID).or_else(memfd_noexec_set),
            Need::OtherUid => Viewer::OtherUid.missing(),
            Need::UserNamespace => Viewer::OtherNamespace.missing(),
            Need::Capabilities => powerless(),
            Need::LockedMemory => unlockable(),
            Need::MemfdTest if Path::new("/memfd_test").exists() => None,
            Need::MemfdTest => Some("no /memfd_test beside the suite".into()),
        }
    }
}

/// What nothing here works without. Errors: the line to print.
pub fn least() -> Result<(), String> {
    let fd = sys::memfd_create("probe", mfd::CLOEXEC | mfd::ALLOW_SEALING)
        .map_err(|errno| format!("nothing can be tested: memfd_create: {errno:?}"))?;
    sys::get_seals(&fd)
        .map_err(|errno| format!("nothing can be tested: F_GET_SEALS: {errno:?}"))?;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::File::open(&path)
        .map(|_| ())
        .map_err(|error| format!("nothing can be tested: opening {path}: {error}"))
}

/// Why this kind of file can't be had; none if it can. Looked up once: see `run.rs`.
pub fn kind_missing(kind: Kind) -> Option<String> {
    static HUGETLB: OnceLock<Option<String>> = OnceLock::new();
    match kind {
        Kind::Hugetlb => HUGETLB.get_or_init(hugetlb_missing).clone(),
        Kind::Thp => thp_missing(),
        _ => None,
    }
}

/// What a test on this kind of file, under these seals, through this descriptor, needs without its
/// row saying so.
pub fn implied(given: Given, row: &[Need]) -> impl Iterator<Item = Need> + use<> {
    let exec = given.kind == Kind::Noexec || given.seals & seal::EXEC != 0;
    let buffer = given.kind == Kind::Hugetlb && row.contains(&Need::Udmabuf);
    [
        exec.then_some(Need::ExecSeal),
        given.door.is_direct().then_some(Need::DirectIo),
        buffer.then_some(Need::UdmabufHugetlb),
    ]
    .into_iter()
    .flatten()
}

/// Whether the kernel has all of these seals, F_SEAL_FS_WRITE aside.
pub fn knows(seals: u32) -> bool {
    seals & seal::EXEC == 0 || Need::ExecSeal.missing().is_none()
}

/// MFD_EXEC; nothing where it is not known, and every memfd is executable.
pub fn mfd_exec() -> u32 {
    if Need::ExecSeal.missing().is_none() { mfd::EXEC } else { 0 }
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

/// Writing to it has the kernel move pages together.
pub const COMPACT: &str = "/proc/sys/vm/compact_memory";

fn collapse_missing() -> Option<String> {
    let Some(size) = thp_size() else {
        return Some("no transparent huge pages in this kernel".into());
    };
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let map = match sys::Map::at(0, 2 * size, sys::RW, flags, -1, 0) {
        Ok(map) => map,
        Err(errno) => return Some(format!("no memory for a huge page ({errno:?})")),
    };
    let at = map.addr().next_multiple_of(size) - map.addr();
    map.store(at, 1);
    map.advise(at, size, MADV_COLLAPSE)
        .err()
        .map(|errno| format!("no MADV_COLLAPSE, or no memory for a huge page ({errno:?})"))
}

/// /dev/null takes whatever a user may name, without looking there.
fn kernel_address_missing() -> Option<String> {
    let null = match std::fs::OpenOptions::new().write(true).open("/dev/null") {
        Ok(null) => null,
        Err(error) => return Some(format!("/dev/null: {error}")),
    };
    let args = [null.as_raw_fd() as usize, NO_USER, 4, 0, 0, 0];
    (sys::call(libc::SYS_write, args) != Err(Errno::EFAULT)).then(|| {
        format!("user space may be anywhere that this program can name ({NO_USER:#x} too)")
    })
}

fn pkeys_missing() -> Option<String> {
    if !sys::KEYS_ARE_SET {
        return Some("protection keys are not set here as on x86".into());
    }
    let errno = sys::pkey_alloc(0).err()?;
    Some(format!("no protection keys in this CPU or kernel ({errno:?})"))
}

/// Why this process is not all that root can be.
fn powerless() -> Option<String> {
    without(1 << 21 | 1 << 1 | 1 << 3)
}

/// Why this process lacks one of these capabilities.
fn without(wanted: u64) -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let has = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or("").trim();
    let all = u64::from_str_radix(has, 16).is_ok_and(|has| has & wanted == wanted);
    (!all).then(|| format!("capabilities are {has:?}, {wanted:x} needed (run it as root)"))
}

/// Why not so much memory can be pinned. CAP_IPC_LOCK, bit 14, has no limit.
fn unlockable() -> Option<String> {
    let wanted = (HUGE_PAGES * huge_page_size().unwrap_or(0)) as u64;
    // Soft and hard, of 64 bits whatever the program has.
    let mut limits = [0u64; 2];
    let at = limits.as_mut_ptr() as usize;
    let got = sys::call(libc::SYS_prlimit64, [0, libc::RLIMIT_MEMLOCK as usize, 0, at, 0, 0]);
    let limit = got.map_or(0, |_| limits[0]);
    (limit < wanted).then(|| without(1 << 14)).flatten().map(|_| {
        format!("{} KiB may be locked, {} needed (ulimit -l unlimited)", limit >> 10, wanted >> 10)
    })
}

fn no_call(what: &str, nr: libc::c_long, args: [usize; 6]) -> Option<String> {
    (sys::call(nr, args) == Err(Errno::ENOSYS)).then(|| format!("no {what} in this kernel"))
}

/// Why such a namespace can't be made.
fn unshared(flag: CloneFlags) -> Option<String> {
    let made = sys::in_child(|| unshare(flag).map_or_else(|errno| errno as i32, |()| 0));
    match made {
        Ok(Ended::Exit(0)) => None,
        Ok(Ended::Exit(errno)) => {
            let errno = Errno::from_raw(errno);
            Some(format!("{flag:?}: {errno:?} (needs CONFIG_NAMESPACES; run it as root)"))
        }
        other => Some(format!("{flag:?}: {other:?}")),
    }
}

/// Why vm.memfd_noexec can't be set to anything in a new pid namespace.
fn memfd_noexec_set() -> Option<String> {
    match std::fs::read_to_string(MEMFD_NOEXEC) {
        Ok(text) if text.trim() == "0" => None,
        Ok(text) => Some(format!(
            "vm.memfd_noexec is {}, and pid namespaces inherit it (as root: sysctl vm.memfd_noexec=0)",
            text.trim()
        )),
        Err(error) => Some(format!("{MEMFD_NOEXEC}: {error}")),
    }
}

/// What memfd_create(2) does without MFD_EXEC and MFD_NOEXEC_SEAL, for each pid namespace.
pub const MEMFD_NOEXEC: &str = "/proc/sys/vm/memfd_noexec";

fn device(path: &str) -> Option<String> {
    match std::fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => None,
        Err(error) => Some(format!("{path}: {error}")),
    }
}
