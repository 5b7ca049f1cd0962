#include "analyzer/frame.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NORMALS_MAX 1024
#define NORMALS_MIN 3
#define MAD_TO_SIGMA 1.4826
#define MOVED_SIGMAS 3

static bool is_normal(const struct series *s, const float *slo_value, const struct slo *slo,
	const bool *use, size_t row, double from_s, double to_s)
{
	if (s->start_s[row] >= from_s && s->start_s[row] < to_s)
		return false;
	return (!use || use[row]) && slo_value && (double)slo_value[row] <= slo->target;
}

/* The windows that missed the target, for an interval may begin early or end late; else all. */
static void add_incident(
	struct frame *f, const float *slo_value, const struct slo *slo, size_t from, size_t to)
{
	for (size_t row = from; slo_value && row < to; row++)
		if ((double)slo_value[row] > slo->target)
			f->row[f->total++] = row;
	if (f->total > f->normals)
		return;
	for (size_t row = from; row < to; row++)
		f->row[f->total++] = row;
}

int frame_open(struct frame *f, const struct recording *r, const struct slo *slo, double from_s,
	double to_s, const bool *use)
{
	const struct series *s = &r->series;
	const float *slo_value = series_values(s, slo->entity, slo->metric);
	size_t from, to, first = 0, normals = 0;

	*f = (struct frame){.r = r};
	f->row = calloc(s->windows + 1, sizeof(*f->row));
	f->scratch = calloc(s->windows + 1, sizeof(*f->scratch));
	if (!f->row || !f->scratch) {
		frame_close(f);
		return -ENOMEM;
	}
	for (size_t w = 0; w < s->windows; w++)
		if (is_normal(s, slo_value, slo, use, w, from_s, to_s))
			f->row[normals++] = w;
	if (normals > NORMALS_MAX)
		first = normals - NORMALS_MAX;
	f->normals = normals - first;
	memmove(f->row, f->row + first, f->normals * sizeof(*f->row));
	f->total = f->normals;
	series_range(s, from_s, to_s, &from, &to);
	add_incident(f, slo_value, slo, from, to);
	return 0;
}

void frame_close(struct frame *f)
{
	free(f->row);
	free(f->scratch);
	f->row = NULL;
	f->scratch = NULL;
}

bool frame_gather(const struct frame *f, uint32_t entity, const char *metric, float *out)
{
	const float *value = series_values(&f->r->series, entity, metric);

	for (size_t i = 0; value && i < f->total; i++)
		out[i] = value[f->row[i]];
	return value;
}

/* Floats as numbers in the same order, so that a range of them can be halved. */
static int32_t number_of(float value)
{
	int32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

static float value_of(int64_t number)
{
	int32_t bits = (int32_t)number;
	float value;

	bits ^= (int32_t)((uint32_t)(bits >> 31) >> 1);
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static size_t count_up_to(const float *value, size_t count, float limit)
{
	uint32_t found = 0; /* as wide as the values, for vectors */

	for (size_t i = 0; i < count; i++)
		found += value[i] <= limit;
	return found;
}

static float largest_below(const float *value, size_t count, float limit)
{
	float largest = -INFINITY;

	for (size_t i = 0; i < count; i++) {
		float candidate = value[i] < limit ? value[i] : -INFINITY;

		largest = candidate > largest ? candidate : largest;
	}
	return largest;
}

/*
 * The k'th smallest, by halving the range of what it could be. Each step counts all values, which
 * costs vectors little; a selection that moves them branches as nobody foresees.
 */
static float select_kth(const float *value, size_t count, size_t k)
{
	float least = value[0], most = value[0];
	int64_t low, high;

	for (size_t i = 1; i < count; i++) {
		least = value[i] < least ? value[i] : least;
		most = value[i] > most ? value[i] : most;
	}
	low = number_of(least);
	high = number_of(most);
	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (count_up_to(value, count, value_of(middle)) > k)
			high = middle;
		else
			low = middle + 1;
	}
	return value_of(low);
}

double frame_median(float *value, size_t count)
{
	size_t known = 0;
	float middle, below;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i]))
			value[known++] = value[i];
	if (!known)
		return NAN;
	middle = below = select_kth(value, known, known / 2);
	if (known % 2 == 0) {
		float under = largest_below(value, known, middle);

		if (count_up_to(value, known, under) == known / 2)
			below = under;
	}
	return ((double)below + (double)middle) / 2;
}

static size_t count_known(const float *value, size_t from, size_t to)
{
	size_t known = 0;

	for (size_t i = from; i < to; i++)
		if (!isnan(value[i]))
			known++;
	return known;
}

static double median_of(const struct frame *f, const float *value, size_t from, size_t to)
{
	memcpy(f->scratch, value + from, (to - from) * sizeof(*value));
	return frame_median(f->scratch, to - from);
}

static double spread_of(const struct frame *f, const float *value, double normal)
{
	for (size_t i = 0; i < f->normals; i++)
		f->scratch[i] = fabsf(value[i] - (float)normal);
	return MAD_TO_SIGMA * frame_median(f->scratch, f->normals);
}

static bool is_comparable(const struct frame *f, const float *value)
{
	return count_known(value, 0, f->normals) >= NORMALS_MIN &&
	       count_known(value, f->normals, f->total);
}

double frame_normal(const struct frame *f, const float *value)
{
	return is_comparable(f, value) ? median_of(f, value, 0, f->normals) : NAN;
}

double frame_observed(const struct frame *f, const float *value)
{
	return median_of(f, value, f->normals, f->total);
}

void frame_shift_from(const struct frame *f, const float *value, double normal, double floor,
	double least, struct shift *out)
{
	struct shift s = {.normal = normal, .spread = floor, .since_s = NAN};

	s.observed = frame_observed(f, value);
	if (fabs(s.observed - normal) >= least * floor)
		s.spread = fmax(spread_of(f, value, normal), floor);
	s.sigmas = (s.observed - normal) / s.spread;
	for (size_t i = f->normals; i < f->total && isnan(s.since_s); i++)
		if (fabs((double)value[i] - normal) > MOVED_SIGMAS * s.spread)
			s.since_s = f->r->series.start_s[f->row[i]];
	*out = s;
}

bool frame_shift(const struct frame *f, const float *value, double floor, struct shift *out)
{
	double normal = frame_normal(f, value);

	if (isnan(normal))
		return false;
	frame_shift_from(f, value, normal, floor, 0, out);
	return true;
}
