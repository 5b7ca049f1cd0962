#include "analyzer/exclusive.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOTICED_SIGMAS 2.0 /* weight 0 up to here, */
#define CERTAIN_SIGMAS 5.0 /* 1 from here */
#define SPREAD_RATIO 0.05  /* spread of a quiet value, as a share of the latency it is part of */
#define PARALLEL_RATIO 1.1 /* children add up to more than their parent: they overlap */

/* What is being measured, while it is. All arrays of floats are [total] of the frame. */
struct work {
	const struct frame *f;
	const struct graph *g;
	const struct traffic *t;
	const struct lens *lens;
	struct exclusive *x;
	float **server; /* [entities] of a service, NULL where unknown */
	float **client; /* [entities] of an edge, NULL where unknown */
	double *normal; /* [entities] of one or the other; NaN where unknown */
	double *rise;   /* [entities] of the same, which none of its parts exceeds */
};

static float *column(const struct work *k, uint32_t entity, const char *metric)
{
	float *value = metric ? malloc((k->f->total + 1) * sizeof(*value)) : NULL;

	if (value && frame_gather(k->f, entity, metric, value))
		return value;
	free(value);
	return NULL;
}

static double normal_of(const struct work *k, const float *value)
{
	return value ? frame_normal(k->f, value) : NAN;
}

/*
 * What stands where a value lacks: the median of the normal windows, whether or not the interval
 * has values; where they often lack, none is usual.
 */
static double usual_of(const struct work *k, const float *value)
{
	size_t known = 0, lacking = 0;

	for (size_t i = 0; i < k->f->normals; i++)
		if (!isnan(value[i]))
			known++;
	for (size_t i = 0; i < k->f->total; i++)
		lacking += isnan(value[i]) != 0;
	if (!lacking || !known || known * 10 < k->f->normals * 9)
		return NAN;
	memcpy(k->f->scratch, value, k->f->normals * sizeof(*value));
	return frame_median(k->f->scratch, k->f->normals);
}

/* The largest of the in-edges' values stands for a service that has none of its own. */
static float *from_callers(const struct work *k, uint32_t service, const char *metric)
{
	const struct entity *e = &k->g->entity[service];
	float *out = NULL;

	for (uint32_t i = 0; i < e->ins; i++) {
		float *value = column(k, e->in[i], metric);

		if (!out) {
			out = value;
			continue;
		}
		for (size_t w = 0; value && w < k->f->total; w++)
			out[w] = fmaxf(out[w], value[w]);
		free(value);
	}
	return out;
}

static void read_service(struct work *k, uint32_t service)
{
	float *value = column(k, service, k->lens->server);

	if (!value)
		value = from_callers(k, service, k->lens->server);
	if (!value && k->lens->client != k->lens->server)
		value = from_callers(k, service, k->lens->client);
	k->server[service] = value;
}

/*
 * Without the client's side of a call its callee's latency stands for it; not where the call
 * closes a cycle, as that latency holds the caller's own.
 */
static void read_edge(struct work *k, uint32_t edge)
{
	const struct entity *e = &k->g->entity[edge];
	const float *callee = k->server[e->callee];

	k->client[edge] = column(k, edge, k->lens->client);
	if (!k->client[edge] && callee && traffic_leads_on(k->t, edge)) {
		k->client[edge] = malloc((k->f->total + 1) * sizeof(float));
		if (k->client[edge])
			memcpy(k->client[edge], callee, k->f->total * sizeof(float));
	}
}

/* Do the calls of a service overlap in time, by what they add up to in normal windows? */
static bool in_parallel(const struct work *k, uint32_t service)
{
	const struct entity *e = &k->g->entity[service];
	double sum = 0;

	for (uint32_t i = 0; i < e->outs; i++) {
		uint32_t edge = e->out[i];
		double normal = k->normal[edge];

		if (normal > 0 && k->g->entity[edge].callee != service)
			sum += fmin(1, k->t->calls[edge]) * normal;
	}
	return sum > PARALLEL_RATIO * k->normal[service];
}

/*
 * Add what one call explains. Without calls that is nothing; where only its latency is missing
 * the usual one stands for it, or the caller would seem to have gained all of it. A call of a
 * service to itself is part of its own time.
 */
static void explain_call(const struct work *k, uint32_t edge, bool parallel, float *out)
{
	const float *client = k->client[edge];
	const struct entity *e = &k->g->entity[edge];
	float share = (float)traffic_seen(k->t, edge, k->lens->tail), usual, *rate;

	if (!client || e->caller == e->callee)
		return;
	usual = (float)usual_of(k, client);
	rate = column(k, edge, "requests_per_s");
	for (size_t w = 0; w < k->f->total; w++) {
		bool silent = rate && rate[w] <= 0;
		float part = share * (isnan(client[w]) && !silent ? usual : client[w]);

		if (!isnan(part))
			out[w] = parallel ? fmaxf(out[w], part) : out[w] + part;
	}
	free(rate);
}

/* What the calls of a service explain of its latency, window by window. */
static void explain(const struct work *k, uint32_t service, float *out)
{
	const struct entity *e = &k->g->entity[service];
	bool parallel = in_parallel(k, service);

	memset(out, 0, k->f->total * sizeof(*out));
	for (uint32_t i = 0; i < e->outs; i++)
		explain_call(k, e->out[i], parallel, out);
}

/* A "self time" that still holds its children (a server that hands requests between threads
 * in a way that could not be followed) is no self time. */
static bool self_holds(const struct work *k, const float *self, const float *rest, double server)
{
	double normal = normal_of(k, self), left = normal_of(k, rest);

	return isnan(server) || isnan(left) || normal < 0.9 * server || left > 0.7 * server;
}

