#include "analyzer/score.h"

#include <math.h>
#include <string.h>

#define TOP 3

struct incident_truth score_incident(const struct recording *r, size_t first)
{
	struct incident_truth t = {.row = &r->truth[first]};

	while (first + t.rows < r->truths && t.row[t.rows].from_s == t.row->from_s &&
		t.row[t.rows].to_s == t.row->to_s)
		t.rows++;
	return t;
}

/* Whom an answer has to name: of a call, the callee. */
static const char *to_be_named(const struct truth *t)
{
	const char *arrow = strstr(t->service, "->");

	return arrow ? arrow + 2 : t->service;
}

static const struct truth *find_truth(const struct incident_truth *t, const char *service)
{
	for (size_t i = 0; i < t->rows; i++)
		if (!strcmp(to_be_named(&t->row[i]), service))
			return &t->row[i];
	return NULL;
}

static const char *service_of(const struct candidate *c, const struct graph *g)
{
	return g->entity[c->service].name;
}

static bool is_culprit(const struct diagnosis *d, const struct graph *g, const char *service)
{
	for (size_t i = 0; i < d->candidates; i++)
		if (d->candidate[i].culprit && !strcmp(service_of(&d->candidate[i], g), service))
			return true;
	return false;
}

/* The answer set holds every true service. */
static bool covers(const struct incident_truth *t, const struct diagnosis *d, const struct graph *g)
{
	for (size_t i = 0; i < t->rows; i++)
		if (!is_culprit(d, g, to_be_named(&t->row[i])))
			return false;
	return true;
}

/* ... and no other. */
static bool same_set(
	const struct incident_truth *t, const struct diagnosis *d, const struct graph *g)
{
	for (size_t i = 0; i < d->candidates; i++)
		if (d->candidate[i].culprit && !find_truth(t, service_of(&d->candidate[i], g)))
			return false;
	return covers(t, d, g);
}

struct score_case score_answer(
	const struct incident_truth *t, const struct diagnosis *d, const struct graph *g)
{
	struct score_case c = {.verdict = d->verdict,
		.probability =
			d->verdict == VERDICT_DIAGNOSED ? d->counterfactual.probability : NAN,
		.seconds = d->seconds,
		.training_s = d->training_s};

	for (size_t i = 0; i < t->rows; i++)
		c.has_resource |= t->row[i].resource != RESOURCE_NONE;
	for (size_t i = 0; i < d->candidates && i < TOP; i++) {
		const struct truth *row = find_truth(t, service_of(&d->candidate[i], g));

		if (!row)
			continue;
		c.top3 = true;
		if (i)
			continue;
		c.top1 = true;
		c.resource = row->resource == d->candidate[i].resource;
	}
	c.covered = covers(t, d, g);
	c.exact = same_set(t, d, g);
	return c;
}
