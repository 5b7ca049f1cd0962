/* What an answer says beside the name: the metric with and without the cause, and who it was not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/prospect.h"
#include "analyzer/robust.h"
#include "planted.h"

static struct planted chain(unsigned culprit, enum resource resource)
{
	return (struct planted){.shape = SHAPE_CHAIN,
		.seed = 3,
		.windows = 60,
		.requests = 40,
		.window_s = 5,
		.statistics = "p99 mean",
		.metrics = PLANTED_ALL,
		.culprit = culprit,
		.resource = resource,
		.from = 48,
		.to = 54};
}

static struct diagnosis answer(struct recording *r, const struct planted *p)
{
	struct diagnosis d;

	planted_make(r, p);
	assert_int_equal(robust_rank(&d, r, r->slo, r->truth->from_s, r->truth->to_s, NULL), 0);
	return d;
}

static const char *why_not(const struct diagnosis *d, const struct recording *r, const char *name)
{
	for (size_t i = 0; i < d->ruled; i++)
		if (d->ruled_out[i].service == graph_find(&r->graph, name))
			return d->ruled_out[i].why;
	return "";
}

static void assert_ascending(const struct spread *s)
{
	assert_true(s->p50 <= s->p90 && s->p90 <= s->p99);
}

static void the_metric_is_told_with_and_without_the_cause(void **state)
{
	struct planted p = chain(5, RESOURCE_CPU);
	struct recording r;
	struct diagnosis d = answer(&r, &p);
	const struct counterfactual *c = &d.counterfactual;

	(void)state;
	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_ascending(&c->with);
	assert_ascending(&c->without);
	assert_true(fabs(c->with.p50 - c->observed) < 1e-3 * c->observed);
	assert_true(c->with.p50 > c->target && c->without.p50 < c->target);
	assert_true(c->restored == c->without.p50);
	assert_true(fabs(c->normal - c->restored) < 0.2 * c->normal);
	assert_true(c->probability > 0.8 && c->probability <= 1);
	assert_true(diagnosis_confidence(&d) > 0.5);
	diagnosis_clear(&d);
	recording_clear(&r);
}

static void who_only_waits_for_the_cause_is_ruled_out(void **state)
{
	struct planted p = chain(5, RESOURCE_CPU);
	struct recording r;
	struct diagnosis d = answer(&r, &p);

	(void)state;
	assert_non_null(strstr(why_not(&d, &r, "s4"), "through the calls it makes"));
	assert_string_equal(why_not(&d, &r, "s9"), ""); /* nothing of it moved */
	diagnosis_clear(&d);
	recording_clear(&r);
}

static void a_counter_that_moved_without_time_is_no_cause(void **state)
{
	struct planted p = chain(5, RESOURCE_CODE);
	struct recording r;
	struct diagnosis d;
	uint32_t column, service;

	(void)state;
	planted_make(&r, &p);
	service = graph_find(&r.graph, "s8");
	column = series_find(&r.series, service, "cpu_throttled_ratio");
	for (unsigned w = p.from; w < p.to; w++)
		series_set(&r.series, w, column, 0.7F);
	assert_int_equal(robust_rank(&d, &r, r.slo, r.truth->from_s, r.truth->to_s, NULL), 0);
	assert_int_equal(d.candidate[0].service, graph_find(&r.graph, "s5"));
	assert_non_null(strstr(why_not(&d, &r, "s8"), "cpu_throttled_ratio moved"));
	assert_non_null(strstr(why_not(&d, &r, "s8"), "no time was added"));
	/* nor would it help to act there */
	assert_true(d.candidate[0].restored < d.counterfactual.target);
	assert_true(d.candidate[0].met > 0.8);
	assert_int_equal(d.candidate[1].service, service);
	assert_true(d.candidate[1].restored > d.counterfactual.target);
	assert_true(d.candidate[1].met < 0.5);
	diagnosis_clear(&d);
	recording_clear(&r);
}

static void a_surge_explains_who_else_is_slow(void **state)
{
	struct planted p = chain(0, RESOURCE_WORKLOAD);
	struct recording r;
	struct diagnosis d = answer(&r, &p);

	(void)state;
	assert_int_equal(d.candidate[0].resource, RESOURCE_WORKLOAD);
	assert_true(d.ruled > 0);
	for (size_t i = 0; i < d.ruled; i++)
		if (strstr(d.ruled_out[i].why, "of the rise"))
			assert_non_null(strstr(d.ruled_out[i].why, "under the same surge"));
	assert_true(d.counterfactual.probability > 0.9);
	diagnosis_clear(&d);
	recording_clear(&r);
}

static void a_culprit_is_not_shown_as_ruled_out(void **state)
{
	struct planted p = chain(5, RESOURCE_CPU);
	struct recording r;
	struct diagnosis d = answer(&r, &p);
	json_t *o = diagnosis_to_json(&d, &r.graph), *list = json_object_get(o, "ruled_out"), *one;
	size_t i;

	(void)state;
	assert_true(json_array_size(list) > 0);
	json_array_foreach(list, i, one)
		assert_string_not_equal(json_string_value(json_object_get(one, "service")), "s5");
	assert_true(json_is_number(json_object_get(o, "confidence")));
	json_decref(o);
	diagnosis_clear(&d);
	recording_clear(&r);
}

/* ---- prospects ---- */

static void weights_move_the_quantiles(void **state)
{
	static const float low[] = {1, 2, NAN, 3}, high[] = {100, 200};
	struct prospect p;
	struct spread s;

	(void)state;
	assert_int_equal(prospect_open(&p, 6), 0);
	prospect_add(&p, low, 4, 0.9);
	prospect_add(&p, high, 2, 0.1);
	s = prospect_spread(&p);
	assert_true(s.p50 == 2);
	assert_true(s.p90 == 51.5); /* between 3 and 100: nine tenths are exactly there */
	assert_true(s.p99 == 200);
	assert_true(fabs(prospect_within(&p, 50) - 0.9) < 1e-9);
	assert_true(fabs(prospect_within(&p, 100) - 0.95) < 1e-9);
	prospect_close(&p);
}

static void nothing_known_promises_nothing(void **state)
{
	static const float unknown[] = {NAN, NAN};
	struct prospect p;

	(void)state;
	assert_int_equal(prospect_open(&p, 2), 0);
	prospect_add(&p, unknown, 2, 1);
	assert_true(isnan(prospect_spread(&p).p50));
	assert_true(isnan(prospect_within(&p, 1)));
	prospect_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_metric_is_told_with_and_without_the_cause),
		cmocka_unit_test(who_only_waits_for_the_cause_is_ruled_out),
		cmocka_unit_test(a_counter_that_moved_without_time_is_no_cause),
		cmocka_unit_test(a_surge_explains_who_else_is_slow),
		cmocka_unit_test(a_culprit_is_not_shown_as_ruled_out),
		cmocka_unit_test(weights_move_the_quantiles),
		cmocka_unit_test(nothing_known_promises_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
