/* TLS between uplink and intake, and strangers at the door. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "transport_fixture.h"

static void mutual_tls_carries_windows(void **state)
{
	struct analyzer a = {.fd = -1};
	struct net_tls server, agent;
	struct uplink *u;

	(void)state;
	make_certificates();
	server = tls_of("agents.pem", "servers-node.pem", "servers-node.key");
	agent = tls_of("servers.pem", "agents-node.pem", "agents-node.key");
	open_analyzer(&a, "tls+tcp://127.0.0.1:0", server);
	u = agent_to(intake_port(a.intake), NULL, &agent);
	push_windows(u, 5);
	await_drained(u);
	assert_int_equal(a.windows, 5);
	uplink_close(u);
	close_analyzer(&a);
}

/* A client's view of a failed call, for tests that speak below the uplink. */
struct outcome {
	pthread_mutex_t lock;
	pthread_cond_t happened;
	uint64_t done;
	int error;
	struct wire_ack ack;
};

static void on_state(void *arg, bool connected)
{
	(void)arg;
	(void)connected;
}

static void on_done(void *arg, int error, const void *answer, size_t size)
{
	struct outcome *o = arg;

	pthread_mutex_lock(&o->lock);
	o->error = error ? error : wire_decode_ack(answer, size, &o->ack);
	o->done++;
	pthread_cond_broadcast(&o->happened);
	pthread_mutex_unlock(&o->lock);
}

static void await_outcome(struct outcome *o, uint64_t done)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
	struct timespec until = {.tv_sec = (time_t)(end / 1000000000)};
	int late = 0;

	pthread_mutex_lock(&o->lock);
	while (o->done < done && !late)
		late = pthread_cond_clockwait(&o->happened, &o->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&o->lock);
	assert_int_equal(late, 0);
}

static struct net_call *stranger(
	struct net_client **c, struct outcome *o, int port, const struct net_tls *tls)
{
	struct net_call *call;
	char why[NET_WHY], url[64];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d", tls ? "tls+tcp" : "tcp", port);
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->happened, NULL);
	assert_int_equal(net_client_open(c, url, tls, on_state, NULL, why), 0);
	assert_int_equal(net_call_open(&call, *c, on_done, o), 0);
	return call;
}

static void refuses_to_talk(struct net_tls server, struct net_tls agent)
{
	struct analyzer a = {.fd = -1};
	struct outcome o = {0};
	struct intake_stats got;
	struct net_client *c;
	struct net_call *call;

	open_analyzer(&a, "tls+tcp://127.0.0.1:0", server);
	call = stranger(&c, &o, intake_port(a.intake), &agent);
	assert_int_equal(net_call_start(call, "hello", 5, 1000), 0);
	await_outcome(&o, 1);
	assert_int_equal(o.error, -ENOTCONN);
	assert_non_null(strstr(net_client_trouble(c), "certificates"));
	intake_stats(a.intake, &got);
	assert_int_equal(got.bytes, 0);
	net_client_close(c);
	close_analyzer(&a);
}

static void certificates_of_another_ca_are_refused(void **state)
{
	(void)state;
	make_certificates();
	/* the server's certificate is not from the CA the agent believes */
	refuses_to_talk(tls_of("agents.pem", "stranger-node.pem", "stranger-node.key"),
		tls_of("servers.pem", "agents-node.pem", "agents-node.key"));
	/* the agent's is not from the one the server believes */
	refuses_to_talk(tls_of("agents.pem", "servers-node.pem", "servers-node.key"),
		tls_of("servers.pem", "stranger-node.pem", "stranger-node.key"));
}

static void the_servers_name_is_checked(void **state)
{
	struct net_tls agent;

	(void)state;
	make_certificates();
	agent = tls_of("servers.pem", "agents-node.pem", "agents-node.key");
	agent.server_name = "somebody-else";
	refuses_to_talk(tls_of("agents.pem", "servers-node.pem", "servers-node.key"), agent);
}

static void a_missing_file_is_named(void **state)
{
	struct net_tls tls = {"/nowhere/ca.pem", "/nowhere/cert.pem", "/nowhere/key.pem", NULL};
	struct net_client *c = NULL;
	char why[NET_WHY];

	(void)state;
	assert_int_equal(
		net_client_open(&c, "tls+tcp://127.0.0.1:1", &tls, on_state, NULL, why), -ENOENT);
	assert_non_null(strstr(why, "/nowhere/ca.pem"));
	assert_int_equal(
		net_client_open(&c, "tcp://127.0.0.1:1", &tls, on_state, NULL, why), -EINVAL);
	assert_int_equal(net_client_open(&c, "ipc:///tmp/x", NULL, on_state, NULL, why), -EINVAL);
	assert_non_null(strstr(why, "tcp://HOST:PORT"));
}

static void rubbish_is_answered_and_counted(void **state)
{
	static const char *const rubbish[] = {
		"", "x", "\1\1 not a batch", "\1\2 an ack", "\2\1 newer"};
	struct analyzer a = {.fd = -1};
	struct outcome o = {0};
	struct intake_stats got;
	struct net_client *c;
	struct net_call *call;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	call = stranger(&c, &o, intake_port(a.intake), NULL);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(net_call_start(call, rubbish[i], strlen(rubbish[i]), 5000), 0);
		await_outcome(&o, i + 1);
		assert_int_equal(o.error, 0);
		assert_int_equal(o.ack.sequence, 0);
	}
	intake_stats(a.intake, &got);
	assert_int_equal(got.refused, 5);
	assert_int_equal(a.windows, 0);
	net_client_close(c);
	close_analyzer(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mutual_tls_carries_windows, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			certificates_of_another_ca_are_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(the_servers_name_is_checked, make_dir, remove_dir),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(rubbish_is_answered_and_counted),
	};
	int failed;

	log_init("test", LOG_ERROR);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed != 0);
}
