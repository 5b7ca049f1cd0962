#include "analyzer/suspicion.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/failures.h"
#include "analyzer/gaps.h"
#include "analyzer/stolen.h"

#define ERROR_METRIC "error_ratio"
#define LATENCY_FLOOR_US 30
#define ERROR_FLOOR_RATIO 0.005
#define FAILURES_ALONE 0.5   /* share of a guilt: who fails fast lacks no resource */
#define LEAST_RISE 0.05      /* of the target: less does not make one missed */
#define SURGE_RATIO 1.2      /* requests below this times the normal are no surge, */
#define SURGE_FULL_RATIO 1.5 /* from this on they are one for certain */
#define SURGE_SIGMAS 4

static const struct {
	const char *name;
	double tail;
} statistics[] = {{"p99", 0.01}, {"p95", 0.05}, {"p90", 0.1}, {"mean", 1}, {"p50", 1}};

#define STATISTICS (sizeof(statistics) / sizeof(*statistics))

/* Latencies of this statistic, the SLO's own aside. */
static size_t count_columns(const struct suspicion *s, const char *statistic)
{
	const struct series *series = &s->f->r->series;
	char server[32], client[32];
	size_t count = 0;

	snprintf(server, sizeof(server), "server_%s_us", statistic);
	snprintf(client, sizeof(client), "client_%s_us", statistic);
	for (uint32_t i = 0; i < series->columns; i++) {
		const struct series_column *c = &series->column[i];

		if (c->entity != s->entry)
			count += !strcmp(c->metric, server) || !strcmp(c->metric, client);
	}
	return count;
}

static void add_latency_lens(struct suspicion *s, size_t statistic)
{
	char(*name)[32] = s->name[s->lenses];
	static const char *const kind[] = {"server", "self", "client", "network"};

	for (int i = 0; i < 4; i++)
		snprintf(name[i], sizeof(name[i]), "%s_%s_us", kind[i], statistics[statistic].name);
	s->lens[s->lenses++] = (struct lens){.server = name[0],
		.self = name[1],
		.client = name[2],
		.network = name[3],
		.tail = statistics[statistic].tail,
		.floor = LATENCY_FLOOR_US};
}

static void add_error_lens(struct suspicion *s)
{
	static const char *const name = ERROR_METRIC;

	s->lens[s->lenses++] = (struct lens){
		.server = name, .client = name, .tail = 1, .floor = ERROR_FLOOR_RATIO};
}

/* The statistic that most latencies have, the target's own and higher ones preferred. */
static size_t choose_statistic(const struct suspicion *s, const char *slo_metric)
{
	size_t best = STATISTICS, most = 0;

	for (size_t i = 0; i < STATISTICS; i++) {
		size_t count = count_columns(s, statistics[i].name);

		if (count && strstr(slo_metric, statistics[i].name))
			count *= 2;
		if (count > most) {
			most = count;
			best = i;
		}
	}
	return best;
}

/*
 * Tails tell what the target sees, means add up exactly along the calls: both are looked at
 * where there are both.
 */
static void choose_lenses(struct suspicion *s, const char *slo_metric)
{
	size_t first;

	if (!strcmp(slo_metric, ERROR_METRIC)) {
		add_error_lens(s);
		return;
	}
	first = choose_statistic(s, slo_metric);
	if (first == STATISTICS)
		return;
	add_latency_lens(s, first);
	for (size_t i = 0; i < STATISTICS; i++) {
		if (i != first && statistics[i].tail >= 1 && statistics[first].tail < 1 &&
			2 * count_columns(s, statistics[i].name) >=
				count_columns(s, statistics[first].name)) {
			add_latency_lens(s, i);
			return;
		}
	}
}

static double counted(const struct part *p)
{
	return p->known ? p->added * p->weight : 0;
}

/* What the shares are shares of: the end-to-end rise, all that rose, or the least that matters. */
static double whole_rise(const struct suspicion *s, const struct exclusive *x)
{
	double sum = 0;

	for (uint32_t i = 0; i < s->f->r->graph.entities; i++)
		sum += counted(&x->part[i]);
	return fmax(fmax(sum, x->end_to_end), LEAST_RISE * fabs(s->target));
}

static void add_shares(const struct suspicion *s, double *share)
{
	const struct graph *g = &s->f->r->graph;

	for (size_t l = 0; l < s->lenses; l++) {
		double whole = whole_rise(s, &s->seen[l]) * (double)s->lenses;

		for (uint32_t i = 0; whole > 0 && i < g->entities; i++)
			share[i] += counted(&s->seen[l].part[i]) / whole;
	}
}

/* Sum of all shares: how much of the rise has been found somewhere. */
static double found(const struct suspicion *s)
{
	double sum = 0;

	for (uint32_t i = 0; i < s->f->r->graph.entities; i++)
		sum += s->suspect[i].own + s->suspect[i].between;
	return fmin(1, sum);
}

