// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! The kinds of file that a case runs on.

use crate::sys::{mfd, seal};
use std::sync::OnceLock;

/// What backs the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A memfd on shmem.
    Shmem,
    /// A memfd on shmem, in huge pages that transparent huge page support gives.
    Thp,
    /// A memfd on shmem, created with MFD_NOEXEC_SEAL.
    Noexec,
    /// A memfd on hugetlbfs, default huge page size.
    Hugetlb,
    /// The case brings its own.
    Own,
}

impl Kind {
    /// The last part of a test's name; empty for `Own`.
    pub fn suffix(self) -> &'static str {
        match self {
            Kind::Shmem => "shmem",
            Kind::Thp => "thp",
            Kind::Noexec => "noexec",
            Kind::Hugetlb => "hugetlb",
            Kind::Own => "",
        }
    }

    /// Flags for `memfd_create(2)` beside MFD_CLOEXEC.
    pub fn flags(self) -> u32 {
        match self {
            Kind::Hugetlb => mfd::HUGETLB,
            Kind::Noexec => mfd::NOEXEC_SEAL,
            _ => 0,
        }
    }

    /// Seals that such a file has from its beginning, if it can be sealed.
    pub fn seals(self) -> u32 {
        if self == Kind::Noexec { seal::EXEC } else { 0 }
    }

    /// Whether its pages are large: clearing them costs most of a test's time.
    pub fn is_huge(self) -> bool {
        matches!(self, Kind::Thp | Kind::Hugetlb)
    }

    /// Size of one page of this kind in bytes, as the running kernel has it.
    pub fn page(self) -> usize {
        match self {
            Kind::Hugetlb => huge_page_size().unwrap_or(2 << 20),
            Kind::Thp => thp_size().unwrap_or(2 << 20),
            _ => nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
                .ok()
                .flatten()
                .map_or(4096, |size| size as usize),
        }
    }
}

/// The default huge page size in bytes; none if the kernel has no hugetlb.
pub fn huge_page_size() -> Option<usize> {
    static SIZE: OnceLock<Option<usize>> = OnceLock::new();
    *SIZE.get_or_init(|| meminfo("Hugepagesize:").map(|kib| kib * 1024))
}

/// Size of a transparent huge page in bytes; none if the kernel has none.
pub fn thp_size() -> Option<usize> {
    let size = std::fs::read_to_string(format!("{THP}/hpage_pmd_size")).ok()?;
    size.trim().parse().ok()
}

/// Where the kernel tells and takes what is done with transparent huge pages.
pub const THP: &str = "/sys/kernel/mm/transparent_hugepage";

/// Huge pages that are free and not reserved.
pub fn free_huge_pages() -> usize {
    let free = meminfo("HugePages_Free:").unwrap_or(0);
    free.saturating_sub(meminfo("HugePages_Rsvd:").unwrap_or(0))
}

fn meminfo(key: &str) -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
