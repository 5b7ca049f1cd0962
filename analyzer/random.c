#include "analyzer/random.h"

#include <math.h>

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void random_init(struct random *r, uint64_t seed, uint64_t stream)
{
	uint64_t x = splitmix(&seed) ^ (stream * 0xd1342543de82ef95ULL);

	for (size_t i = 0; i < 4; i++)
		r->state[i] = splitmix(&x);
}

static uint64_t rotate(uint64_t x, unsigned by)
{
	return (x << by) | (x >> (64 - by));
}

uint64_t random_bits(struct random *r)
{
	uint64_t *s = r->state, out = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return out;
}

double random_uniform(struct random *r)
{
	return (double)(random_bits(r) >> 11) * 0x1p-53;
}

size_t random_below(struct random *r, size_t below)
{
	return (size_t)(((unsigned __int128)random_bits(r) * below) >> 64);
}

/* Pairs by the polar form of Box and Muller. */
void random_normals(struct random *r, float *out, size_t count)
{
	for (size_t i = 0; i < count; i += 2) {
		double u = sqrt(-2 * log(1 - random_uniform(r)));
		double angle = 2 * M_PI * random_uniform(r);

		out[i] = (float)(u * cos(angle));
		if (i + 1 < count)
			out[i + 1] = (float)(u * sin(angle));
	}
}
