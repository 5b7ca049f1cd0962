/*
 * Recordings with a planted cause, for tests: requests are drawn one by one through a small
 * application, and windows hold the statistics of what they met, so that quantiles add
 * up no better than real ones do.
 */
#ifndef SAGE_TESTS_UNIT_PLANTED_H
#define SAGE_TESTS_UNIT_PLANTED_H

#include "analyzer/recording.h"

enum shape {
	SHAPE_CHAIN,   /* s0 -> s1 -> ... -> s9 */
	SHAPE_FAN_OUT, /* s0 calls s1 ... s9 at the same time */
	SHAPE_TREE,    /* s0 calls s1, s2; each of those three more, some not every time */
	SHAPES
};

#define PLANTED_SERVICES 10

/* Which metrics the recording has. */
enum {
	PLANTED_SELF = 1,     /* self_* of services */
	PLANTED_CLIENT = 2,   /* client_* of edges */
	PLANTED_NETWORK = 4,  /* network_* of edges */
	PLANTED_COUNTERS = 8, /* CPU, memory, disk of services */
	PLANTED_RATES = 16,   /* requests_per_s */
	PLANTED_LINKS = 32,   /* rtt and retransmits of edges */
	PLANTED_ALL = 63,
};

struct planted_fault {
	unsigned culprit;
	enum resource resource;
	unsigned from, to;
};

struct planted {
	enum shape shape;
	uint64_t seed;
	unsigned windows, requests; /* of the recording; per window */
	double window_s;
	const char *statistics; /* "p99 mean" */
	unsigned metrics;
	unsigned culprit;                  /* 0 .. PLANTED_SERVICES - 1 */
	enum resource resource;            /* RESOURCE_NONE plants nothing */
	unsigned also;                     /* a second culprit at the same time, */
	enum resource also_resource;       /* if not RESOURCE_NONE */
	unsigned from, to;                 /* windows of the fault */
	const struct planted_fault *later; /* [laters] each with a truth row; ordered by `from` */
	unsigned laters;
};

/* Make it, with one target on user->s0 and its truth. Fails the test when out of memory. */
void planted_make(struct recording *r, const struct planted *p);

#endif
