#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/diagnose.h"

/* '.' met, '#' missed, ' ' no value, '-' no window at all. */
static void draw(struct recording *r, const char *picture, double window_s)
{
	recording_init(r);
	r->series.window_s = window_s;
	uint32_t entity = graph_entity(&r->graph, "user->front");
	uint32_t column = series_column(&r->series, entity, "client_p99_us");

	for (size_t i = 0; picture[i]; i++) {
		if (picture[i] == '-')
			continue;
		long row = series_row(&r->series, (double)i * window_s);

		if (picture[i] != ' ')
			series_set(&r->series, (size_t)row, column, picture[i] == '#' ? 11 : 10);
	}
	r->slo = calloc(1, sizeof(*r->slo));
	assert_non_null(r->slo);
	*r->slo = (struct slo){.entity = entity, .metric = "client_p99_us", .target = 10};
	r->slos = 1;
}

static void expect(const char *picture, double window_s, size_t count, const double *interval)
{
	struct recording r;
	struct violation *v;

	draw(&r, picture, window_s);
	assert_int_equal(diagnose_find_violations(&r, &v), count);
	for (size_t i = 0; i < count; i++) {
		assert_true(v[i].from_s == interval[2 * i] * window_s);
		assert_true(v[i].to_s == interval[2 * i + 1] * window_s);
		assert_ptr_equal(v[i].slo, r.slo);
	}
	free(v);
	recording_clear(&r);
}

static void a_single_short_window_is_no_violation(void **state)
{
	(void)state;
	expect("..#..", 5, 0, NULL);
	expect("..##..", 5, 1, (const double[]){2, 4});
}

static void one_window_is_enough_when_it_is_long(void **state)
{
	(void)state;
	expect("..#..", 30, 1, (const double[]){2, 3});
}

static void gaps_of_two_windows_are_bridged(void **state)
{
	(void)state;
	expect(".#..#.", 5, 1, (const double[]){1, 5});
	expect(".#  #.", 5, 1, (const double[]){1, 5});
	expect(".#--#.", 5, 1, (const double[]){1, 5});
	expect(".##...##", 5, 2, (const double[]){1, 3, 6, 8});
	expect(".##---##", 5, 2, (const double[]){1, 3, 6, 8});
}

static void the_last_window_counts(void **state)
{
	(void)state;
	expect("...##", 1, 1, (const double[]){3, 5});
	expect("", 1, 0, NULL);
	expect("....", 1, 0, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_single_short_window_is_no_violation),
		cmocka_unit_test(one_window_is_enough_when_it_is_long),
		cmocka_unit_test(gaps_of_two_windows_are_bridged),
		cmocka_unit_test(the_last_window_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
