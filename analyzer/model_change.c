/* What has changed since a model was trained, and what is to be learnt anew for it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/model_parts.h"

#define TILE KERNELS_TILE
#define FEWEST_RECENT 16
#define USUAL 0.95        /* of windows not learnt from have no larger error */
#define WORSE 1.5F        /* times that in half of the latest: it does something else now */
#define LEAST_ERROR 0.05F /* squared z-score; of less nobody asks where it comes from */

/* ---- errors by node ---- */

/* What was measured in a tile of windows, and the latents it speaks of. */
static void fill_state(const struct model *m, struct model_run *run, const struct model_view *v,
	const size_t *row, size_t count)
{
	const struct gvae *g = &m->g;
	float gaussian[GVAE_LATENT * TILE];

	for (uint32_t c = 0; c < g->xs + g->ys; c++)
		model_run_column(run, v, row, count, c);
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(m, run, z, gaussian);
		memcpy(run->state + (size_t)(g->xs + g->ys + z) * TILE, gaussian,
			TILE * sizeof(float));
	}
}

/* Mean over a node's columns in one window, from run->out; NaN when none was measured. */
static float window_error(const struct model_run *run, const struct model_view *v,
	const struct gvae_net *d, size_t row, size_t lane)
{
	float sum = 0, known = 0;

	for (uint32_t i = 0; i < d->shape.outputs; i++) {
		size_t column = (size_t)v->g->xs + d->output + i;
		float gap = run->out[i * TILE + lane] - run->state[column * TILE + lane];

		if (!model_view_known(v, row, (uint32_t)column))
			continue;
		sum += gap * gap;
		known++;
	}
	return known > 0 ? sum / known : NAN;
}

/* error: [nodes][count], of which those of one tile begin at `at`. */
static void add_tile(const struct model *m, struct model_run *run, const struct model_view *v,
	const size_t *row, size_t count, size_t at, float *error)
{
	size_t lanes = count - at < TILE ? count - at : TILE;

	fill_state(m, run, v, row + at, lanes);
	for (uint32_t n = 0; n < m->g.nodes; n++) {
		const struct gvae_net *d = &m->g.decoder[n];

		gvae_apply(&m->g, d, m->weights, run->state, 1, false, run->x, run->kept, run->out);
		for (size_t i = 0; i < lanes; i++)
			error[n * count + at + i] = window_error(run, v, d, row[at + i], i);
	}
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Of the values that are known, which it moves to the front; NaN when none is. */
static float quantile_of(float *value, size_t count, double quantile)
{
	size_t known = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i]))
			value[known++] = value[i];
	qsort(value, known, sizeof(*value), ascending);
	return known ? value[(size_t)(quantile * (double)(known - 1))] : NAN;
}

int model_node_errors(const struct model *m, const struct model_view *v, const size_t *row,
	size_t count, double quantile, float *out)
{
	float *error = calloc(m->g.nodes * count + 1, sizeof(*error));
	struct model_run run = {0};
	int err = error ? model_run_open(&run, &m->g) : -ENOMEM;

	for (size_t at = 0; !err && at < count; at += TILE)
		add_tile(m, &run, v, row, count, at, error);
	for (uint32_t n = 0; !err && n < m->g.nodes; n++)
		out[n] = quantile_of(error + n * count, count, quantile);
	model_run_close(&run);
	free(error);
	return err;
}

int model_expect(struct model *m, const struct recording *r, const bool *held)
{
	struct model_view v;
	size_t *row = calloc(r->series.windows + 1, sizeof(*row)), count = 0;
	int err = model_view_open(&v, &m->g, r);

	if (!row)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < v.windows; i++)
		if (held[i] && model_view_usable(&v, i))
			row[count++] = i;
	if (!err)
		err = model_node_errors(m, &v, row, count, USUAL, m->expected);
	model_view_close(&v);
	free(row);
	return err;
}

/* ---- what changed ---- */

static void learn_entity(const struct gvae *g, bool *learn, uint32_t z)
{
	learn[z] = learn[g->entities + z] = true;
}

