#include "made_window.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void made_window(struct wire_window *w, uint64_t start_s)
{
	memset(w, 0, sizeof(*w));
	w->start_ns = start_s * 1000000000ULL;
	w->duration_ns = 1000000000ULL;
	for (unsigned m = 0; m < HOST_METRICS; m++)
		w->host[m] = NAN;
	w->container = calloc(MADE_MAX, sizeof(*w->container));
	w->edge = calloc(MADE_MAX, sizeof(*w->edge));
	if (!w->container || !w->edge)
		abort();
}

uint32_t made_container(
	struct wire_window *w, uint64_t cgroup_id, const char *service, const char *name)
{
	struct wire_container *c = &w->container[w->containers];

	c->cgroup_id = cgroup_id;
	snprintf(c->service, sizeof(c->service), "%s", service);
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->group, sizeof(c->group), "/pods/%s", service);
	snprintf(c->path, sizeof(c->path), "/pods/%s/%s", service, name);
	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		c->metric[m] = NAN;
	return w->containers++;
}

static void set_address(uint8_t out[16], uint8_t last)
{
	memset(out, 0, 16);
	out[10] = out[11] = 0xff;
	out[12] = 10;
	out[15] = last;
}

struct wire_edge *made_edge(struct wire_window *w, uint32_t container, enum wire_side side,
	uint8_t local, uint8_t peer, uint16_t port, unsigned calls, unsigned latency_us)
{
	struct wire_edge *e = &w->edge[w->edges++];

	e->container = container;
	e->peer_container = WIRE_NO_CONTAINER;
	e->side = (uint8_t)side;
	e->protocol = WIRE_HTTP1;
	e->port = port;
	set_address(e->local_addr, local);
	set_address(e->peer_addr, peer);
	e->rtt_us = e->connect_us = NAN;
	for (unsigned i = 0; i < calls; i++)
		hist_add(&e->latency, latency_us * 1000ULL);
	return e;
}

struct intake_batch made_arrival(const char *agent, uint64_t sequence, struct wire_window *w)
{
	struct wire_batch b = {.sequence = sequence, .windows = 1, .window = w};
	struct intake_batch out = {.sequence = sequence, .windows = 1};
	void *message;

	snprintf(b.agent.name, sizeof(b.agent.name), "%s", agent);
	b.agent.boot_id[0] = 7;
	if (wire_encode_batch(&b, &message, &out.size) ||
		wire_decode_batch(message, out.size, &out.batch))
		abort();
	out.agent = b.agent;
	out.message = message;
	wire_window_close(w);
	return out;
}

void made_arrival_close(struct intake_batch *b)
{
	wire_batch_close(&b->batch);
	free((void *)b->message);
}

void made_front_window(struct wire_window *w, uint64_t start_s, unsigned calls, unsigned latency_us)
{
	made_window(w, start_s);
	made_edge(w, made_container(w, 11, "front", "app"), WIRE_SERVER, 1, 200, 80, calls,
		latency_us);
}
