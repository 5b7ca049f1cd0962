#include "analyzer/baseline.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/evidence.h"
#include "analyzer/premise.h"

#define EXPLAINED 3      /* candidates with evidence */
#define FOLLOWS 0.5      /* a resource that follows the target less is not blamed */
#define LEAST_TOGETHER 5 /* windows for a correlation */

static bool blamable(const struct graph *g, uint32_t entity)
{
	return g->entity[entity].kind == ENTITY_SERVICE &&
	       strcmp(g->entity[entity].name, GRAPH_USER);
}

uint32_t baseline_owner(const struct baseline *b, uint32_t column)
{
	const struct graph *g = &b->f->r->graph;
	const struct series_column *c = &b->f->r->series.column[column];
	const struct entity *e = &g->entity[c->entity];
	uint32_t owner = e->kind == ENTITY_EDGE ? e->callee : c->entity;

	if (c->entity == b->slo->entity && !strcmp(c->metric, b->slo->metric))
		return GRAPH_NONE;
	return blamable(g, owner) ? owner : GRAPH_NONE;
}

void baseline_accuse(struct baseline *b, uint32_t service, uint32_t column, double score)
{
	struct finding *f = &b->finding[service];
	enum resource resource = resource_of_metric(b->f->r->series.column[column].metric);

	if (score > f->score) {
		f->score = score;
		f->column = column;
	}
	if (resource != RESOURCE_UNKNOWN && score > f->cause_score) {
		f->cause_score = score;
		f->cause = column;
	}
}

/* Returns the column read, or SERIES_NONE. */
static uint32_t gather(const struct baseline *b, uint32_t entity, const char *metric, float *out)
{
	frame_gather(b->f, entity, metric, out);
	return series_find(&b->f->r->series, entity, metric);
}

/* The largest of what the callers see; what the target itself is judged by explains nothing. */
static uint32_t gather_from_callers(
	struct baseline *b, uint32_t service, const char *metric, float *out)
{
	const struct entity *e = &b->f->r->graph.entity[service];
	uint32_t found = SERIES_NONE;

	for (uint32_t i = 0; i < e->ins; i++) {
		bool first = found == SERIES_NONE;
		uint32_t column = e->in[i] == b->slo->entity
					  ? SERIES_NONE
					  : gather(b, e->in[i], metric, first ? out : b->value);

		if (column == SERIES_NONE)
			continue;
		for (size_t w = 0; !first && w < b->f->total; w++)
			out[w] = fmaxf(out[w], b->value[w]);
		found = column;
	}
	return found;
}

uint32_t baseline_latency(struct baseline *b, uint32_t service, float *out)
{
	static const char *const statistic[] = {"p99", "p95", "p90", "mean", "p50"};
	uint32_t column;

	if (!strcmp(b->slo->metric, "error_ratio")) {
		column = gather(b, service, b->slo->metric, out);
		return column != SERIES_NONE ? column
					     : gather_from_callers(b, service, b->slo->metric, out);
	}
	for (size_t i = 0; i < sizeof(statistic) / sizeof(*statistic); i++) {
		char server[32], client[32];

		snprintf(server, sizeof(server), "server_%s_us", statistic[i]);
		snprintf(client, sizeof(client), "client_%s_us", statistic[i]);
		column = gather(b, service, server, out);
		if (column == SERIES_NONE)
			column = gather_from_callers(b, service, server, out);
		if (column == SERIES_NONE)
			column = gather_from_callers(b, service, client, out);
		if (column != SERIES_NONE)
			return column;
	}
	return SERIES_NONE;
}

double baseline_correlation(const struct frame *f, const float *a, const float *b)
{
	double n = 0, mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;

	for (size_t i = 0; i < f->total; i++) {
		double da, db;

		if (isnan(a[i]) || isnan(b[i]))
			continue;
		n++;
		da = (double)a[i] - mean_a;
		db = (double)b[i] - mean_b;
		mean_a += da / n;
		mean_b += db / n;
		aa += da * ((double)a[i] - mean_a);
		bb += db * ((double)b[i] - mean_b);
		ab += da * ((double)b[i] - mean_b);
	}
	return n < LEAST_TOGETHER || aa <= 0 || bb <= 0 ? 0 : fabs(ab) / sqrt(aa * bb);
}

int baseline_find_causes(struct baseline *b)
{
	const struct series *s = &b->f->r->series;
	float *target = malloc((b->f->total + 1) * sizeof(*target));

	if (!target)
		return -ENOMEM;
	frame_gather(b->f, b->slo->entity, b->slo->metric, target);
	for (uint32_t i = 0; i < s->columns; i++) {
		uint32_t owner = baseline_owner(b, i);
		struct finding *f = &b->finding[owner == GRAPH_NONE ? 0 : owner];
		double follows;

		if (owner == GRAPH_NONE || f->score <= 0 ||
			resource_of_metric(s->column[i].metric) == RESOURCE_UNKNOWN)
			continue;
		frame_gather(b->f, s->column[i].entity, s->column[i].metric, b->value);
		follows = baseline_correlation(b->f, b->value, target);
		if (follows >= FOLLOWS && follows > f->cause_score) {
			f->cause_score = follows;
			f->cause = i;
		}
	}
	free(target);
	return 0;
}

