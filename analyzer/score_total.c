/* What a method got right, added up, and how sure that is. */
#include "analyzer/score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "analyzer/random.h"

#define RESAMPLES 1000

/* One case in one figure: what counts, and for a calibration what was said before. */
struct sample {
	double value, said;
};

typedef double figure(const struct sample *s, size_t count);

static double mean_of(const struct sample *s, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += s[i].value;
	return sum / (double)count;
}

static size_t bin_of(double said)
{
	size_t bin = (size_t)(said * SCORE_BINS);

	return bin < SCORE_BINS ? bin : SCORE_BINS - 1;
}

/* Expected calibration error, with bins of equal width (Naeini et al., AAAI 2015). */
static double calibration_error(const struct sample *s, size_t count)
{
	double gap[SCORE_BINS] = {0}, error = 0;

	for (size_t i = 0; i < count; i++)
		gap[bin_of(s[i].said)] += s[i].said - s[i].value;
	for (size_t i = 0; i < SCORE_BINS; i++)
		error += fabs(gap[i]) / (double)count;
	return error;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Percentile bootstrap: as many cases are drawn again and again, with replacement. The same cases
 * give the same interval. scratch [count].
 */
static void find_interval(
	const struct sample *s, size_t count, struct sample *scratch, figure *f, struct mean *out)
{
	double found[RESAMPLES];
	struct random random;

	out->value = out->low = out->high = NAN;
	if (!count)
		return;
	random_init(&random, 1, 0);
	for (int i = 0; i < RESAMPLES; i++) {
		for (size_t j = 0; j < count; j++)
			scratch[j] = s[random_below(&random, count)];
		found[i] = f(scratch, count);
	}
	qsort(found, RESAMPLES, sizeof(*found), ascending);
	out->value = f(s, count);
	out->low = found[RESAMPLES / 20];
	out->high = found[RESAMPLES - 1 - RESAMPLES / 20];
}

/* The cases a figure is about, as samples. False: not about this one. */
typedef bool taker(const struct score_case *c, struct sample *out);

static bool take(bool about, bool hit, struct sample *out)
{
	out->value = hit;
	return about;
}

static bool take_top1(const struct score_case *c, struct sample *out)
{
	return take(!c->healthy, c->top1, out);
}

static bool take_top3(const struct score_case *c, struct sample *out)
{
	return take(!c->healthy, c->top3, out);
}

static bool take_exact(const struct score_case *c, struct sample *out)
{
	return take(!c->healthy, c->exact, out);
}

static bool take_resource(const struct score_case *c, struct sample *out)
{
	return take(!c->healthy && c->has_resource, c->resource, out);
}

static bool take_false_positive(const struct score_case *c, struct sample *out)
{
	return take(c->healthy, c->verdict == VERDICT_DIAGNOSED, out);
}

static bool take_false_negative(const struct score_case *c, struct sample *out)
{
	return take(!c->healthy, c->verdict == VERDICT_HEALTHY, out);
}

static bool take_unknown(const struct score_case *c, struct sample *out)
{
	return take(!c->healthy, c->verdict == VERDICT_UNKNOWN, out);
}

static bool take_promise(const struct score_case *c, struct sample *out)
{
	out->said = c->probability;
	return take(!c->healthy && !isnan(c->probability), c->covered, out);
}

static bool take_seconds(const struct score_case *c, struct sample *out)
{
	out->value = c->seconds;
	return true;
}

static bool take_training(const struct score_case *c, struct sample *out)
{
	out->value = c->training_s;
	return c->training_s > 0;
}

static size_t collect(const struct score_case *c, size_t cases, taker *about, struct sample *out)
{
	size_t count = 0;

	for (size_t i = 0; i < cases; i++)
		if (about(&c[i], &out[count]))
			count++;
	return count;
}

static void fill_bins(struct calibration *k, const struct sample *s)
{
	for (size_t i = 0; i < k->of; i++) {
		size_t bin = bin_of(s[i].said);

		k->bin[bin].count++;
		k->bin[bin].true_count += s[i].value > 0;
		k->bin[bin].said += s[i].said;
	}
	for (size_t i = 0; i < SCORE_BINS; i++)
		k->bin[i].said /= (double)k->bin[i].count; /* NaN in an empty bin */
}

int score_total(const struct score_case *c, size_t cases, struct totals *out)
{
	struct totals t = {0};
	struct sample *s = calloc(2 * cases + 2, sizeof(*s)), *scratch = s ? s + cases + 1 : NULL;
	const struct {
		struct share *share;
		taker *about;
	} shares[] = {{&t.top1, take_top1}, {&t.top3, take_top3}, {&t.exact, take_exact},
		{&t.resource, take_resource}, {&t.false_positive, take_false_positive},
		{&t.false_negative, take_false_negative}, {&t.unknown, take_unknown}};

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < cases; i++)
		*(c[i].healthy ? &t.stretches : &t.incidents) += 1;
	for (size_t i = 0; i < sizeof(shares) / sizeof(*shares); i++) {
		struct share *share = shares[i].share;

		share->of = collect(c, cases, shares[i].about, s);
		for (size_t j = 0; j < share->of; j++)
			share->count += s[j].value > 0;
		find_interval(s, share->of, scratch, mean_of, &share->ratio);
	}
	t.calibration.of = collect(c, cases, take_promise, s);
	fill_bins(&t.calibration, s);
	find_interval(s, t.calibration.of, scratch, calibration_error, &t.calibration.error);
	find_interval(s, collect(c, cases, take_seconds, s), scratch, mean_of, &t.seconds);
	find_interval(s, collect(c, cases, take_training, s), scratch, mean_of, &t.training_s);
	free(s);
	*out = t;
	return 0;
}
