/*
 * What kernels.c and the builds of kernels_vector.c share: one source, compiled once for each
 * width of vectors. Not for other parts of the analyzer.
 */
#ifndef SAGE_ANALYZER_KERNELS_VECTOR_H
#define SAGE_ANALYZER_KERNELS_VECTOR_H

#include "analyzer/kernels.h"

#define KERNELS_BETA1 0.9F
#define KERNELS_BETA2 0.999F

extern const struct kernels kernels_plain; /* what every processor of this kind has */
#ifdef __x86_64__
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

#endif
