#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/bpf/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "agent/support.h"
#include "common/log.h"
#include "tests/bpf/nested.h"
#include "tests/bpf/strategies.h"

struct capture *exchange_capture;
const char *exchange_strategy;
struct traffic_cgroup exchange_front, exchange_back, exchange_third;

struct exchange *exchange_new(const struct exchange *from)
{
	struct exchange *x = traffic_share(sizeof(*x));

	*x = *from;
	return x;
}

void exchange_free(struct exchange *x)
{
	munmap(x, sizeof(*x));
}

/* ---- sockets */

static socklen_t loopback(struct sockaddr_storage *a, int family, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;

	memset(a, 0, sizeof(*a));
	if (family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	v6->sin6_addr = family == AF_INET6 ? in6addr_loopback : in6addr_any;
	return sizeof(*v6);
}

void exchange_listen(struct exchange *x, int family)
{
	struct sockaddr_storage a;
	socklen_t size = loopback(&a, family, 0);
	int only = family == AF_INET6;

	x->listener = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(x->listener >= 0);
	if (a.ss_family == AF_INET6)
		setsockopt(x->listener, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	assert_int_equal(bind(x->listener, (struct sockaddr *)&a, size), 0);
	assert_int_equal(listen(x->listener, 128), 0);
	assert_int_equal(getsockname(x->listener, (struct sockaddr *)&a, &size), 0);
	x->port = ntohs(((struct sockaddr_in *)&a)->sin_port); /* in the same place in IPv6 */
}

static void refuse(const char *what)
{
	fprintf(stderr, "exchange: %s: %s\n", what, strerror(errno));
	_exit(99);
}

int exchange_dial(const struct exchange *x)
{
	int family = x->family ? x->family : AF_INET, one = 1, fd;
	struct sockaddr_storage a;
	socklen_t size = loopback(&a, family, x->port);

	if (x->dialled.s_addr)
		((struct sockaddr_in *)&a)->sin_addr = x->dialled;
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, size))
		refuse("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* ---- the usual ends */

int exchange_client(void *ctx)
{
	const struct traffic_request request = {.chunks = 1};
	struct exchange *x = ctx;
	uint64_t waited = 0;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = exchange_dial(x);

		for (unsigned k = 0; k < x->calls; k++)
			hist_add(&x->record, traffic_call(fd, &request, &waited));
		close(fd);
	}
	return 0;
}

int exchange_server(void *ctx)
{
	const struct exchange *x = ctx;

	for (unsigned i = 0; i < x->connections; i++) {
		int fd = accept(x->listener, NULL, NULL);

		if (fd < 0)
			return 1;
		traffic_serve_connection(fd);
		close(fd);
	}
	return 0;
}

struct both exchange_run(struct exchange *x, int (*client)(void *), int (*server)(void *))
{
	pid_t back = traffic_spawn(&exchange_back, server, x);
	struct both b = seen_between(&exchange_front, &exchange_back, x->port);

	assert_int_equal(traffic_wait(traffic_spawn(&exchange_front, client, x)), 0);
	assert_int_equal(traffic_wait(back), 0);
	close(x->listener);
	assert_int_equal(capture_read(exchange_capture, seen_add, &b), 0);
	return b;
}

/* How near the client's own it is, is capture_call_test's claim. */
void exchange_check(const struct both *b, const struct exchange *x, unsigned calls)
{
	double got = (double)hist_quantile_ns(&b->client.sum.latency, 0.5);
	double want = (double)hist_quantile_ns(&x->record, 0.5);

	assert_int_equal(b->client.sum.calls, calls);
	assert_int_equal(b->server.sum.calls, calls);
	assert_int_equal(b->client.sum.unanswered + b->server.sum.unanswered, 0);
	assert_int_equal(b->client.sum.peer_cgroup_id, b->server.cgroup_id);
	assert_int_equal(b->server.sum.peer_cgroup_id, b->client.cgroup_id);
	nested_assert(exchange_strategy, &b->client.sum.latency, &x->record, 0, 0);
	if (got < want / 2 - 20000)
		fail_msg("%s: captured a p50 of %.1f us, the client measured %.1f us",
			exchange_strategy, got / 1000, want / 1000);
}

/* ---- running */

bool exchange_sees(unsigned sights)
{
	return support_sees(exchange_strategy, sights);
}

static int set_up(void **state)
{
	struct capture_options o = {
		.cgroup_subsys = traffic_cgroup_subsys(), .strategy = exchange_strategy};

	(void)state;
	if (traffic_cgroup_open(&exchange_front, "front") ||
		traffic_cgroup_open(&exchange_back, "back") ||
		traffic_cgroup_open(&exchange_third, "third"))
		return -1;
	return capture_open(&exchange_capture, &o);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(exchange_capture);
	traffic_cgroup_close(&exchange_front);
	traffic_cgroup_close(&exchange_back);
	traffic_cgroup_close(&exchange_third);
	return 0;
}

static const struct CMUnitTest *all;
static size_t all_count;

static int run(const char *strategy)
{
	exchange_strategy = strategy;
	return _cmocka_run_group_tests(strategy, all, all_count, set_up, tear_down);
}

int exchange_main(const char *name, const struct CMUnitTest *tests, size_t count)
{
	log_init(name, LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	all = tests;
	all_count = count;
	return strategies_run(run, NULL);
}
