/* The map: every service and edge with its newest window; and one entity. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/api.h"
#include "common/json.h"

#define SLOW_RATIO 2.0 /* times its own normal is called slow */
#define SLOW_ROWS 120  /* windows outside incidents that its normal is the mean of */

static bool is_culprit(const struct core *c, const char *service)
{
	for (size_t i = 0; i < c->incidents; i++) {
		const struct core_incident *n = &c->incident[i];
		const json_t *culprits = json_object_get(n->diagnosis, "culprits"), *one;
		size_t k;

		if (n->state == INCIDENT_RECOVERED || n->state == INCIDENT_CLOSED)
			continue;
		json_array_foreach(culprits, k, one)
		{
			const char *name = json_string_value(json_object_get(one, "service"));

			if (name && !strcmp(name, service))
				return true;
		}
	}
	return false;
}

/* Is the newest value far above the geometric mean of the normal windows before? */
static bool is_slow(const struct core *c, uint32_t entity, const char *metric, const bool *normal)
{
	const struct series *s = &c->live.recording.series;
	const float *value = series_values(s, entity, metric);
	double sum = 0;
	size_t n = 0;

	if (!value || s->windows < 2)
		return false;
	for (size_t i = s->windows - 1; i-- > 0 && n < SLOW_ROWS;) {
		if (!normal[i] || !isfinite(value[i]))
			continue;
		sum += log((double)value[i] + 1);
		n++;
	}
	return n >= 8 && (double)value[s->windows - 1] > SLOW_RATIO * exp(sum / (double)n);
}

static const char *status_of(const struct core *c, uint32_t i, const bool *normal)
{
	if (is_culprit(c, c->live.recording.graph.entity[i].name))
		return "culprit";
	return is_slow(c, i, "server_p99_us", normal) ? "slow" : "ok";
}

static json_int_t containers_of(const struct core *c, const char *service)
{
	const struct fleet *f = &c->live.fleet;
	json_int_t n = 0;

	for (uint32_t i = 0; i < f->containers; i++)
		n += f->container[i] && !strcmp(f->container[i]->service, service);
	return n;
}

static void set_newest(json_t *to, const struct core *c, uint32_t entity, const char *const *metric,
	size_t metrics)
{
	for (size_t i = 0; i < metrics; i++)
		json_object_set_new(
			to, metric[i], json_number_or_null(api_newest(c, entity, metric[i])));
}

static json_t *service_json(const struct core *c, uint32_t i, const bool *normal)
{
	static const char *const metric[] = {"requests_per_s", "error_ratio", "server_p99_us",
		"self_p99_us", "cpu_util_ratio", "mem_util_ratio"};
	const struct graph *g = &c->live.recording.graph;
	const struct entity *e = &g->entity[i];
	const char *host = e->host == GRAPH_NONE ? NULL : g->entity[e->host].name;
	json_t *one = json_pack("{ss ss? ss sI}", "name", e->name, "host", host, "status",
		status_of(c, i, normal), "containers", containers_of(c, e->name));

	set_newest(one, c, i, metric, sizeof(metric) / sizeof(*metric));
	return one;
}

static json_t *edge_json(const struct core *c, uint32_t i)
{
	static const char *const metric[] = {"requests_per_s", "error_ratio", "client_p99_us",
		"server_p99_us", "network_p99_us", "net_retransmit_ratio", "resets_per_s"};
	const struct graph *g = &c->live.recording.graph;
	const struct entity *e = &g->entity[i];
	json_t *one = json_pack("{ss ss ss}", "caller", g->entity[e->caller].name, "callee",
		g->entity[e->callee].name, "protocol", e->protocol);

	set_newest(one, c, i, metric, sizeof(metric) / sizeof(*metric));
	return one;
}

void api_graph(struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	const struct recording *rec = &c->live.recording;
	double time_s = rec->series.windows ? rec->series.start_s[rec->series.windows - 1] : NAN;
	bool *normal = core_normal_rows(c);
	json_t *services, *edges;

	(void)q;
	(void)rest;
	if (!normal) {
		http_fail(r, 503, "out of memory");
		return;
	}
	services = json_array();
	edges = json_array();
	for (uint32_t i = 0; i < rec->graph.entities; i++) {
		if (rec->graph.entity[i].kind == ENTITY_SERVICE)
			json_array_append_new(services, service_json(c, i, normal));
		else if (rec->graph.entity[i].kind == ENTITY_EDGE)
			json_array_append_new(edges, edge_json(c, i));
	}
	free(normal);
	r->json = json_pack("{so so so}", "time", json_number_or_null(time_s), "services", services,
		"edges", edges);
}

static json_t *neighbours(const struct graph *g, const uint32_t *edge, uint32_t n, bool callers)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < n; i++) {
		const struct entity *e = &g->entity[edge[i]];

		json_array_append_new(
			all, json_string(g->entity[callers ? e->caller : e->callee].name));
	}
	return all;
}

static json_t *metrics_of(const struct series *s, uint32_t entity)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < s->columns; i++)
		if (s->column[i].entity == entity)
			json_array_append_new(all, json_string(s->column[i].metric));
	return all;
}

void api_entity(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	static const char *const kind[] = {"service", "edge", "host"};
	const struct graph *g = &c->live.recording.graph;
	const char *name = http_query(q, "name");
	uint32_t number = name ? graph_find(g, name) : GRAPH_NONE;
	const struct entity *e;

	(void)rest;
	if (number == GRAPH_NONE) {
		http_fail(r, name ? 404 : 400,
			"name=%s: no such entity; names are in /api/v1/graph", name ? name : "");
		return;
	}
	e = &g->entity[number];
	r->json = json_pack("{ss ss so so so}", "name", e->name, "kind", kind[e->kind], "metrics",
		metrics_of(&c->live.recording.series, number), "callers",
		neighbours(g, e->in, e->ins, true), "callees",
		neighbours(g, e->out, e->outs, false));
}
