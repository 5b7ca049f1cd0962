#include "tests/bench/flops.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "analyzer/mlp.h"

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

static void count(const struct mlp *m, size_t tiles, uint64_t inputs, uint64_t rest)
{
	uint64_t hidden = (uint64_t)m->hidden * ((m->layers - 1) * m->hidden + m->outputs);

	if (atomic_load_explicit(&counting, memory_order_relaxed))
		atomic_fetch_add(
			&sum, 2 * KERNELS_TILE * tiles * (inputs * m->hidden + rest * hidden));
}

/* The linker gives these names to the function called and to the one that stands behind it. */
void __real_mlp_forward(const struct mlp *m, float *out, float *kept, struct kernels_tiles x,
	const float *weights, size_t tiles);
void __wrap_mlp_forward(const struct mlp *m, float *out, float *kept, struct kernels_tiles x,
	const float *weights, size_t tiles);
void __real_mlp_backward(const struct mlp *m, float *dx, unsigned skip, float *grad,
	const float *dout, const float *kept, struct kernels_tiles x, const float *weights,
	size_t tiles, float *scratch);
void __wrap_mlp_backward(const struct mlp *m, float *dx, unsigned skip, float *grad,
	const float *dout, const float *kept, struct kernels_tiles x, const float *weights,
	size_t tiles, float *scratch);

void __wrap_mlp_forward(const struct mlp *m, float *out, float *kept, struct kernels_tiles x,
	const float *weights, size_t tiles)
{
	count(m, tiles, m->inputs, 1);
	__real_mlp_forward(m, out, kept, x, weights, tiles);
}

void __wrap_mlp_backward(const struct mlp *m, float *dx, unsigned skip, float *grad,
	const float *dout, const float *kept, struct kernels_tiles x, const float *weights,
	size_t tiles, float *scratch)
{
	count(m, tiles, m->inputs + (dx ? m->inputs - skip : 0), 2);
	__real_mlp_backward(m, dx, skip, grad, dout, kept, x, weights, tiles, scratch);
}
