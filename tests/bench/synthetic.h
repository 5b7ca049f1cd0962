/*
 * Recordings of made-up applications of any size, for benchmarks: latencies add up along the
 * calls, follow the CPU's use, and in the last windows one service starves for CPU. The same
 * seed gives the same recording.
 */
#ifndef SAGE_TESTS_BENCH_SYNTHETIC_H
#define SAGE_TESTS_BENCH_SYNTHETIC_H

#include "analyzer/recording.h"

#define SYNTHETIC_INCIDENT 6 /* last windows, in which the target is missed */

enum synthetic_shape {
	SYNTHETIC_CHAIN, /* s0 -> s1 -> s2 -> ... */
	SYNTHETIC_TREE,  /* each service calls two others, one after the other */
	SYNTHETIC_HUB,   /* the first service calls all others, one after the other */
	SYNTHETIC_SHAPES
};

struct synthetic {
	enum synthetic_shape shape;
	unsigned services, windows; /* windows > SYNTHETIC_INCIDENT */
	uint64_t seed;
};

const char *synthetic_shape_name(enum synthetic_shape s);

/*
 * Make one, with a target on user->s0 and the incident as its truth; release it with
 * recording_clear(), also after a failure. Returns 0 or -ENOMEM.
 */
int synthetic_make(struct recording *r, const struct synthetic *s);

#endif
