// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * An /init that runs one of the model's C programs, whose main() is called sequence() here, says how
 * it ended, and ends the machine.
 */
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

int sequence(void);

int main(void)
{
	mkdir("/proc", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL))
		perror("/proc");
	printf("sequence: ended with %d\n", sequence());
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 0;
}
