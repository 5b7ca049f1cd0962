/* Real servers are recognised, and what is no call is not counted as one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/nested.h"
#include "tests/bpf/protocol_facts.h"

/* ---- a client of a text protocol */

struct talk {
	uint16_t port;
	unsigned times;
	const char *ask;
	const char *until; /* the answer ends with this */
};

static int run_talk(void *ctx)
{
	const struct talk *t = ctx;
	int fd = traffic_connect(t->port);

	for (unsigned i = 0; i < t->times; i++) {
		char answer[4096] = "";
		size_t size = 0, tail = strlen(t->until);

		traffic_write(fd, t->ask, strlen(t->ask));
		while (size < tail || memcmp(answer + size - tail, t->until, tail) != 0) {
			ssize_t n = read(fd, answer + size, sizeof(answer) - size);

			if (n <= 0)
				return 1;
			size += (size_t)n;
		}
	}
	close(fd);
	return 0;
}

static struct both talk(const char *ask, const char *until, unsigned times, enum service_kind kind)
{
	struct talk t = {.port = service_port(kind), .times = times, .ask = ask, .until = until};
	struct both b = seen_between(&front, &back, t.port);

	assert_int_equal(traffic_wait(traffic_spawn(&front, run_talk, &t)), 0);
	assert_int_equal(seen_wait(capture, &b, times), 0);
	assert_int_equal(b.client.sum.calls, times);
	assert_int_equal(b.server.sum.calls, times);
	return b;
}

/* ---- the facts */

static void nginx_speaks_http_and_its_5xx_are_errors(void **state)
{
	struct both b;

	(void)state;
	b = talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "ok\n", 50, SERVICE_NGINX);
	assert_protocol(&b, WIRE_HTTP1);
	assert_int_equal(b.client.sum.errors + b.server.sum.errors, 0);
	b = talk("GET /bad HTTP/1.1\r\nHost: x\r\n\r\n", "</html>\r\n", 7, SERVICE_NGINX);
	assert_int_equal(b.client.sum.errors, 7);
	if (sees_sends())
		assert_int_equal(b.server.sum.errors, 7);
}

