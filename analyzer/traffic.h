/*
 * How requests run through the call graph in normal windows: the order of services, calls per
 * request, and how often a request of the target comes by each service and call. One thread at a
 * time.
 */
#ifndef SAGE_ANALYZER_TRAFFIC_H
#define SAGE_ANALYZER_TRAFFIC_H

#include "analyzer/frame.h"

struct traffic {
	const struct graph *g;
	uint32_t entry;  /* where requests come in: an edge or a service */
	double *rate;    /* [entities] normal requests per second, 0 where unknown; owned */
	double *calls;   /* [entities] of an edge: calls per request of its caller; owned */
	uint32_t *order; /* [services] callees before callers, as walked from the entry; owned */
	uint32_t *place; /* [entities] of a service: its place in that order; owned */
	size_t services;
};

/* Read it for the requests that enter at `entry`. Returns 0 or -ENOMEM. */
int traffic_open(struct traffic *t, const struct frame *f, uint32_t entry);
void traffic_close(struct traffic *t);

/* Does a call lead on, or back to a service that waits for it? */
bool traffic_leads_on(const struct traffic *t, uint32_t edge);

/*
 * How much of a call's latency a statistic of its caller sees, when `tail` of the requests lie
 * above it. A call made on a tenth of the requests shows in full in their p99, and by a tenth in
 * their mean.
 */
double traffic_seen(const struct traffic *t, uint32_t edge, double tail);

/* The same by one request that enters, for each service and call: visits [entities]. */
void traffic_visits(const struct traffic *t, double tail, double *visits);

#endif
