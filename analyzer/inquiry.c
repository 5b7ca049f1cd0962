#include "analyzer/inquiry.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/search.h"
#include "common/clock.h"

bool history_parse(const char *name, enum history *out)
{
	if (strcmp(name, "all") && strcmp(name, "past"))
		return false;
	*out = strcmp(name, "all") ? HISTORY_PAST : HISTORY_ALL;
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct violation *x = a, *y = b;

	if (x->from_s != y->from_s)
		return x->from_s < y->from_s ? -1 : 1;
	return (x->slo > y->slo) - (x->slo < y->slo);
}

int inquiry_open(
	struct inquiry *q, const struct recording *r, enum method method, enum history history)
{
	size_t windows = r->series.windows + 1;
	long violations;

	*q = (struct inquiry){.r = r, .method = method, .history = history};
	violations = diagnose_find_violations(r, &q->violation);
	q->use = calloc(windows, sizeof(*q->use));
	q->normal = calloc(windows, sizeof(*q->normal));
	q->trained_on = calloc(windows, sizeof(*q->trained_on));
	if (violations < 0 || !q->use || !q->normal || !q->trained_on) {
		inquiry_close(q);
		return -ENOMEM;
	}
	q->violations = (size_t)violations;
	if (violations)
		qsort(q->violation, q->violations, sizeof(*q->violation), by_start);
	return 0;
}

void inquiry_close(struct inquiry *q)
{
	if (q->model)
		model_free(q->model);
	free(q->violation);
	free(q->use);
	free(q->normal);
	free(q->trained_on);
	*q = (struct inquiry){0};
}

static void leave_out(const struct inquiry *q, bool *rows, double from_s, double to_s)
{
	size_t from, to;

	series_range(&q->r->series, from_s, to_s, &from, &to);
	memset(rows + from, 0, (to - from) * sizeof(*rows));
}

static void choose_history(struct inquiry *q, const struct slo *slo, double from_s, double to_s)
{
	size_t windows = q->r->series.windows;

	memset(q->use, 1, windows * sizeof(*q->use));
	leave_out(q, q->use, from_s, q->history == HISTORY_PAST ? INFINITY : to_s);
	memcpy(q->normal, q->use, windows * sizeof(*q->use));
	for (size_t i = 0; i < q->violations; i++)
		if (q->violation[i].slo == slo)
			leave_out(q, q->normal, q->violation[i].from_s, q->violation[i].to_s);
}

/* Too little history leaves no model: diagnose() then answers without, and says so. */
static int train(struct inquiry *q, const struct slo *slo)
{
	size_t size = q->r->series.windows * sizeof(*q->use);
	uint64_t start_ns = clock_monotonic_ns();
	struct model_options options;
	int error;

	if (q->trained_for == slo && !memcmp(q->use, q->trained_on, size))
		return 0;
	if (q->model)
		model_free(q->model);
	q->model = NULL;
	model_options_default(&options);
	error = model_train(&q->model, q->r, slo, q->use, &options);
	if (error && error != -ENODATA)
		return error;
	memcpy(q->trained_on, q->use, size);
	q->trained_for = slo;
	q->training_s = q->model ? (double)(clock_monotonic_ns() - start_ns) / 1e9 : 0;
	return 0;
}

int inquiry_diagnose(
	struct inquiry *q, const struct slo *slo, double from_s, double to_s, struct diagnosis *d)
{
	bool ask = method_learns(q->method) && search_missed(q->r, slo, from_s, to_s);
	int error = 0;

	choose_history(q, slo, from_s, to_s);
	if (ask)
		error = train(q, slo);
	if (!error)
		error = diagnose(
			d, q->r, slo, from_s, to_s, q->normal, ask ? q->model : NULL, q->method);
	if (!error)
		d->training_s = ask ? q->training_s : 0;
	return error;
}

/*
 * By how much a target was missed: the mean of what is past it, as a share of it. Quiet windows
 * do not make up for bad ones.
 */
static double missed_by(const struct inquiry *q, const struct slo *slo, double from_s, double to_s)
{
	const float *value = series_values(&q->r->series, slo->entity, slo->metric);
	double sum = 0;
	size_t from, to, known = 0;

	series_range(&q->r->series, from_s, to_s, &from, &to);
	for (size_t w = from; value && w < to; w++) {
		if (isnan(value[w]))
			continue;
		sum += fmax(0, (double)value[w] - slo->target);
		known++;
	}
	return known ? sum / (double)known / fmax(slo->target, 1e-9) : 0;
}

const struct slo *inquiry_worst_slo(const struct inquiry *q, double from_s, double to_s)
{
	const struct slo *worst = q->r->slo;
	double most = 0;

	for (size_t i = 0; i < q->r->slos; i++) {
		double by = missed_by(q, &q->r->slo[i], from_s, to_s);

		if (by > most) {
			most = by;
			worst = &q->r->slo[i];
		}
	}
	return worst;
}
