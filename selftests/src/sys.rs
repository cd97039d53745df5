// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! System calls and memory, and the only `unsafe` of the suite.
//!
//! Thin on purpose: one function a call, raw numbers in, errno out. Safe crates are used
//! elsewhere for what is not under test.

#![allow(unsafe_code)]

use libc::{c_int, c_long, c_void};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU64;

pub mod seal;
mod wide;

pub use wide::{
    F_SETLK, O_LARGEFILE, Offset, SYS_FADVISE64, SYS_FCHMODAT2, SYS_MMAP, SYS_MSEAL, SYS_SHMAT,
    SYS_SHMCTL, SYS_SHMGET, SYS_SYNC_FILE_RANGE, call64, fallocate, fstat, ftruncate, lseek, pread,
    pwrite, truncate,
};

/// What a raw system call gives: its value, or the errno.
pub type Sys<T = i64> = Result<T, Errno>;

/// Reads and writes of a shared mapping.
pub const RW: c_int = libc::PROT_READ | libc::PROT_WRITE;
/// Reads only.
pub const RO: c_int = libc::PROT_READ;

/// Flags of `memfd_create(2)`.
pub mod mfd {
    pub const CLOEXEC: u32 = 0x0001;
    pub const ALLOW_SEALING: u32 = 0x0002;
    pub const HUGETLB: u32 = 0x0004;
    pub const NOEXEC_SEAL: u32 = 0x0008;
    pub const EXEC: u32 = 0x0010;
}

fn result(value: i64) -> Sys {
    if value == -1 { Err(Errno::last()) } else { Ok(value) }
}

/// Any system call, its arguments as a 64-bit kernel takes them (see `call64`).
pub fn call(nr: c_long, args: [usize; 6]) -> Sys {
    call64(nr, args.map(|arg| arg as u64))
}

/// Any system call, its arguments as this program's registers have them.
fn raw(nr: c_long, args: [usize; 6]) -> Sys {
    let [a, b, c, d, e, f] = args;
    // SAFETY: the caller hands numbers to the kernel, which checks them; memory that they name
    // is the caller's own and is only reached through `Map` and buffers that outlive the call.
    result(unsafe { libc::syscall(nr, a, b, c, d, e, f) } as i64)
}

/// Fills in what `fstat(2)` gives.
fn fstat_raw(fd: RawFd) -> Sys<libc::stat64> {
    // SAFETY: of all zeroes is one, and the call writes to no more than it.
    unsafe {
        let mut stat: libc::stat64 = std::mem::zeroed();
        result(libc::fstat64(fd, &mut stat) as i64)?;
        Ok(stat)
    }
}

/// `memfd_create(2)`; `name` without its NUL.
pub fn memfd_create(name: &str, flags: u32) -> Sys<OwnedFd> {
    let name = std::ffi::CString::new(name).map_err(|_| Errno::EINVAL)?;
    let fd = call(libc::SYS_memfd_create, [name.as_ptr() as usize, flags as usize, 0, 0, 0, 0])?;
    Ok(own(fd as RawFd))
}

/// Takes ownership of a descriptor that a raw call has just returned.
pub fn own(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "not a descriptor: {fd}");
    // SAFETY: the caller got it from the kernel and gave it to nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `fcntl(fd, F_ADD_SEALS, seals)`.
pub fn add_seals(fd: &impl AsRawFd, seals: u32) -> Sys {
    fcntl(fd, libc::F_ADD_SEALS, seals as usize)
}

/// `fcntl(fd, F_GET_SEALS)`.
pub fn get_seals(fd: &impl AsRawFd) -> Sys {
    fcntl(fd, libc::F_GET_SEALS, 0)
}

/// `fcntl(2)` with an integer argument.
pub fn fcntl(fd: &impl AsRawFd, cmd: c_int, arg: usize) -> Sys {
    call(libc::SYS_fcntl, [fd.as_raw_fd() as usize, cmd as usize, arg, 0, 0, 0])
}

/// `pwritev2(2)` of one buffer.
pub fn pwritev2(fd: &impl AsRawFd, data: &[u8], offset: i64, flags: c_int) -> Sys {
    let iov = libc::iovec { iov_base: data.as_ptr() as *mut c_void, iov_len: data.len() };
    let (fd, iov) = (fd.as_raw_fd() as u64, &raw const iov as u64);
    call64(libc::SYS_pwritev2, [fd, iov, 1, offset as u64, 0, flags as u64])
}

