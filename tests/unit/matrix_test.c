#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/matrix.h"

/* a [2][3], b [3][2] */
static const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, -1, 2, 3, -2};
static const float a_turned[] = {1, 4, 2, 5, 3, 6}, b_turned[] = {1, -1, 3, 0, 2, -2};
static const float product[] = {8, -2, 17, -2};

static void the_three_forms_agree_with_a_product_by_hand(void **state)
{
	float out[4] = {9, 9, 9, 9};

	(void)state;
	matrix_ab(out, a, b, 2, 2, 3, 0);
	assert_memory_equal(out, product, sizeof(out));
	matrix_abt(out, a, b_turned, 2, 2, 3, 0);
	assert_memory_equal(out, product, sizeof(out));
	matrix_atb(out, a_turned, b, 2, 2, 3, 0);
	assert_memory_equal(out, product, sizeof(out));
}

static void keeping_adds_to_what_was_there(void **state)
{
	float out[4] = {1, 1, 1, 1};

	(void)state;
	matrix_ab(out, a, b, 2, 2, 3, 1);
	for (size_t i = 0; i < 4; i++)
		assert_true(out[i] == product[i] + 1);
}

static void no_inputs_leave_the_output_alone(void **state)
{
	float out[4] = {1, 2, 3, 4};

	(void)state;
	matrix_abt(out, a, b, 2, 2, 0, 1);
	assert_true(out[0] == 1 && out[3] == 4);
}

static void a_start_with_the_core_type_set_goes_on(void **state)
{
	char name[] = "matrix_test", *argv[] = {name, NULL};

	(void)state;
	setenv("OPENBLAS_CORETYPE", "Haswell", 1);
	matrix_start(argv);
	assert_true(strlen(matrix_kernels()) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_forms_agree_with_a_product_by_hand),
		cmocka_unit_test(keeping_adds_to_what_was_there),
		cmocka_unit_test(no_inputs_leave_the_output_alone),
		cmocka_unit_test(a_start_with_the_core_type_set_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
