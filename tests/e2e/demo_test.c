/*
 * The main job, end to end: the demo with two faults. Takes minutes, needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/testbed/spawn.h"

#define FAULTS 2

/* Of this process, so that two can run side by side. */
static char name[24];

static int open_port(char text[8])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	snprintf(text, 8, "%u", ntohs(at.sin_port));
	return fd;
}

/* Two ports nobody uses; open until both are known, so that they differ. */
static void find_ports(char port[8], char http[8])
{
	int one = open_port(port), other = open_port(http);

	close(one);
	close(other);
}

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
	char json[] = "/tmp/sage-demo-XXXXXX", port[8], http[8];
	char *argv[] = {SAGE_DEMO, "--once", "--faults", "2", "--seed", "7", "--json", json,
		"--name", name, "--port", port, "--http", http, NULL};
	const struct spawn how = {0};
	int err, fd = mkstemp(json);

	assert_true(fd >= 0);
	close(fd);
	find_ports(port, http);
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
	static const char *const place[] = {
		"/var/lib/%s", "/run/netns/%s-net", "/sys/fs/cgroup/cpu/%s", "/sys/fs/cgroup/%s"};

	(void)state;
	for (size_t i = 0; i < sizeof(place) / sizeof(*place); i++) {
		char path[64];

		snprintf(path, sizeof(path), place[i], name);
		assert_int_not_equal(access(path, F_OK), 0);
	}
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
	snprintf(name, sizeof(name), "sage-e2e-%d", getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
