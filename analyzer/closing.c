/* Who is at the other end: from the node's own sockets, then from what was learnt. */
#include "analyzer/closing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/translate.h"

/* A name that can stand in a graph, or GRAPH_NONE (counted). */
static uint32_t service_named(struct closing *c, const char *name)
{
	struct graph *g = &c->l->recording.graph;
	uint32_t known = graph_find(g, name);

	if (known != GRAPH_NONE && g->entity[known].kind == ENTITY_SERVICE)
		return known;
	if (!*name || strstr(name, "->") || !strncmp(name, "host:", 5) || !graph_can_show(name) ||
		g->entities >= LIVE_MAX_ENTITIES) {
		c->l->refused++;
		return GRAPH_NONE;
	}
	return graph_service(g, name);
}

const struct fleet_container *closing_container(const struct closing *c, uint32_t number)
{
	const struct fleet *f = &c->l->fleet;

	return number < f->containers ? f->container[number] : NULL;
}

uint32_t closing_service(struct closing *c, uint32_t container)
{
	const struct fleet_container *k = closing_container(c, container);

	return k ? service_named(c, k->service) : GRAPH_NONE;
}

static void learn_addresses(struct closing *c)
{
	double now_s = (double)c->w->end_ns / 1e9;

	for (size_t i = 0; i < c->w->edges; i++) {
		const struct live_edge_key *k = &c->w->edge[i]->key;
		const struct fleet_container *own = closing_container(c, k->container);
		uint32_t service = closing_service(c, k->container);

		if (service == GRAPH_NONE)
			continue;
		if (k->side == WIRE_SERVER)
			resolve_learn(
				&c->l->resolve, own->agent, k->local_addr, k->port, service, now_s);
		resolve_learn(&c->l->resolve, own->agent, k->local_addr, RESOLVE_ANY_PORT, service,
			now_s);
	}
}

static uint32_t external(struct closing *c, const struct live_edge_key *k)
{
	char name[64];

	resolve_print(k->peer_addr, k->port, name, sizeof(name));
	return service_named(c, name);
}

uint32_t closing_peer(struct closing *c, const struct live_edge_key *k)
{
	const struct fleet_container *own = closing_container(c, k->container);
	uint16_t port = k->side == WIRE_CLIENT ? k->port : RESOLVE_ANY_PORT;
	uint32_t found = closing_service(c, k->peer);

	if (found != GRAPH_NONE)
		return found;
	found = resolve_find(&c->l->resolve, own->agent, k->peer_addr, port);
	if (found == RESOLVE_AMBIGUOUS)
		return GRAPH_NONE;
	if (found != RESOLVE_UNKNOWN)
		return found;
	return k->side == WIRE_CLIENT ? external(c, k) : service_named(c, GRAPH_USER);
}

/* Targets nobody listens at may be virtual addresses of services we see the other end of. */
static int learn_translations(struct closing *c)
{
	struct translate_end *end = calloc(c->w->edges ? c->w->edges : 1, sizeof(*end));
	size_t n = 0;

	if (!end)
		return -ENOMEM;
	for (size_t i = 0; i < c->w->edges; i++) {
		const struct live_edge *e = c->w->edge[i];
		const struct fleet_container *own = closing_container(c, e->key.container);
		bool client = e->key.side == WIRE_CLIENT;
		uint32_t service = closing_service(c, e->key.container), peer;

		if (service == GRAPH_NONE)
			continue;
		peer = closing_service(c, e->key.peer);
		if (peer == GRAPH_NONE)
			peer = resolve_find(&c->l->resolve, own->agent, e->key.peer_addr,
				client ? e->key.port : RESOLVE_ANY_PORT);
		end[n++] = (struct translate_end){.service = service,
			.peer = peer,
			.agent = own->agent,
			.client = client,
			.protocol = e->key.protocol,
			.port = e->key.port,
			.local_addr = e->key.local_addr,
			.peer_addr = e->key.peer_addr,
			.client_port = e->client_port,
			.ports = e->ports,
			.calls = (double)e->latency.total};
	}
	translate_learn(&c->l->resolve, end, n, (double)c->w->end_ns / 1e9);
	free(end);
	return 0;
}

int closing_learn(struct closing *c)
{
	learn_addresses(c);
	return learn_translations(c);
}
