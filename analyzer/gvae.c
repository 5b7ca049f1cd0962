#include "analyzer/gvae.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LINEAR_TO 4.0F /* deviations */

void gvae_close(struct gvae *g)
{
	for (uint32_t i = 0; g->entity && i < g->entities; i++)
		free(g->entity[i].name);
	for (uint32_t i = 0; g->column && i < g->xs + g->ys; i++) {
		free(g->column[i].entity);
		free(g->column[i].metric);
	}
	free(g->entity);
	free(g->column);
	free(g->encoder);
	free(g->prior);
	free(g->decoder);
	free(g->source);
	memset(g, 0, sizeof(*g));
}

static void place(struct gvae *g, struct gvae_net *net, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		net[i].weight = g->parameters;
		if (net[i].shape.inputs)
			g->parameters += mlp_parameters(&net[i].shape);
	}
}

void gvae_place(struct gvae *g)
{
	g->parameters = 0;
	place(g, g->encoder, g->entities);
	place(g, g->prior, g->entities);
	place(g, g->decoder, g->nodes);
}

const struct gvae_net *gvae_net(const struct gvae *g, uint32_t i)
{
	if (i < g->entities)
		return &g->encoder[i];
	return i < 2 * g->entities ? &g->prior[i - g->entities] : &g->decoder[i - 2 * g->entities];
}

uint32_t gvae_find(const struct gvae *g, const char *name)
{
	for (uint32_t z = 0; z < g->entities; z++)
		if (!strcmp(g->entity[z].name, name))
			return z;
	return GVAE_NONE;
}

static void init_nets(
	const struct gvae_net *net, uint32_t count, float *weights, uint64_t seed, uint64_t stream)
{
	for (uint32_t i = 0; i < count; i++) {
		struct random random;

		random_init(&random, seed, stream + i);
		if (net[i].shape.inputs)
			mlp_init(&net[i].shape, weights + net[i].weight, &random);
	}
}

void gvae_init(const struct gvae *g, float *weights, uint64_t seed)
{
	init_nets(g->encoder, g->entities, weights, seed, 1ULL << 32);
	init_nets(g->prior, g->entities, weights, seed, 2ULL << 32);
	init_nets(g->decoder, g->nodes, weights, seed, 3ULL << 32);
}

float gvae_deviation(float log_variance)
{
	return expf(0.5F *
		    fminf(fmaxf(log_variance, KERNELS_LOG_VARIANCE_MIN), KERNELS_LOG_VARIANCE_MAX));
}

float gvae_compress(float z)
{
	float size = fabsf(z);

	return size <= LINEAR_TO ? z : copysignf(LINEAR_TO + logf(1 + size - LINEAR_TO), z);
}

void gvae_apply(const struct gvae *g, const struct gvae_net *net, const float *weights,
	const float *state, size_t tiles, bool compress, float *x, float *kept, float *out)
{
	const uint32_t *source = g->source + net->first_source;
	size_t width = (size_t)gvae_state(g) * KERNELS_TILE, inputs = net->shape.inputs;
	float *to = x;

	for (size_t t = 0; t < tiles; t++, state += width)
		for (size_t i = 0; i < inputs; i++, to += KERNELS_TILE)
			memcpy(to, state + (size_t)source[i] * KERNELS_TILE,
				KERNELS_TILE * sizeof(*to));
	for (size_t i = 0; compress && i < tiles * inputs * KERNELS_TILE; i++)
		x[i] = gvae_compress(x[i]);
	mlp_forward(
		&net->shape, out, kept, mlp_inputs(&net->shape, x), weights + net->weight, tiles);
}
