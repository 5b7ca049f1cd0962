#include "shop.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUTSIDE SHOP_SERVICES
#define RATE 60 /* requests per second from outside, in the middle of its swing */
#define NETWORK_US 180
#define MIB (1 << 20)

const char *const shop_node[SHOP_NODES] = {"node-a", "node-b"};

enum { GATEWAY, SEARCH, RATES, CART, SESSIONS, CHECKOUT, PAYMENT, STOCK, STOCK_DB };

static const struct {
	const char *name;
	unsigned node;
	uint16_t port;
	double self_us; /* median */
	double cpu_us;  /* per call */
	double mem_mib, write_bytes;
} service[SHOP_SERVICES] = {
	[GATEWAY] = {"gateway", 0, 8080, 900, 700, 96, 0},
	[SEARCH] = {"search", 0, 8081, 2400, 2000, 310, 0},
	[RATES] = {"rates", 0, 9090, 1300, 900, 64, 0},
	[CART] = {"cart", 0, 8082, 1100, 800, 128, 0},
	[SESSIONS] = {"sessions", 0, 6379, 120, 60, 220, 0},
	[CHECKOUT] = {"checkout", 1, 8083, 1600, 1200, 140, 0},
	[PAYMENT] = {"payment", 1, 9091, 4200, 1500, 180, 300},
	[STOCK] = {"stock", 1, 8084, 2100, 1800, 150, 0},
	[STOCK_DB] = {"stock-db", 1, 5432, 800, 500, 512, 2100},
};

/* Parents stand before children; a service makes its calls one after the other. */
static const struct {
	unsigned caller, callee;
	double chance; /* that a call of the caller makes this one */
	uint8_t protocol;
	const char *operation; /* what all its calls ask for */
} edge[SHOP_EDGES] = {
	{OUTSIDE, GATEWAY, 1, WIRE_HTTP1, "GET /"},
	{GATEWAY, SEARCH, 0.7, WIRE_HTTP1, "GET /search"},
	{GATEWAY, CART, 0.5, WIRE_HTTP1, "POST /cart/*"},
	{SEARCH, RATES, 1, WIRE_THRIFT, "getRates"},
	{SEARCH, STOCK, 0.6, WIRE_HTTP1, "GET /stock/*"},
	{CART, SESSIONS, 1, WIRE_REDIS, "GET"},
	{CART, CHECKOUT, 0.3, WIRE_HTTP1, "POST /checkout"},
	{CHECKOUT, SESSIONS, 1, WIRE_REDIS, "SET"},
	{CHECKOUT, PAYMENT, 1, WIRE_THRIFT, "charge"},
	{CHECKOUT, STOCK, 1, WIRE_HTTP1, "POST /stock/reserve"},
	{STOCK, STOCK_DB, 1, WIRE_POSTGRESQL, "SELECT stock"},
};

void shop_init(struct shop *s, uint64_t second)
{
	memset(s, 0, sizeof(*s));
	random_init(&s->random, 7);
	s->second = second;
	s->limit = SHOP_LIMIT;
}

static bool throttled(const struct shop *s)
{
	return s->limit < SHOP_LIMIT;
}

/* ---- one second of requests ---------------------------------------------- */

static double self_us(struct shop *s, unsigned which)
{
	double us = service[which].self_us * exp(0.28 * random_normal(&s->random));

	/* the quota is spent: wait for what is left of a period of 100 ms */
	if (which == STOCK && throttled(s) && random_unit(&s->random) < 0.6)
		us += 15000 + 70000 * random_unit(&s->random);
	return us;
}