static void redis_is_recognised_with_its_errors(void **state)
{
	struct both b;

	(void)state;
	b = talk("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "+OK\r\n", 50, SERVICE_REDIS);
	assert_protocol(&b, WIRE_REDIS);
	b = talk("*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n", "\r\n", 3, SERVICE_REDIS);
	assert_int_equal(b.client.sum.errors, 3);
	b = talk("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", "*0\r\n", 5, SERVICE_REDIS);
	assert_protocol(&b, WIRE_REDIS);
}

#define PING "*1\r\n$4\r\nPING\r\n"
#define PONG "+PONG\r\n"
#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* From the first request to the last answer, with what the first answer says: see rationale.md. */
static void a_pipeline_is_one_call(void **state)
{
	struct both b;

	(void)state;
	b = talk(PING PING PING PING PING, PONG PONG PONG PONG PONG, 20, SERVICE_REDIS);
	assert_protocol(&b, WIRE_REDIS);
	assert_int_equal(b.client.sum.bytes_sent, 20 * 5 * (sizeof(PING) - 1));
	b = talk(GET GET "GET /bad HTTP/1.1\r\nHost: x\r\n\r\n", "</html>\r\n", 20, SERVICE_NGINX);
	assert_protocol(&b, WIRE_HTTP1);
	assert_int_equal(b.client.sum.errors + b.server.sum.errors, 0);
}

static void memcached_is_recognised(void **state)
{
	struct both b;

	(void)state;
	b = talk("set k 0 0 1\r\nv\r\n", "STORED\r\n", 50, SERVICE_MEMCACHED);
	assert_protocol(&b, WIRE_MEMCACHED);
	b = talk("get k\r\n", "END\r\n", 50, SERVICE_MEMCACHED);
	assert_protocol(&b, WIRE_MEMCACHED);
	b = talk("incr k\r\n", "\r\n", 2, SERVICE_MEMCACHED);
	assert_int_equal(b.client.sum.errors, 2);
	b = talk("mg k v\r\n", "VA 1\r\nv\r\n", 20, SERVICE_MEMCACHED);
	assert_protocol(&b, WIRE_MEMCACHED);
	b = talk("mg none q\r\nmg k q\r\nmn\r\n", "MN\r\n", 20, SERVICE_MEMCACHED);
	assert_protocol(&b, WIRE_MEMCACHED);
}

/* A client that keeps its own record, in memory shared with the test. */
struct client {
	uint16_t port;
	struct hist record; /* how long its calls took */
	struct hist log_in; /* and to log in, each time it tried */
};

#define QUERIES 30
#define SILENCE_US 700000 /* after the start-up: nobody's latency */

static PGconn *log_in(struct client *c)
{
	char info[128];

	snprintf(info, sizeof(info), "host=127.0.0.1 port=%u user=postgres dbname=postgres",
		c->port);
	for (int i = 0; i < 500; i++) { /* it accepts before it is ready */
		uint64_t start_ns = clock_monotonic_ns();
		PGconn *pg = PQconnectdb(info);

		hist_add(&c->log_in, clock_monotonic_ns() - start_ns);
		if (PQstatus(pg) == CONNECTION_OK)
			return pg;
		PQfinish(pg);
		traffic_pause_us(20000);
	}
	return NULL;
}

static int run_queries(void *ctx)
{
	struct client *c = ctx;
	PGconn *pg = log_in(c);
	int bad = 0;

	if (!pg)
		return 1;
	traffic_pause_us(SILENCE_US);
	for (int i = 0; i < QUERIES; i++) {
		const char *query = i < 25 ? "select 1" : "select 1/0";
		uint64_t start_ns = clock_monotonic_ns();
		PGresult *r = i % 2 ? PQexec(pg, query)
				    : PQexecParams(pg, query, 0, NULL, NULL, NULL, NULL, 0);

		hist_add(&c->record, clock_monotonic_ns() - start_ns);
		bad += PQresultStatus(r) != (i < 25 ? PGRES_TUPLES_OK : PGRES_FATAL_ERROR);
		PQclear(r);
	}
	PQfinish(pg);
	return bad;
}

/* Where it looks like calls of an unknown protocol, the start-up may take what it took. */
static void assert_no_silence(const struct hist *captured, const struct client *c)
{
	struct hist all = c->record;

	hist_merge(&all, &c->log_in);
	assert_true(hist_quantile_ns(captured, 1) <= hist_quantile_ns(&all, 1));
}

/*
 * Whether the server's silence is no latency either. Strategies that see a send as it returns may
 * need another try: a server that loses the CPU there has the wait in its latency.
 */
static bool queries_are_counted(struct client *c)
{
	struct both b = seen_between(&front, &back, c->port);

	assert_int_equal(traffic_wait(traffic_spawn(&front, run_queries, c)), 0);
	assert_int_equal(seen_wait(capture, &b, QUERIES), 0);
	assert_no_silence(&b.client.sum.latency, c);
	if (sees_sends()) {
		assert_protocol(&b, WIRE_POSTGRESQL);
		assert_int_equal(b.client.sum.calls, QUERIES);
		assert_true(b.client.sum.errors > 0);
		nested_assert("client", &b.client.sum.latency, &c->record, 0, 0);
	}
	return nested_within(&b.server.sum.latency, &c->record, 0, nested_arrival_ns());
}

static void postgresql_counts_queries_and_not_its_start(void **state)
{
	struct client *c = traffic_share(sizeof(*c));
	bool nested = false;

	(void)state;
	for (int tries = 0; tries < 8 && !nested; tries++) {
		*c = (struct client){.port = service_port(SERVICE_POSTGRESQL)};
		nested = queries_are_counted(c);
	}
	assert_true(nested);
}

/* ---- Thrift, by a server of our own: CALL is answered, ONEWAY is not */

static const uint8_t thrift_call[] = "\0\0\0\x0d\x80\1\0\1\0\0\0\0\0\0\0\1";
static const uint8_t thrift_reply[] = "\0\0\0\x0d\x80\1\0\2\0\0\0\0\0\0\0\1";
static const uint8_t thrift_oneway[] = "\0\0\0\x0d\x80\1\0\4\0\0\0\0\0\0\0\1";
static const uint8_t thrift_exception[] = "\0\0\0\x0d\x80\1\0\3\0\0\0\0\0\0\0\1";
_Static_assert(sizeof(thrift_call) == 17, "a frame of 13 bytes, the last is the struct's end");

#define THRIFT_CALLS 6 /* the last one fails */

struct thrift {
	int listener;
	uint16_t port;
	uint64_t asked_ns[THRIFT_CALLS];    /* by the client, before it sends */
	uint64_t received_ns[THRIFT_CALLS]; /* after it has read */
	uint64_t answered_ns[THRIFT_CALLS]; /* by the server, after it has sent */
};

static int run_thrift_server(void *ctx)
{
	struct thrift *t = ctx;
	int fd = accept(t->listener, NULL, NULL);
	uint8_t message[13];
	uint32_t length;

	for (unsigned i = 0; i < THRIFT_CALLS;) {
		traffic_read(fd, &length, sizeof(length)); /* as the library does: length first */
		traffic_read(fd, message, sizeof(message));
		if (message[3] != 1)
			continue;
		traffic_write(fd, i + 1 < THRIFT_CALLS ? thrift_reply : thrift_exception, 17);
		t->answered_ns[i++] = clock_monotonic_ns();
	}
	close(fd);
	return 0;
}

static int run_thrift_client(void *ctx)
{
	struct thrift *t = ctx;
	int fd = traffic_connect(t->port);
	uint8_t answer[17];

	for (unsigned i = 0; i < THRIFT_CALLS; i++) {
		traffic_write(fd, thrift_oneway, 17);
		traffic_pause_us(300000);
		t->asked_ns[i] = clock_monotonic_ns();
		traffic_write(fd, thrift_call, 17);
		traffic_read(fd, answer, 17);
		t->received_ns[i] = clock_monotonic_ns();
	}
	close(fd);
	return 0;
}

static struct hist between(const uint64_t *from_ns, const uint64_t *to_ns)
{
	struct hist h = {0};

	for (unsigned i = 0; i < THRIFT_CALLS; i++)
		hist_add(&h, to_ns[i] - from_ns[i]);
	return h;
}

static void thrift_one_way_calls_are_no_latency(void **state)
{
	struct thrift *t = traffic_share(sizeof(*t));
	struct hist client, server;
	struct both b;
	pid_t back_pid;

	(void)state;
	t->listener = traffic_listen(&t->port);
	b = seen_between(&front, &back, t->port);
	back_pid = traffic_spawn(&back, run_thrift_server, t);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_thrift_client, t)), 0);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(t->listener);
	client = between(t->asked_ns, t->received_ns);
	server = between(t->asked_ns, t->answered_ns);
	assert_int_equal(seen_wait(capture, &b, THRIFT_CALLS), 0);
	assert_protocol(&b, WIRE_THRIFT);
	assert_int_equal(b.server.sum.calls, THRIFT_CALLS);
	nested_assert("server", &b.server.sum.latency, &server, 0, nested_arrival_ns());
	assert_int_equal(b.client.sum.errors, 1);
	if (!sees_sends())
		return;
	assert_int_equal(b.client.sum.calls, THRIFT_CALLS);
	nested_assert("client", &b.client.sum.latency, &client, 0, 0);
	assert_int_equal(b.server.sum.errors, 1);
}

