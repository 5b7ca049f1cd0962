/*
 * The containers of this node: which cgroups are one, what they are called, and
 * their counters.
 *
 * A container is a cgroup that a rule or a layout names (cgroup_name.h) and that
 * has had a process; podman's are called as their owner called them (podman.h). The
 * cgroups below it belong to it. The tree is scanned when
 * the table is opened; later births and deaths come by inotify, and a rescan
 * finds what inotify could not tell. All memory is taken at open; what does not
 * fit is refused and counted. One thread.
 */
#ifndef SAGE_AGENT_CONTAINERS_H
#define SAGE_AGENT_CONTAINERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/cgroup.h"
#include "agent/cgroup_name.h"
#include "agent/counters.h"
#include "agent/perf.h"

#define CONTAINERS_NONE UINT32_MAX

struct container {
	bool live;          /* a slot in use */
	uint64_t cgroup_id; /* of the container's own directory */
	struct cgroup_name name;
	char path[WIRE_PATH];
	pid_t pid;          /* one of its processes when last looked; 0 when none */
	uint64_t net_inode; /* its network namespace when not the host's, else 0 */
	struct counters counters;
	struct perf perf; /* counts nothing unless asked for */
};

struct containers_options {
	const struct cgroup_tree *tree;   /* not owned */
	const struct cgroup_rules *rules; /* not owned */
	uint32_t max_containers;
	uint32_t max_cgroups; /* directories watched */
	bool perf;            /* count perf events, see perf.h */
	/* Told for every cgroup of a live container, when it joins and when it goes; may be NULL.
	 */
	void (*joined)(void *ctx, uint64_t cgroup_id);
	void (*left)(void *ctx, uint64_t cgroup_id);
	void *ctx;
};

struct containers;

/* Scan and start watching. Returns 0 or -errno, then *c is untouched. */
int containers_open(struct containers **c, const struct containers_options *o);

/* Readable when cgroups came or went: call containers_events(). -1 where inotify is refused. */
int containers_fd(const struct containers *c);
void containers_events(struct containers *c);

/* Once per window: find the named cgroups that got their first process; rescan now and then. */
void containers_refresh(struct containers *c, uint64_t now_ns);

/* Slots: 0 .. containers_slots() - 1; skip those that are not live. */
uint32_t containers_slots(const struct containers *c);
struct container *containers_at(struct containers *c, uint32_t slot);

/* The container a cgroup is, or lies in; CONTAINERS_NONE when in none. */
uint32_t containers_find(const struct containers *c, uint64_t cgroup_id);

/* Every cgroup id of live containers with the slot it belongs to. */
void containers_each_id(const struct containers *c,
	void (*each)(void *ctx, uint64_t cgroup_id, uint32_t slot), void *ctx);

/* Containers and cgroups that did not fit, since the start. */
uint64_t containers_refused(const struct containers *c);

/* Safe on NULL. */
void containers_close(struct containers *c);

#endif
