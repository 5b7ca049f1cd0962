/*
 * From a cgroup's path to the names of its container.
 *
 * Rules given by the user are tried first, in order; then the layouts of
 * Kubernetes (cgroupfs and systemd drivers), docker, podman, containerd and
 * CRI-O; then systemd units below system.slice. Pure functions on strings.
 */
#ifndef SAGE_AGENT_CGROUP_NAME_H
#define SAGE_AGENT_CGROUP_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "common/wire.h"

#define CGROUP_RULES 32

/*
 * A rule is a path pattern: "/sage-testbed/{service}/{container}". A component
 * is either literal text (where `*` stands for any characters) or one of the
 * placeholders; {service} is required, without {container} the container is
 * called like the service. A rule speaks about the whole path.
 */
struct cgroup_rules {
	const char *pattern[CGROUP_RULES]; /* not owned */
	size_t count;
};

struct cgroup_name {
	char service[WIRE_NAME];
	char container[WIRE_NAME];
	char group[WIRE_PATH]; /* the parent where containers share one (a pod), else the path
				  itself */
};

/* Add a rule. Returns 0, -EINVAL (malformed: `why` then says what), -ENOSPC. */
int cgroup_rules_add(struct cgroup_rules *r, const char *pattern, const char **why);

/* True and the names when a rule or a layout knows the path; else *name stays untouched. */
bool cgroup_name_parse(const struct cgroup_rules *r, const char *path, struct cgroup_name *name);

#endif
