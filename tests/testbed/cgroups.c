#include "tests/testbed/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_PATH 512
#define KILL_ROUNDS 500
#define KILL_PAUSE_NS 10000000

static const struct {
	const char *v1, *v2;
} controller_name[CGROUP_CONTROLLERS] = {
	[CGROUP_CPU] = {"cpu", "cpu"},
	[CGROUP_CPUACCT] = {"cpuacct", "cpu"},
	[CGROUP_MEMORY] = {"memory", "memory"},
	[CGROUP_IO] = {"blkio", "io"},
	[CGROUP_CPUSET] = {"cpuset", "cpuset"},
};

static int read_text(const char *file, char *text, size_t size)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		n = -errno;
	else
		text[n] = 0;
	close(fd);
	return n < 0 ? (int)n : 0;
}

static int write_text(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int has_word(const char *list, const char *word, const char *separators)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || strchr(separators, at[-1])) &&
			(!at[length] || strchr(separators, at[length])))
			return 1;
	return 0;
}

static unsigned controllers_in(const char *list, const char *separators, int v2)
{
	unsigned found = 0;

	for (unsigned i = 0; i < CGROUP_CONTROLLERS; i++)
		if (has_word(list, v2 ? controller_name[i].v2 : controller_name[i].v1, separators))
			found |= 1u << i;
	return found;
}

static void add_mount(struct cgroups *c, const char *path, const char *type, const char *options)
{
	struct cgroup_mount m = {.v2 = !strcmp(type, "cgroup2")};
	char file[FILE_PATH], list[256];

	if (c->mounts == CGROUP_MOUNTS || strlen(path) >= sizeof(m.path))
		return;
	strcpy(m.path, path);
	if (m.v2) {
		snprintf(file, sizeof(file), "%s/cgroup.controllers", path);
		if (read_text(file, list, sizeof(list)))
			return;
		m.controllers = controllers_in(list, " \n", 1);
	} else {
		m.controllers = controllers_in(options, ",\n", 0);
	}
	if (m.controllers)
		c->mount[c->mounts++] = m;
}

int cgroups_open(struct cgroups *c)
{
	char line[1024], path[256], type[32], options[256];
	unsigned found = 0;
	FILE *f = fopen("/proc/mounts", "re");

	*c = (struct cgroups){0};
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %255s %31s %255s", path, type, options) == 3 &&
			!strncmp(type, "cgroup", 6))
			add_mount(c, path, type, options);
	fclose(f);
	for (size_t i = 0; i < c->mounts; i++)
		found |= c->mount[i].controllers;
	return found == (1u << CGROUP_CONTROLLERS) - 1 ? 0 : -ENOENT;
}

/* A v1 cpuset takes no process before it has CPUs and memory nodes. */
static void inherit_cpuset(const char *directory)
{
	static const char *const file[] = {"cpuset.cpus", "cpuset.mems"};
	char path[FILE_PATH + 32], text[256];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/../%s", directory, file[i]);
		if (read_text(path, text, sizeof(text)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, file[i]);
		write_text(path, text);
	}
}

/* Let the children of a v2 cgroup have the controllers; one that is missing is no matter. */
static void enable_controllers(const char *directory)
{
	static const char *const word[] = {"+cpu", "+memory", "+io", "+cpuset"};
	char path[FILE_PATH + 32];

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", directory);
	for (int i = 0; i < 4; i++)
		write_text(path, word[i]);
}

static int make_level(const struct cgroup_mount *m, const char *parent, const char *directory)
{
	if (m->v2)
		enable_controllers(parent);
	if (mkdir(directory, 0755) && errno != EEXIST)
		return -errno;
	if (!m->v2 && m->controllers & 1u << CGROUP_CPUSET)
		inherit_cpuset(directory);
	return 0;
}

