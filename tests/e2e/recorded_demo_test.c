/* A recorded demo, from files alone, with every method a user may choose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/e2e/scored.h"

/* How many of the recording's four incidents `method` has right in `column`. */
static json_int_t right(const char *method, const char *column)
{
	json_t *totals = scored(SAGE_RECORDING, method);
	json_int_t count;

	assert_int_equal(json_integer_value(json_object_get(totals, "cases")), 4);
	count = json_integer_value(json_object_get(json_object_get(totals, column), "count"));
	json_decref(totals);
	return count;
}

/* Before a model exists, and with one. */
static void the_recorded_demo_is_answered_right(void **state)
{
	static const char *const method[] = {"robust", "guarded"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(right(method[i], "top1"), 4);
		assert_int_equal(right(method[i], "resource_top1"), 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_recorded_demo_is_answered_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
