/*
 * A multi-layer perceptron: `layers` hidden layers of `hidden` rectified units,
 * then a linear layer. It is a shape only; weights and activations are the caller's
 * blocks. Pure functions, any thread.
 *
 * Legend: I inputs, H hidden, L layers, O outputs, R rows of a batch.
 * Weights, layer by layer: w [out][in], then b [out].
 * Activations kept by forward for backward: [L][R][H], after rectification.
 */
#ifndef SAGE_ANALYZER_MLP_H
#define SAGE_ANALYZER_MLP_H

#include <stddef.h>

#include "analyzer/random.h"

struct mlp {
	unsigned inputs, hidden, layers, outputs; /* layers >= 1 */
};

size_t mlp_parameters(const struct mlp *m);
size_t mlp_activations(const struct mlp *m, size_t rows);

/* He et al. 2015: normal, variance 2 / fan-in; biases zero. */
void mlp_init(const struct mlp *m, float *weights, struct random *random);

/* out [R][O] from x [R][I]; kept [L][R][H] */
void mlp_forward(const struct mlp *m, float *out, float *kept, const float *x, const float *weights,
	size_t rows);

/*
 * Adds to grad (shaped like weights) and, unless dx is NULL, sets dx [R][I], from
 * dout [R][O] and what forward was given and kept. scratch: 2 R H floats.
 */
void mlp_backward(const struct mlp *m, float *dx, float *grad, const float *dout, const float *kept,
	const float *x, const float *weights, size_t rows, float *scratch);

#endif
