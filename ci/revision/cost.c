// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Counts the instructions of system calls and page faults on files that have no seal. To be linked
 * with ci/sequence-init.c and booted on one CPU by ci/revision/qemu-icount, whose clock counts
 * instructions; on any other machine the figures are nanoseconds.
 *
 * It prints, for each row of the table below,
 *
 *	cost: <operation> <kind of file> <calls in a batch> <least batch> <longest batch>
 *
 * A batch is short beside the 1,000,000 instructions from one timer tick to the next: the least of
 * many met neither a tick nor work that the kernel puts off. The loop of user space is in it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP	3
#define BATCHES	61
/* The most calls in a batch. */
#define MOST	128
#define RW	(PROT_READ | PROT_WRITE)

/* A kind of file, and what prepare() puts into a new one: `slots` pages, `stride` apart. */
struct kind {
	const char *name;
	int (*make)(void);
	long page;
	long stride;
	int slots;
};

/* `before` and `after` are once a batch, and not counted. */
struct row {
	const char *operation;
	const char *kind;
	void (*before)(void);
	void (*call)(void);
	void (*after)(void);
	int calls;
};

/* What a row's functions act on. */
static const struct kind *kind;
static int calls;
/* The number of the call in its batch. */
static int nth;
static int fd;
static int fds[MOST];
static int ends[2];
static char *map;
static off_t mapped;
static char bytes[4096];

/* The first call that failed. */
static const char *failed;
static int why;

#define must(result) \
	do { \
		if ((result) < 0 && !failed) { \
			failed = __func__; \
			why = errno; \
		} \
	} while (0)

/* A function that makes one call. */
#define CALL(name, result) \
static void name(void) \
{ \
	must(result); \
}

static off_t size(void)
{
	return kind->slots * kind->stride;
}

/* Where the slot of this call begins, and a page of it that is not there. */
static off_t slot(void)
{
	return nth * kind->stride;
}

static off_t hole(void)
{
	return slot() + kind->stride / 2;
}

static int punch(off_t at, off_t length)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
}

/* Reading, writing and splicing. */

CALL(rewind_file, lseek(fd, 0, SEEK_SET))
CALL(write_4, write(fd, bytes, 4))
CALL(pwrite_4, pwrite(fd, bytes, 4, 0))
CALL(pwrite_4096, pwrite(fd, bytes, 4096, 0))
CALL(pwrite_hole, pwrite(fd, bytes, 4096, hole()))
CALL(read_4, read(fd, bytes, 4))
CALL(pread_4096, pread(fd, bytes, 4096, 0))
CALL(pread_hole, pread(fd, bytes, 4096, hole()))
CALL(splice_in, splice(ends[0], NULL, fd, &(off_t){ 0 }, 4096, 0))
CALL(splice_out, splice(fd, &(off_t){ 0 }, ends[1], NULL, 4096, 0))

static void punch_holes(void)
{
	for (nth = 0; nth < calls; nth++)
		must(punch(hole(), kind->page));
}

static void open_pipe(void)
{
	must(pipe(ends));
	must(fcntl(ends[1], F_SETPIPE_SZ, MOST * 4096));
}

static void fill_pipe(void)
{
	open_pipe();
	for (int i = 0; i < calls; i++)
		must(write(ends[1], bytes, 4096));
}

static void close_pipe(void)
{
	close(ends[0]);
	close(ends[1]);
}

/* Mappings. */

static int new_map(off_t length, int prot, int flags)
{
	map = mmap(NULL, length, prot, flags, fd, 0);
	mapped = length;
	return map == MAP_FAILED ? -1 : 0;
}

static int map_once(off_t length, int prot, int flags)
{
	return new_map(length, prot, flags) < 0 ? -1 : munmap(map, length);
}

CALL(mmap_shared_rw, map_once(kind->page, RW, MAP_SHARED))
CALL(mmap_shared_r, map_once(kind->page, PROT_READ, MAP_SHARED))
CALL(mmap_private, map_once(kind->page, RW, MAP_PRIVATE))

CALL(map_shared, new_map(size(), RW, MAP_SHARED))
CALL(map_read_only, new_map(size(), PROT_READ, MAP_SHARED))
CALL(map_private, new_map(size(), RW, MAP_PRIVATE))
CALL(unmap, munmap(map, mapped))
CALL(mprotect_toggle, mprotect(map, mapped, nth % 2 ? RW : PROT_READ))

/* On hugetlbfs, a writable mapping that is longer than the file makes the file longer. */
static void mmap_grows(void)
{
	must(map_once(size() + kind->page, RW, MAP_SHARED));
	must(ftruncate(fd, size()));
}

static void map_empty(void)
{
	must(punch(0, size()));
	map_shared();
}

/* One page, which was touched. */
static void map_page(void)
{
	must(new_map(kind->page, RW, MAP_SHARED));
	*(volatile char *)map = 1;
}