static int make_in(const struct cgroup_mount *m, const char *path)
{
	char directory[FILE_PATH], parent[FILE_PATH];
	size_t root = strlen(m->path);

	snprintf(directory, sizeof(directory), "%s%s", m->path, path);
	for (char *at = directory + root + 1;; at++) {
		char kept = *at;
		int err;

		if (kept && kept != '/')
			continue;
		*at = 0;
		strcpy(parent, directory);
		*strrchr(parent, '/') = 0;
		err = make_level(m, parent, directory);
		*at = kept;
		if (err || !kept)
			return err;
	}
}

int cgroups_make(const struct cgroups *c, const char *path)
{
	for (size_t i = 0; i < c->mounts; i++) {
		int err = make_in(&c->mount[i], path);

		if (err)
			return err;
	}
	return 0;
}

int cgroups_join(const struct cgroups *c, const char *path)
{
	char file[FILE_PATH];

	for (size_t i = 0; i < c->mounts; i++) {
		int err;

		snprintf(file, sizeof(file), "%s%s/cgroup.procs", c->mount[i].path, path);
		err = write_text(file, "0");
		if (err)
			return err;
	}
	return 0;
}

/* Signal every process in a cgroup directory; returns how many there were. */
static int kill_in(const char *directory)
{
	char file[FILE_PATH + 16];
	int pid, count = 0;
	FILE *f;

	snprintf(file, sizeof(file), "%s/cgroup.procs", directory);
	f = fopen(file, "re");
	if (!f)
		return 0;
	while (fscanf(f, "%d", &pid) == 1 && pid > 0) {
		kill(pid, SIGKILL);
		count++;
	}
	fclose(f);
	return count;
}

static void kill_until_empty(const char *directory)
{
	struct timespec pause = {.tv_nsec = KILL_PAUSE_NS};

	for (int i = 0; i < KILL_ROUNDS && kill_in(directory); i++)
		nanosleep(&pause, NULL);
}

void cgroups_kill(const struct cgroups *c, const char *path)
{
	char directory[FILE_PATH];

	for (size_t i = 0; i < c->mounts; i++) {
		snprintf(directory, sizeof(directory), "%s%s", c->mount[i].path, path);
		kill_until_empty(directory);
	}
}

static int remove_tree(const char *directory)
{
	char below[FILE_PATH];
	struct dirent *entry;
	DIR *d = opendir(directory);
	int err = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(d))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (snprintf(below, sizeof(below), "%s/%s", directory, entry->d_name) >=
			(int)sizeof(below))
			err = -ENAMETOOLONG;
		else
			err = remove_tree(below);
	}
	closedir(d);
	if (err)
		return err;
	kill_until_empty(directory);
	return rmdir(directory) ? -errno : 0;
}

int cgroups_remove(const struct cgroups *c, const char *path)
{
	char directory[FILE_PATH];
	int err, first = 0;

	for (size_t i = 0; i < c->mounts; i++) {
		snprintf(directory, sizeof(directory), "%s%s", c->mount[i].path, path);
		err = remove_tree(directory);
		first = first ? first : err;
	}
	return first;
}

/* ---- knobs ----------------------------------------------------------- */

/* The directory of a cgroup where a controller lives; says whether that is v2. */
static int directory_of(const struct cgroups *c, const char *path, enum cgroup_controller which,
	char *to, size_t size)
{
	for (size_t i = 0; i < c->mounts; i++) {
		if (!(c->mount[i].controllers & 1u << which))
			continue;
		snprintf(to, size, "%s%s", c->mount[i].path, path);
		return c->mount[i].v2;
	}
	return 0;
}

__attribute__((format(printf, 3, 4))) static int put(
	const char *directory, const char *name, const char *format, ...)
{
	char file[FILE_PATH + 64], text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(file, sizeof(file), "%s/%s", directory, name);
	return write_text(file, text);
}

static int get(const char *directory, const char *name, char *text, size_t size)
{
	char file[FILE_PATH + 64];

	snprintf(file, sizeof(file), "%s/%s", directory, name);
	return read_text(file, text, size);
}

