/*
 * The arithmetic of training, in the widest vectors that this processor has: layers of a
 * perceptron, Gaussian latents, normal noise and Adam.
 *
 * Samples come in tiles of sixteen: a tensor is [tiles][units][KERNELS_TILE], so that a sample is
 * a lane, weights are broadcast and no layer is too narrow for the vectors. A tile's
 * activations stay in the first-level cache from the first layer to the last. Lanes without a
 * sample hold anything finite; their gradients must be zero, and are where a function below is
 * told how many lanes count.
 *
 * Pure functions, any thread, no memory of their own. The same processor gives the same bits;
 * another may differ in the last ones, as sums are taken in another order.
 *
 * Legend: I inputs, O outputs, L latents, T = KERNELS_TILE.
 */
#ifndef SAGE_ANALYZER_KERNELS_H
#define SAGE_ANALYZER_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "analyzer/random.h"

#define KERNELS_TILE 16
#define KERNELS_LOG_VARIANCE_MIN -8.0F
#define KERNELS_LOG_VARIANCE_MAX 4.0F

/* Many tiles of one tensor: the first, and how many floats on the next begins. */
struct kernels_tiles {
	const float *first;
	size_t stride;
};

struct kernels_adam {
	float rate;  /* with the corrections for the first steps */
	float scale; /* of the gradient: one over the samples it is a sum of */
};

struct kernels {
	const char *name;
	bool (*usable)(void); /* on this processor */

	/* out [O][T] = w [O][I] x [I][T] + b [O], and no less than zero if `rectify` */
	void (*forward)(float *out, const float *x, const float *w, const float *b, size_t inputs,
		size_t outputs, bool rectify);

	/* dx [I][T] = w [O][width]^T dout [O][T] for the first I <= width inputs, zero where
	 * gate [I][T] is not above it; NULL = no gate */
	void (*backward)(float *dx, const float *dout, const float *w, size_t width, size_t inputs,
		size_t outputs, const float *gate);

	/* dw [O][I] += dout x^T and db [O] += dout, summed over the lanes of all tiles */
	void (*gradient)(float *dw, float *db, struct kernels_tiles dout, struct kernels_tiles x,
		size_t tiles, size_t inputs, size_t outputs);

	/*
	 * A Gaussian is [2 L][T]: means, then log variances, which count within the bounds above.
	 * z [L][T] = mean + noise [L][T] * deviation; dz adds to dq as it must for that.
	 */
	void (*draw)(float *z, const float *q, const float *noise, size_t latents);
	void (*draw_back)(
		float *dq, const float *dz, const float *q, const float *noise, size_t latents);

	/* KL(q || p) summed over the first `lanes`; its gradient times `scale` is added. */
	double (*divergence)(float *dq, float *dp, const float *q, const float *p, size_t latents,
		size_t lanes, float scale);

	/* Standard normals, as good as single precision needs: |value| < 5.8. */
	void (*noise)(float *out, size_t count, struct random *random);

	/* Kingma and Ba, 2015: one step of `count` weights, by the sum of `parts` gradients. */
	void (*adam)(float *weights, float *moment1, float *moment2, const float *const *gradient,
		size_t parts, size_t count, const struct kernels_adam *step);
};

/* The best for this processor. */
const struct kernels *kernels_best(void);

/* All that were built, best first; NULL past the last. Not all need be usable. */
const struct kernels *kernels_built(size_t number);

/* Room for one step's corrected rate; step counts from 1. */
struct kernels_adam kernels_adam_step(float rate, size_t step, size_t samples);

#endif
