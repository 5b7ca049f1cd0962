#include "analyzer/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the map ---- */

static bool is_latent(const struct gvae *g, uint32_t source)
{
	return source >= g->xs + g->ys;
}

/* From counts, each one place further on, to where the lists begin. */
static void add_up(uint32_t *first, uint32_t lists)
{
	for (uint32_t i = 0; i < lists; i++)
		first[i + 1] += first[i];
}

/* Filling a list moves its beginning to its end, which is where the next one begins. */
static void move_back(uint32_t *first, uint32_t lists)
{
	memmove(first + 1, first, lists * sizeof(*first));
	first[0] = 0;
}

static void list_readers(struct reach_map *map)
{
	const struct gvae *g = map->g;
	uint32_t latents = 0;

	for (uint32_t n = 0; n < g->nodes; n++) {
		const struct gvae_net *d = &g->decoder[n];

		for (uint32_t i = 0; i < d->shape.outputs; i++)
			map->node_of[d->output + i] = n;
		for (uint32_t i = 0; i < d->shape.inputs; i++) {
			uint32_t source = g->source[d->first_source + i];

			map->first_reader[source + 1]++;
			if (is_latent(g, source))
				map->latent[latents++] = i;
		}
		map->first_latent[n + 1] = latents;
	}
	add_up(map->first_reader, gvae_state(g));
	for (uint32_t n = 0; n < g->nodes; n++)
		for (uint32_t i = 0; i < g->decoder[n].shape.inputs; i++) {
			uint32_t source = g->source[g->decoder[n].first_source + i];

			map->reader[map->first_reader[source]++] = (struct reach_reader){n, i};
		}
	move_back(map->first_reader, gvae_state(g));
}

static void list_edges(struct reach_map *map)
{
	const struct gvae *g = map->g;

	for (uint32_t z = 0; z < g->entities; z++)
		if (g->entity[z].edge && g->entity[z].callee != GVAE_NONE)
			map->first_edge[g->entity[z].callee + 1]++;
	add_up(map->first_edge, g->entities);
	for (uint32_t z = 0; z < g->entities; z++)
		if (g->entity[z].edge && g->entity[z].callee != GVAE_NONE)
			map->edge[map->first_edge[g->entity[z].callee]++] = z;
	move_back(map->first_edge, g->entities);
}

int reach_map_open(struct reach_map *map, const struct gvae *g)
{
	size_t state = gvae_state(g), inputs = 0, numbers;

	for (uint32_t n = 0; n < g->nodes; n++)
		inputs += g->decoder[n].shape.inputs;
	numbers = g->ys + (state + 1) + (g->nodes + 1) + inputs + (g->entities + 1) + g->entities;
	*map = (struct reach_map){.g = g, .inputs = (uint32_t)inputs};
	map->node_of = calloc(numbers, sizeof(*map->node_of));
	map->reader = calloc(inputs + 1, sizeof(*map->reader));
	if (!map->node_of || !map->reader) {
		reach_map_close(map);
		return -ENOMEM;
	}
	map->first_reader = map->node_of + g->ys;
	map->first_latent = map->first_reader + state + 1;
	map->latent = map->first_latent + g->nodes + 1;
	map->first_edge = map->latent + inputs;
	map->edge = map->first_edge + g->entities + 1;
	list_readers(map);
	list_edges(map);
	return 0;
}

void reach_map_close(struct reach_map *map)
{
	free(map->node_of);
	free(map->reader);
	*map = (struct reach_map){0};
}

/* ---- one intervention ---- */

int reach_open(struct reach *r, const struct reach_map *map)
{
	size_t state = gvae_state(map->g), nodes = map->g->nodes;

	*r = (struct reach){.map = map};
	r->source = calloc(state + 3 * nodes + 1, sizeof(*r->source));
	r->change = calloc(map->inputs + 1, sizeof(*r->change));
	r->moved = calloc(state, sizeof(*r->moved));
	if (!r->source || !r->change || !r->moved) {
		reach_close(r);
		return -ENOMEM;
	}
	r->node = r->source + state;
	r->place = r->node + nodes;
	r->change_of = r->place + nodes;
	memset(r->place, 0xff, nodes * sizeof(*r->place)); /* GVAE_NONE */
	return 0;
}

void reach_close(struct reach *r)
{
	free(r->source);
	free(r->change);
	free(r->moved);
	*r = (struct reach){0};
}

void reach_begin(struct reach *r)
{
	for (uint32_t i = 0; i < r->sources; i++)
		r->moved[r->source[i]] = false;
	for (uint32_t i = 0; i < r->nodes; i++)
		r->place[r->node[i]] = GVAE_NONE;
	r->sources = r->nodes = r->changes = 0;
}

void reach_set(struct reach *r, uint32_t source)
{
	if (r->moved[source])
		return;
	r->moved[source] = true;
	r->source[r->sources++] = source;
}

static void set_entity(struct reach *r, uint32_t z, enum resource resource)
{
	const struct gvae *g = r->map->g;
	const struct gvae_entity *e = &g->entity[z];
	bool latent = resource == RESOURCE_NONE || resource == RESOURCE_CODE ||
		      (e->edge && resource == RESOURCE_NETWORK);

	for (uint32_t i = e->first_x; i < e->first_x + e->xs; i++)
		if (resource == RESOURCE_NONE ||
			resource == resource_of_metric(g->column[i].metric))
			reach_set(r, i);
	if (latent)
		reach_set(r, g->xs + g->ys + z);
}

void reach_set_service(struct reach *r, uint32_t z, enum resource resource)
{
	const struct reach_map *map = r->map;
	bool network = resource == RESOURCE_NONE || resource == RESOURCE_NETWORK;

	set_entity(r, z, resource);
	for (uint32_t i = map->first_edge[z]; network && i < map->first_edge[z + 1]; i++)
		set_entity(r, map->edge[i], resource);
}

static void add_change(struct reach *r, uint32_t node, uint32_t source, uint32_t input)
{
	r->change[r->changes] = (struct reach_change){source, input, r->change_of[node]};
	r->change_of[node] = r->changes++;
}

/* Its latents are drawn from now on, and its latencies decoded. */
static void touch(struct reach *r, uint32_t node)
{
	const struct reach_map *map = r->map;
	const struct gvae_net *d = &map->g->decoder[node];

	if (r->place[node] != GVAE_NONE)
		return;
	r->place[node] = r->nodes;
	r->node[r->nodes++] = node;
	r->change_of[node] = GVAE_NONE;
	for (uint32_t i = map->first_latent[node]; i < map->first_latent[node + 1]; i++)
		add_change(
			r, node, map->g->source[d->first_source + map->latent[i]], map->latent[i]);
	for (uint32_t i = 0; i < d->shape.outputs; i++)
		reach_set(r, map->g->xs + d->output + i);
}

static int ascending(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void reach_follow(struct reach *r)
{
	const struct reach_map *map = r->map;

	for (uint32_t i = 0; i < r->sources; i++) { /* grows meanwhile */
		uint32_t source = r->source[i];

		for (uint32_t k = map->first_reader[source]; k < map->first_reader[source + 1];
			k++) {
			const struct reach_reader *reader = &map->reader[k];

			touch(r, reader->node);
			if (!is_latent(map->g, source))
				add_change(r, reader->node, source, reader->input);
		}
	}
	if (r->nodes)
		qsort(r->node, r->nodes, sizeof(*r->node), ascending);
	for (uint32_t i = 0; i < r->nodes; i++)
		r->place[r->node[i]] = i;
}
