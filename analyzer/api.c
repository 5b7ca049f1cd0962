#include "analyzer/api.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/dashboard/dashboard.h"
#include "common/json.h"

static const struct {
	const char *path;
	bool post, prefix; /* prefix: something follows */
	api_handler *handler;
} route[] = {
	{"/healthz", false, false, api_health},
	{"/readyz", false, false, api_ready},
	{"/metrics", false, false, api_metrics},
	{"/api/v1/status", false, false, api_status},
	{"/api/v1/slos", false, false, api_slos},
	{"/api/v1/slos", true, false, api_set_slo},
	{"/api/v1/graph", false, false, api_graph},
	{"/api/v1/entity", false, false, api_entity},
	{"/api/v1/operations", false, false, api_operations},
	{"/api/v1/series", false, false, api_series},
	{"/api/v1/incidents", false, false, api_incidents},
	{"/api/v1/incidents/", false, true, api_incident},
	{"/api/v1/actions", false, false, api_actions},
	{"/api/v1/actions/", true, true, api_change_action},
	{"/api/v1/mode", true, false, api_set_mode},
};

static void send_page(const struct http_request *q, struct http_reply *r)
{
	bool gzip = http_takes_gzip(q);
	const unsigned char *begin = gzip ? dashboard_gzip_begin : dashboard_html_begin;
	const unsigned char *end = gzip ? dashboard_gzip_end : dashboard_html_end;

	r->data = begin;
	r->size = (size_t)(end - begin);
	r->type = "text/html; charset=utf-8";
	r->encoding = gzip ? "gzip" : NULL;
}

static bool matches(size_t i, const char *path)
{
	size_t n = strlen(route[i].path);

	return route[i].prefix ? !strncmp(path, route[i].path, n) && path[n]
			       : !strcmp(path, route[i].path);
}

void api_handle(void *core, const struct http_request *q, struct http_reply *r)
{
	bool known = false;

	if (!q->post && (!strcmp(q->path, "/") || !strcmp(q->path, "/index.html"))) {
		send_page(q, r);
		return;
	}
	for (size_t i = 0; i < sizeof(route) / sizeof(*route); i++) {
		if (!matches(i, q->path))
			continue;
		known = true;
		if (route[i].post != q->post)
			continue;
		core_lock(core);
		route[i].handler(core, q, q->path + strlen(route[i].path), r);
		core_unlock(core);
		return;
	}
	if (known)
		http_fail(r, 405, "%s: not with this method; see docs/api.md", q->path);
	else
		http_fail(r, 404, "%s: nothing here; see docs/api.md", q->path);
}

double api_newest(const struct core *c, uint32_t entity, const char *metric)
{
	const struct series *s = &c->live.recording.series;
	const float *value = series_values(s, entity, metric);

	return value && s->windows ? (double)value[s->windows - 1] : NAN;
}

size_t api_limit(const struct http_request *q, struct http_reply *r)
{
	const char *text = http_query(q, "limit");
	char *end;
	unsigned long n;

	if (!text)
		return 100;
	n = strtoul(text, &end, 10);
	if (*end || end == text || n < 1 || n > 1000) {
		http_fail(r, 400, "limit=%s: want a number from 1 to 1000", text);
		return 0;
	}
	return n;
}

bool api_time(const struct http_request *q, const char *name, double *out, struct http_reply *r)
{
	const char *text = http_query(q, name);
	char *end;
	double v;

	if (!text)
		return true;
	v = strtod(text, &end);
	if (*end || end == text || !isfinite(v)) {
		http_fail(r, 400, "%s=%s: want Unix seconds", name, text);
		return false;
	}
	*out = v;
	return true;
}
