#include "analyzer/score_report.h"

#include <math.h>
#include <string.h>

#include "common/json.h"

#define SHARES 7
#define METHOD_WIDTH 12
#define CELL_WIDTH 14

struct column {
	const char *key, *head;
	const struct share *share;
};

static void columns_of(const struct totals *t, struct column out[SHARES])
{
	const struct column all[SHARES] = {{"top1", "service first", &t->top1},
		{"top3", "in first three", &t->top3}, {"exact", "exact set", &t->exact},
		{"resource_top1", "and resource", &t->resource},
		{"false_positives", "false positive", &t->false_positive},
		{"false_negatives", "false negative", &t->false_negative},
		{"unknowns", "unknown", &t->unknown}};

	memcpy(out, all, sizeof(all));
}

/* "88 (75-96)", or "-" when there is nothing to tell from. */
static void print_cell(FILE *out, const struct mean *m, double scale, const char *format)
{
	char text[64] = "-", value[16], low[16], high[16];

	if (!isnan(m->value)) {
		snprintf(value, sizeof(value), format, scale * m->value);
		snprintf(low, sizeof(low), format, scale * m->low);
		snprintf(high, sizeof(high), format, scale * m->high);
		snprintf(text, sizeof(text), "%s (%s-%s)", value, low, high);
	}
	fprintf(out, "  %-*s", CELL_WIDTH, text);
}

static void print_head(FILE *out, const struct scored_method *m)
{
	struct column column[SHARES];

	fprintf(out,
		"%zu incidents, %zu healthy stretches; %% of them, with 90 %% intervals by the "
		"bootstrap\n\n%-*s",
		m->totals.incidents, m->totals.stretches, METHOD_WIDTH, "method");
	columns_of(&m->totals, column);
	for (int i = 0; i < SHARES; i++)
		fprintf(out, "  %-*s", CELL_WIDTH, column[i].head);
	fprintf(out, "  %-*s  %-*s  %s\n", CELL_WIDTH + 2, "calibr. error", CELL_WIDTH + 6,
		"s to diagnose", "s to train");
}

static void print_method(FILE *out, const struct scored_method *m)
{
	const struct totals *t = &m->totals;
	struct column column[SHARES];

	fprintf(out, "%-*s", METHOD_WIDTH, method_name(m->method));
	columns_of(t, column);
	for (int i = 0; i < SHARES; i++)
		print_cell(out, &column[i].share->ratio, 100, "%.0f");
	print_cell(out, &t->calibration.error, 1, "%.2f");
	fputs("  ", out);
	print_cell(out, &t->seconds, 1, "%.3f");
	if (isnan(t->training_s.value))
		fputs("      -\n", out);
	else
		fprintf(out, "      %.2f\n", t->training_s.value);
}

static size_t promised(const struct scored_method *m, size_t methods, int bin)
{
	size_t count = 0;

	for (size_t i = 0; i < methods; i++)
		count += m[i].totals.calibration.bin[bin].count;
	return count;
}

static void print_promises(FILE *out, const struct calibration *c, int bin)
{
	char text[48] = "-";

	if (c->bin[bin].count)
		snprintf(text, sizeof(text), "%.2f: %zu of %zu", c->bin[bin].said,
			c->bin[bin].true_count, c->bin[bin].count);
	fprintf(out, "  %-*s", CELL_WIDTH, text);
}

/* What was promised and what came true, per tenth; nothing where no method promised. */
static void print_calibration(FILE *out, const struct scored_method *m, size_t methods)
{
	size_t promising = 0;

	for (size_t i = 0; i < methods; i++)
		promising += m[i].totals.calibration.of > 0;
	if (!promising)
		return;
	fprintf(out,
		"\nP(target met again), as said and as it came true: the answer set held "
		"every culprit\n\n%-*s",
		METHOD_WIDTH, "said");
	for (size_t i = 0; i < methods; i++)
		if (m[i].totals.calibration.of)
			fprintf(out, "  %-*s", CELL_WIDTH, method_name(m[i].method));
	fputc('\n', out);
	for (int bin = 0; bin < SCORE_BINS; bin++) {
		if (!promised(m, methods, bin))
			continue;
		fprintf(out, "%.1f to %-*.1f", (double)bin / SCORE_BINS, METHOD_WIDTH - 7,
			(double)(bin + 1) / SCORE_BINS);
		for (size_t i = 0; i < methods; i++)
			if (m[i].totals.calibration.of)
				print_promises(out, &m[i].totals.calibration, bin);
		fputc('\n', out);
	}
}

void score_print(FILE *out, const struct scored_method *m, size_t methods)
{
	if (!methods)
		return;
	print_head(out, m);
	for (size_t i = 0; i < methods; i++)
		print_method(out, &m[i]);
	print_calibration(out, m, methods);
}

static json_t *interval_to_json(const struct mean *m)
{
	return json_pack("[o, o]", json_number_or_null(m->low), json_number_or_null(m->high));
}

static json_t *share_to_json(const struct share *s)
{
	return json_pack("{sI sI so so so}", "count", (json_int_t)s->count, "of", (json_int_t)s->of,
		"ratio", json_number_or_null(s->ratio.value), "low",
		json_number_or_null(s->ratio.low), "high", json_number_or_null(s->ratio.high));
}

static json_t *calibration_to_json(const struct calibration *c)
{
	json_t *bins = json_array();

	for (int i = 0; i < SCORE_BINS; i++)
		json_array_append_new(bins,
			json_pack("{sf sf sI sI so}", "from", (double)i / SCORE_BINS, "to",
				(double)(i + 1) / SCORE_BINS, "count", (json_int_t)c->bin[i].count,
				"came_true", (json_int_t)c->bin[i].true_count, "said",
				json_number_or_null(c->bin[i].said)));
	return json_pack("{so so sI so}", "error", json_number_or_null(c->error.value), "interval",
		interval_to_json(&c->error), "of", (json_int_t)c->of, "bins", bins);
}

json_t *score_to_json(const struct scored_method *m)
{
	const struct totals *t = &m->totals;
	struct column column[SHARES];
	json_t *o = json_pack("{ss sI sI so so so so so}", "method", method_name(m->method),
		"cases", (json_int_t)t->incidents, "healthy_cases", (json_int_t)t->stretches,
		"seconds", json_number_or_null(t->seconds.value), "seconds_interval",
		interval_to_json(&t->seconds), "training_s",
		json_number_or_null(t->training_s.value), "training_s_interval",
		interval_to_json(&t->training_s), "calibration",
		calibration_to_json(&t->calibration));

	columns_of(t, column);
	for (int i = 0; o && i < SHARES; i++)
		json_object_set_new(o, column[i].key, share_to_json(column[i].share));
	return o;
}
