#include "analyzer/matrix.h"

#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CORETYPE "OPENBLAS_CORETYPE"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void one_thread(void)
{
	openblas_set_num_threads(1);
}

const char *matrix_kernels(void)
{
	return openblas_get_corename();
}

/* What OpenBLAS should have found, or NULL when its own choice is as good. */
static const char *better_kernels(void)
{
#ifdef __x86_64__
	static const char *const old[] = {"Prescott", "Core2", "Nehalem", "Generic"};
	const char *now = matrix_kernels();

	for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++) {
		if (strcmp(now, old[i]))
			continue;
		if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
			__builtin_cpu_supports("avx512dq"))
			return "SkylakeX";
		return __builtin_cpu_supports("avx2") ? "Haswell" : NULL;
	}
#endif
	return NULL;
}

void matrix_start(char **argv)
{
	const char *want = getenv(CORETYPE) ? NULL : better_kernels();

	if (want && !setenv(CORETYPE, want, 1))
		execv("/proc/self/exe", argv);
}

/* Row-major: the leading dimension is the length of a row as it lies in memory. */
static void gemm(float *out, const float *a, CBLAS_TRANSPOSE ta, size_t lda, const float *b,
	CBLAS_TRANSPOSE tb, size_t ldb, size_t m, size_t n, size_t k, float keep)
{
	pthread_once(&once, one_thread);
	if (m == 0 || n == 0 || k == 0) /* BLAS wants leading dimensions above 0 */
		return;
	cblas_sgemm(CblasRowMajor, ta, tb, (blasint)m, (blasint)n, (blasint)k, 1, a, (blasint)lda,
		b, (blasint)ldb, keep, out, (blasint)n);
}

void matrix_abt(
	float *out, const float *a, const float *b, size_t m, size_t n, size_t k, float keep)
{
	gemm(out, a, CblasNoTrans, k, b, CblasTrans, k, m, n, k, keep);
}

void matrix_ab(float *out, const float *a, const float *b, size_t m, size_t n, size_t k, float keep)
{
	gemm(out, a, CblasNoTrans, k, b, CblasNoTrans, n, m, n, k, keep);
}

void matrix_atb(
	float *out, const float *a, const float *b, size_t m, size_t n, size_t k, float keep)
{
	gemm(out, a, CblasTrans, m, b, CblasNoTrans, n, m, n, k, keep);
}
