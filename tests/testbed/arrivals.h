/*
 * When requests should arrive: Poisson, with a mean rate that swings slowly,
 * is rough from second to second, and can be multiplied (a surge). One thread.
 */
#ifndef SAGE_TESTBED_ARRIVALS_H
#define SAGE_TESTBED_ARRIVALS_H

#include <stdint.h>

#include "tests/testbed/random.h"
#include "tests/testbed/topology.h"

struct arrivals {
	double rate, swing, period_s, noise;
	double factor;    /* set at any time; 1 = none */
	double roughness; /* of the present second */
	uint64_t start_ns, second;
	uint64_t next_ns; /* when the next request is due */
	struct random random;
};

void arrivals_init(struct arrivals *a, const struct topology *t, uint64_t now_ns, uint64_t seed);

/* Mean rate at a time, requests per second. */
double arrivals_rate(struct arrivals *a, uint64_t now_ns);

/* Take the arrival that is due, and schedule the next. Returns its time. */
uint64_t arrivals_take(struct arrivals *a);

#endif
