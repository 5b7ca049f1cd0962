#include "system.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/random.h"

#define OWN_US 1000.0 /* time of a service by itself */
#define NET_US 50.0

struct row {
	struct recording *r;
	size_t number;
	struct random random;
};

static double normal(struct row *w)
{
	float v;

	random_normals(&w->random, &v, 1);
	return (double)v;
}

static void set(struct row *w, const char *entity, const char *metric, double value)
{
	uint32_t e = graph_entity(&w->r->graph, entity);
	uint32_t column = series_column(&w->r->series, e, metric);

	assert(column != SERIES_NONE);
	series_set(&w->r->series, w->number, column, (float)value);
}

static void set_latency(struct row *w, const char *entity, const char *prefix, double us)
{
	char metric[64];

	snprintf(metric, sizeof(metric), "%s_p95_us", prefix);
	set(w, entity, metric, us);
	snprintf(metric, sizeof(metric), "%s_p99_us", prefix);
	set(w, entity, metric, us * 1.4 * (1 + 0.01 * fabs(normal(w))));
}

/* Returns the time the service takes by itself. */
static double record_service(struct row *w, const char *name, bool sick)
{
	double load = 0.3 * exp(0.2 * normal(w)), use = sick ? 0.99 : load;

	set(w, name, "cpu_util_ratio", use);
	set(w, name, "cpu_cores", use * 2 * (1 + 0.02 * normal(w)));
	set(w, name, "cpu_runq_ratio", (sick ? 8 : 0.1 * load) * exp(0.1 * normal(w)));
	set(w, name, "mem_util_ratio", 0.5 + 0.02 * normal(w));
	set(w, name, "blk_read_bytes_per_s", 1e5 * exp(0.2 * normal(w)));
	set(w, name, "blk_write_bytes_per_s", 1e5 * exp(0.2 * normal(w)));
	return OWN_US * (1 + load * load) * (sick ? 20 : 1) * exp(0.03 * normal(w));
}

/* Returns what the way to the callee and back adds. */
static double record_network(struct row *w, const char *edge, bool latencies)
{
	double busy = 0.2 * fabs(normal(w)), request = NET_US * (1 + busy);
	double response = NET_US * (1 + busy) * exp(0.02 * normal(w));

	set(w, edge, "net_rtt_us", NET_US * (1 + busy));
	set(w, edge, "net_retransmit_ratio", 0.001 * busy);
	set(w, edge, "net_rx_bytes_per_s", 1e6 * exp(0.1 * normal(w)));
	set(w, edge, "net_tx_bytes_per_s", 1e6 * exp(0.1 * normal(w)));
	if (latencies) {
		set_latency(w, edge, "request_network", request);
		set_latency(w, edge, "response_network", response);
	}
	return request + response;
}

static void record_row(struct row *w, const struct system *s)
{
	bool ill = s->sick && w->number >= s->from && w->number < s->to;
	double below = 0;

	for (unsigned k = s->services; k > 0; k--) {
		char service[16], edge[40];
		double server, network;

		snprintf(service, sizeof(service), "s%u", k);
		if (k > 1)
			snprintf(edge, sizeof(edge), "s%u->%s", k - 1, service);
		else
			snprintf(edge, sizeof(edge), "user->%s", service);
		server = below + record_service(w, service, ill && k == s->sick);
		network = record_network(w, edge, k > 1);
		set_latency(w, edge, "server", server);
		if (k > 1)
			set_latency(w, edge, "client", server + network);
		below = server + network;
	}
}

void system_record(struct recording *r, const struct system *s)
{
	struct slo slo = {.metric = "server_p99_us"};

	recording_init(r);
	r->series.window_s = SYSTEM_WINDOW_S;
	for (size_t i = 0; i < s->windows; i++) {
		long row = series_row(&r->series, 1e9 + (double)i * SYSTEM_WINDOW_S);
		struct row w = {.r = r, .number = (size_t)row};

		assert(row >= 0);
		random_init(&w.random, s->seed, i);
		record_row(&w, s);
	}
	slo.entity = graph_entity(&r->graph, "user->s1");
	slo.target = s->services * OWN_US * 1.4 * 2.2;
	r->slo = malloc(sizeof(slo));
	assert(r->slo);
	r->slo[0] = slo;
	r->slos = 1;
}
