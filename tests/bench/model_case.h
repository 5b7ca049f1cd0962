/*
 * One case of `model_bench`: a made-up application is learnt from and its incident diagnosed, in a
 * process of its own, so that its peak memory is its own.
 */
#ifndef SAGE_TESTS_BENCH_MODEL_CASE_H
#define SAGE_TESTS_BENCH_MODEL_CASE_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/synthetic.h"

#define MODEL_CASE_FAITHFUL 100 /* services; of more, diagnosing by evidence is the question */

struct diagnosed {
	double seconds; /* median of some; 0 = not asked */
	bool right;     /* the planted service, first */
};

/* One more service: what it changes learns in as many steps. */
struct changed {
	double seconds, share; /* of the parameters */
};

struct model_case {
	int err;
	unsigned steps, usual_steps; /* fewer when the time did not suffice */
	size_t parameters;
	double gflop, seconds, peak_mb; /* of training */
	double once_s;                  /* before its first step */
	struct diagnosed robust, guarded, faithful;
	struct changed changed;
};

/* With training cut to about `time_s` seconds. Returns 0 or not; says nothing of it. */
int model_case_run(struct model_case *out, const struct synthetic *s, double time_s);

#endif
