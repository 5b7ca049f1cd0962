/*
 * Recordings as no one would wish them, asked of every method: an answer with a reason, no crash,
 * and no cause that is not in the data.
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
#include "planted.h"

#define FROM 48
#define TO 54
#define WINDOWS 60

/* A chain whose s5 is starved of CPU in windows FROM to TO. */
static int make(void **state)
{
	struct recording *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	planted_make(r, &(struct planted){.shape = SHAPE_CHAIN,
				.seed = 7,
				.windows = WINDOWS,
				.requests = 40,
				.window_s = 5,
				.statistics = "p99 mean",
				.metrics = PLANTED_ALL,
				.culprit = 5,
				.resource = RESOURCE_CPU,
				.from = FROM,
				.to = TO});
	*state = r;
	return 0;
}

static int discard(void **state)
{
	recording_clear(*state);
	free(*state);
	return 0;
}

static void assert_sane(const struct diagnosis *d, const struct graph *g)
{
	json_t *o = diagnosis_to_json(d, g);
	double sum = 0;

	assert_true(strlen(d->why) > 0);
	for (size_t i = 0; i < d->candidates; i++) {
		const struct candidate *c = &d->candidate[i];

		assert_true(c->service < g->entities);
		assert_true(isfinite(c->score) && c->score >= 0);
		assert_true(c->probability >= 0 && c->probability <= 1);
		assert_true(d->verdict == VERDICT_DIAGNOSED || !c->culprit);
		sum += c->probability;
	}
	assert_true(sum <= 1 + 1e-9);
	assert_true(d->verdict != VERDICT_DIAGNOSED || d->candidates);
	assert_non_null(o);
	json_decref(o);
}

static struct diagnosis ask(const struct recording *r, enum method m)
{
	struct diagnosis d;
	int error = diagnose(&d, r, r->slo, r->truth->from_s, r->truth->to_s, NULL, NULL, m);

	assert_int_equal(error, 0);
	assert_sane(&d, &r->graph);
	return d;
}

static void assert_all_say(const struct recording *r, enum verdict verdict, const char *why)
{
	for (int m = 0; m < METHODS; m++) {
		struct diagnosis d = ask(r, (enum method)m);

		if (d.verdict != verdict || !strstr(d.why, why))
			fail_msg("%s: %s, %s", method_name((enum method)m), verdict_name(d.verdict),
				d.why);
		diagnosis_clear(&d);
	}
}

static void assert_all_survive(const struct recording *r)
{
	for (int m = 0; m < METHODS; m++) {
		struct diagnosis d = ask(r, (enum method)m);

		diagnosis_clear(&d);
	}
}

/* What is left of the data is enough for the evidence. */
static void assert_still_found(const struct recording *r)
{
	struct diagnosis d = ask(r, METHOD_ROBUST);

	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_string_equal(r->graph.entity[d.candidate[0].service].name, "s5");
	diagnosis_clear(&d);
}

static bool is_target(const struct recording *r, const struct series_column *c)
{
	return c->entity == r->slo->entity && !strcmp(c->metric, r->slo->metric);
}

/* Do something to windows of every column but the target's. */
static void spoil(struct recording *r, unsigned every, float (*with)(float was))
{
	for (uint32_t i = 0; i < r->series.columns; i++) {
		const struct series_column *c = &r->series.column[i];

		for (unsigned w = i % every; !is_target(r, c) && w < WINDOWS; w += every)
			series_set(&r->series, w, i, with(c->value[w]));
	}
}

static float nan_for(float was)
{
	(void)was;
	return NAN;
}

static float infinity_for(float was)
{
	return was < 1 ? -INFINITY : INFINITY;
}

static float constant_for(float was)
{
	(void)was;
	return 0.1F;
}

static void holes_everywhere_leave_the_answer(void **state)
{
	spoil(*state, 4, nan_for);
	assert_all_survive(*state);
	assert_still_found(*state);
}

static void infinite_values_are_holes(void **state)
{
	struct recording *r = *state;

	spoil(r, 4, infinity_for);
	for (uint32_t i = 0; i < r->series.columns; i++)
		for (unsigned w = 0; w < WINDOWS; w++)
			assert_true(isinf(r->series.column[i].value[w]) == 0);
	assert_all_survive(r);
	assert_still_found(r);
}

