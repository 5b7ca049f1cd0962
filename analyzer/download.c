#include "analyzer/download.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/fetch.h"
#include "analyzer/recording_cells.h"

struct download {
	struct recording *r;
	struct fetch fetch;
	struct cells cells;
	double from_s, to_s;
};

static int bad_answer(struct download *w, const char *what)
{
	snprintf(w->fetch.why, w->fetch.why_size, "%s%s: not the answer docs/api.md promises",
		w->fetch.base, what);
	return -EBADMSG;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static int add_service(struct download *w, const json_t *service)
{
	struct graph *g = &w->r->graph;
	uint32_t number = graph_service(g, text_of(service, "name")), host;
	char name[256];

	if (number == GRAPH_NONE)
		return bad_answer(w, "/api/v1/graph");
	if (!*text_of(service, "host"))
		return 0;
	snprintf(name, sizeof(name), "%s%.240s",
		strncmp(text_of(service, "host"), "host:", 5) ? "host:" : "",
		text_of(service, "host"));
	host = graph_host(g, name);
	if (host == GRAPH_NONE)
		return bad_answer(w, "/api/v1/graph");
	g->entity[number].host = host;
	return 0;
}

static int add_edge(struct download *w, const json_t *edge)
{
	struct graph *g = &w->r->graph;
	uint32_t number = graph_edge(g, text_of(edge, "caller"), text_of(edge, "callee"));

	if (number == GRAPH_NONE)
		return bad_answer(w, "/api/v1/graph");
	snprintf(g->entity[number].protocol, sizeof(g->entity[number].protocol), "%s",
		text_of(edge, "protocol"));
	return 0;
}

static int get_graph(struct download *w)
{
	json_t *answer, *item;
	size_t i;
	int error = fetch_json(&w->fetch, &answer, "/api/v1/graph");

	if (error)
		return error;
	if (!json_is_array(json_object_get(answer, "services")))
		error = bad_answer(w, "/api/v1/graph");
	json_array_foreach(json_object_get(answer, "services"), i, item)
	{
		if (!error)
			error = add_service(w, item);
	}
	json_array_foreach(json_object_get(answer, "edges"), i, item)
	{
		if (!error)
			error = add_edge(w, item);
	}
	json_decref(answer);
	return error;
}

static int add_slo(struct download *w, const json_t *slo)
{
	struct recording *r = w->r;
	struct slo fresh = {.entity = graph_find(&r->graph, text_of(slo, "entity")),
		.target = json_number_value(json_object_get(slo, "target")),
		.proposed = json_is_true(json_object_get(slo, "proposed"))};
	struct slo *more;

	if (fresh.entity == GRAPH_NONE || strlen(text_of(slo, "metric")) >= sizeof(fresh.metric))
		return 0; /* a target for what was never seen has no place in a recording */
	strcpy(fresh.metric, text_of(slo, "metric"));
	more = realloc(r->slo, (r->slos + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->slo = more;
	r->slo[r->slos++] = fresh;
	return 0;
}

static int get_slos(struct download *w)
{
	json_t *answer, *item;
	size_t i;
	int error = fetch_json(&w->fetch, &answer, "/api/v1/slos");

	if (error)
		return error;
	json_array_foreach(answer, i, item)
	{
		if (!error)
			error = add_slo(w, item);
	}
	json_decref(answer);
	return error;
}

static int add_values(struct download *w, uint32_t entity, const char *metric, const json_t *times,
	const json_t *values)
{
	struct cell cell = {.column = series_column(&w->r->series, entity, metric)};

	if (cell.column == SERIES_NONE)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(values) && i < json_array_size(times); i++) {
		const json_t *value = json_array_get(values, i);

		cell.start_s = json_number_value(json_array_get(times, i));
		cell.value = (float)json_number_value(value);
		if (!json_is_number(value) || cell.start_s < w->from_s || cell.start_s >= w->to_s)
			continue;
		if (cells_push(&w->cells, &cell))
			return -ENOMEM;
	}
	return 0;
}

/* Names of an entity's metrics, joined by commas. NULL when out of memory. */
static char *join_metrics(const json_t *metrics)
{
	size_t size = 1, length = 0, i;
	json_t *name;
	char *text;

	json_array_foreach(metrics, i, name) size += json_string_length(name) + 1;
	text = calloc(1, size);
	json_array_foreach(metrics, i, name)
	{
		if (text && json_is_string(name))
			length += (size_t)snprintf(text + length, size - length, "%s%s",
				length ? "," : "", json_string_value(name));
	}
	return text;
}

static int get_series(struct download *w, uint32_t entity, const char *name, const char *metrics)
{
	char *list = fetch_escape(&w->fetch, metrics);
	json_t *answer, *values;
	const char *metric;
	int error;

	if (!list)
		return -ENOMEM;
	error = fetch_json(&w->fetch, &answer,
		"/api/v1/series?entity=%s&metrics=%s&from=%.3f&to=%.3f", name, list, w->from_s,
		w->to_s);
	free(list);
	if (error)
		return error;
	json_object_foreach(json_object_get(answer, "series"), metric, values)
	{
		if (!error)
			error = add_values(
				w, entity, metric, json_object_get(answer, "times"), values);
	}
	json_decref(answer);
	return error;
}

static int get_entity(struct download *w, uint32_t entity)
{
	char *name = fetch_escape(&w->fetch, w->r->graph.entity[entity].name), *metrics;
	json_t *answer;
	int error;

	if (!name)
		return -ENOMEM;
	error = fetch_json(&w->fetch, &answer, "/api/v1/entity?name=%s", name);
	if (!error) {
		metrics = join_metrics(json_object_get(answer, "metrics"));
		json_decref(answer);
		if (!metrics)
			error = -ENOMEM;
		else if (*metrics)
			error = get_series(w, entity, name, metrics);
		free(metrics);
	}
	free(name);
	return error;
}

static int get_all(struct download *w)
{
	int error = get_graph(w);

	if (!error)
		error = get_slos(w);
	for (uint32_t i = 0; !error && i < w->r->graph.entities; i++)
		if (strcmp(w->r->graph.entity[i].name, GRAPH_USER))
			error = get_entity(w, i);
	if (!error)
		error = cells_into_series(
			&w->cells, &w->r->series, w->fetch.base, w->fetch.why, w->fetch.why_size);
	return error;
}

int download_recording(struct recording *r, const char *url, double from_s, double to_s, char *why,
	size_t why_size)
{
	struct recording fresh;
	struct download w = {.r = &fresh, .from_s = from_s, .to_s = to_s};
	int error;

	recording_init(&fresh);
	snprintf(why, why_size, "out of memory");
	error = fetch_open(&w.fetch, url, why, why_size);
	if (!error)
		error = get_all(&w);
	fetch_close(&w.fetch);
	cells_clear(&w.cells);
	if (error)
		recording_clear(&fresh);
	else
		*r = fresh;
	return error;
}
