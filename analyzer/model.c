#include "analyzer/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/model_parts.h"

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

static size_t most_kept(const struct gvae_net *net, uint32_t count, size_t rows, size_t most)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t kept = mlp_activations(&net[i].shape, rows);

		most = kept > most ? kept : most;
	}
	return most;
}

int model_run_open(struct model_run *run, const struct gvae *g, size_t rows)
{
	size_t inputs = most_inputs(g->encoder, g->entities, 1);
	size_t kept = most_kept(g->encoder, g->entities, rows, 1), state = rows * gvae_state(g);

	inputs = rows * most_inputs(g->decoder, g->nodes, inputs);
	kept = most_kept(g->decoder, g->nodes, rows, kept);
	run->rows = rows;
	run->state = calloc(state + inputs + kept + rows * GVAE_LATENT, sizeof(float));
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

void model_decode(const struct model *m, struct model_run *run, const bool *which)
{
	const struct gvae *g = &m->g;
	size_t width = gvae_state(g);

	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];
		size_t outs = d->shape.outputs;

		if (which && !which[n])
			continue;
		gvae_apply(g, d, m->weights, run->state, run->rows, false, run->x, run->kept,
			run->out);
		for (size_t r = 0; r < run->rows; r++)
			memcpy(run->state + r * width + g->xs + d->output, run->out + r * outs,
				outs * sizeof(float));
	}
}

void model_infer(const struct model *m, struct model_run *run, uint32_t z, bool prior, float *out)
{
	const struct gvae_net *net = prior ? &m->g.prior[z] : &m->g.encoder[z];

	memset(out, 0, GVAE_LATENT * sizeof(*out));
	if (net->shape.inputs)
		gvae_apply(&m->g, net, m->weights, run->state, 1, true, run->x, run->kept, out);
}

/* Squared error of the decoded target in one window. */
static double row_error(
	const struct model *m, struct model_run *run, const struct model_view *v, size_t row)
{
	const struct gvae *g = &m->g;
	uint32_t slo = g->xs + g->slo_y;
	float gaussian[GVAE_LATENT], measured;

	model_view_row(v, row, run->state, NULL);
	measured = run->state[slo];
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(m, run, z, false, gaussian);
		run->state[g->xs + g->ys + z] = gaussian[0];
	}
	model_decode(m, run, NULL);
	return ((double)run->state[slo] - measured) * ((double)run->state[slo] - measured);
}

double model_error(const struct model *m, const struct recording *r, const bool *use)
{
	struct model_view v = {0};
	struct model_run run = {0};
	double sum = 0;
	size_t rows = 0;

	if (!model_view_open(&v, &m->g, r) && !model_run_open(&run, &m->g, 1))
		for (size_t i = 0; i < v.windows; i++)
			if ((!use || use[i]) && model_view_usable(&v, i)) {
				sum += row_error(m, &run, &v, i);
				rows++;
			}
	model_run_close(&run);
	model_view_close(&v);
	return rows ? sum / (double)rows : __builtin_nan("");
}
