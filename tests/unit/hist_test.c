#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/hist.h"

static void every_value_lies_in_its_bucket(void **state)
{
	(void)state;
	for (uint64_t v = 1; v < 60000000000ULL; v += v / 37 + 1) {
		unsigned b = hist_bucket(v);

		assert_true(b < HIST_BUCKETS);
		assert_true(hist_bucket_low_ns(b) <= v);
		if (b + 1 < HIST_BUCKETS)
			assert_true(v < hist_bucket_low_ns(b + 1));
	}
}

static void a_value_read_back_is_off_by_at_most_a_64th(void **state)
{
	(void)state;
	for (uint64_t v = 1 << 16; v < 60000000000ULL; v += v / 53) {
		double mid = (double)hist_bucket_mid_ns(hist_bucket(v));

		assert_true(mid > (double)v * (1 - 1.0 / 63) && mid < (double)v * (1 + 1.0 / 63));
	}
}

static void huge_values_land_in_the_last_bucket(void **state)
{
	(void)state;
	assert_int_equal(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
}

static void quantiles_of_a_uniform_spread(void **state)
{
	struct hist *h = calloc(1, sizeof(*h));

	(void)state;
	for (unsigned i = 1; i <= 10000; i++)
		hist_add(h, i * 10000ULL);
	for (unsigned q = 1; q < 100; q++) {
		double got = (double)hist_quantile_ns(h, q / 100.0), want = q * 1e6;

		assert_true(got > want * 0.98 && got < want * 1.02);
	}
	assert_true(hist_mean_ns(h) == 50005000.0);
	free(h);
}

static void merging_adds_up(void **state)
{
	struct hist *h = calloc(3, sizeof(*h));

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		hist_add(&h[i % 2], i * 3000ULL);
		hist_add(&h[2], i * 3000ULL);
	}
	hist_merge(&h[0], &h[1]);
	assert_memory_equal(&h[0], &h[2], sizeof(*h));
	free(h);
}

static void an_empty_histogram_answers_zero(void **state)
{
	struct hist *h = calloc(1, sizeof(*h));

	(void)state;
	assert_int_equal(hist_quantile_ns(h, 0.99), 0);
	assert_true(hist_mean_ns(h) == 0);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_lies_in_its_bucket),
		cmocka_unit_test(a_value_read_back_is_off_by_at_most_a_64th),
		cmocka_unit_test(huge_values_land_in_the_last_bucket),
		cmocka_unit_test(quantiles_of_a_uniform_spread),
		cmocka_unit_test(merging_adds_up),
		cmocka_unit_test(an_empty_histogram_answers_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
