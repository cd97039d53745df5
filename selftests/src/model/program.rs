// SPDX-License-Identifier: GPL-2.0-only OR MIT
//! A sequence as a C program of its own, for who has a kernel and a compiler and nothing of ours.

use super::lower::{Arg, Call, Gives, Lowered, SEALS, lower};
use super::spec::step;
use super::state::{LETTERS, Op, Out, State};
use crate::kind::Kind;
use std::fmt::Write;

/// The program: it makes the calls, holds each against what the model says and exits with 1 if one is
/// otherwise. `what` is said at its head.
pub fn c(kind: Kind, all_seals: u32, ops: &[Op], what: &str) -> String {
    let mut state = State::fresh(kind, all_seals);
    let mut text = format!("/* {what}\n{HEAD}");
    let flags = match kind {
        Kind::Hugetlb => " | MFD_HUGETLB",
        Kind::Noexec => " | MFD_NOEXEC_SEAL",
        _ => "",
    };
    let made = [
        format!("static const long page = {};\n", state.page),
        String::new(),
        LOOKS.to_owned(),
        "int main(void)\n{".to_owned(),
        format!("\tfd[0] = WORKS(memfd_create(\"model\", MFD_ALLOW_SEALING{flags}));"),
        format!("\tIS(ftruncate(fd[0], {}), 0);", pages(state.pages.len())),
        match kind {
            Kind::Hugetlb => String::new(),
            Kind::Thp => "\thuge_page();".to_owned(),
            _ => "\tIS(pwrite(fd[0], \"#\", 1, page - 1), 1);\n\tIS(pwrite(fd[0], \"#\", 1, 2 * page - 1), 1);"
                .to_owned(),
        },
    ];
    text += &made.join("\n");
    let _ = writeln!(text, "\n{}\n", looks(&state));
    for &op in ops {
        let before = state.clone();
        let out = step(&mut state, op);
        let Lowered { first, judged, if_failed } = lower(&before, op);
        let Some(judged) = judged else { continue };
        if let Some(first) = first {
            let _ = writeln!(text, "\t(void)!{};", in_c(&before, &first));
        }
        let _ = writeln!(text, "\t{}", judge(&before, &judged, out));
        if let (Out::Fails(_), Some(clean)) = (out, if_failed) {
            let _ = writeln!(text, "\t(void)!{};", in_c(&before, &clean));
        }
        if let (Op::Load, Out::Gives(1), true) =
            (op, out, before.maps.last().is_some_and(|map| map.shared))
        {
            let _ = writeln!(text, "\tIS(loaded(), {});", state.pages[0]);
        }
        if let Out::Fails(_) = out {
            let _ = writeln!(text, "\tsame_blocks();");
        }
        let _ = writeln!(text, "{}", looks(&state));
    }
    text + "\n\treturn wrong;\n}\n"
}

/// The judged call, in C.
pub fn call(s: &State, op: Op) -> String {
    lower(s, op).judged.map_or_else(|| format!("{op:?}"), |call| in_c(s, &call))
}

/// Seals by their names.
pub fn seals(seals: u32) -> String {
    flags(seals as i32, SEALS)
}

fn judge(s: &State, call: &Call, out: Out) -> String {
    let text = in_c(s, call);
    let (fd, map) = (s.fds.len(), s.maps.len());
    match (out, call.gives) {
        (Out::Fails(errno), _) => format!("IS({text}, -{errno:?});"),
        (Out::Works, Gives::Descriptor) => format!("fd[{fd}] = WORKS({text});"),
        (Out::Works, Gives::Mapping(_)) => format!("map[{map}] = (char *)WORKS({text});"),
        (Out::Works, Gives::Moved(_)) => format!("map[{}] = (char *)WORKS({text});", map - 1),
        (Out::Works, _) => format!("WORKS({text});"),
        (Out::Gives(value), _) if value == s.page => format!("IS({text}, page);"),
        (Out::Gives(value), _) => format!("IS({text}, {value});"),
    }
}

fn looks(s: &State) -> String {
    let pages = String::from_utf8_lossy(&s.pages).replace('\0', "0");
    let (size, seals, x) = (self::pages(s.pages.len()), seals(s.seals), u8::from(s.executable));
    format!("\tlooks({size}, {seals}, {x}, \"{pages}\");")
}

fn in_c(s: &State, call: &Call) -> String {
    let args: Vec<String> = call.args[..call.count].iter().map(|&arg| word(s, arg)).collect();
    format!("{}({})", call.name, args.join(", "))
}

fn word(s: &State, arg: Arg) -> String {
    let letter = s.clock % LETTERS.len();
    let map = s.maps.len().wrapping_sub(1);
    match arg {
        Arg::Int(value) => value.to_string(),
        Arg::Named(_, name) => name.to_owned(),
        Arg::Flags(value, names) => flags(value, names),
        Arg::Fd => format!("fd[{}]", s.fd),
        Arg::LastFd => format!("fd[{}]", s.fds.len() - 1),
        Arg::Path => format!("path(fd[{}])", s.fd),
        Arg::Pages(count) => pages(count),
        Arg::LastByte(page) => format!("{} - 1", pages(page + 1)),
        Arg::AtLastByte(page) => format!("&(off_t){{ {} - 1 }}", pages(page + 1)),
        Arg::Letter => format!("letters + {letter}"),
        Arg::LetterIov => format!("&(struct iovec){{ letters + {letter}, 1 }}"),
        Arg::InSource => letter.to_string(),
        Arg::AtInSource => format!("&(off_t){{ {letter} }}"),
        Arg::Appended => "appended()".to_owned(),
        Arg::Scratch => "scratch".to_owned(),
        Arg::Map => format!("map[{map}]"),
        Arg::MapLastByte => format!("map[{map}] + page - 1"),
        Arg::MapIov => format!("&(struct iovec){{ map[{map}] + page - 1, 1 }}"),
        Arg::Source => "source()".to_owned(),
        Arg::Sink => "sink()".to_owned(),
        Arg::PipeOut => "pipe_end(0)".to_owned(),
        Arg::PipeIn => "pipe_end(1)".to_owned(),
    }
}

