#include "analyzer/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/cli_options.h"
#include "analyzer/cli_text.h"
#include "analyzer/score.h"
#include "common/json.h"
#include "common/log.h"

struct arguments {
	struct option_common common;
	enum history history;
};

/* One method over all recordings. */
struct run {
	const struct arguments *a;
	enum method method;
	struct score_case *scored; /* [cases] owned */
	size_t cases;
	json_t *answers; /* NULL when printing a table */
};

static const struct argp_option options[] = {
	{"history", 'y', "WHICH", 0, "Windows to learn from: all (default) or past", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		option_common_init(state, &a->common, SIZE_MAX);
		return 0;
	case 'y':
		a->history = option_history(state, text);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp parser = {options, parse, "DIR...",
	"Diagnose every incident of truth.csv, and as many healthy stretches, and count the "
	"right answers. --method may be repeated; all stands for every one.",
	option_common_child, NULL, NULL};

static int keep(struct run *run, const struct score_case *c)
{
	struct score_case *more = realloc(run->scored, (run->cases + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	run->scored = more;
	run->scored[run->cases++] = *c;
	return 0;
}

static void print_truth(const struct incident_truth *t)
{
	char text[128] = "", from[16];
	size_t length = 0;

	for (size_t i = 0; i < t->rows && length < sizeof(text); i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s%s%s",
			i ? " + " : "", t->row[i].service,
			t->row[i].resource == RESOURCE_NONE ? "" : ", ",
			resource_name(t->row[i].resource));
	text_time(from, sizeof(from), t->row->from_s);
	printf("  %-10s %-34.34s ", from, text);
}

static void print_answer(
	const struct diagnosis *d, const struct graph *g, const struct score_case *c)
{
	char text[128] = "nothing";

	if (d->candidates)
		snprintf(text, sizeof(text), "%s, %s", g->entity[d->candidate[0].service].name,
			resource_name(d->candidate[0].resource));
	printf("%-34.34s %-10s %-5s %6.2f\n", text, verdict_name(d->verdict),
		c->top1   ? "right"
		: c->top3 ? "top 3"
			  : "-",
		d->seconds);
}

static json_t *truth_to_json(const struct incident_truth *t)
{
	json_t *array = json_array();

	for (size_t i = 0; i < t->rows; i++)
		json_array_append_new(
			array, json_pack("{ss ss}", "service", t->row[i].service, "resource",
				       resource_name(t->row[i].resource)));
	return array;
}

static void report(struct run *run, const char *dir, const struct incident_truth *t,
	const struct diagnosis *d, const struct graph *g, const struct score_case *c)
{
	json_t *answer;

	if (!run->answers) {
		print_truth(t);
		print_answer(d, g, c);
		return;
	}
	answer = diagnosis_to_json(d, g);
	json_object_set_new(answer, "recording", json_string(dir));
	json_object_set_new(answer, "truth", truth_to_json(t));
	json_object_set_new(answer, "top1", json_boolean(c->top1));
	json_object_set_new(answer, "top3", json_boolean(c->top3));
	json_object_set_new(answer, "exact", json_boolean(c->exact));
	json_object_set_new(answer, "resource_top1", json_boolean(c->resource));
	json_array_append_new(run->answers, answer);
}

static int score_incidents(struct run *run, const char *dir, struct inquiry *q)
{
	const struct recording *r = q->r;
	struct incident_truth t;

	for (size_t i = 0; i < r->truths; i += t.rows) {
		struct diagnosis d;
		struct score_case c;
		double from_s = r->truth[i].from_s, to_s = r->truth[i].to_s;

		t = score_incident(r, i);
		if (inquiry_diagnose(q, inquiry_worst_slo(q, from_s, to_s), from_s, to_s, &d))
			return -ENOMEM;
		c = score_answer(&t, &d, &r->graph);
		report(run, dir, &t, &d, &r->graph, &c);
		diagnosis_clear(&d);
		if (keep(run, &c))
			return -ENOMEM;
	}
	return 0;
}

/* No fault during the stretch, nor in the time of one length before it: queues must have drained.
 */
static bool is_quiet(const struct recording *r, double from_s, double to_s)
{
	for (size_t i = 0; i < r->truths; i++)
		if (r->truth[i].from_s < to_s && r->truth[i].to_s > from_s - (to_s - from_s))
			return false;
	return true;
}

/*
 * Stretches as long as the first incident, no more of them than incidents, spread over what is
 * quiet: *from_s [up to `wanted`]. Returns how many.
 */
static size_t find_stretches(
	const struct recording *r, double length_s, double *from_s, size_t wanted)
{
	const struct series *s = &r->series;
	size_t quiet = 0, found = 0, step, seen = 0;
	double next_s = 0;

	for (int pass = 0; pass < 2; pass++) {
		step = wanted && quiet > wanted ? quiet / wanted : 1;
		next_s = 0;
		for (size_t w = 0; w < s->windows && found < wanted; w++) {
			double start = s->start_s[w], last = s->start_s[s->windows - 1];

			if (start < next_s || start + length_s > last + s->window_s ||
				!is_quiet(r, start, start + length_s))
				continue;
			next_s = start + length_s;
			if (!pass)
				quiet++;
			else if (seen++ % step == 0)
				from_s[found++] = start;
		}
	}
	return found;
}

static int score_stretches(struct run *run, struct inquiry *q)
{
	const struct recording *r = q->r;
	double length_s = r->truths ? r->truth[0].to_s - r->truth[0].from_s : 0;
	double *from_s = calloc(r->truths + 1, sizeof(*from_s));
	size_t found = from_s ? find_stretches(r, length_s, from_s, r->truths) : 0;
	int error = from_s ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < found; i++) {
		double to_s = from_s[i] + length_s;
		struct score_case c = {.healthy = true};
		struct diagnosis d;

		error = inquiry_diagnose(
			q, inquiry_worst_slo(q, from_s[i], to_s), from_s[i], to_s, &d);
		if (error)
			break;
		c.verdict = d.verdict;
		c.seconds = d.seconds;
		diagnosis_clear(&d);
		error = keep(run, &c);
	}
	free(from_s);
	return error;
}

static int score_recording(struct run *run, const char *dir)
{
	struct option_slo none = {0};
	struct recording r;
	struct inquiry q;
	int error, status = option_read_recording(&r, dir, &none);

	if (status)
		return status;
	if (!r.truths) {
		log_error("%s: no incidents in truth.csv to score", dir);
		recording_clear(&r);
		return 2;
	}
	error = inquiry_open(&q, &r, run->method, run->a->history);
	if (!error) {
		error = score_incidents(run, dir, &q);
		if (!error)
			error = score_stretches(run, &q);
		inquiry_close(&q);
	}
	recording_clear(&r);
	if (error)
		log_error("%s: out of memory", dir);
	return error ? 1 : 0;
}

struct row {
	const char *key, *label;
	struct share share;
};

static size_t rows_of(const struct totals *t, struct row out[7])
{
	const struct row rows[] = {{"top1", "right service first", t->top1},
		{"top3", "among the first three", t->top3},
		{"exact", "exact set of culprits", t->exact},
		{"resource_top1", "and right resource", t->resource},
		{"false_positives", "false positives", t->false_positive},
		{"false_negatives", "false negatives", t->false_negative},
		{"unknowns", "unknown", t->unknown}};

	memcpy(out, rows, sizeof(rows));
	return sizeof(rows) / sizeof(*rows);
}

static void print_totals(const struct totals *t, enum method method)
{
	struct row row[7];
	size_t rows = rows_of(t, row);

	printf("\n%s: %zu incidents, %zu healthy stretches, %.2f s each\n", method_name(method),
		t->incidents, t->stretches, t->seconds);
	for (size_t i = 0; i < rows; i++) {
		const struct share *s = &row[i].share;

		if (s->of)
			printf("  %-24s %4zu of %-4zu  %5.1f %%  (%.1f to %.1f)\n", row[i].label,
				s->count, s->of, 100 * s->ratio, 100 * s->low, 100 * s->high);
	}
	putchar('\n');
}

static json_t *totals_to_json(const struct totals *t, enum method method)
{
	struct row row[7];
	size_t rows = rows_of(t, row);
	json_t *o = json_pack("{ss sI sI so}", "method", method_name(method), "cases",
		(json_int_t)t->incidents, "healthy_cases", (json_int_t)t->stretches, "seconds",
		json_number_or_null(t->seconds));

	for (size_t i = 0; o && i < rows; i++) {
		const struct share *s = &row[i].share;

		json_object_set_new(o, row[i].key,
			json_pack("{sI sI so so so}", "count", (json_int_t)s->count, "of",
				(json_int_t)s->of, "ratio", json_number_or_null(s->ratio), "low",
				json_number_or_null(s->low), "high", json_number_or_null(s->high)));
	}
	return o;
}

static int score_method(
	const struct arguments *a, enum method method, json_t *totals, json_t *answers)
{
	struct run run = {.a = a, .method = method, .answers = answers};
	struct totals t;
	int status = 0;

	if (!a->common.json)
		printf("%s\n  %-10s %-34s %-34s %-10s %-5s %6s\n", method_name(method), "from",
			"truth", "answer", "verdict", "", "s");
	for (size_t i = 0; !status && i < a->common.dirs; i++)
		status = score_recording(&run, a->common.dir[i]);
	if (!status) {
		score_total(run.scored, run.cases, &t);
		if (a->common.json)
			json_array_append_new(totals, totals_to_json(&t, method));
		else
			print_totals(&t, method);
	}
	free(run.scored);
	return status;
}

int cli_score(int argc, char **argv)
{
	struct arguments a = {0};
	json_t *totals, *answers;
	int status = 0;

	option_parse(&parser, argc, argv, "sage-analyzer score", &a);
	totals = a.common.json ? json_array() : NULL;
	answers = a.common.json ? json_array() : NULL;
	for (int m = 0; !status && m < METHODS; m++)
		if (a.common.methods[m])
			status = score_method(&a, (enum method)m, totals, answers);
	if (a.common.json && !status)
		status = text_json(
			json_pack("{sO? sO?}", "totals", totals, "cases", answers), JSON_INDENT(2));
	json_decref(totals);
	json_decref(answers);
	return status;
}
