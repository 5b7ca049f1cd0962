#include "analyzer/counterfactual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TILE KERNELS_TILE

/* ---- what questions share ---- */

static void find_services(struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;

	memset(c->service, 0xff, c->r->graph.entities * sizeof(*c->service)); /* GVAE_NONE */
	for (uint32_t z = 0; z < g->entities; z++) {
		uint32_t number = g->entity[z].edge ? GRAPH_NONE
						    : graph_find(&c->r->graph, g->entity[z].name);

		if (number != GRAPH_NONE)
			c->service[number] = z;
	}
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Most of it is touched by no question, and costs no memory then. */
static int take_floats(struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;
	size_t latents = g->entities, noise = c->tiles * TILE * latents;

	for (uint32_t n = 0; n < g->nodes; n++) {
		c->hidden = larger(c->hidden, g->decoder[n].shape.hidden);
		c->outputs = larger(c->outputs, g->decoder[n].shape.outputs);
	}
	c->deviation = calloc(TILE * latents + noise + g->nodes * c->hidden * TILE +
				      (size_t)g->xs * TILE + 2 * latents + 1,
		sizeof(float));
	if (!c->deviation)
		return -ENOMEM;
	c->noise = c->deviation + TILE * latents;
	c->first = c->noise + noise;
	c->normal = c->first + g->nodes * c->hidden * TILE;
	c->mean = c->normal + (size_t)g->xs * TILE;
	c->spread = c->mean + latents;
	return 0;
}

int counterfactual_open(struct counterfactual_run *c, const struct model *m,
	const struct recording *r, unsigned draws, uint64_t seed)
{
	const struct gvae *g = &m->g;

	memset(c, 0, sizeof(*c));
	c->m = m;
	c->r = r;
	c->draws = draws;
	c->tiles = (draws + TILE - 1) / TILE;
	c->seed = seed;
	c->service = calloc((size_t)r->graph.entities + 1, sizeof(*c->service));
	c->known = calloc((size_t)gvae_state(g) + g->nodes, sizeof(*c->known));
	if (!c->service || !c->known || take_floats(c) || model_view_begin(&c->view, g, r) ||
		model_run_open(&c->run, g) || reach_map_open(&c->map, g)) {
		counterfactual_close(c);
		return -ENOMEM;
	}
	c->ready = c->known + gvae_state(g);
	find_services(c);
	return 0;
}

void counterfactual_close(struct counterfactual_run *c)
{
	model_view_close(&c->view);
	model_run_close(&c->run);
	reach_map_close(&c->map);
	free(c->service);
	free(c->deviation);
	free(c->known);
	memset(c, 0, sizeof(*c));
}

int counterfactual_windows(struct counterfactual_run *c, const size_t *row, size_t count)
{
	const struct gvae *g = &c->m->g;

	model_view_find(&c->view, g->xs + g->slo_y);
	for (size_t i = 0; i < count; i++) {
		if (row[i] >= c->view.windows || !model_view_usable(&c->view, row[i]))
			return -ENODATA;
		c->observed[i] = c->view.value[g->xs + g->slo_y][row[i]];
	}
	memcpy(c->row, row, count * sizeof(*row));
	c->windows = count;
	memset(c->known, 0, gvae_state(g) + g->nodes);
	return 0;
}

static void read_column(struct counterfactual_run *c, uint32_t column)
{
	if (c->known[column])
		return;
	c->known[column] = true;
	model_view_find(&c->view, column);
	model_run_column(&c->run, &c->view, c->row, c->windows, column);
}

const float *counterfactual_measured(struct counterfactual_run *c, uint32_t column)
{
	read_column(c, column);
	return c->run.state + (size_t)column * TILE;
}

/* Latents at normal X do not depend on the window. */
static void infer_normal(struct counterfactual_run *c, uint32_t z)
{
	const struct gvae_entity *e = &c->m->g.entity[z];
	float gaussian[GVAE_LATENT * TILE];

	for (uint32_t i = e->first_x; i < e->first_x + e->xs; i++)
		for (size_t lane = 0; lane < TILE; lane++)
			c->normal[i * TILE + lane] = c->m->g.column[i].normal;
	model_infer_prior(c->m, &c->run, c->normal, z, gaussian);
	c->mean[z] = gaussian[0];
	c->spread[z] = gvae_deviation(gaussian[TILE]);
}

/* A latent's noise has a stream of its own, so it does not depend on what else is asked. */
static void draw_noise(struct counterfactual_run *c, uint32_t z)
{
	struct random random;

	if (c->draws <= 1)
		return;
	random_init(&random, c->seed, z);
	kernels_best()->noise(c->noise + z * c->tiles * TILE, c->tiles * TILE, &random);
}

static void abduct(struct counterfactual_run *c, uint32_t z)
{
	const struct gvae *g = &c->m->g;
	const struct gvae_net *encoder = &g->encoder[z];
	uint32_t latent = g->xs + g->ys + z;
	float gaussian[GVAE_LATENT * TILE];

	if (c->known[latent])
		return;
	c->known[latent] = true;
	for (uint32_t i = 0; i < encoder->shape.inputs; i++)
		read_column(c, g->source[encoder->first_source + i]);
	model_infer(c->m, &c->run, z, gaussian);
	memcpy(c->run.state + (size_t)latent * TILE, gaussian, TILE * sizeof(float));
	for (size_t lane = 0; lane < TILE; lane++)
		c->deviation[z * TILE + lane] = gvae_deviation(gaussian[TILE + lane]);
	infer_normal(c, z);
	draw_noise(c, z);
}

/* A node's first layer, before rectification, of everything as it was measured and abducted. */
static void prepare_node(struct counterfactual_run *c, uint32_t n)
{
	const struct gvae *g = &c->m->g;
	const struct gvae_net *d = &g->decoder[n];
	const float *w = c->m->weights + d->weight;
	size_t inputs = d->shape.inputs, hidden = d->shape.hidden;

	if (c->ready[n])
		return;
	c->ready[n] = true;
	for (size_t i = 0; i < inputs; i++) {
		uint32_t source = g->source[d->first_source + i];

		if (source < g->xs + g->ys)
			read_column(c, source);
		else
			abduct(c, source - g->xs - g->ys);
	}
	/* abduct() has used run.x */
	for (size_t i = 0; i < inputs; i++)
		memcpy(c->run.x + i * TILE,
			c->run.state + (size_t)g->source[d->first_source + i] * TILE,
			TILE * sizeof(float));
	kernels_best()->forward(c->first + n * c->hidden * TILE, c->run.x, w, w + hidden * inputs,
		inputs, hidden, false);
}

/* ---- one question ---- */

static int follow(const struct counterfactual_run *c, struct reach *reach,
	const struct intervention *set, size_t count)
{
	reach_begin(reach);
	for (size_t i = 0; i < count; i++) {
		uint32_t z = set[i].service < c->r->graph.entities ? c->service[set[i].service]
								   : GVAE_NONE;

		if (z == GVAE_NONE)
			return -ENOENT;
		reach_set_service(reach, z, set[i].resource);
	}
	reach_follow(reach);
	return 0;
}

int counterfactual_prepare(struct counterfactual_run *c, struct counterfactual_work *k,
	const struct intervention *set, size_t count)
{
	int err = follow(c, &k->reach, set, count);

	for (uint32_t i = 0; !err && i < k->reach.nodes; i++)
		prepare_node(c, k->reach.node[i]);
	return err;
}

int counterfactual_work_open(struct counterfactual_work *k, const struct counterfactual_run *c)
{
	const struct gvae *g = &c->m->g;
	size_t inputs = 1, kept = 1, lanes = c->tiles * TILE;
	size_t outputs = g->nodes * lanes * c->outputs, layer = lanes * c->hidden;

	memset(k, 0, sizeof(*k));
	for (uint32_t n = 0; n < g->nodes; n++) {
		inputs = larger(inputs, g->decoder[n].shape.inputs);
		kept = larger(kept, mlp_activations(&g->decoder[n].shape, c->tiles));
	}
	k->y = aligned_alloc(
		64, (outputs + lanes * inputs + layer + kept + (inputs + 1) * c->hidden * TILE) *
			    sizeof(float));
	if (!k->y || reach_open(&k->reach, &c->map)) {
		counterfactual_work_close(k);
		return -ENOMEM;
	}
	k->x = k->y + outputs;
	k->layer = k->x + lanes * inputs;
	k->kept = k->layer + layer;
	k->weight = k->kept + kept;
	k->bias = k->weight + inputs * c->hidden;
	return 0;
}

void counterfactual_work_close(struct counterfactual_work *k)
{
	reach_close(&k->reach);
	free(k->y);
	memset(k, 0, sizeof(*k));
}

/* An answer on its way. */
struct asking {
	const struct counterfactual_run *c;
	struct counterfactual_work *k;
	size_t tiles, window;
};

/* A touched node's tile of draws [outputs][T]. */
static float *drawn(const struct asking *a, uint32_t node, size_t tile)
{
	size_t outputs = a->c->m->g.decoder[node].shape.outputs;

	return a->k->y +
	       (a->k->reach.place[node] * a->tiles * a->c->outputs + tile * outputs) * TILE;
}

/*
 * How an input differs from what was measured: by `shift` in every draw, and by `scale` times a
 * number of each draw, one row of T every `stride`. NULL: by no such number.
 */
struct difference {
	float shift, scale;
	const float *lanes;
	size_t stride;
};

static struct difference difference_of(const struct asking *a, uint32_t source)
{
	const struct counterfactual_run *c = a->c;
	const struct gvae *g = &c->m->g;
	float measured = c->run.state[(size_t)source * TILE + a->window];
	uint32_t columns = g->xs + g->ys, z = source - columns;

	if (source < g->xs)
		return (struct difference){.shift = g->column[source].normal - measured};
	if (source < columns) {
		uint32_t node = c->map.node_of[source - g->xs];
		const struct gvae_net *d = &g->decoder[node];

		return (struct difference){.shift = -measured,
			.scale = 1,
			.lanes = drawn(a, node, 0) + (source - g->xs - d->output) * TILE,
			.stride = d->shape.outputs * TILE};
	}
	return (struct difference){.shift = a->k->reach.moved[source] ? c->mean[z] - measured : 0,
		.scale = a->k->reach.moved[source] ? c->spread[z]
						   : c->deviation[(size_t)z * TILE + a->window],
		.lanes = c->noise + z * c->tiles * TILE,
		.stride = TILE};
}

/* The first layer's inputs, weights and bias, as far as they differ. Returns how many inputs. */
static size_t gather(const struct asking *a, uint32_t n)
{
	const struct reach *reach = &a->k->reach;
	const struct gvae *g = &a->c->m->g;
	const struct gvae_net *d = &g->decoder[n];
	const float *w = a->c->m->weights + d->weight;
	size_t hidden = d->shape.hidden, inputs = 0, at = 0;

	for (size_t h = 0; h < hidden; h++)
		a->k->bias[h] = a->c->first[(n * a->c->hidden + h) * TILE + a->window];
	for (uint32_t i = reach->change_of[n]; i != GVAE_NONE; i = reach->change[i].next)
		inputs += reach->change[i].source >= g->xs;
	for (uint32_t i = reach->change_of[n]; i != GVAE_NONE; i = reach->change[i].next) {
		struct difference by = difference_of(a, reach->change[i].source);

		for (size_t h = 0; h < hidden; h++) {
			float weight = w[h * d->shape.inputs + reach->change[i].input];

			a->k->bias[h] += weight * by.shift;
			if (by.lanes)
				a->k->weight[h * inputs + at] = weight * by.scale;
		}
		if (!by.lanes)
			continue;
		for (size_t t = 0; t < a->tiles; t++)
			memcpy(a->k->x + (t * inputs + at) * TILE, by.lanes + t * by.stride,
				TILE * sizeof(float));
		at++;
	}
	return inputs;
}

/* The layers behind the first one are a net of their own. */
static void decode(const struct asking *a, uint32_t n)
{
	const struct gvae_net *d = &a->c->m->g.decoder[n];
	struct mlp rest = d->shape;
	size_t inputs = gather(a, n), hidden = d->shape.hidden;

	rest.inputs = d->shape.hidden;
	rest.layers--;
	for (size_t t = 0; t < a->tiles; t++)
		kernels_best()->forward(a->k->layer + t * hidden * TILE,
			a->k->x + t * inputs * TILE, a->k->weight, a->k->bias, inputs, hidden,
			true);
	mlp_forward(&rest, drawn(a, n, 0), a->k->kept, mlp_inputs(&rest, a->k->layer),
		a->c->m->weights + d->weight + hidden * (d->shape.inputs + 1), a->tiles);
}

static void read_slo(const struct asking *a, unsigned draws, float *out)
{
	const struct gvae *g = &a->c->m->g;
	uint32_t node = a->c->map.node_of[g->slo_y], output = g->slo_y - g->decoder[node].output;

	for (unsigned d = 0; d < draws; d++)
		out[d] = a->k->reach.place[node] == GVAE_NONE
				 ? a->c->observed[a->window]
				 : model_from_z(&g->column[g->xs + g->slo_y],
					   drawn(a, node, d / TILE)[output * TILE + d % TILE]);
}

void counterfactual_answer(const struct counterfactual_run *c, struct counterfactual_work *k,
	const struct intervention *set, size_t count, unsigned draws, float *out)
{
	struct asking a = {.c = c, .k = k, .tiles = (draws + TILE - 1) / TILE};

	follow(c, &k->reach, set, count);
	for (; a.window < c->windows; a.window++, out += draws) {
		for (uint32_t i = 0; i < k->reach.nodes; i++)
			decode(&a, k->reach.node[i]);
		read_slo(&a, draws, out);
	}
}

int model_counterfactual(const struct model *m, const struct recording *r, size_t row,
	const struct intervention *set, size_t interventions, unsigned draws, uint64_t seed,
	float *out)
{
	struct counterfactual_run c;
	struct counterfactual_work k = {0};
	int err = counterfactual_open(&c, m, r, draws ? draws : 1, seed);

	if (err)
		return err;
	err = counterfactual_work_open(&k, &c);
	if (!err)
		err = counterfactual_windows(&c, &row, 1);
	if (!err)
		err = counterfactual_prepare(&c, &k, set, interventions);
	if (!err)
		counterfactual_answer(&c, &k, set, interventions, c.draws, out);
	counterfactual_work_close(&k);
	counterfactual_close(&c);
	return err;
}
