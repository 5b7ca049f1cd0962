#include "analyzer/fleet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)XXH3_64bits(key, size))
#include <uthash.h>

static const enum container_metric kept[FLEET_KEPT] = {METRIC_CPU_CORES, METRIC_CPU_LIMIT_CORES,
	METRIC_MEM_BYTES, METRIC_BLK_READ_BYTES, METRIC_BLK_WRITE_BYTES, METRIC_NET_TX_BYTES};

struct place_key {
	uint64_t cgroup_id;
	uint64_t agent;
};

struct place {
	struct place_key key;
	uint32_t number;
	UT_hash_handle hh;
};

struct named {
	char name[WIRE_NAME];
	uint32_t number;
	UT_hash_handle hh;
};

void fleet_init(struct fleet *f)
{
	memset(f, 0, sizeof(*f));
}

static void forget(struct fleet *f, uint32_t number)
{
	struct fleet_container *c = f->container[number];
	struct place *index = f->index;

	HASH_DEL(index, (struct place *)c->link);
	f->index = index;
	free(c->link);
	free((char *)c->name);
	free(c);
	f->container[number] = NULL;
}

void fleet_clear(struct fleet *f)
{
	for (uint32_t i = 0; i < f->containers; i++)
		if (f->container[i])
			forget(f, i);
	for (struct named *n = f->names, *next; n; n = next) {
		struct named *names = f->names;

		next = n->hh.next;
		HASH_DEL(names, n);
		f->names = names;
		free(n);
	}
	free(f->container);
	free(f->agent);
	fleet_init(f);
}

static uint32_t add_agent(struct fleet *f, const char *name)
{
	struct named *names = f->names, *n = calloc(1, sizeof(*n));
	struct fleet_agent *grown = NULL;

	if (n && f->agents < FLEET_MAX_AGENTS)
		grown = realloc(f->agent, (f->agents + 1) * sizeof(*f->agent));
	if (!grown) {
		free(n);
		f->refused++;
		return FLEET_NONE;
	}
	f->agent = grown;
	memset(&grown[f->agents], 0, sizeof(*grown));
	snprintf(grown[f->agents].name, sizeof(grown->name), "%s", name);
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->number = f->agents;
	HASH_ADD_STR(names, name, n);
	f->names = names;
	return f->agents++;
}

uint32_t fleet_agent(struct fleet *f, const char *name)
{
	struct named *n, *names = f->names;

	HASH_FIND_STR(names, name, n);
	return n ? n->number : add_agent(f, name);
}

void fleet_heard(struct fleet_agent *a, const uint8_t boot_id[16], const struct wire_window *w,
	uint64_t now_ns, double now_s)
{
	uint64_t end_ns = w->start_ns + w->duration_ns;

	if (memcmp(a->boot_id, boot_id, sizeof(a->boot_id))) {
		memcpy(a->boot_id, boot_id, sizeof(a->boot_id));
		memset(a->boot_loss, 0, sizeof(a->boot_loss));
	}
	for (unsigned i = 0; i < WIRE_LOSSES; i++) {
		if (w->loss[i] <= a->boot_loss[i])
			continue;
		a->loss[i] += w->loss[i] - a->boot_loss[i];
		a->boot_loss[i] = w->loss[i];
	}
	if (end_ns > a->reached_ns)
		a->reached_ns = end_ns;
	a->heard_ns = now_ns;
	a->last_seen_s = now_s;
	a->windows++;
}

static uint32_t free_slot(struct fleet *f)
{
	struct fleet_container **grown;

	for (uint32_t i = 0; f->containers >= FLEET_MAX_CONTAINERS && i < f->containers; i++)
		if (!f->container[i])
			return i;
	if (f->containers >= FLEET_MAX_CONTAINERS)
		return FLEET_NONE;
	grown = realloc(f->container, (f->containers + 1) * sizeof(struct fleet_container *));
	if (!grown)
		return FLEET_NONE;
	f->container = grown;
	grown[f->containers] = NULL;
	return f->containers++;
}

