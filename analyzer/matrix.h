/*
 * Products of small row-major float matrices: the only part that knows BLAS.
 *
 * Any thread; every call is done by the calling thread alone. At the sizes of
 * this project (tens of columns) OpenBLAS's own threads cost more than they
 * give, so they are switched off and callers divide their rows instead.
 */
#ifndef SAGE_ANALYZER_MATRIX_H
#define SAGE_ANALYZER_MATRIX_H

#include <stddef.h>

/*
 * Call first in main(). OpenBLAS picks its kernels while the library loads and takes some newer
 * CPUs for one of 2004, at a sixth of their speed: then this starts the program again with
 * OPENBLAS_CORETYPE set. Returns when nothing is to be done, or when that failed.
 */
void matrix_start(char **argv);

/* The kernels in use ("Zen", "SkylakeX", "Prescott"). */
const char *matrix_kernels(void);

/* out[m][n] = a[m][k] b[n][k]^T + out * keep. `keep` is 0 or 1, here and below. */
void matrix_abt(
	float *out, const float *a, const float *b, size_t m, size_t n, size_t k, float keep);

/* out[m][n] = a[m][k] b[k][n] + out * keep */
void matrix_ab(
	float *out, const float *a, const float *b, size_t m, size_t n, size_t k, float keep);

/* out[m][n] = a[k][m]^T b[k][n] + out * keep */
void matrix_atb(
	float *out, const float *a, const float *b, size_t m, size_t n, size_t k, float keep);

#endif
