/*
 * A small tree of cgroups for tests, POD with child APP: real ones of cgroup v1 or v2,
 * whichever this machine has, and a directory of plain files that looks like cgroup v2.
 */
#ifndef SAGE_TESTS_UNIT_CGROUP_TREE_H
#define SAGE_TESTS_UNIT_CGROUP_TREE_H

#include "agent/knob.h"

struct cgroup_tree {
	struct knob_layout layout;
	char top[64]; /* "/sage-acting-123", below the mounts */
	char pod[80], app[96];
	uint64_t pod_id, app_id;
	char plain[64]; /* directory to remove; "" for real cgroups */
};

/* False when this machine has no cgroup v1 that we may write to. */
bool cgroup_tree_real(struct cgroup_tree *t);

/* False when this machine has not all controllers on a cgroup v2 that we may write to. */
bool cgroup_tree_real_v2(struct cgroup_tree *t);

/* Whichever of the two is there. */
bool cgroup_tree_any(struct cgroup_tree *t);

void cgroup_tree_plain(struct cgroup_tree *t);
void cgroup_tree_remove(struct cgroup_tree *t);

/* Write and read one file of a cgroup of the tree. Text comes without its last newline. */
void cgroup_tree_put(const struct cgroup_tree *t, enum knob_controller c, const char *path,
	const char *file, const char *text);
const char *cgroup_tree_get(
	const struct cgroup_tree *t, enum knob_controller c, const char *path, const char *file);

/* The CPU quota, on v1, v2 and plain files, in us of a period of 100 ms; -1 = none. */
void cgroup_tree_put_quota(const struct cgroup_tree *t, const char *path, int us);
int cgroup_tree_quota(const struct cgroup_tree *t, const char *path);

#endif
