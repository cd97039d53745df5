// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * F_SEAL_EXEC is taken on a hugetlbfs file, and chmod() makes it executable all the same.
 * Needs hugetlb in the kernel, and no huge page.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

int main(void)
{
	int fd = memfd_create("exec", MFD_ALLOW_SEALING | MFD_HUGETLB);
	struct stat file;
	int got;

	if (fd < 0 || fchmod(fd, 0600) || fcntl(fd, F_ADD_SEALS, F_SEAL_EXEC))
		err(2, "a hugetlb memfd with F_SEAL_EXEC");
	got = fchmod(fd, 0700);
	if (fstat(fd, &file))
		err(2, "fstat");
	printf("fchmod(0700) under F_SEAL_EXEC: %s; mode %o\n", got ? "refused" : "works",
	       file.st_mode & 0777);
	return (file.st_mode & 0111) != 0;
}
