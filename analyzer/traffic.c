#include "analyzer/traffic.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UNSEEN_SHARE 0.25 /* of a service's requests: so many come by calls that nobody saw */

static void read_rates(struct traffic *t, const struct frame *f, float *scratch)
{
	const struct graph *g = t->g;

	for (uint32_t i = 0; i < g->entities; i++)
		if (frame_gather(f, i, "requests_per_s", scratch))
			t->rate[i] = fmax(0, frame_normal(f, scratch));
	for (uint32_t i = 0; i < g->entities; i++) {
		const struct entity *e = &g->entity[i];

		double sum = 0;

		for (uint32_t j = 0; j < e->ins; j++)
			sum += t->rate[e->in[j]];
		if (t->rate[i] <= 0)
			t->rate[i] = sum;
	}
	for (uint32_t i = 0; i < g->entities; i++) {
		const struct entity *e = &g->entity[i];

		if (e->kind == ENTITY_EDGE)
			t->calls[i] = t->rate[e->caller] > 0 && t->rate[i] > 0
					      ? t->rate[i] / t->rate[e->caller]
					      : 1;
	}
}

/* ---- callees before callers ---- */

/* A walk to whatever depth: the way here, and at each step the next call to follow. */
struct walk {
	uint32_t *path, *next; /* [entities] */
	bool *seen;            /* [entities] */
};

static void walk_from(struct traffic *t, struct walk *w, uint32_t service)
{
	size_t depth = 0;

	if (w->seen[service])
		return;
	w->seen[service] = true;
	w->path[depth++] = service;
	while (depth) {
		uint32_t at = w->path[depth - 1];
		const struct entity *e = &t->g->entity[at];

		if (w->next[at] < e->outs) {
			uint32_t callee = t->g->entity[e->out[w->next[at]++]].callee;

			if (!w->seen[callee]) {
				w->seen[callee] = true;
				w->path[depth++] = callee;
			}
			continue;
		}
		t->place[at] = (uint32_t)t->services;
		t->order[t->services++] = at;
		depth--;
	}
}

/* In a cycle, who is met first on the way of the requests is the caller. */
static int put_in_order(struct traffic *t)
{
	const struct graph *g = t->g;
	const struct entity *entry = &g->entity[t->entry];
	struct walk w = {.path = calloc(g->entities, sizeof(*w.path)),
		.next = calloc(g->entities, sizeof(*w.next)),
		.seen = calloc(g->entities, sizeof(*w.seen))};
	int error = -ENOMEM;

	if (w.path && w.next && w.seen) {
		walk_from(t, &w, entry->kind == ENTITY_EDGE ? entry->callee : t->entry);
		for (uint32_t i = 0; i < g->entities; i++)
			if (g->entity[i].kind == ENTITY_SERVICE && !g->entity[i].ins)
				walk_from(t, &w, i);
		for (uint32_t i = 0; i < g->entities; i++)
			if (g->entity[i].kind == ENTITY_SERVICE)
				walk_from(t, &w, i);
		error = 0;
	}
	free(w.path);
	free(w.next);
	free(w.seen);
	return error;
}

/* ---- visits ---- */

bool traffic_leads_on(const struct traffic *t, uint32_t edge)
{
	const struct entity *e = &t->g->entity[edge];

	return t->place[e->callee] < t->place[e->caller];
}

static double seen(double calls, double tail)
{
	return calls >= 1 ? calls : fmin(1, calls / tail);
}

double traffic_seen(const struct traffic *t, uint32_t edge, double tail)
{
	return seen(t->calls[edge], tail);
}

/* Requests that no known call brings: the way to this service is not all seen. */
static double unseen(const struct traffic *t, uint32_t service, double tail)
{
	const struct entity *e = &t->g->entity[service];
	double left = t->rate[service], whole = t->rate[t->entry];

	for (uint32_t i = 0; i < e->ins; i++)
		left -= t->rate[e->in[i]];
	return whole > 0 && left > UNSEEN_SHARE * t->rate[service] ? seen(left / whole, tail) : 0;
}

/* Calls that lead back are not followed. */
void traffic_visits(const struct traffic *t, double tail, double *visits)
{
	const struct entity *entry = &t->g->entity[t->entry];
	uint32_t front = entry->kind == ENTITY_EDGE ? entry->callee : t->entry;

	visits[t->entry] = 1;
	visits[front] = 1;
	for (size_t i = t->services; i-- > 0;) {
		uint32_t service = t->order[i];
		const struct entity *caller = &t->g->entity[service];

		if (service != front && strcmp(caller->name, GRAPH_USER))
			visits[service] += unseen(t, service, tail);
		for (uint32_t j = 0; j < caller->outs; j++) {
			uint32_t edge = caller->out[j];

			if (edge == t->entry)
				continue;
			visits[edge] = visits[service] * traffic_seen(t, edge, tail);
			if (traffic_leads_on(t, edge))
				visits[t->g->entity[edge].callee] += visits[edge];
		}
	}
}

int traffic_open(struct traffic *t, const struct frame *f, uint32_t entry)
{
	const struct graph *g = &f->r->graph;
	float *scratch = malloc((f->total + 1) * sizeof(*scratch));
	int error = -ENOMEM;

	*t = (struct traffic){.g = g,
		.entry = entry,
		.rate = calloc(g->entities, sizeof(*t->rate)),
		.calls = calloc(g->entities, sizeof(*t->calls)),
		.order = calloc(g->entities, sizeof(*t->order)),
		.place = calloc(g->entities, sizeof(*t->place))};
	if (scratch && t->rate && t->calls && t->order && t->place) {
		read_rates(t, f, scratch);
		error = put_in_order(t);
	}
	free(scratch);
	if (error)
		traffic_close(t);
	return error;
}

void traffic_close(struct traffic *t)
{
	free(t->rate);
	free(t->calls);
	free(t->order);
	free(t->place);
	*t = (struct traffic){0};
}
