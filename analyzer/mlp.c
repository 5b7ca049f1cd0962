#include "analyzer/mlp.h"

#include <math.h>
#include <string.h>

#include "analyzer/matrix.h"

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

size_t mlp_activations(const struct mlp *m, size_t rows)
{
	return (size_t)m->layers * rows * m->hidden;
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

/* out [R][O] = x [R][I] w [O][I]^T + b [O] */
static void linear_forward(float *out, const float *x, const float *w, const float *b, size_t rows,
	size_t inputs, size_t outputs)
{
	for (size_t r = 0; r < rows; r++)
		memcpy(out + r * outputs, b, outputs * sizeof(*b));
	matrix_abt(out, x, w, rows, outputs, inputs, 1);
}

static void linear_backward(float *dx, float *dw, float *db, const float *dout, const float *x,
	const float *w, size_t rows, size_t inputs, size_t outputs)
{
	matrix_atb(dw, dout, x, outputs, inputs, rows, 1);
	for (size_t r = 0; r < rows; r++)
		for (size_t o = 0; o < outputs; o++)
			db[o] += dout[r * outputs + o];
	if (dx)
		matrix_ab(dx, dout, w, rows, inputs, outputs, 0);
}

static void relu_forward(float *x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = x[i] > 0 ? x[i] : 0;
}

static void relu_backward(float *dx, const float *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		dx[i] = out[i] > 0 ? dx[i] : 0;
}

void mlp_forward(const struct mlp *m, float *out, float *kept, const float *x, const float *weights,
	size_t rows)
{
	for (unsigned l = 0; l <= m->layers; l++) {
		size_t in = fan_in(m, l), outs = fan_out(m, l);
		float *y = l == m->layers ? out : kept + (size_t)l * rows * m->hidden;

		linear_forward(y, x, weights, weights + in * outs, rows, in, outs);
		if (l < m->layers)
			relu_forward(y, rows * outs);
		weights += layer_parameters(m, l);
		x = y;
	}
}

void mlp_backward(const struct mlp *m, float *dx, float *grad, const float *dout, const float *kept,
	const float *x, const float *weights, size_t rows, float *scratch)
{
	size_t width = rows * m->hidden, before = mlp_parameters(m);

	for (unsigned l = m->layers + 1; l-- > 0;) {
		size_t in = fan_in(m, l), outs = fan_out(m, l);
		const float *from = l == 0 ? x : kept + (l - 1) * width;
		float *din = l == 0 ? dx : scratch + (l % 2) * width;

		before -= layer_parameters(m, l);
		linear_backward(din, grad + before, grad + before + in * outs, dout, from,
			weights + before, rows, in, outs);
		if (l > 0)
			relu_backward(din, from, width);
		dout = din;
	}
}
