/*
 * Where the cgroup hierarchies of this machine are mounted.
 *
 * Containers are told apart by the hierarchy the cpu controller lives in: its
 * own on cgroup v1 and on hybrid machines, the unified one on v2. The inode of
 * a directory there is the cgroup id used everywhere, in the kernel as well.
 * On v1 the other controllers are expected to hold the same path.
 */
#ifndef SAGE_AGENT_CGROUP_H
#define SAGE_AGENT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_MEMORY,
	CGROUP_BLKIO,
	CGROUP_PERF, /* on v2, and where v1 has none mounted: the unified hierarchy */
	CGROUP_CONTROLLERS
};

#define CGROUP_MOUNT 256

struct cgroup_tree {
	bool v2; /* the cpu controller is on the unified hierarchy */
	char mount[CGROUP_CONTROLLERS][CGROUP_MOUNT]; /* "" where not mounted; all the same on v2 */
	char unified[CGROUP_MOUNT];                   /* the v2 hierarchy, "" where not mounted */
};

/*
 * Read the mounts from a mountinfo file ("/proc/self/mountinfo"), only those at
 * or below `below` (NULL: all; in a pod, where the host's tree is mounted
 * elsewhere, that place). Returns 0, -errno, or -ENOENT when no hierarchy with
 * the cpu controller and no unified one is there.
 */
int cgroup_tree_find(struct cgroup_tree *t, const char *mountinfo, const char *below);

/* The directory under which every container is found. */
const char *cgroup_tree_root(const struct cgroup_tree *t);

/* Open a file of a cgroup for reading. Returns a descriptor, or -errno (-ENOENT: not mounted). */
int cgroup_open_file(
	const struct cgroup_tree *t, enum cgroup_controller c, const char *path, const char *file);

#endif
