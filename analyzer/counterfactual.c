#include "analyzer/counterfactual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TILE KERNELS_TILE

/* Latents at normal X do not depend on the window. */
static void infer_normal(struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;
	float gaussian[GVAE_LATENT * TILE];

	for (uint32_t i = 0; i < g->xs; i++)
		for (size_t lane = 0; lane < TILE; lane++)
			c->run.state[i * TILE + lane] = g->column[i].normal;
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(c->m, &c->run, z, true, gaussian);
		c->mean[z] = gaussian[0];
		c->spread[z] = gvae_deviation(gaussian[TILE]);
	}
}

int counterfactual_open(struct counterfactual_run *c, const struct model *m,
	const struct recording *r, unsigned draws, uint64_t seed)
{
	const struct gvae *g = &m->g;
	size_t tiles = (draws + TILE - 1) / TILE, latents = g->entities;
	size_t floats = TILE * (gvae_state(g) + latents) + 2 * latents + tiles * TILE * latents;
	struct random random;

	memset(c, 0, sizeof(*c));
	c->m = m;
	c->r = r;
	c->draws = draws;
	c->factual = calloc(floats + 1, sizeof(float));
	c->touched = calloc(g->nodes + 1, sizeof(bool));
	c->moved = calloc(gvae_state(g), sizeof(bool));
	c->set = calloc(gvae_state(g), sizeof(bool));
	if (!c->factual || !c->touched || !c->moved || !c->set || model_view_open(&c->view, g, r) ||
		model_run_open(&c->run, g, tiles)) {
		counterfactual_close(c);
		return -ENOMEM;
	}
	c->deviation = c->factual + TILE * gvae_state(g);
	c->mean = c->deviation + TILE * latents;
	c->spread = c->mean + latents;
	c->noise = c->spread + latents;
	if (draws > 1) {
		random_init(&random, seed, 0);
		kernels_best()->noise(c->noise, tiles * TILE * latents, &random);
	}
	infer_normal(c);
	return 0;
}

void counterfactual_close(struct counterfactual_run *c)
{
	model_view_close(&c->view);
	model_run_close(&c->run);
	free(c->factual);
	free(c->touched);
	free(c->moved);
	free(c->set);
	memset(c, 0, sizeof(*c));
}

int counterfactual_windows(struct counterfactual_run *c, const size_t *row, size_t count)
{
	const struct gvae *g = &c->m->g;
	size_t columns = g->xs + g->ys;
	float gaussian[GVAE_LATENT * TILE];

	for (size_t i = 0; i < count; i++) {
		if (!model_view_usable(&c->view, row[i]))
			return -ENODATA;
		c->observed[i] = c->view.value[g->xs + g->slo_y][row[i]];
	}
	c->windows = count;
	model_run_windows(&c->run, &c->view, row, count);
	memcpy(c->factual, c->run.state, columns * TILE * sizeof(float));
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(c->m, &c->run, z, false, gaussian);
		memcpy(c->factual + (columns + z) * TILE, gaussian, TILE * sizeof(float));
		for (size_t lane = 0; lane < TILE; lane++)
			c->deviation[z * TILE + lane] = gvae_deviation(gaussian[TILE + lane]);
	}
	return 0;
}

/* Mark what one intervention sets at one entity. */
static void mark_entity(struct counterfactual_run *c, uint32_t z, enum resource resource)
{
	const struct gvae *g = &c->m->g;
	const struct gvae_entity *e = &g->entity[z];
	bool latent = resource == RESOURCE_NONE || resource == RESOURCE_CODE ||
		      (e->edge && resource == RESOURCE_NETWORK);

	for (uint32_t i = e->first_x; i < e->first_x + e->xs; i++)
		if (resource == RESOURCE_NONE ||
			resource == resource_of_metric(g->column[i].metric))
			c->moved[i] = true;
	if (latent)
		c->moved[g->xs + g->ys + z] = true;
}

