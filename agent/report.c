#include "agent/report.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

json_t *report_losses(const uint64_t loss[WIRE_LOSSES])
{
	json_t *o = json_object();

	for (unsigned i = 0; i < WIRE_LOSSES; i++)
		json_object_set_new(o, wire_loss_name(i), json_integer((json_int_t)loss[i]));
	return o;
}

static json_t *metrics(const char *const *name, const float *value, int count)
{
	json_t *o = json_object();

	for (int m = 0; m < count; m++)
		json_object_set_new(o, name[m], json_number_or_null((double)value[m]));
	return o;
}

static json_t *container(const struct wire_container *c)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I}", "service", c->service, "container",
		c->name, "group", c->group, "path", c->path, "cgroup_id", (json_int_t)c->cgroup_id);

	json_object_set_new(
		o, "metrics", metrics(container_metric_name, c->metric, CONTAINER_METRICS));
	return o;
}

/* ::ffff:10.0.0.1 is shown as 10.0.0.1 */
static void address_text(const uint8_t address[16], char *text, size_t size)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	if (!memcmp(address, mapped, sizeof(mapped)))
		inet_ntop(AF_INET, address + sizeof(mapped), text, (socklen_t)size);
	else
		inet_ntop(AF_INET6, address, text, (socklen_t)size);
}

/* The service at the other end where it is known, else its address; with the port of a server. */
static void peer_text(
	const struct wire_window *w, const struct wire_edge *e, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN] = "";
	bool v6;

	if (e->peer_container != WIRE_NO_CONTAINER) {
		snprintf(text, size, "%s", w->container[e->peer_container].service);
		return;
	}
	address_text(e->peer_addr, address, sizeof(address));
	v6 = strchr(address, ':') != NULL;
	if (e->side == WIRE_CLIENT)
		snprintf(text, size, v6 ? "[%s]:%u" : "%s:%u", address, e->port);
	else
		snprintf(text, size, "%s", address);
}

static json_t *quantile(const struct hist *h, double q)
{
	return h->total ? json_real((double)hist_quantile_ns(h, q) / 1e3) : json_null();
}

static void set_latencies(json_t *o, const struct wire_edge *e)
{
	json_object_set_new(o, "mean_us",
		json_number_or_null(e->latency.total ? hist_mean_ns(&e->latency) / 1e3 : NAN));
	json_object_set_new(o, "p50_us", quantile(&e->latency, 0.5));
	json_object_set_new(o, "p90_us", quantile(&e->latency, 0.9));
	json_object_set_new(o, "p99_us", quantile(&e->latency, 0.99));
	json_object_set_new(o, "self_p50_us", quantile(&e->self, 0.5));
	json_object_set_new(o, "self_p99_us", quantile(&e->self, 0.99));
	json_object_set_new(o, "rtt_us", json_number_or_null((double)e->rtt_us));
	json_object_set_new(o, "connect_us", json_number_or_null((double)e->connect_us));
}

static json_t *edge(const struct wire_window *w, const struct wire_edge *e)
{
	const struct wire_container *c = &w->container[e->container];
	double seconds = (double)w->duration_ns / 1e9;
	char peer[WIRE_NAME + 64], local[INET6_ADDRSTRLEN] = "", remote[INET6_ADDRSTRLEN] = "";
	json_t *o;

	peer_text(w, e, peer, sizeof(peer));
	address_text(e->local_addr, local, sizeof(local));
	address_text(e->peer_addr, remote, sizeof(remote));
	o = json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:s, s:i, s:s, s:s}", "service", c->service,
		"container", c->name, "cgroup_id", (json_int_t)c->cgroup_id, "side",
		e->side == WIRE_CLIENT ? "client" : "server", "peer", peer, "peer_known",
		e->peer_container != WIRE_NO_CONTAINER, "protocol", wire_protocol_name(e->protocol),
		"port", (int)e->port, "local_address", local, "peer_address", remote);
	json_object_set_new(o, "calls", json_integer((json_int_t)e->latency.total));
	json_object_set_new(
		o, "calls_per_s", json_number_or_null((double)e->latency.total / seconds));
	json_object_set_new(o, "errors", json_integer(e->errors));
	json_object_set_new(o, "unanswered", json_integer(e->unanswered));
	json_object_set_new(o, "bytes_sent", json_integer((json_int_t)e->bytes_sent));
	json_object_set_new(o, "bytes_received", json_integer((json_int_t)e->bytes_received));
	json_object_set_new(o, "retransmit_ratio",
		json_number_or_null(
			e->segments_sent ? (double)e->retransmits / e->segments_sent : NAN));
	json_object_set_new(o, "resets_sent", json_integer(e->resets_sent));
	json_object_set_new(o, "resets_received", json_integer(e->resets_received));
	set_latencies(o, e);
	return o;
}

