/*
 * One fault of the demo, from injection to health: what was injected, what the
 * analyzer said and did, and how long it took. Main thread.
 */
#ifndef SAGE_TESTBED_TRIAL_H
#define SAGE_TESTBED_TRIAL_H

#include "tests/testbed/fault.h"
#include "tests/testbed/stage.h"
#include "tests/testbed/watch.h"

struct trial {
	enum fault_kind kind;
	const struct service *service;
	struct watch_mark mark;           /* at the injection */
	double injected, undone, healthy; /* Unix seconds; NAN = did not come to it */
	char verdict[16];                 /* "diagnosed", "unknown", ... or "none" in time */
	char said_service[128], said_resource[32];
	double probability;
	double diagnosis_s; /* from injection; NAN = none */
	char action[64], action_state[16];
	bool healed; /* p99 back under target while the fault was still on */
	/* To the first fine second: from injection when healed, else from the undo; NAN = never. */
	double recovered_s;
	unsigned stolen; /* incidents meanwhile that the machine was to blame for, and was blamed */
	double target_ms, before_ms, during_ms, after_ms; /* p99; NAN = not known */
	bool service_right, resource_right;
};

/*
 * Draw `count` trials with a seed: every kind in turn before one comes again,
 * each at a random service it fits. Returns how many could be drawn.
 */
size_t trial_draw(struct trial *t, size_t count, const struct topology *topology,
	const struct site *site, uint64_t seed);

/* Does the answer blame the host, and had that indeed lost its CPU, by the demo's own record? */
bool trial_is_of_machine(const struct stage *s, const struct watch_incident *n);

/* Run one, once no incident is open and no action held. Returns 0, -ECANCELED when the stage
 * stopped, or -errno. */
int trial_run(struct trial *t, struct stage *stage);

#endif
