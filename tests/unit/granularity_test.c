/*
 * A recorded demo as other systems would have measured it: one latency per service, one statistic,
 * longer windows, few of them. Asked of the evidence, which needs no training.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/inquiry.h"
#include "analyzer/score.h"

/* What is left of the recording. */
struct poor {
	bool (*keep)(const struct entity *e, const char *metric); /* NULL: every column */
	const char *target; /* metric of the target's entity */
	unsigned merged;    /* windows into one */
	double before_s;    /* kept of the time before the first incident */
};

static void read_demo(struct recording *r)
{
	char why[256];

	if (recording_read(r, SAGE_RECORDING, why, sizeof(why)))
		fail_msg("%s", why);
}

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

/* The columns that are kept, over longer windows. */
static void copy_columns(struct recording *to, const struct recording *from, const struct poor *p)
{
	const struct series *s = &from->series;
	size_t first = 0;

	series_clear(&to->series);
	series_init(&to->series, s->window_s * p->merged);
	while (s->start_s[first] < from->truth->from_s - p->before_s)
		first++;
	for (size_t w = first; w + p->merged <= s->windows; w += p->merged) {
		long row = series_row(&to->series, s->start_s[w]);

		assert_true(row >= 0);
		for (uint32_t i = 0; i < s->columns; i++) {
			const struct series_column *c = &s->column[i];
			bool target =
				c->entity == from->slo->entity && !strcmp(c->metric, p->target);

			if (!target && p->keep &&
				!p->keep(&from->graph.entity[c->entity], c->metric))
				continue;
			series_set(&to->series, (size_t)row,
				series_column(&to->series, c->entity, c->metric),
				(float)mean_of(&c->value[w], p->merged));
		}
	}
}

static bool is_quiet(const struct recording *r, double start_s)
{
	for (size_t i = 0; i < r->truths; i++)
		if (start_s > r->truth[i].from_s - 5 && start_s < r->truth[i].to_s + 10)
			return false;
	return true;
}

/* A target that quiet windows keep. */
static void set_target(struct recording *r, const char *metric)
{
	const float *value = series_values(&r->series, r->slo->entity, metric);
	double highest = 0;

	assert_non_null(value);
	for (size_t w = 0; w < r->series.windows; w++)
		if (is_quiet(r, r->series.start_s[w]) && !isnan(value[w]))
			highest = fmax(highest, (double)value[w]);
	r->slo->target = 1.1 * highest;
	snprintf(r->slo->metric, sizeof(r->slo->metric), "%s", metric);
}

struct tally {
	unsigned missed; /* incidents in which the target was */
	unsigned right;  /* of these: answered with the right service first */
};

static struct tally ask(const struct poor *p)
{
	struct recording whole, r;
	struct inquiry q;
	struct tally tally = {0};

	read_demo(&whole);
	assert_int_equal(recording_copy(&r, &whole), 0);
	copy_columns(&r, &whole, p);
	set_target(&r, p->target);
	assert_int_equal(inquiry_open(&q, &r, METHOD_ROBUST, HISTORY_ALL), 0);
	for (size_t i = 0; i < r.truths; i++) {
		struct incident_truth t = score_incident(&r, i);
		struct diagnosis d;
		struct score_case c;

		assert_int_equal(
			inquiry_diagnose(&q, r.slo, t.row->from_s - 1, t.row->to_s + 1, &d), 0);
		c = score_answer(&t, &d, &r.graph);
		tally.missed += d.verdict != VERDICT_HEALTHY;
		tally.right += d.verdict == VERDICT_DIAGNOSED && c.top1;
		if (d.verdict != VERDICT_DIAGNOSED || !c.top1)
			print_message("%s: %s %s, %s\n", t.row->service, verdict_name(d.verdict),
				d.candidates ? r.graph.entity[d.candidate[0].service].name : "",
				d.why);
		diagnosis_clear(&d);
	}
	inquiry_close(&q);
	recording_clear(&r);
	recording_clear(&whole);
	return tally;
}

static bool is_counter(const char *metric)
{
	return !strncmp(metric, "cpu_", 4) || !strncmp(metric, "mem_", 4) ||
	       !strncmp(metric, "blk_", 4) || !strcmp(metric, "requests_per_s");
}

static bool one_latency(const struct entity *e, const char *metric)
{
	return e->kind == ENTITY_SERVICE &&
	       (is_counter(metric) || !strcmp(metric, "server_p99_us"));
}

static bool means(const struct entity *e, const char *metric)
{
	(void)e;
	return is_counter(metric) || strstr(metric, "_mean_us");
}

static bool medians(const struct entity *e, const char *metric)
{
	(void)e;
	return is_counter(metric) || strstr(metric, "_p50_us");
}

static bool latencies(const struct entity *e, const char *metric)
{
	(void)e;
	return strstr(metric, "_us") && strncmp(metric, "net_", 4);
}

static void assert_all_right(const struct poor *p)
{
	struct tally t = ask(p);

	assert_int_equal(t.missed, 4);
	assert_int_equal(t.right, 4);
}

static void one_latency_per_service_will_do(void **state)
{
	(void)state;
	assert_all_right(&(struct poor){one_latency, "client_p99_us", 1, INFINITY});
}

static void means_will_do(void **state)
{
	(void)state;
	assert_all_right(&(struct poor){means, "client_mean_us", 1, INFINITY});
}

/* One of the faults is on too few requests for the median to see it. */
static void medians_tell_what_they_see(void **state)
{
	struct tally t = ask(&(struct poor){medians, "client_p50_us", 1, INFINITY});

	(void)state;
	assert_int_equal(t.missed, 3);
	assert_int_equal(t.right, 3);
}

/* A surge cannot be told from latencies. */
static void latencies_alone_tell_all_but_the_surge(void **state)
{
	struct tally t = ask(&(struct poor){latencies, "client_p99_us", 1, INFINITY});

	(void)state;
	assert_int_equal(t.missed, 4);
	assert_int_equal(t.right, 3);
}

static void windows_of_two_seconds_will_do(void **state)
{
	(void)state;
	assert_all_right(&(struct poor){NULL, "client_p99_us", 2, INFINITY});
}

static void twenty_windows_before_will_do(void **state)
{
	(void)state;
	assert_all_right(&(struct poor){NULL, "client_p99_us", 1, 20});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_latency_per_service_will_do),
		cmocka_unit_test(means_will_do),
		cmocka_unit_test(medians_tell_what_they_see),
		cmocka_unit_test(latencies_alone_tell_all_but_the_surge),
		cmocka_unit_test(windows_of_two_seconds_will_do),
		cmocka_unit_test(twenty_windows_before_will_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