/// `process_vm_writev(2)` into this process.
pub fn process_vm_write_self(data: &[u8], to: usize) -> Sys {
    process_vm_write(nix::unistd::getpid(), data, to)
}

/// `process_vm_writev(2)`.
pub fn process_vm_write(process: Pid, data: &[u8], to: usize) -> Sys {
    let local = libc::iovec { iov_base: data.as_ptr() as *mut c_void, iov_len: data.len() };
    let remote = libc::iovec { iov_base: to as *mut c_void, iov_len: data.len() };
    // SAFETY: the kernel writes to `to` as it would for another process, checking the mapping.
    result(unsafe { libc::process_vm_writev(process.as_raw(), &local, 1, &remote, 1, 0) } as i64)
}

/// A mapping that this process made, unmapped when dropped.
#[derive(Debug)]
pub struct Map {
    addr: usize,
    len: usize,
}

impl Map {
    /// `mmap(2)`, the kernel choosing the address unless `flags` has MAP_FIXED.
    pub fn at(addr: usize, len: usize, prot: c_int, flags: c_int, fd: RawFd, off: i64) -> Sys<Map> {
        let [addr_, len_] = [addr, len].map(|word| word as u64);
        let args = [addr_, len_, prot as u64, flags as u64, fd as u64, off as u64];
        Ok(Map { addr: call64(SYS_MMAP, args)? as usize, len })
    }

    /// `mmap(2)` at an address of the kernel's choice.
    pub fn new(len: usize, prot: c_int, flags: c_int, fd: &impl AsRawFd, off: i64) -> Sys<Map> {
        Map::at(0, len, prot, flags, fd.as_raw_fd(), off)
    }

    /// Owns a mapping that another call made (mremap, for one).
    pub fn adopt(addr: usize, len: usize) -> Map {
        Map { addr, len }
    }

    /// Start address.
    pub fn addr(&self) -> usize {
        self.addr
    }

    /// Length in bytes; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Stores a byte. The process dies by the signal that the kernel raises if it may not.
    pub fn store(&self, off: usize, byte: u8) {
        assert!(off < self.len);
        // SAFETY: inside of the mapping; volatile, since others map the same pages.
        unsafe { std::ptr::write_volatile((self.addr + off) as *mut u8, byte) }
    }

    /// Loads a byte; as `store`.
    pub fn load(&self, off: usize) -> u8 {
        assert!(off < self.len);
        // SAFETY: as in `store`.
        unsafe { std::ptr::read_volatile((self.addr + off) as *const u8) }
    }

    /// The aligned word of this index, for atomic access. To store in a read-only mapping is death by
    /// SIGSEGV.
    pub fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.len / 8);
        // SAFETY: inside of the mapping, which starts at a page; all access to it is atomic or volatile.
        unsafe { AtomicU64::from_ptr((self.addr + 8 * index) as *mut u64) }
    }

    /// `mprotect(2)` on all of it.
    pub fn protect(&self, prot: c_int) -> Sys {
        call(libc::SYS_mprotect, [self.addr, self.len, prot as usize, 0, 0, 0])
    }

    /// `madvise(2)` on `len` bytes at `off`.
    pub fn advise(&self, off: usize, len: usize, advice: c_int) -> Sys {
        call(libc::SYS_madvise, [self.addr + off, len, advice as usize, 0, 0, 0])
    }

    /// `mremap(2)`: the new mapping. `self` is gone unless `old_len` is 0.
    pub fn remap(self, old_len: usize, new_len: usize, flags: c_int) -> Sys<(Map, Option<Map>)> {
        let args = [self.addr, old_len, new_len, flags as usize, 0, 0];
        let addr = call(libc::SYS_mremap, args)? as usize;
        if old_len == 0 {
            return Ok((Map::adopt(addr, new_len), Some(self)));
        }
        std::mem::forget(self);
        Ok((Map::adopt(addr, new_len), None))
    }

    /// `remap_file_pages(2)`: the file at `offset` bytes into the first `len` bytes.
    pub fn remap_file_pages(&self, len: usize, offset: usize) -> Sys {
        // The kernel counts in pages of the smallest size.
        let pgoff = offset / crate::kind::Kind::Shmem.page();
        call(libc::SYS_remap_file_pages, [self.addr, len, 0, pgoff, 0, 0])
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let _ = call(libc::SYS_munmap, [self.addr, self.len, 0, 0, 0, 0]);
    }
}

/// How a forked child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
}

