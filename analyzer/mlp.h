/*
 * A multi-layer perceptron: `layers` hidden layers of `hidden` rectified units,
 * then a linear layer. It is a shape only; weights and activations are the caller's
 * blocks. Pure functions, any thread.
 *
 * Legend: I inputs, H hidden, L layers, O outputs, T = KERNELS_TILE.
 * Weights, layer by layer: w [out][in], then b [out].
 * Samples are lanes of tiles (kernels.h): x [tiles][I][T], one tile `x.stride` floats after the
 * other; out [tiles][O][T]; activations kept by forward for backward [tiles][L][H][T], after
 * rectification. Blocks that begin on a multiple of 64 bytes are the fastest.
 */
#ifndef SAGE_ANALYZER_MLP_H
#define SAGE_ANALYZER_MLP_H

#include <stddef.h>

#include "analyzer/kernels.h"
#include "analyzer/random.h"

struct mlp {
	unsigned inputs, hidden, layers, outputs; /* layers >= 1 */
};

size_t mlp_parameters(const struct mlp *m);
size_t mlp_activations(const struct mlp *m, size_t tiles);

/* He et al. 2015: normal, variance 2 / fan-in; biases zero. */
void mlp_init(const struct mlp *m, float *weights, struct random *random);

/* Tiles without anything between them. */
static inline struct kernels_tiles mlp_inputs(const struct mlp *m, const float *x)
{
	return (struct kernels_tiles){.first = x, .stride = (size_t)m->inputs * KERNELS_TILE};
}

void mlp_forward(const struct mlp *m, float *out, float *kept, struct kernels_tiles x,
	const float *weights, size_t tiles);

/*
 * Adds to grad (shaped like weights) and, unless dx is NULL, sets dx [tiles][I - skip][T], of the
 * inputs after the first `skip`, from dout [tiles][O][T] and what forward was given and kept.
 * scratch: as many floats as are kept.
 */
void mlp_backward(const struct mlp *m, float *dx, unsigned skip, float *grad, const float *dout,
	const float *kept, struct kernels_tiles x, const float *weights, size_t tiles,
	float *scratch);

#endif
