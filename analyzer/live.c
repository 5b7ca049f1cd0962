#include "analyzer/live.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define HASH_FUNCTION(key, size, hash) ((hash) = (unsigned)XXH3_64bits(key, size))
#include <uthash.h>

#define HEARD_NS 5000000000ULL /* an agent silent for longer is not waited for */

/* Beside a live_edge, so that the header needs no uthash. */
struct edge_node {
	struct live_edge edge;
	UT_hash_handle hh;
};

void live_init(struct live *l, const struct live_options *o)
{
	memset(l, 0, sizeof(*l));
	l->options = *o;
	recording_init(&l->recording);
	l->recording.series.window_s = o->window_s;
	fleet_init(&l->fleet);
	resolve_init(&l->resolve);
	operations_init(&l->operations);
}

static void window_free(struct live_window *w)
{
	struct edge_node *index;

	if (!w)
		return;
	index = w->edge_index;
	HASH_CLEAR(hh, index);
	for (size_t i = 0; i < w->edges; i++) {
		span_clear(&w->edge[i]->latency);
		span_clear(&w->edge[i]->self);
		free(w->edge[i]);
	}
	free(w->edge);
	for (size_t i = 0; i < LIVE_CHUNKS; i++)
		free(w->counters[i]);
	free(w->host);
	free(w);
}

void live_clear(struct live *l)
{
	for (unsigned i = 0; i < l->pendings; i++)
		window_free(l->pending[i]);
	recording_clear(&l->recording);
	fleet_clear(&l->fleet);
	resolve_clear(&l->resolve);
	operations_clear(&l->operations);
	memset(l, 0, sizeof(*l));
}

static struct live_window *new_window(
	struct live *l, uint64_t start_ns, unsigned at, uint64_t now_ns)
{
	struct live_window *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->start_ns = start_ns;
	w->end_ns = start_ns + (uint64_t)(l->options.window_s * 1e9);
	w->first_ns = now_ns;
	w->reopened = w->end_ns <= l->closed_ns;
	memmove(&l->pending[at + 1], &l->pending[at], (l->pendings - at) * sizeof(l->pending[0]));
	l->pending[at] = w;
	l->pendings++;
	return w;
}

/* The pending window that starts at start_ns, made if new. */
static struct live_window *window_at(struct live *l, uint64_t start_ns, uint64_t now_ns)
{
	unsigned at = 0;

	while (at < l->pendings && l->pending[at]->start_ns < start_ns)
		at++;
	if (at < l->pendings && l->pending[at]->start_ns == start_ns)
		return l->pending[at];
	return new_window(l, start_ns, at, now_ns);
}

static struct live_host *host_of(struct live_window *w, uint32_t agent)
{
	struct live_host *grown;

