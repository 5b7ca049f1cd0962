#include "analyzer/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/cli_options.h"
#include "analyzer/cli_text.h"
#include "analyzer/score_report.h"
#include "common/log.h"

struct arguments {
	struct option_common common;
	enum history history;
};

/* What one method answered over all recordings. */
struct tally {
	enum method method;
	struct score_case *scored; /* [cases] owned */
	size_t cases;
};

struct run {
	const struct arguments *a;
	struct tally tally[METHODS]; /* [methods] those asked */
	size_t methods;
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

static int keep(struct tally *t, const struct score_case *c)
{
	struct score_case *more = realloc(t->scored, (t->cases + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	t->scored = more;
	t->scored[t->cases++] = *c;
	return 0;
}

/* Lines per incident are for one method; several are compared in the table. */
static bool lists_incidents(const struct run *run)
{
	return run->methods == 1 && !run->answers;
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

static int report(struct run *run, const char *dir, const struct incident_truth *t,
	const struct diagnosis *d, const struct graph *g, const struct score_case *c)
{
	json_t *answer;

	if (lists_incidents(run)) {
		print_truth(t);
		print_answer(d, g, c);
	}
	if (!run->answers)
		return 0;
	answer = diagnosis_to_json(d, g);
	json_object_set_new(answer, "recording", json_string(dir));
	json_object_set_new(answer, "truth", truth_to_json(t));
	json_object_set_new(answer, "top1", json_boolean(c->top1));
	json_object_set_new(answer, "top3", json_boolean(c->top3));
	json_object_set_new(answer, "exact", json_boolean(c->exact));
	json_object_set_new(answer, "resource_top1", json_boolean(c->resource));
	return json_array_append_new(run->answers, answer) ? -ENOMEM : 0;
}

/* Ask every method in turn about one interval, so that those that learn share a model. `t` is NULL
 * for a healthy stretch. */
static int ask_all(struct run *run, const char *dir, struct inquiry *q, double from_s, double to_s,
	const struct incident_truth *t)
{
	const struct slo *slo = inquiry_worst_slo(q, from_s, to_s);
	int error = 0;

	for (size_t i = 0; !error && i < run->methods; i++) {
		struct score_case c = {.healthy = true, .probability = NAN};
		struct diagnosis d;

		q->method = run->tally[i].method;
		error = inquiry_diagnose(q, slo, from_s, to_s, &d);
		if (error)
			return error;
		c.verdict = d.verdict;
		c.seconds = d.seconds;
		c.training_s = d.training_s;
		if (t) {
			c = score_answer(t, &d, &q->r->graph);
			error = report(run, dir, t, &d, &q->r->graph, &c);
		}
		diagnosis_clear(&d);
		if (!error)
			error = keep(&run->tally[i], &c);
	}
	return error;
}

static int score_incidents(struct run *run, const char *dir, struct inquiry *q)
{
	const struct recording *r = q->r;
	struct incident_truth t;
	int error = 0;

	for (size_t i = 0; !error && i < r->truths; i += t.rows) {
		t = score_incident(r, i);
		error = ask_all(run, dir, q, t.row->from_s, t.row->to_s, &t);
	}
	return error;
}

static bool is_at_fault(const struct recording *r, double from_s, double to_s)
{
	for (size_t i = 0; i < r->truths; i++)
		if (r->truth[i].from_s < to_s && r->truth[i].to_s > from_s)
			return true;
	return false;
}

/* The end of the time in which a target that was missed during a fault goes on being missed. */
static double aftermath_end(const struct inquiry *q, const struct violation *v)
{
	return is_at_fault(q->r, v->from_s, v->to_s) ? v->to_s : -INFINITY;
}

/*
 * No fault during the stretch, nor in the time of one length before it: queues must have drained.
 * An application may also stay down after its fault is gone, and is not healthy then.
 */
static bool is_quiet(const struct inquiry *q, double from_s, double to_s)
{
	if (is_at_fault(q->r, from_s - (to_s - from_s), to_s))
		return false;
	for (size_t i = 0; i < q->violations; i++)
		if (q->violation[i].from_s < to_s && aftermath_end(q, &q->violation[i]) > from_s)
			return false;
	return true;
}

/*
 * Stretches as long as the first incident, no more of them than incidents, spread over what is
 * quiet: *from_s [up to `wanted`]. Returns how many.
 */
static size_t find_stretches(
	const struct inquiry *q, double length_s, double *from_s, size_t wanted)
{
	const struct series *s = &q->r->series;
	size_t quiet = 0, found = 0, step, seen = 0;
	double next_s = 0;

	for (int pass = 0; pass < 2; pass++) {
		step = wanted && quiet > wanted ? quiet / wanted : 1;
		next_s = 0;
		for (size_t w = 0; w < s->windows && found < wanted; w++) {
			double start = s->start_s[w], last = s->start_s[s->windows - 1];

			if (start < next_s || start + length_s > last + s->window_s ||
				!is_quiet(q, start, start + length_s))
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

static int score_stretches(struct run *run, const char *dir, struct inquiry *q)
{
	const struct recording *r = q->r;
	double length_s = r->truths ? r->truth[0].to_s - r->truth[0].from_s : 0;
	double *from_s = calloc(r->truths + 1, sizeof(*from_s));
	size_t found = from_s ? find_stretches(q, length_s, from_s, r->truths) : 0;
	int error = from_s ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < found; i++)
		error = ask_all(run, dir, q, from_s[i], from_s[i] + length_s, NULL);
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
	error = inquiry_open(&q, &r, run->tally->method, run->a->history);
	if (!error) {
		error = score_incidents(run, dir, &q);
		if (!error)
			error = score_stretches(run, dir, &q);
		inquiry_close(&q);
	}
	recording_clear(&r);
	if (error)
		log_error("%s: out of memory", dir);
	return error ? 1 : 0;
}

static void start(struct run *run, const struct arguments *a)
{
	for (int m = 0; m < METHODS; m++)
		if (a->common.methods[m])
			run->tally[run->methods++].method = (enum method)m;
	run->answers = a->common.json ? json_array() : NULL;
	if (lists_incidents(run))
		printf("  %-10s %-34s %-34s %-10s %-5s %6s\n", "from", "truth", "answer", "verdict",
			"", "s");
}

static json_t *totals_to_json(const struct scored_method *scored, size_t methods)
{
	json_t *array = json_array();

	for (size_t i = 0; i < methods; i++)
		json_array_append_new(array, score_to_json(&scored[i]));
	return array;
}

static int finish(struct run *run)
{
	struct scored_method scored[METHODS];

	for (size_t i = 0; i < run->methods; i++) {
		const struct tally *t = &run->tally[i];

		scored[i].method = t->method;
		if (score_total(t->scored, t->cases, &scored[i].totals)) {
			log_error("score: out of memory");
			return 1;
		}
	}
	if (run->answers)
		return text_json(
			json_pack("{so? sO?}", "totals", totals_to_json(scored, run->methods),
				"cases", run->answers),
			JSON_INDENT(2));
	if (lists_incidents(run))
		putchar('\n');
	score_print(stdout, scored, run->methods);
	return 0;
}

int cli_score(int argc, char **argv)
{
	struct arguments a = {0};
	struct run run = {.a = &a};
	int status = 0;

	option_parse(&parser, argc, argv, "sage-analyzer score", &a);
	start(&run, &a);
	for (size_t i = 0; !status && i < a.common.dirs; i++)
		status = score_recording(&run, a.common.dir[i]);
	if (!status)
		status = finish(&run);
	for (size_t i = 0; i < run.methods; i++)
		free(run.tally[i].scored);
	json_decref(run.answers);
	return status;
}