/* One call over an edge and those below it. Returns what its client waited. */
static double call(struct shop *s, unsigned e)
{
	unsigned callee = edge[e].callee;
	double own = self_us(s, callee), server = own, client;

	for (unsigned next = e + 1; next < SHOP_EDGES; next++)
		if (edge[next].caller == callee && random_unit(&s->random) < edge[next].chance)
			server += call(s, next);
	client = server + NETWORK_US * exp(0.2 * random_normal(&s->random));
	hist_add(&s->edge[e].self, (uint64_t)(own * 1000));
	hist_add(&s->edge[e].server, (uint64_t)(server * 1000));
	hist_add(&s->edge[e].client, (uint64_t)(client * 1000));
	return client;
}

void shop_play(struct shop *s)
{
	double swing = 1 + 0.25 * sin((double)s->second / 70);
	unsigned requests = (unsigned)(RATE * swing * exp(0.08 * random_normal(&s->random)));

	memset(s->edge, 0, sizeof(s->edge));
	for (unsigned i = 0; i < requests; i++)
		call(s, 0);
	s->second++;
}

/* ---- as windows ----------------------------------------------------------- */

static double calls_of(const struct shop *s, unsigned which)
{
	double calls = 0;

	for (unsigned e = 0; e < SHOP_EDGES; e++)
		if (edge[e].callee == which)
			calls += (double)s->edge[e].server.total;
	return calls;
}

static void set_counters(const struct shop *s, unsigned which, float metric[CONTAINER_METRICS])
{
	double calls = calls_of(s, which);
	double cores = calls * service[which].cpu_us / 1e6;
	double limit = which == STOCK ? (double)s->limit / 1000 : 1;
	bool short_of = which == STOCK && throttled(s);

	for (unsigned m = 0; m < CONTAINER_METRICS; m++)
		metric[m] = 0;
	metric[METRIC_CPU_IPC] = metric[METRIC_CPU_LLC_MISSES] = NAN; /* no PMU */
	if (short_of)
		cores = fmax(cores, 0.96 * limit);
	metric[METRIC_CPU_CORES] = (float)fmin(cores, limit);
	metric[METRIC_CPU_LIMIT_CORES] = (float)limit;
	metric[METRIC_CPU_UTIL] = (float)fmin(cores / limit, 1);
	metric[METRIC_CPU_THROTTLED] = short_of ? 0.62F : 0;
	metric[METRIC_CPU_RUNQ] = (float)(0.02 * cores);
	metric[METRIC_PSI_CPU] = short_of ? 0.7F : (float)(0.05 * cores);
	metric[METRIC_MEM_BYTES] = (float)(service[which].mem_mib * MIB + 2000 * calls);
	metric[METRIC_MEM_UTIL] = metric[METRIC_MEM_BYTES] / (1024.F * MIB);
	metric[METRIC_BLK_WRITE_BYTES] = (float)(calls * service[which].write_bytes);
	metric[METRIC_NET_RX_BYTES] = (float)(calls * 420);
	metric[METRIC_NET_TX_BYTES] = (float)(calls * 1300);
}

/* The cgroup of a pod of one container; its number is what tells it on the node. */
static void add_container(const struct shop *s, unsigned which, struct wire_window *w)
{
	struct wire_container *c = &w->container[w->containers++];

	c->cgroup_id = 100 + which;
	snprintf(c->name, sizeof(c->name), "app");
	snprintf(c->service, sizeof(c->service), "%s", service[which].name);
	snprintf(c->group, sizeof(c->group), "/pods/%s", service[which].name);
	snprintf(c->path, sizeof(c->path), "/pods/%s/app", service[which].name);
	set_counters(s, which, c->metric);
}

/* 10.NODE.0.SERVICE; the outside is not one of ours. */
static void set_address(uint8_t out[16], unsigned which)
{
	static const uint8_t outside[4] = {192, 0, 2, 7};

	memset(out, 0, 16);
	out[10] = out[11] = 0xff;
	if (which == OUTSIDE) {
		memcpy(out + 12, outside, sizeof(outside));
		return;
	}
	out[12] = 10;
	out[13] = (uint8_t)(service[which].node + 1);
	out[15] = (uint8_t)(which + 1);
}

