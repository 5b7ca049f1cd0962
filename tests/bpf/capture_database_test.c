/* Databases whose requests and answers alternate: which messages are calls, and which fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <mysql.h>
#include <signal.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/nested.h"
#include "tests/bpf/protocol_facts.h"

/* ---- MySQL's protocol, by MariaDB and its own client */

enum {
	QUERIES = 20,
	MISTAKES = 5,
	EXECUTIONS = 7,
	MYSQL_CALLS = QUERIES + MISTAKES + 1 /* prepare */ + EXECUTIONS + 1 /* ping */,
};

static int query(MYSQL *m, const char *text)
{
	MYSQL_RES *rows;

	if (mysql_query(m, text))
		return -1;
	rows = mysql_store_result(m);
	if (rows)
		mysql_free_result(rows);
	return 0;
}

/* One statement, executed often; closing it is not answered. */
static int execute(MYSQL *m)
{
	static const char text[] = "select 1 + 1";
	MYSQL_STMT *s = mysql_stmt_init(m);
	int bad = !s || mysql_stmt_prepare(s, text, sizeof(text) - 1);

	for (int i = 0; i < EXECUTIONS && !bad; i++) {
		bad = mysql_stmt_execute(s) || mysql_stmt_store_result(s);
		mysql_stmt_free_result(s);
	}
	return mysql_stmt_close(s) || bad;
}

/* In memory shared with the test. */
struct client {
	uint16_t port;
	struct hist record; /* how long each of its calls took, or several in turn */
};

static uint64_t note(struct client *c, uint64_t start_ns)
{
	uint64_t now = clock_monotonic_ns();

	hist_add(&c->record, now - start_ns);
	return now;
}

static int run_mysql(void *ctx)
{
	struct client *c = ctx;
	MYSQL *m = mysql_init(NULL);
	uint64_t at = clock_monotonic_ns();
	int bad = 0;

	if (!mysql_real_connect(m, "127.0.0.1", "root", "", NULL, c->port, NULL, 0))
		return 1;
	note(c, at);
	traffic_pause_us(700000); /* silence after the start-up is nobody's latency */
	at = clock_monotonic_ns();
	for (int i = 0; i < QUERIES; i++, at = note(c, at))
		bad |= query(m, "select 1");
	for (int i = 0; i < MISTAKES; i++, at = note(c, at))
		bad |= !query(m, "select nonsense");
	bad |= execute(m);
	at = note(c, at);
	bad |= mysql_ping(m);
	note(c, at);
	mysql_close(m);
	return bad;
}

static bool is_silent(const struct hist *captured, const struct client *c, uint64_t slack_ns)
{
	return hist_quantile_ns(captured, 1) <= hist_quantile_ns(&c->record, 1) + slack_ns;
}

/*
 * Whether the server's silence is no latency either. Strategies that see a send as it returns may
 * need another try: a server that loses the CPU there has the wait in its latency.
 */
static bool commands_are_counted(struct client *c)
{
	struct both b = seen_between(&front, &back, c->port);

	assert_int_equal(traffic_wait(traffic_spawn(&front, run_mysql, c)), 0);
	assert_int_equal(seen_wait(capture, &b, MYSQL_CALLS), 0);
	assert_protocol(&b, WIRE_MYSQL);
	assert_int_equal(b.server.sum.calls, MYSQL_CALLS);
	assert_int_equal(b.client.sum.errors, MISTAKES);
	assert_true(is_silent(&b.client.sum.latency, c, 0));
	if (sees_sends()) { /* else its login passes for a call at the client's end */
		assert_int_equal(b.client.sum.calls, MYSQL_CALLS);
		assert_int_equal(b.server.sum.errors, MISTAKES);
	}
	return is_silent(&b.server.sum.latency, c, nested_arrival_ns());
}

static void mysql_counts_commands_and_not_its_start(void **state)
{
	struct client *c = traffic_share(sizeof(*c));
	bool silent = false;

	(void)state;
	for (int tries = 0; tries < 8 && !silent; tries++) {
		*c = (struct client){.port = service_port(SERVICE_MARIADB)};
		silent = commands_are_counted(c);
	}
	assert_true(silent);
}

/* ---- MongoDB's, by its own driver before a responder of ours, which tells what it answered */

enum { MONGODB_MISTAKES = 4 };

static void mongodb_counts_what_is_answered(void **state)
{
	struct both b;
	int answered = run_before_responder("mongodb", 26, &b);

	(void)state;
	assert_protocol(&b, WIRE_MONGODB);
	assert_int_equal(b.client.sum.errors, MONGODB_MISTAKES);
	if (sees_each_message())
		assert_int_equal(b.server.sum.calls, answered);
	if (!sees_sends())
		return; /* the driver's unanswered writes are not told from calls at its end */
	/* its monitor's last question may be cut off by its end */
	assert_int_equal(b.client.sum.calls + b.client.sum.unanswered, answered);
	assert_int_equal(b.server.sum.errors, MONGODB_MISTAKES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mysql_counts_commands_and_not_its_start),
		cmocka_unit_test(mongodb_counts_what_is_answered),
	};
	static const enum service_kind services[] = {SERVICE_MARIADB};

	return protocol_facts_run("capture_database_test", tests, sizeof(tests) / sizeof(tests[0]),
		services, sizeof(services) / sizeof(services[0]));
}
