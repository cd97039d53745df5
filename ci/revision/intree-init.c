// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * An /init that runs the programs of ci/revision/intree.py, one after the other. What they say goes
 * to the port of the runner's events and not to the console, where a word of the kernel in the
 * middle of a line would lose it; the console gets the names, to tell whose fault a splat is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct program {
	const char *name;
	/* The binary. */
	const char *begin, *end;
	const char *const *argv;
	/* Paths without which it can't run. */
	const char *const *needs;
	/* In s. */
	int limit;
	/* How many it has to find; those of the boot if 0. */
	int huge_pages;
};

/* The table `programs`, and the binaries themselves: written by ci/revision/intree.py. */
#include "programs.h"

#define HUGE_PAGES "/proc/sys/vm/nr_hugepages"
#define SIZES "/sys/kernel/mm/hugepages"
#define SMALL "/hugepages-2048kB"
/* The runner gives a guest 300 times what it took to the first event, which are but minutes; in s. */
#define WAIT 10

static int port = -1;
static int kmsg = -1;
/* Whether the port is at the start of a line. */
static int fresh = 1;

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void pause_ms(int ms)
{
	poll(NULL, 0, ms);
}

static void send_all(const char *bytes, size_t size)
{
	while (size) {
		ssize_t done = write(port, bytes, size);

		if (done < 0 && errno != EINTR)
			return;
		if (done > 0) {
			bytes += done;
			size -= done;
		}
	}
}

/* The runner ends a guest without events; this one stands for nothing, wherever it comes. */
static void alive(void)
{
	send_all("", 1);
}

__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
	char line[512];
	va_list list;
	int size;

	va_start(list, format);
	size = vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	if (kmsg >= 0)
		dprintf(kmsg, "<5>%s", line);
	if (!fresh)
		send_all("\n", 1);
	send_all(line, size);
	send_all("\n", 1);
	fresh = 1;
}

static void set_up(int argc, char **argv)
{
	static const char *const mounts[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" }, { "tmpfs", "/tmp" },
		{ "tmpfs", "/dev/shm" }, { "debugfs", "/sys/kernel/debug" },
	};
	const char *events = NULL;

	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		mkdir(mounts[i][1], 0755);
		mount(mounts[i][0], mounts[i][1], mounts[i][0], 0, NULL);
	}
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "--events"))
			events = argv[i + 1];
	/* The driver makes it a while after the boot. */
	for (int tries = 0; events && port < 0 && tries < 600; tries++) {
		port = open(events, O_WRONLY | O_CLOEXEC);
		if (port < 0)
			pause_ms(100);
	}
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

/* Whether a page of 1 GiB is to be had differs from boot to boot: none is shown to any program. */
static void hide_giants(void)
{
	if (mkdir("/tmp/sizes", 0755) || mkdir("/tmp/sizes" SMALL, 0755) ||
	    mount(SIZES SMALL, "/tmp/sizes" SMALL, NULL, MS_BIND, NULL) ||
	    mount("/tmp/sizes", SIZES, NULL, MS_BIND | MS_REC, NULL))
		say("intree: %s: %m", SIZES);
}

static void put(const char *path, const void *bytes, size_t size, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0755);

	while (fd >= 0 && size) {
		ssize_t done = write(fd, bytes, size);

		if (done <= 0)
			break;
		bytes = (const char *)bytes + done;
		size -= done;
	}
	if (fd < 0 || size)
		say("intree: %s could not be written: %m", path);
	close(fd);
}

static void start(const struct program *program, int out)
{
	static char *const environment[] = { "PATH=/", "HOME=/tmp", NULL };
	int null = open("/dev/null", O_RDONLY);

	setsid();
	dup2(null, 0);
	dup2(out, 1);
	dup2(out, 2);
	if (null > 2)
		close(null);
	/* mremap_test looks for free addresses, and does not always find them. */
	personality(ADDR_NO_RANDOMIZE);
	execve(program->argv[0], (char *const *)program->argv, environment);
	dprintf(2, "intree: execve: %m\n");
	_exit(127);
}

/* Passes on what comes within `ms`; whether there may be more. */
static int relay(int from, int ms)
{
	struct pollfd poller = { .fd = from, .events = POLLIN };
	char bytes[4096];
	ssize_t size;

	if (poll(&poller, 1, ms) <= 0)
		return 0;
	size = read(from, bytes, sizeof(bytes));
	if (size <= 0)
		return 0;
	send_all(bytes, size);
	fresh = bytes[size - 1] == '\n';
	return 1;
}

/* No process of one program may be there when the next begins. */
static void end_all(const char *name)
{
	for (int tries = 0; tries < 300; tries++) {
		pid_t child;

		kill(-1, SIGKILL);
		do {
			child = waitpid(-1, NULL, WNOHANG);
		} while (child > 0);
		if (child < 0)
			return;
		alive();
		pause_ms(100);
	}
	say("intree: %s left processes that do not end", name);
}

static void run(const struct program *program, double slow)
{
	double deadline;
	int ends[2], status, over = 0;
	pid_t child;

	say("intree: %s begin", program->name);
	for (const char *const *need = program->needs; *need; need++) {
		if (access(*need, F_OK)) {
			say("intree: %s ended with lacks:%s", program->name, *need);
			return;
		}
	}
	if (program->huge_pages) {
		char text[16];

		put(HUGE_PAGES, text, snprintf(text, sizeof(text), "%d", program->huge_pages), 0);
	}
	/* Some look for their own binary by the name that they were called by. */
	put(program->argv[0], program->begin, program->end - program->begin, O_CREAT | O_TRUNC);
	if (pipe2(ends, O_CLOEXEC)) {
		say("intree: %s ended with pipe:%d", program->name, errno);
		return;
	}
	child = fork();
	if (!child)
		start(program, ends[1]);
	close(ends[1]);
	deadline = now(CLOCK_MONOTONIC) + program->limit * slow;
	while (child > 0 && waitpid(child, &status, WNOHANG) != child) {
		if (now(CLOCK_MONOTONIC) > deadline) {
			over = 1;
			break;
		}
		if (!relay(ends[0], 200)) {
			alive();
			/* At the pipe's end poll() no longer waits. */
			pause_ms(20);
		}
	}
	end_all(program->name);
	while (relay(ends[0], 100))
		;
	close(ends[0]);
	unlink(program->argv[0]);
	if (over)
		say("intree: %s ended with limit", program->name);
	else if (child < 0)
		say("intree: %s ended with fork", program->name);
	else
		say("intree: %s ended with %d", program->name,
		    WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

int main(int argc, char **argv)
{
	double slow;
	char huge[32] = "";
	int fd;

	set_up(argc, argv);
	/* A machine that took longer to boot than a quiet one, under TCG, gets more time in all. */
	slow = now(CLOCK_BOOTTIME);
	if (slow < 1)
		slow = 1;
	for (int left = WAIT; left; left--) {
		dprintf(kmsg, "<5>intree: begins in %d s", left);
		pause_ms(1000);
	}
	hide_giants();
	if (mkdir("/tmp/work", 0777) || chdir("/tmp/work"))
		say("intree: /tmp/work: %m");
	fd = open(HUGE_PAGES, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, huge, sizeof(huge) - 1) <= 0)
		say("intree: %s could not be read: %m", HUGE_PAGES);
	close(fd);
	for (const struct program *program = programs; program->name; program++) {
		run(program, slow);
		/* One that was killed did not put them back. */
		put(HUGE_PAGES, huge, strlen(huge), 0);
	}
	say("intree: the end");
	reboot(RB_AUTOBOOT);
	return 0;
}
