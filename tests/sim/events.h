/*
 * What is to happen, ordered by time: a heap with four children to a node, so that a pop touches
 * few cache lines. Of two events at the same time the one that was pushed first comes first, so
 * a run is the same everywhere. One owner. Pushing allocates only when there are more events
 * than ever before.
 */
#ifndef SAGE_SIM_EVENTS_H
#define SAGE_SIM_EVENTS_H

#include <stddef.h>
#include <stdint.h>

struct event {
	uint64_t at_ns;
	uint64_t order; /* number of the push */
	uint32_t kind, what;
};

struct events {
	struct event *heap; /* [count] owned */
	size_t count, capacity;
	uint64_t pushed;
};

/* Aborts when out of memory. */
void events_push(struct events *e, uint64_t at_ns, uint32_t kind, uint32_t what);

/* The first one; there must be one. */
struct event events_pop(struct events *e);

static inline uint64_t events_next_ns(const struct events *e)
{
	return e->count ? e->heap[0].at_ns : UINT64_MAX;
}

void events_clear(struct events *e);

#endif
