/*
 * A vector of KERNELS_LANES floats, in the compiler's own type, for the builds of kernels_vector.c.
 */
#ifndef SAGE_ANALYZER_KERNELS_LANES_H
#define SAGE_ANALYZER_KERNELS_LANES_H

#include "analyzer/kernels.h"

#define LANES KERNELS_LANES
#define TILE KERNELS_TILE
#define PARTS (TILE / LANES) /* vectors in a row of a tile */

/* Sums stay in registers only when the loops over them are gone. */
#ifdef __clang__
#define EACH(i, count) _Pragma("clang loop unroll(full)") for (size_t i = 0; i < (count); i++)
#else
#define EACH(i, count) _Pragma("GCC unroll 16") for (size_t i = 0; i < (count); i++)
#endif
#define INLINE static inline __attribute__((always_inline))

typedef float vector __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

INLINE vector load(const float *from)
{
	return *(const vector *)from;
}

INLINE void store(float *to, vector v)
{
	*(vector *)to = v;
}

#endif
