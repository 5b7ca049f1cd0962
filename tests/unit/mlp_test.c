#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/mlp.h"

#define TILES 2
#define LANES ((size_t)TILES * KERNELS_TILE)
#define STEP 1e-3F
#define MOST 512

static const struct mlp shape = {.inputs = 3, .hidden = 4, .layers = 2, .outputs = 2};

/* What the outputs are weighed by to make one number of them: the gradient at the output. */
static float pull_of(size_t i)
{
	static const float some[] = {0.3F, -0.7F, 1.1F, 0.4F, -0.2F, 0.9F, 0.5F};

	return some[i % 7];
}

static void fill_pull(float pull[LANES * 2])
{
	for (size_t i = 0; i < LANES * 2; i++)
		pull[i] = pull_of(i);
}

static double pulled(const float *weights, const float *x)
{
	float out[LANES * 2], kept[MOST];
	double sum = 0;

	mlp_forward(&shape, out, kept, mlp_inputs(&shape, x), weights, TILES);
	for (size_t i = 0; i < LANES * 2; i++)
		sum += (double)out[i] * (double)pull_of(i);
	return sum;
}

/* Central difference of pulled() by one of its numbers. */
static double slope(float *at, const float *weights, const float *x)
{
	float was = *at;
	double up, down;

	*at = was + STEP;
	up = pulled(weights, x);
	*at = was - STEP;
	down = pulled(weights, x);
	*at = was;
	return (up - down) / (2 * (double)STEP);
}

static void gradients_are_the_slopes_of_the_output(void **state)
{
	float weights[MOST], x[LANES * 3], dx[LANES * 3], last[LANES], grad[MOST] = {0};
	float out[LANES * 2], pull[LANES * 2], kept[MOST], scratch[MOST], spare[MOST];
	size_t count = mlp_parameters(&shape), off = 0;
	struct random random;

	(void)state;
	memset(spare, 0, sizeof(spare));
	random_init(&random, 7, 0);
	mlp_init(&shape, weights, &random);
	random_normals(&random, x, LANES * 3);
	for (size_t i = 0; i < count; i++)
		weights[i] += 0.05F; /* biases off the kink at zero */
	fill_pull(pull);
	mlp_forward(&shape, out, kept, mlp_inputs(&shape, x), weights, TILES);
	mlp_backward(
		&shape, dx, 0, grad, pull, kept, mlp_inputs(&shape, x), weights, TILES, scratch);
	mlp_backward(
		&shape, last, 2, spare, pull, kept, mlp_inputs(&shape, x), weights, TILES, scratch);
	for (size_t i = 0; i < count; i++)
		off += fabs(slope(&weights[i], weights, x) - (double)grad[i]) > 2e-2;
	assert_true(off <= 1); /* a rectifier's kink within the step */
	for (size_t i = 0; i < LANES * 3; i++)
		assert_true(fabs(slope(&x[i], weights, x) - (double)dx[i]) < 2e-2);
	for (size_t i = 0; i < LANES; i++)
		assert_true(last[i] ==
			    dx[(i / KERNELS_TILE * 3 + 2) * KERNELS_TILE + i % KERNELS_TILE]);
}

static void gradients_add_up_over_calls(void **state)
{
	float weights[MOST], x[LANES * 3], once[MOST] = {0}, twice[MOST] = {0};
	float out[LANES * 2], pull[LANES * 2], kept[MOST], scratch[MOST];
	struct random random;

	(void)state;
	random_init(&random, 8, 0);
	mlp_init(&shape, weights, &random);
	random_normals(&random, x, LANES * 3);
	fill_pull(pull);
	mlp_forward(&shape, out, kept, mlp_inputs(&shape, x), weights, TILES);
	mlp_backward(
		&shape, NULL, 0, once, pull, kept, mlp_inputs(&shape, x), weights, TILES, scratch);
	for (int i = 0; i < 2; i++)
		mlp_backward(&shape, NULL, 0, twice, pull, kept, mlp_inputs(&shape, x), weights,
			TILES, scratch);
	for (size_t i = 0; i < mlp_parameters(&shape); i++)
		assert_true(fabsf(2 * once[i] - twice[i]) < 1e-4F);
}

static void parameters_are_counted_with_biases(void **state)
{
	(void)state;
	assert_int_equal(mlp_parameters(&shape), 4 * 3 + 4 + 4 * 4 + 4 + 2 * 4 + 2);
	assert_int_equal(mlp_activations(&shape, TILES), (2 * 4 + 1) * LANES); /* odd lines */
}

static void the_same_seed_starts_the_same(void **state)
{
	float first[MOST], second[MOST];
	struct random random;

	(void)state;
	random_init(&random, 9, 1);
	mlp_init(&shape, first, &random);
	random_init(&random, 9, 1);
	mlp_init(&shape, second, &random);
	assert_memory_equal(first, second, mlp_parameters(&shape) * sizeof(float));
	random_init(&random, 9, 2);
	mlp_init(&shape, second, &random);
	assert_memory_not_equal(first, second, mlp_parameters(&shape) * sizeof(float));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gradients_are_the_slopes_of_the_output),
		cmocka_unit_test(gradients_add_up_over_calls),
		cmocka_unit_test(parameters_are_counted_with_biases),
		cmocka_unit_test(the_same_seed_starts_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
