#include "analyzer/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/cli_options.h"
#include "analyzer/cli_text.h"
#include "analyzer/incident.h"
#include "analyzer/inquiry.h"
#include "common/clock.h"
#include "common/log.h"

struct arguments {
	struct option_common common;
	struct option_slo slo;
	double speed; /* recorded seconds per second; 0 = as fast as can be */
};

/* One target, as the windows go by. */
struct watch {
	const struct slo *slo;
	const float *value; /* [windows], NULL when the recording lacks the metric */
	struct incident_watch incident;
	bool answered;
};

/* What all targets share. */
struct replay {
	const struct arguments *a;
	struct inquiry *q;
	struct incident_rule rule;
};

static const struct argp_option options[] = {
	{"speed", 'x', "N", 0, "N recorded seconds per second (default: no waiting)", 0},
	{"slo", 's', "ENTITY METRIC TARGET", 0, "The target, instead of those of slo.csv", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		option_common_init(state, &a->common, 1);
		return 0;
	case 'x':
		a->speed = option_number(state, "--speed", text);
		if (a->speed <= 0)
			argp_error(state, "--speed: %s is not above 0", text);
		return 0;
	case 's':
		option_slo(state, text, &a->slo);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp parser = {options, parse, "DIR",
	"Walk through a recording as if it were happening: print violations as they open "
	"and close, and the diagnosis that the past alone allows. --json prints an object a line.",
	option_common_child, NULL, NULL};

static double window_s(const struct series *s)
{
	return s->window_s > 0 ? s->window_s : 1;
}

static double window_end(const struct series *s, size_t window)
{
	return s->start_s[window] + window_s(s);
}

static int print_event(
	const struct replay *p, const struct watch *w, size_t window, const char *event)
{
	const struct recording *r = p->q->r;
	const char *entity = r->graph.entity[w->slo->entity].name;
	double value = (double)w->value[window], now_s = window_end(&r->series, window);
	char at[16], shown[32], target[32];

	if (p->a->common.json)
		return text_json(json_pack("{ss sf ss ss sf sf}", "event", event, "time", now_s,
					 "entity", entity, "metric", w->slo->metric, "value", value,
					 "target", w->slo->target),
			JSON_COMPACT);
	text_time(at, sizeof(at), now_s);
	text_value(shown, sizeof(shown), w->slo->metric, value);
	text_value(target, sizeof(target), w->slo->metric, w->slo->target);
	printf("%s  %-9s  %s %s %s, target %s\n", at, event, entity, w->slo->metric, shown, target);
	fflush(stdout);
	return 0;
}

static int print_answer(const struct replay *p, const struct diagnosis *d)
{
	const struct graph *g = &p->q->r->graph;
	char at[16];

	if (p->a->common.json)
		return text_json(json_pack("{ss sf so?}", "event", "diagnosis", "time", d->to_s,
					 "diagnosis", diagnosis_to_json(d, g)),
			JSON_COMPACT);
	text_time(at, sizeof(at), d->to_s);
	printf("%s  %-9s  ", at, verdict_name(d->verdict));
	for (size_t i = 0; i < d->candidates; i++)
		if (d->candidate[i].culprit)
			printf("%s, %s (%.0f %%)  ", g->entity[d->candidate[i].service].name,
				resource_name(d->candidate[i].resource),
				100 * d->candidate[i].probability);
	printf("%s\n", d->why);
	fflush(stdout);
	return 0;
}

static int answer(const struct replay *p, struct watch *w, size_t window)
{
	double to_s = window_end(&p->q->r->series, window);
	struct diagnosis d;
	int status;

	if (inquiry_diagnose(p->q, w->slo, w->incident.started_s, to_s, &d)) {
		log_error("replay: out of memory");
		return 1;
	}
	w->answered = true;
	status = print_answer(p, &d);
	diagnosis_clear(&d);
	return status;
}

/* By the rule of `serve`. Returns an exit status. */
static int step(const struct replay *p, struct watch *w, size_t window)
{
	const struct series *s = &p->q->r->series;
	enum incident_event event = incident_judge(&w->incident, &p->rule, s->start_s[window],
		window_s(s), (double)w->value[window], w->slo->target);
	int status = 0;

	if (event == INCIDENT_OPENS) {
		w->answered = false;
		status = print_event(p, w, window, "violation");
	} else if (event == INCIDENT_RECOVERS) {
		status = print_event(p, w, window, "recovered");
	}
	if (!status && !w->answered && incident_ripe(&w->incident, &p->rule))
		status = answer(p, w, window);
	return status;
}

/* Wait until the window would have ended, counted from the first one's. */
static void keep_pace(
	const struct arguments *a, const struct series *s, size_t window, uint64_t start_ns)
{
	uint64_t due_ns;
	struct timespec due;

	if (a->speed <= 0)
		return;
	due_ns = start_ns + (uint64_t)(1e9 * (s->start_s[window] - s->start_s[0]) / a->speed);
	due.tv_sec = (time_t)(due_ns / 1000000000ULL);
	due.tv_nsec = (long)(due_ns % 1000000000ULL);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

static int walk(const struct replay *p)
{
	const struct recording *r = p->q->r;
	struct watch *watch = calloc(r->slos, sizeof(*watch));
	uint64_t start_ns = clock_monotonic_ns();
	int status = 0;

	if (!watch) {
		log_error("replay: out of memory");
		return 1;
	}
	for (size_t i = 0; i < r->slos; i++) {
		watch[i].slo = &r->slo[i];
		watch[i].value = series_values(&r->series, r->slo[i].entity, r->slo[i].metric);
		incident_watch_init(&watch[i].incident);
	}
	for (size_t w = 0; !status && w < r->series.windows; w++) {
		keep_pace(p->a, &r->series, w, start_ns);
		for (size_t i = 0; !status && i < r->slos; i++)
			if (watch[i].value)
				status = step(p, &watch[i], w);
	}
	free(watch);
	return status;
}

int cli_replay(int argc, char **argv)
{
	struct arguments a = {0};
	struct inquiry q;
	struct replay p = {.a = &a, .q = &q};
	struct recording r;
	int status;

	option_parse(&parser, argc, argv, "sage-analyzer replay", &a);
	status = option_read_recording(&r, a.common.dir[0], &a.slo);
	if (status)
		return status;
	incident_rule_default(&p.rule, window_s(&r.series));
	if (inquiry_open(&q, &r, a.common.method, HISTORY_PAST)) {
		log_error("replay: out of memory");
		status = 1;
	} else {
		status = walk(&p);
		inquiry_close(&q);
	}
	recording_clear(&r);
	return status;
}
