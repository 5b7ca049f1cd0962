/*
 * What the analyzer says, read from its HTTP interface in the few forms the
 * demo needs. Main thread; an answer that does not come counts as nothing said.
 */
#ifndef SAGE_TESTBED_WATCH_H
#define SAGE_TESTBED_WATCH_H

#include <stdbool.h>

#include "tests/testbed/api.h"

struct watch_answer {
	char verdict[16], service[128], resource[32];
	double probability; /* NAN = not given */
};

struct watch_progress {
	char model[16]; /* "cold", "training", "ready" */
	double windows, services, edges;
	double error; /* of the model; NAN */
};

bool watch_progress(struct api *a, struct watch_progress *p);

/* The first diagnosis among the incidents detected at or after `since`. */
bool watch_diagnosis(struct api *a, double since, struct watch_answer *answer);

/* The newest action created at or after `since` that reached a cgroup: "knob old -> new". */
bool watch_action(struct api *a, double since, char *action, size_t action_size, char *state,
	size_t state_size);

/* No incident is open and no action is held. */
bool watch_is_quiet(struct api *a);

/* Incidents detected in [from, to). */
unsigned watch_incidents(struct api *a, double from, double to);

/* The latency target in ms; NAN when there is none yet. */
double watch_target_ms(struct api *a);

#endif