/* One row of an edge's break-down; latencies under the names they have in the edge. */
static json_t *operation(const char *name, uint64_t errors, const struct hist *h, double seconds)
{
	json_t *o = json_pack("{s:s?, s:I, s:I}", "name", name, "calls", (json_int_t)h->total,
		"errors", (json_int_t)errors);

	json_object_set_new(o, "calls_per_s", json_number_or_null((double)h->total / seconds));
	json_object_set_new(
		o, "mean_us", json_number_or_null(h->total ? hist_mean_ns(h) / 1e3 : NAN));
	json_object_set_new(o, "p50_us", quantile(h, 0.5));
	json_object_set_new(o, "p90_us", quantile(h, 0.9));
	json_object_set_new(o, "p99_us", quantile(h, 0.99));
	return o;
}

/* What is left of `all` without `part`. */
static void subtract(struct hist *all, const struct hist *part)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		all->count[i] -= part->count[i] < all->count[i] ? part->count[i] : all->count[i];
	all->total -= part->total < all->total ? part->total : all->total;
	all->sum_ns -= part->sum_ns < all->sum_ns ? part->sum_ns : all->sum_ns;
}

/* The operations of edge `number`, which begin at *next; calls of none of them have no name. */
static json_t *operations(const struct wire_window *w, uint32_t number, uint32_t *next)
{
	const struct wire_edge *e = &w->edge[number];
	double seconds = (double)w->duration_ns / 1e9;
	struct hist rest = e->latency;
	uint64_t errors = e->errors;
	json_t *all = json_array();

	for (; *next < w->operations && w->operation[*next].edge == number; ++*next) {
		const struct wire_operation *o = &w->operation[*next];

		json_array_append_new(all, operation(o->name, o->errors, &o->latency, seconds));
		subtract(&rest, &o->latency);
		errors -= o->errors < errors ? o->errors : errors;
	}
	if (json_array_size(all) && rest.total)
		json_array_append_new(all, operation(NULL, errors, &rest, seconds));
	return all;
}

json_t *report_window(const struct wire_window *w)
{
	json_t *o = json_object(), *containers = json_array(), *edges = json_array();
	uint32_t next = 0;

	for (uint32_t i = 0; i < w->containers; i++)
		json_array_append_new(containers, container(&w->container[i]));
	for (uint32_t i = 0; i < w->edges; i++) {
		json_t *e = edge(w, &w->edge[i]);

		json_object_set_new(e, "operations", operations(w, i, &next));
		json_array_append_new(edges, e);
	}
	json_object_set_new(o, "time", json_real((double)w->start_ns / 1e9));
	json_object_set_new(o, "duration_s", json_real((double)w->duration_ns / 1e9));
	json_object_set_new(o, "host", metrics(host_metric_name, w->host, HOST_METRICS));
	json_object_set_new(o, "containers", containers);
	json_object_set_new(o, "edges", edges);
	json_object_set_new(o, "losses", report_losses(w->loss));
	return o;
}
