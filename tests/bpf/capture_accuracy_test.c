/*
 * Real servers called through real client libraries, over several connections at once: every
 * call is counted at both ends, and what it took is what its client says. Once per strategy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/support.h"
#include "common/log.h"
#include "tests/bpf/accuracy.h"
#include "tests/bpf/nested.h"
#include "tests/bpf/strategies.h"

static const char *strategy;
static struct capture *capture;
static struct traffic_cgroup front, back;
static struct service service[ACCURACY_SERVERS];

static const struct accuracy_load low = {
	.connections = 4, .rate = 400, .seconds = 0.5, .cpu = -1}; /* 50 calls each */
static const struct accuracy_load moderate = {
	.connections = 8, .rate = 4000, .seconds = 1, .cpu = -1};

/*
 * How near the median is to the client's own. The budget is 20 us, and `./run bench accuracy` holds
 * the tails to it as well; a client that loses its CPU between its clock and its call, or after,
 * has measured the machine and not the call. So on a busy one it may take a few runs.
 */
#define NEAR_NS 50000
#define TRIES 12

static struct accuracy measure(
	const struct accuracy_server *server, const struct accuracy_load *load)
{
	const struct service *s = &service[server - accuracy_server];
	struct accuracy a;

	if (!s->pid) {
		printf("skipped: %s is not installed\n", server->name);
		skip();
	}
	assert_int_equal(accuracy_run(capture, s, server, &front, &back, load, &a), 0);
	assert_int_equal(a.client.errors, 0);
	assert_true(a.client.done > 0);
	return a;
}

/* Where the bytes of sends are not seen, a start-up cannot be told from a call by its client. */
static unsigned start_ups(const struct accuracy_server *server, const struct accuracy_load *load)
{
	bool blind = server->starts_up && !support_sees(strategy, SEES_SENT);

	return blind ? load->connections : 0;
}

/* By strategies that see a send as it begins, no latency at the server is longer than its client's.
 */
static bool server_is_within(const struct accuracy *a, uint64_t missing, uint64_t slack_ns)
{
	if (!support_sees(strategy, SEES_BEGIN))
		return true;
	return nested_within(
		&a->seen.server.sum.latency, &a->seen.client.sum.latency, missing, slack_ns);
}

static void assert_nested(const struct accuracy *a, uint64_t missing)
{
	nested_assert("client", &a->seen.client.sum.latency, &a->client.latency, missing, 0);
	assert_true(server_is_within(a, missing, nested_arrival_ns()));
}

/* At that load nothing may be missing, and nothing twice. */
static void every_call_at_low_load_is_counted(void **state)
{
	const struct accuracy_server *server = *state;
	struct accuracy a = measure(server, &low);

	assert_int_equal(a.seen.client.sum.calls, a.client.done + start_ups(server, &low));
	assert_int_equal(a.seen.server.sum.calls, a.client.done);
	assert_int_equal(a.seen.client.sum.protocol, server->protocol);
	assert_int_equal(a.seen.server.sum.protocol, server->protocol);
	assert_nested(&a, 0);
}

#define MISSING_RATIO 0.001

/* Nothing is counted twice at any load. */
static void assert_share(
	const char *end, uint64_t calls, const struct accuracy *a, unsigned start_ups)
{
	uint64_t done = a->client.done;

	if ((double)calls < (1 - MISSING_RATIO) * (double)done || calls > done + start_ups)
		fail_msg("%s: the %s's end has %llu of %llu calls", strategy, end,
			(unsigned long long)calls, (unsigned long long)done);
}

static void moderate_load_is_counted_with_its_latencies(void **state)
{
	double error_ns;
	bool near = false;

	for (int tries = 0; tries < TRIES && !near; tries++) {
		struct accuracy a = measure(*state, &moderate);
		uint64_t missing = (uint64_t)(MISSING_RATIO * (double)a.client.done);

		assert_share("client", a.seen.client.sum.calls, &a, start_ups(*state, &moderate));
		assert_share("server", a.seen.server.sum.calls, &a, 0);
		assert_nested(&a, missing);
		near = accuracy_near(&a, 0.5, NEAR_NS, &error_ns) &&
		       server_is_within(&a, missing, 0);
	}
	if (!near)
		fail_msg("%s: p50: captured less the client's own: %.1f us; or the server's are "
			 "longer",
			strategy, error_ns / 1000);
}

static int set_up(void **state)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(), .strategy = strategy};

	(void)state;
	return capture_open(&capture, &o);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(capture);
	return 0;
}

static int run_strategy(const char *name_of_strategy)
{
	struct CMUnitTest test[2 * ACCURACY_SERVERS];
	char name[2 * ACCURACY_SERVERS][64];

	strategy = name_of_strategy;
	for (size_t i = 0; i < ACCURACY_SERVERS; i++) {
		void *server = (void *)(uintptr_t)&accuracy_server[i];
		const char *what = accuracy_server[i].name;

		snprintf(name[2 * i], sizeof(name[0]), "every_call_is_counted: %s", what);
		snprintf(name[2 * i + 1], sizeof(name[0]), "moderate_load: %s", what);
		test[2 * i] = (struct CMUnitTest){.name = name[2 * i],
			.test_func = every_call_at_low_load_is_counted,
			.initial_state = server};
		test[2 * i + 1] = (struct CMUnitTest){.name = name[2 * i + 1],
			.test_func = moderate_load_is_counted_with_its_latencies,
			.initial_state = server};
	}
	return cmocka_run_group_tests_name(strategy, test, set_up, tear_down);
}

/* How many are installed and yet do not start. */
static int start_servers(void)
{
	int failed = 0;

	for (size_t i = 0; i < ACCURACY_SERVERS; i++) {
		int err = accuracy_start(&service[i], &accuracy_server[i], &back);

		if (err && err != -ENOENT) {
			printf("%s does not start: %s\n", accuracy_server[i].name, strerror(-err));
			failed++;
		}
	}
	return failed;
}

int main(int argc, char **argv)
{
	int failed;

	log_init("capture_accuracy_test", LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	if (traffic_cgroup_open(&front, "front") || traffic_cgroup_open(&back, "back"))
		return 1;
	if (accuracy_prefer(&front))
		printf("the client gets no real-time priority: its record holds waits for a CPU\n");
	failed = start_servers();
	if (!failed)
		failed = strategies_run(run_strategy, argc > 1 ? argv[1] : NULL);
	for (size_t i = 0; i < ACCURACY_SERVERS; i++)
		service_stop(&service[i]);
	traffic_cgroup_close(&front);
	traffic_cgroup_close(&back);
	return failed;
}
