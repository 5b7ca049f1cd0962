#include "analyzer/gvae.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATISTICS 2 /* columns of one latency node, at most */

struct node {
	uint32_t first_y, ys; /* 0 ys: the node does not exist */
};

/* The nodes of one edge. */
struct rpc {
	struct node request, response, server, client;
};

/* Everything while the network grows. */
struct wiring {
	struct gvae *g;
	const struct recording *r;
	const struct slo *slo;
	const bool *use;
	unsigned hidden, layers;
	uint32_t *latent;     /* [graph entities] -> entity of g */
	uint32_t *place;      /* [graph entities] position of a service, callees first */
	struct rpc *rpc;      /* [graph entities] of edges */
	struct node *service; /* [graph entities] server latency of a service as a whole */
	uint32_t *listed;     /* [xs + ys] encoder that was last given a column, counted from 1 */
	bool failed;          /* out of memory */
};

static void *grow(struct wiring *w, void *array, uint32_t used, size_t size)
{
	void *bigger;

	if (used & (used - 1))
		return array;
	bigger = realloc(array, (used ? 2 * (size_t)used : 1) * size);
	if (!bigger)
		w->failed = true;
	return bigger ? bigger : array;
}

static bool varies(const struct wiring *w, uint32_t entity, const char *metric)
{
	const float *v = series_values(&w->r->series, entity, metric);
	size_t rows = 0, known = 0;
	float low = INFINITY, high = -INFINITY;

	for (size_t i = 0; v && i < w->r->series.windows; i++) {
		if (w->use && !w->use[i])
			continue;
		rows++;
		if (!isfinite(v[i]))
			continue;
		known++;
		low = fminf(low, v[i]);
		high = fmaxf(high, v[i]);
	}
	return known >= 4 && known * 10 >= rows && high > low;
}

/* The metrics of a node: [p95, p99] where they are, else the highest there are. */
static unsigned pick_metrics(
	const struct wiring *w, uint32_t entity, const char *prefix, char out[STATISTICS][64])
{
	static const char *const statistic[] = {"p99", "p95", "p90", "p50", "mean"};
	const char *target = w->slo->entity == entity ? w->slo->metric : "";
	size_t length = strlen(prefix);
	unsigned n = 0;

	if (!strncmp(target, prefix, length) && varies(w, entity, target))
		snprintf(out[n++], 64, "%s", target);
	for (size_t i = 0; i < sizeof(statistic) / sizeof(*statistic) && n < STATISTICS; i++) {
		snprintf(out[n], 64, "%s%s_us", prefix, statistic[i]);
		if (strcmp(out[n], target) && varies(w, entity, out[n]))
			n++;
	}
	return n;
}

static void add_column(struct wiring *w, uint32_t entity, const char *metric, bool log)
{
	struct gvae *g = w->g;
	uint32_t n = g->xs + g->ys;
	struct gvae_column c = {.log = log};

	g->column = grow(w, g->column, n, sizeof(*g->column));
	c.entity = strdup(w->r->graph.entity[entity].name);
	c.metric = strdup(metric);
	if (w->failed || !c.entity || !c.metric) {
		free(c.entity);
		free(c.metric);
		w->failed = true;
		return;
	}
	g->column[n] = c;
}

/* ---- X and Z ---- */

/* Resource use is what an entity's latent and latencies depend on; load and latencies are not. */
static bool is_x(const char *metric)
{
	enum resource class = resource_of_metric(metric);

	if (class == RESOURCE_NETWORK)
		return strncmp(metric, "network_", strlen("network_"));
	return class == RESOURCE_CPU || class == RESOURCE_MEMORY || class == RESOURCE_DISK;
}

static void add_x(struct wiring *w, uint32_t entity, const char *metric)
{
	bool rate = strstr(metric, "bytes") || strstr(metric, "_per_s");

	if (w->failed || !varies(w, entity, metric))
		return;
	add_column(w, entity, metric, rate);
	if (!w->failed)
		w->g->xs++;
}

static bool has_network_latency(const struct wiring *w, uint32_t edge)
{
	static const char *const prefix[] = {"network_", "request_network_", "response_network_"};
	char metric[STATISTICS][64];

	for (size_t i = 0; i < sizeof(prefix) / sizeof(*prefix); i++)
		if (pick_metrics(w, edge, prefix[i], metric))
			return true;
	return false;
}

