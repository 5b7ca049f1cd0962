/* From counters that only grow to rates and shares of the time between two reads. */
#ifndef SAGE_AGENT_RATE_H
#define SAGE_AGENT_RATE_H

#include <stdint.h>

/* The growth of a counter since the last read, kept for the next; 0 when it began anew. */
static inline uint64_t rate_grown(uint64_t *last, uint64_t now)
{
	uint64_t by = now >= *last ? now - *last : 0;

	*last = now;
	return by;
}

static inline float rate_per_second(uint64_t grown_by, uint64_t elapsed_ns)
{
	return (float)((double)grown_by * 1e9 / (double)elapsed_ns);
}

/* Of a clock in microseconds that runs at most as fast as time: 0..1. */
static inline float rate_share_us(uint64_t grown_us, uint64_t elapsed_ns)
{
	double share = (double)grown_us * 1e3 / (double)elapsed_ns;

	return share < 1 ? (float)share : 1;
}

#endif
