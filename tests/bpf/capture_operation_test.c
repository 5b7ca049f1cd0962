/* What the calls to real servers asked for: each operation by name, with exact counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/bpf/protocol_facts.h"

/* One row of a conversation on one connection. */
struct asked {
	const char *name; /* NULL = of none that is kept */
	const char *bytes;
	const char *until; /* the answer ends with this */
	unsigned times;
	bool fails;
};

struct talk {
	uint16_t port;
	const struct asked *asked; /* up to one without bytes */
};

static bool answered(int fd, const char *until)
{
	char answer[4096] = "";
	size_t size = 0, tail = strlen(until);

	while (size < tail || memcmp(answer + size - tail, until, tail) != 0) {
		ssize_t n = read(fd, answer + size, sizeof(answer) - size);

		if (n <= 0)
			return false;
		size += (size_t)n;
	}
	return true;
}

/* Turn by turn, so that hardly a call repeats the one before. */
static int run_talk(void *ctx)
{
	const struct talk *t = ctx;
	int fd = traffic_connect(t->port);
	bool more = true;

	for (unsigned turn = 0; more; turn++) {
		more = false;
		for (const struct asked *a = t->asked; a->bytes; a++) {
			if (turn >= a->times)
				continue;
			more = true;
			traffic_write(fd, a->bytes, strlen(a->bytes));
			if (!answered(fd, a->until))
				return 1;
		}
	}
	close(fd);
	return 0;
}

static void check_end(const struct seen *s, const struct asked *asked, bool errors)
{
	for (const struct asked *a = asked; a->bytes; a++) {
		struct seen_operation got;

		if (!a->name)
			continue;
		got = seen_operation(s, a->name);
		if (got.calls != a->times || (errors && got.errors != (a->fails ? a->times : 0)))
			fail_msg("%s end: %s: %lu calls and %lu errors instead of %u and %u",
				s->side == WIRE_CLIENT ? "client's" : "server's", a->name,
				(unsigned long)got.calls, (unsigned long)got.errors, a->times,
				a->fails ? a->times : 0);
		assert_true(got.longest_ns <= hist_quantile_ns(&s->sum.latency, 1));
	}
}

static unsigned count(const struct asked *asked, bool named)
{
	unsigned calls = 0;

	for (const struct asked *a = asked; a->bytes; a++)
		calls += !named || a->name ? a->times : 0;
	return calls;
}

static unsigned of_operations(const struct seen *s)
{
	uint64_t calls = 0;

	for (unsigned i = 0; i < s->operations; i++)
		calls += s->operation[i].calls;
	return (unsigned)calls;
}

/* All are in their edge, those with a name in that operation, and there is no other operation. */
static void talk(const struct asked *asked, enum service_kind kind)
{
	struct talk t = {.port = service_port(kind), .asked = asked};
	struct both b = seen_between(&front, &back, t.port);

	assert_int_equal(traffic_wait(traffic_spawn(&front, run_talk, &t)), 0);
	assert_int_equal(seen_wait(capture, &b, count(asked, false)), 0);
	assert_int_equal(b.client.sum.calls, count(asked, false));
	assert_int_equal(b.server.sum.calls, count(asked, false));
	check_end(&b.server, asked, sees_sends());
	assert_int_equal(of_operations(&b.server), count(asked, true));
	if (!sees_sends())
		return; /* requests are sends of the client */
	check_end(&b.client, asked, true);
	assert_int_equal(of_operations(&b.client), count(asked, true));
}

/* ---- the facts */

#define HTTP(method, path) method " " path " HTTP/1.1\r\nHost: x\r\n\r\n"

static void http_is_told_by_method_and_pattern(void **state)
{
	static const struct asked asked[] = {
		{"GET /", HTTP("GET", "/"), "ok\n", 20, false},
		{"GET /bad", HTTP("GET", "/bad"), "</html>\r\n", 7, true},
		{"GET /users/*", HTTP("GET", "/users/17?token=secret"), "\n", 5, false},
		{"POST /users/*", HTTP("POST", "/users/18"), "\n", 3, false},
		{0},
	};

	(void)state;
	talk(asked, SERVICE_NGINX);
}

static void redis_is_told_by_command(void **state)
{
	static const struct asked asked[] = {
		{"SET", "*3\r\n$3\r\nSET\r\n$6\r\nsecret\r\n$1\r\nv\r\n", "+OK\r\n", 9, false},
		{"GET", "*2\r\n$3\r\nget\r\n$6\r\nsecret\r\n", "v\r\n", 12, false},
		{"INCR", "*2\r\n$4\r\nINCR\r\n$6\r\nsecret\r\n", "\r\n", 3, true},
		{"DBSIZE", "*1\r\n$6\r\nDBSIZE\r\n", "\r\n", 4, false},
		{NULL, "PING\r\n", "+PONG\r\n", 2, false}, /* inline commands are not read */
		{0},
	};

	(void)state;
	talk(asked, SERVICE_REDIS);
}