/* Counters weigh little beside latencies that tell the time, and most where there are none. */
static void score(struct suspect *p, enum entity_kind kind, double missing)
{
	static const enum resource local[] = {
		RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK, RESOURCE_NETWORK, RESOURCE_UNKNOWN};

	for (size_t i = 0; i < sizeof(local) / sizeof(*local); i++)
		p->symptom = fmax(p->symptom, p->moved[local[i]].strength);
	p->fails = p->failures > FAILURES_ALONE * (p->own + p->between);
	if (kind == ENTITY_HOST)
		p->resource = RESOURCE_CPU;
	else if (p->fails)
		p->resource = RESOURCE_CODE;
	else
		p->resource = symptom_resource(p->moved, p->own, p->between);
	p->score = (p->own + p->between) * (0.75 + 0.25 * p->symptom);
	p->score += (0.1 + 0.4 * missing) * p->symptom;
}

static int read_rate(struct suspicion *s)
{
	float *rate = malloc((s->f->total + 1) * sizeof(*rate));
	bool any;

	if (!rate)
		return -ENOMEM;
	any = frame_gather(s->f, s->entry, "requests_per_s", rate) ||
	      frame_gather(s->f, s->front, "requests_per_s", rate);
	if (any && frame_shift(s->f, rate, 1e-3, &s->rate) && s->rate.normal > 0) {
		double ratio = s->rate.observed / s->rate.normal;

		if (s->rate.sigmas > SURGE_SIGMAS)
			s->surge = fmin(1,
				fmax(0, (ratio - SURGE_RATIO) / (SURGE_FULL_RATIO - SURGE_RATIO)));
	}
	free(rate);
	return 0;
}

static int measure(struct suspicion *s)
{
	int error = traffic_open(&s->traffic, s->f, s->entry);

	for (size_t l = 0; !error && l < s->lenses; l++) {
		error = exclusive_open(&s->seen[l], s->f, &s->lens[l], &s->traffic);
		if (error == -ENODATA) {
			s->lenses = l;
			error = 0;
		}
	}
	return error ? error : read_rate(s);
}

static int read_symptoms(struct suspicion *s)
{
	const struct recording *r = s->f->r;
	int error = 0;

	for (uint32_t i = 0; !error && i < r->graph.entities; i++) {
		s->suspect[i].edge = GRAPH_NONE;
		if (r->graph.entity[i].kind != ENTITY_EDGE)
			error = symptom_read(s->f, i, s->suspect[i].moved);
	}
	for (uint32_t i = 0; !error && i < r->series.columns; i++) {
		uint32_t entity = r->series.column[i].entity;

		if (r->graph.entity[entity].kind == ENTITY_SERVICE)
			error = symptom_read_unknown(s->f, i, s->suspect[entity].moved);
	}
	return error;
}

/* Errors of a target that counts errors are where they are made already. */
static int find_shares(struct suspicion *s, double *share)
{
	const struct graph *g = &s->f->r->graph;
	double *handed = calloc(g->entities, sizeof(*handed));
	int error = handed ? 0 : -ENOMEM;

	if (handed) {
		add_shares(s, share);
		for (uint32_t i = 0; i < g->entities; i++)
			s->suspect[i].measured = share[i];
		if (strcmp(s->lens[0].client, ERROR_METRIC))
			error = failures_hand_down(s->f, &s->traffic, share, handed);
		for (uint32_t i = 0; i < g->entities; i++) {
			if (g->entity[i].kind != ENTITY_SERVICE)
				continue;
			s->suspect[i].own = share[i];
			s->suspect[i].failures = handed[i];
			share[i] = 0;
		}
	}
	free(handed);
	return error;
}

static int judge(struct suspicion *s)
{
	const struct graph *g = &s->f->r->graph;
	double *share = calloc(g->entities, sizeof(*share)), missing;
	int error = share ? read_symptoms(s) : -ENOMEM;

	if (!error && s->lenses)
		error = find_shares(s, share);
	if (!error)
		error = gaps_share_out(s, share);
	if (!error) {
		missing = 1 - found(s);
		stolen_share(s);
		for (uint32_t i = 0; i < g->entities; i++)
			if (g->entity[i].kind != ENTITY_EDGE)
				score(&s->suspect[i], g->entity[i].kind, missing);
	}
	free(share);
	return error;
}

int suspicion_open(struct suspicion *s, const struct frame *f, const struct slo *slo)
{
	const struct graph *g = &f->r->graph;
	const struct entity *e = &g->entity[slo->entity];
	int error = -ENOMEM;

	*s = (struct suspicion){.f = f,
		.entry = slo->entity,
		.front = e->kind == ENTITY_EDGE ? e->callee : slo->entity};
	s->suspect = calloc(g->entities, sizeof(*s->suspect));
	if (s->suspect) {
		s->target = slo->target;
		choose_lenses(s, slo->metric);
		error = measure(s);
	}
	if (!error)
		error = judge(s);
	if (error)
		suspicion_close(s);
	return error;
}

void suspicion_close(struct suspicion *s)
{
	for (size_t l = 0; l < SUSPICION_LENSES; l++)
		exclusive_close(&s->seen[l]);
	traffic_close(&s->traffic);
	free(s->suspect);
	s->suspect = NULL;
}
