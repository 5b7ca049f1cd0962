/*
 * Each baseline on a case it is made for and on one it is known to get wrong, on a small
 * application: front calls mid and side, mid calls leaf.
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

#include "analyzer/diagnose.h"
#include "analyzer/random.h"

#define WINDOWS 80
#define SICK_FROM 64
#define SICK_TO 72

struct scene {
	struct recording r;
	struct random random;
};

static void put(
	struct scene *s, const char *entity, const char *metric, unsigned window, double value)
{
	struct recording *r = &s->r;
	uint32_t column = series_column(&r->series, graph_entity(&r->graph, entity), metric);

	assert_int_not_equal(column, SERIES_NONE);
	series_set(&r->series, window, column, (float)value);
}

static bool sick(unsigned window)
{
	return window >= SICK_FROM && window < SICK_TO;
}

/* A metric with its usual value and deviation, and another one in the incident. */
static void play(struct scene *s, const char *entity, const char *metric, double usual,
	double deviation, double incident)
{
	float noise[WINDOWS];

	random_normals(&s->random, noise, WINDOWS);
	for (unsigned w = 0; w < WINDOWS; w++)
		put(s, entity, metric, w,
			(sick(w) ? incident : usual) + deviation * (double)noise[w]);
}

/* The target, on the front's p99: missed in the incident alone. */
static void play_target(struct scene *s)
{
	play(s, "user->front", "client_p99_us", 10000, 300, 60000);
}

static int scene_open(void **state)
{
	static const char *const edge[] = {"user->front", "front->mid", "front->side", "mid->leaf"};
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	recording_init(&s->r);
	random_init(&s->random, 5, 0);
	s->r.series.window_s = 5;
	for (size_t i = 0; i < sizeof(edge) / sizeof(*edge); i++)
		assert_int_not_equal(graph_entity(&s->r.graph, edge[i]), GRAPH_NONE);
	for (unsigned w = 0; w < WINDOWS; w++)
		assert_int_equal(series_row(&s->r.series, 1700000000 + 5 * w), w);
	s->r.slo = calloc(1, sizeof(*s->r.slo));
	assert_non_null(s->r.slo);
	s->r.slos = 1;
	*s->r.slo = (struct slo){.entity = graph_find(&s->r.graph, "user->front"),
		.metric = "client_p99_us",
		.target = 20000};
	*state = s;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *s = *state;

	recording_clear(&s->r);
	free(s);
	return 0;
}

static struct diagnosis ask(const struct scene *s, enum method method)
{
	const struct series *series = &s->r.series;
	struct diagnosis d;

	assert_int_equal(diagnose(&d, &s->r, s->r.slo, series->start_s[SICK_FROM],
				 series->start_s[SICK_TO], NULL, NULL, method),
		0);
	assert_string_equal(d.method, method_name(method));
	return d;
}

static const char *first(const struct scene *s, const struct diagnosis *d)
{
	return d->candidates ? s->r.graph.entity[d->candidate[0].service].name : "nobody";
}

static void assert_blames(
	const struct scene *s, enum method method, const char *service, enum resource resource)
{
	struct diagnosis d = ask(s, method);
	double sum = 0;

	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_string_equal(first(s, &d), service);
	assert_int_equal(d.candidate[0].resource, resource);
	assert_true(d.candidate[0].culprit);
	assert_true(strlen(d.why) > 0);
	assert_true(d.evidences > 1);
	for (size_t i = 0; i < d.candidates; i++)
		sum += d.candidate[i].probability;
	assert_true(fabs(sum - 1) < 1e-9);
	diagnosis_clear(&d);
}

static void assert_silent(const struct scene *s, enum method method)
{
	struct diagnosis d = ask(s, method);

	assert_int_equal(d.verdict, VERDICT_UNKNOWN);
	assert_non_null(strstr(d.why, "no service stands out"));
	assert_int_equal(d.candidates, 0);
	diagnosis_clear(&d);
}

