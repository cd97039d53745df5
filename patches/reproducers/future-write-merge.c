// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Before Linux 6.12 a new writable mapping of a memfd with F_SEAL_FUTURE_WRITE can be made if it
 * continues an old one: it is merged, and nothing asks the file. Where it is refused, a MAP_FIXED one
 * has unmapped what was there before.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int main(void)
{
	const int rw = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED;
	size_t page = getpagesize();
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	int wrong = 0;
	char *at, *old, *got;
	unsigned char in_core;

	if (fd < 0 || ftruncate(fd, 2 * page))
		err(2, "a memfd");
	at = mmap(NULL, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	old = mmap(at + page, page, rw, fixed, fd, 0);
	if (at == MAP_FAILED || old == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE))
		err(2, "an old mapping and the seal");

	got = mmap(old + page, page, rw, fixed, fd, page);
	if (got != MAP_FAILED) {
		*got = '!';
		printf("a new writable mapping beside the old one: works\n");
		wrong = 1;
	} else {
		printf("a new writable mapping beside the old one: %m\n");
	}

	got = mmap(at, page, rw, fixed, fd, page);
	printf("one over an anonymous mapping: %s", got == MAP_FAILED ? "refused" : "works");
	if (mincore(at, page, &in_core)) {
		printf(", and what it was to replace is gone");
		wrong = 1;
	}
	puts("");
	return wrong || got != MAP_FAILED;
}
