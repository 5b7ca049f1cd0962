#include "analyzer/gvae_part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a source of the whole is in the part. */
enum role { ABSENT, GIVEN, DECODED, LATENT };

struct cut {
	struct gvae_part *p;
	const struct gvae *whole;
	const bool *learn;
	unsigned char *role; /* [S of the whole] */
	uint32_t *number;    /* [S of the whole] the part's source */
};

static bool learns_latent(const struct cut *c, uint32_t z)
{
	return c->learn[z] || c->learn[c->whole->entities + z];
}

static bool learns_node(const struct cut *c, uint32_t n)
{
	return c->learn[2 * c->whole->entities + n];
}

/* What a net reads, and is not of the part already. */
static void need_sources(struct cut *c, const struct gvae_net *net)
{
	const struct gvae *g = c->whole;

	for (uint32_t i = 0; i < net->shape.inputs; i++) {
		uint32_t s = g->source[net->first_source + i];

		if (c->role[s] == ABSENT)
			c->role[s] = s < g->xs + g->ys ? GIVEN : LATENT;
	}
	c->p->g.sources += net->shape.inputs;
}

static void assign_roles(struct cut *c)
{
	const struct gvae *g = c->whole;
	uint32_t latents = g->xs + g->ys;

	for (uint32_t n = 0; n < g->nodes; n++)
		for (uint32_t i = 0; learns_node(c, n) && i < g->decoder[n].shape.outputs; i++)
			c->role[g->xs + g->decoder[n].output + i] = DECODED;
	for (uint32_t z = 0; z < g->entities; z++)
		if (learns_latent(c, z))
			c->role[latents + z] = LATENT;
	for (uint32_t n = 0; n < g->nodes; n++)
		if (learns_node(c, n))
			need_sources(c, &g->decoder[n]);
	for (uint32_t z = 0; z < g->entities; z++)
		if (c->role[latents + z] == LATENT)
			need_sources(c, &g->encoder[z]); /* the prior's are the first of them */
}

/* Given ones first, then the decoded, then the latents, each as they stand in the whole. */
static void number_sources(struct cut *c)
{
	struct gvae *part = &c->p->g;
	uint32_t state = gvae_state(c->whole), count[LATENT + 1] = {0}, next[LATENT + 1] = {0};

	for (uint32_t s = 0; s < state; s++)
		count[c->role[s]]++;
	part->xs = count[GIVEN];
	part->ys = count[DECODED];
	part->entities = count[LATENT];
	next[DECODED] = part->xs;
	next[LATENT] = part->xs + part->ys;
	for (uint32_t s = 0; s < state; s++)
		c->number[s] = next[c->role[s]]++;
	for (uint32_t n = 0; n < c->whole->nodes; n++)
		part->nodes += learns_node(c, n);
}

static int take_room(struct gvae_part *p)
{
	struct gvae *g = &p->g;

	g->encoder = calloc(g->entities + 1, sizeof(*g->encoder));
	g->prior = calloc(g->entities + 1, sizeof(*g->prior));
	g->decoder = calloc(g->nodes + 1, sizeof(*g->decoder));
	g->source = calloc(g->sources + 1, sizeof(*g->source));
	p->column = calloc(g->xs + g->ys + 1, sizeof(*p->column));
	p->net = calloc(gvae_nets(g) + 1, sizeof(*p->net));
	return g->encoder && g->prior && g->decoder && g->source && p->column && p->net ? 0
											: -ENOMEM;
}

/* Returns how many sources are listed now. */
static uint32_t list_sources(const struct cut *c, const struct gvae_net *net, uint32_t listed)
{
	for (uint32_t i = 0; i < net->shape.inputs; i++)
		c->p->g.source[listed++] = c->number[c->whole->source[net->first_source + i]];
	return listed;
}

static void fill(struct cut *c)
{
	const struct gvae *g = c->whole;
	struct gvae *part = &c->p->g;
	uint32_t *net = c->p->net, latents = g->xs + g->ys, listed = 0, at = 0, node = 0;

	for (uint32_t s = 0; s < latents; s++)
		if (c->role[s] != ABSENT)
			c->p->column[c->number[s]] = s;
	for (uint32_t z = 0; z < g->entities; z++) {
		if (c->role[latents + z] != LATENT)
			continue;
		part->encoder[at] = (struct gvae_net){.shape = g->encoder[z].shape,
			.first_source = listed,
			.output = at,
			.fixed = !learns_latent(c, z)};
		part->prior[at] = part->encoder[at];
		part->prior[at].shape = g->prior[z].shape;
		net[at] = z;
		net[part->entities + at++] = g->entities + z;
		listed = list_sources(c, &g->encoder[z], listed);
	}
	for (uint32_t n = 0; n < g->nodes; n++) {
		if (!learns_node(c, n))
			continue;
		part->decoder[node] = (struct gvae_net){.shape = g->decoder[n].shape,
			.first_source = listed,
			.output = c->number[g->xs + g->decoder[n].output] - part->xs};
		net[2 * part->entities + node++] = 2 * g->entities + n;
		listed = list_sources(c, &g->decoder[n], listed);
	}
}

int gvae_part_open(struct gvae_part *p, const struct gvae *whole, const bool *learn)
{
	size_t state = gvae_state(whole);
	struct cut c = {.p = p,
		.whole = whole,
		.learn = learn,
		.role = calloc(state + 1, sizeof(*c.role)),
		.number = calloc(state + 1, sizeof(*c.number))};
	int err = -ENOMEM;

	*p = (struct gvae_part){0};
	if (c.role && c.number) {
		assign_roles(&c);
		number_sources(&c);
		err = take_room(p);
	}
	if (!err) {
		fill(&c);
		gvae_place(&p->g);
	} else {
		gvae_part_close(p);
	}
	free(c.role);
	free(c.number);
	return err;
}

void gvae_part_close(struct gvae_part *p)
{
	gvae_close(&p->g);
	free(p->column);
	free(p->net);
	*p = (struct gvae_part){0};
}

static size_t weights_size(const struct gvae_net *net)
{
	return net->shape.inputs ? mlp_parameters(&net->shape) * sizeof(float) : 0;
}

void gvae_part_take(
	const struct gvae_part *p, const struct gvae *whole, float *weights, const float *from)
{
	for (uint32_t i = 0; i < gvae_nets(&p->g); i++) {
		const struct gvae_net *net = gvae_net(&p->g, i);

		memcpy(weights + net->weight, from + gvae_net(whole, p->net[i])->weight,
			weights_size(net));
	}
}

void gvae_part_give(
	const struct gvae_part *p, const struct gvae *whole, const float *weights, float *to)
{
	for (uint32_t i = 0; i < gvae_nets(&p->g); i++) {
		const struct gvae_net *net = gvae_net(&p->g, i);

		if (!net->fixed)
			memcpy(to + gvae_net(whole, p->net[i])->weight, weights + net->weight,
				weights_size(net));
	}
}
