#include "analyzer/faithful.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/evidence.h"
#include "analyzer/premise.h"
#include "analyzer/prospect.h"
#include "analyzer/search.h"

#define ROUNDS SEARCH_SET
#define RESTORED_SHARE 0.8 /* of the target: then the search is done */
#define ALIKE 0.01         /* share of the rise: less than that apart is the same */

static const enum resource item[] = {
	RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK, RESOURCE_NETWORK, RESOURCE_CODE};

#define ITEMS (sizeof(item) / sizeof(*item))

struct greedy {
	struct search *s;
	struct diagnosis *d;
	struct question *question; /* [services] owned */
	struct intervention set[ROUNDS];
	size_t count;
	struct answer answer; /* with the set */
};

/* Every service the model knows, with what it restores alone. */
static int try_alone(struct greedy *y, const struct graph *g)
{
	size_t services = 0;

	y->question = calloc((size_t)g->entities + 1, sizeof(*y->question));
	y->d->candidate = calloc((size_t)g->entities + 1, sizeof(*y->d->candidate));
	if (!y->question || !y->d->candidate)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->entities; i++)
		if (g->entity[i].kind == ENTITY_SERVICE)
			y->question[services++] =
				(struct question){.set = {{.service = i}}, .count = 1};
	search_ask_all(y->s, y->question, services);
	for (size_t i = 0; i < services; i++) {
		const struct answer *a = &y->question[i].answer;

		if (!y->question[i].known)
			continue;
		y->d->candidate[y->d->candidates++] =
			(struct candidate){.service = y->question[i].set[0].service,
				.resource = RESOURCE_UNKNOWN,
				.probability = a->probability,
				.score = search_relief(y->s, a),
				.restored = a->restored,
				.met = a->probability};
	}
	return 0;
}

static struct candidate *candidate_of(const struct greedy *y, uint32_t service)
{
	for (size_t i = 0; i < y->d->candidates; i++)
		if (y->d->candidate[i].service == service)
			return &y->d->candidate[i];
	return NULL;
}

/* The one that restores most together with the set. The first round is answered already. */
static bool find_next(struct greedy *y, uint32_t *service, struct answer *answer)
{
	const struct question *lowest;
	size_t asked = 0;

	for (size_t i = 0; i < y->d->candidates; i++) {
		const struct candidate *c = &y->d->candidate[i];
		struct question *q = &y->question[asked];

		if (c->culprit)
			continue;
		*q = (struct question){.count = y->count + 1,
			.answer = {.restored = c->restored, .probability = c->met},
			.known = true};
		memcpy(q->set, y->set, y->count * sizeof(*q->set));
		q->set[y->count] = (struct intervention){.service = c->service};
		asked++;
	}
	lowest = y->count ? search_lowest(y->s, y->question, asked, y->answer.restored)
			  : question_lowest(y->question, asked, y->answer.restored);
	if (!lowest)
		return false;
	*service = lowest->set[y->count].service;
	*answer = lowest->answer;
	return true;
}

/* Add the service that lowers the answer most. False when none lowers it. */
static bool add_service(struct greedy *y)
{
	struct candidate *chosen;
	uint32_t service;

	if (!find_next(y, &service, &y->answer))
		return false;
	chosen = candidate_of(y, service);
	chosen->culprit = true;
	chosen->score += (double)(ROUNDS - y->count); /* found earlier stands higher */
	y->set[y->count++] = (struct intervention){.service = service};
	return true;
}

/*
 * The one item of a service that restores most. A model that has seen no incident may restore
 * everything with any item; then what is farthest from normal is what restoring it changes.
 */
static void blame_resource(struct greedy *y, struct candidate *c)
{
	struct question q[ITEMS];
	double most = 0, farthest = -1;

	for (size_t i = 0; i < ITEMS; i++)
		q[i] = (struct question){
			.set = {{.service = c->service, .resource = item[i]}}, .count = 1};
	search_ask_all(y->s, q, ITEMS);
	for (size_t i = 0; i < ITEMS; i++)
		if (q[i].known)
			most = fmax(most, search_relief(y->s, &q[i].answer));
	for (size_t i = 0; i < ITEMS; i++) {
		char metric[64];
		double far;

		if (!q[i].known || search_relief(y->s, &q[i].answer) < most - ALIKE)
			continue;
		far = search_metric(y->s, c->service, item[i], metric);
		if (far <= farthest)
			continue;
		farthest = far;
		c->resource = item[i];
		snprintf(c->metric, sizeof(c->metric), "%s", metric);
	}
}

/* One of them is the cause: chances add up to no more than 1. */
static void share_chances(struct diagnosis *d)
{
	double sum = 0;

	for (size_t i = 0; i < d->candidates; i++)
		sum += d->candidate[i].probability;
	for (size_t i = 0; sum > 1 && i < d->candidates; i++)
		d->candidate[i].probability /= sum;
}

