#include "tests/bench/synthetic.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analyzer/random.h"

#define WINDOW_S 5.0
#define START_S 1700000000.0
#define TAIL 1.4F /* p99 over p95 */

static const char *const shape_name[SYNTHETIC_SHAPES] = {"chain", "tree", "hub"};

struct maker {
	const struct synthetic *s;
	struct recording *r;
	struct random random;
	long row;
	float *server_us; /* [services] p95 in this window, owned */
	bool failed;
};

const char *synthetic_shape_name(enum synthetic_shape s)
{
	return shape_name[s];
}

static unsigned parent_of(const struct synthetic *s, unsigned service)
{
	if (s->shape == SYNTHETIC_HUB)
		return 0;
	return s->shape == SYNTHETIC_CHAIN ? service - 1 : (service - 1) / 2;
}

/* Half-way down, so that the incident has both callers to climb and callees to be told from. */
static unsigned culprit_of(const struct synthetic *s)
{
	return s->services / 2;
}

static float noise(struct maker *m, float spread)
{
	float value;

	random_normals(&m->random, &value, 1);
	return expf(spread * value);
}

static void put(struct maker *m, const char *entity, const char *metric, float value)
{
	uint32_t number = graph_entity(&m->r->graph, entity), column = SERIES_NONE;

	if (number != GRAPH_NONE)
		column = series_column(&m->r->series, number, metric);
	if (column == SERIES_NONE)
		m->failed = true;
	else
		series_set(&m->r->series, (size_t)m->row, column, value);
}

static void put_tail(
	struct maker *m, const char *entity, const char *p95, const char *p99, float p95_us)
{
	put(m, entity, p95, p95_us);
	put(m, entity, p99, p95_us * TAIL * noise(m, 0.03F));
}

static void put_counters(struct maker *m, const char *service, float cpu, bool starved)
{
	put(m, service, "requests_per_s", 400 * noise(m, 0.05F));
	put(m, service, "cpu_util_ratio", cpu);
	put(m, service, "cpu_throttled_ratio", (starved ? 0.6F : 0.01F) * noise(m, 0.2F));
	put(m, service, "cpu_runq_ratio", (starved ? 0.5F : 0.05F) * noise(m, 0.2F));
	put(m, service, "mem_util_ratio", 0.5F * noise(m, 0.02F));
	put(m, service, "blk_wait_ratio", 0.02F * noise(m, 0.2F));
}

/* One service in one window; those it calls were made before it. */
static void make_service(struct maker *m, unsigned i)
{
	bool starved =
		i == culprit_of(m->s) && (unsigned)m->row >= m->s->windows - SYNTHETIC_INCIDENT;
	float cpu = 0.3F * noise(m, 0.15F), gap_us = 100 * noise(m, 0.2F);
	float self_us = (200 + 40 * (float)(i % 7)) * (1 + 2 * cpu) * noise(m, 0.05F);
	char service[16], edge[32];

	if (starved)
		self_us += 1000.0F * (float)m->s->services;
	snprintf(service, sizeof(service), "s%u", i);
	if (i)
		snprintf(edge, sizeof(edge), "s%u->s%u", parent_of(m->s, i), i);
	else
		snprintf(edge, sizeof(edge), "user->s0");
	m->server_us[i] += self_us;
	put_counters(m, service, cpu, starved);
	put_tail(m, service, "self_p95_us", "self_p99_us", self_us);
	put_tail(m, service, "server_p95_us", "server_p99_us", m->server_us[i]);
	put_tail(m, edge, "network_p95_us", "network_p99_us", gap_us);
	put_tail(m, edge, "client_p95_us", "client_p99_us", m->server_us[i] + gap_us);
	put(m, edge, "net_rtt_us", 0.6F * gap_us * noise(m, 0.1F));
	if (i)
		m->server_us[parent_of(m->s, i)] += m->server_us[i] + gap_us;
}

static int make_windows(struct maker *m)
{
	for (unsigned w = 0; w < m->s->windows; w++) {
		m->row = series_row(&m->r->series, START_S + w * WINDOW_S);
		if (m->row < 0)
			return -ENOMEM;
		for (unsigned i = 0; i < m->s->services; i++)
			m->server_us[i] = 0;
		for (unsigned i = m->s->services; i-- > 0;)
			make_service(m, i);
	}
	return m->failed ? -ENOMEM : 0;
}

/* The target is a little above the worst window outside the incident. */
static int set_target(struct recording *r, const struct synthetic *s)
{
	size_t first = s->windows - SYNTHETIC_INCIDENT;
	const float *value;
	float worst = 0;

	r->slo = calloc(1, sizeof(*r->slo));
	r->truth = calloc(1, sizeof(*r->truth));
	if (!r->slo || !r->truth)
		return -ENOMEM;
	r->slos = r->truths = 1;
	r->slo->entity = graph_find(&r->graph, "user->s0");
	snprintf(r->slo->metric, sizeof(r->slo->metric), "client_p99_us");
	value = series_values(&r->series, r->slo->entity, r->slo->metric);
	for (size_t w = 0; w < first; w++)
		worst = fmaxf(worst, value[w]);
	r->slo->target = 1.05 * (double)worst;
	r->truth->from_s = r->series.start_s[first];
	r->truth->to_s = r->series.start_s[s->windows - 1] + WINDOW_S;
	r->truth->resource = RESOURCE_CPU;
	snprintf(r->truth->service, sizeof(r->truth->service), "s%u", culprit_of(s));
	return 0;
}

int synthetic_make(struct recording *r, const struct synthetic *s)
{
	struct maker m = {.s = s, .r = r};
	int err;

	recording_init(r);
	r->series.window_s = WINDOW_S;
	random_init(&m.random, s->seed, 0);
	m.server_us = calloc(s->services, sizeof(*m.server_us));
	err = m.server_us ? make_windows(&m) : -ENOMEM;
	free(m.server_us);
	return err ? err : set_target(r, s);
}
