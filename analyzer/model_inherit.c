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

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static const struct key *find(const struct key *key, uint32_t count, uint64_t hash)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (key[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && key[low].hash == hash ? &key[low] : NULL;
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

/* The same for nets of one family with the same outputs and shape, whatever they read. */
static uint64_t role_hash(const struct gvae *g, uint32_t i)
{
	const struct gvae_net *net = gvae_net(g, i);
	bool decoder = i >= 2 * g->entities;
	uint64_t family = decoder ? 2 : i < g->entities ? 0 : 1;
	uint64_t sizes[] = {family, net->shape.hidden, net->shape.layers, net->shape.outputs};
	uint64_t hash = XXH3_64bits(sizes, sizeof(sizes));

	if (!decoder)
		return column_hash(g, g->xs + g->ys + net->output, hash);
	for (uint32_t k = 0; k < net->shape.outputs; k++)
		hash = column_hash(g, g->xs + net->output + k, hash);
	return hash;
}

static uint64_t source_hash(const struct gvae *g, const struct gvae_net *net, uint32_t input)
{
	return column_hash(g, g->source[net->first_source + input], 0);
}

/* A net's inputs by what they are named after. */
static void list_inputs(struct key *key, const struct gvae *g, const struct gvae_net *net)
{
	for (uint32_t i = 0; i < net->shape.inputs; i++)
		key[i] = (struct key){.hash = source_hash(g, net, i), .index = i};
	qsort(key, net->shape.inputs, sizeof(*key), by_hash);
}

/*
 * Weights of the inputs that both have, in whatever order. One that stands twice in both is two
 * inputs. Returns how many; `to` may be NULL.
 */
static uint32_t copy_inputs(float *to, const struct key *new, unsigned news, const float *from,
	const struct key *old, unsigned olds, unsigned hidden)
{
	uint32_t found = 0, k = 0;

	for (uint32_t i = 0; i < news; i++) {
		while (k < olds && old[k].hash < new[i].hash)
			k++;
		if (k == olds || old[k].hash != new[i].hash)
			continue;
		for (size_t h = 0; to && h < hidden; h++)
			to[h * news + new[i].index] = from[h * olds + old[k].index];
		found++;
		k++;
	}
	return found;
}

/* An input that is new counts for nothing at first. */
static int inherit_net(struct model *m, const struct gvae_net *net, const struct model *old,
	const struct gvae_net *was, bool *same)
{
	unsigned inputs = net->shape.inputs, before = was->shape.inputs;
	size_t hidden = net->shape.hidden, first = hidden * inputs;
	float *to = m->weights + net->weight;
	const float *from = old->weights + was->weight;
	struct key *key = calloc((size_t)inputs + before + 1, sizeof(*key));
	uint32_t found;

	if (!key)
		return -ENOMEM;
	list_inputs(key, &m->g, net);
	list_inputs(key + inputs, &old->g, was);
	found = copy_inputs(NULL, key, inputs, from, key + inputs, before, net->shape.hidden);
	*same = found == inputs && found == before;
	if (found && 2 * found >= inputs) {
		memset(to, 0, first * sizeof(*to));
		copy_inputs(to, key, inputs, from, key + inputs, before, net->shape.hidden);
		memcpy(to + first, from + hidden * before,
			(mlp_parameters(&net->shape) - first) * sizeof(*to));
	}
	free(key);
	return 0;
}

int model_inherit_weights(struct model *m, const struct model *old, bool *same)
{
	uint32_t count = gvae_nets(&old->g), decoders = 2 * m->g.entities;
	struct key *key = calloc((size_t)count + 1, sizeof(*key));
	int err = key ? 0 : -ENOMEM;

	for (uint32_t i = 0; key && i < count; i++)
		key[i] = (struct key){.hash = role_hash(&old->g, i), .index = i};
	if (key)
		qsort(key, count, sizeof(*key), by_hash);
	for (uint32_t i = 0; !err && i < gvae_nets(&m->g); i++) {
		const struct key *k = find(key, count, role_hash(&m->g, i));

		if (k && i >= decoders)
			m->expected[i - decoders] = old->expected[k->index - 2 * old->g.entities];
		if (k)
			err = inherit_net(
				m, gvae_net(&m->g, i), old, gvae_net(&old->g, k->index), &same[i]);
	}
	free(key);
	return err;
}
