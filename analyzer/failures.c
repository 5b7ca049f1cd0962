#include "analyzer/failures.h"

#include <errno.h>
#include <stdlib.h>
#include <math.h>

#define FLOOR_RATIO 0.005 /* least spread of an error ratio */
#define RISEN_SIGMAS 3
#define FELT_RATIO 0.01 /* failed calls per request that a p99 sees in full */

struct work {
	const struct graph *g;
	const struct traffic *t;
	double *rise; /* [entities] of the error ratio: of an edge as its caller sees it */
	double *share, *handed;
	uint32_t *below;   /* [entities] services at and below a call */
	uint32_t *visited; /* [entities] number of the last look below that came by, 0 = none */
	uint32_t looks;
};

/* Most never fail: a glance at the incident spares their medians. */
static bool may_have_risen(const struct frame *f, const float *value)
{
	for (size_t i = f->normals; i < f->total; i++)
		if ((double)value[i] > RISEN_SIGMAS * FLOOR_RATIO)
			return true;
	return false;
}

static double rise_of(const struct frame *f, uint32_t entity, float *scratch, bool *known)
{
	struct shift s;

	*known = frame_gather(f, entity, "error_ratio", scratch);
	return *known && may_have_risen(f, scratch) && frame_shift(f, scratch, FLOOR_RATIO, &s) &&
			       s.sigmas > RISEN_SIGMAS
		       ? s.observed - s.normal
		       : 0;
}

/* Returns whether any call fails more often; where its caller is not seen, its callee tells. */
static bool read_rises(struct work *k, const struct frame *f, float *scratch)
{
	bool any = false, known;

	for (uint32_t i = 0; i < k->g->entities; i++)
		if (k->g->entity[i].kind == ENTITY_SERVICE)
			k->rise[i] = rise_of(f, i, scratch, &known);
	for (uint32_t i = 0; i < k->g->entities; i++) {
		if (k->g->entity[i].kind != ENTITY_EDGE)
			continue;
		k->rise[i] = rise_of(f, i, scratch, &known);
		if (!known)
			k->rise[i] = k->rise[k->g->entity[i].callee];
		any |= k->rise[i] > 0;
	}
	return any;
}

/* The services that serve a call, at whatever distance. Returns how many. */
static size_t look_below(struct work *k, uint32_t edge)
{
	size_t count = 0;

	k->below[count++] = k->g->entity[edge].callee;
	k->visited[k->below[0]] = ++k->looks;
	for (size_t at = 0; at < count; at++) {
		const struct entity *e = &k->g->entity[k->below[at]];

		for (uint32_t i = 0; i < e->outs; i++) {
			uint32_t callee = k->g->entity[e->out[i]].callee;

			if (!traffic_leads_on(k->t, e->out[i]) || k->visited[callee] == k->looks)
				continue;
			k->visited[callee] = k->looks;
			k->below[count++] = callee;
		}
	}
	return count;
}

/* No answer in time: who is slow on the call or below has it, by how slow. */
static void give_to_slow(struct work *k, uint32_t edge, double amount)
{
	size_t count = look_below(k, edge);
	double sum = k->share[edge], factor;

	for (size_t i = 0; i < count; i++) {
		const struct entity *e = &k->g->entity[k->below[i]];

		sum += k->share[k->below[i]];
		for (uint32_t j = 0; j < e->outs; j++)
			sum += k->share[e->out[j]];
	}
	if (sum <= 0) {
		k->share[edge] += amount;
		return;
	}
	factor = 1 + amount / sum;
	k->share[edge] *= factor;
	for (size_t i = 0; i < count; i++) {
		const struct entity *e = &k->g->entity[k->below[i]];

		k->share[k->below[i]] *= factor;
		for (uint32_t j = 0; j < e->outs; j++)
			k->share[e->out[j]] *= factor;
	}
}

/* Failed calls per request more than usual. Those that lead back are not followed. */
static double failing(const struct work *k, uint32_t edge)
{
	return traffic_leads_on(k->t, edge) ? k->t->calls[edge] * k->rise[edge] : 0;
}

static void give(struct work *k, uint32_t edge, double amount)
{
	uint32_t callee = k->g->entity[edge].callee;
	double answered = fmin(1, k->rise[callee] / k->rise[edge]);

	k->handed[callee] += amount * answered;
	if (answered < 1)
		give_to_slow(k, edge, amount * (1 - answered));
}

/*
 * What a service waited because its calls failed, and what others waited for failures that it
 * only passes on.
 */
static void hand_on(struct work *k, uint32_t service)
{
	const struct entity *e = &k->g->entity[service];
	double sum = 0, waited, passed = 0;

	for (uint32_t i = 0; i < e->outs; i++)
		sum += failing(k, e->out[i]);
	if (sum <= 0)
		return;
	waited = k->share[service] * fmin(1, sum / FELT_RATIO);
	if (k->handed[service] > 0)
		passed = k->handed[service] * fmin(1, sum / k->rise[service]);
	k->share[service] -= waited;
	k->handed[service] -= passed;
	for (uint32_t i = 0; i < e->outs; i++) {
		double part = failing(k, e->out[i]) / sum;

		if (part > 0)
			give(k, e->out[i], part * (waited + passed));
	}
}

int failures_hand_down(
	const struct frame *f, const struct traffic *t, double *share, double *handed)
{
	uint32_t n = t->g->entities;
	struct work k = {.g = t->g,
		.t = t,
		.share = share,
		.handed = handed,
		.rise = calloc(n, sizeof(*k.rise)),
		.below = calloc(n, sizeof(*k.below)),
		.visited = calloc(n, sizeof(*k.visited))};
	float *scratch = malloc((f->total + 1) * sizeof(*scratch));
	int error = -ENOMEM;

	if (k.rise && k.below && k.visited && scratch) {
		error = 0;
		if (read_rises(&k, f, scratch))
			for (size_t i = t->services; i-- > 0;)
				hand_on(&k, t->order[i]);
		for (uint32_t i = 0; i < n; i++)
			share[i] += handed[i];
	}
	free(k.rise);
	free(k.below);
	free(k.visited);
	free(scratch);
	return error;
}
