// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * F_ADD_SEALS works on a memfd that a live update preserves. The seals were recorded when it was
 * preserved, so the next kernel has the file without the new one.
 * Needs CONFIG_LIVEUPDATE_MEMFD and `kho=on liveupdate=on` on the command line.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of include/uapi/linux/liveupdate.h, which few machines have yet. */
struct create_session {
	__u32 size;
	__s32 fd;
	__u8 name[64];
};

struct preserve_fd {
	__u32 size;
	__s32 fd;
	__aligned_u64 token;
};

#define CREATE_SESSION _IO(0xBA, 0x00)
#define PRESERVE_FD _IO(0xBA, 0x40)

int main(void)
{
	struct create_session session = { .size = sizeof(session), .fd = -1, .name = "reproducer" };
	struct preserve_fd preserve = { .size = sizeof(preserve), .token = 1 };
	int device = open("/dev/liveupdate", O_RDWR);
	int fd = memfd_create("preserved", MFD_ALLOW_SEALING);

	if (device < 0)
		err(2, "/dev/liveupdate");
	if (fd < 0 || ftruncate(fd, getpagesize()))
		err(2, "a memfd");
	if (ioctl(device, CREATE_SESSION, &session))
		err(2, "LIVEUPDATE_IOCTL_CREATE_SESSION");
	preserve.fd = fd;
	if (ioctl(session.fd, PRESERVE_FD, &preserve))
		err(2, "LIVEUPDATE_SESSION_PRESERVE_FD");
	if (!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)) {
		printf("F_ADD_SEALS on a preserved file works; the next kernel will not know the seal\n");
		return 1;
	}
	printf("F_ADD_SEALS on a preserved file: %m\n");
	return 0;
}
