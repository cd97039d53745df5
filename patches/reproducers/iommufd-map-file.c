// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * IOMMU_IOAS_MAP_FILE maps a memfd for a device to write to, although the descriptor is open for
 * reading only, and although F_SEAL_FUTURE_WRITE forbids new writable mappings.
 * Needs CONFIG_IOMMUFD; no device: what the ioctl says is enough.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of include/uapi/linux/iommufd.h; IOMMU_IOAS_MAP_FILE is there since 6.13. */
struct ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 id;
};

struct ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};

#define IOAS_ALLOC _IO(';', 0x81)
#define IOAS_MAP_FILE _IO(';', 0x8f)
#define MAP_WRITEABLE (1 << 1)
#define MAP_READABLE (1 << 2)

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int maps(const char *what, int fd)
{
	struct ioas_alloc ioas = { .size = sizeof(ioas) };
	struct ioas_map_file map = { .size = sizeof(map), .flags = MAP_WRITEABLE | MAP_READABLE };
	int iommu = open("/dev/iommu", O_RDWR);
	int works;

	if (iommu < 0 || ioctl(iommu, IOAS_ALLOC, &ioas))
		err(2, "/dev/iommu");
	map.ioas = ioas.id;
	map.fd = fd;
	map.length = getpagesize();
	works = !ioctl(iommu, IOAS_MAP_FILE, &map);
	printf("a writable IOMMU_IOAS_MAP_FILE of %s: %s\n", what, works ? "works" : strerror(errno));
	close(iommu);
	return works;
}

int main(void)
{
	int fd = memfd_create("mapped", MFD_ALLOW_SEALING);
	int read_only, wrong;
	char path[64];

	if (fd < 0 || ftruncate(fd, getpagesize()))
		err(2, "a memfd");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY);
	if (read_only < 0)
		err(2, "%s", path);
	if (!maps("a memfd", fd))
		errx(2, "it works for no file");
	wrong = maps("a descriptor opened O_RDONLY", read_only);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		err(2, "F_SEAL_FUTURE_WRITE");
	return maps("a file with F_SEAL_FUTURE_WRITE", fd) || wrong;
}
