#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "analyzer/model_parts.h"

/*
 * A model as bytes, little-endian as on the machine that wrote it (it does not travel):
 * magic, counts, entities, columns, nets, sources, weights, expected errors, then XXH3 of all that.
 */
#define MAGIC 0x326d6567u /* "gem2" */
#define MOST 10000000u    /* of anything counted in a blob */
#define WIDEST 4096u      /* units of a layer, and layers */

struct out {
	char *at; /* NULL while measuring */
	size_t size;
};

static void put(struct out *o, const void *from, size_t size)
{
	if (o->at && size)
		memcpy(o->at + o->size, from, size);
	o->size += size;
}

static void put_u32(struct out *o, uint32_t v)
{
	put(o, &v, sizeof(v));
}

static void put_text(struct out *o, const char *text)
{
	put_u32(o, (uint32_t)strlen(text));
	put(o, text, strlen(text));
}

static void put_nets(struct out *o, const struct gvae_net *net, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t field[] = {net[i].shape.inputs, net[i].shape.hidden,
			net[i].shape.layers, net[i].shape.outputs, net[i].first_source,
			net[i].output};

		put(o, field, sizeof(field));
	}
}

static void put_model(struct out *o, const struct model *m)
{
	const struct gvae *g = &m->g;
	const uint32_t count[] = {MAGIC, g->entities, g->xs, g->ys, g->nodes, g->sources, g->slo_y};

	put(o, count, sizeof(count));
	for (uint32_t i = 0; i < g->entities; i++) {
		put_text(o, g->entity[i].name);
		put_u32(o, g->entity[i].callee);
		put_u32(o, g->entity[i].edge);
		put_u32(o, g->entity[i].first_x);
		put_u32(o, g->entity[i].xs);
	}
	for (uint32_t i = 0; i < g->xs + g->ys; i++) {
		const struct gvae_column *c = &g->column[i];
		const float scale[] = {c->center, c->spread, c->typical, c->normal};

		put_text(o, c->entity);
		put_text(o, c->metric);
		put_u32(o, c->log);
		put(o, scale, sizeof(scale));
	}
	put_nets(o, g->encoder, g->entities);
	put_nets(o, g->prior, g->entities);
	put_nets(o, g->decoder, g->nodes);
	put(o, g->source, g->sources * sizeof(*g->source));
	put(o, m->weights, g->parameters * sizeof(*m->weights));
	put(o, m->expected, g->nodes * sizeof(*m->expected));
}

int model_save(const struct model *m, void **blob, size_t *size)
{
	struct out o = {0};
	uint64_t sum;

	put_model(&o, m);
	o.at = malloc(o.size + sizeof(sum));
	if (!o.at)
		return -ENOMEM;
	o.size = 0;
	put_model(&o, m);
	sum = XXH3_64bits(o.at, o.size);
	put(&o, &sum, sizeof(sum));
	*blob = o.at;
	*size = o.size;
	return 0;
}

/* What is left of a blob; `bad` once something did not fit. */
struct in {
	const char *at;
	size_t left;
	bool bad;
};

static void get(struct in *in, void *to, size_t size)
{
	if (in->bad || size > in->left) {
		in->bad = true;
		memset(to, 0, size);
		return;
	}
	if (size)
		memcpy(to, in->at, size);
	in->at += size;
	in->left -= size;
}

static uint32_t get_u32(struct in *in)
{
	uint32_t v;

	get(in, &v, sizeof(v));
	return v;
}

static char *get_text(struct in *in)
{
	uint32_t length = get_u32(in);
	char *text;

	if (in->bad || length > in->left) {
		in->bad = true;
		return NULL;
	}
	text = strndup(in->at, length);
	in->bad |= !text;
	in->at += length;
	in->left -= length;
	return text;
}

/* Room for `count` of something that takes at least `bytes` of the blob each. */
static void *get_array(struct in *in, uint32_t count, size_t bytes, size_t size)
{
	void *array = NULL;

	if (!in->bad && count <= MOST && count * bytes <= in->left)
		array = calloc((size_t)count + 1, size);
	in->bad |= !array;
	return array;
}