static void memcached_is_told_by_verb(void **state)
{
	static const struct asked asked[] = {
		{"set", "set secret 0 0 1\r\nv\r\n", "STORED\r\n", 8, false},
		{"get", "get secret\r\n", "END\r\n", 11, false},
		{"incr", "incr secret 1\r\n", "\r\n", 2, true},
		{"mg", "mg secret v\r\n", "VA 1\r\nv\r\n", 6, false},
		{0},
	};

	(void)state;
	talk(asked, SERVICE_MEMCACHED);
}

enum { SIMPLE = 10, EXTENDED = 6, PREPARED = 5, WRONG = 2 };

static bool done(PGresult *r)
{
	ExecStatusType status = PQresultStatus(r);

	PQclear(r);
	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

static PGconn *connect_postgresql(uint16_t port)
{
	char info[128];

	snprintf(info, sizeof(info), "host=127.0.0.1 port=%u user=postgres dbname=postgres", port);
	for (int i = 0; i < 500; i++) { /* it accepts before it is ready */
		PGconn *pg = PQconnectdb(info);

		if (PQstatus(pg) == CONNECTION_OK)
			return pg;
		PQfinish(pg);
		traffic_pause_us(20000);
	}
	return NULL;
}

static int run_statements(void *ctx)
{
	PGconn *pg = connect_postgresql(*(uint16_t *)ctx);
	bool good = pg && done(PQprepare(pg, "q", "select count(*) from pg_class", 0, NULL));

	for (int i = 0; i < SIMPLE && good; i++)
		good = done(PQexec(pg, "select 'secret' as x"));
	for (int i = 0; i < EXTENDED && good; i++)
		good = done(PQexecParams(
			pg, "SELECT 1 FROM pg_database", 0, NULL, NULL, NULL, NULL, 0));
	for (int i = 0; i < PREPARED && good; i++)
		good = done(PQexecPrepared(pg, "q", 0, NULL, NULL, NULL, 0));
	for (int i = 0; i < WRONG && good; i++)
		good = !done(PQexec(pg, "update missing set secret = 1"));
	PQfinish(pg);
	return !good;
}

static void check_statements(const struct seen *s)
{
	assert_int_equal(seen_operation(s, "SELECT").calls, SIMPLE);
	assert_int_equal(seen_operation(s, "SELECT pg_database").calls, EXTENDED);
	assert_int_equal(seen_operation(s, "EXECUTE").calls, PREPARED);
	assert_int_equal(seen_operation(s, "UPDATE missing").calls, WRONG);
}

static void postgresql_is_told_by_verb_and_table(void **state)
{
	uint16_t port = service_port(SERVICE_POSTGRESQL);
	struct both b = seen_between(&front, &back, port);

	(void)state;
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_statements, &port)), 0);
	assert_int_equal(seen_wait(capture, &b, SIMPLE + EXTENDED + PREPARED + WRONG + 1), 0);
	check_statements(&b.server);
	if (!sees_sends())
		return;
	check_statements(&b.client);
	assert_int_equal(seen_operation(&b.client, "UPDATE missing").errors, WRONG);
}

/* More than an edge may have: the rest is in the edge alone, and counted. */
static void operations_past_the_bound_are_counted(void **state)
{
	enum { KINDS = 26, KEPT = 16 };
	static char bytes[KINDS][64];
	struct asked asked[KINDS + 1] = {0};
	struct talk t = {.port = service_port(SERVICE_NGINX), .asked = asked};
	uint64_t before[WIRE_LOSSES] = {0}, after[WIRE_LOSSES] = {0}, named, lost;
	struct both b = seen_between(&front, &back, t.port);

	(void)state;
	for (int i = 0; i < KINDS; i++) {
		snprintf(bytes[i], sizeof(bytes[i]), HTTP("GET", "/part-%c"), 'a' + i);
		asked[i] = (struct asked){NULL, bytes[i], "\n", 2, false};
	}
	assert_int_equal(capture_read(capture, seen_add, &b), 0); /* a window of its own */
	b = seen_between(&front, &back, t.port);
	capture_losses(capture, before);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_talk, &t)), 0);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	assert_int_equal(b.server.operations, KEPT);
	assert_int_equal(seen_wait(capture, &b, KINDS * 2), 0); /* the last may come later */
	capture_losses(capture, after);
	assert_int_equal(b.server.sum.calls, KINDS * 2);
	named = of_operations(&b.server) + of_operations(&b.client);
	lost = after[LOSS_EDGE_OPERATIONS_FULL] - before[LOSS_EDGE_OPERATIONS_FULL];
	assert_true(lost > 0);
	assert_int_equal(named + lost, b.server.sum.calls * (sees_sends() ? 2 : 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_is_told_by_method_and_pattern),
		cmocka_unit_test(redis_is_told_by_command),
		cmocka_unit_test(memcached_is_told_by_verb),
		cmocka_unit_test(postgresql_is_told_by_verb_and_table),
		cmocka_unit_test(operations_past_the_bound_are_counted),
	};
	static const enum service_kind services[] = {
		SERVICE_NGINX, SERVICE_REDIS, SERVICE_MEMCACHED, SERVICE_POSTGRESQL};

	operations_told_apart = 64;
	return protocol_facts_run("capture_operation_test", tests, sizeof(tests) / sizeof(tests[0]),
		services, sizeof(services) / sizeof(services[0]));
}
