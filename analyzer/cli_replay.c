#include "analyzer/cli.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analyzer/cli_options.h"
#include "analyzer/cli_text.h"
#include "analyzer/inquiry.h"
#include "common/clock.h"
#include "common/log.h"

#define RECENT 3           /* windows looked at */
#define OPENS 2            /* missed ones among them that open a violation */
#define DIAGNOSED_AFTER 3  /* windows into a violation */
#define LONG_WINDOW_S 30.0 /* from here on one window is enough for both */

struct arguments {
	const char *dir;
	struct option_slo slo;
	double speed; /* recorded seconds per second; 0 = as fast as can be */
	enum method method;
	bool json;
};

/* One target, as the windows go by. */
struct watch {
	const struct slo *slo;
	const float *value; /* [windows], NULL when the recording lacks the metric */
	bool open, answered;
	size_t first; /* window of the open violation that missed it first */
};

static const struct argp_option options[] = {
	{"speed", 'x', "N", 0, "N recorded seconds per second (default: no waiting)", 0},
	{"slo", 's', "ENTITY METRIC TARGET", 0, "The target, instead of those of slo.csv", 0},
	{"method", 'm', "METHOD", 0, "guarded (default), faithful or robust", 0},
	{"json", 'j', NULL, 0, "Print one JSON object per event", 0},
	{0},
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'x':
		a->speed = option_number(state, "--speed", text);
		if (a->speed <= 0)
			argp_error(state, "--speed: %s is not above 0", text);
		return 0;
	case 's':
		option_slo(state, text, &a->slo);
		return 0;
	case 'm':
		a->method = option_method(state, text);
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
	"Walk through a recording as if it were happening: print violations as they open "
	"and close, and the diagnosis that the past alone allows.",
	NULL, NULL, NULL};

static double window_end(const struct series *s, size_t window)
{
	return s->start_s[window] + (s->window_s > 0 ? s->window_s : 1);
}

static void print_event(const struct arguments *a, const struct inquiry *q, const struct watch *w,
	size_t window, const char *event)
{
	const struct series *s = &q->r->series;
	const char *entity = q->r->graph.entity[w->slo->entity].name;
	double value = (double)w->value[window], now_s = window_end(s, window);
	char at[16], shown[32], target[32];

	if (a->json) {
		json_t *o = json_pack("{ss sf ss ss so sf}", "event", event, "time", now_s,
			"entity", entity, "metric", w->slo->metric, "value",
			isnan(value) ? json_null() : json_real(value), "target", w->slo->target);

		json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
		putchar('\n');
		json_decref(o);
	} else {
		text_time(at, sizeof(at), now_s);
		text_value(shown, sizeof(shown), w->slo->metric, value);
		text_value(target, sizeof(target), w->slo->metric, w->slo->target);
		printf("%s  %-9s  %s %s %s, target %s\n", at, event, entity, w->slo->metric, shown,
			target);
	}
	fflush(stdout);
}

static void print_answer(
	const struct arguments *a, const struct inquiry *q, const struct diagnosis *d)
{
	const struct graph *g = &q->r->graph;
	char at[16];

	if (a->json) {
		json_t *o = json_pack("{ss sf so}", "event", "diagnosis", "time", d->to_s,
			"diagnosis", diagnosis_to_json(d, g));

		json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
		putchar('\n');
		json_decref(o);
		return;
	}
	text_time(at, sizeof(at), d->to_s);
	printf("%s  %-9s  ", at, verdict_name(d->verdict));
	for (size_t i = 0; i < d->candidates; i++)
		if (d->candidate[i].culprit)
			printf("%s, %s (%.0f %%)  ", g->entity[d->candidate[i].service].name,
				resource_name(d->candidate[i].resource),
				100 * d->candidate[i].probability);
	printf("%s\n", d->why);
	fflush(stdout);
}

static int answer(const struct arguments *a, struct inquiry *q, struct watch *w, size_t window)
{
	const struct series *s = &q->r->series;
	struct diagnosis d;
	int error = inquiry_diagnose(q, w->slo, s->start_s[w->first], window_end(s, window), &d);

	if (error)
		return error;
	w->answered = true;
	print_answer(a, q, &d);
	diagnosis_clear(&d);
	return 0;
}

static bool missed(const struct watch *w, size_t window)
{
	return (double)w->value[window] > w->slo->target;
}

/* Missed windows among the latest ones up to `window`; *first receives the earliest. */
static unsigned recently_missed(const struct watch *w, size_t window, size_t *first)
{
	unsigned count = 0;

	for (size_t i = 0; i < RECENT && i <= window; i++) {
		if (!missed(w, window - i))
			continue;
		*first = window - i;
		count++;
	}
	return count;
}

static int step(const struct arguments *a, struct inquiry *q, struct watch *w, size_t window)
{
	bool brief = q->r->series.window_s < LONG_WINDOW_S;
	size_t first = window;
	unsigned recent = recently_missed(w, window, &first);

	if (!w->open && recent >= (brief ? OPENS : 1)) {
		w->open = true;
		w->answered = false;
		w->first = first;
		print_event(a, q, w, window, "violation");
	}
	if (w->open && !recent) {
		w->open = false;
		print_event(a, q, w, window, "recovered");
	}
	if (w->open && !w->answered && window - w->first + 1 >= (brief ? DIAGNOSED_AFTER : 1))
		return answer(a, q, w, window);
	return 0;
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

static int walk(const struct arguments *a, struct inquiry *q)
{
	const struct recording *r = q->r;
	struct watch *watch = calloc(r->slos, sizeof(*watch));
	uint64_t start_ns = clock_monotonic_ns();
	int error = watch ? 0 : -ENOMEM;

	for (size_t i = 0; !error && i < r->slos; i++) {
		watch[i].slo = &r->slo[i];
		watch[i].value = series_values(&r->series, r->slo[i].entity, r->slo[i].metric);
	}
	for (size_t w = 0; !error && w < r->series.windows; w++) {
		keep_pace(a, &r->series, w, start_ns);
		for (size_t i = 0; !error && i < r->slos; i++)
			if (watch[i].value)
				error = step(a, q, &watch[i], w);
	}
	free(watch);
	return error;
}

int cli_replay(int argc, char **argv)
{
	struct arguments a = {.method = METHOD_GUARDED};
	struct recording r;
	struct inquiry q;
	int error, status;

	option_parse(&parser, argc, argv, "sage-analyzer replay", &a);
	status = option_read_recording(&r, a.dir, &a.slo);
	if (status)
		return status;
	error = inquiry_open(&q, &r, a.method, HISTORY_PAST);
	if (!error) {
		error = walk(&a, &q);
		inquiry_close(&q);
	}
	recording_clear(&r);
	if (error)
		log_error("replay: out of memory");
	return error ? 1 : 0;
}