fn pages(count: usize) -> String {
    match count {
        0 => "0".to_owned(),
        1 => "page".to_owned(),
        n => format!("{n} * page"),
    }
}

/// O_RDWR and its like share bits, and 0 has a name too: the largest first, each once.
fn flags(value: i32, names: &[(i32, &str)]) -> String {
    let mut left = value;
    let mut words = Vec::new();
    for &(bit, name) in names.iter().filter(|(bit, _)| *bit != 0).rev() {
        if left & bit == bit {
            left &= !bit;
            words.insert(0, name.to_owned());
        }
    }
    if left != 0 {
        words.push(format!("{left:#x}"));
    }
    let zero = names.iter().find(|(bit, _)| *bit == 0).map_or("0", |(_, name)| name);
    if words.is_empty() { zero.to_owned() } else { words.join(" | ") }
}

const HEAD: &str = r##" *
 * Each line makes a call and says what it must give; then what the file must look like: its size,
 * seals, whether it is executable, and of each page the last byte ('0' for a zero).
 * cc -o sequence sequence.c && ./sequence; exits with 1 if the kernel does otherwise.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef F_SEAL_FS_WRITE
#define F_SEAL_FS_WRITE 0x0040
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define IS(call, want) is(#call, got((long)(call)), want)
#define WORKS(call) works(#call, got((long)(call)))

/* What this sequence may have no use for. */
#define UNUSED __attribute__((unused))

static int fd[8], wrong;
static long blocks;
UNUSED static char *map[8], scratch[8];
static char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
"##;

const LOOKS: &str = r##"static long got(long value)
{
	return value == -1 ? -errno : value;
}

static const char *said(long value)
{
	static char text[2][64];
	static int turn;

	turn = !turn;
	if (value < 0)
		snprintf(text[turn], sizeof(text[turn]), "-1 (%s)", strerror(-value));
	else
		snprintf(text[turn], sizeof(text[turn]), "%ld", value);
	return text[turn];
}

static void is(const char *call, long value, long want)
{
	printf("%s = %s\n", call, said(value));
	if (value == want)
		return;
	printf("\tWRONG: should be %s\n", said(want));
	wrong = 1;
}

static long works(const char *call, long value)
{
	is(call, value < 0 ? value : 0, 0);
	if (value < 0)
		exit(1);
	return value;
}

/* Of a call that fails, as it must: nothing is allocated or freed. */
UNUSED static void same_blocks(void)
{
	struct stat st;

	if (fstat(fd[0], &st))
		exit(2);
	if (st.st_blocks == blocks)
		return;
	printf("\tWRONG: st_blocks %ld; should be %ld\n", (long)st.st_blocks, blocks);
	wrong = 1;
}

static void looks(long size, int seals, int executable, const char *pages)
{
	struct stat st;
	char seen[16] = "";

	if (fstat(fd[0], &st))
		exit(2);
	blocks = st.st_blocks;
	for (int i = 0; i < (int)sizeof(seen) - 1 && (i + 1) * page <= st.st_size; i++) {
		if (pread(fd[0], &seen[i], 1, (i + 1) * page - 1) != 1)
			exit(2);
		if (!seen[i])
			seen[i] = '0';
	}
	if (st.st_size == size && fcntl(fd[0], F_GET_SEALS) == seals &&
	    !!(st.st_mode & 0111) == executable && !strcmp(seen, pages))
		return;
	printf("\tWRONG: size %ld, seals %#x, executable %d, pages %s; should be %ld, %#x, %d, %s\n",
	       (long)st.st_size, fcntl(fd[0], F_GET_SEALS), !!(st.st_mode & 0111), seen, size, seals,
	       executable, pages);
	wrong = 1;
}

UNUSED static const char *path(int of)
{
	static char text[32];

	snprintf(text, sizeof(text), "/proc/self/fd/%d", of);
	return text;
}

UNUSED static char *appended(void)
{
	return memset(malloc(page), '+', page);
}

UNUSED static int source(void)
{
	int made = memfd_create("source", 0);

	return write(made, letters, sizeof(letters) - 1) < 0 ? -1 : made;
}

UNUSED static int sink(void)
{
	static int made = -1;

	if (made < 0)
		made = memfd_create("sink", 0);
	return made;
}

/* What the call before this one has loaded. */
UNUSED static long loaded(void)
{
	char byte;

	return pread(sink(), &byte, 1, 0) == 1 ? byte : -1;
}

UNUSED static int pipe_end(int end)
{
	static int ends[2];

	if (!ends[1] && pipe(ends))
		exit(2);
	return ends[end];
}

UNUSED static void huge_page(void)
{
	char *room = mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = room + (page - (long)room % page) % page;

	at = mmap(at, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd[0], 0);
	if (at == MAP_FAILED || madvise(at, page, MADV_HUGEPAGE))
		exit(2);
	at[page - 1] = '#';
	munmap(room, 2 * page);
}
"##;
