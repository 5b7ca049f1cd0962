/*
 * A latency histogram that can be merged: log-linear buckets, 32 per octave.
 *
 * Values are nanoseconds, counted in units of 1,024 ns. Below 32 units buckets
 * are one unit wide; above, each octave [2^k, 2^(k+1)) units is cut into 32
 * equal buckets, so a value read back is off by at most 1/64 (1.6 %) of itself.
 * The range ends at 2^26 units (68 s); larger values land in the last bucket.
 *
 * The kernel half fills the same buckets (bpf/event.h), which is why the bucket
 * function is in this header and uses nothing but integer arithmetic. After
 * HdrHistogram (G. Tene) and DDSketch (Masson et al., VLDB 2019).
 */
#ifndef SAGE_COMMON_HIST_H
#define SAGE_COMMON_HIST_H

#define HIST_UNIT_SHIFT 10
#define HIST_SUB_BITS 5
#define HIST_SUB (1 << HIST_SUB_BITS)
#define HIST_OCTAVES 21
#define HIST_BUCKETS (HIST_SUB + HIST_OCTAVES * HIST_SUB)

#ifndef __bpf__
#include <stdint.h>

struct hist {
	uint64_t total;               /* sum of count[] */
	uint64_t sum_ns;              /* sum of the exact values, for the mean */
	uint32_t count[HIST_BUCKETS]; /* saturating */
};

/* The bucket a value falls into, 0 .. HIST_BUCKETS - 1. */
unsigned hist_bucket(uint64_t value_ns);

/* Lower edge, and middle, of a bucket. */
uint64_t hist_bucket_low_ns(unsigned bucket);
uint64_t hist_bucket_mid_ns(unsigned bucket);

void hist_clear(struct hist *h);
void hist_add(struct hist *h, uint64_t value_ns);
void hist_merge(struct hist *into, const struct hist *from);

/*
 * The value below which a share `q` (0..1) of the counted values lies, in ns,
 * interpolated inside its bucket. 0 when nothing was counted.
 */
uint64_t hist_quantile_ns(const struct hist *h, double q);

/* Mean of the exact values, in ns; 0 when nothing was counted. */
double hist_mean_ns(const struct hist *h);
#endif

#endif
