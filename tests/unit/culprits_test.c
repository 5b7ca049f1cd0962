/* Who belongs to the answer beside the first: by what each adds alone, and what others do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "analyzer/alone.h"
#include "analyzer/diagnose.h"
#include "analyzer/robust.h"
#include "planted.h"

/* s5 of a chain lacks memory, and all wait for it. */
static struct planted lacks_memory(void)
{
	return (struct planted){.shape = SHAPE_CHAIN,
		.windows = 60,
		.requests = 40,
		.window_s = 5,
		.statistics = "p99 p95 mean",
		.metrics = PLANTED_ALL,
		.culprit = 5,
		.resource = RESOURCE_MEMORY,
		.from = 48,
		.to = 54};
}

static void set(struct recording *r, const struct planted *p, const char *entity,
	const char *metric, float value)
{
	uint32_t column = series_find(&r->series, graph_find(&r->graph, entity), metric);

	assert_int_not_equal(column, SERIES_NONE);
	for (unsigned w = p->from; w < p->to; w++)
		series_set(&r->series, w, column, value);
}

static float in_incident(const struct recording *r, const char *entity, const char *metric)
{
	const float *value = series_values(&r->series, graph_find(&r->graph, entity), metric);

	assert_non_null(value);
	return value[50];
}

/* So much own time instead, which its latency holds too. */
static void set_own(struct recording *r, const struct planted *p, const char *service, float p99_us,
	float mean_us)
{
	float waits_p99_us =
		in_incident(r, service, "server_p99_us") - in_incident(r, service, "self_p99_us");
	float waits_mean_us =
		in_incident(r, service, "server_mean_us") - in_incident(r, service, "self_mean_us");

	set(r, p, service, "self_p99_us", p99_us);
	set(r, p, service, "self_mean_us", mean_us);
	set(r, p, service, "server_p99_us", waits_p99_us + p99_us);
	set(r, p, service, "server_mean_us", waits_mean_us + mean_us);
}

static bool blames(struct recording *r, const char *service)
{
	struct diagnosis d;
	bool blamed;

	assert_int_equal(robust_rank(&d, r, r->slo, r->truth->from_s, r->truth->to_s, NULL), 0);
	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_true(diagnosis_blames(&d, graph_find(&r->graph, "s5")));
	blamed = diagnosis_blames(&d, graph_find(&r->graph, service));
	diagnosis_clear(&d);
	return blamed;
}

/* Two seconds for the first; a hundredth of it is enough to miss the target. */
static void make_outage(struct recording *r, const struct planted *p)
{
	planted_make(r, p);
	set_own(r, p, "s5", 2e6F, 1.5e6F);
	set(r, p, "user->s0", "client_p99_us", 2.02e6F);
	set_own(r, p, "s8", 25000, 9000);
}

static void a_hundredth_of_an_outage_that_alone_misses_the_target_is_named(void **state)
{
	struct planted p = lacks_memory();
	struct recording r;

	(void)state;
	make_outage(&r, &p);
	set(&r, &p, "s8", "cpu_throttled_ratio", 0.6F);
	assert_true(blames(&r, "s8"));
	recording_clear(&r);
}

/* A model is asked about all of the rise, of which the second has a hundredth. */
static void a_model_does_not_take_it_away(void **state)
{
	struct planted p = lacks_memory();
	struct model_options o;
	struct recording r;
	struct diagnosis d;
	struct model *m;

	(void)state;
	make_outage(&r, &p);
	set(&r, &p, "s8", "cpu_throttled_ratio", 0.6F);
	model_options_default(&o);
	o.epochs = 2;
	assert_int_equal(model_train(&m, &r, r.slo, NULL, &o), 0);
	assert_int_equal(
		diagnose(&d, &r, r.slo, r.truth->from_s, r.truth->to_s, NULL, m, METHOD_GUARDED),
		0);
	assert_string_equal(d.method, "guarded");
	assert_true(diagnosis_blames(&d, graph_find(&r.graph, "s5")));
	assert_true(diagnosis_blames(&d, graph_find(&r.graph, "s8")));
	diagnosis_clear(&d);
	model_free(m);
	recording_clear(&r);
}

