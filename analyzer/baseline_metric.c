/* Baselines that look at each metric by itself: the strongest speaks for its service. */
#include "analyzer/baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How suspicious one metric is, 0 = not at all; `value` [total] may be reordered. */
typedef double judge(const struct frame *f, const char *metric, float *value);

static void scan(struct baseline *b, judge *j)
{
	const struct series *s = &b->f->r->series;

	for (uint32_t i = 0; i < s->columns; i++) {
		uint32_t owner = baseline_owner(b, i);

		if (owner == GRAPH_NONE)
			continue;
		frame_gather(b->f, s->column[i].entity, s->column[i].metric, b->value);
		baseline_accuse(b, owner, i, j(b->f, s->column[i].metric, b->value));
	}
}

/* ---- autoscale ---- */

static double used_above(const char *metric, const struct frame *f, float *value, double limit)
{
	double used;

	if (strcmp(metric, "cpu_util_ratio") && strcmp(metric, "mem_util_ratio"))
		return 0;
	used = frame_median(value + f->normals, f->total - f->normals);
	return used > limit ? used : 0;
}

static double above_50(const struct frame *f, const char *metric, float *value)
{
	return used_above(metric, f, value, 0.5);
}

static double above_70(const struct frame *f, const char *metric, float *value)
{
	return used_above(metric, f, value, 0.7);
}

int baseline_autoscale50(struct baseline *b)
{
	scan(b, above_50);
	baseline_name_all(b);
	return 0;
}

int baseline_autoscale70(struct baseline *b)
{
	scan(b, above_70);
	baseline_name_all(b);
	return 0;
}

/* ---- thresholds ---- */

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Sort the known values to the front. Returns how many. */
static size_t sort_known(float *value, size_t count)
{
	size_t known = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i]))
			value[known++] = value[i];
	qsort(value, known, sizeof(*value), ascending);
	return known;
}

/* By how much of the two the usual value is past the 99th percentile of normal windows. */
static double past_threshold(const struct frame *f, const char *metric, float *value)
{
	size_t known = sort_known(value, f->normals);
	double observed = frame_median(value + f->normals, f->total - f->normals), limit;

	(void)metric;
	if (!known || isnan(observed))
		return 0;
	limit = (double)value[known - 1 - known / 100];
	return observed > limit ? (observed - limit) / (fabs(observed) + fabs(limit)) : 0;
}

int baseline_thresholds(struct baseline *b)
{
	scan(b, past_threshold);
	baseline_name_all(b);
	return 0;
}

/* ---- n-sigma ---- */

#define SIGMAS 3

static double mean_of(const float *value, size_t count)
{
	double sum = 0;
	size_t known = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i])) {
			sum += (double)value[i];
			known++;
		}
	return known ? sum / (double)known : NAN;
}

/* A metric that never varied counts by its own unit. */
static double deviation_of(const float *value, size_t count, double mean)
{
	double sum = 0;
	size_t known = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i])) {
			sum += ((double)value[i] - mean) * ((double)value[i] - mean);
			known++;
		}
	return sum > 0 ? sqrt(sum / (double)known) : 1;
}

static double sigmas(const struct frame *f, const char *metric, float *value)
{
	double normal = mean_of(value, f->normals);
	double observed = mean_of(value + f->normals, f->total - f->normals), far;

	(void)metric;
	if (isnan(normal) || isnan(observed))
		return 0;
	far = fabs(observed - normal) / deviation_of(value, f->normals, normal);
	return far > SIGMAS ? far : 0;
}

int baseline_nsigma(struct baseline *b)
{
	scan(b, sigmas);
	baseline_name_first(b);
	return 0;
}

/* ---- e-diagnosis ---- */

#define SAMPLE 128       /* normal windows compared, the latest ones */
#define CRITICAL 3.84146 /* square of the normal quantile of 1 - 0.05 / 2 */

/* Sum of |x - y| over all pairs of a sorted sample with itself, each pair once. */
static double sum_within(const float *x, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (2 * (double)i - (double)n + 1) * (double)x[i];
	return sum;
}

/* The same between two sorted samples. */
static double sum_between(const float *x, size_t n, const float *y, size_t m)
{
	double all = 0, below = 0, sum = 0;
	size_t j = 0;

	for (size_t i = 0; i < m; i++)
		all += (double)y[i];
	for (size_t i = 0; i < n; i++) {
		for (; j < m && y[j] <= x[i]; j++)
			below += (double)y[j];
		sum += (double)x[i] * (double)j - below;
		sum += all - below - (double)x[i] * (double)(m - j);
	}
	return sum;
}

/*
 * nm/(n+m) times the energy distance by its expectation if the two were one population: past
 * CRITICAL they are not, at a level of 5 % (Szekely and Bakirov's bound on quadratic forms).
 */
static double energy(const struct frame *f, const char *metric, float *value)
{
	size_t first = f->normals > SAMPLE ? f->normals - SAMPLE : 0;
	float *x = value + first, *y = value + f->normals;
	size_t n = sort_known(x, f->normals - first), m = sort_known(y, f->total - f->normals);
	double nm = (double)n * (double)m, between, within_x, within_y, pooled, statistic;

	(void)metric;
	if (n < 2 || !m)
		return 0;
	between = sum_between(x, n, y, m);
	within_x = sum_within(x, n);
	within_y = sum_within(y, m);
	statistic = nm / (double)(n + m) *
		    (2 * between / nm - 2 * within_x / ((double)n * (double)n) -
			    2 * within_y / ((double)m * (double)m));
	pooled = 2 * (between + within_x + within_y) / ((double)(n + m) * (double)(n + m));
	if (pooled <= 0)
		return 0;
	return statistic / pooled > CRITICAL ? statistic / pooled : 0;
}

int baseline_ediagnosis(struct baseline *b)
{
	scan(b, energy);
	baseline_name_first(b);
	return 0;
}