static void touch_read(void)
{
	(void)*(volatile char *)(map + slot());
}

static void touch_write(void)
{
	*(volatile char *)(map + slot()) = 1;
}

/* Sizes, holes and modes. What a call changes, it or the next one undoes. */

CALL(chmod_toggle, fchmod(fd, nth % 2 ? 0600 : 0640))
CALL(punch_first, punch(0, kind->page))
CALL(allocate_present, fallocate(fd, 0, 0, kind->page))

static void grow_shrink(void)
{
	must(ftruncate(fd, size() + kind->stride));
	must(ftruncate(fd, size()));
}

static void allocate_punch(void)
{
	must(fallocate(fd, 0, 0, kind->page));
	must(punch(0, kind->page));
}

/* Seals, and files as such. */

CALL(get_seals, fcntl(fd, F_GET_SEALS))
CALL(add_shrink, fcntl(fds[nth], F_ADD_SEALS, F_SEAL_SHRINK))
CALL(add_write, fcntl(fds[nth], F_ADD_SEALS, F_SEAL_WRITE))
CALL(create_close, close(kind->make()))

static void open_fresh(void)
{
	for (int i = 0; i < calls; i++)
		must(fds[i] = kind->make());
}

static void close_fresh(void)
{
	for (int i = 0; i < calls; i++)
		close(fds[i]);
}

/* Fewer calls where pages are taken: there must be batches that find enough of them at hand. */
static const struct row rows[] = {
	{ "write-4", "shmem", rewind_file, write_4, NULL, 64 },
	{ "pwrite-4", "shmem", NULL, pwrite_4, NULL, 64 },
	{ "pwrite-4096", "shmem", NULL, pwrite_4096, NULL, 64 },
	{ "pwrite-hole", "shmem", punch_holes, pwrite_hole, NULL, 8 },
	{ "read-4", "shmem", rewind_file, read_4, NULL, 64 },
	{ "pread-4096", "shmem", NULL, pread_4096, NULL, 64 },
	{ "pread-hole", "shmem", NULL, pread_hole, NULL, 64 },
	{ "splice-in", "shmem", fill_pipe, splice_in, close_pipe, 32 },
	{ "splice-out", "shmem", open_pipe, splice_out, close_pipe, 32 },
	{ "mmap-shared-rw", "shmem", NULL, mmap_shared_rw, NULL, 32 },
	{ "mmap-shared-r", "shmem", NULL, mmap_shared_r, NULL, 32 },
	{ "mmap-private", "shmem", NULL, mmap_private, NULL, 32 },
	{ "fault-read", "shmem", map_read_only, touch_read, unmap, 32 },
	{ "fault-write", "shmem", map_shared, touch_write, unmap, 32 },
	{ "fault-private", "shmem", map_private, touch_write, unmap, 8 },
	{ "fault-allocates", "shmem", map_empty, touch_write, unmap, 8 },
	{ "mprotect", "shmem", map_page, mprotect_toggle, unmap, 64 },
	{ "ftruncate", "shmem", NULL, grow_shrink, NULL, 32 },
	{ "fallocate-new", "shmem", punch_first, allocate_punch, NULL, 8 },
	{ "fallocate-present", "shmem", NULL, allocate_present, NULL, 64 },
	{ "fallocate-punch", "shmem", punch_first, punch_first, NULL, 64 },
	{ "fchmod", "shmem", NULL, chmod_toggle, NULL, 64 },
	{ "fcntl-get-seals", "shmem", NULL, get_seals, NULL, 64 },
	{ "fcntl-add-shrink", "shmem", open_fresh, add_shrink, close_fresh, 64 },
	{ "fcntl-add-write", "shmem", open_fresh, add_write, close_fresh, 64 },
	{ "memfd_create", "shmem", NULL, create_close, NULL, 16 },

	/* A new huge page is cleared, in as many instructions as it has words: one a batch. */
	{ "read-4", "hugetlb", rewind_file, read_4, NULL, 64 },
	{ "pread-4096", "hugetlb", NULL, pread_4096, NULL, 64 },
	{ "mmap-shared-rw", "hugetlb", NULL, mmap_shared_rw, NULL, 32 },
	{ "mmap-shared-r", "hugetlb", NULL, mmap_shared_r, NULL, 32 },
	{ "mmap-private", "hugetlb", NULL, mmap_private, NULL, 32 },
	{ "mmap-grows", "hugetlb", NULL, mmap_grows, NULL, 32 },
	{ "fault-read", "hugetlb", map_read_only, touch_read, unmap, 8 },
	{ "fault-write", "hugetlb", map_shared, touch_write, unmap, 8 },
	{ "fault-private", "hugetlb", map_private, touch_write, unmap, 1 },
	{ "fault-allocates", "hugetlb", map_empty, touch_write, unmap, 1 },
	{ "mprotect", "hugetlb", map_page, mprotect_toggle, unmap, 64 },
	{ "ftruncate", "hugetlb", NULL, grow_shrink, NULL, 32 },
	{ "fallocate-new", "hugetlb", punch_first, allocate_punch, NULL, 1 },
	{ "fallocate-present", "hugetlb", NULL, allocate_present, NULL, 64 },
	{ "fallocate-punch", "hugetlb", punch_first, punch_first, NULL, 64 },
	{ "fchmod", "hugetlb", NULL, chmod_toggle, NULL, 64 },
	{ "fcntl-get-seals", "hugetlb", NULL, get_seals, NULL, 64 },
	{ "fcntl-add-shrink", "hugetlb", open_fresh, add_shrink, close_fresh, 64 },
	{ "fcntl-add-write", "hugetlb", open_fresh, add_write, close_fresh, 64 },
	{ "memfd_create", "hugetlb", NULL, create_close, NULL, 16 },

	{ "pwrite-4", "tmpfs", NULL, pwrite_4, NULL, 64 },
	{ "pwrite-4096", "tmpfs", NULL, pwrite_4096, NULL, 64 },
	{ "read-4", "tmpfs", rewind_file, read_4, NULL, 64 },
	{ "pread-4096", "tmpfs", NULL, pread_4096, NULL, 64 },
	{ "mmap-shared-rw", "tmpfs", NULL, mmap_shared_rw, NULL, 32 },
	{ "mmap-shared-r", "tmpfs", NULL, mmap_shared_r, NULL, 32 },
	{ "mmap-private", "tmpfs", NULL, mmap_private, NULL, 32 },
	{ "fault-write", "tmpfs", map_shared, touch_write, unmap, 32 },
	{ "ftruncate", "tmpfs", NULL, grow_shrink, NULL, 32 },
	{ "fallocate-present", "tmpfs", NULL, allocate_present, NULL, 64 },
};