static void get_entities(struct in *in, struct gvae *g)
{
	g->entity = get_array(in, g->entities, 20, sizeof(*g->entity));
	for (uint32_t i = 0; !in->bad && i < g->entities; i++) {
		struct gvae_entity *e = &g->entity[i];

		e->name = get_text(in);
		e->callee = get_u32(in);
		e->edge = get_u32(in);
		e->first_x = get_u32(in);
		e->xs = get_u32(in);
		in->bad |= (e->callee != GVAE_NONE && e->callee >= g->entities) ||
			   e->first_x > g->xs || e->xs > g->xs - e->first_x;
	}
}

static void get_columns(struct in *in, struct gvae *g)
{
	g->column = get_array(in, g->xs + g->ys, 28, sizeof(*g->column));
	for (uint32_t i = 0; !in->bad && i < g->xs + g->ys; i++) {
		struct gvae_column *c = &g->column[i];
		float scale[4];

		c->entity = get_text(in);
		c->metric = get_text(in);
		c->log = get_u32(in);
		get(in, scale, sizeof(scale));
		c->center = scale[0];
		c->spread = scale[1];
		c->typical = scale[2];
		c->normal = scale[3];
		in->bad |= !isfinite(c->center) || !(c->spread > 0) || !isfinite(c->typical) ||
			   !isfinite(c->normal);
	}
}

/* A decoder puts out Y columns; an encoder or a prior the two numbers of an entity's latent. */
static bool output_fits(const struct gvae *g, bool decoder, uint32_t output, uint32_t count)
{
	if (decoder)
		return output < g->ys && count >= 1 && count <= GVAE_LATENT &&
		       count <= g->ys - output;
	return output < g->entities && count == GVAE_LATENT;
}

static struct gvae_net *get_nets(struct in *in, const struct gvae *g, uint32_t count, bool decoder)
{
	struct gvae_net *net = get_array(in, count, 24, sizeof(*net));

	for (uint32_t i = 0; !in->bad && i < count; i++) {
		uint32_t field[6];

		get(in, field, sizeof(field));
		net[i].shape = (struct mlp){field[0], field[1], field[2], field[3]};
		net[i].first_source = field[4];
		net[i].output = field[5];
		in->bad |= field[4] > g->sources || field[0] > g->sources - field[4] ||
			   field[1] - 1 >= WIDEST || field[2] - 1 >= WIDEST ||
			   !output_fits(g, decoder, field[5], field[3]);
	}
	return net;
}

static void get_model(struct in *in, struct model *m)
{
	struct gvae *g = &m->g;
	uint32_t count[7];

	get(in, count, sizeof(count));
	for (size_t i = 1; i < 7; i++)
		in->bad |= count[i] > MOST;
	if (in->bad || count[0] != MAGIC || count[6] >= count[3]) {
		in->bad = true;
		return;
	}
	g->entities = count[1];
	g->xs = count[2];
	g->ys = count[3];
	g->nodes = count[4];
	g->sources = count[5];
	g->slo_y = count[6];
	get_entities(in, g);
	get_columns(in, g);
	g->encoder = get_nets(in, g, g->entities, false);
	g->prior = get_nets(in, g, g->entities, false);
	g->decoder = get_nets(in, g, g->nodes, true);
	g->source = get_array(in, g->sources, sizeof(*g->source), sizeof(*g->source));
	if (in->bad)
		return;
	get(in, g->source, g->sources * sizeof(*g->source));
	for (uint32_t i = 0; i < g->sources; i++)
		in->bad |= g->source[i] >= gvae_state(g);
	gvae_place(g);
	in->bad |= g->parameters > in->left / sizeof(*m->weights);
	m->weights = in->bad ? NULL : malloc((g->parameters + 1) * sizeof(*m->weights));
	m->expected = in->bad ? NULL : malloc((g->nodes + 1) * sizeof(*m->expected));
	in->bad |= !m->weights || !m->expected;
	if (in->bad)
		return;
	get(in, m->weights, g->parameters * sizeof(*m->weights));
	get(in, m->expected, g->nodes * sizeof(*m->expected));
}

int model_load(struct model **out, const void *blob, size_t size)
{
	struct in in = {.at = blob, .left = size};
	struct model *m;
	uint64_t sum;

	if (size < sizeof(sum))
		return -EBADMSG;
	in.left -= sizeof(sum);
	memcpy(&sum, (const char *)blob + in.left, sizeof(sum));
	if (sum != XXH3_64bits(blob, in.left))
		return -EBADMSG;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	get_model(&in, m);
	if (in.bad || in.left) {
		model_free(m);
		return -EBADMSG;
	}
	*out = m;
	return 0;
}