/// Forks. In the child, runs `body` and exits with its value, 101 if it panics; never returns.
///
/// While this process has several threads, `body` must neither allocate nor panic: what they hold stays
/// locked in the child.
pub fn fork(body: impl FnOnce() -> i32) -> Sys<Pid> {
    // SAFETY: the child finds every lock free, or needs none (see above).
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: leaves without running the parent's exit handlers.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Leaves this process's heap out of what its children get, who must then not touch it: to copy what a
/// whole run has piled up there takes longer than all else of a fork.
pub fn keep_heap_from_children() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let heap = maps.lines().find(|line| line.ends_with("[heap]"));
    let range = heap.and_then(|line| line.split_whitespace().next()?.split_once('-'));
    let number = |text: &str| usize::from_str_radix(text, 16).unwrap_or(0);
    if let Some((from, to)) = range.map(|(from, to)| (number(from), number(to))) {
        let args = [from, to - from, libc::MADV_DONTFORK as usize, 0, 0, 0];
        let _ = call(libc::SYS_madvise, args);
    }
}

/// Forks, waits, and says how the child ended.
pub fn in_child(body: impl FnOnce() -> i32) -> Sys<Ended> {
    match waitpid(fork(body)?, None)? {
        WaitStatus::Exited(_, code) => Ok(Ended::Exit(code)),
        WaitStatus::Signaled(_, signal, _) => Ok(Ended::Signal(signal as i32)),
        other => panic!("waitpid: {other:?}"),
    }
}

/// A child that shares all memory with this process, which stands still until the child ends.
pub fn vforked(mut body: impl FnMut()) -> Sys<Pid> {
    let mut stack = vec![0; 64 << 10];
    let run = Box::new(|| {
        body();
        0
    });
    let flags = nix::sched::CloneFlags::CLONE_VM | nix::sched::CloneFlags::CLONE_VFORK;
    // SAFETY: the child has a stack of its own, and whose thread's data it uses stands still.
    unsafe { nix::sched::clone(run, &mut stack, flags, Some(libc::SIGCHLD)) }
}

/// What came over a Unix socket.
#[derive(Debug, Default)]
pub struct Received {
    pub bytes: usize,
    /// Closed when dropped, so that what nobody asked for does not stay open.
    pub descriptors: Vec<OwnedFd>,
    /// MSG_CTRUNC: there were more.
    pub truncated: bool,
}

/// `recvmsg(2)` with descriptors, which are CLOEXEC. (nix's leaks those that arrive with MSG_CTRUNC.)
pub fn receive(socket: &impl AsRawFd, data: &mut [u8]) -> Sys<Received> {
    // Room for SCM_MAX_FD of them and other control messages; aligned as cmsghdr must be.
    let mut control = [0u64; 256];
    let mut iov = libc::iovec { iov_base: data.as_mut_ptr() as *mut c_void, iov_len: data.len() };
    let mut got = Received::default();
    // SAFETY: the header names live buffers with their lengths, the kernel fills in what CMSG_*
    // walk, and each descriptor is new to this process.
    unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        (header.msg_iov, header.msg_iovlen) = (&raw mut iov, 1);
        header.msg_control = control.as_mut_ptr() as *mut c_void;
        header.msg_controllen = size_of_val(&control) as _;
        let flags = libc::MSG_CMSG_CLOEXEC;
        got.bytes = result(libc::recvmsg(socket.as_raw_fd(), &mut header, flags) as i64)? as usize;
        got.truncated = header.msg_flags & libc::MSG_CTRUNC != 0;
        let mut part = libc::CMSG_FIRSTHDR(&header);
        while let Some(&libc::cmsghdr { cmsg_len, cmsg_level, cmsg_type }) = part.as_ref() {
            if (cmsg_level, cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                #[allow(clippy::unnecessary_cast)] // in musl it is a u32
                let len = cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let fds = libc::CMSG_DATA(part) as *const RawFd;
                let fds = (0..len / size_of::<RawFd>()).map(|at| own(fds.add(at).read_unaligned()));
                got.descriptors.extend(fds);
            }
            part = libc::CMSG_NXTHDR(&header, part);
        }
    }
    Ok(got)
}

