/*
 * The name somebody gave a podman container. Its cgroup has the id alone, which is another
 * one at every start; the name stands on the command line of conmon, the monitor that is the
 * parent of the container's first process.
 */
#ifndef SAGE_AGENT_PODMAN_H
#define SAGE_AGENT_PODMAN_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/wire.h"

/* The container id in the last component of a cgroup path of podman's; NULL for others. */
const char *podman_id(const char *path);

/*
 * The name of the container with this id, one of whose processes is `pid`. False, with the
 * name untouched, when no monitor above it says so.
 */
bool podman_name(pid_t pid, const char *id, char name[WIRE_NAME]);

#endif
