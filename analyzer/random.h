/*
 * Seeded random numbers: xoshiro256** (Blackman and Vigna, 2018), its state
 * filled by splitmix64. The same seed gives the same numbers everywhere. One
 * owner per struct.
 */
#ifndef SAGE_ANALYZER_RANDOM_H
#define SAGE_ANALYZER_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state[4];
};

/* Streams of one seed are independent of each other. */
void random_init(struct random *r, uint64_t seed, uint64_t stream);

uint64_t random_bits(struct random *r);

/* Uniform in [0, 1). */
double random_uniform(struct random *r);

/* Uniform in 0 .. below - 1; below > 0. */
size_t random_below(struct random *r, size_t below);

/* Standard normal values. */
void random_normals(struct random *r, float *out, size_t count);

#endif
