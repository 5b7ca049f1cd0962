#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/bpf/protocol_facts.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/support.h"
#include "common/log.h"
#include "tests/bpf/strategies.h"

struct capture *capture;
struct traffic_cgroup front, back;
struct service service[SERVICES];
unsigned operations_told_apart;

static const char *strategy;
static const struct CMUnitTest *facts;
static size_t facts_count;

bool sees_sends(void)
{
	return support_sees(strategy, SEES_SENT);
}

bool sees_each_message(void)
{
	return support_sees(strategy, SEES_EACH);
}

uint16_t service_port(enum service_kind kind)
{
	if (!service[kind].port) {
		printf("skipped: %s is not installed\n", service_name(kind));
		skip();
	}
	return service[kind].port;
}

void need_clients(void)
{
	if (access(SAGE_CLIENTS "/node_modules/.package-lock.json", R_OK)) {
		printf("skipped: node and the packages of tests/bpf/clients are not there\n");
		skip();
	}
}

pid_t start_node(
	const struct traffic_cgroup *g, const char *script, const char *kind, uint16_t port)
{
	char path[256], number[8];

	snprintf(path, sizeof(path), SAGE_CLIENTS "/%s", script);
	snprintf(number, sizeof(number), "%u", port);
	return traffic_exec(g, (char *[]){"node", path, (char *)(uintptr_t)kind, number, NULL});
}

int run_before_responder(const char *kind, int least, struct both *b)
{
	pid_t responder;
	uint16_t port;
	int answered;

	need_clients();
	close(traffic_listen(&port));
	*b = seen_between(&front, &back, port);
	responder = start_node(&back, "responder.js", kind, port);
	close(traffic_connect(port));
	assert_int_equal(traffic_wait(start_node(&front, "client.js", kind, port)), 0);
	kill(responder, SIGTERM);
	answered = traffic_wait(responder);
	assert_true(answered >= least);
	assert_int_equal(seen_wait(capture, b, (uint64_t)answered), 0);
	return answered;
}

void assert_protocol(const struct both *b, unsigned protocol)
{
	assert_int_equal(b->client.sum.protocol, protocol);
	assert_int_equal(b->server.sum.protocol, protocol);
}

static int set_up(void **state)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.strategy = strategy,
		.max_operations = operations_told_apart};

	(void)state;
	return capture_open(&capture, &o);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(capture);
	capture = NULL; /* the next set-up may fail */
	return 0;
}

static int run(const char *name)
{
	strategy = name;
	return _cmocka_run_group_tests(name, facts, facts_count, set_up, tear_down);
}

int protocol_facts_run(const char *name, const struct CMUnitTest *tests, size_t count,
	const enum service_kind *services, size_t wanted)
{
	int failed;

	log_init(name, LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	if (traffic_cgroup_open(&front, "front") || traffic_cgroup_open(&back, "back"))
		return 1;
	for (size_t i = 0; i < wanted; i++) {
		int err = service_start(&service[services[i]], services[i], &back);

		if (err)
			printf("%s: not started: %s\n", service_name(services[i]), strerror(-err));
	}
	facts = tests;
	facts_count = count;
	failed = strategies_run(run, NULL);
	for (size_t i = 0; i < wanted; i++)
		service_stop(&service[services[i]]);
	traffic_cgroup_close(&front);
	traffic_cgroup_close(&back);
	return failed;
}
