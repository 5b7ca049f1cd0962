/*
 * Simulated incidents, diagnosed from files by the analyzer: better than chance by far, in every
 * shape. The runs are the same each time, so the shares are too; the bounds leave room for methods
 * to change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/e2e/scored.h"
#include "tests/sim/cases.h"

#define LEAST_RIGHT 0.6 /* of incidents, the service first; chance has 0.1 and less */
#define MOST_FALSE 0.2  /* of healthy stretches */

static const struct {
	const char *name, *method;
	unsigned incidents;
} tried[] = {{"social", "robust", 10}, {"social", "guarded", 2}, {"inserted9", "robust", 8},
	{"tree100", "robust", 10}, {"stolen", "robust", 8}};

static double ratio(const json_t *totals, const char *column)
{
	return json_number_value(json_object_get(json_object_get(totals, column), "ratio"));
}

static void score(const char *directory, const char *method)
{
	json_t *totals = scored(directory, method);

	print_message("%s: right first %.2f, with resource %.2f, false alarms %.2f\n", method,
		ratio(totals, "top1"), ratio(totals, "resource_top1"),
		ratio(totals, "false_positives"));
	assert_true(ratio(totals, "top1") >= LEAST_RIGHT);
	assert_true(ratio(totals, "resource_top1") >= LEAST_RIGHT);
	assert_true(ratio(totals, "false_positives") <= MOST_FALSE);
	json_decref(totals);
}

static void forget(const char *directory)
{
	static const char *const files[] = {"graph.csv", "metrics.csv.gz", "placement.csv",
		"slo.csv", "truth.csv", "faults.csv"};
	char path[64];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
		unlink(path);
	}
	rmdir(directory);
}

static void simulated_incidents_are_diagnosed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(tried) / sizeof(*tried); i++) {
		struct sim_case c = *case_find(tried[i].name);
		char directory[] = "/tmp/sage-sim-XXXXXX";
		struct scenario_result result;

		assert_non_null(mkdtemp(directory));
		c.incidents = tried[i].incidents;
		assert_int_equal(case_run(&c, 1, directory, &result), 0);
		print_message("%s, %u incidents\n", c.name, result.incidents);
		score(directory, tried[i].method);
		forget(directory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(simulated_incidents_are_diagnosed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
