#include "planted.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N PLANTED_SERVICES
#define MAX_CALLS 2 /* a service is called at most so often per request */

struct samples {
	float *value; /* [count] owned */
	size_t count;
};

struct plan {
	const struct planted *p; /* the later fault in place of the first while it lasts */
	struct recording *r;
	uint64_t random;
	int parent[N];     /* -1: called by the user */
	double chance[N];  /* that the parent calls it */
	double base_us[N]; /* usual self time */
	bool fault;        /* in the window being drawn */
	struct samples server[N], self[N], client[N], gap[N];
};

static double uniform(struct plan *k)
{
	uint64_t z = (k->random += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(struct plan *k)
{
	double u = uniform(k), v = uniform(k);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static void keep(struct samples *s, double value)
{
	s->value[s->count++] = (float)value;
}

static bool hit_by(const struct plan *k, int service, enum resource resource)
{
	const struct planted *p = k->p;

	return k->fault && ((p->culprit == (unsigned)service && p->resource == resource) ||
				   (p->also == (unsigned)service && p->also_resource == resource));
}

static double draw_self(struct plan *k, int service)
{
	double us = k->base_us[service] * exp(0.3 * normal(k));

	if (hit_by(k, service, RESOURCE_CPU) || hit_by(k, service, RESOURCE_MEMORY) ||
		hit_by(k, service, RESOURCE_DISK))
		us += 15000 * exp(0.5 * normal(k));
	if (hit_by(k, service, RESOURCE_CODE) && uniform(k) < 0.3)
		us += 30000;
	if (k->fault && k->p->resource == RESOURCE_WORKLOAD)
		us *= 1.5 + 2 * uniform(k);
	return us;
}

/* A delayed link delays every call into and out of the service behind it. */
static double draw_gap(struct plan *k, int callee)
{
	double us = 120 * exp(0.3 * normal(k));
	int caller = k->parent[callee];

	if (hit_by(k, callee, RESOURCE_NETWORK) || hit_by(k, caller, RESOURCE_NETWORK))
		us += 12000 * exp(0.2 * normal(k));
	if (hit_by(k, callee, RESOURCE_CPU))
		us += 3000 * uniform(k);
	return us;
}

/* Latency of one call of `service`, as its caller sees it. */
static double draw_call(struct plan *k, int service)
{
	double self = draw_self(k, service), gap = draw_gap(k, service), children = 0;

	for (int child = service + 1; child < N; child++) {
		double client;

		if (k->parent[child] != service || uniform(k) > k->chance[child])
			continue;
		client = draw_call(k, child);
		children =
			k->p->shape == SHAPE_FAN_OUT ? fmax(children, client) : children + client;
	}
	keep(&k->self[service], self);
	keep(&k->server[service], self + children);
	keep(&k->gap[service], gap);
	keep(&k->client[service], self + children + gap);
	return self + children + gap;
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double statistic(struct samples *s, const char *name)
{
	double sum = 0, q = atof(name + 1) / 100;

	if (!s->count)
		return NAN;
	qsort(s->value, s->count, sizeof(*s->value), ascending);
	for (size_t i = 0; i < s->count; i++)
		sum += (double)s->value[i];
	if (!strcmp(name, "mean"))
		return sum / (double)s->count;
	return (double)s->value[(size_t)(q * (double)(s->count - 1))];
}

static void put(struct plan *k, size_t row, const char *entity, const char *metric, double value)
{
	struct recording *r = k->r;
	uint32_t column = series_column(&r->series, graph_entity(&r->graph, entity), metric);

	assert(column != SERIES_NONE);
	series_set(&r->series, row, column, (float)value);
}

static void name_edge(const struct plan *k, int callee, char out[32])
{
	if (k->parent[callee] < 0)
		snprintf(out, 32, "user->s%d", callee);
	else
		snprintf(out, 32, "s%d->s%d", k->parent[callee], callee);
}

static void put_latencies(struct plan *k, size_t row, int i, const char *service, const char *edge)
{
	char statistics[64], *at = statistics, *name, metric[32];
	unsigned metrics = k->p->metrics;

	snprintf(statistics, sizeof(statistics), "%s", k->p->statistics);
	while ((name = strsep(&at, " "))) {
		snprintf(metric, sizeof(metric), "server_%s_us", name);
		put(k, row, service, metric, statistic(&k->server[i], name));
		snprintf(metric, sizeof(metric), "self_%s_us", name);
		if (metrics & PLANTED_SELF)
			put(k, row, service, metric, statistic(&k->self[i], name));
		snprintf(metric, sizeof(metric), "client_%s_us", name);
		if (metrics & PLANTED_CLIENT || !i)
			put(k, row, edge, metric, statistic(&k->client[i], name));
		snprintf(metric, sizeof(metric), "network_%s_us", name);
		if (metrics & PLANTED_NETWORK)
			put(k, row, edge, metric, statistic(&k->gap[i], name));
	}
}

static void put_counters(struct plan *k, size_t row, int i, const char *service)
{
	bool surge = k->fault && k->p->resource == RESOURCE_WORKLOAD;
	bool cpu = hit_by(k, i, RESOURCE_CPU), memory = hit_by(k, i, RESOURCE_MEMORY);
	bool disk = hit_by(k, i, RESOURCE_DISK);
	double some = 1 + 0.1 * normal(k);

	put(k, row, service, "cpu_util_ratio", (surge ? 0.8 : cpu ? 0.6 : 0.3) * some);
	put(k, row, service, "cpu_throttled_ratio",
		fmax(0, (cpu            ? 0.5
				: surge ? 0.1
					: 0.01) *
				some));
	put(k, row, service, "cpu_runq_ratio", (cpu ? 0.6 : surge ? 0.15 : 0.05) * some);
	put(k, row, service, "mem_util_ratio", memory ? 0.99 : 0.5 + 0.01 * normal(k));
	put(k, row, service, "mem_major_faults_per_s", memory ? 800 * some : 0);
	put(k, row, service, "mem_reclaim_pages_per_s", memory ? 5000 * some : 0);
	put(k, row, service, "blk_wait_ratio", (disk ? 0.7 : memory ? 0.5 : 0.02) * some);
	put(k, row, service, "blk_read_bytes_per_s", (memory ? 3e7 : 1e6) * some);
	put(k, row, service, "psi_io_ratio", (disk ? 0.6 : memory ? 0.4 : 0.01) * some);
}

static void draw_window(struct plan *k, size_t row)
{
	double load = k->fault && k->p->resource == RESOURCE_WORKLOAD ? 2 : 1 + 0.05 * normal(k);
	unsigned metrics = k->p->metrics;

	for (int i = 0; i < N; i++)
		k->server[i].count = k->self[i].count = k->client[i].count = k->gap[i].count = 0;
	for (unsigned i = 0; i < k->p->requests; i++)
		draw_call(k, 0);
	for (int i = 0; i < N; i++) {
		double per_s = (double)k->server[i].count * load / k->p->window_s;
		bool slow_link = hit_by(k, i, RESOURCE_NETWORK);
		char service[16], edge[32];

		snprintf(service, sizeof(service), "s%d", i);
		name_edge(k, i, edge);
		put_latencies(k, row, i, service, edge);
		if (metrics & PLANTED_COUNTERS)
			put_counters(k, row, i, service);
		if (metrics & PLANTED_RATES) {
			put(k, row, service, "requests_per_s", per_s);
			put(k, row, edge, "requests_per_s", per_s);
		}
		if (metrics & PLANTED_LINKS)
			put(k, row, edge, "net_rtt_us",
				(slow_link ? 6000 : 80) * (1 + 0.1 * fabs(normal(k))));
	}
}

static void lay_out(struct plan *k)
{
	static const int tree[N] = {-1, 0, 0, 1, 1, 1, 2, 2, 2, 3};
	struct graph *g = &k->r->graph;

	for (int i = 0; i < N; i++) {
		uint32_t entity;
		char edge[32];

		k->parent[i] = k->p->shape == SHAPE_CHAIN     ? i - 1
			       : k->p->shape == SHAPE_FAN_OUT ? (i ? 0 : -1)
							      : tree[i];
		k->chance[i] = k->p->shape == SHAPE_TREE && i % 3 == 2 ? 0.5 : 1;
		k->base_us[i] = 300 + 700 * uniform(k);
		name_edge(k, i, edge);
		entity = graph_entity(g, edge);
		assert(entity != GRAPH_NONE);
		(void)entity;
	}
}

static double target_of(const struct recording *r, uint32_t entity, const char *metric)
{
	const float *value = series_values(&r->series, entity, metric);
	double highest = 0;

	for (size_t w = 0; w < r->series.windows; w++) {
		bool faulty = false;

		for (size_t i = 0; i < r->truths; i++)
			faulty |= r->series.start_s[w] >= r->truth[i].from_s &&
				  r->series.start_s[w] < r->truth[i].to_s;
		if (!faulty)
			highest = fmax(highest, (double)value[w]);
	}
	return 1.05 * highest;
}

static void add_truth(struct recording *r, const struct planted_fault *f)
{
	struct truth *t = &r->truth[r->truths++];

	*t = (struct truth){.from_s = r->series.start_s[f->from],
		.to_s = r->series.start_s[f->to - 1] + r->series.window_s,
		.resource = f->resource};
	snprintf(t->service, sizeof(t->service), "s%u",
		f->resource == RESOURCE_WORKLOAD ? 0 : f->culprit);
}

static void set_truth_and_target(struct plan *k)
{
	const struct planted *p = k->p;
	struct recording *r = k->r;
	char first[8] = "";

	r->truth = calloc(2 + (size_t)p->laters, sizeof(*r->truth));
	r->slo = calloc(1, sizeof(*r->slo));
	assert(r->truth && r->slo);
	if (p->resource != RESOURCE_NONE)
		add_truth(r, &(struct planted_fault){p->culprit, p->resource, p->from, p->to});
	if (p->also_resource != RESOURCE_NONE)
		add_truth(r, &(struct planted_fault){p->also, p->also_resource, p->from, p->to});
	for (unsigned i = 0; i < p->laters; i++)
		add_truth(r, &p->later[i]);
	sscanf(p->statistics, "%7s", first);
	snprintf(r->slo->metric, sizeof(r->slo->metric), "client_%s_us", first);
	r->slo->entity = graph_find(&r->graph, "user->s0");
	r->slo->target = target_of(r, r->slo->entity, r->slo->metric);
	r->slos = 1;
}

/* What is planted in window `w`: a later fault takes the place of the first. */
static struct planted planted_in(const struct planted *p, unsigned w)
{
	struct planted now = *p;

	for (unsigned i = 0; i < p->laters; i++) {
		const struct planted_fault *f = &p->later[i];

		if (w < f->from || w >= f->to)
			continue;
		now.culprit = f->culprit;
		now.resource = f->resource;
		now.also_resource = RESOURCE_NONE;
		now.from = f->from;
		now.to = f->to;
	}
	return now;
}

void planted_make(struct recording *r, const struct planted *p)
{
	struct plan k = {.p = p, .r = r, .random = p->seed};
	float *block = calloc((size_t)4 * N * MAX_CALLS * p->requests, sizeof(*block));

	assert(block);
	recording_init(r);
	r->series.window_s = p->window_s;
	for (int i = 0; i < N; i++) {
		struct samples *all[] = {&k.server[i], &k.self[i], &k.client[i], &k.gap[i]};

		for (int j = 0; j < 4; j++)
			all[j]->value = block + (size_t)(4 * i + j) * MAX_CALLS * p->requests;
	}
	lay_out(&k);
	for (unsigned w = 0; w < p->windows; w++) {
		long row = series_row(&r->series, 1700000000 + w * p->window_s);
		struct planted now = planted_in(p, w);

		assert(row >= 0);
		k.p = &now;
		k.fault = now.resource != RESOURCE_NONE && w >= now.from && w < now.to;
		draw_window(&k, (size_t)row);
	}
	k.p = p;
	set_truth_and_target(&k);
	free(block);
}
