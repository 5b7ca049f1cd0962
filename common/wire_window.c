#include "common/wire_window.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/wire_column.h"

/* Least bytes a record takes before compression: bounds what a count may claim. */
#define CONTAINER_LEAST 5
#define EDGE_LEAST 19

/* More columns than this of metrics or losses come from no version of this program. */
#define COLUMNS_MAX 256

struct name_field {
	size_t offset, room;
};

#define NAME(f)                                                                                    \
	{                                                                                          \
		offsetof(struct wire_container, f), sizeof(((struct wire_container *)0)->f)        \
	}
static const struct name_field names[] = {NAME(name), NAME(service), NAME(group), NAME(path)};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* The scalar columns of edges, in order: where they are made, and where they are received. */
#define FIELD(type, f)                                                                             \
	{                                                                                          \
		offsetof(struct type, f), sizeof(((struct type *)0)->f)                            \
	}
#define FIELDS(type)                                                                               \
	FIELD(type, container), FIELD(type, side), FIELD(type, protocol), FIELD(type, port),       \
		FIELD(type, errors), FIELD(type, unanswered), FIELD(type, bytes_sent),             \
		FIELD(type, bytes_received), FIELD(type, retransmits), FIELD(type, segments_sent)
static const struct wire_field edge_fields[] = {FIELDS(wire_edge)};
static const struct wire_field flow_fields[] = {FIELDS(wire_flow)};
#define EDGE_FIELDS (sizeof(edge_fields) / sizeof(edge_fields[0]))

static bool is_sound(
	uint32_t own, uint32_t peer, unsigned side, unsigned protocol, uint32_t containers)
{
	return own < containers && (peer < containers || peer == WIRE_NO_CONTAINER) &&
	       side <= WIRE_SERVER && protocol < WIRE_PROTOCOLS;
}

static const char *name_of(const struct wire_container *c, size_t i)
{
	return (const char *)c + names[i].offset;
}

int wire_window_check(const struct wire_window *w)
{
	if (w->containers > WIRE_MAX_CONTAINERS || w->edges > WIRE_MAX_EDGES)
		return -EINVAL;
	for (uint32_t i = 0; i < w->containers; i++) {
		for (size_t n = 0; n < NAMES; n++) {
			const char *name = name_of(&w->container[i], n);

			if (strnlen(name, names[n].room) == names[n].room)
				return -EINVAL;
		}
	}
	for (uint32_t i = 0; i < w->edges; i++) {
		const struct wire_edge *e = &w->edge[i];

		if (!is_sound(e->container, e->peer_container, e->side, e->protocol, w->containers))
			return -EINVAL;
	}
	return 0;
}

static void put_containers(
	struct wire_writer *out, struct wire_tables *t, const struct wire_window *w)
{
	const size_t stride = sizeof(*w->container);
	uint64_t last = 0;

	wire_put_varint(out, w->containers);
	for (uint32_t i = 0; i < w->containers; i++) {
		wire_put_signed(out, (int64_t)(w->container[i].cgroup_id - last));
		last = w->container[i].cgroup_id;
	}
	for (size_t n = 0; n < NAMES; n++) {
		for (uint32_t i = 0; i < w->containers; i++) {
			const char *name = name_of(&w->container[i], n);

			wire_put_varint(out, wire_table_intern(&t->strings, name, strlen(name)));
		}
	}
	wire_put_varint(out, CONTAINER_METRICS);
	for (unsigned m = 0; m < CONTAINER_METRICS && w->containers; m++)
		wire_put_floats(out, &w->container->metric[m], stride, w->containers);
}

static void put_address(struct wire_writer *out, struct wire_tables *t, const uint8_t *address)
{
	wire_put_varint(out, wire_table_intern(&t->addresses, address, 16));
}

static void put_edges(struct wire_writer *out, struct wire_tables *t, const struct wire_window *w)
{
	const size_t stride = sizeof(*w->edge);
	const struct wire_edge *e = w->edge;
	const uint32_t n = w->edges;

	wire_put_varint(out, n);
	if (!n)
		return;
	for (size_t f = 0; f < EDGE_FIELDS; f++)
		wire_put_field(out, e, stride, n, &edge_fields[f]);
	for (uint32_t i = 0; i < n; i++)
		wire_put_varint(out, (uint32_t)(e[i].peer_container + 1)); /* none wraps to 0 */
	for (uint32_t i = 0; i < n; i++)
		put_address(out, t, e[i].local_addr);
	for (uint32_t i = 0; i < n; i++)
		put_address(out, t, e[i].peer_addr);
	wire_put_floats(out, &e->rtt_us, stride, n);
	wire_put_floats(out, &e->connect_us, stride, n);
	wire_put_hists(out, &e->latency, stride, n);
	wire_put_hists(out, &e->self, stride, n);
}

void wire_put_window(struct wire_writer *out, struct wire_tables *t, const struct wire_window *w)
{
	wire_put_u64(out, w->start_ns);
	wire_put_varint(out, w->duration_ns);
	wire_put_varint(out, HOST_METRICS);
	wire_put_floats(out, w->host, sizeof(w->host[0]), HOST_METRICS);
	wire_put_varint(out, WIRE_LOSSES);
	for (unsigned i = 0; i < WIRE_LOSSES; i++)
		wire_put_varint(out, w->loss[i]);
	put_containers(out, t, w);
	put_edges(out, t, w);
}

/* Host counters: the sender may know fewer (ours are absent) or more (skipped). */
static void get_host(struct wire_reader *r, struct wire_window *w)
{
	float sent[COLUMNS_MAX];
	uint32_t columns = (uint32_t)wire_get_bounded(r, COLUMNS_MAX);

	for (unsigned i = 0; i < COLUMNS_MAX; i++)
		sent[i] = NAN;
	wire_get_floats(r, sent, sizeof(sent[0]), columns);
	memcpy(w->host, sent, sizeof(w->host));
}

