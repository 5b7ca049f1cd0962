#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/series.h"

static void a_new_column_is_absent_in_every_window(void **state)
{
	struct series s;

	(void)state;
	series_init(&s, 1);
	for (int i = 0; i < 100; i++)
		assert_int_equal(series_row(&s, i), i);
	uint32_t column = series_column(&s, 7, "cpu_cores");

	for (size_t i = 0; i < 100; i++)
		assert_true(isnan(s.column[column].value[i]));
	assert_int_equal(series_find(&s, 7, "cpu_cores"), column);
	assert_int_equal(series_find(&s, 8, "cpu_cores"), SERIES_NONE);
	assert_null(series_values(&s, 7, "mem_bytes"));
	series_clear(&s);
}

static void late_windows_are_inserted_in_order(void **state)
{
	static const double start[] = {50, 10, 40, 20, 30, 10};
	struct series s;

	(void)state;
	series_init(&s, 10);
	uint32_t column = series_column(&s, 0, "m");

	for (size_t i = 0; i < 6; i++)
		series_set(&s, (size_t)series_row(&s, start[i]), column, (float)start[i]);
	assert_int_equal(s.windows, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_true(s.start_s[i] == 10.0 * (double)(i + 1));
		assert_true((double)s.column[column].value[i] == s.start_s[i]);
	}
	series_clear(&s);
}

static void columns_and_rows_may_grow_in_any_order(void **state)
{
	struct series s;

	(void)state;
	series_init(&s, 1);
	for (unsigned i = 0; i < 500; i++) {
		char metric[16];
		long row = series_row(&s, 1000 - (double)i);

		snprintf(metric, sizeof(metric), "m%u", i);
		assert_int_equal(row, 0);
		series_set(&s, 0, series_column(&s, i, metric), (float)i);
	}
	for (uint32_t i = 0; i < 500; i++)
		for (size_t w = 0; w < 500; w++)
			assert_true(w == 499 - i ? s.column[i].value[w] == (float)i
						 : isnan(s.column[i].value[w]));
	series_clear(&s);
}

static void the_columns_of_an_entity_are_listed(void **state)
{
	struct series s;

	(void)state;
	series_init(&s, 5);
	assert_int_equal(series_columns_of(&s, 0), 0);
	series_column(&s, 2, "cpu");
	series_column(&s, 40, "mem");
	series_column(&s, 40, "cpu");
	assert_int_equal(series_columns_of(&s, 2), 1);
	assert_int_equal(series_columns_of(&s, 3), 0);
	assert_int_equal(series_columns_of(&s, 40), 2);
	assert_int_equal(series_columns_of(&s, 1000), 0);
	assert_string_equal(series_metric_of(&s, 40, 0), "cpu");
	assert_string_equal(series_metric_of(&s, 40, 1), "mem");
	series_clear(&s);
}

static void trimming_forgets_the_oldest(void **state)
{
	struct series s;
	size_t from, to;

	(void)state;
	series_init(&s, 1);
	uint32_t column = series_column(&s, 0, "m");

	for (int i = 0; i < 10; i++)
		series_set(&s, (size_t)series_row(&s, i), column, (float)i);
	series_trim(&s, 4);
	assert_int_equal(s.windows, 4);
	assert_true(s.column[column].value[0] == 6);
	series_row(&s, 10);
	assert_true(isnan(s.column[column].value[4]));
	series_range(&s, 7, 9, &from, &to);
	assert_int_equal(from, 1);
	assert_int_equal(to, 3);
	series_range(&s, 90, 80, &from, &to);
	assert_int_equal(from, to);
	series_clear(&s);
}

static void a_copy_stands_alone(void **state)
{
	struct series s, copy;

	(void)state;
	series_init(&s, 5);
	uint32_t column = series_column(&s, 3, "m");

	series_set(&s, (size_t)series_row(&s, 5), column, 2);
	assert_int_equal(series_copy(&copy, &s), 0);
	series_clear(&s);
	assert_true(series_values(&copy, 3, "m")[0] == 2);
	assert_true(copy.window_s == 5 && copy.start_s[0] == 5);
	series_clear(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_column_is_absent_in_every_window),
		cmocka_unit_test(late_windows_are_inserted_in_order),
		cmocka_unit_test(columns_and_rows_may_grow_in_any_order),
		cmocka_unit_test(the_columns_of_an_entity_are_listed),
		cmocka_unit_test(trimming_forgets_the_oldest),
		cmocka_unit_test(a_copy_stands_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