static void add_entity(struct wiring *w, uint32_t number)
{
	const struct entity *e = &w->r->graph.entity[number];
	const struct series *s = &w->r->series;
	struct gvae *g = w->g;
	struct gvae_entity new = {.edge = e->kind == ENTITY_EDGE, .callee = GVAE_NONE};
	uint32_t columns = series_columns_of(s, number);
	bool classed;

	new.first_x = g->xs;
	for (uint32_t i = 0; i < columns; i++)
		if (is_x(series_metric_of(s, number, i)))
			add_x(w, number, series_metric_of(s, number, i));
	/* names that tell nothing, where there are no others: beside them they only add noise */
	classed = g->xs > new.first_x;
	for (uint32_t i = 0; i < columns && !classed; i++)
		if (resource_is_opaque(series_metric_of(s, number, i)))
			add_x(w, number, series_metric_of(s, number, i));
	if (!new.edge && e->host != GRAPH_NONE)
		add_x(w, e->host, "cpu_util_ratio");
	new.xs = g->xs - new.first_x;
	if (new.edge &&new.xs == 0 && !has_network_latency(w, number))
		return;
	if (new.edge)
		new.callee = w->latent[e->callee];
	g->entity = grow(w, g->entity, g->entities, sizeof(*g->entity));
	new.name = strdup(e->name);
	if (w->failed || !new.name) {
		free(new.name);
		w->failed = true;
		return;
	}
	w->latent[number] = g->entities;
	g->entity[g->entities++] = new;
}

/* Services first, so that an edge finds its callee's. */
static void add_entities(struct wiring *w)
{
	const struct graph *graph = &w->r->graph;

	for (uint32_t i = 0; i < graph->entities && !w->failed; i++)
		if (graph->entity[i].kind == ENTITY_SERVICE &&
			strcmp(graph->entity[i].name, GRAPH_USER))
			add_entity(w, i);
	for (uint32_t i = 0; i < graph->entities && !w->failed; i++)
		if (graph->entity[i].kind == ENTITY_EDGE)
			add_entity(w, i);
}

/* ---- Y ---- */

static void add_source(struct wiring *w, uint32_t source)
{
	struct gvae *g = w->g;

	if (w->failed)
		return;
	g->source = grow(w, g->source, g->sources, sizeof(*g->source));
	if (!w->failed)
		g->source[g->sources++] = source;
}

static void add_latent_parent(struct wiring *w, uint32_t number)
{
	uint32_t z = w->latent[number];

	if (z == GVAE_NONE)
		return;
	for (uint32_t i = 0; i < w->g->entity[z].xs; i++)
		add_source(w, w->g->entity[z].first_x + i);
	/* latents follow the Y columns, which are still being counted: from the top until then */
	add_source(w, GVAE_NONE - 1 - z);
}

static void add_node_parent(struct wiring *w, const struct node *n)
{
	for (uint32_t i = 0; i < n->ys; i++)
		add_source(w, w->g->xs + n->first_y + i);
}

/* Begin a node; its parents are what is added as sources until finish_node(). */
static struct node begin_node(struct wiring *w, uint32_t entity, const char *prefix)
{
	struct gvae *g = w->g;
	char metric[STATISTICS][64];
	struct node n = {.first_y = g->ys};
	unsigned count = w->failed ? 0 : pick_metrics(w, entity, prefix, metric);

	for (unsigned i = 0; i < count && !w->failed; i++) {
		if (entity == w->slo->entity && !strcmp(metric[i], w->slo->metric))
			g->slo_y = g->ys;
		add_column(w, entity, metric[i], true);
		if (!w->failed)
			g->ys++;
	}
	n.ys = g->ys - n.first_y;
	if (n.ys == 0)
		return n;
	g->decoder = grow(w, g->decoder, g->nodes, sizeof(*g->decoder));
	if (!w->failed)
		g->decoder[g->nodes] =
			(struct gvae_net){.first_source = g->sources, .output = n.first_y};
	return n;
}

static void finish_node(struct wiring *w, const struct node *n)
{
	struct gvae *g = w->g;

	if (w->failed || n->ys == 0)
		return;
	g->decoder[g->nodes].shape =
		(struct mlp){.inputs = g->sources - g->decoder[g->nodes].first_source,
			.hidden = w->hidden,
			.layers = w->layers,
			.outputs = n->ys};
	g->nodes++;
}

/* What a caller waits for on an edge, as near to the caller as was measured. */
static const struct node *seen_by_caller(const struct wiring *w, uint32_t edge)
{
	const struct rpc *rpc = &w->rpc[edge];

	if (rpc->client.ys)
		return &rpc->client;
	return rpc->server.ys ? &rpc->server : &w->service[w->r->graph.entity[edge].callee];
}