/// SIGPIPE kills again: Rust's runtime ignores it.
pub fn sigpipe_kills() {
    // SAFETY: sets no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// `pidfd_open(2)`.
pub fn pidfd_open(child: Pid) -> Sys<OwnedFd> {
    Ok(own(call(libc::SYS_pidfd_open, [child.as_raw() as usize, 0, 0, 0, 0, 0])? as RawFd))
}

/// Dies with its parent; for children that may be left behind.
pub fn die_with_parent() {
    // SAFETY: takes no pointers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: RawFd) {
    let _ = call(libc::SYS_close_range, [first as usize, u32::MAX as usize, 0, 0, 0, 0]);
}

/// A system call of a 32-bit task, by `int 0x80`; arguments must fit in 32 bits.
///
/// Errors: ENOSYS where there is no such entry (the kernel kills the process by SIGSEGV if it was
/// built without it, so probe in a child). A program of 32 bits has no other entry.
#[cfg(target_arch = "x86_64")]
pub fn compat_call(nr: u32, args: [u32; 6]) -> Sys {
    let [b, c, d, si, di, bp] = args;
    let mut value = nr as u64;
    // SAFETY: the kernel takes numbers; rbx and rbp are the compiler's, so they are put back.
    unsafe {
        std::arch::asm!(
            "push rbp", "push rbx",
            "mov ebx, r12d", "mov ebp, r13d",
            "int 0x80",
            "pop rbx", "pop rbp",
            inout("rax") value,
            in("rcx") c as u64, in("rdx") d as u64, in("rsi") si as u64, in("rdi") di as u64,
            in("r12") b as u64, in("r13") bp as u64,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    let value = value as i32;
    if (-4095..0).contains(&value) { Err(Errno::from_raw(-value)) } else { Ok(value as u32 as i64) }
}

/// As above.
#[cfg(target_arch = "x86")]
pub fn compat_call(nr: u32, args: [u32; 6]) -> Sys {
    raw(nr as c_long, args.map(|arg| arg as usize))
}

/// A counter of the CPU's, finer than any clock that a guest may have; of no unit. The CPUs of one
/// machine agree well enough to wait by it.
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a register.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "x86")]
    // SAFETY: reads a register.
    return unsafe { std::arch::x86::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads a register that user space may read.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks) };
        return ticks;
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    {
        let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
        now.map_or(0, |now| std::time::Duration::from(now).as_nanos() as u64)
    }
}

/// Denies writes by a protection key.
pub const PKEY_DISABLE_WRITE: usize = 2;

/// `pkey_alloc(2)` with these rights denied to this thread.
pub fn pkey_alloc(denied: usize) -> Sys {
    call(libc::SYS_pkey_alloc, [0, denied, 0, 0, 0, 0])
}

/// Whether `wrpkru` does what it says.
pub const KEYS_ARE_SET: bool = cfg!(any(target_arch = "x86_64", target_arch = "x86"));

/// Sets what this thread's protection keys deny; 0: nothing. The CPU must have keys.
pub fn wrpkru(denied: u32) {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    // SAFETY: denies nothing that Rust's own memory needs if it denies nothing.
    unsafe {
        std::arch::asm!("wrpkru", in("eax") denied, in("ecx") 0, in("edx") 0)
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86")))]
    panic!("no register to set {denied} in");
}

/// Submits one io_uring operation and waits for it. What `entry` points to must outlive the call.
pub fn uring(ring: &mut io_uring::IoUring, entry: &io_uring::squeue::Entry) -> Sys {
    uring_all(ring, std::slice::from_ref(entry))?.pop().ok_or(Errno::EAGAIN)?
}

/// Submits io_uring operations at once and waits for all: what each gave, in their order. What the
/// entries point to must outlive the call.
pub fn uring_all(
    ring: &mut io_uring::IoUring,
    entries: &[io_uring::squeue::Entry],
) -> Sys<Vec<Sys>> {
    for (at, entry) in entries.iter().enumerate() {
        let entry = entry.clone().user_data(at as u64);
        // SAFETY: all completions are waited for, so nothing is pending when the caller's buffers go.
        unsafe { ring.submission().push(&entry) }.map_err(|_| Errno::EAGAIN)?;
    }
    let mut values = vec![Err(Errno::EAGAIN); entries.len()];
    let mut left = entries.len();
    while left > 0 {
        match ring.submit_and_wait(left) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        }
        for done in ring.completion() {
            let value = done.result();
            values[done.user_data() as usize] =
                if value < 0 { Err(Errno::from_raw(-value)) } else { Ok(value as i64) };
            left -= 1;
        }
    }
    Ok(values)
}

/// Registers a mapping as the ring's fixed buffer 0.
pub fn uring_fix(ring: &io_uring::IoUring, map: &Map) -> Sys {
    let iov = libc::iovec { iov_base: map.addr() as *mut c_void, iov_len: map.len() };
    // SAFETY: the pages are pinned by the kernel; the mapping may go before the ring does.
    unsafe { ring.submitter().register_buffers(&[iov]) }
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
    Ok(0)
}
