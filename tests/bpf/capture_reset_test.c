/* Connections that are reset, by whom and how, at both ends. Once per strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "tests/bpf/exchange.h"

#define CONNECTIONS 20

static void do_not_linger(int fd)
{
	const struct linger hard = {.l_onoff = 1};

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)))
		_exit(98);
}

/* The other end has reset the connection: what a read says. */
static int await_reset(int fd)
{
	char byte;
	int err = read(fd, &byte, 1) < 0 && errno == ECONNRESET ? 0 : 1;

	close(fd);
	return err;
}

static void check(const struct both *b, unsigned by_client, unsigned by_server)
{
	assert_int_equal(b->client.sum.resets_sent, by_client);
	assert_int_equal(b->server.sum.resets_received, by_client);
	assert_int_equal(b->server.sum.resets_sent, by_server);
	assert_int_equal(b->client.sum.resets_received, by_server);
}

/* ---- ends */

static int run_client_that_is_reset(void *ctx)
{
	const struct traffic_request request = {.chunks = 1};
	const struct exchange *x = ctx;
	uint64_t waited = 0;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = exchange_dial(x);

		(void)traffic_call(fd, &request, &waited);
		if (await_reset(fd))
			return 1;
	}
	return 0;
}

static int run_server_that_does_not_linger(void *ctx)
{
	const struct traffic_chunk answer = {0};
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = accept(x->listener, NULL, NULL);
		struct traffic_request request;

		traffic_read(fd, &request, sizeof(request));
		traffic_write(fd, &answer, sizeof(answer));
		do_not_linger(fd);
		close(fd);
	}
	return 0;
}

static int run_client_that_says_too_much(void *ctx)
{
	const struct traffic_request requests[2] = {{.chunks = 1}, {.chunks = 1}};
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = exchange_dial(x);

		traffic_write(fd, requests, sizeof(requests));
		if (await_reset(fd))
			return 1;
	}
	return 0;
}

static int run_server_that_leaves_bytes_unread(void *ctx)
{
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = accept(x->listener, NULL, NULL);
		struct traffic_request request;

		traffic_read(fd, &request, sizeof(request));
		if (recv(fd, &request, 1, MSG_PEEK) != 1)
			return 1;
		close(fd);
	}
	return 0;
}

static int run_client_that_does_not_linger(void *ctx)
{
	const struct traffic_request request = {.chunks = 1};
	const struct exchange *x = ctx;
	uint64_t waited = 0;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = exchange_dial(x);

		(void)traffic_call(fd, &request, &waited);
		do_not_linger(fd);
		close(fd);
	}
	return 0;
}

static int run_server_that_is_reset(void *ctx)
{
	const struct traffic_chunk answer = {0};
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = accept(x->listener, NULL, NULL);
		struct traffic_request request;

		traffic_read(fd, &request, sizeof(request));
		traffic_write(fd, &answer, sizeof(answer));
		if (await_reset(fd))
			return 1;
	}
	return 0;
}

static int run_refused_client(void *ctx)
{
	const struct exchange *x = ctx;
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(x->port),
		.sin6_addr = in6addr_loopback};
	struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_port = htons(x->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool is_v6 = x->family == AF_INET6;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = socket(x->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, is_v6 ? (void *)&v6 : (void *)&v4,
			    is_v6 ? sizeof(v6) : sizeof(v4)) == 0 ||
			errno != ECONNREFUSED)
			return 1;
		close(fd);
	}
	return 0;
}

/* ---- facts */

static struct both run(int family, int (*client)(void *), int (*server)(void *))
{
	struct exchange *x = exchange_new(
		&(struct exchange){.family = family, .connections = CONNECTIONS, .calls = 1});
	struct both b;

	exchange_listen(x, family);
	b = exchange_run(x, client, server);
	exchange_free(x);
	return b;
}

static void a_server_that_does_not_linger_resets(void **state)
{
	struct both b = run(AF_INET, run_client_that_is_reset, run_server_that_does_not_linger);

	(void)state;
	check(&b, 0, CONNECTIONS);
	assert_int_equal(b.client.sum.calls, CONNECTIONS);
	b = run(AF_INET6, run_client_that_is_reset, run_server_that_does_not_linger);
	check(&b, 0, CONNECTIONS);
}

static void a_server_that_leaves_bytes_unread_resets(void **state)
{
	struct both b =
		run(AF_INET, run_client_that_says_too_much, run_server_that_leaves_bytes_unread);

	(void)state;
	check(&b, 0, CONNECTIONS);
	b = run(AF_INET6, run_client_that_says_too_much, run_server_that_leaves_bytes_unread);
	check(&b, 0, CONNECTIONS);
}

static void a_client_that_does_not_linger_resets(void **state)
{
	struct both b = run(AF_INET, run_client_that_does_not_linger, run_server_that_is_reset);

	(void)state;
	check(&b, CONNECTIONS, 0);
	b = run(AF_INET6, run_client_that_does_not_linger, run_server_that_is_reset);
	check(&b, CONNECTIONS, 0);
}

static void connections_that_end_in_order_are_not_reset(void **state)
{
	struct both b = run(AF_INET, exchange_client, exchange_server);

	(void)state;
	check(&b, 0, 0);
	assert_int_equal(b.client.sum.calls, CONNECTIONS);
	b = run(AF_INET6, exchange_client, exchange_server);
	check(&b, 0, 0);
}

/* The port was somebody's, and is closed now. */
static void a_closed_port_refuses_its_client(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct exchange *x = exchange_new(
			&(struct exchange){.family = families[i], .connections = CONNECTIONS});
		struct both b;

		exchange_listen(x, families[i]);
		close(x->listener);
		b = seen_between(&exchange_front, &exchange_back, x->port);
		assert_int_equal(
			traffic_wait(traffic_spawn(&exchange_front, run_refused_client, x)), 0);
		assert_int_equal(capture_read(exchange_capture, seen_add, &b), 0);
		assert_int_equal(b.client.sum.resets_received, CONNECTIONS);
		assert_int_equal(b.client.sum.resets_sent, 0);
		assert_int_equal(b.client.sum.calls + b.client.sum.unanswered, 0);
		exchange_free(x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_that_does_not_linger_resets),
		cmocka_unit_test(a_server_that_leaves_bytes_unread_resets),
		cmocka_unit_test(a_client_that_does_not_linger_resets),
		cmocka_unit_test(connections_that_end_in_order_are_not_reset),
		cmocka_unit_test(a_closed_port_refuses_its_client),
	};

	return exchange_main("capture_reset_test", tests, sizeof(tests) / sizeof(tests[0]));
}
