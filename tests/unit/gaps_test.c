/* Whose link it is that time is lost on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "analyzer/robust.h"
#include "planted.h"

#define FROM 48
#define TO 54

static void set(struct recording *r, const char *edge, const char *metric, float value)
{
	uint32_t column = series_find(&r->series, graph_find(&r->graph, edge), metric);

	assert_int_not_equal(column, SERIES_NONE);
	for (unsigned w = FROM; w < TO; w++)
		series_set(&r->series, w, column, value);
}

/* Nothing was lost before. */
static void lose(struct recording *r, const char *edge, float ratio)
{
	uint32_t column =
		series_column(&r->series, graph_find(&r->graph, edge), "net_retransmit_ratio");

	assert_int_not_equal(column, SERIES_NONE);
	for (size_t w = 0; w < r->series.windows; w++)
		series_set(&r->series, w, column, 0);
	set(r, edge, "net_retransmit_ratio", ratio);
}

/* A chain in which answers of s4 come late to s3, over a link that loses segments. */
static void make(struct recording *r)
{
	const struct planted p = {.shape = SHAPE_CHAIN,
		.windows = 60,
		.requests = 40,
		.window_s = 5,
		.statistics = "p99 mean",
		.metrics = PLANTED_ALL,
		.from = FROM,
		.to = TO};

	planted_make(r, &p);
	set(r, "s3->s4", "network_p99_us", 80000);
	set(r, "s3->s4", "network_mean_us", 20000);
	set(r, "s3->s4", "client_p99_us", 100000);
	set(r, "s3->s4", "client_mean_us", 40000);
	lose(r, "s3->s4", 0.05F);
	set(r, "user->s0", "client_p99_us", 120000);
}

static void assert_first(struct recording *r, const char *service)
{
	struct diagnosis d;

	assert_int_equal(
		robust_rank(&d, r, r->slo, r->series.start_s[FROM], r->series.start_s[TO], NULL),
		0);
	assert_int_equal(d.verdict, VERDICT_DIAGNOSED);
	assert_string_equal(r->graph.entity[d.candidate[0].service].name, service);
	assert_int_equal(d.candidate[0].resource, RESOURCE_NETWORK);
	diagnosis_clear(&d);
}

static void a_gap_alone_is_the_callees(void **state)
{
	struct recording r;

	(void)state;
	make(&r);
	assert_first(&r, "s4");
	recording_clear(&r);
}

/* s4 has no part in the calls of s2 to s3, whose time shows nothing yet. */
static void segments_lost_in_other_calls_of_the_caller_make_it_the_callers(void **state)
{
	struct recording r;

	(void)state;
	make(&r);
	lose(&r, "s2->s3", 0.05F);
	assert_first(&r, "s3");
	recording_clear(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gap_alone_is_the_callees),
		cmocka_unit_test(segments_lost_in_other_calls_of_the_caller_make_it_the_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