/* After a call alone, a one-way call and one that is answered, sent at once and read at once. */
static int run_thrift_pair_server(void *ctx)
{
	struct thrift *t = ctx;
	int fd = accept(t->listener, NULL, NULL);
	uint8_t both[34];

	for (unsigned i = 0; i < THRIFT_CALLS; i++) {
		ssize_t size = i ? sizeof(both) : 17;

		if (recv(fd, both, (size_t)size, MSG_WAITALL) != size)
			return 1;
		traffic_write(fd, thrift_reply, 17);
	}
	close(fd);
	return 0;
}

static int run_thrift_pair_client(void *ctx)
{
	struct thrift *t = ctx;
	int fd = traffic_connect(t->port);
	uint8_t both[34], answer[17];

	memcpy(both, thrift_oneway, 17);
	memcpy(both + 17, thrift_call, 17);
	for (unsigned i = 0; i < THRIFT_CALLS; i++) {
		traffic_write(fd, i ? both : thrift_call, i ? sizeof(both) : 17);
		traffic_read(fd, answer, 17);
	}
	close(fd);
	return 0;
}

static void a_call_behind_a_one_way_call_is_found(void **state)
{
	struct thrift *t = traffic_share(sizeof(*t));
	struct both b;
	pid_t back_pid;

	(void)state;
	t->listener = traffic_listen(&t->port);
	b = seen_between(&front, &back, t->port);
	back_pid = traffic_spawn(&back, run_thrift_pair_server, t);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_thrift_pair_client, t)), 0);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(t->listener);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	assert_int_equal(b.server.sum.calls, sees_each_message() ? THRIFT_CALLS : 1);
	if (sees_each_message() && sees_sends())
		assert_int_equal(b.client.sum.calls, THRIFT_CALLS);
}