/* Rule ii. A call to a service that does not come before this one closes a cycle: cut. */
static struct node add_server(struct wiring *w, uint32_t of, uint32_t service)
{
	const struct graph *graph = &w->r->graph;
	const struct entity *e = &graph->entity[service];
	struct node n = begin_node(w, of, "server_");

	if (n.ys == 0)
		return n;
	add_latent_parent(w, service);
	for (uint32_t i = 0; i < e->outs; i++)
		if (w->place[graph->entity[e->out[i]].callee] < w->place[service])
			add_node_parent(w, seen_by_caller(w, e->out[i]));
	finish_node(w, &n);
	return n;
}

/* Rule iv */
static struct node add_network(struct wiring *w, uint32_t edge, const char *prefix)
{
	struct node n = begin_node(w, edge, prefix);

	if (n.ys)
		add_latent_parent(w, edge);
	finish_node(w, &n);
	return n;
}

/* Rule iii; without network latencies the network's X and Z stand for them. */
static struct node add_client(struct wiring *w, uint32_t edge)
{
	const struct entity *e = &w->r->graph.entity[edge];
	const struct rpc *rpc = &w->rpc[edge];
	struct node n = begin_node(w, edge, "client_");

	if (n.ys == 0)
		return n;
	add_node_parent(w, rpc->server.ys ? &rpc->server : &w->service[e->callee]);
	add_node_parent(w, &rpc->request);
	add_node_parent(w, &rpc->response);
	if (rpc->request.ys + rpc->response.ys == 0)
		add_latent_parent(w, edge);
	add_latent_parent(w, e->caller);
	finish_node(w, &n);
	return n;
}

static void add_rpc(struct wiring *w, uint32_t edge)
{
	struct rpc *rpc = &w->rpc[edge];

	rpc->request = add_network(w, edge, "request_network_");
	rpc->response = add_network(w, edge, "response_network_");
	if (rpc->request.ys + rpc->response.ys == 0)
		rpc->request = add_network(w, edge, "network_");
	rpc->client = add_client(w, edge);
}

/* Server latencies of a service, then what its callers see of them. */
static void add_service(struct wiring *w, uint32_t service)
{
	const struct entity *e = &w->r->graph.entity[service];
	bool whole = e->ins == 0 || w->slo->entity == service;

	for (uint32_t i = 0; i < e->ins; i++) {
		w->rpc[e->in[i]].server = add_server(w, e->in[i], service);
		whole |= w->rpc[e->in[i]].server.ys == 0;
	}
	if (whole)
		w->service[service] = add_server(w, service, service);
	for (uint32_t i = 0; i < e->ins; i++)
		add_rpc(w, e->in[i]);
}

static int add_nodes(struct wiring *w)
{
	const struct graph *graph = &w->r->graph;
	uint32_t *order = calloc(graph->entities + 1, sizeof(*order));
	long services = order ? graph_order(graph, order, NULL) : -ENOMEM;

	for (long i = 0; i < services; i++)
		w->place[order[i]] = (uint32_t)i;
	for (long i = 0; i < services && !w->failed; i++)
		add_service(w, order[i]);
	free(order);
	return services < 0 || w->failed ? -ENOMEM : 0;
}

/* Now that the Y columns are counted, latents get their place behind them. */
static void number_latents(struct gvae *g)
{
	for (uint32_t i = 0; i < g->sources; i++)
		if (g->source[i] >= GVAE_NONE - g->entities)
			g->source[i] = g->xs + g->ys + (GVAE_NONE - 1 - g->source[i]);
}

/* ---- encoders and priors ---- */

/* The nodes that each latent feeds: those of latent z are child[begin[z]] .. child[begin[z + 1] -
 * 1]. */
struct children {
	uint32_t *begin; /* [entities + 1] owned */
	uint32_t *child; /* owned */
};

static bool is_latent(const struct gvae *g, uint32_t source)
{
	return source >= g->xs + g->ys;
}