/* A service, and the network of the calls into it unless its own latent alone is meant. */
static int mark(struct counterfactual_run *c, const struct intervention *set)
{
	const struct gvae *g = &c->m->g;
	bool network = set->resource == RESOURCE_NONE || set->resource == RESOURCE_NETWORK;
	uint32_t z = set->service < c->r->graph.entities
			     ? gvae_find(g, c->r->graph.entity[set->service].name)
			     : GVAE_NONE;

	if (z == GVAE_NONE)
		return -ENOENT;
	mark_entity(c, z, set->resource);
	for (uint32_t k = 0; network && k < g->entities; k++)
		if (g->entity[k].edge && g->entity[k].callee == z)
			mark_entity(c, k, set->resource);
	return 0;
}

/* Nodes are in topological order, so one walk reaches every descendant. */
static void find_descendants(struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;

	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];

		c->touched[n] = false;
		for (uint32_t i = 0; i < d->shape.inputs; i++)
			c->touched[n] |= c->moved[g->source[d->first_source + i]];
		for (uint32_t i = 0; i < d->shape.outputs && c->touched[n]; i++)
			c->moved[g->xs + d->output + i] = true;
	}
}

/* One source of one window, the same or a draw in every lane of a tile of draws. */
static void act_on(const struct counterfactual_run *c, size_t window, uint32_t source, size_t tile)
{
	const struct gvae *g = &c->m->g;
	uint32_t columns = g->xs + g->ys, z = source - columns;
	float *to = c->run.state + (tile * gvae_state(g) + source) * TILE, spread = 0;
	float value = c->factual[(size_t)source * TILE + window];
	const float *noise = c->noise;

	if (source >= columns) {
		spread = c->moved[source] ? c->spread[z] : c->deviation[(size_t)z * TILE + window];
		noise += (tile * g->entities + z) * TILE;
	}
	if (c->moved[source] && source < g->xs)
		value = g->column[source].normal;
	if (c->moved[source] && source >= columns)
		value = c->mean[z];
	for (size_t lane = 0; lane < TILE; lane++)
		to[lane] = source < columns ? value : value + noise[lane] * spread;
}

/* What the descendants read, but for what they hand each other. */
static void act(struct counterfactual_run *c, size_t window)
{
	const struct gvae *g = &c->m->g;

	memset(c->set, 0, gvae_state(g) * sizeof(bool));
	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];

		for (uint32_t i = 0; c->touched[n] && i < d->shape.inputs; i++) {
			uint32_t source = g->source[d->first_source + i];

			if (c->set[source])
				continue;
			for (size_t tile = 0; tile < c->run.tiles; tile++)
				act_on(c, window, source, tile);
			c->set[source] = true;
		}
		for (uint32_t i = 0; c->touched[n] && i < d->shape.outputs; i++)
			c->set[g->xs + d->output + i] = true;
	}
}

static void read_slo(const struct counterfactual_run *c, size_t window, float *out)
{
	const struct gvae *g = &c->m->g;
	uint32_t slo = g->xs + g->slo_y;

	for (unsigned d = 0; d < c->draws; d++) {
		size_t at = ((size_t)(d / TILE) * gvae_state(g) + slo) * TILE + d % TILE;

		out[d] = c->moved[slo] ? model_from_z(&g->column[slo], c->run.state[at])
				       : c->observed[window];
	}
}

int counterfactual_ask(
	struct counterfactual_run *c, const struct intervention *set, size_t count, float *out)
{
	int err = 0;

	memset(c->moved, 0, gvae_state(&c->m->g) * sizeof(bool));
	for (size_t i = 0; i < count && !err; i++)
		err = mark(c, &set[i]);
	if (err)
		return err;
	find_descendants(c);
	for (size_t window = 0; window < c->windows; window++, out += c->draws) {
		act(c, window);
		model_decode(c->m, &c->run, c->touched);
		read_slo(c, window, out);
	}
	return 0;
}

int model_counterfactual(const struct model *m, const struct recording *r, size_t row,
	const struct intervention *set, size_t interventions, unsigned draws, uint64_t seed,
	float *out)
{
	struct counterfactual_run c;
	int err = counterfactual_open(&c, m, r, draws ? draws : 1, seed);

	if (err)
		return err;
	err = row < c.view.windows ? counterfactual_windows(&c, &row, 1) : -ENODATA;
	if (!err)
		err = counterfactual_ask(&c, set, interventions, out);
	counterfactual_close(&c);
	return err;
}
