/*
 * Closing a model window: who called whom, one histogram per service edge and
 * end, and from them and the counters the canonical metrics of a recording.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/closing.h"

static const struct {
	const char *name;
	double q; /* negative: the mean */
} statistic[] = {{"mean", -1}, {"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}};

#define STATISTICS (sizeof(statistic) / sizeof(*statistic))

static void set(struct closing *c, uint32_t entity, const char *metric, double value)
{
	struct series *s = &c->l->recording.series;
	uint32_t column;

	if (!isfinite(value))
		return;
	column = series_column(s, entity, metric);
	if (column == SERIES_NONE)
		return;
	if (c->gaps_only && isfinite(s->column[column].value[c->row]))
		return;
	series_set(s, c->row, column, (float)value);
}

static double statistic_us(const struct hist *h, size_t i)
{
	if (h->total == 0)
		return NAN;
	return (statistic[i].q < 0 ? hist_mean_ns(h)
				   : (double)hist_quantile_ns(h, statistic[i].q)) /
	       1e3;
}

static void set_latency(struct closing *c, uint32_t entity, const char *what, const struct hist *h)
{
	for (size_t i = 0; i < STATISTICS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s_%s_us", what, statistic[i].name);
		set(c, entity, name, statistic_us(h, i));
	}
}

static bool grow(struct closing *c, uint32_t number)
{
	uint32_t capacity = c->capacity ? c->capacity : 64;
	struct edge_sum **edge;
	struct service_sum **service;

	while (capacity <= number)
		capacity *= 2;
	if (capacity == c->capacity)
		return true;
	edge = realloc(c->edge, capacity * sizeof(struct edge_sum *));
	if (edge)
		c->edge = edge;
	service = realloc(c->service, capacity * sizeof(struct service_sum *));
	if (service)
		c->service = service;
	if (!edge || !service)
		return false;
	memset(edge + c->capacity, 0, (capacity - c->capacity) * sizeof(struct edge_sum *));
	memset(service + c->capacity, 0, (capacity - c->capacity) * sizeof(struct service_sum *));
	c->capacity = capacity;
	return true;
}

static struct edge_sum *edge_sum(struct closing *c, uint32_t caller, uint32_t callee)
{
	struct graph *g = &c->l->recording.graph;
	uint32_t number = graph_edge(g, g->entity[caller].name, g->entity[callee].name);

	if (number == GRAPH_NONE || !grow(c, number))
		return NULL;
	if (!c->edge[number]) {
		c->edge[number] = calloc(1, sizeof(**c->edge));
		if (!c->edge[number])
			return NULL;
		c->edge[number]->edge = number;
		c->edge[number]->connect_us = NAN;
	}
	return c->edge[number];
}

static struct service_sum *service_sum(struct closing *c, uint32_t service)
{
	if (!grow(c, service))
		return NULL;
	if (!c->service[service]) {
		c->service[service] = calloc(1, sizeof(**c->service));
		if (c->service[service])
			c->service[service]->service = service;
	}
	return c->service[service];
}

static void add_calls(struct calls *into, const struct live_edge *e, double covered_s)
{
	double failed = (double)(e->errors + e->unanswered);
	double all = (double)(e->latency.total + e->unanswered);

	span_merge(&into->latency, &e->latency);
	into->answered += all;
	into->errors += failed < all ? failed : all;
	into->per_s += all / covered_s;
	into->resets_per_s += (double)e->resets / covered_s;
}

static void add_to_edge(struct edge_sum *s, const struct live_edge *e, double covered_s)
{
	bool client = e->key.side == WIRE_CLIENT;

	add_calls(client ? &s->client : &s->server, e, covered_s);
	s->retransmits += (double)e->retransmits;
	s->segments += (double)e->segments;
	s->rtt_sum += e->rtt_us_sum;
	s->rtt_calls += e->rtt_calls;
	if (!client)
		return;
	s->sent_per_s += (double)e->bytes_sent / covered_s;
	s->received_per_s += (double)e->bytes_received / covered_s;
	if (e->connect_us >= 0 && !(s->connect_us >= e->connect_us))
		s->connect_us = e->connect_us;
}

static void keep_protocol(struct graph *g, uint32_t edge, unsigned protocol)
{
	struct entity *e = &g->entity[edge];

	if (!*e->protocol || protocol != WIRE_TCP)
		snprintf(e->protocol, sizeof(e->protocol), "%s", wire_protocol_name(protocol));
}

static int add_one_edge(struct closing *c, const struct live_edge *e)
{
	const struct fleet_container *own = closing_container(c, e->key.container);
	uint32_t service = closing_service(c, e->key.container), peer;
	double covered_s;
	struct service_sum *s;
	struct edge_sum *sum;

	if (service == GRAPH_NONE)
		return 0;
	covered_s = (double)c->w->host[own->agent].covered_ns / 1e9;
	if (covered_s <= 0)
		return 0;
	s = service_sum(c, service);
	if (!s)
		return -ENOMEM;
	if (e->key.side == WIRE_SERVER) {
		add_calls(&s->server, e, covered_s);
		if (e->self.total)
			span_merge(&s->self, &e->self);
	} else {
		s->waited_us += (double)e->latency.sum_ns / 1e3;
	}
	peer = closing_peer(c, &e->key);
	if (peer == GRAPH_NONE)
		return 0;
	sum = e->key.side == WIRE_CLIENT ? edge_sum(c, service, peer) : edge_sum(c, peer, service);
	if (!sum)
		return -ENOMEM;
	keep_protocol(&c->l->recording.graph, sum->edge, e->key.protocol);
	add_to_edge(sum, e, covered_s);
	return 0;
}

static void set_network(struct closing *c, const struct edge_sum *s)
{
	for (size_t i = 0; i < STATISTICS; i++) {
		double gap =
			statistic_us(&s->client.latency, i) - statistic_us(&s->server.latency, i);
		char name[64];

		snprintf(name, sizeof(name), "network_%s_us", statistic[i].name);
		set(c, s->edge, name, gap < 0 ? 0 : gap);
	}
}

/*
 * Each end sees every reset but for those the other has no process for. Most edges never have one:
 * the column begins with the first.
 */
static void set_resets(struct closing *c, const struct edge_sum *s)
{
	static const char name[] = "resets_per_s";
	double per_s = fmax(s->client.resets_per_s, s->server.resets_per_s);

	if (per_s > 0 || series_find(&c->l->recording.series, s->edge, name) != SERIES_NONE)
		set(c, s->edge, name, per_s);
}

static void set_edge(struct closing *c, const struct edge_sum *s)
{
	const struct calls *seen = s->client.answered > 0 ? &s->client : &s->server;

	set_latency(c, s->edge, "client", &s->client.latency);
	set_latency(c, s->edge, "server", &s->server.latency);
	set_network(c, s);
	set(c, s->edge, "requests_per_s", seen->per_s);
	if (seen->answered > 0)
		set(c, s->edge, "error_ratio", seen->errors / seen->answered);
	if (s->rtt_calls > 0)
		set(c, s->edge, "net_rtt_us", s->rtt_sum / s->rtt_calls);
	if (s->segments > 0)
		set(c, s->edge, "net_retransmit_ratio", s->retransmits / s->segments);
	set_resets(c, s);
	set(c, s->edge, "connect_p99_us", (double)s->connect_us);
	if (s->client.answered > 0) {
		set(c, s->edge, "net_tx_bytes_per_s", s->sent_per_s);
		set(c, s->edge, "net_rx_bytes_per_s", s->received_per_s);
	}
}

/* Without a self histogram only the mean can be told: what is not waiting for own calls. */
static void set_self(struct closing *c, const struct service_sum *s)
{
	double mean_us, answered = (double)s->server.latency.total;

	if (s->self.total > 0) {
		set_latency(c, s->service, "self", &s->self);
		return;
	}
	if (answered <= 0)
		return;
	mean_us = hist_mean_ns(&s->server.latency) / 1e3 - s->waited_us / answered;
	set(c, s->service, "self_mean_us", mean_us < 0 ? 0 : mean_us);
}

static void set_service(struct closing *c, const struct service_sum *s)
{
	set_latency(c, s->service, "server", &s->server.latency);
	set_self(c, s);
	set(c, s->service, "requests_per_s", s->server.per_s);
	if (s->server.answered > 0)
		set(c, s->service, "error_ratio", s->server.errors / s->server.answered);
}

/* Of replicas, amounts add up; of shares, the worst one counts. */
static bool adds_up(unsigned metric)
{
	switch (metric) {
	case METRIC_CPU_UTIL:
	case METRIC_CPU_THROTTLED:
	case METRIC_CPU_RUNQ:
	case METRIC_MEM_UTIL:
	case METRIC_BLK_WAIT:
	case METRIC_PSI_CPU:
	case METRIC_PSI_MEM:
	case METRIC_PSI_IO:
	case METRIC_CPU_IPC:
		return false;
	default:
		return true;
	}
}

static void place(struct closing *c, uint32_t service, const struct fleet_container *k)
{
	struct graph *g = &c->l->recording.graph;
	char name[WIRE_NAME + 8];
	uint32_t host;

	snprintf(name, sizeof(name), "host:%s", c->l->fleet.agent[k->agent].name);
	host = graph_host(g, name);
	g->entity[service].host = host;
}

static void add_counters(
	struct closing *c, uint32_t container, const struct live_counters *n, bool normal)
{
	struct fleet_container *k = c->l->fleet.container[container];
	float value[CONTAINER_METRICS];
	uint32_t service;
	struct service_sum *s;

	if (!k)
		return;
	for (unsigned m = 0; m < CONTAINER_METRICS; m++) {
		float v = m == METRIC_OOM_KILLS ? n->sum[m] : n->sum[m] / n->count[m];

		value[m] = n->count[m] ? v : NAN;
	}
	fleet_measured(k, value, normal);
	service = k->serves ? closing_service(c, container) : GRAPH_NONE;
	s = service == GRAPH_NONE ? NULL : service_sum(c, service);
	if (!s || !strcmp(k->service, GRAPH_USER))
		return;
	s->present = true;
	place(c, service, k);
	for (unsigned m = 0; m < CONTAINER_METRICS; m++) {
		if (isnan(value[m]))
			continue;
		s->sum[m] += (double)value[m];
		if (!s->count[m]++ || (double)value[m] > s->worst[m])
			s->worst[m] = (double)value[m];
	}
}

static void add_all_counters(struct closing *c, bool normal)
{
	for (uint32_t i = 0; i < LIVE_CHUNKS; i++) {
		const struct live_counters *chunk = c->w->counters[i];

		for (uint32_t j = 0; chunk && j < LIVE_CHUNK; j++)
			if (chunk[j].seen)
				add_counters(c, i * LIVE_CHUNK + j, &chunk[j], normal);
	}
}

static void set_counters(struct closing *c, const struct service_sum *s)
{
	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		if (s->count[m])
			set(c, s->service, container_metric_name[m],
				adds_up(m) ? s->sum[m] : s->worst[m]);
}

static void set_hosts(struct closing *c)
{
	for (uint32_t i = 0; i < c->w->hosts; i++) {
		const struct live_host *h = &c->w->host[i];
		char name[WIRE_NAME + 8];
		uint32_t entity;

		if (!h->covered_ns)
			continue;
		snprintf(name, sizeof(name), "host:%s", c->l->fleet.agent[i].name);
		entity = graph_host(&c->l->recording.graph, name);
		for (unsigned m = 0; entity != GRAPH_NONE && m < HOST_METRICS; m++)
			if (h->count[m])
				set(c, entity, host_metric_name[m],
					(double)h->sum[m] / h->count[m]);
	}
}

/* An edge or service that is seen but was not called had no calls: a rate of zero, no latency. */
static void set_silent(struct closing *c)
{
	const struct graph *g = &c->l->recording.graph;

	for (uint32_t i = 0; i < g->entities; i++) {
		const struct entity *e = &g->entity[i];
		bool called = i < c->capacity && c->edge[i];

		if (e->kind != ENTITY_EDGE || called || e->callee >= c->capacity)
			continue;
		if (c->service[e->callee] && c->service[e->callee]->present)
			set(c, i, "requests_per_s", 0);
	}
}

static void write_metrics(struct closing *c)
{
	for (uint32_t i = 0; i < c->capacity; i++) {
		if (c->edge[i])
			set_edge(c, c->edge[i]);
		if (!c->service[i] || !strcmp(c->l->recording.graph.entity[i].name, GRAPH_USER))
			continue;
		set_service(c, c->service[i]);
		set_counters(c, c->service[i]);
	}
	set_silent(c);
	set_hosts(c);
}

static void closing_clear(struct closing *c)
{
	for (uint32_t i = 0; i < c->capacity; i++) {
		free(c->edge[i]);
		free(c->service[i]);
	}
	free(c->edge);
	free(c->service);
}

long live_write_row(struct live *l, const struct live_window *w, bool normal)
{
	struct closing c = {.l = l, .w = w, .gaps_only = w->reopened};
	long row = series_row(&l->recording.series, (double)w->start_ns / 1e9);
	int err = row < 0 ? (int)row : 0;

	if (!err) {
		c.row = (size_t)row;
		err = closing_learn(&c);
	}
	for (size_t i = 0; !err && i < w->edges; i++)
		err = add_one_edge(&c, w->edge[i]);
	if (!err)
		add_all_counters(&c, normal);
	if (!err)
		write_metrics(&c);
	closing_clear(&c);
	return err ? err : row;
}