/* The spread of what the model drew for the set. */
static int spread_of_set(struct greedy *y)
{
	struct counterfactual *c = &y->d->counterfactual;
	struct prospect p;
	int err;

	if (!y->count || search_ask(y->s, y->set, y->count, &y->answer))
		return 0;
	err = prospect_open(&p, y->s->draws);
	if (err)
		return err;
	prospect_add(&p, y->s->draw, y->s->draws, 1);
	c->without = prospect_spread(&p);
	prospect_close(&p);
	return 0;
}

static void conclude(struct greedy *y, const struct graph *g)
{
	struct diagnosis *d = y->d;

	d->counterfactual.observed = y->s->observed;
	d->counterfactual.restored = y->answer.restored;
	d->counterfactual.probability = y->answer.probability;
	if (y->count && y->answer.restored <= y->s->target) {
		d->verdict = VERDICT_DIAGNOSED;
		snprintf(d->why, sizeof(d->why),
			"had %.80s%s been normal, %s would be %.2g times its target instead of "
			"%.2g",
			g->entity[y->set[0].service].name, y->count > 1 ? " and others" : "",
			d->slo_metric, y->answer.restored / y->s->target,
			y->s->observed / y->s->target);
		return;
	}
	d->verdict = VERDICT_UNKNOWN;
	for (size_t i = 0; i < d->candidates; i++)
		d->candidate[i].culprit = false;
	snprintf(d->why, sizeof(d->why),
		"no set of up to %d services restores the target: %s would still be %.2g times it",
		ROUNDS, d->slo_metric, y->answer.restored / y->s->target);
}

static int search_all(struct greedy *y, const struct graph *g)
{
	int err = try_alone(y, g);

	if (err)
		return err;
	y->answer = (struct answer){.restored = y->s->observed};
	while (y->count < ROUNDS && y->answer.restored >= RESTORED_SHARE * y->s->target)
		if (!add_service(y))
			break;
	for (size_t i = 0; i < y->d->candidates; i++)
		if (y->d->candidate[i].culprit)
			blame_resource(y, &y->d->candidate[i]);
	diagnosis_rank(y->d);
	share_chances(y->d);
	conclude(y, g);
	return spread_of_set(y);
}

/* The target's own shift and that of the culprits' metrics. */
static int list_evidence(struct diagnosis *d, const struct frame *f)
{
	float *value = malloc((f->total + 1) * sizeof(*value));

	if (!value || evidence_begin(d)) {
		free(value);
		return -ENOMEM;
	}
	for (size_t i = 0; i <= d->candidates; i++) {
		uint32_t entity = i ? d->candidate[i - 1].service : d->slo_entity;
		const char *metric = i ? d->candidate[i - 1].metric : d->slo_metric;
		struct shift s;

		if ((i && !d->candidate[i - 1].culprit) || !frame_gather(f, entity, metric, value))
			continue;
		if (frame_shift(f, value, 1e-9, &s))
			evidence_add(d, entity, metric, &s);
		if (!i && prospect_observed(&d->counterfactual, f, value)) {
			free(value);
			return -ENOMEM;
		}
	}
	free(value);
	return 0;
}

static int add_evidence(
	struct diagnosis *d, const struct recording *r, const struct slo *slo, const bool *use)
{
	struct frame f;
	int err = frame_open(&f, r, slo, d->from_s, d->to_s, use);

	if (err)
		return err;
	err = list_evidence(d, &f);
	frame_close(&f);
	return err;
}

/* Without a missed window, or with a model of another target, there is nothing to search. */
static void say_why_not(struct diagnosis *d, const struct recording *r, const struct slo *slo)
{
	const float *value = series_values(&r->series, slo->entity, slo->metric);
	size_t from, to, known = 0, missed = 0;

	series_range(&r->series, d->from_s, d->to_s, &from, &to);
	for (size_t i = from; value && i < to; i++) {
		known += isfinite(value[i]) != 0;
		missed += (double)value[i] > slo->target;
	}
	if (!value)
		diagnosis_unknown(d, "the recording has no %s of %.120s", slo->metric,
			r->graph.entity[slo->entity].name);
	else if (!known)
		diagnosis_unknown(d, "no window of the interval has a value of %s", slo->metric);
	else if (missed)
		diagnosis_unknown(d, "the model was learnt for another target");
	else
		premise_healthy(d, NAN);
}

int faithful_search(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const struct model *m)
{
	struct diagnosis fresh;
	struct search s;
	struct greedy y = {.s = &s, .d = &fresh};
	int err = m ? search_open(&s, m, r, slo, from_s, to_s) : -ENODATA;

	diagnosis_begin(&fresh, "faithful", slo, from_s, to_s);
	if (err == -ENODATA) {
		say_why_not(&fresh, r, slo);
		err = 0;
	} else if (!err) {
		err = search_all(&y, &r->graph);
		free(y.question);
		search_close(&s);
	}
	if (!err)
		err = add_evidence(&fresh, r, slo, use);
	if (err)
		diagnosis_clear(&fresh);
	else
		*d = fresh;
	return err;
}
