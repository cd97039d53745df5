// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * UDMABUF_CREATE takes a memfd that is open for reading only, and the buffer's mappings write to it.
 * Needs CONFIG_UDMABUF and the right to open /dev/udmabuf.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	int device = open("/dev/udmabuf", O_RDWR);
	int fd = memfd_create("shared", MFD_ALLOW_SEALING);
	size_t size = getpagesize();
	struct udmabuf_create create = { .size = size };
	char path[64], byte;
	char *map;
	int buffer;

	if (device < 0)
		err(2, "/dev/udmabuf");
	/* udmabuf wants this seal. */
	if (fd < 0 || ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		err(2, "a memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	create.memfd = open(path, O_RDONLY);
	buffer = ioctl(device, UDMABUF_CREATE, &create);
	if (buffer < 0) {
		printf("UDMABUF_CREATE of a descriptor opened O_RDONLY: %m\n");
		return 0;
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0);
	if (map == MAP_FAILED)
		err(2, "mmap of the buffer");
	*map = '!';
	if (pread(fd, &byte, 1, 0) != 1)
		err(2, "pread");
	printf("UDMABUF_CREATE of a descriptor opened O_RDONLY works, and the file is%s written to\n",
	       byte == '!' ? "" : " not");
	return 1;
}
