/*
 * `sage-analyzer serve --agents-key` and three real agents: only the one with the key of its own
 * name is believed. The others keep their windows.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "agent/control.h"
#include "common/clock.h"
#include "tests/testbed/api.h"
#include "transport_fixture.h"

#define START_NS 120000000000ULL /* an agent may wait long for a CPU */

enum { RIGHT, OTHERS, NONE, AGENTS };

static const char *const node[AGENTS] = {"right", "others", "none"};

static pid_t analyzer, agent[AGENTS];
static int port;
static struct api api;
static double strangers_before; /* the agent under way */

static void start_analyzer(void)
{
	char listen[64], http[64], data[160], key[160], base[64];
	char *arguments[] = {
		(char *)(uintptr_t)SAGE_ANALYZER, (char[]){"serve"}, listen, http, data, key, NULL};
	int http_port = free_port();

	port = free_port();
	snprintf(listen, sizeof(listen), "--listen=tcp://127.0.0.1:%d", port);
	snprintf(http, sizeof(http), "--http=127.0.0.1:%d", http_port);
	snprintf(data, sizeof(data), "--data=%s", in_dir("data"));
	snprintf(key, sizeof(key), "--agents-key=%s", in_dir("master"));
	snprintf(base, sizeof(base), "http://127.0.0.1:%d", http_port);
	assert_int_equal(api_open(&api, base), 0);
	analyzer = spawn_helper(arguments);
}

static const char *control_of(int which)
{
	return in_dir(node[which]);
}

static double strangers(void)
{
	json_t *status = api_get(&api, "/api/v1/status");
	double count = api_number(status, "intake.strangers");

	json_decref(status);
	return count;
}

static void start_agent(int which, const char *key_file)
{
	char name[64], url[64], control[160], state[160], key[160];
	char *arguments[] = {(char *)(uintptr_t)SAGE_AGENT, (char[]){"run"}, name, url, control,
		state, key_file ? key : NULL, NULL};

	snprintf(name, sizeof(name), "--node=%s", node[which]);
	snprintf(url, sizeof(url), "--analyzer=tcp://127.0.0.1:%d", port);
	snprintf(control, sizeof(control), "--control=%s", control_of(which));
	snprintf(state, sizeof(state), "--state=%s", in_dir("state"));
	if (key_file)
		snprintf(key, sizeof(key), "--agent-key=%s", in_dir(key_file));
	strangers_before = strangers();
	agent[which] = spawn_helper(arguments);
}

static int start(void **state)
{
	char command[1024];

	if (make_dir(state))
		return -1;
	snprintf(command, sizeof(command),
		"cd %s && umask 077 && openssl rand -hex 32 >master && "
		"%s agent-key master right >right.key && %s agent-key master else >else.key",
		transport_dir, SAGE_ANALYZER, SAGE_ANALYZER);
	run_command(command);
	start_analyzer();
	return 0;
}

static void stop_one(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static int stop(void **state)
{
	for (int i = 0; i < AGENTS; i++)
		stop_one(&agent[i]);
	stop_one(&analyzer);
	api_close(&api);
	return remove_dir(state);
}

/* A number of the agent's `uplink`; -1 while it does not answer. */
static double uplink_number(int which, const char *name)
{
	char keys[64];
	double value = -1;
	json_t *status;

	if (control_ask(control_of(which), "status", &status))
		return -1;
	snprintf(keys, sizeof(keys), "uplink.%s", name);
	value = api_number(status, keys);
	json_decref(status);
	return value;
}

static bool is_known(const char *name)
{
	json_t *status = api_get(&api, "/api/v1/status"), *one;
	bool known = false;
	size_t i;

	json_array_foreach(json_object_get(status, "agents"), i, one)
	{
		known |= !strcmp(api_text(one, "name"), name);
	}
	json_decref(status);
	return known;
}

static void await(bool (*holds)(int which), int which)
{
	uint64_t deadline = clock_monotonic_ns() + START_NS;

	while (!holds(which)) {
		if (clock_monotonic_ns() > deadline)
			fail_msg("agent '%s': not in time", node[which]);
		usleep(100000);
	}
}

static bool has_stored(int which)
{
	return uplink_number(which, "stored") > 0;
}

static bool has_been_turned_away(int which)
{
	return uplink_number(which, "pending") > 1 && strangers() > strangers_before;
}

static bool analyzer_answers(int unused)
{
	(void)unused;
	return strangers() >= 0;
}

static void the_key_of_its_name_lets_an_agent_in(void **state)
{
	(void)state;
	await(analyzer_answers, RIGHT);
	start_agent(RIGHT, "right.key");
	await(has_stored, RIGHT);
	assert_true(is_known("right"));
	assert_true(strangers() == strangers_before);
	stop_one(&agent[RIGHT]);
}

static void assert_kept_out(int which)
{
	await(has_been_turned_away, which);
	assert_true(uplink_number(which, "stored") == 0);
	assert_true(uplink_number(which, "dropped") == 0);
	assert_false(is_known(node[which]));
	stop_one(&agent[which]);
}

static void the_key_of_another_name_does_not(void **state)
{
	(void)state;
	start_agent(OTHERS, "else.key");
	assert_kept_out(OTHERS);
}

static void nor_does_no_key(void **state)
{
	(void)state;
	start_agent(NONE, NULL);
	assert_kept_out(NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_of_its_name_lets_an_agent_in),
		cmocka_unit_test(the_key_of_another_name_does_not),
		cmocka_unit_test(nor_does_no_key),
	};

	if (geteuid() != 0) {
		printf("skipped: agents need root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, start, stop);
}