static void columns_of_holes_alone_blame_nobody(void **state)
{
	spoil(*state, 1, nan_for);
	assert_all_say(*state, VERDICT_UNKNOWN, "");
}

static void constant_columns_blame_nobody(void **state)
{
	spoil(*state, 1, constant_for);
	assert_all_say(*state, VERDICT_UNKNOWN, "");
}

/* Each series was measured once, in the incident. */
static void single_values_blame_nobody(void **state)
{
	struct recording *r = *state;

	for (uint32_t i = 0; i < r->series.columns; i++)
		for (unsigned w = 0; !is_target(r, &r->series.column[i]) && w < WINDOWS; w++)
			if (w != FROM + 1)
				series_set(&r->series, w, i, NAN);
	for (int m = 0; m < METHODS; m++) {
		struct diagnosis d = ask(r, (enum method)m);

		/* but what scales by use alone, needs no comparison */
		if (m != METHOD_AUTOSCALE50 && m != METHOD_AUTOSCALE70)
			assert_int_equal(d.verdict, VERDICT_UNKNOWN);
		diagnosis_clear(&d);
	}
}

static void a_target_of_holes_is_unknown(void **state)
{
	struct recording *r = *state;
	uint32_t column = series_find(&r->series, r->slo->entity, r->slo->metric);

	for (unsigned w = 0; w < WINDOWS; w++)
		series_set(&r->series, w, column, NAN);
	assert_all_say(r, VERDICT_UNKNOWN, "no window of the interval has a value");
}

static void a_target_that_was_never_measured_is_unknown(void **state)
{
	struct recording *r = *state;

	strcpy(r->slo->metric, "client_p98_us");
	assert_all_say(r, VERDICT_UNKNOWN, "has no client_p98_us of user->s0");
}

static void a_target_never_missed_is_healthy(void **state)
{
	struct recording *r = *state;

	r->slo->target = 1e12;
	assert_all_say(r, VERDICT_HEALTHY, "met in every window");
}

static void a_target_always_missed_has_nothing_to_compare_with(void **state)
{
	struct recording *r = *state;

	r->slo->target = 1;
	assert_all_say(r, VERDICT_UNKNOWN, "only 0 normal windows");
}

static void three_windows_of_history_are_too_few(void **state)
{
	struct recording *r = *state;

	series_trim(&r->series, WINDOWS - (FROM - 3));
	for (unsigned w = 9; w < WINDOWS - (FROM - 3); w++) /* nor are there any after it */
		series_set(&r->series, w, series_find(&r->series, r->slo->entity, r->slo->metric),
			NAN);
	assert_all_say(r, VERDICT_UNKNOWN, "only 3 normal windows");
}

static void an_interval_without_windows_is_unknown(void **state)
{
	struct recording *r = *state;

	r->truth->from_s += 1e6;
	r->truth->to_s += 1e6;
	assert_all_say(r, VERDICT_UNKNOWN, "no window of the interval has a value");
}

/* A clock that was set a day ahead in the incident, and later a year back. */
static void clock_jumps_leave_the_answer(void **state)
{
	struct recording *r = *state, jumped;

	assert_int_equal(recording_copy(&jumped, r), 0);
	for (unsigned w = 0; w < WINDOWS; w++)
		jumped.series.start_s[w] += w < 10 ? -365 * 86400.0 : w >= FROM + 2 ? 86400 : 0;
	jumped.truth->to_s += 86400;
	assert_all_survive(&jumped);
	assert_still_found(&jumped);
	recording_clear(&jumped);
}