static struct fleet_container *new_container(const struct place_key *key)
{
	struct fleet_container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = (uint32_t)key->agent;
	c->cgroup_id = key->cgroup_id;
	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		c->now[m] = NAN;
	c->name = calloc(1, 1);
	if (!c->name) {
		free(c);
		return NULL;
	}
	c->service = c->group = c->path = c->name;
	return c;
}

static uint32_t add_container(struct fleet *f, const struct place_key *key)
{
	struct place *index = f->index, *p = calloc(1, sizeof(*p));
	struct fleet_container *c = new_container(key);
	uint32_t number = p && c ? free_slot(f) : FLEET_NONE;

	if (number == FLEET_NONE) {
		free(p);
		if (c)
			free((char *)c->name);
		free(c);
		f->refused++;
		return FLEET_NONE;
	}
	p->key = *key;
	p->number = number;
	HASH_ADD(hh, index, key, sizeof(p->key), p);
	f->index = index;
	c->link = p;
	f->container[number] = c;
	return number;
}

/* Out of memory: the old names stay until the next window. */
static void rename_container(struct fleet_container *c, const struct wire_container *w)
{
	const char *const text[] = {w->name, w->service, w->group, w->path};
	const char **const name[] = {&c->name, &c->service, &c->group, &c->path};
	size_t size = 0;
	char *block, *at;

	for (size_t i = 0; i < 4; i++)
		size += strlen(text[i]) + 1;
	block = at = malloc(size);
	if (!block)
		return;
	free((char *)c->name);
	for (size_t i = 0; i < 4; i++) {
		*name[i] = at;
		at = stpcpy(at, text[i]) + 1;
	}
}

static bool same_names(const struct fleet_container *c, const struct wire_container *w)
{
	return !strcmp(c->path, w->path) && !strcmp(c->service, w->service) &&
	       !strcmp(c->name, w->name) && !strcmp(c->group, w->group);
}

uint32_t fleet_container(
	struct fleet *f, uint32_t agent, const struct wire_container *w, uint64_t now_ns)
{
	struct place_key key = {.cgroup_id = w->cgroup_id, .agent = agent};
	struct place *p, *index = f->index;
	struct fleet_container *c;
	uint32_t number;

	HASH_FIND(hh, index, &key, sizeof(key), p);
	number = p ? p->number : add_container(f, &key);
	if (number == FLEET_NONE)
		return FLEET_NONE;
	c = f->container[number];
	if (!same_names(c, w))
		rename_container(c, w);
	c->seen_ns = now_ns;
	return number;
}

void fleet_measured(struct fleet_container *c, const float value[CONTAINER_METRICS], bool normal)
{
	memcpy(c->now, value, sizeof(c->now));
	if (!normal)
		return;
	for (unsigned k = 0; k < FLEET_KEPT; k++)
		c->ring[c->ring_next][k] = value[kept[k]];
	c->ring_next = (c->ring_next + 1) % FLEET_NORMAL;
	if (c->rings < FLEET_NORMAL)
		c->rings++;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

void fleet_normal(const struct fleet_container *c, float out[CONTAINER_METRICS])
{
	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		out[m] = NAN;
	for (unsigned k = 0; k < FLEET_KEPT; k++) {
		float sorted[FLEET_NORMAL];
		unsigned n = 0;

		for (unsigned i = 0; i < c->rings; i++)
			if (!isnan(c->ring[i][k]))
				sorted[n++] = c->ring[i][k];
		qsort(sorted, n, sizeof(*sorted), by_value);
		if (n >= FLEET_NORMAL_LEAST)
			out[kept[k]] = sorted[n / 2];
	}
}

void fleet_trim(struct fleet *f, uint64_t now_ns)
{
	for (uint32_t i = 0; i < f->containers; i++) {
		const struct fleet_container *c = f->container[i];

		if (c && now_ns > c->seen_ns + FLEET_FORGET_S * 1000000000ULL)
			forget(f, i);
	}
}
