#include "tests/bench/fleet.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/random.h"
#include "common/wire.h"

#define PORT 9000
#define MEDIAN_US 2000
#define LOG_SPREAD 0.5

static void set_address(uint8_t out[16], unsigned container)
{
	memset(out, 0, 16);
	out[10] = out[11] = 0xff;
	out[12] = 10;
	out[13] = (uint8_t)(container >> 16);
	out[14] = (uint8_t)(container >> 8);
	out[15] = (uint8_t)container;
}

/* A container of some service, by turns over its instances. */
static unsigned instance(const struct made_fleet *f, unsigned service, unsigned turn)
{
	unsigned all = f->nodes * f->containers, each = all / f->services;

	return service + f->services * (each ? turn % each : 0);
}

static void make_container(const struct made_fleet *f, unsigned number, struct random *random,
	struct wire_container *c)
{
	float noise[CONTAINER_METRICS];

	random_normals(random, noise, CONTAINER_METRICS);
	c->cgroup_id = 1000 + number;
	snprintf(c->name, sizeof(c->name), "app");
	snprintf(c->service, sizeof(c->service), "service-%u", number % f->services);
	snprintf(c->group, sizeof(c->group), "/kubepods/burstable/pod%08x-%04x",
		number * 2654435761U, number);
	snprintf(c->path, sizeof(c->path), "/kubepods/burstable/pod%08x-%04x/%08x%08x",
		number * 2654435761U, number, number * 40503U, number * 69069U);
	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		c->metric[m] = expf(0.1F * noise[m]);
	c->metric[METRIC_CPU_IPC] = c->metric[METRIC_CPU_LLC_MISSES] = NAN; /* no PMU */
}

static void make_calls(struct hist *h, struct random *random)
{
	float noise[FLEET_CALLS];

	random_normals(random, noise, FLEET_CALLS);
	for (unsigned i = 0; i < FLEET_CALLS; i++)
		hist_add(h, (uint64_t)(MEDIAN_US * 1e3 * exp(LOG_SPREAD * (double)noise[i])));
}

/* What one container sees of its calls with one other: as the server, or as the client. */
static void make_edge(struct wire_edge *e, uint32_t index, enum wire_side side, unsigned own,
	unsigned other, struct random *random)
{
	e->container = index;
	e->peer_container = WIRE_NO_CONTAINER;
	e->side = (uint8_t)side;
	e->protocol = WIRE_HTTP1;
	e->port = PORT;
	set_address(e->local_addr, own);
	set_address(e->peer_addr, other);
	e->bytes_sent = e->bytes_received = FLEET_CALLS * 512;
	e->segments_sent = FLEET_CALLS;
	e->rtt_us = 100;
	e->connect_us = NAN;
	make_calls(&e->latency, random);
	if (side == WIRE_SERVER)
		make_calls(&e->self, random);
}

static void make_window(
	const struct made_fleet *f, unsigned node, uint64_t start_s, struct wire_window *w)
{
	struct random random;

	random_init(&random, start_s, node);
	w->start_ns = start_s * 1000000000ULL;
	w->duration_ns = 1000000000ULL;
	for (unsigned m = 0; m < HOST_METRICS; m++)
		w->host[m] = 0.5F;
	w->containers = f->containers;
	w->edges = 2 * f->containers;
	for (unsigned i = 0; i < f->containers; i++) {
		unsigned number = node * f->containers + i, service = number % f->services;
		unsigned turn = number / f->services;
		unsigned callee = (2 * service + 1 + turn % 2) % f->services;
		unsigned caller = (service + f->services - 1) / 2 % f->services;

		make_container(f, number, &random, &w->container[i]);
		make_edge(&w->edge[2 * i], i, WIRE_SERVER, number, instance(f, caller, turn),
			&random);
		make_edge(&w->edge[2 * i + 1], i, WIRE_CLIENT, number, instance(f, callee, turn),
			&random);
	}
}

int made_fleet_batch(const struct made_fleet *f, unsigned node, uint64_t start_s, uint64_t sequence,
	void **out, size_t *size)
{
	struct wire_window w = {.container = calloc(f->containers, sizeof(*w.container)),
		.edge = calloc(2 * (size_t)f->containers, sizeof(*w.edge))};
	struct wire_batch b = {.sequence = sequence, .windows = 1, .window = &w};
	int err = -ENOMEM;

	snprintf(b.agent.name, sizeof(b.agent.name), "node-%u", node);
	memcpy(b.agent.boot_id, &node, sizeof(node));
	if (w.container && w.edge) {
		make_window(f, node, start_s, &w);
		err = wire_encode_batch(&b, out, size);
	}
	wire_window_close(&w);
	return err;
}