static void get_losses(struct wire_reader *r, struct wire_window *w)
{
	unsigned columns = (unsigned)wire_get_bounded(r, COLUMNS_MAX);

	for (unsigned i = 0; i < columns; i++) {
		uint64_t count = wire_get_varint(r);

		if (i < WIRE_LOSSES)
			w->loss[i] = count;
	}
}

static void get_name(
	struct wire_reader *r, const struct wire_table *strings, char *out, size_t room)
{
	uint64_t number = wire_get_varint(r);

	if (r->bad || number >= strings->items || strings->item[number].size >= room) {
		r->bad = true;
		return;
	}
	memcpy(out, strings->item[number].data, strings->item[number].size);
}

static void get_metrics(struct wire_reader *r, struct wire_window *w)
{
	unsigned columns = (unsigned)wire_get_bounded(r, COLUMNS_MAX);
	float *unknown = NULL;

	if (!w->containers)
		return;
	for (uint32_t i = 0; i < w->containers; i++) {
		for (unsigned m = columns; m < CONTAINER_METRICS; m++)
			w->container[i].metric[m] = NAN;
	}
	for (unsigned m = 0; m < columns && m < CONTAINER_METRICS; m++)
		wire_get_floats(r, &w->container->metric[m], sizeof(*w->container), w->containers);
	if (columns <= CONTAINER_METRICS)
		return;
	unknown = calloc(w->containers, sizeof(*unknown));
	for (unsigned m = CONTAINER_METRICS; m < columns && unknown; m++)
		wire_get_floats(r, unknown, sizeof(*unknown), w->containers);
	r->bad |= !unknown;
	free(unknown);
}

static int get_containers(struct wire_reader *r, const struct wire_tables *t,
	struct wire_budget *left, struct wire_window *w)
{
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_CONTAINERS);
	uint64_t last = 0;

	if (r->bad || n > left->containers || (size_t)n * CONTAINER_LEAST > wire_reader_left(r))
		return -EBADMSG;
	left->containers -= n;
	w->container = calloc(n ? n : 1, sizeof(*w->container));
	if (!w->container)
		return -ENOMEM;
	w->containers = n;
	for (uint32_t i = 0; i < n; i++) {
		last += (uint64_t)wire_get_signed(r);
		w->container[i].cgroup_id = last;
	}
	for (size_t f = 0; f < NAMES; f++) {
		for (uint32_t i = 0; i < n && !r->bad; i++)
			get_name(r, &t->strings, (char *)&w->container[i] + names[f].offset,
				names[f].room);
	}
	get_metrics(r, w);
	return r->bad ? -EBADMSG : 0;
}

static void get_address(struct wire_reader *r, const struct wire_table *addresses, uint8_t *out)
{
	uint64_t number = wire_get_varint(r);

	if (r->bad || number >= addresses->items) {
		r->bad = true;
		return;
	}
	memcpy(out, addresses->item[number].data, 16);
}

static int get_edge_columns(
	struct wire_reader *r, const struct wire_tables *t, struct wire_window *w)
{
	struct wire_flow *e = w->flow;
	const uint32_t n = w->edges;
	int error;

	for (size_t f = 0; f < EDGE_FIELDS; f++)
		wire_get_field(r, e, sizeof(*e), n, &flow_fields[f]);
	for (uint32_t i = 0; i < n; i++)
		e[i].peer_container = (uint32_t)wire_get_bounded(r, WIRE_MAX_CONTAINERS) - 1;
	for (uint32_t i = 0; i < n; i++)
		get_address(r, &t->addresses, e[i].local_addr);
	for (uint32_t i = 0; i < n; i++)
		get_address(r, &t->addresses, e[i].peer_addr);
	wire_get_floats(r, &e->rtt_us, sizeof(*e), n);
	wire_get_floats(r, &e->connect_us, sizeof(*e), n);
	error = wire_get_spreads(r, &e->latency, sizeof(*e), n, &w->bucket, &w->buckets);
	return error ? error
		     : wire_get_spreads(r, &e->self, sizeof(*e), n, &w->bucket, &w->buckets);
}

static int get_edges(struct wire_reader *r, const struct wire_tables *t, struct wire_budget *left,
	struct wire_window *w)
{
	uint32_t n = (uint32_t)wire_get_bounded(r, WIRE_MAX_EDGES);
	int error = 0;

	if (r->bad || n > left->edges || (size_t)n * EDGE_LEAST > wire_reader_left(r))
		return -EBADMSG;
	left->edges -= n;
	w->flow = calloc(n ? n : 1, sizeof(*w->flow));
	if (!w->flow)
		return -ENOMEM;
	w->edges = n;
	if (n)
		error = get_edge_columns(r, t, w);
	for (uint32_t i = 0; i < n && !r->bad; i++) {
		const struct wire_flow *e = &w->flow[i];

		r->bad = !is_sound(
			e->container, e->peer_container, e->side, e->protocol, w->containers);
	}
	return error ? error : r->bad ? -EBADMSG : 0;
}

int wire_get_window(struct wire_reader *r, const struct wire_tables *t, struct wire_budget *left,
	struct wire_window *w)
{
	int error;

	w->start_ns = wire_get_u64(r);
	w->duration_ns = wire_get_varint(r);
	get_host(r, w);
	get_losses(r, w);
	error = get_containers(r, t, left, w);
	return error ? error : get_edges(r, t, left, w);
}
