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

static int run_queries(void *ctx)
{
	char info[128];
	PGconn *pg;
	int bad = 0;

	snprintf(info, sizeof(info), "host=127.0.0.1 port=%u user=postgres dbname=postgres",
		*(uint16_t *)ctx);
	for (int i = 0; i < 500; i++) { /* it accepts before it is ready */
		pg = PQconnectdb(info);
		if (PQstatus(pg) == CONNECTION_OK)
			break;
		PQfinish(pg);
		pg = NULL;
		traffic_pause_us(20000);
	}
	if (!pg)
		return 1;
	traffic_pause_us(700000); /* silence after the start-up is nobody's latency */
	for (int i = 0; i < 30; i++) {
		const char *query = i < 25 ? "select 1" : "select 1/0";
		PGresult *r = i % 2 ? PQexec(pg, query)
				    : PQexecParams(pg, query, 0, NULL, NULL, NULL, NULL, 0);

		bad += PQresultStatus(r) != (i < 25 ? PGRES_TUPLES_OK : PGRES_FATAL_ERROR);
		PQclear(r);
	}
	PQfinish(pg);
	return bad;
}

static void postgresql_counts_queries_and_not_its_start(void **state)
{
	uint16_t port = service_port(SERVICE_POSTGRESQL);
	struct both b = seen_between(&front, &back, port);

	(void)state;
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_queries, &port)), 0);
	assert_int_equal(seen_wait(capture, &b, 30), 0);
	if (sees_sends()) { /* else the start-up looks like calls of an unknown protocol */
		assert_protocol(&b, WIRE_POSTGRESQL);
		assert_int_equal(b.client.sum.calls, 30);
		assert_true(b.client.sum.errors > 0);
	}
	assert_true(hist_quantile_ns(&b.client.sum.latency, 1) < 500000000);
	assert_true(hist_quantile_ns(&b.server.sum.latency, 1) < 500000000);
}

/* ---- Thrift, by a server of our own: CALL is answered, ONEWAY is not */

static const uint8_t thrift_call[] = "\0\0\0\x0d\x80\1\0\1\0\0\0\0\0\0\0\1";
static const uint8_t thrift_reply[] = "\0\0\0\x0d\x80\1\0\2\0\0\0\0\0\0\0\1";
static const uint8_t thrift_oneway[] = "\0\0\0\x0d\x80\1\0\4\0\0\0\0\0\0\0\1";
static const uint8_t thrift_exception[] = "\0\0\0\x0d\x80\1\0\3\0\0\0\0\0\0\0\1";
_Static_assert(sizeof(thrift_call) == 17, "a frame of 13 bytes, the last is the struct's end");

#define THRIFT_CALLS 6 /* the last one fails */

static int run_thrift_server(void *ctx)
{
	int fd = accept(*(int *)ctx, NULL, NULL);
	uint8_t message[13];
	uint32_t length;

	for (unsigned answered = 0; answered < THRIFT_CALLS;) {
		traffic_read(fd, &length, sizeof(length)); /* as the library does: length first */
		traffic_read(fd, message, sizeof(message));
		if (message[3] != 1)
			continue;
		answered++;
		traffic_write(fd, answered < THRIFT_CALLS ? thrift_reply : thrift_exception, 17);
	}
	close(fd);
	return 0;
}

static int run_thrift_client(void *ctx)
{
	int fd = traffic_connect(*(uint16_t *)ctx);
	uint8_t answer[17];

	for (unsigned i = 0; i < THRIFT_CALLS; i++) {
		traffic_write(fd, thrift_oneway, 17);
		traffic_pause_us(300000);
		traffic_write(fd, thrift_call, 17);
		traffic_read(fd, answer, 17);
	}
	close(fd);
	return 0;
}

static void thrift_one_way_calls_are_no_latency(void **state)
{
	uint16_t port;
	int listener = traffic_listen(&port);
	struct both b = seen_between(&front, &back, port);
	pid_t server = traffic_spawn(&back, run_thrift_server, &listener);

	(void)state;
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_thrift_client, &port)), 0);
	assert_int_equal(traffic_wait(server), 0);
	close(listener);
	assert_int_equal(seen_wait(capture, &b, THRIFT_CALLS), 0);
	assert_protocol(&b, WIRE_THRIFT);
	assert_int_equal(b.server.sum.calls, THRIFT_CALLS);
	assert_true(hist_quantile_ns(&b.server.sum.latency, 1) < 100000000);
	assert_int_equal(b.client.sum.errors, 1);
	if (!sees_sends())
		return;
	assert_int_equal(b.client.sum.calls, THRIFT_CALLS);
	assert_true(hist_quantile_ns(&b.client.sum.latency, 1) < 100000000);
	assert_int_equal(b.server.sum.errors, 1);
}

/* ---- Redis, which pushes unasked */

static int run_subscriber(void *ctx)
{
	static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n";
	static const char publish[] = "*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n";
	uint16_t port = *(uint16_t *)ctx;
	int fd = traffic_connect(port), other = traffic_connect(port);
	char buffer[256];

	traffic_write(fd, subscribe, sizeof(subscribe) - 1);
	if (read(fd, buffer, sizeof(buffer)) <= 0)
		return 1;
	for (int i = 0; i < 6; i++) {
		traffic_pause_us(200000);
		traffic_write(other, publish, sizeof(publish) - 1);
		if (read(fd, buffer, sizeof(buffer)) <= 0 || read(other, buffer, 4) != 4)
			return 1;
	}
	close(fd);
	close(other);
	return 0;
}

static void messages_to_a_redis_subscriber_are_no_latency(void **state)
{
	uint16_t port = service_port(SERVICE_REDIS);
	struct both b = seen_between(&front, &back, port);

	(void)state;
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_subscriber, &port)), 0);
	assert_int_equal(seen_wait(capture, &b, 6), 0);
	assert_int_equal(b.client.sum.calls, 6); /* the publications */
	assert_true(hist_quantile_ns(&b.client.sum.latency, 1) < 150000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nginx_speaks_http_and_its_5xx_are_errors),
		cmocka_unit_test(redis_is_recognised_with_its_errors),
		cmocka_unit_test(memcached_is_recognised),
		cmocka_unit_test(postgresql_counts_queries_and_not_its_start),
		cmocka_unit_test(thrift_one_way_calls_are_no_latency),
		cmocka_unit_test(messages_to_a_redis_subscriber_are_no_latency),
	};
	static const enum service_kind services[] = {
		SERVICE_NGINX, SERVICE_REDIS, SERVICE_MEMCACHED, SERVICE_POSTGRESQL};

	return protocol_facts_run("capture_protocol_test", tests, sizeof(tests) / sizeof(tests[0]),
		services, sizeof(services) / sizeof(services[0]));
}
