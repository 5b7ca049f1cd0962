/* The load generator's arrivals and its record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/testbed/arrivals.h"
#include "tests/testbed/record.h"

static void gaps_are_exponential_with_the_wanted_mean(void **state)
{
	const struct topology t = {.rate = 100, .period_s = 60};
	enum { COUNT = 200000 };
	struct arrivals a;
	double mean, square = 0;
	uint64_t last = 0;

	(void)state;
	arrivals_init(&a, &t, 0, 7);
	for (int i = 0; i < COUNT; i++) {
		uint64_t due = arrivals_take(&a);
		double gap = (double)(due - last) * 1e-9;

		square += gap * gap;
		last = due;
	}
	mean = (double)last * 1e-9 / COUNT;
	assert_true(fabs(mean - 0.01) < 0.0002);
	/* An exponential's second moment is twice the square of its mean. */
	assert_true(fabs(square / COUNT / (mean * mean) - 2) < 0.1);
}

static void factor_multiplies_the_rate(void **state)
{
	const struct topology t = {.rate = 50, .period_s = 60};
	struct arrivals a;
	uint64_t from;

	(void)state;
	arrivals_init(&a, &t, 0, 7);
	a.factor = 4;
	from = arrivals_take(&a);
	for (int i = 0; i < 20000; i++)
		arrivals_take(&a);
	assert_true(fabs((double)(a.next_ns - from) * 1e-9 - 100) < 5);
}

static void seconds_read_back_merge_into_one_histogram(void **state)
{
	char path[] = "/tmp/record-XXXXXX";
	struct record_second one = {.time = 100, .rate = 10, .sent = 2, .done = 2};
	struct record_second two = {.time = 101, .rate = 20, .sent = 3, .done = 1, .errors = 2};
	struct record_second sum;
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	(void)state;
	assert_non_null(f);
	hist_add(&one.latency, 1000000);
	hist_add(&one.latency, 2000000);
	hist_add(&two.latency, 900000000);
	record_write_header(f);
	record_write(f, &one);
	record_write(f, &two);
	fputs("102,1.0,9,9", f); /* cut off while being written */
	fclose(f);
	assert_int_equal(record_read(path, 100, 110, &sum), 2);
	assert_int_equal(sum.done, 3);
	assert_int_equal(sum.errors, 2);
	assert_int_equal(sum.latency.total, 3);
	assert_true(fabs((double)hist_quantile_ns(&sum.latency, 1) * 1e-9 - 0.9) < 0.03);
	assert_int_equal(record_read(path, 101, 102, &sum), 1);
	assert_int_equal(sum.done, 1);
	unlink(path);
	assert_int_equal(record_read(path, 0, 1, &sum), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gaps_are_exponential_with_the_wanted_mean),
		cmocka_unit_test(factor_multiplies_the_rate),
		cmocka_unit_test(seconds_read_back_merge_into_one_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