static void judge(
	const struct work *k, uint32_t entity, const float *value, double whole, double limit)
{
	struct part *p = &k->x->part[entity];
	double floor = fmax(k->lens->floor, isnan(whole) ? 0 : SPREAD_RATIO * whole);
	double normal = frame_normal(k->f, value);

	if (isnan(normal))
		return;
	frame_shift_from(k->f, value, normal, floor, NOTICED_SIGMAS, &p->shift);
	p->known = true;
	p->weight = (p->shift.sigmas - NOTICED_SIGMAS) / (CERTAIN_SIGMAS - NOTICED_SIGMAS);
	p->weight = fmin(1, fmax(0, p->weight));
	p->added = k->x->visits[entity] * fmax(0, fmin(p->shift.observed - p->shift.normal, limit));
}

static void judge_derived(
	const struct work *k, uint32_t entity, const float *value, double whole, double limit)
{
	judge(k, entity, value, whole, limit);
	k->x->part[entity].derived = true;
}

static void sum_up(struct work *k, uint32_t entity)
{
	const float *value = k->server[entity] ? k->server[entity] : k->client[entity];
	double normal = normal_of(k, value);

	k->normal[entity] = normal;
	k->rise[entity] = isnan(normal) ? INFINITY : fmax(0, frame_observed(k->f, value) - normal);
}

static int judge_service(struct work *k, uint32_t service)
{
	const float *server = k->server[service];
	float *self = column(k, service, k->lens->self);
	float *rest = malloc((k->f->total + 1) * sizeof(*rest));

	if (!rest) {
		free(self);
		return -ENOMEM;
	}
	explain(k, service, rest);
	for (size_t w = 0; w < k->f->total; w++)
		rest[w] = server ? server[w] - rest[w] : NAN;
	if (self && self_holds(k, self, rest, k->normal[service]))
		judge(k, service, self, server ? k->normal[service] : normal_of(k, self),
			k->rise[service]);
	else
		judge_derived(k, service, rest, k->normal[service], k->rise[service]);
	free(rest);
	free(self);
	return 0;
}

static void judge_edge(struct work *k, uint32_t edge)
{
	const struct entity *e = &k->g->entity[edge];
	float *gap = column(k, edge, k->lens->network), *far, *measured;

	if (gap) {
		judge(k, edge, gap, k->normal[edge], k->rise[edge]);
	} else {
		measured = column(k, edge, k->lens->client);
		far = k->lens->server == k->lens->client ? NULL : column(k, edge, k->lens->server);
		if (!far)
			far = column(k, e->callee, k->lens->server);
		gap = measured && far ? malloc((k->f->total + 1) * sizeof(*gap)) : NULL;
		for (size_t w = 0; gap && w < k->f->total; w++)
			gap[w] = measured[w] - far[w];
		if (gap)
			judge_derived(k, edge, gap, k->normal[edge], k->rise[edge]);
		free(measured);
		free(far);
	}
	free(gap);
}

static int measure(struct work *k)
{
	bool any = false;
	int error = 0;

	for (uint32_t i = 0; i < k->g->entities; i++)
		if (k->g->entity[i].kind == ENTITY_SERVICE)
			read_service(k, i);
	for (uint32_t i = 0; i < k->g->entities; i++) {
		if (k->g->entity[i].kind == ENTITY_EDGE)
			read_edge(k, i);
		any |= k->server[i] || k->client[i];
		sum_up(k, i);
	}
	if (!any)
		return -ENODATA;
	traffic_visits(k->t, k->lens->tail, k->x->visits);
	for (uint32_t i = 0; !error && i < k->g->entities; i++) {
		const struct entity *e = &k->g->entity[i];

		if (e->kind == ENTITY_SERVICE && strcmp(e->name, GRAPH_USER))
			error = judge_service(k, i);
		else if (e->kind == ENTITY_EDGE)
			judge_edge(k, i);
	}
	return error;
}

static void measure_entry(struct work *k)
{
	uint32_t entry = k->t->entry;
	bool edge = k->g->entity[entry].kind == ENTITY_EDGE;
	const float *value = edge ? k->client[entry] : k->server[entry];
	struct shift s;

	if (value && frame_shift(k->f, value, 1, &s))
		k->x->end_to_end = s.observed - s.normal;
}

int exclusive_open(struct exclusive *x, const struct frame *f, const struct lens *lens,
	const struct traffic *t)
{
	const struct graph *g = &f->r->graph;
	size_t n = g->entities;
	struct work k = {.f = f, .g = g, .t = t, .lens = lens, .x = x};
	int error = -ENOMEM;

	*x = (struct exclusive){
		.part = calloc(n, sizeof(*x->part)), .visits = calloc(n, sizeof(*x->visits))};
	k.server = calloc(n, sizeof(*k.server));
	k.client = calloc(n, sizeof(*k.client));
	k.normal = calloc(n, sizeof(*k.normal));
	k.rise = calloc(n, sizeof(*k.rise));
	if (x->part && x->visits && k.server && k.client && k.normal && k.rise)
		error = measure(&k);
	if (!error)
		measure_entry(&k);
	else
		exclusive_close(x);
	for (size_t i = 0; i < n; i++) {
		if (k.server)
			free(k.server[i]);
		if (k.client)
			free(k.client[i]);
	}
	free(k.server);
	free(k.client);
	free(k.normal);
	free(k.rise);
	return error;
}

void exclusive_close(struct exclusive *x)
{
	free(x->part);
	free(x->visits);
	x->part = NULL;
	x->visits = NULL;
}
