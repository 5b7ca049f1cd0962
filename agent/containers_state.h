/*
 * What containers.c (which cgroups are containers, and their counters) and containers_tree.c
 * (the directories they are found in) share. For those two only; thread as in containers.h.
 */
#ifndef SAGE_AGENT_CONTAINERS_STATE_H
#define SAGE_AGENT_CONTAINERS_STATE_H

#include "agent/containers.h"

/* A cgroup directory. */
struct node {
	uint64_t id;    /* inode; 0 marks a free node */
	int watch;      /* inotify watch, -1 without */
	uint32_t owner; /* the named node it is or lies in; CONTAINERS_NONE outside of containers */
	uint32_t slot;  /* of a named node: its container once it had a process */
	bool seen;      /* by the scan under way */
	bool refused;   /* counted already: the container table was full */
	char path[WIRE_PATH];
};

struct containers {
	struct containers_options o;
	int inotify;
	struct node *node;      /* [o.max_cgroups] */
	uint32_t *index;        /* [index_size] open addressing by id, CONTAINERS_NONE = free */
	uint32_t index_size;    /* power of two, at least twice max_cgroups */
	struct container *slot; /* [o.max_containers] */
	int *perf_fd;           /* [o.max_containers][CPUs][PERF_EVENTS]; NULL unless o.perf */
	uint32_t slots;         /* slots ever used: none live at or above */
	uint64_t rescan_ns;     /* when the next rescan is due; 0 = at once */
	uint64_t refused;
	uint32_t outside; /* directories without a node: at the last rescan, and born since */
	bool full_told, watch_told, perf_told;
};

/* Tell the owner of the table of a cgroup of a live container. */
void containers_tell_joined(const struct containers *c, uint64_t id);
void containers_tell_left(const struct containers *c, uint64_t id);

/* Count what did not fit; said once. */
void containers_refuse(struct containers *c, const char *what, uint32_t capacity, uint32_t by);

/* The container of a slot is gone. */
void containers_stop(struct containers *c, uint32_t slot);

/* ---- the tree ----------------------------------------------------------------- */

/* The node of a cgroup id, CONTAINERS_NONE without. */
uint32_t containers_node(const struct containers *c, uint64_t id);

/* Build the index anew from the nodes there are. */
void containers_index(struct containers *c);

/* Enter every directory there is, and forget those that are gone. */
void containers_rescan(struct containers *c);

#endif
