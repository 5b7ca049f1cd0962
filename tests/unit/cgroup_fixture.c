#include "tests/unit/cgroup_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

static bool first_of_mount(const struct fixture *f, int c)
{
	for (int i = 0; i < c; i++) {
		if (!strcmp(f->tree.mount[i], f->tree.mount[c]))
			return false;
	}
	return f->tree.mount[c][0];
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

bool fixture_write(struct fixture *f, enum cgroup_controller c, const char *path, const char *file,
	const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s/%s", f->tree.mount[c], path, file);
	return write_file(full, text);
}

static bool make(struct fixture *f, const char *path)
{
	bool made = false;

	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		char full[512];

		if (!first_of_mount(f, c))
			continue;
		snprintf(full, sizeof(full), "%s%s", f->tree.mount[c], path);
		if (!mkdir(full, 0755) || errno == EEXIST)
			made = true;
		else if (c == CGROUP_CPU)
			return false;
	}
	return made;
}

/* On v2 a directory hands controllers down only when told to. */
static void hand_down(struct fixture *f, const char *path)
{
	if (f->tree.v2)
		fixture_write(f, CGROUP_CPU, path, "cgroup.subtree_control", "+cpu +memory +io");
}

bool fixture_open(struct fixture *f, const char *name)
{
	memset(f, 0, sizeof(*f));
	if (cgroup_tree_find(&f->tree, "/proc/self/mountinfo", NULL)) {
		printf("skipped: no cgroup hierarchy is mounted\n");
		return false;
	}
	hand_down(f, "");
	snprintf(f->root, sizeof(f->root), "/sage-test-%d-%s", getpid(), name);
	if (!make(f, f->root)) {
		printf("skipped: %s%s: %s: cgroups cannot be made, run as root\n", f->tree.mount[0],
			f->root, strerror(errno));
		return false;
	}
	snprintf(f->path[f->paths++], sizeof(f->path[0]), "%s", f->root);
	return true;
}

const char *fixture_make(struct fixture *f, const char *below)
{
	char *path = f->path[f->paths];

	snprintf(path, sizeof(f->path[0]), "%s%s", f->root, below);
	if (f->paths + 1 == FIXTURE_PATHS || !make(f, path))
		return NULL;
	for (unsigned i = 0; i < f->paths; i++) {
		size_t length = strlen(f->path[i]);

		if (!strncmp(path, f->path[i], length) && path[length] == '/')
			hand_down(f, f->path[i]);
	}
	f->paths++;
	return path;
}

/* A killed process may take a moment to leave: till then its cgroup is busy. */
static bool is_removed(void *directory)
{
	return !rmdir(directory) || errno != EBUSY;
}

void fixture_remove(struct fixture *f, const char *path)
{
	for (int c = CGROUP_CONTROLLERS - 1; c >= 0; c--) {
		char full[512];

		if (!first_of_mount(f, c))
			continue;
		snprintf(full, sizeof(full), "%s%s", f->tree.mount[c], path);
		fixture_wait(is_removed, full, 2000);
	}
}

bool fixture_quota(struct fixture *f, const char *path, unsigned percent)
{
	char text[32];

	if (f->tree.v2) {
		snprintf(text, sizeof(text), "%u 100000", percent * 1000);
		return fixture_write(f, CGROUP_CPU, path, "cpu.max", text);
	}
	snprintf(text, sizeof(text), "%u", percent * 1000);
	return fixture_write(f, CGROUP_CPU, path, "cpu.cfs_quota_us", text);
}

static void enter(struct fixture *f, const char *path)
{
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (first_of_mount(f, c))
			fixture_write(f, (enum cgroup_controller)c, path, "cgroup.procs", "0");
	}
}

pid_t fixture_spawn(struct fixture *f, const char *path, void (*work)(const char *argument),
	const char *argument)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (f->children == FIXTURE_CHILDREN || pipe(ready))
		return -1;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter(f, path);
		close(ready[0]);
		close(ready[1]);
		work(argument);
		_exit(0);
	}
	close(ready[1]);
	if (pid > 0) {
		f->child[f->children++] = pid;
		if (read(ready[0], &byte, 1)) /* ends when the child has entered its cgroup */
			pid = -1;
	}
	close(ready[0]);
	return pid;
}

void fixture_stop(struct fixture *f, pid_t pid)
{
	for (unsigned i = 0; i < f->children; i++) {
		if (f->child[i] != pid)
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		f->child[i] = f->child[--f->children];
		return;
	}
}

void fixture_close(struct fixture *f)
{
	while (f->children)
		fixture_stop(f, f->child[0]);
	while (f->paths)
		fixture_remove(f, f->path[--f->paths]);
}

void fixture_burn(const char *unused)
{
	(void)unused;
	for (volatile unsigned long i = 0;; i++)
		;
}

void fixture_idle(const char *unused)
{
	(void)unused;
	for (;;)
		pause();
}

bool fixture_wait(bool (*holds)(void *ctx), void *ctx, unsigned deadline_ms)
{
	uint64_t end_ns = clock_monotonic_ns() + deadline_ms * 1000000ULL;

	while (!holds(ctx)) {
		if (clock_monotonic_ns() > end_ns)
			return false;
		poll(NULL, 0, 10);
	}
	return true;
}