#define PERIOD_US 100000

int cgroups_set_quota(const struct cgroups *c, const char *path, double cores)
{
	char directory[FILE_PATH];
	int v2 = directory_of(c, path, CGROUP_CPU, directory, sizeof(directory));
	long quota = cores >= 0 ? (long)(cores * PERIOD_US) : -1;
	int err;

	if (v2)
		return quota < 0 ? put(directory, "cpu.max", "max %d", PERIOD_US)
				 : put(directory, "cpu.max", "%ld %d", quota, PERIOD_US);
	err = put(directory, "cpu.cfs_period_us", "%d", PERIOD_US);
	return err ? err : put(directory, "cpu.cfs_quota_us", "%ld", quota);
}

int cgroups_get_quota(const struct cgroups *c, const char *path, double *cores)
{
	char directory[FILE_PATH], text[64];
	int v2 = directory_of(c, path, CGROUP_CPU, directory, sizeof(directory));
	double quota, period;
	int err;

	if (v2) {
		err = get(directory, "cpu.max", text, sizeof(text));
		if (err)
			return err;
		*cores = sscanf(text, "%lf %lf", &quota, &period) == 2 ? quota / period
								       : (double)NAN;
		return 0;
	}
	err = get(directory, "cpu.cfs_quota_us", text, sizeof(text));
	if (err)
		return err;
	quota = strtod(text, NULL);
	err = get(directory, "cpu.cfs_period_us", text, sizeof(text));
	if (err)
		return err;
	period = strtod(text, NULL);
	*cores = quota > 0 && period > 0 ? quota / period : (double)NAN;
	return 0;
}

int cgroups_prefer(const struct cgroups *c, const char *path)
{
	char directory[FILE_PATH];
	int v2 = directory_of(c, path, CGROUP_CPU, directory, sizeof(directory));

	return put(directory, v2 ? "cpu.weight" : "cpu.shares", v2 ? "10000" : "102400");
}

int cgroups_cpu_ns(const struct cgroups *c, const char *path, uint64_t *ns)
{
	char directory[FILE_PATH], text[1024];
	int v2 = directory_of(c, path, CGROUP_CPUACCT, directory, sizeof(directory));
	int err = get(directory, v2 ? "cpu.stat" : "cpuacct.usage", text, sizeof(text));
	const char *at = text;

	if (err)
		return err;
	if (v2) {
		at = strstr(text, "usage_usec ");
		if (!at)
			return -ENOENT;
		at += strlen("usage_usec ");
	}
	*ns = strtoull(at, NULL, 10) * (v2 ? 1000 : 1);
	return 0;
}

int cgroups_set_memory(const struct cgroups *c, const char *path, int64_t bytes)
{
	char directory[FILE_PATH];
	int v2 = directory_of(c, path, CGROUP_MEMORY, directory, sizeof(directory));

	return put(
		directory, v2 ? "memory.high" : "memory.limit_in_bytes", "%lld", (long long)bytes);
}

static int get_bytes(const struct cgroups *c, const char *path, const char *v1_file,
	const char *v2_file, int64_t *bytes)
{
	char directory[FILE_PATH], text[64];
	int v2 = directory_of(c, path, CGROUP_MEMORY, directory, sizeof(directory));
	int err = get(directory, v2 ? v2_file : v1_file, text, sizeof(text));

	if (!err)
		*bytes = *text == 'm' ? INT64_MAX : strtoll(text, NULL, 10);
	return err;
}

int cgroups_get_memory(const struct cgroups *c, const char *path, int64_t *bytes)
{
	return get_bytes(c, path, "memory.limit_in_bytes", "memory.high", bytes);
}

int cgroups_memory_used(const struct cgroups *c, const char *path, int64_t *bytes)
{
	return get_bytes(c, path, "memory.usage_in_bytes", "memory.current", bytes);
}
