#include "analyzer/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/model_parts.h"

#define TILE KERNELS_TILE

void model_options_default(struct model_options *o)
{
	*o = (struct model_options){.hidden = 10,
		.layers = 5,
		.epochs = 100,
		.batch = 32,
		.steps = 1000,
		.learning_rate = 1e-2F,
		.alpha = 0.9F,
		.beta = 1,
		.gamma = 0.5F,
		.seed = 1};
}

void model_free(struct model *m)
{
	if (!m)
		return;
	gvae_close(&m->g);
	free(m->weights);
	free(m->expected);
	free(m);
}

size_t model_parameters(const struct model *m)
{
	return m->g.parameters;
}

static size_t most_inputs(const struct gvae_net *net, uint32_t count, size_t most)
{
	for (uint32_t i = 0; i < count; i++)
		most = net[i].shape.inputs > most ? net[i].shape.inputs : most;
	return most;
}

static size_t most_kept(const struct gvae_net *net, uint32_t count, size_t most)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t kept = mlp_activations(&net[i].shape, 1);

		most = kept > most ? kept : most;
	}
	return most;
}

int model_run_open(struct model_run *run, const struct gvae *g)
{
	size_t inputs = most_inputs(g->encoder, g->entities, 1);
	size_t kept = most_kept(g->encoder, g->entities, 1), state = TILE * (size_t)gvae_state(g);

	inputs = TILE * most_inputs(g->decoder, g->nodes, inputs);
	kept = most_kept(g->decoder, g->nodes, kept);
	run->state =
		aligned_alloc(64, (state + inputs + kept + TILE * GVAE_LATENT) * sizeof(float));
	if (!run->state)
		return -ENOMEM;
	run->x = run->state + state;
	run->kept = run->x + inputs;
	run->out = run->kept + kept;
	return 0;
}

void model_run_close(struct model_run *run)
{
	free(run->state);
	memset(run, 0, sizeof(*run));
}

void model_run_column(struct model_run *run, const struct model_view *v, const size_t *row,
	size_t count, uint32_t column)
{
	float *to = run->state + (size_t)column * TILE;

	for (size_t i = 0; i < TILE; i++)
		to[i] = i < count ? model_view_cell(v, row[i], column) : to[0];
}

static void infer(const struct model *m, struct model_run *run, const float *state,
	const struct gvae_net *net, float *out)
{
	memset(out, 0, GVAE_LATENT * TILE * sizeof(*out));
	if (net->shape.inputs)
		gvae_apply(&m->g, net, m->weights, state, 1, true, run->x, run->kept, out);
}

void model_infer(const struct model *m, struct model_run *run, uint32_t z, float *out)
{
	infer(m, run, run->state, &m->g.encoder[z], out);
}

void model_infer_prior(
	const struct model *m, struct model_run *run, const float *normal, uint32_t z, float *out)
{
	infer(m, run, normal, &m->g.prior[z], out);
}

/* Every node, callees first, from the measured X and the latents in run->state. */
static void decode(const struct model *m, struct model_run *run)
{
	const struct gvae *g = &m->g;

	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];

		gvae_apply(g, d, m->weights, run->state, 1, false, run->x, run->kept, run->out);
		memcpy(run->state + (size_t)(g->xs + d->output) * TILE, run->out,
			d->shape.outputs * TILE * sizeof(float));
	}
}

/* Sum of the squared errors of the decoded target in up to T windows. */
static double tile_error(const struct model *m, struct model_run *run, const struct model_view *v,
	const size_t *row, size_t count)
{
	const struct gvae *g = &m->g;
	float *slo = run->state + (size_t)(g->xs + g->slo_y) * TILE;
	float gaussian[GVAE_LATENT * TILE], measured[TILE];
	double sum = 0;

	for (uint32_t c = 0; c < g->xs + g->ys; c++)
		model_run_column(run, v, row, count, c);
	memcpy(measured, slo, sizeof(measured));
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(m, run, z, gaussian);
		memcpy(run->state + (size_t)(g->xs + g->ys + z) * TILE, gaussian,
			TILE * sizeof(float));
	}
	decode(m, run);
	for (size_t i = 0; i < count; i++) {
		double gap = (double)slo[i] - (double)measured[i];

		sum += gap * gap;
	}
	return sum;
}

double model_error(const struct model *m, const struct recording *r, const bool *use)
{
	struct model_view v = {0};
	struct model_run run = {0};
	size_t row[TILE], count = 0, rows = 0;
	double sum = 0;

	if (!model_view_open(&v, &m->g, r) && !model_run_open(&run, &m->g)) {
		for (size_t i = 0; i < v.windows; i++) {
			if ((use && !use[i]) || !model_view_usable(&v, i))
				continue;
			row[count++] = i;
			rows++;
			if (count < TILE)
				continue;
			sum += tile_error(m, &run, &v, row, count);
			count = 0;
		}
		if (count)
			sum += tile_error(m, &run, &v, row, count);
	}
	model_run_close(&run);
	model_view_close(&v);
	return rows ? sum / (double)rows : __builtin_nan("");
}

double model_error_in(const struct model *units, const struct model *m, double error)
{
	double ratio = (double)m->g.column[m->g.xs + m->g.slo_y].spread /
		       (double)units->g.column[units->g.xs + units->g.slo_y].spread;

	return error * ratio * ratio;
}