void baseline_name_first(struct baseline *b)
{
	struct finding *first = NULL;

	for (uint32_t i = 0; i < b->f->r->graph.entities; i++)
		if (b->finding[i].score > (first ? first->score : 0))
			first = &b->finding[i];
	if (first)
		first->named = true;
}

void baseline_name_all(struct baseline *b)
{
	for (uint32_t i = 0; i < b->f->r->graph.entities; i++)
		b->finding[i].named = b->finding[i].score > 0;
}

static const char *metric_of(const struct baseline *b, uint32_t column)
{
	return column == SERIES_NONE ? "latent" : b->f->r->series.column[column].metric;
}

static int list_candidates(struct diagnosis *d, const struct baseline *b)
{
	const struct graph *g = &b->f->r->graph;
	double sum = 0;

	d->candidate = calloc((size_t)g->entities + 1, sizeof(*d->candidate));
	if (!d->candidate)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->entities; i++) {
		const struct finding *f = &b->finding[i];
		struct candidate *c = &d->candidate[d->candidates];

		if (!blamable(g, i) || f->score <= 0)
			continue;
		*c = (struct candidate){.service = i,
			.resource = f->cause == SERIES_NONE
					    ? RESOURCE_CODE
					    : resource_of_metric(metric_of(b, f->cause)),
			.score = f->score,
			.culprit = f->named,
			.restored = NAN,
			.met = NAN};
		snprintf(c->metric, sizeof(c->metric), "%s", metric_of(b, f->cause));
		sum += f->score;
		d->candidates++;
	}
	for (size_t i = 0; i < d->candidates; i++)
		d->candidate[i].probability = d->candidate[i].score / sum;
	diagnosis_rank(d);
	return 0;
}

static void add_evidence(struct diagnosis *d, const struct baseline *b, uint32_t column)
{
	const struct series_column *c;
	struct shift s;

	if (column == SERIES_NONE)
		return;
	c = &b->f->r->series.column[column];
	if (frame_gather(b->f, c->entity, c->metric, b->value) &&
		frame_shift(b->f, b->value, 1e-9, &s))
		evidence_add(d, c->entity, c->metric, &s);
}

static int list_evidence(struct diagnosis *d, const struct baseline *b, const struct shift *slo)
{
	if (evidence_begin(d))
		return -ENOMEM;
	evidence_add(d, d->slo_entity, d->slo_metric, slo);
	for (size_t i = 0; i < d->candidates && i < EXPLAINED; i++) {
		const struct finding *f = &b->finding[d->candidate[i].service];

		add_evidence(d, b, f->column);
		add_evidence(d, b, f->cause);
	}
	return 0;
}

static void conclude(struct diagnosis *d, const struct baseline *b, const struct premise *p)
{
	const struct candidate *first = d->candidate;
	const struct graph *g = &b->f->r->graph;

	for (size_t i = 0; !p->missed && i < d->candidates; i++)
		d->candidate[i].culprit = false;
	if (!p->missed) {
		premise_healthy(d, p->slo.observed);
		return;
	}
	if (!d->candidates) {
		diagnosis_unknown(d, "by the measure of %s no service stands out", d->method);
		return;
	}
	d->verdict = VERDICT_DIAGNOSED;
	snprintf(d->why, sizeof(d->why), "%.80s stands out by %s (%.3g)",
		g->entity[first->service].name, metric_of(b, b->finding[first->service].column),
		first->score);
}

static int answer(struct diagnosis *d, struct baseline *b, baseline_method *method)
{
	struct premise p;
	int error = premise_check(&p, d, b->f, b->slo);

	if (error <= 0)
		return error;
	error = method(b);
	if (!error)
		error = list_candidates(d, b);
	if (!error)
		error = list_evidence(d, b, &p.slo);
	if (!error)
		conclude(d, b, &p);
	return error;
}

static int open_findings(struct baseline *b)
{
	const struct graph *g = &b->f->r->graph;
	const struct entity *e = &g->entity[b->slo->entity];

	b->front = e->kind == ENTITY_EDGE ? e->callee : b->slo->entity;
	b->finding = calloc((size_t)g->entities + 1, sizeof(*b->finding));
	b->value = malloc((b->f->total + 1) * sizeof(*b->value));
	for (uint32_t i = 0; b->finding && i < g->entities; i++)
		b->finding[i].column = b->finding[i].cause = SERIES_NONE;
	return b->finding && b->value ? 0 : -ENOMEM;
}

int baseline_rank(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const char *name, baseline_method *method)
{
	struct diagnosis fresh;
	struct frame f;
	struct baseline b = {.f = &f, .slo = slo};
	int error = frame_open(&f, r, slo, from_s, to_s, use);

	if (error)
		return error;
	diagnosis_begin(&fresh, name, slo, from_s, to_s);
	error = open_findings(&b);
	if (!error)
		error = answer(&fresh, &b, method);
	free(b.finding);
	free(b.value);
	frame_close(&f);
	if (error)
		diagnosis_clear(&fresh);
	else
		*d = fresh;
	return error;
}
