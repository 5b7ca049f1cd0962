#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "analyzer/model_parts.h"

/* A column or a net of the old model by what it is named after. */
struct key {
	uint64_t hash;
	uint32_t index;
};

static int by_hash(const void *a, const void *b)
{
	const struct key *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

static const struct key *find(const struct key *key, uint32_t count, uint64_t hash)
{
	struct key wanted = {.hash = hash};

	return bsearch(&wanted, key, count, sizeof(*key), by_hash);
}

static uint64_t column_hash(const struct gvae *g, uint32_t source, uint64_t seed)
{
	const struct gvae_column *c = &g->column[source];

	if (source >= g->xs + g->ys) {
		const char *name = g->entity[source - g->xs - g->ys].name;

		return XXH3_64bits_withSeed(name, strlen(name), seed + 1);
	}
	seed = XXH3_64bits_withSeed(c->entity, strlen(c->entity), seed);
	return XXH3_64bits_withSeed(c->metric, strlen(c->metric), seed);
}

/* Weights mean something only with the scales they were learnt at. */
int model_inherit_scales(struct model *m, const struct model *old)
{
	uint32_t count = old->g.xs + old->g.ys;
	struct key *key = calloc(count + 1, sizeof(*key));

	if (!key)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		key[i] = (struct key){.hash = column_hash(&old->g, i, 0), .index = i};
	qsort(key, count, sizeof(*key), by_hash);
	for (uint32_t i = 0; i < m->g.xs + m->g.ys; i++) {
		const struct key *k = find(key, count, column_hash(&m->g, i, 0));

		if (!k)
			continue;
		m->g.column[i].center = old->g.column[k->index].center;
		m->g.column[i].spread = old->g.column[k->index].spread;
	}
	free(key);
	return 0;
}

/* Nets of one model in one row: encoders, priors, decoders. */
static uint32_t net_count(const struct gvae *g)
{
	return 2 * g->entities + g->nodes;
}

static const struct gvae_net *net_at(const struct gvae *g, uint32_t i)
{
	if (i < g->entities)
		return &g->encoder[i];
	return i < 2 * g->entities ? &g->prior[i - g->entities] : &g->decoder[i - 2 * g->entities];
}

/* The same for nets of one family with the same inputs, outputs and shape. */
static uint64_t net_hash(const struct gvae *g, uint32_t i)
{
	const struct gvae_net *net = net_at(g, i);
	uint64_t family = i < g->entities ? 0 : i < 2 * g->entities ? 1 : 2;
	uint64_t sizes[] = {family, net->shape.inputs, net->shape.hidden, net->shape.layers,
		net->shape.outputs};
	uint64_t hash = XXH3_64bits(sizes, sizeof(sizes));

	hash = column_hash(g, (family == 2 ? g->xs : g->xs + g->ys) + net->output, hash);
	for (uint32_t k = 0; k < net->shape.inputs; k++)
		hash = column_hash(g, g->source[net->first_source + k], hash);
	return hash;
}

int model_inherit_weights(struct model *m, const struct model *old)
{
	uint32_t count = net_count(&old->g);
	struct key *key = calloc(count + 1, sizeof(*key));

	if (!key)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		key[i] = (struct key){.hash = net_hash(&old->g, i), .index = i};
	qsort(key, count, sizeof(*key), by_hash);
	for (uint32_t i = 0; i < net_count(&m->g); i++) {
		const struct gvae_net *net = net_at(&m->g, i);
		const struct key *k = find(key, count, net_hash(&m->g, i));

		if (k && net->shape.inputs)
			memcpy(m->weights + net->weight,
				old->weights + net_at(&old->g, k->index)->weight,
				mlp_parameters(&net->shape) * sizeof(float));
	}
	free(key);
	return 0;
}