static size_t culprits(const struct scene *s, enum method method)
{
	struct diagnosis d = ask(s, method);
	size_t count = 0;

	for (size_t i = 0; i < d.candidates; i++)
		count += d.candidate[i].culprit;
	diagnosis_clear(&d);
	return count;
}

/* ---- autoscale ---- */

static void autoscaling_names_what_is_used_most(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "side", "cpu_util_ratio", 0.2, 0.01, 0.2);
	play(s, "mid", "cpu_util_ratio", 0.3, 0.01, 0.9);
	assert_blames(s, METHOD_AUTOSCALE50, "mid", RESOURCE_CPU);
	assert_blames(s, METHOD_AUTOSCALE70, "mid", RESOURCE_CPU);
}

static void autoscaling_differs_by_its_limit(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "mid", "mem_util_ratio", 0.3, 0.01, 0.6);
	assert_blames(s, METHOD_AUTOSCALE50, "mid", RESOURCE_MEMORY);
	assert_silent(s, METHOD_AUTOSCALE70);
}

static void autoscaling_blames_who_is_always_busy(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "mid", "cpu_throttled_ratio", 0, 0, 0.8);
	play(s, "mid", "cpu_util_ratio", 0.1, 0.01, 0.2);
	play(s, "side", "cpu_util_ratio", 0.85, 0.01, 0.85);
	assert_blames(s, METHOD_AUTOSCALE70, "side", RESOURCE_CPU);
}

/* ---- thresholds ---- */

static void thresholds_name_what_passes_its_usual_range(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "side", "cpu_util_ratio", 0.85, 0.01, 0.85);
	play(s, "leaf", "blk_wait_ratio", 0.02, 0.005, 0.7);
	assert_blames(s, METHOD_THRESHOLDS, "leaf", RESOURCE_DISK);
	assert_int_equal(culprits(s, METHOD_THRESHOLDS), 1);
}

static void thresholds_name_victims_too(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "front", "server_p99_us", 9000, 200, 59000);
	play(s, "mid", "server_p99_us", 5000, 200, 55000);
	play(s, "leaf", "server_p99_us", 1000, 100, 51000);
	assert_int_equal(culprits(s, METHOD_THRESHOLDS), 3);
}

/* ---- n-sigma ---- */

static void nsigma_names_what_moved_most(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "leaf", "net_rtt_us", 100, 10, 900);
	play(s, "mid", "cpu_util_ratio", 0.3, 0.05, 0.5);
	assert_blames(s, METHOD_NSIGMA, "leaf", RESOURCE_NETWORK);
	assert_int_equal(culprits(s, METHOD_NSIGMA), 1);
}

static void nsigma_falls_for_a_quiet_metric(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "leaf", "cpu_throttled_ratio", 0.1, 0.05, 0.9);
	play(s, "side", "mem_util_ratio", 0.5, 0.0001, 0.51); /* a cache that filled a little */
	assert_blames(s, METHOD_NSIGMA, "side", RESOURCE_MEMORY);
}

/* ---- e-diagnosis ---- */

static void ediagnosis_sees_a_spread_without_a_shift(void **state)
{
	struct scene *s = *state;
	float noise[WINDOWS];

	play_target(s);
	random_normals(&s->random, noise, WINDOWS);
	for (unsigned w = 0; w < WINDOWS; w++)
		put(s, "leaf", "cpu_util_ratio", w,
			sick(w) ? (w % 2 ? 0.1 : 0.9) : 0.5 + 0.01 * (double)noise[w]);
	assert_silent(s, METHOD_NSIGMA);
	assert_blames(s, METHOD_EDIAGNOSIS, "leaf", RESOURCE_CPU);
}

static void ediagnosis_does_not_take_noise_for_a_change(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "leaf", "cpu_util_ratio", 0.5, 0.1, 0.5);
	play(s, "mid", "cpu_util_ratio", 0.5, 0.1, 0.5);
	assert_silent(s, METHOD_EDIAGNOSIS);
}

