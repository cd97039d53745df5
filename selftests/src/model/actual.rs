// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A memfd of the running kernel, to which the same is done as to the model.

use super::lower::{Arg, Call, Gives, Lowered, lower};
use super::state::{APPENDED, LETTERS, MARK, Op, Out, State};
use crate::kind::Kind;
use crate::sys::{self, Map, Sys, mfd};
use libc::iovec;
use nix::errno::Errno;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

/// What all files are used with: made once.
pub struct Tools {
    source: OwnedFd,
    sink: OwnedFd,
    pipe: (OwnedFd, OwnedFd),
    appended: Vec<u8>,
}

impl Tools {
    /// Errors: the line to print.
    pub fn new() -> Result<Tools, String> {
        let make = || -> Sys<Tools> {
            let source = sys::memfd_create("source", mfd::CLOEXEC)?;
            nix::unistd::write(&source, LETTERS)?;
            let sink = sys::memfd_create("sink", mfd::CLOEXEC)?;
            let pipe = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
            Ok(Tools { source, sink, pipe, appended: Vec::new() })
        };
        make().map_err(|errno| format!("the model's tools: {errno:?}"))
    }
}

/// The file, in the state that the model says, as long as nobody disagreed.
pub struct Actual {
    fds: Vec<OwnedFd>,
    maps: Vec<Map>,
    looks: Looks,
}

/// What is looked at after each operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks {
    pub size: usize,
    pub executable: bool,
    pub seals: u32,
    pub pages: Vec<u8>,
    /// Of 512 bytes; the model does not predict them, but a refused operation takes none.
    blocks: i64,
}

impl Looks {
    /// What the model says.
    pub fn of(s: &State) -> Looks {
        let (size, executable) = (s.pages.len() * s.page, s.executable);
        Looks { size, executable, seals: s.seals, pages: s.pages.clone(), blocks: 0 }
    }

    /// What differs first, the model's side first.
    fn differs(&self, other: &Looks) -> Option<String> {
        let say = |what: &str, own: String, other: String| {
            (own != other).then(|| format!("{what} {own}, not {other}"))
        };
        let word = |looks: &Looks| String::from_utf8_lossy(&looks.pages).replace('\0', "0");
        say("size", other.size.to_string(), self.size.to_string())
            .or_else(|| say("seals", format!("{:#x}", other.seals), format!("{:#x}", self.seals)))
            .or_else(|| {
                say("executable", other.executable.to_string(), self.executable.to_string())
            })
            .or_else(|| say("pages", word(other), word(self)))
    }
}

impl Actual {
    /// As `State::fresh`. Errors: the line to print.
    pub fn fresh(s: &State) -> Result<Actual, String> {
        Actual::make(s).map_err(|errno| format!("a fresh {} memfd: {errno:?}", s.kind.suffix()))
    }

    fn make(s: &State) -> Sys<Actual> {
        let flags = mfd::CLOEXEC | mfd::ALLOW_SEALING | s.kind.flags();
        let fd = sys::memfd_create("model", flags)?;
        sys::call(libc::SYS_ftruncate, [raw(&fd), s.pages.len() * s.page, 0, 0, 0, 0])?;
        match s.kind {
            Kind::Hugetlb => {}
            // Of one huge page: only a mapping gets one, and only if it is aligned.
            Kind::Thp => {
                let map = crate::world::aligned(&fd, s.pages.len() * s.page, s.page, sys::RW)?;
                map.advise(0, map.len(), libc::MADV_HUGEPAGE)?;
                map.store(s.page - 1, MARK);
            }
            _ => {
                for page in 1..=s.pages.len() {
                    sys::pwrite(&fd, &[MARK], (page * s.page - 1) as i64)?;
                }
            }
        }
        let mut actual = Actual { fds: vec![fd], maps: Vec::new(), looks: Looks::of(s) };
        actual.looks = actual.look(s.page)?;
        Ok(actual)
    }

    /// Does it, and holds what comes of it against the model's word. `before` and `after` are the
    /// model's states. Errors: what they disagree in.
    pub fn step(
        &mut self,
        tools: &mut Tools,
        before: &State,
        op: Op,
        out: Out,
        after: &State,
    ) -> Result<(), String> {
        let got = self.perform(tools, before, op);
        let agreed = match (out, got) {
            (Out::Gives(value), Ok(got)) => value == got as usize,
            (Out::Works, Ok(_)) => true,
            (Out::Fails(errno), Err(got)) => errno == got,
            _ => false,
        };
        let said = || match (out, got) {
            // A number that is another each time.
            (Out::Works, Ok(_)) => "success".into(),
            _ => said(got),
        };
        if !agreed {
            return Err(format!("expected {}, got {}", words(out), said()));
        }
        if op == Op::Load && got.is_ok() && before.map().shared {
            let mut loaded = [0];
            sys::pread(&tools.sink, &mut loaded, 0).map_err(|errno| format!("{errno:?}"))?;
            if loaded[0] != after.pages[0] {
                return Err(format!("it loaded {:#x}, not {:#x}", loaded[0], after.pages[0]));
            }
        }
        let looks = self.look(before.page).map_err(|errno| format!("looking at it: {errno:?}"))?;
        if let Some(what) = Looks::of(after).differs(&looks) {
            return Err(format!("{}, and then {what}", said()));
        }
        let (blocks, before) = (looks.blocks, self.looks.blocks);
        if matches!(out, Out::Fails(_)) && blocks != before {
            return Err(format!("{}, and then st_blocks {blocks}, not {before}", said()));
        }
        self.looks = looks;
        Ok(())
    }

