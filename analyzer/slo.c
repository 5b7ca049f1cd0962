#include "analyzer/slo.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROPOSAL_VALUES 8 /* fewer say nothing about what is normal */
#define PROPOSAL_SIGMAS 6.0
#define PROPOSAL_RATIO 1.5
#define MAD_TO_SIGMA 1.4826

/* The forms graph_entity() takes, in characters that can be shown. */
static bool entity_ok(const char *name)
{
	const char *arrow = strstr(name, "->"), *callee = arrow ? arrow + 2 : NULL;

	if (!graph_can_show(name))
		return false;
	if (!strncmp(name, "host:", 5))
		return name[5] && !arrow;
	if (!*name)
		return false;
	return !arrow ||
	       (arrow != name && *callee && !strstr(callee, "->") && strncmp(callee, "host:", 5));
}

bool slo_check(const struct slo_text *s, char *why, size_t why_size)
{
	if (!entity_ok(s->entity)) {
		snprintf(why, why_size,
			"entity \"%s\": want a service or caller->callee, as in user->frontend",
			s->entity);
		return false;
	}
	if (!*s->metric ||
		strspn(s->metric, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(s->metric)) {
		snprintf(why, why_size, "metric \"%s\": want a name such as client_p99_us",
			s->metric);
		return false;
	}
	if (!isfinite(s->target) || s->target <= 0) {
		snprintf(why, why_size, "target of %s: want a number above zero", s->entity);
		return false;
	}
	return true;
}

int slo_set(struct recording *r, const struct slo_text *s)
{
	uint32_t entity = graph_entity(&r->graph, s->entity);
	struct slo *grown;

	if (entity == GRAPH_NONE)
		return -ENOMEM;
	for (size_t i = 0; i < r->slos; i++) {
		if (r->slo[i].entity != entity || strcmp(r->slo[i].metric, s->metric))
			continue;
		r->slo[i].target = s->target;
		r->slo[i].proposed = s->proposed;
		return 0;
	}
	if (r->slos >= SLO_MAX)
		return -E2BIG;
	grown = realloc(r->slo, (r->slos + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	r->slo = grown;
	memset(&grown[r->slos], 0, sizeof(*grown));
	grown[r->slos].entity = entity;
	snprintf(grown[r->slos].metric, sizeof(grown->metric), "%s", s->metric);
	grown[r->slos].target = s->target;
	grown[r->slos].proposed = s->proposed;
	r->slos++;
	return 0;
}

json_t *slo_to_json(const struct recording *r)
{
	json_t *all = json_array();

	for (size_t i = 0; all && i < r->slos; i++)
		json_array_append_new(all,
			json_pack("{ss ss sf sb}", "entity", r->graph.entity[r->slo[i].entity].name,
				"metric", r->slo[i].metric, "target", r->slo[i].target, "proposed",
				r->slo[i].proposed));
	return all;
}

int slo_from_json(struct recording *r, const json_t *all)
{
	json_t *one;
	int err = 0;
	size_t i;

	json_array_foreach(all, i, one)
	{
		struct slo_text s = {0};
		const char *entity, *metric;
		char why[400];
		int proposed;

		if (json_unpack(one, "{ss ss sF sb}", "entity", &entity, "metric", &metric,
			    "target", &s.target, "proposed", &proposed))
			continue;
		snprintf(s.entity, sizeof(s.entity), "%s", entity);
		snprintf(s.metric, sizeof(s.metric), "%s", metric);
		s.proposed = proposed;
		if (!err && slo_check(&s, why, sizeof(why)))
			err = slo_set(r, &s);
	}
	return err;
}

double slo_value(const struct recording *r, const struct slo *s, size_t row)
{
	const float *value = series_values(&r->series, s->entity, s->metric);

	return value && row < r->series.windows ? (double)value[row] : NAN;
}

double slo_round_up(double value)
{
	static const double step[] = {1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10};
	double power = pow(10, floor(log10(value)));

	for (size_t i = 0; i < sizeof(step) / sizeof(*step); i++)
		if (step[i] * power >= value * (1 - 1e-9))
			return step[i] * power;
	return 10 * power;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *value, size_t n)
{
	qsort(value, n, sizeof(*value), by_value);
	return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

/* A target for one column of values, NaN when there are too few; -1 when out of memory. */
static double target_from(const float *value, size_t rows)
{
	double *kept = malloc((rows ? rows : 1) * sizeof(*kept));
	double middle, spread;
	size_t n = 0;

	if (!kept)
		return -1;
	for (size_t i = 0; i < rows; i++)
		if (isfinite(value[i]) && value[i] > 0)
			kept[n++] = (double)value[i];
	if (n < PROPOSAL_VALUES) {
		free(kept);
		return NAN;
	}
	middle = median(kept, n);
	for (size_t i = 0; i < n; i++)
		kept[i] = fabs(kept[i] - middle);
	spread = MAD_TO_SIGMA * median(kept, n);
	free(kept);
	return slo_round_up(fmax(middle + PROPOSAL_SIGMAS * spread, PROPOSAL_RATIO * middle));
}

static bool has_target(const struct recording *r, uint32_t entity)
{
	for (size_t i = 0; i < r->slos; i++)
		if (r->slo[i].entity == entity)
			return true;
	return false;
}

static int propose(struct recording *r, uint32_t edge)
{
	static const char *const metric[] = {"client_p99_us", "server_p99_us"};

	for (size_t i = 0; i < sizeof(metric) / sizeof(*metric); i++) {
		const float *value = series_values(&r->series, edge, metric[i]);
		double target = value ? target_from(value, r->series.windows) : NAN;
		struct slo_text s = {.target = target, .proposed = true};
		int err;

		if (isnan(target))
			continue;
		if (target < 0)
			return -ENOMEM;
		snprintf(s.entity, sizeof(s.entity), "%s", r->graph.entity[edge].name);
		snprintf(s.metric, sizeof(s.metric), "%s", metric[i]);
		err = slo_set(r, &s);
		return err ? err : 1;
	}
	return 0;
}

long slo_propose(struct recording *r)
{
	uint32_t user = graph_find(&r->graph, GRAPH_USER);
	long added = 0;

	if (user == GRAPH_NONE)
		return 0;
	for (uint32_t i = 0; i < r->graph.entity[user].outs && r->slos < SLO_MAX; i++) {
		uint32_t edge = r->graph.entity[user].out[i];
		int err;

		if (has_target(r, edge))
			continue;
		err = propose(r, edge);
		if (err < 0)
			return err;
		added += err;
	}
	return added;
}
