/* Medians by halving the range of values, beside those by sorting. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/frame.h"
#include "analyzer/random.h"

#define MOST 301

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double by_sorting(const float *value, size_t count)
{
	float sorted[MOST];
	size_t known = 0;

	for (size_t i = 0; i < count; i++)
		if (!isnan(value[i]))
			sorted[known++] = value[i];
	if (!known)
		return NAN;
	qsort(sorted, known, sizeof(*sorted), ascending);
	return ((double)sorted[(known - 1) / 2] + (double)sorted[known / 2]) / 2;
}

static void expect_median(const float *value, size_t count)
{
	float copy[MOST];
	double expected = by_sorting(value, count), got;

	memcpy(copy, value, count * sizeof(*value));
	got = frame_median(copy, count);
	assert_true(isnan(expected) ? isnan(got) : got == expected);
}

static void medians_are_those_of_sorting(void **state)
{
	struct random random;
	float value[MOST];

	(void)state;
	random_init(&random, 1, 0);
	for (size_t count = 0; count < MOST; count++) {
		random_normals(&random, value, count);
		expect_median(value, count);
		for (size_t i = 0; i < count; i++)
			value[i] = expf(8 * value[i]); /* over many magnitudes */
		expect_median(value, count);
		for (size_t i = 0; i < count; i++)
			value[i] = (float)random_below(&random, 4) - 2; /* ties, both sides of 0 */
		expect_median(value, count);
		for (size_t i = 0; i < count; i += 3)
			value[i] = NAN;
		expect_median(value, count);
	}
}

static void odd_values_have_medians(void **state)
{
	static const float value[][4] = {{0.0F, -0.0F, 0.0F, -0.0F}, {-1, -0.0F, 0.0F, 1},
		{-INFINITY, 1, 2, INFINITY}, {NAN, NAN, NAN, NAN}, {NAN, 7, NAN, NAN},
		{1e-45F, -1e-45F, 3e38F, -3e38F}};

	(void)state;
	for (size_t i = 0; i < sizeof(value) / sizeof(*value); i++)
		for (size_t count = 1; count <= 4; count++)
			expect_median(value[i], count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(medians_are_those_of_sorting),
		cmocka_unit_test(odd_values_have_medians),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
