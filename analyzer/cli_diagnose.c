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
	struct option_common common;
	struct option_slo slo;
	double from_s, to_s; /* NaN while not given */
	enum history history;
};

static const struct argp_option options[] = {
	{"from", 'f', "TIME", 0, "Start of the incident, Unix seconds", 0},
	{"to", 't', "TIME", 0, "End of the incident; without both, violations are looked for", 0},
	{"slo", 's', "ENTITY METRIC TARGET", 0, "The target, instead of those of slo.csv", 0},
	{"history", 'y', "WHICH", 0, "Windows to learn from: all (default) or past", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		option_common_init(state, &a->common, 1);
		return 0;
	case 'f':
		a->from_s = option_number(state, "--from", text);
		return 0;
	case 't':
		a->to_s = option_number(state, "--to", text);
		return 0;
	case 's':
		option_slo(state, text, &a->slo);
		return 0;
	case 'y':
		a->history = option_history(state, text);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp parser = {options, parse, "DIR",
	"Find the causes of missed targets in a recording.\v"
	"Without an interval every violation of a target is diagnosed.",
	option_common_child, NULL, NULL};

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
	if (a->common.json)
		status = text_json(diagnosis_to_json(&d, &q->r->graph), JSON_INDENT(2));
	else
		text_diagnosis(stdout, &d, &q->r->graph);
	diagnosis_clear(&d);
	return status;
}

static int diagnose_violations(const struct arguments *a, struct inquiry *q)
{
	json_t *array = a->common.json ? json_array() : NULL;
	int error = 0;

	for (size_t i = 0; i < q->violations; i++) {
		const struct violation *v = &q->violation[i];
		struct diagnosis d;

		if (inquiry_diagnose(q, v->slo, v->from_s, v->to_s, &d)) {
			json_decref(array);
			log_error("diagnose: out of memory");
			return 1;
		}
		if (a->common.json) {
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
	if (a->common.json)
		return text_json(array, JSON_INDENT(2));
	if (!q->violations)
		puts("No target was missed.");
	return 0;
}

int cli_diagnose(int argc, char **argv)
{
	struct arguments a = {.from_s = NAN, .to_s = NAN};
	struct recording r;
	struct inquiry q;
	int status;

	option_parse(&parser, argc, argv, "sage-analyzer diagnose", &a);
	status = option_read_recording(&r, a.common.dir[0], &a.slo);
	if (status)
		return status;
	if (inquiry_open(&q, &r, a.common.method, a.history)) {
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