/* As a late or repeated window comes: in whatever order, the last word counts. */
static void windows_in_any_order_and_twice_are_the_same_recording(void **state)
{
	struct recording *r = *state, mixed;
	struct diagnosis d, same;

	assert_int_equal(recording_copy(&mixed, r), 0);
	series_trim(&mixed.series, 0);
	for (unsigned i = 0; i < 2 * WINDOWS; i++) {
		unsigned w = i * 7 % WINDOWS;
		long row = series_row(&mixed.series, r->series.start_s[w]);

		assert_true(row >= 0);
		for (uint32_t c = 0; c < r->series.columns; c++)
			series_set(&mixed.series, (size_t)row, c, r->series.column[c].value[w]);
	}
	assert_int_equal(mixed.series.windows, WINDOWS);
	d = ask(r, METHOD_ROBUST);
	same = ask(&mixed, METHOD_ROBUST);
	assert_int_equal(d.candidates, same.candidates);
	for (size_t i = 0; i < d.candidates; i++)
		assert_true(d.candidate[i].score == same.candidate[i].score);
	diagnosis_clear(&d);
	diagnosis_clear(&same);
	recording_clear(&mixed);
}

static void self_loops_leave_the_answer(void **state)
{
	struct recording *r = *state;

	for (int i = 0; i < PLANTED_SERVICES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i);
		assert_int_not_equal(graph_edge(&r->graph, name, name), GRAPH_NONE);
	}
	assert_all_survive(r);
	assert_still_found(r);
}

static void a_call_cycle_leaves_the_answer(void **state)
{
	struct recording *r = *state;

	assert_int_not_equal(graph_edge(&r->graph, "s9", "s2"), GRAPH_NONE);
	assert_all_survive(r);
	assert_still_found(r);
}

/* The culprit has no metric at all: others may be named, it cannot be. */
static void a_service_without_metrics_is_not_made_up(void **state)
{
	struct recording *r = *state;
	uint32_t culprit = graph_find(&r->graph, "s5");

	for (uint32_t i = 0; i < r->series.columns; i++)
		for (unsigned w = 0; r->series.column[i].entity == culprit && w < WINDOWS; w++)
			series_set(&r->series, w, i, NAN);
	assert_all_survive(r);
}

/* A model that learnt from holes, constants and infinities, asked about more of them. */
static void a_model_of_bad_data_answers_sanely(void **state)
{
	struct recording *r = *state;
	struct model_options o;
	struct model *m = NULL;
	bool use[WINDOWS];

	for (unsigned w = 0; w < WINDOWS; w++)
		use[w] = w < FROM;
	spoil(r, 3, infinity_for);
	model_options_default(&o);
	o.epochs = 2;
	assert_int_equal(model_train(&m, r, r->slo, use, &o), 0);
	for (int method = METHOD_GUARDED; method <= METHOD_FAITHFUL; method++) {
		struct diagnosis d;

		assert_int_equal(diagnose(&d, r, r->slo, r->truth->from_s, r->truth->to_s, use, m,
					 (enum method)method),
			0);
		assert_sane(&d, &r->graph);
		assert_true(isinf(d.counterfactual.restored) == 0);
		diagnosis_clear(&d);
	}
	model_free(m);
}

#define ON_A_CHAIN(test) cmocka_unit_test_setup_teardown(test, make, discard)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_CHAIN(holes_everywhere_leave_the_answer),
		ON_A_CHAIN(infinite_values_are_holes),
		ON_A_CHAIN(columns_of_holes_alone_blame_nobody),
		ON_A_CHAIN(constant_columns_blame_nobody),
		ON_A_CHAIN(single_values_blame_nobody),
		ON_A_CHAIN(a_target_of_holes_is_unknown),
		ON_A_CHAIN(a_target_that_was_never_measured_is_unknown),
		ON_A_CHAIN(a_target_never_missed_is_healthy),
		ON_A_CHAIN(a_target_always_missed_has_nothing_to_compare_with),
		ON_A_CHAIN(three_windows_of_history_are_too_few),
		ON_A_CHAIN(an_interval_without_windows_is_unknown),
		ON_A_CHAIN(clock_jumps_leave_the_answer),
		ON_A_CHAIN(windows_in_any_order_and_twice_are_the_same_recording),
		ON_A_CHAIN(self_loops_leave_the_answer),
		ON_A_CHAIN(a_call_cycle_leaves_the_answer),
		ON_A_CHAIN(a_service_without_metrics_is_not_made_up),
		ON_A_CHAIN(a_model_of_bad_data_answers_sanely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