/* Count, add up, then put in place from behind. A node has a latent once. */
static int find_children(struct children *c, const struct gvae *g)
{
	uint32_t columns = g->xs + g->ys;

	c->begin = calloc((size_t)g->entities + 2, sizeof(*c->begin));
	c->child = calloc((size_t)g->sources + 1, sizeof(*c->child));
	if (!c->begin || !c->child)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->sources; i++)
		if (is_latent(g, g->source[i]))
			c->begin[g->source[i] - columns]++;
	for (uint32_t z = 1; z <= g->entities; z++)
		c->begin[z] += c->begin[z - 1];
	for (uint32_t n = g->nodes; n-- > 0;)
		for (uint32_t i = 0; i < g->decoder[n].shape.inputs; i++) {
			uint32_t source = g->source[g->decoder[n].first_source + i];

			if (is_latent(g, source))
				c->child[--c->begin[source - columns]] = n;
		}
	return 0;
}

static void children_clear(struct children *c)
{
	free(c->begin);
	free(c->child);
}

/*
 * The Markov blanket of entity z: its X, its children, and, a list of its own, their other
 * parents. A callee's client latency can be both, child by rule iii and co-parent by rule ii, and
 * then stands twice, as in the published network (its parameter count tells).
 */
static void add_blanket(struct wiring *w, const struct children *c, uint32_t z)
{
	struct gvae *g = w->g;
	const struct gvae_entity *e = &g->entity[z];

	for (uint32_t i = 0; i < e->xs; i++)
		add_source(w, e->first_x + i);
	for (uint32_t k = c->begin[z]; k < c->begin[z + 1]; k++)
		for (uint32_t i = 0; i < g->decoder[c->child[k]].shape.outputs; i++)
			add_source(w, g->xs + g->decoder[c->child[k]].output + i);
	for (uint32_t k = c->begin[z]; k < c->begin[z + 1]; k++) {
		const struct gvae_net *d = &g->decoder[c->child[k]];

		for (uint32_t i = 0; i < d->shape.inputs; i++) {
			uint32_t s = g->source[d->first_source + i];
			bool own = s >= e->first_x && s < e->first_x + e->xs;

			if (is_latent(g, s) || own || w->listed[s] == z + 1)
				continue;
			w->listed[s] = z + 1;
			add_source(w, s);
		}
	}
}

static int add_inference(struct wiring *w)
{
	struct gvae *g = w->g;
	struct mlp shape = {.hidden = w->hidden, .layers = w->layers, .outputs = GVAE_LATENT};
	struct children c = {0};

	g->encoder = calloc(g->entities + 1, sizeof(*g->encoder));
	g->prior = calloc(g->entities + 1, sizeof(*g->prior));
	w->listed = calloc((size_t)g->xs + g->ys + 1, sizeof(*w->listed));
	if (!g->encoder || !g->prior || !w->listed || find_children(&c, g)) {
		children_clear(&c);
		return -ENOMEM;
	}
	for (uint32_t z = 0; z < g->entities; z++) {
		uint32_t first = g->sources;

		add_blanket(w, &c, z);
		shape.inputs = g->sources - first;
		g->encoder[z] =
			(struct gvae_net){.shape = shape, .first_source = first, .output = z};
		shape.inputs = g->entity[z].xs; /* the blanket begins with them */
		g->prior[z] = (struct gvae_net){.shape = shape, .first_source = first, .output = z};
	}
	children_clear(&c);
	return w->failed ? -ENOMEM : 0;
}

static int wire(struct wiring *w)
{
	int err;

	add_entities(w);
	err = w->failed ? -ENOMEM : add_nodes(w);
	if (!err && w->g->slo_y == GVAE_NONE)
		err = -ENODATA;
	if (err)
		return err;
	number_latents(w->g);
	err = add_inference(w);
	if (!err)
		gvae_place(w->g);
	return err;
}

int gvae_open(struct gvae *g, const struct recording *r, const struct slo *slo, const bool *use,
	unsigned hidden, unsigned layers)
{
	size_t n = r->graph.entities + 1;
	struct wiring w = {
		.g = g, .r = r, .slo = slo, .use = use, .hidden = hidden, .layers = layers};
	int err = -ENOMEM;

	memset(g, 0, sizeof(*g));
	g->slo_y = GVAE_NONE;
	w.latent = malloc(n * sizeof(*w.latent));
	w.place = calloc(n, sizeof(*w.place));
	w.rpc = calloc(n, sizeof(*w.rpc));
	w.service = calloc(n, sizeof(*w.service));
	if (w.latent && w.place && w.rpc && w.service) {
		memset(w.latent, 0xff, n * sizeof(*w.latent)); /* GVAE_NONE */
		err = wire(&w);
	}
	free(w.latent);
	free(w.place);
	free(w.rpc);
	free(w.service);
	free(w.listed);
	if (err)
		gvae_close(g);
	return err;
}