#define ROWS	((int)(sizeof(rows) / sizeof(rows[0])))

static int make_memfd(void)
{
	return memfd_create("cost", MFD_ALLOW_SEALING);
}

static int make_hugetlb(void)
{
	return memfd_create("cost", MFD_ALLOW_SEALING | MFD_HUGETLB);
}

static int make_tmpfs(void)
{
	unlink("/tmp/cost");
	return open("/tmp/cost", O_RDWR | O_CREAT, 0600);
}

/* A fault maps what is there of the 64 KiB around it too, but for huge pages: one page. */
static const struct kind kinds[] = {
	{ "shmem", make_memfd, 4096, 65536, MOST },
	{ "hugetlb", make_hugetlb, 2 << 20, 2 << 20, 8 },
	{ "tmpfs", make_tmpfs, 4096, 65536, MOST },
};

static void prepare(const struct row *row)
{
	for (kind = kinds; strcmp(kind->name, row->kind);)
		kind++;
	calls = row->calls;
	must(fd = kind->make());
	must(ftruncate(fd, size()));
	for (nth = 0; nth < kind->slots; nth++)
		must(fallocate(fd, 0, slot(), kind->page));
}

static unsigned long now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000UL + at.tv_nsec;
}

static unsigned long batch(const struct row *row)
{
	unsigned long begun, took;

	if (row->before)
		row->before();
	begun = now();
	for (nth = 0; nth < calls; nth++)
		row->call();
	took = now() - begun;
	if (row->after)
		row->after();
	return took;
}

static void measure(const struct row *row, unsigned long *least, unsigned long *most)
{
	unsigned long took;

	prepare(row);
	*least = ULONG_MAX;
	*most = 0;
	for (int i = 0; i < WARM_UP; i++)
		batch(row);
	for (int i = 0; i < BATCHES; i++) {
		took = batch(row);
		*least = took < *least ? took : *least;
		*most = took > *most ? took : *most;
	}
	close(fd);
}

int sequence(void)
{
	static unsigned long least[ROWS], most[ROWS];

	/* How many page tables a mapping takes depends on where it is: the same in each boot. */
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(ADDR_NO_RANDOMIZE);
		umount("/proc");
		execl("/init", "/init", NULL);
	}
	/* With times of access, what a read takes is a matter of when the last one was. */
	mkdir("/tmp", 0755);
	must(mount("tmpfs", "/tmp", "tmpfs", MS_NOATIME, NULL));
	/* What is mapped from now on is to fault. */
	must(mlockall(MCL_CURRENT));
	for (int i = 0; i < ROWS && !failed; i++)
		measure(&rows[i], &least[i], &most[i]);
	if (failed) {
		printf("cost: %s of %s: %s\n", failed, kind ? kind->name : "no kind", strerror(why));
		return 1;
	}
	/* At the end, as the console has interrupts of its own. */
	for (int i = 0; i < ROWS; i++)
		printf("cost: %s %s %d %lu %lu\n", rows[i].operation, rows[i].kind, rows[i].calls,
		       least[i], most[i]);
	return 0;
}
