/*
 * The agents that ship windows and the containers they see.
 *
 * A container is known by its agent and cgroup id and keeps its number while it
 * is seen; a number unseen for FLEET_FORGET_S is given away again. What a
 * container measured lately stands here twice: `now` is its last model window,
 * the ring its last FLEET_NORMAL windows outside incidents, from which
 * fleet_normal() takes medians: what the planner restores to.
 *
 * Owned by the analyzer's loop thread; others read it under the core's lock.
 * Times are monotonic nanoseconds unless they end in _s (Unix seconds).
 */
#ifndef SAGE_ANALYZER_FLEET_H
#define SAGE_ANALYZER_FLEET_H

#include <stdbool.h>

#include "common/wire.h"

#define FLEET_NONE UINT32_MAX
#define FLEET_MAX_AGENTS 16384
#define FLEET_MAX_CONTAINERS 262144
#define FLEET_NORMAL 32
#define FLEET_NORMAL_LEAST 8
#define FLEET_KEPT 6 /* counters that have medians: those a plan goes by */
#define FLEET_FORGET_S 600

struct fleet_agent {
	char name[WIRE_NAME];
	uint8_t boot_id[16];
	uint64_t heard_ns;   /* when its last batch came */
	uint64_t reached_ns; /* wall clock its windows have come up to */
	double last_seen_s;
	uint64_t windows, late;
	uint64_t loss[WIRE_LOSSES];      /* all boots together */
	uint64_t boot_loss[WIRE_LOSSES]; /* as last reported by this boot */
};

struct fleet_container {
	uint32_t agent;
	uint64_t cgroup_id;
	const char *name, *service, *group, *path; /* all in one owned block, at `name` */
	bool serves;                               /* takes part in RPCs, as caller or callee */
	uint64_t seen_ns;
	float now[CONTAINER_METRICS];
	float ring[FLEET_NORMAL][FLEET_KEPT];
	unsigned rings, ring_next;
	void *link; /* place in the index */
};

struct fleet {
	struct fleet_agent *agent; /* [agents] */
	uint32_t agents;
	void *names;                        /* agent's name -> number */
	struct fleet_container **container; /* [containers], NULL where forgotten */
	uint32_t containers;
	void *index;      /* (agent, cgroup id) -> number */
	uint64_t refused; /* agents and containers past the bounds */
};

void fleet_init(struct fleet *f);
void fleet_clear(struct fleet *f);

/* Find or make; FLEET_NONE when full or out of memory (counted in `refused`). */
uint32_t fleet_agent(struct fleet *f, const char *name);
uint32_t fleet_container(
	struct fleet *f, uint32_t agent, const struct wire_container *c, uint64_t now_ns);

/* Note one window of an agent: when, its losses, a change of boot. */
void fleet_heard(struct fleet_agent *a, const uint8_t boot_id[16], const struct wire_window *w,
	uint64_t now_ns, double now_s);

/* A container measured `value` in a model window; `normal` keeps it for the medians. */
void fleet_measured(struct fleet_container *c, const float value[CONTAINER_METRICS], bool normal);

/*
 * Medians over the ring; NaN where nothing was measured or is kept, and for a container born
 * lately: its few windows may be those before the incident it causes was noticed.
 */
void fleet_normal(const struct fleet_container *c, float out[CONTAINER_METRICS]);

/* Forget containers not seen for FLEET_FORGET_S. */
void fleet_trim(struct fleet *f, uint64_t now_ns);

#endif
