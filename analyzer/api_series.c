/* Metrics of one entity through time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/api.h"
#include "common/json.h"

#define DEFAULT_S 900
#define METRICS_MAX 64

static json_t *values_json(const float *value, size_t from, size_t to)
{
	json_t *all = json_array();

	for (size_t i = from; i < to; i++)
		json_array_append_new(all, json_number_or_null(value ? (double)value[i] : NAN));
	return all;
}

/* "a,b,c" one by one; unknown metrics are columns of nulls. */
static json_t *columns_json(const struct series *s, uint32_t entity, const char *metrics,
	size_t from, size_t to, struct http_reply *r)
{
	char *list = strdup(metrics), *rest, *name;
	json_t *all = json_object();
	size_t n = 0;

	name = list ? strtok_r(list, ",", &rest) : NULL;
	for (; name; name = strtok_r(NULL, ",", &rest)) {
		if (n++ == METRICS_MAX) {
			http_fail(r, 400, "metrics: more than %d asked for", METRICS_MAX);
			break;
		}
		json_object_set_new(
			all, name, values_json(series_values(s, entity, name), from, to));
	}
	free(list);
	return all;
}

void api_series(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	const struct recording *rec = &c->live.recording;
	const struct series *s = &rec->series;
	const char *name = http_query(q, "entity"), *metrics = http_query(q, "metrics");
	uint32_t entity = name ? graph_find(&rec->graph, name) : GRAPH_NONE;
	double to_s = s->windows ? s->start_s[s->windows - 1] + c->options.window_s : 0;
	double from_s = to_s - DEFAULT_S;
	json_t *times, *columns;
	size_t from, to;

	(void)rest;
	if (entity == GRAPH_NONE || !metrics) {
		http_fail(r, name && metrics ? 404 : 400,
			"entity=%s: want entity=NAME&metrics=A,B; names are in /api/v1/graph",
			name ? name : "");
		return;
	}
	if (!api_time(q, "from", &from_s, r) || !api_time(q, "to", &to_s, r))
		return;
	series_range(s, from_s, to_s, &from, &to);
	times = json_array();
	for (size_t i = from; i < to; i++)
		json_array_append_new(times, json_real(s->start_s[i]));
	columns = columns_json(s, entity, metrics, from, to, r);
	if (r->status != 200) {
		json_decref(times);
		json_decref(columns);
		return;
	}
	r->json = json_pack("{ss so so}", "entity", name, "times", times, "series", columns);
}
