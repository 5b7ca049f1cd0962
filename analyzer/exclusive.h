/*
 * Where along the call graph the time (or the errors) came in: what each service
 * and each call's way between the two ends added by itself, normal against incident.
 *
 * A service that is slow only because a callee is slow adds nothing. Measured
 * self time is used where it holds; elsewhere it is the server latency less what the
 * calls explain: their sum, or the longest where normal windows show calls in
 * parallel. One thread at a time.
 */
#ifndef SAGE_ANALYZER_EXCLUSIVE_H
#define SAGE_ANALYZER_EXCLUSIVE_H

#include "analyzer/frame.h"
#include "analyzer/traffic.h"

/* Which statistic is looked at. */
struct lens {
	const char *server, *self, *client, *network; /* metric names; NULL = has none */
	double tail;  /* share of requests above it: 0.01 for p99, 1 for a mean */
	double floor; /* a shift below this means nothing, in the lens's unit */
};

struct part {
	struct shift shift; /* of the exclusive value: self time, or the gap between the two ends */
	double added;       /* rise along the way of one end-to-end request, not below 0 */
	double weight;      /* 0..1: how clearly it moved past its usual range */
	bool known;
	bool derived; /* worked out from other series, as no series holds it */
};

struct exclusive {
	struct part *part; /* [entities] services: own; edges: network gap; owned */
	double *visits;    /* [entities] calls per end-to-end request, in normal windows; owned */
	double end_to_end; /* rise of the entry's own value, may be below 0 */
};

/* Measure through one lens. Returns 0, -ENODATA when the lens has no column, or -ENOMEM. */
int exclusive_open(struct exclusive *x, const struct frame *f, const struct lens *lens,
	const struct traffic *t);
void exclusive_close(struct exclusive *x);

#endif