/* ---- Redis, which pushes unasked */

static int run_subscriber(void *ctx)
{
	static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n";
	static const char publish[] = "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n";
	struct client *c = ctx;
	int fd = traffic_connect(c->port), other = traffic_connect(c->port);
	char buffer[256];
	uint64_t start_ns;

	traffic_write(fd, subscribe, sizeof(subscribe) - 1);
	if (read(fd, buffer, sizeof(buffer)) <= 0)
		return 1;
	for (int i = 0; i < 6; i++) {
		traffic_pause_us(200000);
		start_ns = clock_monotonic_ns();
		traffic_write(other, publish, sizeof(publish) - 1);
		if (read(fd, buffer, sizeof(buffer)) <= 0 || read(other, buffer, 4) != 4)
			return 1;
		hist_add(&c->record, clock_monotonic_ns() - start_ns);
	}
	close(fd);
	close(other);
	return 0;
}

static void messages_to_a_redis_subscriber_are_no_latency(void **state)
{
	struct client *c = traffic_share(sizeof(*c));
	struct both b;

	(void)state;
	c->port = service_port(SERVICE_REDIS);
	b = seen_between(&front, &back, c->port);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_subscriber, c)), 0);
	assert_int_equal(seen_wait(capture, &b, 6), 0);
	assert_int_equal(b.client.sum.calls, 6); /* the publications */
	nested_assert("client", &b.client.sum.latency, &c->record, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nginx_speaks_http_and_its_5xx_are_errors),
		cmocka_unit_test(redis_is_recognised_with_its_errors),
		cmocka_unit_test(a_pipeline_is_one_call),
		cmocka_unit_test(memcached_is_recognised),
		cmocka_unit_test(postgresql_counts_queries_and_not_its_start),
		cmocka_unit_test(thrift_one_way_calls_are_no_latency),
		cmocka_unit_test(a_call_behind_a_one_way_call_is_found),
		cmocka_unit_test(messages_to_a_redis_subscriber_are_no_latency),
	};
	static const enum service_kind services[] = {
		SERVICE_NGINX, SERVICE_REDIS, SERVICE_MEMCACHED, SERVICE_POSTGRESQL};

	return protocol_facts_run("capture_protocol_test", tests, sizeof(tests) / sizeof(tests[0]),
		services, sizeof(services) / sizeof(services[0]));
}
