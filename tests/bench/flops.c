#include "tests/bench/flops.h"

#include <cblas.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_bool counting;
static atomic_uint_fast64_t sum;

void flops_start(void)
{
	atomic_store(&sum, 0);
	atomic_store(&counting, true);
}

uint64_t flops_stop(void)
{
	atomic_store(&counting, false);
	return atomic_load(&sum);
}

/* The linker gives these names to the function called and to the one that stands behind it. */
void __real_cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m,
	blasint n, blasint k, float alpha, const float *a, blasint lda, const float *b, blasint ldb,
	float beta, float *c, blasint ldc);
void __wrap_cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m,
	blasint n, blasint k, float alpha, const float *a, blasint lda, const float *b, blasint ldb,
	float beta, float *c, blasint ldc);

void __wrap_cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, blasint m,
	blasint n, blasint k, float alpha, const float *a, blasint lda, const float *b, blasint ldb,
	float beta, float *c, blasint ldc)
{
	if (atomic_load_explicit(&counting, memory_order_relaxed))
		atomic_fetch_add(&sum, 2 * (uint64_t)m * (uint64_t)n * (uint64_t)k);
	__real_cblas_sgemm(order, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
