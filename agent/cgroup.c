#include "agent/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const controller_name[CGROUP_CONTROLLERS] = {
	[CGROUP_CPU] = "cpu",
	[CGROUP_CPUACCT] = "cpuacct",
	[CGROUP_MEMORY] = "memory",
	[CGROUP_BLKIO] = "blkio",
	[CGROUP_PERF] = "perf_event",
};

static bool has_option(const char *options, const char *wanted)
{
	size_t length = strlen(wanted);

	for (const char *o = options; *o; o += strcspn(o, ",\n"), o += *o == ',') {
		if (!strncmp(o, wanted, length) &&
			(o[length] == ',' || !o[length] || o[length] == '\n'))
			return true;
		if (*o == '\n')
			break;
	}
	return false;
}

static bool is_below(const char *mount, const char *below)
{
	size_t length = below ? strlen(below) : 0;

	while (length && below[length - 1] == '/')
		length--;
	return !length ||
	       (!strncmp(mount, below, length) && (!mount[length] || mount[length] == '/'));
}

static void copy_mount(char to[CGROUP_MOUNT], const char *mount)
{
	if (!to[0])
		snprintf(to, CGROUP_MOUNT, "%.*s", CGROUP_MOUNT - 1, mount);
}

/* mountinfo: ID PARENT MAJ:MIN ROOT MOUNT OPTIONS [TAGS...] - TYPE SOURCE SUPER-OPTIONS */
static void read_line(struct cgroup_tree *t, const char *line, const char *below)
{
	const char *dash = strstr(line, " - ");
	char mount[CGROUP_MOUNT], type[32], options[512];

	if (!dash || sscanf(line, "%*s %*s %*s %*s %255s", mount) != 1 ||
		sscanf(dash, " - %31s %*s %511s", type, options) != 2 || !is_below(mount, below))
		return;
	if (!strcmp(type, "cgroup2"))
		copy_mount(t->unified, mount);
	if (strcmp(type, "cgroup"))
		return;
	for (int c = 0; c < CGROUP_CONTROLLERS; c++) {
		if (has_option(options, controller_name[c]))
			copy_mount(t->mount[c], mount);
	}
}

int cgroup_tree_find(struct cgroup_tree *t, const char *mountinfo, const char *below)
{
	struct cgroup_tree found = {0};
	char line[4096];
	FILE *f = fopen(mountinfo, "re");

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f))
		read_line(&found, line, below);
	fclose(f);
	if (!found.mount[CGROUP_CPU][0]) {
		if (!found.unified[0])
			return -ENOENT;
		found.v2 = true;
		for (int c = 0; c < CGROUP_CONTROLLERS; c++)
			memcpy(found.mount[c], found.unified, CGROUP_MOUNT);
	}
	copy_mount(found.mount[CGROUP_PERF], found.unified);
	*t = found;
	return 0;
}

const char *cgroup_tree_root(const struct cgroup_tree *t)
{
	return t->mount[CGROUP_CPU];
}

int cgroup_open_file(
	const struct cgroup_tree *t, enum cgroup_controller c, const char *path, const char *file)
{
	char full[PATH_MAX];
	int n, fd;

	if (!t->mount[c][0])
		return -ENOENT;
	n = snprintf(full, sizeof(full), "%s%s/%s", t->mount[c], path, file);
	if (n < 0 || (size_t)n >= sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
