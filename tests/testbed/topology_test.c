#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/testbed/topology.h"

static int load_text(struct topology *t, const char *text, char error[256])
{
	char path[] = "/tmp/topology-XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	err = topology_load(t, path, error, 256);
	unlink(path);
	return err;
}

static void reads_services_calls_and_load(void **state)
{
	struct topology t;
	char error[256];

	(void)state;
	assert_int_equal(load_text(&t,
				 "# comment\nload rate=70 swing=0.1\n"
				 "service web protocol=http cpu_us=300 quota=0.5\n"
				 "service cache kind=redis # trailing\n"
				 "call web cache step=2 chance=0.5\n",
				 error),
		0);
	assert_int_equal(t.services, 2);
	assert_true(t.rate > 69.9 && t.rate < 70.1);
	assert_int_equal(t.service[0].protocol, PROTOCOL_HTTP);
	assert_int_equal(t.service[1].protocol, PROTOCOL_REDIS);
	assert_int_equal(t.service[1].port, 6379);
	assert_int_equal(t.service[0].calls, 1);
	assert_int_equal(t.service[0].call[0].callee, 1);
	assert_int_equal(t.service[0].call[0].step, 2);
}

static void bad_lines_are_named_and_change_nothing(void **state)
{
	static const struct {
		const char *text, *complaint;
	} bad[] = {
		{"service a\nservice a\n", ":2: service a is there twice"},
		{"service a quota=-1\n", ":1: quota=-1"},
		{"service a quota=x\n", ":1: quota=x"},
		{"service a colour=red\n", "unknown key 'colour'"},
		{"service a kind=mysql\n", "kind=mysql"},
		{"service a\ncall a b\n", ":2: call a b"},
		{"service a\nservice b\ncall a b step=2\ncall a b step=1\n", ":4: step=1"},
		{"servce a\n", "'servce'"},
		{"service a/b\n", "needs a name"},
		{"# nothing\n", "no service"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct topology t = {.services = 7};
		char error[256];

		assert_int_equal(load_text(&t, bad[i].text, error), -EINVAL);
		assert_non_null(strstr(error, bad[i].complaint));
		assert_int_equal(t.services, 7);
	}
}

static void shipped_topologies_load(void **state)
{
	static const struct {
		const char *file;
		size_t services;
	} shipped[] = {{"social", 13}, {"chain10", 10}, {"fanout10", 11}};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char path[512], error[256];
		struct topology t;

		snprintf(path, sizeof(path), "%s/%s.conf", SAGE_TOPOLOGIES, shipped[i].file);
		assert_int_equal(topology_load(&t, path, error, sizeof(error)), 0);
		assert_int_equal(t.services, shipped[i].services);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_services_calls_and_load),
		cmocka_unit_test(bad_lines_are_named_and_change_nothing),
		cmocka_unit_test(shipped_topologies_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