    /// Unmaps and closes what the model did not have yet.
    pub fn back_to(&mut self, s: &State) {
        self.maps.truncate(s.maps.len());
        self.fds.truncate(s.fds.len());
    }

    fn perform(&mut self, tools: &mut Tools, s: &State, op: Op) -> Sys {
        let Lowered { first, judged, if_failed } = lower(s, op);
        let Some(judged) = judged else { return Ok(0) };
        if let Some(first) = first {
            // What follows says it better.
            let _ = self.call(tools, s, &first);
        }
        let got = self.call(tools, s, &judged);
        if let (Err(_), Some(clean)) = (got, if_failed) {
            self.call(tools, s, &clean)?;
        }
        let value = got?;
        self.take(s, judged.gives, value);
        Ok(value)
    }

    /// Owns what a call gave.
    fn take(&mut self, s: &State, gives: Gives, value: i64) {
        let lost = match gives {
            Gives::Moved(_) | Gives::Unmapped => self.maps.pop(),
            _ => None,
        };
        // The kernel has it no more, or elsewhere.
        std::mem::forget(lost);
        match gives {
            Gives::Mapping(len) | Gives::Moved(len) => {
                self.maps.push(Map::adopt(value as usize, len * s.page));
            }
            Gives::Descriptor => self.fds.push(sys::own(value as RawFd)),
            Gives::Closed => {
                let _ = self.fds.pop().map(IntoRawFd::into_raw_fd);
            }
            Gives::Value | Gives::Unmapped => {}
        }
    }

    fn call(&self, tools: &mut Tools, s: &State, call: &Call) -> Sys {
        if call.args.contains(&Arg::Appended) && tools.appended.len() < s.page {
            tools.appended.resize(s.page, APPENDED);
        }
        // What arguments point to.
        let mut path = None;
        let letter = LETTERS.as_ptr() as usize + s.clock % LETTERS.len();
        let map = self.maps.last().map_or(0, Map::addr);
        let iov = |addr: usize| iovec { iov_base: addr as *mut _, iov_len: 1 };
        let (letter_iov, map_iov) = (iov(letter), iov((map + s.page).wrapping_sub(1)));
        let mut offsets = [0i64; 6];
        let mut scratch = [0u8; 8];
        let mut args = [0; 6];
        for (at, &arg) in call.args[..call.count].iter().enumerate() {
            args[at] = match arg {
                Arg::Int(value) | Arg::Named(value, _) => value as usize,
                Arg::Flags(flags, _) => flags as usize,
                Arg::Fd => raw(&self.fds[s.fd]),
                Arg::LastFd => raw(self.fds.last().expect("the first is always there")),
                Arg::Path => {
                    let path = path.insert(format_path(self.fds[s.fd].as_raw_fd()));
                    path.as_ptr() as usize
                }
                Arg::Pages(count) => count * s.page,
                Arg::LastByte(page) => (page + 1) * s.page - 1,
                Arg::AtLastByte(page) => {
                    offsets[at] = ((page + 1) * s.page - 1) as i64;
                    &raw mut offsets[at] as usize
                }
                Arg::InSource => s.clock % LETTERS.len(),
                Arg::AtInSource => {
                    offsets[at] = (s.clock % LETTERS.len()) as i64;
                    &raw mut offsets[at] as usize
                }
                Arg::Letter => letter,
                Arg::LetterIov => &raw const letter_iov as usize,
                Arg::Appended => tools.appended.as_ptr() as usize,
                Arg::Scratch => scratch.as_mut_ptr() as usize,
                Arg::Map => map,
                Arg::MapLastByte => map + s.page - 1,
                Arg::MapIov => &raw const map_iov as usize,
                Arg::Source => raw(&tools.source),
                Arg::Sink => raw(&tools.sink),
                Arg::PipeOut => raw(&tools.pipe.0),
                Arg::PipeIn => raw(&tools.pipe.1),
            };
        }
        sys::call(call.nr, args)
    }

    fn look(&self, page: usize) -> Sys<Looks> {
        let fd = &self.fds[0];
        let stat = sys::fstat(fd)?;
        let size = stat.st_size as usize;
        let mut pages = vec![0; size / page];
        for (at, byte) in pages.iter_mut().enumerate() {
            let to = std::slice::from_mut(byte);
            sys::pread(fd, to, ((at + 1) * page - 1) as i64)?;
        }
        let seals = sys::get_seals(fd)? as u32;
        let executable = stat.st_mode & 0o111 != 0;
        Ok(Looks { size, executable, seals, pages, blocks: stat.st_blocks })
    }
}

/// "/proc/self/fd/N" with its NUL.
fn format_path(fd: RawFd) -> [u8; 24] {
    use std::io::Write;
    let mut path = [0; 24];
    let _ = write!(&mut path[..23], "/proc/self/fd/{fd}");
    path
}

fn raw(fd: &OwnedFd) -> usize {
    fd.as_raw_fd() as usize
}

/// For people.
pub fn words(out: Out) -> String {
    match out {
        Out::Gives(value) => value.to_string(),
        Out::Works => "success".into(),
        Out::Fails(errno) => format!("{errno:?}"),
    }
}

fn said(got: Result<i64, Errno>) -> String {
    got.map_or_else(|errno| format!("{errno:?}"), |value| value.to_string())
}
