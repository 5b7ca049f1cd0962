/*
 * The cgroups of the testbed on v1, v2 or hybrid: one path, made in every
 * hierarchy that has a controller used here, and the few knobs the faults turn.
 * Paths start with "/" and are below the mount. One thread.
 */
#ifndef SAGE_TESTBED_CGROUPS_H
#define SAGE_TESTBED_CGROUPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_controller {
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_MEMORY,
	CGROUP_IO,
	CGROUP_CPUSET,
	CGROUP_CONTROLLERS
};

#define CGROUP_MOUNTS 8
#define CGROUP_PATH 256

struct cgroup_mount {
	char path[128];
	int v2;
	unsigned controllers; /* bit per enum cgroup_controller */
};

struct cgroups {
	size_t mounts;
	struct cgroup_mount mount[CGROUP_MOUNTS];
};

/* Find the hierarchies. Returns 0, or -ENOENT when a controller is nowhere. */
int cgroups_open(struct cgroups *c);

/* Make a cgroup and its parents everywhere. Returns 0 or -errno. */
int cgroups_make(const struct cgroups *c, const char *path);

/* Move the calling process into it. Returns 0 or -errno. */
int cgroups_join(const struct cgroups *c, const char *path);

/* Kill what runs in it and below, and remove it everywhere. Returns 0 or -errno. */
int cgroups_remove(const struct cgroups *c, const char *path);

/* Kill what runs in exactly this cgroup; waits until it is empty. */
void cgroups_kill(const struct cgroups *c, const char *path);

/* CPU quota in cores; NAN = none. Return 0 or -errno. */
int cgroups_set_quota(const struct cgroups *c, const char *path, double cores);
int cgroups_get_quota(const struct cgroups *c, const char *path, double *cores);

/*
 * Prefer it to its siblings for the CPU as strongly as v1 and v2 both allow: about a
 * hundred times. Returns 0 or -errno.
 */
int cgroups_prefer(const struct cgroups *c, const char *path);

/* CPU time used so far, ns. */
int cgroups_cpu_ns(const struct cgroups *c, const char *path, uint64_t *ns);

/* Memory: v1 limit_in_bytes; v2 high, which reclaims and slows but never kills. */
int cgroups_set_memory(const struct cgroups *c, const char *path, int64_t bytes);
int cgroups_get_memory(const struct cgroups *c, const char *path, int64_t *bytes);
int cgroups_memory_used(const struct cgroups *c, const char *path, int64_t *bytes);

#endif
