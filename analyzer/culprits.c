#include "analyzer/culprits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EQUAL_SUSPECT 0.5   /* of the first one's score: as guilty */
#define LESSER_SUSPECT 0.25 /* of the first one's score: guilty if the target is missed without */
#define LEAST_ALONE 0.08    /* share of the rise: less is noise, however much it is in time */
#define CULPRITS 3

struct choice {
	struct diagnosis *d;
	const struct suspicion *s;
	const struct graph *g;
	const struct shift *slo;
	bool *upstream; /* [entities] services that wait for a culprit, at whatever distance */
	uint32_t *todo; /* [entities] scratch */
	double found;   /* share of the rise put down to the culprits so far */
	size_t named;
};

static double share_of(const struct choice *k, const struct candidate *c)
{
	const struct suspect *p = &k->s->suspect[c->service];

	return p->own + p->between;
}

static void mark_upstream(struct choice *k, uint32_t culprit)
{
	size_t waiting = 0;

	k->todo[waiting++] = culprit;
	while (waiting) {
		const struct entity *e = &k->g->entity[k->todo[--waiting]];

		for (uint32_t i = 0; i < e->ins; i++) {
			uint32_t caller = k->g->entity[e->in[i]].caller;

			if (k->upstream[caller])
				continue;
			k->upstream[caller] = true;
			k->todo[waiting++] = caller;
		}
	}
}

static void name(struct choice *k, struct candidate *c)
{
	c->culprit = true;
	k->found += share_of(k, c);
	k->named++;
	mark_upstream(k, c->service);
}

/* A culprit at one end of the call, or NULL. */
static struct candidate *culprit_of_edge(const struct choice *k, uint32_t edge)
{
	const struct entity *e = &k->g->entity[edge];

	for (size_t i = 0; e->kind == ENTITY_EDGE && i < k->d->candidates; i++) {
		struct candidate *c = &k->d->candidate[i];

		if (c->culprit && (c->service == e->caller || c->service == e->callee))
			return c;
	}
	return NULL;
}

static bool is_equal_suspect(const struct choice *k, const struct candidate *c)
{
	return c->score >= EQUAL_SUSPECT * k->d->candidate[0].score;
}

/*
 * A candidate without evidence of its own belongs to a culprit. Upstream of one, time that no
 * resource accounts for is waiting: some of a wait always ends up in a caller's own time, where a
 * thread hands it over, calls are counted on average or queues build up; a little of it between the
 * ends, as who waits reads late. And what is wrong on a culprit's link is seen from its other end
 * as well.
 */
static struct candidate *belongs_to(const struct choice *k, const struct candidate *c)
{
	const struct suspect *p = &k->s->suspect[c->service];
	const struct symptom *network = &p->moved[RESOURCE_NETWORK];
	bool lost = !strcmp(network->metric, "net_retransmit_ratio");

	if (c->resource == RESOURCE_CODE && k->upstream[c->service])
		return &k->d->candidate[0];
	if (c->resource != RESOURCE_NETWORK)
		return NULL;
	if (!lost && !is_equal_suspect(k, c) && k->upstream[c->service])
		return &k->d->candidate[0];
	if (network->strength > 0)
		return culprit_of_edge(k, network->entity);
	return p->edge != GRAPH_NONE ? culprit_of_edge(k, p->edge) : NULL;
}

/* Would the target still be missed, had all culprits so far been normal? */
static bool still_missed(const struct choice *k)
{
	double rise = fmax(0, k->slo->observed - k->slo->normal);

	return k->slo->observed - fmin(1, k->found) * rise > k->d->counterfactual.target;
}

/*
 * Would the target be missed by what this one adds, had all others been normal? Who shares
 * a host with a service that lacks CPU may lack some too, and is slower for it.
 */
static bool misses_alone(const struct choice *k, const struct candidate *c)
{
	double rise = fmax(0, k->slo->observed - k->slo->normal), share = share_of(k, c);

	if (k->d->candidate[0].resource == RESOURCE_CPU &&
		(c->resource == RESOURCE_CPU || c->resource == RESOURCE_CODE))
		return false;
	return share >= LEAST_ALONE && k->slo->normal + share * rise > k->d->counterfactual.target;
}

static bool is_suspect(const struct choice *k, const struct candidate *c)
{
	double first = k->d->candidate[0].score;

	if (diagnosis_is_common(c, k->g))
		return false;
	if (is_equal_suspect(k, c) || misses_alone(k, c))
		return true;
	return c->score >= fmax(CULPRITS_LEAST_SCORE, LESSER_SUSPECT * first) && still_missed(k);
}

/*
 * The first, and others as suspect, or that it takes to meet the target again. Under a surge, or on
 * a host that lost its CPU, everything slows: then that alone is the answer.
 */
static void choose(struct choice *k)
{
	struct diagnosis *d = k->d;

	k->upstream[k->s->front] = true; /* of all, whether or not the calls between were seen */
	name(k, &d->candidate[0]);
	if (d->candidate[0].resource == RESOURCE_WORKLOAD)
		k->found = 1;
	if (diagnosis_is_common(&d->candidate[0], k->g))
		return;
	for (size_t i = 1; i < d->candidates && k->named < CULPRITS; i++) {
		struct candidate *c = &d->candidate[i], *owner;

		if (!is_suspect(k, c))
			continue;
		owner = belongs_to(k, c);
		if (!owner) {
			name(k, c);
			continue;
		}
		owner->probability += c->probability;
		c->probability = 0;
		k->found += share_of(k, c);
	}
}

int culprits_choose(
	struct diagnosis *d, const struct suspicion *s, const struct shift *slo, double *explained)
{
	const struct graph *g = &s->f->r->graph;
	struct choice k = {.d = d, .s = s, .g = g, .slo = slo};
	int error = -ENOMEM;

	k.upstream = calloc(g->entities, sizeof(*k.upstream));
	k.todo = calloc((size_t)g->entities + 1, sizeof(*k.todo));
	if (k.upstream && k.todo) {
		choose(&k);
		*explained = fmin(1, k.found);
		error = 0;
	}
	free(k.upstream);
	free(k.todo);
	return error;
}
