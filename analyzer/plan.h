/*
 * From a diagnosis to what could be done about it: an ordered list of leases, least
 * invasive first, each with its reason.
 *
 * A plan is a sequence of steps; the leases of one step go together. Later steps are for
 * when the earlier ones did not help. Where no resource action helps, the plan has no step and
 * `advice` says what a person can do. Pure: no state, any thread.
 * Source of the choice of actions: Sage (ASPLOS 2021), section 4.3.
 */
#ifndef SAGE_ANALYZER_PLAN_H
#define SAGE_ANALYZER_PLAN_H

#include "analyzer/diagnosis.h"
#include "common/wire.h"

#define PLAN_MAX_LEASES 64
#define PLAN_MAX_STEPS 8

/* A container, as the analyzer knows it. Give those of every agent that hosts a culprit. */
struct plan_target {
	char agent[WIRE_NAME];
	char service[WIRE_NAME];
	char container[WIRE_NAME];
	char path[WIRE_PATH];
	char group[WIRE_PATH]; /* its parent cgroup, "" = not known */
	uint64_t cgroup_id;
	bool serves;                     /* it answers calls */
	float now[CONTAINER_METRICS];    /* median in the incident; NaN = absent */
	float normal[CONTAINER_METRICS]; /* median in normal windows; NaN = absent */
};

struct plan_lease {
	unsigned step;                                                   /* 0, 1, ... */
	char agent[WIRE_NAME], service[WIRE_NAME], container[WIRE_NAME]; /* container "" = group */
	struct wire_lease lease; /* id, epoch and ttl_ms still 0 */
};

struct plan {
	struct plan_lease lease[PLAN_MAX_LEASES]; /* [leases] ordered by step */
	unsigned leases, steps;
	double predicted; /* the SLO's metric if the culprits were normal; NaN = not known */
	char advice[256]; /* "" when the steps are all there is to say */
};

/* `g` names the diagnosis' services. A verdict other than diagnosed gives an empty plan. */
void plan_make(struct plan *p, const struct diagnosis *d, const struct graph *g,
	const struct plan_target *t, size_t targets);

#endif
