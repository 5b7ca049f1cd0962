/*
 * One recording: health to learn from, then incident after incident with health between, each
 * fault applied, made harder until users feel it, kept for a while and undone.
 *
 * The target is 1.3 times the worst p99 of the users' calls in the first stretch of health. An
 * incident is the windows from the first that missed a target to the last of the fault. A fault
 * that nobody felt at its hardest is undone, counted, and no incident. Where an application does
 * not come back after a fault, load is shed until it does, in windows that are left out.
 */
#ifndef SAGE_SIM_SCENARIO_H
#define SAGE_SIM_SCENARIO_H

#include "tests/sim/fault.h"
#include "tests/sim/recorder.h"

#define SCENARIO_CULPRITS 3

struct incident_plan {
	struct fault fault[SCENARIO_CULPRITS];
	unsigned faults;
};

struct scenario {
	const char *directory;
	double window_s;
	unsigned learn;    /* windows of health at first */
	unsigned phase_at; /* window in which the app's next phase begins; 0 = never. Within `learn`
			    */
	unsigned last;     /* windows a fault stays once it is felt */
	unsigned gap;      /* windows between two incidents, at least */
	const struct incident_plan *incident; /* [incidents] */
	unsigned incidents;
	struct omission omission;
	uint64_t seed;
};

struct scenario_result {
	unsigned windows, incidents, unfelt;
	double target_us, error_target;
	uint64_t requests, steps;
};

/* Returns 0 or -errno, having said on stderr what went wrong. */
int scenario_run(const struct scenario *c, const struct app *a, struct scenario_result *out);

#endif
