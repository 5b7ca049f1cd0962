/*
 * A small system for tests of model and diagnosis: services in a chain, their
 * latencies made from their CPU use and from luck. Deterministic for a seed.
 */
#ifndef SAGE_TESTS_UNIT_SYSTEM_H
#define SAGE_TESTS_UNIT_SYSTEM_H

#include "analyzer/recording.h"

#define SYSTEM_WINDOW_S 5.0

struct system {
	unsigned services; /* user -> s1 -> s2 -> ... -> sN */
	size_t windows;
	uint64_t seed;
	unsigned sick; /* service that starves for CPU in windows [from, to); 0 = none */
	size_t from, to;
};

/*
 * Fill an empty recording. Services have 6 metrics, edges 4 and client, server, request and
 * response latencies [p95, p99], but user->s1 only the server's. The target is on its p99.
 */
void system_record(struct recording *r, const struct system *s);

#endif
