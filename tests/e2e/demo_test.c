/*
 * The main job, end to end: the demo with two faults. Takes minutes, needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/testbed/spawn.h"

#define FAULTS 2

static const json_t *at(const json_t *object, const char *key)
{
	const json_t *found = json_object_get(object, key);

	if (!found)
		print_error("the demo's JSON has no '%s'\n", key);
	assert_non_null(found);
	return found;
}

static void check_fault(const json_t *fault)
{
	static const char *const number[] = {"probability", "seconds_to_diagnosis", "recovered_s"};
	const json_t *p99 = at(fault, "p99_ms");

	assert_true(json_is_string(at(at(fault, "injected"), "service")));
	assert_true(json_is_string(at(at(fault, "injected"), "resource")));
	assert_string_equal(json_string_value(at(at(fault, "diagnosed"), "service")),
		json_string_value(at(at(fault, "injected"), "service")));
	for (int i = 0; i < 3; i++)
		assert_true(json_is_number(at(fault, number[i])));
	assert_true(json_is_true(at(fault, "recovered_by_action")));
	assert_true(
		json_number_value(at(p99, "during")) > 1.5 * json_number_value(at(p99, "before")));
}

static int run_demo(json_t **report)
{
	char json[] = "/tmp/sage-demo-XXXXXX";
	char *argv[] = {SAGE_DEMO, "--once", "--faults", "2", "--seed", "7", "--json", json,
		"--name", "sage-e2e", "--port", "17411", "--http", "18080", NULL};
	const struct spawn how = {0};
	int err, fd = mkstemp(json);

	assert_true(fd >= 0);
	close(fd);
	err = spawn_run(&how, argv);
	*report = json_load_file(json, 0, NULL);
	unlink(json);
	return err;
}

/*
 * Whoever shares the machine may slow the application down in the very minute it is judged, so
 * the demo has a second try; what is broken fails both.
 */
static void two_faults_are_found_and_healed(void **state)
{
	json_t *report, *fault;
	size_t i;
	int err = run_demo(&report);

	(void)state;
	if (err) {
		print_message("the first run did not work (%d), once more\n", err);
		json_decref(report);
		err = run_demo(&report);
	}
	assert_non_null(report);
	assert_int_equal(json_array_size(at(report, "faults")), FAULTS);
	json_array_foreach(json_object_get(report, "faults"), i, fault) check_fault(fault);
	assert_true(json_integer_value(at(at(report, "totals"), "false_alarms")) <= 1);
	assert_true(json_number_value(at(at(report, "totals"), "first_diagnosis_s")) < 300);
	json_decref(report);
	assert_int_equal(err, 0);
}

static void nothing_is_left_behind(void **state)
{
	(void)state;
	assert_int_not_equal(access("/var/lib/sage-e2e", F_OK), 0);
	assert_int_not_equal(access("/run/netns/sage-e2e-net", F_OK), 0);
	assert_int_not_equal(access("/sys/fs/cgroup/cpu/sage-e2e", F_OK), 0);
	assert_int_not_equal(access("/sys/fs/cgroup/sage-e2e", F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_faults_are_found_and_healed),
		cmocka_unit_test(nothing_is_left_behind),
	};

	if (geteuid()) {
		printf("skipped: root is needed for cgroups, namespaces and BPF\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
