/*
 * The cases of the scorecard, each an application and a list of incidents, both drawn from a seed.
 */
#ifndef SAGE_SIM_CASES_H
#define SAGE_SIM_CASES_H

#include "tests/sim/scenario.h"
#include "tests/sim/shapes.h"

#define CASE_INCIDENTS 200 /* at most */

struct sim_case {
	const char *name, *about;
	const char *topology;         /* file of tests/testbed/topologies, or NULL: */
	struct shape_options shape;   /* `seed` is the case's */
	unsigned faults;              /* bit per fault_kind */
	bool once;                    /* every kind at most once */
	unsigned culprits, incidents; /* at a time; of the recording */
	double window_s;
	unsigned learn, phase_at;
	struct omission omission;
};

extern const struct sim_case sim_cases[]; /* ends with a NULL name */

/* Every kind that a service can have. */
#define CASE_ALL_FAULTS ((1u << FAULT_STEAL) - 1)

const struct sim_case *case_find(const char *name);

/* Draw the case and write the recording to `directory`. Returns 0 or -errno, having said why. */
int case_run(const struct sim_case *c, uint64_t seed, const char *directory,
	struct scenario_result *out);

#endif
