#include "analyzer/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RESAMPLES 1000
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

/* The answer set holds every true service and no other. */
static bool same_set(
	const struct incident_truth *t, const struct diagnosis *d, const struct graph *g)
{
	size_t culprits = 0;

	for (size_t i = 0; i < d->candidates; i++) {
		if (!d->candidate[i].culprit)
			continue;
		if (!find_truth(t, service_of(&d->candidate[i], g)))
			return false;
		culprits++;
	}
	return culprits == t->rows;
}

struct score_case score_answer(
	const struct incident_truth *t, const struct diagnosis *d, const struct graph *g)
{
	struct score_case c = {.verdict = d->verdict, .seconds = d->seconds};

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
	c.exact = same_set(t, d, g);
	return c;
}

/* splitmix64 (S. Vigna): the intervals must not change from run to run. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Percentile bootstrap of a share: draw `of` cases again and again, with replacement. */
static void find_interval(struct share *s)
{
	double drawn[RESAMPLES];
	uint64_t state = 1;

	for (int i = 0; i < RESAMPLES; i++) {
		size_t hits = 0;

		for (size_t j = 0; j < s->of; j++)
			hits += next_random(&state) % s->of < s->count ? 1 : 0;
		drawn[i] = (double)hits / (double)s->of;
	}
	qsort(drawn, RESAMPLES, sizeof(*drawn), ascending);
	s->low = drawn[RESAMPLES / 20];
	s->high = drawn[RESAMPLES - 1 - RESAMPLES / 20];
}

static void count(struct share *s, bool hit)
{
	s->of++;
	if (hit)
		s->count++;
}

static void finish(struct share *s)
{
	s->ratio = s->low = s->high = NAN;
	if (!s->of)
		return;
	s->ratio = (double)s->count / (double)s->of;
	find_interval(s);
}

void score_total(const struct score_case *c, size_t cases, struct totals *out)
{
	struct totals t = {0};
	struct share *const all[] = {&t.top1, &t.top3, &t.exact, &t.resource, &t.false_positive,
		&t.false_negative, &t.unknown};

	for (size_t i = 0; i < cases; i++) {
		t.seconds += c[i].seconds / (double)cases;
		if (c[i].healthy) {
			t.stretches++;
			count(&t.false_positive, c[i].verdict == VERDICT_DIAGNOSED);
			continue;
		}
		t.incidents++;
		count(&t.top1, c[i].top1);
		count(&t.top3, c[i].top3);
		count(&t.exact, c[i].exact);
		if (c[i].has_resource)
			count(&t.resource, c[i].resource);
		count(&t.false_negative, c[i].verdict == VERDICT_HEALTHY);
		count(&t.unknown, c[i].verdict == VERDICT_UNKNOWN);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		finish(all[i]);
	*out = t;
}
