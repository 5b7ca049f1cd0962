#include "tests/bench/place.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

#define ASK_EVERY_MS 20
#define STOP_MS 5000

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	interrupted = signal;
}

/* Waiting then fails, and what fails cleans up. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = interrupt};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int place_open(struct place *p)
{
	int err;

	memset(p, 0, sizeof(*p));
	catch_signals();
	err = cgroups_open(&p->cgroups);
	if (err) {
		fprintf(stderr, "%s: cgroups: a controller is missing in /proc/mounts\n",
			program_invocation_short_name);
		return err;
	}
	snprintf(p->root, sizeof(p->root), "/sage-bench-%d", getpid());
	snprintf(p->directory, sizeof(p->directory), "/tmp/sage-bench-XXXXXX");
	err = cgroups_make(&p->cgroups, p->root);
	if (!err && !mkdtemp(p->directory))
		err = -errno;
	if (err) {
		fprintf(stderr, "%s: cgroup %s or directory %s: %s; run it as root\n",
			program_invocation_short_name, p->root, p->directory, strerror(-err));
		cgroups_remove(&p->cgroups, p->root);
	}
	return err;
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *walk)
{
	(void)s;
	(void)kind;
	(void)walk;
	return remove(path);
}

void place_close(struct place *p)
{
	cgroups_remove(&p->cgroups, p->root);
	nftw(p->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void place_file(const struct place *p, const char *name, char path[PLACE_PATH])
{
	snprintf(path, PLACE_PATH, "%s/%s", p->directory, name);
}

int place_cgroup(const struct place *p, const char *name, char path[PLACE_PATH])
{
	snprintf(path, PLACE_PATH, "%s/%s", p->root, name);
	return cgroups_make(&p->cgroups, path);
}

pid_t place_start(const struct place *p, const char *cgroup, const char *log, char *const argv[])
{
	struct spawn how = {.cgroups = &p->cgroups, .cgroup = cgroup, .log = log};

	unlink(log);
	return spawn_start(&how, argv);
}

/* Whether the process has ended; waits at most that long. */
static bool ended(int pidfd, unsigned timeout_ms)
{
	struct pollfd f = {.fd = pidfd, .events = POLLIN};

	return !interrupted && poll(&f, 1, (int)timeout_ms) > 0;
}

int place_wait(pid_t pid, bool (*ready)(void *ctx), void *ctx, unsigned timeout_ms)
{
	uint64_t deadline_ns = clock_monotonic_ns() + timeout_ms * 1000000ULL;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), err = -ETIMEDOUT;

	if (pidfd < 0)
		return -errno;
	while (err == -ETIMEDOUT && clock_monotonic_ns() < deadline_ns) {
		if (interrupted)
			err = -EINTR;
		else if (ready(ctx))
			err = 0;
		else if (ended(pidfd, ASK_EVERY_MS))
			err = -ECHILD;
	}
	close(pidfd);
	return err;
}

int place_join(pid_t pid, unsigned timeout_ms)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status;

	if (pidfd < 0 || !ended(pidfd, timeout_ms))
		kill(pid, SIGKILL);
	if (pidfd >= 0)
		close(pidfd);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void place_stop(pid_t pid, int signal)
{
	if (pid <= 0)
		return;
	kill(pid, signal);
	place_join(pid, STOP_MS);
}

void place_read(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
}

bool place_has_program(const char *program)
{
	char path[512], candidate[640], *at = path, *directory;

	snprintf(path, sizeof(path), "%s", getenv("PATH") ? getenv("PATH") : "/usr/bin");
	while ((directory = strsep(&at, ":"))) {
		snprintf(candidate, sizeof(candidate), "%s/%s", directory, program);
		if (!access(candidate, X_OK))
			return true;
	}
	return false;
}