	if (agent < w->hosts)
		return &w->host[agent];
	grown = realloc(w->host, (agent + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	memset(&grown[w->hosts], 0, (agent + 1 - w->hosts) * sizeof(*grown));
	w->host = grown;
	w->hosts = agent + 1;
	return &w->host[agent];
}

static struct live_counters *counters_of(struct live_window *w, uint32_t container)
{
	struct live_counters **chunk = &w->counters[container / LIVE_CHUNK];

	if (!*chunk)
		*chunk = calloc(LIVE_CHUNK, sizeof(**chunk));
	return *chunk ? &(*chunk)[container % LIVE_CHUNK] : NULL;
}

static void add_values(float *sum, uint16_t *count, const float *value, unsigned n)
{
	for (unsigned m = 0; m < n; m++) {
		if (!isfinite(value[m]) || count[m] == UINT16_MAX)
			continue;
		sum[m] += value[m];
		count[m]++;
	}
}

static struct live_edge *edge_of(
	struct live *l, struct live_window *w, const struct live_edge_key *key)
{
	struct edge_node *node, *index = w->edge_index;
	struct live_edge **grown;

	HASH_FIND(hh, index, key, sizeof(*key), node);
	if (node)
		return &node->edge;
	if (w->edges >= LIVE_MAX_EDGES) {
		l->refused++;
		return NULL;
	}
	if ((w->edges & (w->edges - 1)) == 0) { /* full at each power of two */
		grown = realloc(w->edge, (w->edges ? w->edges * 2 : 1) * sizeof(*grown));
		if (!grown)
			return NULL;
		w->edge = grown;
	}
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->edge.key = *key;
	node->edge.connect_us = NAN;
	HASH_ADD(hh, index, edge.key, sizeof(*key), node);
	w->edge_index = index;
	w->edge[w->edges++] = &node->edge;
	return &node->edge;
}

static void add_port(struct live_edge *into, uint16_t port)
{
	if (!port || into->ports == LIVE_PORTS)
		return;
	for (unsigned i = 0; i < into->ports; i++)
		if (into->client_port[i] == port)
			return;
	into->client_port[into->ports++] = port;
}

static int merge_edge(
	struct live_edge *into, const struct wire_flow *e, const struct wire_bucket *bucket)
{
	if (span_add(&into->latency, &e->latency, bucket) ||
		span_add(&into->self, &e->self, bucket))
		return -ENOMEM;
	into->errors += e->errors;
	into->unanswered += e->unanswered;
	into->bytes_sent += e->bytes_sent;
	into->bytes_received += e->bytes_received;
	into->retransmits += e->retransmits;
	into->segments += e->segments_sent;
	into->resets += (uint64_t)e->resets_sent + e->resets_received;
	add_port(into, e->client_port);
	if (isfinite(e->rtt_us)) {
		double calls = e->latency.total ? (double)e->latency.total : 1;

		into->rtt_us_sum += (double)e->rtt_us * calls;
		into->rtt_calls += calls;
	}
	if (isfinite(e->connect_us) && !(into->connect_us >= e->connect_us))
		into->connect_us = e->connect_us;
	return 0;
}

static int add_edge(struct live *l, struct live_window *into, const struct wire_window *w,
	const struct wire_flow *e, const uint32_t *number)
{
	struct live_edge_key key;
	struct live_edge *edge;

	if (e->container >= w->containers || number[e->container] == FLEET_NONE)
		return 0;
	memset(&key, 0, sizeof(key));
	key.container = number[e->container];
	key.peer = e->peer_container < w->containers ? number[e->peer_container] : FLEET_NONE;
	key.port = e->port;
	key.side = e->side;
	key.protocol = e->protocol;
	memcpy(key.local_addr, e->local_addr, sizeof(key.local_addr));
	memcpy(key.peer_addr, e->peer_addr, sizeof(key.peer_addr));
	l->fleet.container[key.container]->serves = true;
	edge = edge_of(l, into, &key);
	return edge ? merge_edge(edge, e, w->bucket) : 0;
}

/* Containers into the fleet and their counters into the window; their numbers into `number`. */
static int add_containers(struct live *l, struct live_window *into, uint32_t agent,
	const struct wire_window *w, uint32_t *number, uint64_t now_ns)
{
	for (uint32_t i = 0; i < w->containers; i++) {
		struct live_counters *c;

		number[i] = fleet_container(&l->fleet, agent, &w->container[i], now_ns);
		if (number[i] == FLEET_NONE)
			continue;
		c = counters_of(into, number[i]);
		if (!c)
			return -ENOMEM;
		c->seen = true;
		add_values(c->sum, c->count, w->container[i].metric, CONTAINER_METRICS);
	}
	return 0;
}

/* By the service at the end that saw the calls. */
static int add_operation(struct live *l, const struct wire_window *w,
	const struct wire_operation_flow *o, const uint32_t *number)
{
	const struct wire_flow *e = &w->flow[o->edge];
	struct operation_key key;

	if (number[e->container] == FLEET_NONE)
		return 0;
	memset(&key, 0, sizeof(key));
	snprintf(key.service, sizeof(key.service), "%s",
		l->fleet.container[number[e->container]]->service);
	memcpy(key.name, o->name, sizeof(key.name));
	key.side = e->side;
	key.protocol = e->protocol;
	return operations_add(&l->operations, &key, o, w);
}

static int sum_window(struct live *l, struct live_window *into, uint32_t agent,
	const struct wire_window *w, uint64_t now_ns)
{
	struct live_host *host = host_of(into, agent);
	uint32_t *number = calloc(w->containers ? w->containers : 1, sizeof(*number));
	int err = host && number ? 0 : -ENOMEM;

	if (!err)
		err = add_containers(l, into, agent, w, number, now_ns);
	if (!err) {
		host->covered_ns += w->duration_ns;
		add_values(host->sum, host->count, w->host, HOST_METRICS);
		for (uint32_t i = 0; !err && i < w->edges; i++)
			err = add_edge(l, into, w, &w->flow[i], number);
		for (uint32_t i = 0; !err && i < w->operations; i++)
			err = add_operation(l, w, &w->operation_flow[i], number);
	}
	free(number);
	return err;
}

/* Its node becomes the entity host:NAME. */
static bool can_be_host(const char *agent)
{
	return *agent && !strstr(agent, "->") && graph_can_show(agent);
}

int live_add(struct live *l, const struct wire_agent *agent, const struct wire_window *w,
	uint64_t now_ns, double now_s)
{
	uint64_t length_ns = (uint64_t)(l->options.window_s * 1e9);
	uint64_t start_ns = w->start_ns / length_ns * length_ns;
	struct live_window *into;
	uint32_t number;

	if (!can_be_host(agent->name)) {
		l->refused++;
		return 0;
	}
	number = fleet_agent(&l->fleet, agent->name);
	if (number == FLEET_NONE)
		return -ENOMEM;
	if ((double)w->start_ns / 1e9 > now_s + LIVE_FUTURE_S) {
		l->future++;
		return 0;
	}
	fleet_heard(&l->fleet.agent[number], agent->boot_id, w, now_ns, now_s);
	if (start_ns + length_ns <= l->closed_ns) {
		l->late++;
		l->fleet.agent[number].late++;
	}
	if (start_ns + length_ns * l->options.keep <= l->closed_ns)
		return 0;
	if (l->pendings == LIVE_PENDING) /* live_close() was not called: drop rather than grow */
		return -ENOMEM;
	into = window_at(l, start_ns, now_ns);
	if (!into)
		return -ENOMEM;
	return sum_window(l, into, number, w, now_ns);
}

static bool everyone_passed(const struct live *l, const struct live_window *w, uint64_t now_ns)
{
	for (uint32_t i = 0; i < l->fleet.agents; i++) {
		const struct fleet_agent *a = &l->fleet.agent[i];

		if (now_ns - a->heard_ns <= HEARD_NS && a->reached_ns < w->end_ns)
			return false;
	}
	return true;
}

static bool due(const struct live *l, const struct live_window *w, uint64_t now_ns, double now_s)
{
	double waited_s = (double)(now_ns - w->first_ns) / 1e9;
	double limit_s = l->options.patience_s + (w->reopened ? 0 : l->options.window_s);

	return l->pendings == LIVE_PENDING ||
	       (waited_s > limit_s && now_s > (double)w->end_ns / 1e9) ||
	       (!w->reopened && everyone_passed(l, w, now_ns));
}

int live_close(struct live *l, uint64_t now_ns, double now_s, bool normal, struct live_closed *out)
{
	struct live_window *w = l->pendings ? l->pending[0] : NULL;
	long row;

	if (!w || !due(l, w, now_ns, now_s))
		return 0;
	row = live_write_row(l, w, normal && !w->reopened);
	if (row < 0)
		return (int)row;
	out->fresh = !w->reopened;
	out->start_s = (double)w->start_ns / 1e9;
	if (w->end_ns > l->closed_ns)
		l->closed_ns = w->end_ns;
	l->pendings--;
	memmove(&l->pending[0], &l->pending[1], l->pendings * sizeof(l->pending[0]));
	window_free(w);
	if (l->recording.series.windows > l->options.keep) {
		size_t gone = l->recording.series.windows - l->options.keep;

		series_trim(&l->recording.series, l->options.keep);
		row = (size_t)row > gone ? row - (long)gone : 0;
	}
	out->row = (size_t)row;
	return 1;
}

uint64_t live_settled_ns(const struct live *l)
{
	if (l->pendings && l->pending[0]->start_ns < l->closed_ns)
		return l->pending[0]->start_ns;
	return l->closed_ns;
}