static void ediagnosis_cannot_tell_causes_from_victims(void **state)
{
	struct scene *s = *state;
	struct diagnosis d;

	play_target(s);
	play(s, "front", "server_p99_us", 9000, 1, 59000);
	play(s, "mid", "server_p99_us", 5000, 1, 55000);
	play(s, "leaf", "server_p99_us", 1000, 1, 51000);
	d = ask(s, METHOD_EDIAGNOSIS);
	assert_int_equal(d.candidates, 3);
	assert_true(d.candidate[2].score > 0.99 * d.candidate[0].score);
	diagnosis_clear(&d);
}

/* ---- random walk ---- */

static void the_walk_ends_where_latency_follows_the_target(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "front", "server_p99_us", 9000, 2000, 59000);
	play(s, "mid", "server_p99_us", 5000, 500, 55000);
	play(s, "leaf", "server_p99_us", 1000, 100, 51000);
	play(s, "side", "server_p99_us", 1000, 100, 1000);
	play(s, "leaf", "psi_cpu_ratio", 0.01, 0.01, 0.6);
	assert_blames(s, METHOD_RANDOM_WALK, "leaf", RESOURCE_CPU);
}

static void the_walk_goes_past_a_culprit_to_its_victims(void **state)
{
	struct scene *s = *state;

	/* mid sends ten times the queries: leaf slows down as well */
	play_target(s);
	play(s, "front", "server_p99_us", 9000, 2000, 59000);
	play(s, "mid", "server_p99_us", 5000, 500, 55000);
	play(s, "mid", "self_p99_us", 3000, 100, 40000);
	play(s, "leaf", "server_p99_us", 1000, 100, 9000);
	assert_blames(s, METHOD_RANDOM_WALK, "leaf", RESOURCE_CODE);
}

/* ---- deepest ---- */

static void the_deepest_abnormal_service_is_found(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "front", "server_p99_us", 9000, 300, 59000);
	play(s, "mid", "server_p99_us", 5000, 300, 55000);
	play(s, "mid", "cpu_throttled_ratio", 0.01, 0.01, 0.8);
	play(s, "leaf", "server_p99_us", 1000, 100, 1000);
	play(s, "side", "server_p99_us", 1000, 100, 1000);
	assert_blames(s, METHOD_DEEPEST, "mid", RESOURCE_CPU);
	assert_int_equal(culprits(s, METHOD_DEEPEST), 1);
}

static void the_deepest_is_a_victim_where_load_is_passed_on(void **state)
{
	struct scene *s = *state;

	play_target(s);
	play(s, "front", "server_p99_us", 9000, 300, 59000);
	play(s, "mid", "server_p99_us", 5000, 300, 55000);
	play(s, "mid", "cpu_throttled_ratio", 0.01, 0.01, 0.8);
	play(s, "leaf", "server_p99_us", 1000, 100, 2000);
	assert_blames(s, METHOD_DEEPEST, "leaf", RESOURCE_CODE);
}

static void a_cycle_has_no_deepest(void **state)
{
	struct scene *s = *state;

	assert_int_not_equal(graph_entity(&s->r.graph, "leaf->mid"), GRAPH_NONE);
	play_target(s);
	play(s, "front", "server_p99_us", 9000, 300, 59000);
	play(s, "mid", "server_p99_us", 5000, 300, 55000);
	play(s, "leaf", "server_p99_us", 1000, 100, 51000);
	assert_silent(s, METHOD_DEEPEST);
}

/* ---- circa ---- */

