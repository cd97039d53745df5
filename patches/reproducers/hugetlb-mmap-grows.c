// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * mmap() of a hugetlbfs file past its end grows the file, although F_SEAL_GROW says that nothing may.
 * Needs two free huge pages (/proc/sys/vm/nr_hugepages).
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 0x0004U
#endif

static size_t huge_page(void)
{
	size_t kb = 0;
	char line[128];
	FILE *info = fopen("/proc/meminfo", "r");

	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "Hugepagesize: %zu kB", &kb) == 1)
			break;
	if (!kb)
		errx(2, "no hugetlb in this kernel");
	fclose(info);
	return kb << 10;
}

int main(void)
{
	size_t huge = huge_page();
	int fd = memfd_create("grows", MFD_ALLOW_SEALING | MFD_HUGETLB);
	struct stat file;
	void *map;

	/* Without a seal it is to work, or there are too few huge pages. */
	map = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_SHARED,
		   memfd_create("free", MFD_HUGETLB), 0);
	if (map == MAP_FAILED || munmap(map, 2 * huge))
		err(2, "mmap() of two huge pages");
	if (fd < 0 || ftruncate(fd, huge) || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW))
		err(2, "a sealed hugetlb memfd");
	map = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fstat(fd, &file))
		err(2, "fstat");
	printf("mmap() of two huge pages: %s; size %zu -> %zu\n", map == MAP_FAILED ? "refused" : "works",
	       huge, (size_t)file.st_size);
	return (size_t)file.st_size != huge;
}
