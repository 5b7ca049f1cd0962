#include "analyzer/mlp.h"

#include <math.h>
#include <string.h>

/* Sizes of layer l of the L + 1. */
static unsigned fan_in(const struct mlp *m, unsigned l)
{
	return l == 0 ? m->inputs : m->hidden;
}

static unsigned fan_out(const struct mlp *m, unsigned l)
{
	return l == m->layers ? m->outputs : m->hidden;
}

static size_t layer_parameters(const struct mlp *m, unsigned l)
{
	return (size_t)fan_out(m, l) * (fan_in(m, l) + 1);
}

size_t mlp_parameters(const struct mlp *m)
{
	size_t sum = 0;

	for (unsigned l = 0; l <= m->layers; l++)
		sum += layer_parameters(m, l);
	return sum;
}

/* Of one layer of one tile. */
static size_t hidden_floats(const struct mlp *m)
{
	return (size_t)m->hidden * KERNELS_TILE;
}

/* Of one tile. An odd number of cache lines, so that tiles do not all fall into the same sets. */
static size_t kept_floats(const struct mlp *m)
{
	return ((size_t)m->layers * m->hidden | 1) * KERNELS_TILE;
}

size_t mlp_activations(const struct mlp *m, size_t tiles)
{
	return tiles * kept_floats(m);
}

void mlp_init(const struct mlp *m, float *weights, struct random *random)
{
	for (unsigned l = 0; l <= m->layers; l++) {
		size_t in = fan_in(m, l), out = fan_out(m, l);
		float spread = in ? sqrtf(2.0F / (float)in) : 0;

		random_normals(random, weights, in * out);
		for (size_t i = 0; i < in * out; i++)
			weights[i] *= spread;
		memset(weights + in * out, 0, out * sizeof(*weights));
		weights += layer_parameters(m, l);
	}
}

/* A tile goes through all layers before the next one does: its activations stay near. */
void mlp_forward(const struct mlp *m, float *out, float *kept, struct kernels_tiles x,
	const float *weights, size_t tiles)
{
	const struct kernels *k = kernels_best();

	for (size_t t = 0; t < tiles; t++) {
		const float *w = weights, *from = x.first + t * x.stride;
		float *to = kept + t * kept_floats(m);

		for (unsigned l = 0; l < m->layers; l++, to += hidden_floats(m)) {
			k->forward(to, from, w, w + (size_t)m->hidden * fan_in(m, l), fan_in(m, l),
				m->hidden, true);
			w += layer_parameters(m, l);
			from = to;
		}
		k->forward(out + t * m->outputs * KERNELS_TILE, from, w,
			w + (size_t)m->outputs * m->hidden, m->hidden, m->outputs, false);
	}
}

/* Gradients at the hidden layers of one tile, dhidden [L][H][T], and at its inputs. */
static void tile_backward(const struct mlp *m, float *dx, unsigned skip, float *dhidden,
	const float *dout, const float *kept, const float *weights)
{
	const struct kernels *k = kernels_best();
	const float *w = weights + mlp_parameters(m);

	for (unsigned l = m->layers; l > 0; l--) {
		size_t below = (l - 1) * hidden_floats(m);

		w -= layer_parameters(m, l);
		k->backward(dhidden + below, dout, w, m->hidden, m->hidden, fan_out(m, l),
			kept + below);
		dout = dhidden + below;
	}
	if (dx)
		k->backward(dx, dout, weights + skip, m->inputs, m->inputs - skip, m->hidden, NULL);
}

void mlp_backward(const struct mlp *m, float *dx, unsigned skip, float *grad, const float *dout,
	const float *kept, struct kernels_tiles x, const float *weights, size_t tiles,
	float *scratch)
{
	size_t width = hidden_floats(m), all = kept_floats(m);
	size_t outs = (size_t)m->outputs * KERNELS_TILE;
	size_t inputs = (size_t)(m->inputs - skip) * KERNELS_TILE;

	for (size_t t = 0; t < tiles; t++)
		tile_backward(m, dx ? dx + t * inputs : NULL, skip, scratch + t * all,
			dout + t * outs, kept + t * all, weights);
	for (unsigned l = 0; l <= m->layers; l++) {
		struct kernels_tiles from = x, at = {.first = dout, .stride = outs};

		if (l > 0)
			from = (struct kernels_tiles){kept + (l - 1) * width, all};
		if (l < m->layers)
			at = (struct kernels_tiles){scratch + l * width, all};
		kernels_best()->gradient(grad, grad + (size_t)fan_in(m, l) * fan_out(m, l), at,
			from, tiles, fan_in(m, l), fan_out(m, l));
		grad += layer_parameters(m, l);
	}
}
