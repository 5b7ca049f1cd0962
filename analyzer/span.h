/*
 * A histogram that holds only the range of buckets in use: what calls between two ends take lies
 * within an octave or four, so that a fleet's open windows fit into memory. One owner.
 */
#ifndef SAGE_ANALYZER_SPAN_H
#define SAGE_ANALYZER_SPAN_H

#include "common/wire.h"

struct span {
	uint64_t total, sum_ns;
	uint32_t *count;         /* [buckets] owned, NULL while empty */
	uint16_t first, buckets; /* the range, by number of bucket */
};

/* Release; safe on a zeroed span. */
void span_clear(struct span *s);

/* Add what was received; `bucket` is its window's list. 0, or -ENOMEM with nothing added. */
int span_add(struct span *s, const struct wire_spread *from, const struct wire_bucket *bucket);

void span_merge(struct hist *into, const struct span *from);

#endif