/* Latencies that add up along the calls: mid is part of front's. */
static void play_chain(struct scene *s, double mid_adds, double front_adds)
{
	float mid[WINDOWS], front[WINDOWS];

	random_normals(&s->random, mid, WINDOWS);
	random_normals(&s->random, front, WINDOWS);
	for (unsigned w = 0; w < WINDOWS; w++) {
		double m = 5000 + 500 * (double)mid[w] + (sick(w) ? mid_adds : 0);
		double f = m + 4000 + 200 * (double)front[w] + (sick(w) ? front_adds : 0);

		put(s, "mid", "server_p99_us", w, m);
		put(s, "front", "server_p99_us", w, f);
		put(s, "user->front", "client_p99_us", w, f + 500);
	}
}

static void regression_explains_the_callers_by_the_callee(void **state)
{
	struct scene *s = *state;
	struct diagnosis d;

	play_chain(s, 30000, 0);
	play(s, "mid", "cpu_throttled_ratio", 0.05, 0.02, 0.8);
	assert_blames(s, METHOD_CIRCA, "mid", RESOURCE_CPU);
	d = ask(s, METHOD_CIRCA);
	assert_true(d.candidates < 2 || d.candidate[1].score < 0.5 * d.candidate[0].score);
	diagnosis_clear(&d);
}

static void regression_finds_the_front_itself(void **state)
{
	struct scene *s = *state;

	play_chain(s, 0, 30000);
	assert_blames(s, METHOD_CIRCA, "front", RESOURCE_CODE);
}

/* What happens on the way to leaf is in nobody's latency but the caller's. */
static void regression_blames_the_caller_for_a_slow_link(void **state)
{
	struct scene *s = *state;

	play_chain(s, 30000, 0);
	play(s, "mid->leaf", "client_p99_us", 1200, 100, 31200);
	play(s, "leaf", "server_p99_us", 1000, 100, 1000);
	assert_blames(s, METHOD_CIRCA, "mid", RESOURCE_CODE);
}

/* ---- all ---- */

static void noise_accuses_nobody_by_deviations(void **state)
{
	struct scene *s = *state;

	play_target(s);
	for (int i = 0; i < 3; i++) {
		static const char *const service[] = {"front", "mid", "leaf"};

		play(s, service[i], "server_p99_us", 5000, 500, 5000);
		play(s, service[i], "cpu_util_ratio", 0.3, 0.05, 0.3);
	}
	assert_silent(s, METHOD_NSIGMA);
	assert_silent(s, METHOD_AUTOSCALE50);
	assert_silent(s, METHOD_THRESHOLDS);
	assert_silent(s, METHOD_DEEPEST);
}

static void without_any_metric_nobody_is_blamed(void **state)
{
	struct scene *s = *state;

	play_target(s);
	for (int m = METHOD_AUTOSCALE50; m < METHODS; m++)
		assert_silent(s, (enum method)m);
}

#define SCENE(test) cmocka_unit_test_setup_teardown(test, scene_open, scene_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE(autoscaling_names_what_is_used_most),
		SCENE(autoscaling_differs_by_its_limit),
		SCENE(autoscaling_blames_who_is_always_busy),
		SCENE(thresholds_name_what_passes_its_usual_range),
		SCENE(thresholds_name_victims_too),
		SCENE(nsigma_names_what_moved_most),
		SCENE(nsigma_falls_for_a_quiet_metric),
		SCENE(ediagnosis_sees_a_spread_without_a_shift),
		SCENE(ediagnosis_does_not_take_noise_for_a_change),
		SCENE(ediagnosis_cannot_tell_causes_from_victims),
		SCENE(the_walk_ends_where_latency_follows_the_target),
		SCENE(the_walk_goes_past_a_culprit_to_its_victims),
		SCENE(the_deepest_abnormal_service_is_found),
		SCENE(the_deepest_is_a_victim_where_load_is_passed_on),
		SCENE(a_cycle_has_no_deepest),
		SCENE(regression_explains_the_callers_by_the_callee),
		SCENE(regression_finds_the_front_itself),
		SCENE(regression_blames_the_caller_for_a_slow_link),
		SCENE(noise_accuses_nobody_by_deviations),
		SCENE(without_any_metric_nobody_is_blamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