static bool learns_entity(const struct gvae *g, const bool *learn, uint32_t z)
{
	return learn[z] || learn[g->entities + z];
}

static bool reads_any(const struct gvae *g, const struct gvae_net *d, const bool *moved)
{
	for (uint32_t i = 0; i < d->shape.inputs; i++)
		if (moved[g->source[d->first_source + i]])
			return true;
	return false;
}

/* An encoder goes with its prior; who reads what is learnt learns. Nodes come callees first.
 * moved: [S] what is learnt, or comes of it. */
static void add_descendants(const struct gvae *g, bool *learn, bool *moved)
{
	for (uint32_t z = 0; z < g->entities; z++)
		if (learns_entity(g, learn, z)) {
			learn_entity(g, learn, z);
			moved[g->xs + g->ys + z] = true;
		}
	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];
		bool *learns = &learn[2 * g->entities + n];

		*learns |= reads_any(g, d, moved);
		for (uint32_t i = 0; i < d->shape.outputs; i++)
			moved[g->xs + d->output + i] |= *learns;
	}
}

/*
 * Who is off because of a node it reads learns as that one's descendant. Where it begins, the
 * latents learn too: what they stand for is something else now.
 */
static void blame(struct model_change *c, const struct model *m, const float *error, bool *moved)
{
	const struct gvae *g = &m->g;

	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];
		bool off = error[n] > WORSE * fmaxf(m->expected[n], LEAST_ERROR) &&
			   !isnan(m->expected[n]);
		bool told = c->learn[2 * g->entities + n] || reads_any(g, d, moved);

		for (uint32_t i = 0; i < d->shape.outputs; i++)
			moved[g->xs + d->output + i] |= off || told;
		if (!off || told)
			continue;
		c->drifted = c->learn[2 * g->entities + n] = true;
		for (uint32_t i = 0; i < d->shape.inputs; i++) {
			uint32_t source = g->source[d->first_source + i];

			if (source >= g->xs + g->ys)
				learn_entity(g, c->learn, source - g->xs - g->ys);
		}
	}
}

static int find_drifted(struct model_change *c, const struct model *m, const struct model_view *v,
	const size_t *row, size_t count, bool *moved)
{
	size_t recent = count < MODEL_RECENT ? count : MODEL_RECENT;
	float *error;
	int err;

	if (recent < FEWEST_RECENT)
		return 0;
	error = calloc((size_t)m->g.nodes + 1, sizeof(*error));
	err = error ? model_node_errors(m, v, row + count - recent, recent, 0.5, error) : -ENOMEM;
	if (!err)
		blame(c, m, error, moved);
	free(error);
	return err;
}

static double share_of(const bool *learn, const struct gvae *g)
{
	size_t learnt = 0;

	for (uint32_t i = 0; i < gvae_nets(g); i++)
		if (learn[i] && gvae_net(g, i)->shape.inputs)
			learnt += mlp_parameters(&gvae_net(g, i)->shape);
	return g->parameters ? (double)learnt / (double)g->parameters : 0;
}

int model_change_find(struct model_change *c, const struct model *m, const bool *same,
	const struct model_view *v, const size_t *row, size_t count)
{
	const struct gvae *g = &m->g;
	bool *moved = calloc((size_t)gvae_state(g) + 1, sizeof(*moved));
	int err = -ENOMEM;

	*c = (struct model_change){.learn = calloc((size_t)gvae_nets(g) + 1, sizeof(*c->learn))};
	if (moved && c->learn) {
		for (uint32_t i = 0; i < gvae_nets(g); i++)
			c->learn[i] = !same[i];
		add_descendants(g, c->learn, moved);
		err = find_drifted(c, m, v, row, count, moved);
		memset(moved, 0, gvae_state(g) * sizeof(*moved));
		add_descendants(g, c->learn, moved);
		c->share = share_of(c->learn, g);
	}
	free(moved);
	if (err)
		model_change_clear(c);
	return err;
}

void model_change_clear(struct model_change *c)
{
	free(c->learn);
	*c = (struct model_change){0};
}
