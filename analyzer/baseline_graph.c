/* Baselines that walk the call graph by the services' latencies alone. */
#include "analyzer/baseline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is known of each service: [entities]. */
struct seen {
	double *follows;  /* 0..1: how its latency follows the target's */
	double *sigmas;   /* how far it moved */
	uint32_t *column; /* where that was read, SERIES_NONE for nowhere */
};

static void seen_close(struct seen *s)
{
	free(s->follows);
	free(s->sigmas);
	free(s->column);
}

static int seen_open(struct seen *s, struct baseline *b)
{
	const struct graph *g = &b->f->r->graph;
	size_t windows = b->f->total + 1, entities = (size_t)g->entities + 1;
	float *target = malloc(windows * sizeof(*target)), *own = malloc(windows * sizeof(*own));
	int error = -ENOMEM;

	s->follows = calloc(entities, sizeof(*s->follows));
	s->sigmas = calloc(entities, sizeof(*s->sigmas));
	s->column = malloc(entities * sizeof(*s->column));
	if (target && own && s->follows && s->sigmas && s->column) {
		frame_gather(b->f, b->slo->entity, b->slo->metric, target);
		for (uint32_t i = 0; i < g->entities; i++) {
			struct shift shift;

			s->column[i] = SERIES_NONE;
			if (g->entity[i].kind != ENTITY_SERVICE ||
				!strcmp(g->entity[i].name, GRAPH_USER))
				continue;
			s->column[i] = baseline_latency(b, i, own);
			if (s->column[i] == SERIES_NONE)
				continue;
			s->follows[i] = baseline_correlation(b->f, own, target);
			if (frame_shift(b->f, own, 1e-6, &shift))
				s->sigmas[i] = shift.sigmas;
		}
		error = 0;
	}
	free(target);
	free(own);
	return error;
}

/* ---- random walk ---- */

#define BACKWARD 0.2 /* weight of a step to a caller, by that to a callee */
#define RESTART 0.15
#define STEPS 100
#define SETTLED 1e-9

/* One step of everybody at once: `to` from `at`, both [entities], sums 1. Returns the change. */
static double step(const struct graph *g, const struct seen *s, const double *preference,
	const double *at, double *to)
{
	double change = 0, lost = 0;

	memset(to, 0, g->entities * sizeof(*to));
	for (uint32_t i = 0; i < g->entities; i++) {
		const struct entity *e = &g->entity[i];
		double best = 0, sum = 0, stay;

		if (at[i] <= 0)
			continue;
		for (uint32_t j = 0; j < e->outs; j++) {
			best = fmax(best, s->follows[g->entity[e->out[j]].callee]);
			sum += s->follows[g->entity[e->out[j]].callee];
		}
		for (uint32_t j = 0; j < e->ins; j++)
			sum += BACKWARD * s->follows[g->entity[e->in[j]].caller];
		stay = fmax(0, s->follows[i] - best);
		sum += stay;
		if (sum <= 0) {
			lost += at[i];
			continue;
		}
		to[i] += at[i] * stay / sum;
		for (uint32_t j = 0; j < e->outs; j++) {
			uint32_t callee = g->entity[e->out[j]].callee;

			to[callee] += at[i] * s->follows[callee] / sum;
		}
		for (uint32_t j = 0; j < e->ins; j++) {
			uint32_t caller = g->entity[e->in[j]].caller;

			to[caller] += at[i] * BACKWARD * s->follows[caller] / sum;
		}
	}
	for (uint32_t i = 0; i < g->entities; i++) {
		to[i] = (1 - RESTART) * (to[i] + lost * preference[i]) + RESTART * preference[i];
		change += fabs(to[i] - at[i]);
	}
	return change;
}

static int walk(struct baseline *b, const struct seen *s)
{
	const struct graph *g = &b->f->r->graph;
	double *block = calloc(3 * (size_t)g->entities + 3, sizeof(*block)), sum = 0;
	double *preference = block, *at = block ? block + g->entities : NULL;
	double *to = block ? at + g->entities : NULL;

	if (!block)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->entities; i++)
		sum += s->follows[i];
	for (uint32_t i = 0; sum > 0 && i < g->entities; i++)
		at[i] = preference[i] = s->follows[i] / sum;
	for (int i = 0; sum > 0 && i < STEPS; i++) {
		double *swap = at, change = step(g, s, preference, at, to);

		at = to;
		to = swap;
		if (change < SETTLED)
			break;
	}
	for (uint32_t i = 0; i < g->entities; i++)
		if (s->column[i] != SERIES_NONE)
			baseline_accuse(b, i, s->column[i], at[i]);
	free(block);
	return 0;
}

int baseline_walk(struct baseline *b)
{
	struct seen s = {0};
	int error = seen_open(&s, b);

	if (!error)
		error = walk(b, &s);
	seen_close(&s);
	if (!error)
		error = baseline_find_causes(b);
	baseline_name_first(b);
	return error;
}

/* ---- deepest abnormal service ---- */

#define ABNORMAL_SIGMAS 3

static bool abnormal(const struct seen *s, uint32_t service)
{
	return s->sigmas[service] > ABNORMAL_SIGMAS;
}

/* Follow abnormal callees; where there are none, the way ends. todo [entities], been [entities]. */
static void descend(struct baseline *b, const struct seen *s, uint32_t *todo, bool *been)
{
	const struct graph *g = &b->f->r->graph;
	size_t waiting = 0;

	todo[waiting++] = b->front;
	been[b->front] = true;
	while (waiting) {
		uint32_t at = todo[--waiting];
		const struct entity *e = &g->entity[at];
		bool deeper = false;

		for (uint32_t i = 0; i < e->outs; i++) {
			uint32_t callee = g->entity[e->out[i]].callee;

			if (callee == at || !abnormal(s, callee))
				continue;
			deeper = true;
			if (!been[callee])
				todo[waiting++] = callee;
			been[callee] = true;
		}
		if (!deeper && abnormal(s, at))
			baseline_accuse(b, at, s->column[at], fmax(s->follows[at], 1e-6));
	}
}

int baseline_deepest(struct baseline *b)
{
	size_t entities = (size_t)b->f->r->graph.entities + 1;
	uint32_t *todo = calloc(entities, sizeof(*todo));
	bool *been = calloc(entities, sizeof(*been));
	struct seen s = {0};
	int error = todo && been ? seen_open(&s, b) : -ENOMEM;

	if (!error)
		descend(b, &s, todo, been);
	seen_close(&s);
	free(todo);
	free(been);
	if (!error)
		error = baseline_find_causes(b);
	baseline_name_all(b);
	return error;
}
