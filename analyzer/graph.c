#include "analyzer/graph.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "analyzer/index.h"

#define HOST_PREFIX "host:"
#define ARROW "->"

void graph_init(struct graph *g)
{
	memset(g, 0, sizeof(*g));
}

void graph_clear(struct graph *g)
{
	for (uint32_t i = 0; i < g->entities; i++) {
		free(g->entity[i].name);
		free(g->entity[i].out);
		free(g->entity[i].in);
	}
	free(g->entity);
	index_free(g->index);
	graph_init(g);
}

static uint64_t name_hash(const char *name)
{
	return XXH3_64bits(name, strlen(name));
}

static bool has_name(const void *owner, uint32_t number, const void *key)
{
	const struct graph *g = owner;

	return !strcmp(g->entity[number].name, key);
}

uint32_t graph_find(const struct graph *g, const char *name)
{
	uint32_t number = index_find(g->index, name_hash(name), has_name, g, name);

	return number == INDEX_NONE ? GRAPH_NONE : number;
}

/* Room for one more in an array that doubles at powers of two. */
static bool room(void **array, uint32_t used, size_t size)
{
	void *bigger;

	if (used & (used - 1))
		return true;
	bigger = realloc(*array, (used ? 2 * (size_t)used : 1) * size);
	if (bigger)
		*array = bigger;
	return bigger;
}

static uint32_t add(struct graph *g, enum entity_kind kind, const char *name)
{
	uint32_t number = g->entities;
	struct index *index = g->index;
	char *copy;

	if (number == GRAPH_NONE || !room((void **)&g->entity, number, sizeof(*g->entity)))
		return GRAPH_NONE;
	copy = strdup(name);
	if (!copy || index_add(&index, name_hash(name), number)) {
		free(copy);
		return GRAPH_NONE;
	}
	g->index = index;
	g->entity[number] = (struct entity){.kind = kind,
		.name = copy,
		.caller = GRAPH_NONE,
		.callee = GRAPH_NONE,
		.host = GRAPH_NONE};
	g->entities++;
	return number;
}

static uint32_t find_or_add(struct graph *g, enum entity_kind kind, const char *name)
{
	uint32_t number = graph_find(g, name);

	return number == GRAPH_NONE ? add(g, kind, name) : number;
}

static bool service_name_ok(const char *name)
{
	return *name && !strstr(name, ARROW) && strncmp(name, HOST_PREFIX, strlen(HOST_PREFIX));
}

uint32_t graph_service(struct graph *g, const char *name)
{
	return service_name_ok(name) ? find_or_add(g, ENTITY_SERVICE, name) : GRAPH_NONE;
}

uint32_t graph_host(struct graph *g, const char *name)
{
	size_t prefix = strlen(HOST_PREFIX);

	if (strncmp(name, HOST_PREFIX, prefix) || !name[prefix] || strstr(name, ARROW))
		return GRAPH_NONE;
	return find_or_add(g, ENTITY_HOST, name);
}

/* Make room before anything is changed, so that a failure leaves no half edge. */
static uint32_t link_edge(struct graph *g, uint32_t caller, uint32_t callee, const char *name)
{
	struct entity *from = &g->entity[caller], *to = &g->entity[callee];
	uint32_t edge;

	if (!room((void **)&from->out, from->outs, sizeof(*from->out)) ||
		!room((void **)&to->in, to->ins, sizeof(*to->in)))
		return GRAPH_NONE;
	edge = add(g, ENTITY_EDGE, name);
	if (edge == GRAPH_NONE)
		return GRAPH_NONE;
	from = &g->entity[caller];
	to = &g->entity[callee];
	g->entity[edge].caller = caller;
	g->entity[edge].callee = callee;
	from->out[from->outs++] = edge;
	to->in[to->ins++] = edge;
	return edge;
}

uint32_t graph_edge(struct graph *g, const char *caller, const char *callee)
{
	uint32_t from, to, edge;
	char *name;

	if (!service_name_ok(caller) || !service_name_ok(callee) ||
		asprintf(&name, "%s" ARROW "%s", caller, callee) < 0)
		return GRAPH_NONE;
	edge = graph_find(g, name);
	if (edge == GRAPH_NONE) {
		from = graph_service(g, caller);
		to = graph_service(g, callee);
		if (from != GRAPH_NONE && to != GRAPH_NONE)
			edge = link_edge(g, from, to, name);
	}
	free(name);
	return edge;
}

uint32_t graph_entity(struct graph *g, const char *name)
{
	const char *arrow = strstr(name, ARROW);
	uint32_t edge;
	char *caller;

	if (!arrow) {
		if (!strncmp(name, HOST_PREFIX, strlen(HOST_PREFIX)))
			return graph_host(g, name);
		return graph_service(g, name);
	}
	caller = strndup(name, (size_t)(arrow - name));
	if (!caller)
		return GRAPH_NONE;
	edge = graph_edge(g, caller, arrow + strlen(ARROW));
	free(caller);
	return edge;
}