static uint32_t container_of(const struct wire_window *w, unsigned which)
{
	for (uint32_t i = 0; i < w->containers; i++)
		if (w->container[i].cgroup_id == 100 + which)
			return i;
	return WIRE_NO_CONTAINER;
}

/* One end of an edge, if that end is on this node. */
static void add_end(const struct shop *s, unsigned e, enum wire_side side, struct wire_window *w)
{
	unsigned own = side == WIRE_CLIENT ? edge[e].caller : edge[e].callee;
	unsigned peer = side == WIRE_CLIENT ? edge[e].callee : edge[e].caller;
	const struct shop_calls *calls = &s->edge[e];
	struct wire_edge *end = &w->edge[w->edges];
	struct wire_operation *operation;

	if (container_of(w, own) == WIRE_NO_CONTAINER || calls->client.total == 0)
		return;
	w->edges++;
	end->container = container_of(w, own);
	end->peer_container = container_of(w, peer);
	end->side = (uint8_t)side;
	end->protocol = edge[e].protocol;
	end->port = service[edge[e].callee].port;
	set_address(end->local_addr, own);
	set_address(end->peer_addr, peer);
	end->bytes_sent = calls->client.total * (side == WIRE_CLIENT ? 420 : 1300);
	end->bytes_received = calls->client.total * (side == WIRE_CLIENT ? 1300 : 420);
	end->segments_sent = 50 * (uint32_t)calls->client.total;
	if (edge[e].callee == PAYMENT)
		end->retransmits = (uint32_t)calls->client.total;
	if (edge[e].callee == PAYMENT && side == WIRE_CLIENT)
		end->resets_received = 2;
	end->rtt_us = NETWORK_US;
	end->connect_us = NAN; /* connections are kept */
	end->latency = side == WIRE_CLIENT ? calls->client : calls->server;
	if (side == WIRE_SERVER)
		end->self = calls->self;
	operation = &w->operation[w->operations++];
	operation->edge = w->edges - 1;
	strcpy(operation->name, edge[e].operation);
	operation->latency = end->latency;
}

static void set_host(const struct shop *s, unsigned node, float host[HOST_METRICS])
{
	double cores = 0, calls = 0;

	for (unsigned i = 0; i < SHOP_SERVICES; i++) {
		if (service[i].node != node)
			continue;
		cores += calls_of(s, i) * service[i].cpu_us / 1e6;
		calls += calls_of(s, i);
	}
	host[HOST_CPU_UTIL] = (float)(0.05 + cores / 4);
	host[HOST_MEM_UTIL] = 0.41F;
	host[HOST_BLK_UTIL] = (float)(0.0002 * calls);
	host[HOST_NET_RX_BYTES] = (float)(calls * 420);
	host[HOST_NET_TX_BYTES] = (float)(calls * 1300);
	host[HOST_CPU_STEAL] = 0.01F;
}

int shop_window(const struct shop *s, unsigned node, struct wire_window *out)
{
	struct wire_window w = {
		.start_ns = (s->second - 1) * 1000000000ULL, .duration_ns = 1000000000ULL};

	w.container = calloc(SHOP_SERVICES, sizeof(*w.container));
	w.edge = calloc(2 * SHOP_EDGES, sizeof(*w.edge));
	w.operation = calloc(2 * SHOP_EDGES, sizeof(*w.operation));
	if (!w.container || !w.edge || !w.operation) {
		wire_window_close(&w);
		return -ENOMEM;
	}
	set_host(s, node, w.host);
	for (unsigned i = 0; i < SHOP_SERVICES; i++)
		if (service[i].node == node)
			add_container(s, i, &w);
	for (unsigned e = 0; e < SHOP_EDGES; e++) {
		add_end(s, e, WIRE_CLIENT, &w);
		add_end(s, e, WIRE_SERVER, &w);
	}
	*out = w;
	return 0;
}
