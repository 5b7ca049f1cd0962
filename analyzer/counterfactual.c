#include "analyzer/counterfactual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Latents at normal X do not depend on the window. */
static void infer_normal(struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;
	float gaussian[GVAE_LATENT];

	for (uint32_t i = 0; i < g->xs; i++)
		c->run.state[i] = g->column[i].normal;
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(c->m, &c->run, z, true, gaussian);
		c->mean[z] = gaussian[0];
		c->deviation[g->entities + z] = gvae_deviation(gaussian[1]);
	}
}

int counterfactual_open(struct counterfactual_run *c, const struct model *m,
	const struct recording *r, unsigned draws, uint64_t seed)
{
	const struct gvae *g = &m->g;
	size_t floats = gvae_state(g) + (3 + (size_t)draws) * g->entities;
	struct random random;

	memset(c, 0, sizeof(*c));
	c->m = m;
	c->r = r;
	c->draws = draws;
	c->factual = calloc(floats + 1, sizeof(float));
	c->touched = calloc(g->nodes + 1, sizeof(bool));
	c->moved = calloc(gvae_state(g), sizeof(bool));
	if (!c->factual || !c->touched || !c->moved || model_view_open(&c->view, g, r) ||
		model_run_open(&c->run, g, draws)) {
		counterfactual_close(c);
		return -ENOMEM;
	}
	c->deviation = c->factual + gvae_state(g);
	c->mean = c->deviation + 2 * (size_t)g->entities;
	c->noise = c->mean + g->entities;
	if (draws > 1) {
		random_init(&random, seed, 0);
		random_normals(&random, c->noise, (size_t)draws * g->entities);
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
	memset(c, 0, sizeof(*c));
}

int counterfactual_window(struct counterfactual_run *c, size_t row)
{
	const struct gvae *g = &c->m->g;
	size_t columns = g->xs + g->ys;
	float gaussian[GVAE_LATENT];

	if (!model_view_usable(&c->view, row))
		return -ENODATA;
	c->measured = c->view.value[g->xs + g->slo_y][row];
	model_view_row(&c->view, row, c->factual, NULL);
	memcpy(c->run.state, c->factual, columns * sizeof(float));
	for (uint32_t z = 0; z < g->entities; z++) {
		model_infer(c->m, &c->run, z, false, gaussian);
		c->factual[columns + z] = gaussian[0];
		c->deviation[z] = gvae_deviation(gaussian[1]);
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

static void act(struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;
	size_t width = gvae_state(g), columns = g->xs + g->ys;

	for (unsigned d = 0; d < c->draws; d++) {
		float *state = c->run.state + d * width;
		const float *noise = c->noise + (size_t)d * g->entities;

		memcpy(state, c->factual, width * sizeof(float));
		for (uint32_t i = 0; i < g->xs; i++)
			if (c->moved[i])
				state[i] = g->column[i].normal;
		for (uint32_t z = 0; z < g->entities; z++) {
			bool set = c->moved[columns + z];

			if (set)
				state[columns + z] = c->mean[z];
			state[columns + z] += noise[z] * c->deviation[set ? g->entities + z : z];
		}
	}
}

int counterfactual_ask(
	struct counterfactual_run *c, const struct intervention *set, size_t count, float *out)
{
	const struct gvae *g = &c->m->g;
	uint32_t slo = g->xs + g->slo_y;
	int err = 0;

	memset(c->moved, 0, gvae_state(g) * sizeof(bool));
	for (size_t i = 0; i < count && !err; i++)
		err = mark(c, &set[i]);
	if (err)
		return err;
	find_descendants(c);
	act(c);
	model_decode(c->m, &c->run, c->touched);
	for (unsigned d = 0; d < c->draws; d++)
		out[d] = c->moved[slo] ? model_from_z(&g->column[slo],
						 c->run.state[d * gvae_state(g) + slo])
				       : c->measured;
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
	err = row < c.view.windows ? counterfactual_window(&c, row) : -ENODATA;
	if (!err)
		err = counterfactual_ask(&c, set, interventions, out);
	counterfactual_close(&c);
	return err;
}
