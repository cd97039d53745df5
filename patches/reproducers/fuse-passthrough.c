// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A FUSE file that passes through to a memfd is mapped shared and writable, although the memfd has
 * F_SEAL_FUTURE_WRITE, which forbids such mappings.
 * Needs CONFIG_FUSE_PASSTHROUGH (6.9) and root. The server below knows as much of FUSE as one open()
 * and one mmap() take.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of Linux 6.9's include/uapi/linux/fuse.h. */
#define INIT_EXT (1U << 30)
#define FLAGS2_PASSTHROUGH (1U << (37 - 32))
#define OPEN_PASSTHROUGH (1U << 7)
struct backing_map {
	__s32 fd;
	__u32 flags;
	__u64 padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)

/* fuse_init_out as it is since 7.40. */
struct init_out {
	__u32 major, minor, max_readahead, flags;
	__u16 max_background, congestion_threshold;
	__u32 max_write, time_gran;
	__u16 max_pages, map_alignment;
	__u32 flags2, max_stack_depth, unused[6];
};

static void serve(int device, int behind)
{
	static char request[1 << 16];
	struct fuse_in_header *in = (void *)request;

	while (read(device, request, sizeof(request)) > 0) {
		struct {
			struct fuse_out_header head;
			union {
				struct init_out init;
				struct fuse_attr_out attr;
				struct fuse_open_out open;
			} body;
		} out = { .head.unique = in->unique };
		struct backing_map map = { .fd = behind };
		__u32 id, size = 0;

		switch (in->opcode) {
		case FUSE_INIT:
			size = sizeof(out.body.init);
			out.body.init = (struct init_out) {
				.major = 7, .minor = 40, .flags = INIT_EXT, .max_write = 4096,
				.time_gran = 1, .max_pages = 1, .flags2 = FLAGS2_PASSTHROUGH,
				.max_stack_depth = 1,
			};
			break;
		case FUSE_GETATTR:
			size = sizeof(out.body.attr);
			out.body.attr.attr.ino = 1;
			out.body.attr.attr.size = getpagesize();
			out.body.attr.attr.mode = S_IFREG | 0600;
			out.body.attr.attr.nlink = 1;
			break;
		case FUSE_OPEN:
			size = sizeof(out.body.open);
			id = ioctl(device, BACKING_OPEN, &map);
			out.body.open.open_flags = OPEN_PASSTHROUGH;
			memcpy((char *)&out.body.open + 12, &id, sizeof(id));
			break;
		case FUSE_RELEASE:
			break;
		case FUSE_FORGET:
			continue;
		default:
			out.head.error = -ENOSYS;
		}
		out.head.len = sizeof(out.head) + size;
		if (write(device, &out, out.head.len) < 0)
			return;
	}
}

int main(void)
{
	size_t page = getpagesize();
	int behind = memfd_create("behind", MFD_ALLOW_SEALING);
	int device = open("/dev/fuse", O_RDWR);
	char place[] = "/tmp/fuse-XXXXXX", options[128], byte = 0;
	int point, file;
	char *map;
	pid_t server;

	if (device < 0)
		err(2, "/dev/fuse");
	if (behind < 0 || ftruncate(behind, page))
		err(2, "a memfd");
	point = mkstemp(place);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100600,user_id=0,group_id=0", device);
	if (point < 0 || mount("fuse", place, "fuse", 0, options))
		err(2, "mounting FUSE on %s", place);
	server = fork();
	if (!server) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(device, behind);
		_exit(0);
	}
	file = open(place, O_RDWR);
	umount2(place, MNT_DETACH);
	unlink(place);
	if (file < 0)
		err(2, "open() of a file that passes through");
	if (fcntl(behind, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		err(2, "F_SEAL_FUTURE_WRITE");
	map = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (map == MAP_FAILED) {
		printf("mmap() of a FUSE file before a sealed memfd: %m\n");
	} else {
		*map = '!';
		if (pread(behind, &byte, 1, 0) != 1)
			err(2, "pread");
		printf("mmap() of a FUSE file before a sealed memfd works, and the memfd is%s written to\n",
		       byte == '!' ? "" : " not");
	}
	/* The server dies with this process, and not before it has answered its close(). */
	return map != MAP_FAILED;
}
