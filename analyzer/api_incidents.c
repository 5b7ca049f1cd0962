/* Targets, and what happened when they were missed. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/api.h"
#include "common/json.h"

void api_slos(struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	const struct recording *rec = &c->live.recording;

	(void)q;
	(void)rest;
	r->json = json_array();
	for (size_t i = 0; i < rec->slos; i++) {
		const struct slo *s = &rec->slo[i];
		const struct incident_watch *w = &c->watch[i];

		json_array_append_new(
			r->json, json_pack("{ss ss sf sb so sb so}", "entity",
					 rec->graph.entity[s->entity].name, "metric", s->metric,
					 "target", s->target, "proposed", s->proposed, "current",
					 json_number_or_null(api_newest(c, s->entity, s->metric)),
					 "violated", w->open, "since",
					 json_number_or_null(w->open ? w->started_s : NAN)));
	}
}

void api_set_slo(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	struct slo_text s = {0};
	const char *entity, *metric;
	char why[400];

	(void)rest;
	if (!q->body || json_unpack((json_t *)q->body, "{ss ss sF}", "entity", &entity, "metric",
				&metric, "target", &s.target)) {
		http_fail(r, 400, "body: want {\"entity\": E, \"metric\": M, \"target\": number}");
		return;
	}
	if (strlen(entity) >= sizeof(s.entity) || strlen(metric) >= sizeof(s.metric)) {
		http_fail(r, 400, "body: entity or metric too long");
		return;
	}
	snprintf(s.entity, sizeof(s.entity), "%s", entity);
	snprintf(s.metric, sizeof(s.metric), "%s", metric);
	if (!slo_check(&s, why, sizeof(why))) {
		http_fail(r, 400, "body: %s", why);
		return;
	}
	if (core_want_slo(c, &s)) {
		http_fail(r, 503, "too many targets set at once; try again");
		return;
	}
	r->json = json_pack("{ss ss sf sb}", "entity", s.entity, "metric", s.metric, "target",
		s.target, "proposed", 0);
}

void api_incidents(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	size_t limit = api_limit(q, r), i;
	json_t *stored = limit ? store_newest(c->store, "incident", limit) : NULL, *one;

	(void)rest;
	if (!limit)
		return;
	r->json = json_array();
	json_array_foreach(stored, i, one)
		json_array_append_new(r->json, core_incident_json(c, one));
	json_decref(stored);
}

void api_incident(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	char *end;
	long long id = strtoll(rest, &end, 10);
	json_t *stored = *end ? NULL : store_get(c->store, "incident", id);

	(void)q;
	if (stored)
		r->json = core_incident_json(c, stored);
	else
		http_fail(r, 404, "incident %s: there is none; see /api/v1/incidents", rest);
	json_decref(stored);
}
