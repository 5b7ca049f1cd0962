/*
 * What the analyzer says, read from its HTTP interface in the few forms the
 * demo needs. Main thread; an answer that does not come counts as nothing said.
 */
#ifndef SAGE_TESTBED_WATCH_H
#define SAGE_TESTBED_WATCH_H

#include <stdbool.h>

#include "tests/testbed/api.h"

#define WATCH_INCIDENTS 50

struct watch_incident {
	double id, started_s, ended_s;                /* NAN while it is open */
	char verdict[16], service[128], resource[32]; /* of its diagnosis; empty = none yet */
	double probability;                           /* NAN = not given */
};

struct watch_progress {
	char model[16]; /* "cold", "training", "ready" */
	double windows, services, edges;
	double error; /* of the model; NAN */
};

bool watch_progress(struct api *a, struct watch_progress *p);

/*
 * Where the numbers of incidents and actions stand: what is newer belongs to what
 * happens next. 0 before the first. Left as it was when there is no answer.
 */
struct watch_mark {
	double incident, action;
};

void watch_mark(struct api *a, struct watch_mark *mark);

/*
 * The first incident after the mark that has a diagnosis of windows up to `seen_s` or
 * later: what was said of earlier ones is no word on a fault that had only begun.
 */
bool watch_diagnosis(
	struct api *a, const struct watch_mark *mark, double seen_s, struct watch_incident *out);

/* The newest action after the mark that changed a cgroup: "service knob old -> new". */
bool watch_action(struct api *a, const struct watch_mark *mark, char *action, size_t action_size,
	char *state, size_t state_size);

/* Ask for every held action to be taken back. Returns how many there were. */
unsigned watch_release(struct api *a);

/* No incident is open and no action is held. */
bool watch_is_quiet(struct api *a);

/*
 * The incidents after the mark that began in [since_s, until_s): one that began before belongs to
 * the fault, however late it was noticed. Returns how many.
 */
unsigned watch_incidents(struct api *a, const struct watch_mark *mark, double since_s,
	double until_s, struct watch_incident out[WATCH_INCIDENTS]);

/* The latency target in ms; NAN when there is none yet. */
double watch_target_ms(struct api *a);

#endif
