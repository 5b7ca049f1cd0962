/*
 * `sage-analyzer serve` behind mutual TLS: an agent's end of the line with a certificate of the
 * agents' CA is served, one with a stranger's gets no answer.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "transport_fixture.h"

#define PATIENCE_MS 60000

static int port;
static pid_t analyzer;

static int start(void **state)
{
	char listen[64], http[64], data[160], ca[160], cert[160], key[160];
	char *arguments[] = {(char *)(uintptr_t)SAGE_ANALYZER, (char[]){"serve"}, listen, http,
		data, ca, cert, key, NULL};

	if (make_dir(state))
		return -1;
	make_certificates();
	port = free_port();
	snprintf(listen, sizeof(listen), "--listen=tls+tcp://127.0.0.1:%d", port);
	snprintf(http, sizeof(http), "--http=127.0.0.1:%d", free_port());
	snprintf(data, sizeof(data), "--data=%s", in_dir("data"));
	snprintf(ca, sizeof(ca), "--tls-ca=%s", in_dir("agents.pem"));
	snprintf(cert, sizeof(cert), "--tls-cert=%s", in_dir("servers-node.pem"));
	snprintf(key, sizeof(key), "--tls-key=%s", in_dir("servers-node.key"));
	analyzer = spawn_helper(arguments);
	return 0;
}

static int stop(void **state)
{
	kill(analyzer, SIGKILL);
	waitpid(analyzer, NULL, 0);
	return remove_dir(state);
}

static void an_agent_of_the_agents_ca_is_served(void **state)
{
	struct net_tls tls = tls_of("servers.pem", "agents-node.pem", "agents-node.key");
	struct uplink *u = agent_to(port, NULL, &tls);

	(void)state;
	push_windows(u, 5);
	await_drained(u);
	assert_int_equal(stats_of(u).stored, 5);
	uplink_close(u);
}

static void on_state(void *arg, bool connected)
{
	(void)arg;
	(void)connected;
}

static void on_done(void *arg, int error, const void *answer, size_t size)
{
	int *fd = arg;

	(void)answer;
	(void)size;
	if (write(*fd, &error, sizeof(error)) != sizeof(error))
		abort();
}

/* What became of a request made with these certificates. */
static int ask_as(struct net_tls tls)
{
	struct net_client *c;
	struct net_call *call;
	char why[NET_WHY], url[64];
	int fd[2], error = 0;

	assert_int_equal(pipe(fd), 0);
	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%d", port);
	assert_int_equal(net_client_open(&c, url, &tls, on_state, NULL, why), 0);
	assert_int_equal(net_call_open(&call, c, on_done, &fd[1]), 0);
	assert_int_equal(net_call_start(call, "\1\1", 2, 5000), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = fd[0], .events = POLLIN}, 1, PATIENCE_MS), 1);
	assert_int_equal(read(fd[0], &error, sizeof(error)), sizeof(error));
	net_client_close(c);
	close(fd[0]);
	close(fd[1]);
	return error;
}

static void a_stranger_gets_no_answer(void **state)
{
	(void)state;
	/* the same malformed request is answered when an agent makes it */
	assert_int_equal(ask_as(tls_of("servers.pem", "agents-node.pem", "agents-node.key")), 0);
	assert_true(ask_as(tls_of("servers.pem", "stranger-node.pem", "stranger-node.key")) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_of_the_agents_ca_is_served),
		cmocka_unit_test(a_stranger_gets_no_answer),
	};
	int failed;

	log_init("test", LOG_ERROR);
	failed = cmocka_run_group_tests(tests, start, stop);
	fflush(NULL);
	_exit(failed != 0);
}
