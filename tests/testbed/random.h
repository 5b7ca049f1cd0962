/* Small seeded random numbers (xorshift64*, Vigna 2016). One thread uses a state at a time. */
#ifndef SAGE_TESTBED_RANDOM_H
#define SAGE_TESTBED_RANDOM_H

#include <math.h>
#include <stdint.h>

struct random {
	uint64_t state; /* never 0 */
};

static inline void random_init(struct random *r, uint64_t seed)
{
	r->state = (seed + 1) * 0x9e3779b97f4a7c15ULL | 1;
}

static inline uint64_t random_next(struct random *r)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return r->state * 0x2545f4914f6cdd1dULL;
}

/* Uniform in [0, 1). */
static inline double random_unit(struct random *r)
{
	return (double)(random_next(r) >> 11) * 0x1p-53;
}

/* 0 .. n - 1, n > 0. */
static inline unsigned random_below(struct random *r, unsigned n)
{
	return (unsigned)(random_unit(r) * n);
}

/* Exponential with mean 1. */
static inline double random_exponential(struct random *r)
{
	return -log(1 - random_unit(r));
}

/* Standard normal (Box and Muller 1958, one of the pair). */
static inline double random_normal(struct random *r)
{
	double radius = sqrt(2 * random_exponential(r));

	return radius * cos(6.283185307179586 * random_unit(r));
}

#endif
