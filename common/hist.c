#include "common/hist.h"

#include <string.h>

unsigned hist_bucket(uint64_t value_ns)
{
	uint64_t unit = value_ns >> HIST_UNIT_SHIFT;
	unsigned octave;

	if (unit < HIST_SUB)
		return (unsigned)unit;
	octave = 63U - (unsigned)__builtin_clzll(unit) - HIST_SUB_BITS;
	if (octave >= HIST_OCTAVES)
		return HIST_BUCKETS - 1;
	return HIST_SUB + octave * HIST_SUB + ((unsigned)(unit >> octave) & (HIST_SUB - 1));
}

uint64_t hist_bucket_low_ns(unsigned bucket)
{
	unsigned octave, sub;

	if (bucket < HIST_SUB)
		return (uint64_t)bucket << HIST_UNIT_SHIFT;
	octave = (bucket - HIST_SUB) / HIST_SUB;
	sub = (bucket - HIST_SUB) % HIST_SUB;
	return (uint64_t)(HIST_SUB + sub) << octave << HIST_UNIT_SHIFT;
}

static uint64_t bucket_width_ns(unsigned bucket)
{
	unsigned octave = bucket < HIST_SUB ? 0 : (bucket - HIST_SUB) / HIST_SUB;

	return 1ULL << octave << HIST_UNIT_SHIFT;
}

uint64_t hist_bucket_mid_ns(unsigned bucket)
{
	return hist_bucket_low_ns(bucket) + bucket_width_ns(bucket) / 2;
}

void hist_clear(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

static void add_count(uint32_t *count, uint64_t more)
{
	uint64_t sum = *count + more;

	*count = sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

void hist_add(struct hist *h, uint64_t value_ns)
{
	add_count(&h->count[hist_bucket(value_ns)], 1);
	h->total++;
	h->sum_ns += value_ns;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		add_count(&into->count[i], from->count[i]);
	into->total += from->total;
	into->sum_ns += from->sum_ns;
}

uint64_t hist_quantile_ns(const struct hist *h, double q)
{
	uint64_t counted = 0, before = 0;
	double rank;

	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		counted += h->count[i];
	if (counted == 0)
		return 0;
	rank = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)counted;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		double into;

		if (h->count[i] == 0)
			continue;
		if ((double)(before + h->count[i]) < rank) {
			before += h->count[i];
			continue;
		}
		into = (rank - (double)before) / (double)h->count[i];
		return hist_bucket_low_ns(i) + (uint64_t)(into * (double)bucket_width_ns(i));
	}
	return hist_bucket_low_ns(HIST_BUCKETS - 1);
}

double hist_mean_ns(const struct hist *h)
{
	return h->total ? (double)h->sum_ns / (double)h->total : 0;
}
