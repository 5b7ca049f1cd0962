#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/traffic.h"

#define WINDOWS 30

static void requests(struct recording *r, const char *entity, float per_s)
{
	uint32_t column =
		series_column(&r->series, graph_entity(&r->graph, entity), "requests_per_s");

	for (size_t w = 0; w < WINDOWS; w++) {
		long row = series_row(&r->series, (double)w * 5);

		series_set(&r->series, (size_t)row, column, per_s);
	}
}

static void open_traffic(struct traffic *t, struct frame *f, const struct recording *r)
{
	struct slo slo = {.entity = graph_find(&r->graph, "user->a"),
		.metric = "requests_per_s",
		.target = 1e9};

	assert_int_equal(frame_open(f, r, &slo, 100, 125, NULL), 0);
	assert_int_equal(traffic_open(t, f, slo.entity), 0);
}

static void close_all(struct traffic *t, struct frame *f, struct recording *r)
{
	traffic_close(t);
	frame_close(f);
	recording_clear(r);
}

static void begin(struct recording *r)
{
	recording_init(r);
	r->series.window_s = 5;
}

static double visits_of(const struct traffic *t, double tail, const char *name)
{
	double visits[16] = {0};

	assert_true(t->g->entities <= 16);
	traffic_visits(t, tail, visits);
	return visits[graph_find(t->g, name)];
}

static void visits_multiply_along_the_calls(void **state)
{
	struct recording r;
	struct traffic t;
	struct frame f;

	(void)state;
	begin(&r);
	requests(&r, "user->a", 100);
	requests(&r, "a->b", 200);
	requests(&r, "b->c", 10);
	open_traffic(&t, &f, &r);
	assert_float_equal(visits_of(&t, 1, "b"), 2, 1e-6);
	assert_float_equal(visits_of(&t, 1, "c"), 0.1, 1e-6);
	assert_float_equal(visits_of(&t, 0.01, "c"), 2, 1e-6);
	close_all(&t, &f, &r);
}

/* Numbers of entities are in the order of their names' first coming, here c before b. */
static void in_a_cycle_who_is_met_first_is_the_caller(void **state)
{
	static const char *const first[] = {"b->c", "c->b"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct recording r;
		struct traffic t;
		struct frame f;

		begin(&r);
		requests(&r, first[i], 100);
		requests(&r, first[1 - i], 100);
		requests(&r, "a->b", 100);
		requests(&r, "user->a", 100);
		open_traffic(&t, &f, &r);
		assert_true(traffic_leads_on(&t, graph_find(&r.graph, "b->c")));
		assert_false(traffic_leads_on(&t, graph_find(&r.graph, "c->b")));
		assert_float_equal(visits_of(&t, 0.01, "c"), 1, 1e-6);
		close_all(&t, &f, &r);
	}
}

static void requests_that_no_call_brings_come_by_one_nobody_saw(void **state)
{
	struct recording r;
	struct traffic t;
	struct frame f;

	(void)state;
	begin(&r);
	requests(&r, "user->a", 100);
	requests(&r, "b", 50);
	requests(&r, "b->c", 50);
	open_traffic(&t, &f, &r);
	assert_float_equal(visits_of(&t, 1, "b"), 0.5, 1e-6);
	assert_float_equal(visits_of(&t, 1, "c"), 0.5, 1e-6);
	close_all(&t, &f, &r);
}

/* What another entry brings is no part of this one's requests. */
static void requests_of_another_entry_are_not_counted(void **state)
{
	struct recording r;
	struct traffic t;
	struct frame f;

	(void)state;
	begin(&r);
	requests(&r, "user->a", 100);
	requests(&r, "user->b", 50);
	requests(&r, "b", 50);
	open_traffic(&t, &f, &r);
	assert_float_equal(visits_of(&t, 1, "b"), 0, 1e-6);
	close_all(&t, &f, &r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(visits_multiply_along_the_calls),
		cmocka_unit_test(in_a_cycle_who_is_met_first_is_the_caller),
		cmocka_unit_test(requests_that_no_call_brings_come_by_one_nobody_saw),
		cmocka_unit_test(requests_of_another_entry_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
