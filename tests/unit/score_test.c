#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/score.h"

#define CASES 40

/* A graph of services a, b, c; an answer that ranks them in this order and names the first `named`.
 */
struct scene {
	struct graph g;
	struct truth truth[2];
	struct candidate candidate[3];
	struct diagnosis d;
};

static int scene_open(void **state)
{
	static const char *const name[] = {"a", "b", "c"};
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	graph_init(&s->g);
	for (int i = 0; i < 3; i++)
		s->candidate[i] = (struct candidate){.service = graph_service(&s->g, name[i]),
			.resource = RESOURCE_CPU,
			.culprit = i == 0};
	s->d = (struct diagnosis){.verdict = VERDICT_DIAGNOSED,
		.candidate = s->candidate,
		.candidates = 3,
		.counterfactual.probability = 0.9};
	*state = s;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *s = *state;

	graph_clear(&s->g);
	free(s);
	return 0;
}

static struct score_case hold(struct scene *s, const char *first, const char *second)
{
	struct incident_truth t = {.row = s->truth, .rows = second ? 2 : 1};

	s->truth[0] = (struct truth){.resource = RESOURCE_CPU};
	s->truth[1] = s->truth[0];
	strcpy(s->truth[0].service, first);
	if (second)
		strcpy(s->truth[1].service, second);
	return score_answer(&t, &s->d, &s->g);
}

static void a_right_answer_is_right_in_every_column(void **state)
{
	struct score_case c = hold(*state, "a", NULL);

	assert_true(c.top1 && c.top3 && c.exact && c.resource && c.covered);
	assert_true(c.probability == 0.9);
}

static void of_a_call_the_callee_is_to_be_named(void **state)
{
	assert_true(hold(*state, "c->a", NULL).top1);
	assert_false(hold(*state, "a->c", NULL).top1);
}

static void a_lower_place_is_no_first_place(void **state)
{
	struct score_case c = hold(*state, "c", NULL);

	assert_false(c.top1 || c.exact || c.resource || c.covered);
	assert_true(c.top3);
	assert_false(hold(*state, "d", NULL).top3);
}

static void a_set_is_exact_only_without_others_and_whole(void **state)
{
	struct scene *s = *state;

	assert_false(hold(s, "a", "b").exact);
	assert_false(hold(s, "a", "b").covered);
	s->candidate[1].culprit = true;
	assert_true(hold(s, "a", "b").exact);
	assert_true(hold(s, "b", "b").covered);
	assert_false(hold(s, "b", "b").exact);
	s->candidate[2].culprit = true;
	assert_false(hold(s, "a", "b").exact);
	assert_true(hold(s, "a", "b").covered);
}

static void without_a_diagnosis_nothing_was_promised(void **state)
{
	struct scene *s = *state;

	s->d.verdict = VERDICT_UNKNOWN;
	assert_true(isnan(hold(s, "a", NULL).probability));
}

static struct totals total(const struct score_case *c, size_t cases)
{
	struct totals t;

	assert_int_equal(score_total(c, cases, &t), 0);
	return t;
}

/* Three of four right, half of the stretches alarmed; what is said is three quarters, too. */
static void make_cases(struct score_case c[CASES])
{
	for (int i = 0; i < CASES; i++) {
		bool right = i % 4 != 0;

		c[i] = (struct score_case){.verdict = VERDICT_DIAGNOSED,
			.top1 = right,
			.covered = right,
			.probability = 0.75,
			.seconds = 0.1 * (i % 2)};
	}
}

static void shares_have_an_interval_around_them(void **state)
{
	struct score_case c[CASES];
	struct totals t, again;

	(void)state;
	make_cases(c);
	t = total(c, CASES);
	again = total(c, CASES);
	assert_int_equal(t.incidents, CASES);
	assert_int_equal(t.top1.count, 30);
	assert_int_equal(t.top1.of, CASES);
	assert_true(t.top1.ratio.value == 0.75);
	/* two sided 90 % of a binomial share: 0.75 -/+ 1.64 * sqrt(0.75 * 0.25 / 40) */
	assert_true(fabs(t.top1.ratio.low - 0.64) < 0.03);
	assert_true(fabs(t.top1.ratio.high - 0.86) < 0.03);
	assert_true(t.top1.ratio.low == again.top1.ratio.low);
	assert_true(fabs(t.seconds.value - 0.05) < 1e-9);
	assert_true(t.seconds.low < 0.05 && t.seconds.high > 0.05);
	assert_int_equal(t.resource.of, 0);
	assert_true(isnan(t.resource.ratio.value));
	assert_true(isnan(t.training_s.value));
}

static void promises_kept_as_often_as_said_are_calibrated(void **state)
{
	struct score_case c[CASES];
	struct totals t;

	(void)state;
	make_cases(c);
	t = total(c, CASES);
	assert_int_equal(t.calibration.of, CASES);
	assert_int_equal(t.calibration.bin[7].count, CASES);
	assert_int_equal(t.calibration.bin[7].true_count, 30);
	assert_true(fabs(t.calibration.bin[7].said - 0.75) < 1e-9);
	assert_true(t.calibration.error.value < 1e-9);
	for (int i = 0; i < CASES; i++)
		c[i].probability = i < CASES / 2 ? 1 : 0.5;
	t = total(c, CASES);
	assert_true(fabs(t.calibration.error.value - 0.25) < 1e-9);
	assert_int_equal(t.calibration.bin[SCORE_BINS - 1].count, CASES / 2);
	assert_true(t.calibration.error.low <= 0.25 && t.calibration.error.high >= 0.25);
}

static void healthy_stretches_count_false_alarms_alone(void **state)
{
	struct score_case c[CASES];
	struct totals t;

	(void)state;
	make_cases(c);
	for (int i = 0; i < CASES; i++) {
		c[i].healthy = true;
		c[i].verdict = i % 2 ? VERDICT_DIAGNOSED : VERDICT_HEALTHY;
	}
	t = total(c, CASES);
	assert_int_equal(t.incidents, 0);
	assert_int_equal(t.stretches, CASES);
	assert_int_equal(t.false_positive.count, CASES / 2);
	assert_int_equal(t.top1.of, 0);
	assert_int_equal(t.calibration.of, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_right_answer_is_right_in_every_column, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(
			of_a_call_the_callee_is_to_be_named, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(
			a_lower_place_is_no_first_place, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(
			a_set_is_exact_only_without_others_and_whole, scene_open, scene_close),
		cmocka_unit_test_setup_teardown(
			without_a_diagnosis_nothing_was_promised, scene_open, scene_close),
		cmocka_unit_test(shares_have_an_interval_around_them),
		cmocka_unit_test(promises_kept_as_often_as_said_are_calibrated),
		cmocka_unit_test(healthy_stretches_count_false_alarms_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
