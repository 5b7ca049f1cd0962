#include "wire_sample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static double uniform(uint64_t *state)
{
	return (double)(draw(state) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
	return sqrt(-2 * log(1 - uniform(state))) * cos(2 * M_PI * uniform(state));
}

static void fill_container(struct wire_container *c, uint32_t i, uint64_t *seed)
{
	float *m = c->metric;

	c->cgroup_id = 4000 + 7ULL * i;
	snprintf(c->name, sizeof(c->name), "app-%u", i);
	snprintf(c->service, sizeof(c->service), "service-%u", i / 2);
	snprintf(c->group, sizeof(c->group), "/testbed/service-%u", i / 2);
	snprintf(c->path, sizeof(c->path), "/testbed/service-%u/app-%u", i / 2, i);
	m[METRIC_CPU_CORES] = (float)uniform(seed);
	m[METRIC_CPU_LIMIT_CORES] = 2;
	m[METRIC_CPU_UTIL] = m[METRIC_CPU_CORES] / 2;
	m[METRIC_CPU_RUNQ] = (float)(uniform(seed) * 0.02);
	m[METRIC_MEM_BYTES] = (float)(1e8 + 4096 * floor(uniform(seed) * 1e5));
	m[METRIC_MEM_UTIL] = m[METRIC_MEM_BYTES] / 1e9F;
	m[METRIC_NET_RX_BYTES] = (float)floor(uniform(seed) * 1e6);
	m[METRIC_NET_TX_BYTES] = (float)floor(uniform(seed) * 1e6);
	m[METRIC_PSI_CPU] = (float)(uniform(seed) * 0.1);
	m[METRIC_BLK_WRITE_BYTES] = uniform(seed) < 0.2 ? (float)(uniform(seed) * 1e6) : 0;
	m[METRIC_CPU_IPC] = m[METRIC_CPU_LLC_MISSES] = NAN;
}

static void fill_edge(struct wire_edge *e, const struct wire_window *w, uint32_t i, unsigned calls,
	uint64_t *seed)
{
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 4};
	double median = exp(normal(seed)) * 2e6;

	e->container = (uint32_t)(draw(seed) % w->containers);
	e->peer_container = i % 3 ? (uint32_t)(draw(seed) % w->containers) : WIRE_NO_CONTAINER;
	e->side = i % 2;
	e->protocol = (uint8_t)(i % WIRE_PROTOCOLS);
	e->port = (uint16_t)(8000 + i % 20);
	memcpy(e->local_addr, mapped, 16);
	memcpy(e->peer_addr, mapped, 16);
	e->local_addr[15] = (uint8_t)e->container;
	e->peer_addr[15] = (uint8_t)draw(seed);
	e->errors = draw(seed) % 50 ? 0 : 3;
	e->bytes_sent = calls * (100 + draw(seed) % 1000);
	e->bytes_received = calls * (100 + draw(seed) % 5000);
	e->segments_sent = calls;
	e->rtt_us = (float)(50 + uniform(seed) * 100);
	e->connect_us = NAN;
	for (unsigned c = 0; c < calls; c++) {
		uint64_t ns = (uint64_t)(median * exp(0.5 * normal(seed)));

		hist_add(&e->latency, ns);
		if (e->side == WIRE_SERVER)
			hist_add(&e->self, ns / 2);
	}
}

void sample_window(
	struct wire_window *w, uint32_t containers, uint32_t edges, unsigned calls, uint64_t seed)
{
	*w = (struct wire_window){.start_ns = 1700000000000000000ULL + seed * 1000000000ULL,
		.duration_ns = 1000000000,
		.containers = containers,
		.edges = edges};
	w->container = calloc(containers ? containers : 1, sizeof(*w->container));
	w->edge = calloc(edges ? edges : 1, sizeof(*w->edge));
	for (unsigned m = 0; m < HOST_METRICS; m++)
		w->host[m] = (float)uniform(&seed);
	w->loss[LOSS_EDGE_TABLE_FULL] = seed;
	for (uint32_t i = 0; i < containers; i++)
		fill_container(&w->container[i], i, &seed);
	for (uint32_t i = 0; i < edges; i++)
		fill_edge(&w->edge[i], w, i, calls, &seed);
}

void sample_operations(struct wire_window *w)
{
	static const char *const names[] = {"GET /cart/*", "POST /cart", "SELECT orders"};

	w->operation = calloc(3 * (size_t)w->edges + 1, sizeof(*w->operation));
	for (uint32_t i = 0; i < 3 * w->edges; i++) {
		struct wire_operation *o = &w->operation[w->operations];
		const struct hist *all = &w->edge[i / 3].latency;

		if (i / 3 % 2)
			continue;
		o->edge = i / 3;
		strcpy(o->name, names[i % 3]);
		o->errors = i % 5;
		for (unsigned b = i % 3; b < HIST_BUCKETS; b += 3)
			o->latency.total += o->latency.count[b] = all->count[b];
		o->latency.sum_ns = all->sum_ns / 3;
		w->operations++;
	}
}

static void assert_floats_close(float a, float b)
{
	if (isnan(a) || isnan(b)) {
		assert_true(isnan(a) && isnan(b));
		return;
	}
	assert_true(a == b || fabsf(a - b) <= fabsf(a) * 0x1p-16F);
}

static void assert_containers_equal(const struct wire_container *a, const struct wire_container *b)
{
	assert_memory_equal(a, b, offsetof(struct wire_container, metric));
	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		assert_floats_close(a->metric[m], b->metric[m]);
}

static void assert_edges_equal(const struct wire_edge *a, const struct wire_edge *b)
{
	assert_memory_equal(a, b, offsetof(struct wire_edge, rtt_us));
	assert_floats_close(a->rtt_us, b->rtt_us);
	assert_floats_close(a->connect_us, b->connect_us);
	assert_memory_equal(&a->latency, &b->latency, sizeof(a->latency));
	assert_memory_equal(&a->self, &b->self, sizeof(a->self));
}

void assert_windows_equal(const struct wire_window *a, const struct wire_window *b)
{
	assert_true(a->start_ns == b->start_ns && a->duration_ns == b->duration_ns);
	for (unsigned m = 0; m < HOST_METRICS; m++)
		assert_floats_close(a->host[m], b->host[m]);
	assert_memory_equal(a->loss, b->loss, sizeof(a->loss));
	assert_int_equal(a->containers, b->containers);
	assert_int_equal(a->edges, b->edges);
	for (uint32_t i = 0; i < a->containers; i++)
		assert_containers_equal(&a->container[i], &b->container[i]);
	for (uint32_t i = 0; i < a->edges; i++)
		assert_edges_equal(&a->edge[i], &b->edge[i]);
	assert_int_equal(a->operations, b->operations);
	if (a->operations)
		assert_memory_equal(
			a->operation, b->operation, a->operations * sizeof(*a->operation));
}
