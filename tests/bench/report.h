/*
 * What the rounds of one server brought, as a table and as JSON. Ratios are to `nothing` of the
 * same round; of the rounds the median is shown, with the lowest and the highest ratio.
 */
#ifndef SAGE_TESTS_BENCH_REPORT_H
#define SAGE_TESTS_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/bench/kernel_cost.h"
#include "tests/bench/tracer.h"
#include "tests/bench/workload.h"

#define REPORT_ROUNDS 50 /* at most */

struct sample {
	struct workload_result load;
	struct tracer_usage usage; /* CPU: of the run only */
	double cpu_ratio;          /* of one CPU */
	double map_mb;
};

/* What the last round tells. */
struct detail {
	struct kernel_cost cost;
	uint64_t requests, captured;
	json_t *losses; /* sage-agent only; owned */
};

struct report {
	unsigned rounds;
	struct sample sample[TRACERS][REPORT_ROUNDS];
	struct detail detail[TRACERS];
	bool there[TRACERS];
};

void report_print(const struct report *r, const struct workload *w);

/* A new reference. */
json_t *report_json(const struct report *r);

#endif
