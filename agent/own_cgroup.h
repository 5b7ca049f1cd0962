/*
 * Which cgroup this process is in, as a path below a mount of the hierarchy.
 *
 * /proc/self/cgroup does not tell that to a container with a cgroup namespace of its own,
 * which is the rule on v2: it says "/" there. What does tell are the lists of processes in
 * the hierarchy itself, where ours is the one with our number.
 */
#ifndef SAGE_AGENT_OWN_CGROUP_H
#define SAGE_AGENT_OWN_CGROUP_H

#include "common/wire.h"

/*
 * Find it below `mount`: at first where /proc/self/cgroup says, else everywhere, one file read
 * per cgroup. `path` is then "/" for the top or "/a/b". Returns 0, or -ENOENT when this
 * process is in none of them (another hierarchy, or a part of it only).
 */
int own_cgroup_find(const char *mount, char path[WIRE_PATH]);

#endif
