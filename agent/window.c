#include "agent/window.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t saturate(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

int window_open(
	struct window *w, uint32_t max_containers, uint32_t max_edges, uint32_t max_operations)
{
	memset(w, 0, sizeof(*w));
	w->max_containers = max_containers;
	w->max_edges = max_edges;
	w->max_operations = max_operations;
	w->wire.container = calloc(max_containers, sizeof(*w->wire.container));
	w->wire.edge = calloc(max_edges, sizeof(*w->wire.edge));
	w->wire.operation = calloc(max_operations ? max_operations : 1, sizeof(*w->wire.operation));
	w->place = calloc(max_containers, sizeof(*w->place));
	w->by_calls = calloc(max_containers, sizeof(*w->by_calls));
	if (!w->wire.container || !w->wire.edge || !w->wire.operation || !w->place ||
		!w->by_calls) {
		window_close(w);
		return -ENOMEM;
	}
	return 0;
}

void window_begin(struct window *w, uint64_t start_ns, uint64_t duration_ns)
{
	w->wire.start_ns = start_ns;
	w->wire.duration_ns = duration_ns;
	w->wire.containers = w->wire.edges = w->wire.operations = 0;
	memset(w->wire.loss, 0, sizeof(w->wire.loss));
	for (int m = 0; m < HOST_METRICS; m++)
		w->wire.host[m] = NAN;
	memset(w->place, 0xff, w->max_containers * sizeof(*w->place));
}

struct wire_container *window_add_container(
	struct window *w, uint32_t slot, const struct container *c)
{
	struct wire_container *to = &w->wire.container[w->wire.containers];

	w->place[slot] = w->wire.containers++;
	to->cgroup_id = c->cgroup_id;
	memcpy(to->name, c->name.container, sizeof(to->name));
	memcpy(to->service, c->name.service, sizeof(to->service));
	memcpy(to->group, c->name.group, sizeof(to->group));
	memcpy(to->path, c->path, sizeof(to->path));
	return to;
}

static uint32_t place_of(const struct window *w, const struct containers *c, uint64_t cgroup_id)
{
	uint32_t slot = containers_find(c, cgroup_id);

	return slot == CONTAINERS_NONE ? WIRE_NO_CONTAINER : w->place[slot];
}

static void add_operations(struct window *w, const struct capture_edge *e, uint32_t edge)
{
	for (uint32_t i = 0; i < e->operations; i++) {
		const struct capture_operation *from = &e->operation[i];
		struct wire_operation *to;

		if (w->wire.operations == w->max_operations) {
			w->operations_refused += from->latency.total;
			continue;
		}
		to = &w->wire.operation[w->wire.operations++];
		to->edge = edge;
		memcpy(to->name, from->name, sizeof(to->name));
		to->errors = saturate(from->errors);
		to->latency = from->latency;
	}
}

void window_add_edge(struct window *w, const struct containers *c, const struct capture_edge *e)
{
	uint32_t container = place_of(w, c, e->cgroup_id);
	struct wire_edge *to;

	if (container == WIRE_NO_CONTAINER)
		return;
	if (w->wire.edges == w->max_edges) {
		w->edges_refused++;
		return;
	}
	add_operations(w, e, w->wire.edges);
	to = &w->wire.edge[w->wire.edges++];
	to->container = container;
	to->peer_container = place_of(w, c, e->peer_cgroup_id);
	to->side = e->side;
	to->protocol = e->protocol;
	to->port = e->port;
	memcpy(to->local_addr, e->local_addr, sizeof(to->local_addr));
	memcpy(to->peer_addr, e->peer_addr, sizeof(to->peer_addr));
	to->errors = saturate(e->errors);
	to->unanswered = saturate(e->unanswered);
	to->bytes_sent = e->bytes_sent;
	to->bytes_received = e->bytes_received;
	to->retransmits = e->retransmits;
	to->segments_sent = e->segments_sent;
	to->resets_sent = e->resets_sent;
	to->resets_received = e->resets_received;
	/* Of use to who looks for the other end. */
	to->client_port = to->peer_container == WIRE_NO_CONTAINER ? e->client_port : 0;
	to->rtt_us = e->rtt_us;
	to->connect_us = e->connect_us;
	to->latency = e->latency;
	to->self = e->self;
}

static void add_bytes(float *metric, uint64_t bytes, uint64_t duration_ns)
{
	*metric += (float)((double)bytes * 1e9 / (double)duration_ns);
}

void window_finish(struct window *w)
{
	uint64_t duration_ns = w->wire.duration_ns;

	for (uint32_t i = 0; i < w->wire.containers; i++) {
		float *metric = w->wire.container[i].metric;

		w->by_calls[i] = isnan(metric[METRIC_NET_RX_BYTES]);
		if (w->by_calls[i])
			metric[METRIC_NET_RX_BYTES] = metric[METRIC_NET_TX_BYTES] = 0;
	}
	for (uint32_t i = 0; i < w->wire.edges; i++) {
		const struct wire_edge *e = &w->wire.edge[i];
		float *metric = w->wire.container[e->container].metric;

		if (!w->by_calls[e->container])
			continue;
		add_bytes(&metric[METRIC_NET_RX_BYTES], e->bytes_received, duration_ns);
		add_bytes(&metric[METRIC_NET_TX_BYTES], e->bytes_sent, duration_ns);
	}
}

void window_close(struct window *w)
{
	free(w->wire.container);
	free(w->wire.edge);
	free(w->wire.operation);
	free(w->place);
	free(w->by_calls);
	memset(w, 0, sizeof(*w));
}