static void the_same_with_nothing_to_show_below_the_culprit_is_not(void **state)
{
	struct planted p = lacks_memory();
	struct recording r;

	(void)state;
	make_outage(&r, &p);
	assert_false(blames(&r, "s8"));
	recording_clear(&r);
}

static void put_on_host(struct recording *r, const char *service, const char *host)
{
	uint32_t number = graph_host(&r->graph, host);

	assert_int_not_equal(number, GRAPH_NONE);
	r->graph.entity[graph_find(&r->graph, service)].host = number;
}

/* Who lacks memory reads the disk all the time, for whom it is slow then. */
static void a_disk_is_slow_for_those_who_share_it(void **state)
{
	static const char *const host[] = {"host:one", "host:other"};

	(void)state;
	for (int other = 0; other < 2; other++) {
		struct planted p = lacks_memory();
		struct recording r;

		make_outage(&r, &p);
		set(&r, &p, "s8", "blk_wait_ratio", 0.9F);
		put_on_host(&r, "s5", host[0]);
		put_on_host(&r, "s8", host[other]);
		assert_int_equal(blames(&r, "s8"), other);
		recording_clear(&r);
	}
}

/*
 * s2 waits for s5. Own time beyond that in the tail, and less in the mean, is no queue of those who
 * wait; where most requests take so long it may be one.
 */
static void own_time_past_all_waits_is_no_wait(void **state)
{
	(void)state;
	for (int queue = 0; queue < 2; queue++) {
		struct planted p = lacks_memory();
		struct recording r;
		float waits_p99_us, waits_mean_us;

		planted_make(&r, &p);
		waits_p99_us = in_incident(&r, "s2", "server_p99_us");
		waits_mean_us = in_incident(&r, "s2", "server_mean_us");
		set_own(&r, &p, "s2", 1.6F * waits_p99_us, (queue ? 1.05F : 0.2F) * waits_mean_us);
		set(&r, &p, "user->s0", "client_p99_us", 3 * waits_p99_us);
		assert_int_equal(blames(&r, "s2"), !queue);
		recording_clear(&r);
	}
}

static double added_by(struct recording *r, const char *service)
{
	struct suspicion s;
	struct frame f;
	float *scratch;
	double added;

	assert_int_equal(frame_open(&f, r, r->slo, r->truth->from_s, r->truth->to_s, NULL), 0);
	assert_int_equal(suspicion_open(&s, &f, r->slo), 0);
	scratch = malloc(f.total * sizeof(*scratch));
	assert_non_null(scratch);
	added = alone_added(&s, graph_find(&r->graph, service), scratch);
	free(scratch);
	suspicion_close(&s);
	frame_close(&f);
	return added;
}

/* Where not all requests come by, a hundredth of all is more of those: between their p95 and p99.
 */
static void a_tail_of_few_requests_adds_less(void **state)
{
	struct planted p = lacks_memory();
	struct recording r;
	double tail, most;

	(void)state;
	p.shape = SHAPE_TREE;
	planted_make(&r, &p);
	set_own(&r, &p, "s8", 40000, 3500);
	tail = added_by(&r, "s8");
	set(&r, &p, "s8", "self_p95_us", 40000);
	most = added_by(&r, "s8");
	assert_true(most > 30000 && most < 40000);
	assert_true(tail > 0 && tail < 0.7 * most);
	recording_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundredth_of_an_outage_that_alone_misses_the_target_is_named),
		cmocka_unit_test(a_model_does_not_take_it_away),
		cmocka_unit_test(the_same_with_nothing_to_show_below_the_culprit_is_not),
		cmocka_unit_test(a_disk_is_slow_for_those_who_share_it),
		cmocka_unit_test(own_time_past_all_waits_is_no_wait),
		cmocka_unit_test(a_tail_of_few_requests_adds_less),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
