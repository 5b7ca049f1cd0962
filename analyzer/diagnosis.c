#include "analyzer/diagnosis.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

static const char *const verdict_names[] = {
	[VERDICT_HEALTHY] = "healthy",
	[VERDICT_DIAGNOSED] = "diagnosed",
	[VERDICT_UNKNOWN] = "unknown",
};

const char *verdict_name(enum verdict v)
{
	return verdict_names[v];
}

void diagnosis_begin(
	struct diagnosis *d, const char *method, const struct slo *slo, double from_s, double to_s)
{
	*d = (struct diagnosis){.from_s = from_s,
		.to_s = to_s,
		.slo_entity = slo->entity,
		.counterfactual = {.observed = NAN,
			.restored = NAN,
			.target = slo->target,
			.probability = NAN,
			.normal = NAN,
			.explained = NAN,
			.with = {NAN, NAN, NAN},
			.without = {NAN, NAN, NAN}}};
	snprintf(d->method, sizeof(d->method), "%s", method);
	snprintf(d->slo_metric, sizeof(d->slo_metric), "%s", slo->metric);
}

void diagnosis_unknown(struct diagnosis *d, const char *format, ...)
{
	va_list args;

	d->verdict = VERDICT_UNKNOWN;
	va_start(args, format);
	vsnprintf(d->why, sizeof(d->why), format, args);
	va_end(args);
}

void diagnosis_clear(struct diagnosis *d)
{
	free(d->candidate);
	free(d->evidence);
	memset(d, 0, sizeof(*d));
}

void diagnosis_rule_out(struct diagnosis *d, uint32_t service, const char *format, ...)
{
	struct ruled_out *r = &d->ruled_out[d->ruled];
	va_list args;

	for (size_t i = 0; i < d->ruled; i++)
		if (d->ruled_out[i].service == service)
			return;
	if (d->ruled == DIAGNOSIS_RULED_OUT)
		return;
	d->ruled++;
	r->service = service;
	va_start(args, format);
	vsnprintf(r->why, sizeof(r->why), format, args);
	va_end(args);
}

bool diagnosis_is_common(const struct candidate *c, const struct graph *g)
{
	return c->resource == RESOURCE_WORKLOAD || g->entity[c->service].kind == ENTITY_HOST;
}

bool diagnosis_blames(const struct diagnosis *d, uint32_t service)
{
	for (size_t i = 0; i < d->candidates; i++)
		if (d->candidate[i].culprit && d->candidate[i].service == service)
			return true;
	return false;
}

double diagnosis_confidence(const struct diagnosis *d)
{
	double sum = 0;

	for (size_t i = 0; i < d->candidates; i++)
		sum += d->candidate[i].culprit ? d->candidate[i].probability : 0;
	return fmin(1, sum);
}

static int best_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->score != y->score)
		return x->score > y->score ? -1 : 1;
	return (x->service > y->service) - (x->service < y->service);
}

void diagnosis_rank(struct diagnosis *d)
{
	qsort(d->candidate, d->candidates, sizeof(*d->candidate), best_first);
}

/* JSON has no broken characters: where a name was cut inside of one, '?' stands for its bytes. */
static json_t *text(const char *s)
{
	json_t *whole = json_string(s);
	char copy[sizeof(((struct diagnosis *)0)->why)];

	if (whole)
		return whole;
	snprintf(copy, sizeof(copy), "%s", s);
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(copy);
}

static const char *entity_name(const struct graph *g, uint32_t entity)
{
	return entity < g->entities ? g->entity[entity].name : "";
}

static json_t *candidate_to_json(const struct candidate *c, const struct graph *g)
{
	return json_pack("{ss ss ss so so so so}", "service", entity_name(g, c->service),
		"resource", resource_name(c->resource), "metric", c->metric, "probability",
		json_number_or_null(c->probability), "score", json_number_or_null(c->score),
		"restored", json_number_or_null(c->restored), "met", json_number_or_null(c->met));
}

static json_t *candidates_to_json(const struct diagnosis *d, const struct graph *g, bool culprits)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < d->candidates; i++) {
		const struct candidate *c = &d->candidate[i];

		if (culprits && !c->culprit)
			continue;
		if (json_array_append_new(array, candidate_to_json(c, g))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *evidence_to_json(const struct diagnosis *d, const struct graph *g)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < d->evidences; i++) {
		const struct evidence *e = &d->evidence[i];
		json_t *object = json_pack("{ss ss so so so so}", "entity",
			entity_name(g, e->entity), "metric", e->metric, "normal",
			json_number_or_null(e->normal), "observed",
			json_number_or_null(e->observed), "sigmas", json_number_or_null(e->sigmas),
			"since", json_number_or_null(e->since_s));

		if (json_array_append_new(array, object)) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *ruled_out_to_json(const struct diagnosis *d, const struct graph *g)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < d->ruled; i++) {
		const struct ruled_out *r = &d->ruled_out[i];

		if (diagnosis_blames(d, r->service))
			continue;
		if (json_array_append_new(
			    array, json_pack("{ss so}", "service", entity_name(g, r->service),
					   "why", text(r->why)))) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *spread_to_json(const struct spread *s)
{
	return json_pack("{so so so}", "p50", json_number_or_null(s->p50), "p90",
		json_number_or_null(s->p90), "p99", json_number_or_null(s->p99));
}

static json_t *counterfactual_to_json(const struct counterfactual *c)
{
	return json_pack("{so so so so so so so so}", "observed", json_number_or_null(c->observed),
		"restored", json_number_or_null(c->restored), "target",
		json_number_or_null(c->target), "probability", json_number_or_null(c->probability),
		"normal", json_number_or_null(c->normal), "explained",
		json_number_or_null(c->explained), "with", spread_to_json(&c->with), "without",
		spread_to_json(&c->without));
}

json_t *diagnosis_to_json(const struct diagnosis *d, const struct graph *g)
{
	double confidence = d->verdict == VERDICT_DIAGNOSED ? diagnosis_confidence(d) : NAN;

	return json_pack("{ss ss so so so s{ss ss so} so so so so so so so so}", "verdict",
		verdict_name(d->verdict), "method", d->method, "why", text(d->why), "from",
		json_number_or_null(d->from_s), "to", json_number_or_null(d->to_s), "slo", "entity",
		entity_name(g, d->slo_entity), "metric", d->slo_metric, "target",
		json_number_or_null(d->counterfactual.target), "seconds",
		json_number_or_null(d->seconds), "training_s", json_number_or_null(d->training_s),
		"confidence", json_number_or_null(confidence), "ranking",
		candidates_to_json(d, g, false), "culprits", candidates_to_json(d, g, true),
		"evidence", evidence_to_json(d, g), "ruled_out", ruled_out_to_json(d, g),
		"counterfactual", counterfactual_to_json(&d->counterfactual));
}
