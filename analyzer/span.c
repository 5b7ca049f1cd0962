#include "analyzer/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLACK 8 /* buckets more than asked for, at either end */

void span_clear(struct span *s)
{
	free(s->count);
	*s = (struct span){0};
}

static int widen(struct span *s, unsigned low, unsigned high)
{
	unsigned first = low > SLACK ? low - SLACK : 0;
	unsigned end = high + SLACK < HIST_BUCKETS ? high + SLACK : HIST_BUCKETS;
	uint32_t *wider;

	if (s->count && s->first < first)
		first = s->first;
	if (s->count && s->first + s->buckets > (int)end)
		end = s->first + s->buckets;
	wider = calloc(end - first, sizeof(*wider));
	if (!wider)
		return -ENOMEM;
	if (s->count)
		memcpy(wider + (s->first - first), s->count, s->buckets * sizeof(*wider));
	free(s->count);
	s->count = wider;
	s->first = (uint16_t)first;
	s->buckets = (uint16_t)(end - first);
	return 0;
}

static void add_count(uint32_t *count, uint64_t more)
{
	uint64_t sum = *count + more;

	*count = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

int span_add(struct span *s, const struct wire_spread *from, const struct wire_bucket *bucket)
{
	const struct wire_bucket *b = bucket + from->first;

	if (from->buckets) {
		unsigned low = b[0].number, high = b[from->buckets - 1].number + 1U;

		if ((!s->count || low < s->first || high > (unsigned)s->first + s->buckets) &&
			widen(s, low, high))
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < from->buckets; i++)
		add_count(&s->count[b[i].number - s->first], b[i].count);
	s->total += from->total;
	s->sum_ns += from->sum_ns;
	return 0;
}

void span_merge(struct hist *into, const struct span *from)
{
	for (unsigned i = 0; i < from->buckets; i++)
		add_count(&into->count[from->first + i], from->count[i]);
	into->total += from->total;
	into->sum_ns += from->sum_ns;
}
