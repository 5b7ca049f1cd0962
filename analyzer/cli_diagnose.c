#include "analyzer/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/cli_options.h"
#include "analyzer/cli_text.h"
#include "analyzer/inquiry.h"
#include "common/log.h"

struct arguments {
	const char *dir;
	struct option_slo slo;
	double from_s, to_s; /* NaN while not given */
	enum method method;
	enum history history;
	bool json;
};

static const struct argp_option options[] = {
	{"from", 'f', "TIME", 0, "Start of the incident, Unix seconds", 0},
	{"to", 't', "TIME", 0, "End of the incident; without both, violations are looked for", 0},
	{"slo", 's', "ENTITY METRIC TARGET", 0, "The target, instead of those of slo.csv", 0},
	{"method", 'm', "METHOD", 0, "guarded (default), faithful or robust", 0},
	{"history", 'y', "WHICH", 0, "Windows to learn from: all (default) or past", 0},
	{"json", 'j', NULL, 0, "Print JSON", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'f':
		a->from_s = option_number(state, "--from", text);
		return 0;
	case 't':
		a->to_s = option_number(state, "--to", text);
		return 0;
	case 's':
		option_slo(state, text, &a->slo);
		return 0;
	case 'm':
		a->method = option_method(state, text);
		return 0;
	case 'y':
		a->history = option_history(state, text);
		return 0;
	case 'j':
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_error(state, "one recording at a time");
		a->dir = text;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir)
			argp_error(state, "which recording? Give its directory");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp parser = {options, parse, "DIR",
	"Find the causes of missed targets in a recording.\v"
	"Without an interval every violation of a target is diagnosed.",
	NULL, NULL, NULL};

static int print_json(json_t *value)
{
	int error =
		value ? json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : -1;

	putchar('\n');
	json_decref(value);
	if (error)
		log_error("diagnose: the answer cannot be printed: out of memory");
	return error ? 1 : 0;
}

static int diagnose_interval(const struct arguments *a, struct inquiry *q)
{
	const struct series *s = &q->r->series;
	double end_s = s->windows ? s->start_s[s->windows - 1] + fmax(s->window_s, 1) : 0;
	double first_s = s->windows ? s->start_s[0] : 0;
	double from_s = isnan(a->from_s) ? first_s : a->from_s;
	double to_s = isnan(a->to_s) ? end_s : a->to_s;
	struct diagnosis d;
	int status = 0;

	if (from_s >= to_s) {
		log_error("diagnose: the interval %.15g to %.15g is empty", from_s, to_s);
		return 2;
	}
	if (inquiry_diagnose(q, inquiry_worst_slo(q, from_s, to_s), from_s, to_s, &d)) {
		log_error("diagnose: out of memory");
		return 1;
	}
	if (a->json)
		status = print_json(diagnosis_to_json(&d, &q->r->graph));
	else
		text_diagnosis(stdout, &d, &q->r->graph);
	diagnosis_clear(&d);
	return status;
}

static int diagnose_violations(const struct arguments *a, struct inquiry *q)
{
	json_t *array = a->json ? json_array() : NULL;
	int error = 0;

	for (size_t i = 0; i < q->violations; i++) {
		const struct violation *v = &q->violation[i];
		struct diagnosis d;

		if (inquiry_diagnose(q, v->slo, v->from_s, v->to_s, &d)) {
			json_decref(array);
			log_error("diagnose: out of memory");
			return 1;
		}
		if (a->json) {
			error = json_array_append_new(array, diagnosis_to_json(&d, &q->r->graph));
		} else {
			fputs(i ? "\n" : "", stdout);
			text_diagnosis(stdout, &d, &q->r->graph);
		}
		diagnosis_clear(&d);
		if (error) {
			json_decref(array);
			log_error("diagnose: an answer cannot be written as JSON");
			return 1;
		}
	}
	if (a->json)
		return print_json(array);
	if (!q->violations)
		puts("No target was missed.");
	return 0;
}

int cli_diagnose(int argc, char **argv)
{
	struct arguments a = {.from_s = NAN, .to_s = NAN, .method = METHOD_GUARDED};
	struct recording r;
	struct inquiry q;
	int status;

	option_parse(&parser, argc, argv, "sage-analyzer diagnose", &a);
	status = option_read_recording(&r, a.dir, &a.slo);
	if (status)
		return status;
	if (inquiry_open(&q, &r, a.method, a.history)) {
		log_error("diagnose: out of memory");
		status = 1;
	} else {
		status = isnan(a.from_s) && isnan(a.to_s) ? diagnose_violations(&a, &q)
							  : diagnose_interval(&a, &q);
		inquiry_close(&q);
	}
	recording_clear(&r);
	return status;
}