/* Entities keep their numbers because they are added in the order of the original. */
int graph_copy(struct graph *to, const struct graph *from)
{
	struct graph g;

	graph_init(&g);
	for (uint32_t i = 0; i < from->entities; i++) {
		const struct entity *e = &from->entity[i];
		uint32_t number = e->kind == ENTITY_EDGE
					  ? link_edge(&g, e->caller, e->callee, e->name)
					  : add(&g, e->kind, e->name);

		if (number == GRAPH_NONE) {
			graph_clear(&g);
			return -ENOMEM;
		}
		g.entity[number].host = e->host;
		memcpy(g.entity[number].protocol, e->protocol, sizeof(e->protocol));
	}
	*to = g;
	return 0;
}

/* Length of the UTF-8 sequence at s without control characters, 0 when it is none. */
static size_t utf8_length(const unsigned char *s)
{
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (s[0] < 0x20 || s[0] == 0x7f || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates and what lies beyond Unicode. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

bool graph_can_show(const char *name)
{
	const unsigned char *s = (const unsigned char *)name;

	while (*s) {
		size_t length = utf8_length(s);

		if (!length)
			return false;
		s += length;
	}
	return true;
}

/*
 * Strongly connected components (Tarjan 1972) with the recursion unrolled: a
 * call chain may be longer than a stack is deep. Components leave the stack
 * callees first, which is the order wanted.
 */
struct walk {
	const struct graph *g;
	uint32_t *seen;  /* [entities] order of discovery, 0 = not yet */
	uint32_t *low;   /* [entities] oldest member of the stack it reaches */
	uint32_t *next;  /* [entities] next outgoing edge to follow */
	uint32_t *path;  /* [entities] services being visited */
	uint32_t *stack; /* [entities] services without a component yet */
	bool *stacked;   /* [entities] */
	uint32_t discovered, depth, height;
};

static void enter(struct walk *w, uint32_t service)
{
	w->seen[service] = w->low[service] = ++w->discovered;
	w->path[w->depth++] = service;
	w->stack[w->height++] = service;
	w->stacked[service] = true;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static bool calls_itself(const struct graph *g, uint32_t service)
{
	for (uint32_t i = 0; i < g->entity[service].outs; i++)
		if (g->entity[g->entity[service].out[i]].callee == service)
			return true;
	return false;
}

/* Take the component whose oldest member is `root` off the stack. Returns its size. */
static uint32_t take_component(struct walk *w, uint32_t root, uint32_t *order, bool *cyclic)
{
	uint32_t size = 0, service;

	do {
		service = w->stack[--w->height];
		w->stacked[service] = false;
		order[size++] = service;
	} while (service != root);
	qsort(order, size, sizeof(*order), by_number);
	for (uint32_t i = 0; cyclic && i < size; i++)
		cyclic[order[i]] = size > 1 || calls_itself(w->g, root);
	return size;
}

static uint32_t visit(struct walk *w, uint32_t start, uint32_t *order, bool *cyclic)
{
	uint32_t done = 0;

	enter(w, start);
	while (w->depth) {
		uint32_t service = w->path[w->depth - 1];
		const struct entity *e = &w->g->entity[service];

		if (w->next[service] < e->outs) {
			uint32_t callee = w->g->entity[e->out[w->next[service]++]].callee;

			if (!w->seen[callee])
				enter(w, callee);
			else if (w->stacked[callee] && w->seen[callee] < w->low[service])
				w->low[service] = w->seen[callee];
			continue;
		}
		w->depth--;
		if (w->depth && w->low[service] < w->low[w->path[w->depth - 1]])
			w->low[w->path[w->depth - 1]] = w->low[service];
		if (w->low[service] == w->seen[service])
			done += take_component(w, service, order + done, cyclic);
	}
	return done;
}

long graph_order(const struct graph *g, uint32_t *order, bool *cyclic)
{
	size_t n = g->entities;
	uint32_t *block = calloc(n ? 5 * n : 1, sizeof(*block));
	bool *stacked = calloc(n ? n : 1, sizeof(*stacked));
	long count = -ENOMEM;

	if (block && stacked) {
		struct walk w = {.g = g,
			.seen = block,
			.low = block + n,
			.next = block + 2 * n,
			.path = block + 3 * n,
			.stack = block + 4 * n,
			.stacked = stacked};

		if (cyclic)
			memset(cyclic, 0, n * sizeof(*cyclic));
		count = 0;
		for (uint32_t i = 0; i < n; i++)
			if (g->entity[i].kind == ENTITY_SERVICE && !w.seen[i])
				count += visit(&w, i, order + count, cyclic);
	}
	free(block);
	free(stacked);
	return count;
}
