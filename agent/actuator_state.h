/*
 * What actuator.c and actuator_set.c share. For those two only; thread as in actuator.h.
 */
#ifndef SAGE_AGENT_ACTUATOR_STATE_H
#define SAGE_AGENT_ACTUATOR_STATE_H

#include "agent/actuator.h"
#include "agent/held.h"

#define SECOND_NS 1000000000ULL
#define REPORTS (2 * WIRE_MAX_LEASES)
#define FINISHED (2 * WIRE_MAX_LEASES)

enum fate { READY, DEFERRED, REFUSED };

/* A new lease on its way: the members of a chain share one fate. */
struct candidate {
	struct held held;
	size_t chain; /* candidate that stands highest above it, itself if none */
	enum fate fate;
	bool applied;
	char why[GUARD_WHY];
};

/* A lease that ended or was refused is not taken up again while it is still sent. */
struct finished {
	uint64_t id;
	uint64_t inode; /* its cgroup: ids start anew when an analyzer loses its data */
};

struct touched {
	uint64_t inode, at_ns;
	enum wire_knob kind;
};

struct actuator {
	enum actuator_mode mode;
	struct guard guard;
	struct knob_layout layout;
	struct journal journal;
	struct actuator_stats stats;
	struct held held[WIRE_MAX_LEASES]; /* [helds] */
	size_t helds;
	struct candidate candidate[WIRE_MAX_LEASES]; /* of one actuator_set() */
	struct finished finished[FINISHED];          /* ring */
	size_t finishes;
	struct touched touched[WIRE_MAX_LEASES]; /* ring: when a knob was last changed */
	size_t touches;
	uint64_t minute_ns; /* start of the minute the changes are counted in */
	size_t changes;
	struct wire_lease_report report[REPORTS]; /* ring */
	size_t report_first, reports;
};

/* Tell the analyzer, the action log and the log. */
void actuator_report(
	struct actuator *a, const struct held *h, enum wire_lease_state state, const char *detail);

/* This lease is over: do not take it up again. */
void actuator_finish(struct actuator *a, const struct wire_lease *l);

/* Note that a knob was changed now, for its cooldown. */
void actuator_touch(struct actuator *a, const struct held *h, uint64_t now_ns);

/* Mark a lease for undoing, and undo all that are marked; what fails is tried again. */
void actuator_mark(struct held *h, const char *why);
void actuator_undo_marked(struct actuator *a, uint64_t now_ns);

/* Look whether the kill switch is on; if so, undo everything. */
void actuator_obey_kill_switch(struct actuator *a, uint64_t now_ns);

/* How deep a cgroup path is. */
unsigned actuator_depth(const char *path);

#endif
