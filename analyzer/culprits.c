#include "analyzer/culprits.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/alone.h"

#define EQUAL_SUSPECT 0.5    /* of the first one's score: as guilty */
#define LESSER_SUSPECT 0.25  /* of the first one's score: guilty if the target is missed without */
#define LEAST_IN_BURSTS 0.08 /* share of the rise: less is what they do to bystanders */
#define CULPRITS 3

struct choice {
	struct diagnosis *d;
	const struct suspicion *s;
	const struct graph *g;
	const struct shift *slo;
	/* [entities] services that wait for a culprit, or that it calls, at whatever distance */
	bool *upstream, *downstream;
	uint32_t *todo; /* [entities] scratch */
	float *scratch; /* [total of the frame] */
	double found;   /* share of the rise put down to the culprits so far */
	const struct candidate *culprit[CULPRITS];
	size_t named;
};

static double share_of(const struct choice *k, const struct candidate *c)
{
	const struct suspect *p = &k->s->suspect[c->service];

	return p->own + p->between;
}

/* Whoever can be reached from a culprit against, or along, the way of the calls. */
static void mark(struct choice *k, uint32_t culprit, bool up)
{
	bool *reached = up ? k->upstream : k->downstream;
	size_t waiting = 0;

	k->todo[waiting++] = culprit;
	while (waiting) {
		const struct entity *e = &k->g->entity[k->todo[--waiting]];

		for (uint32_t i = 0; i < (up ? e->ins : e->outs); i++) {
			const struct entity *call = &k->g->entity[up ? e->in[i] : e->out[i]];
			uint32_t next = up ? call->caller : call->callee;

			if (reached[next])
				continue;
			reached[next] = true;
			k->todo[waiting++] = next;
		}
	}
}

static void name(struct choice *k, struct candidate *c)
{
	c->culprit = true;
	k->found += share_of(k, c);
	k->culprit[k->named++] = c;
	mark(k, c->service, true);
	mark(k, c->service, false);
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
		return alone_outweighs_waits(k->s, c->service, k->scratch) ? NULL
									   : &k->d->candidate[0];
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

static const struct symptom *symptom_of(const struct choice *k, const struct candidate *c)
{
	return &k->s->suspect[c->service].moved[c->resource];
}

/* Is the limit of its own what it lacks CPU for? Neighbours do not tell who it was then. */
static bool is_limited(const struct choice *k, const struct candidate *c)
{
	const char *metric = symptom_of(k, c)->metric;

	return c->resource == RESOURCE_CPU &&
	       (!strcmp(metric, "cpu_limit_cores") || !strcmp(metric, "cpu_throttled_ratio"));
}

static bool may_share_host(const struct choice *k, uint32_t a, uint32_t b)
{
	uint32_t p = k->g->entity[a].host, q = k->g->entity[b].host;

	return p == q || p == GRAPH_NONE || q == GRAPH_NONE;
}

/*
 * Does a culprit take away what this one lacks? CPU of their host, or its disk, which who lacks
 * memory reads all the time. A cut limit takes from nobody.
 */
static bool is_crowded_out_by(
	const struct choice *k, const struct candidate *c, const struct candidate *culprit)
{
	bool cpu = culprit->resource == RESOURCE_CPU &&
		   strcmp(symptom_of(k, culprit)->metric, "cpu_limit_cores");

	if (!may_share_host(k, c->service, culprit->service))
		return false;
	return (cpu && (c->resource == RESOURCE_CODE ||
			       (c->resource == RESOURCE_CPU && !is_limited(k, c)))) ||
	       (culprit->resource == RESOURCE_MEMORY && c->resource == RESOURCE_DISK);
}

static bool is_crowded_out(const struct choice *k, const struct candidate *c)
{
	for (size_t i = 0; i < k->named; i++)
		if (is_crowded_out_by(k, c, k->culprit[i]))
			return true;
	return false;
}

/* Does something stall and go on, so that requests reach others in bursts? */
static bool meets_bursts(const struct choice *k, const struct candidate *c)
{
	for (size_t i = 0; i < k->named; i++)
		if (k->culprit[i]->resource == RESOURCE_CODE)
			return true;
	return k->downstream[c->service];
}

/* What this one adds needs no other's fault: not theirs who share its host, nor bursts, nor a
 * reader that is late. */
static bool stands_alone(const struct choice *k, const struct candidate *c)
{
	if (is_crowded_out(k, c))
		return false;
	if (c->resource == RESOURCE_CODE && meets_bursts(k, c))
		return share_of(k, c) >= LEAST_IN_BURSTS;
	return c->resource != RESOURCE_NETWORK || symptom_of(k, c)->strength > 0;
}

/* Would the target be missed by what this one adds, had all others been normal? */
static bool misses_alone(const struct choice *k, const struct candidate *c)
{
	return stands_alone(k, c) && k->slo->normal + alone_added(k->s, c->service, k->scratch) >
					     k->d->counterfactual.target;
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
	k.downstream = calloc(g->entities, sizeof(*k.downstream));
	k.todo = calloc((size_t)g->entities + 1, sizeof(*k.todo));
	k.scratch = malloc((s->f->total + 1) * sizeof(*k.scratch));
	if (k.upstream && k.downstream && k.todo && k.scratch) {
		choose(&k);
		*explained = fmin(1, k.found);
		error = 0;
	}
	free(k.upstream);
	free(k.downstream);
	free(k.todo);
	free(k.scratch);
	return error;
}
