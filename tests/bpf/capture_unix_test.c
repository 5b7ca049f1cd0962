/* Calls over unix stream sockets are those of any connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/support.h"
#include "common/clock.h"
#include "tests/bpf/protocol_facts.h"

#define ASK_HTTP "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

/* ---- a client */

struct talk {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	unsigned connections, calls; /* calls on each */
	const char *ask, *until;     /* the answer ends with this */
	uint64_t sum_ns;             /* by its own clock */
	uint64_t received;
};

static struct talk *talk; /* shared with the process that talks */

static int dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, talk->path, sizeof(a.sun_path));
	for (int i = 0; i < 500; i++) { /* some listen here a little later than on their port */
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return fd;
		traffic_pause_us(10000);
	}
	return -1;
}

static int call(int fd)
{
	char answer[4096];
	size_t size = 0, tail = strlen(talk->until);
	uint64_t start = clock_monotonic_ns();

	traffic_write(fd, talk->ask, strlen(talk->ask));
	while (size < tail || memcmp(answer + size - tail, talk->until, tail) != 0) {
		ssize_t n = read(fd, answer + size, sizeof(answer) - size);

		if (n <= 0)
			return 1;
		size += (size_t)n;
	}
	talk->sum_ns += clock_monotonic_ns() - start;
	talk->received += size;
	return 0;
}

static int run_talk(void *ctx)
{
	(void)ctx;
	for (unsigned i = 0; i < talk->connections; i++) {
		int fd = dial(), bad = fd < 0;

		for (unsigned k = 0; k < talk->calls && !bad; k++)
			bad = call(fd);
		if (bad)
			return 1;
		close(fd);
	}
	return 0;
}

static void run(
	const char *path, const char *ask, const char *until, unsigned connections, unsigned calls)
{
	*talk = (struct talk){
		.connections = connections, .calls = calls, .ask = ask, .until = until};
	assert_in_range(
		snprintf(talk->path, sizeof(talk->path), "%s", path), 1, sizeof(talk->path) - 1);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_talk, NULL)), 0);
}

static const char *socket_of(enum service_kind kind)
{
	static char path[200];

	(void)service_port(kind); /* or skip */
	snprintf(path, sizeof(path), "%s/socket", service[kind].dir);
	return path;
}

/*
 * The first message that is recognised has the senders watched, from the next window on. What of
 * it is counted all the same is read here, after the quiet that ends it.
 */
static void begin_watching(struct capture *c)
{
	struct both before = seen_between(&front, &back, 0);

	run(socket_of(SERVICE_REDIS), "*1\r\n$4\r\nPING\r\n", "+PONG\r\n", 1, 1);
	assert_int_equal(capture_read(c, seen_add, &before), 0);
	traffic_pause_us(700000);
	assert_int_equal(capture_read(c, seen_add, &before), 0);
}

static struct both watched(void)
{
	static const char *strategy; /* that watches */
	const char *now = capture_strategy(capture);

	if (!support_sees(now, SEES_UNIX)) {
		print_message("skipped: strategy %s does not see unix sockets\n", now);
		skip();
	}
	if (strategy != now)
		begin_watching(capture);
	strategy = now;
	return seen_between(&front, &back, 0);
}

static void assert_exact(struct both *b, uint64_t calls, uint64_t errors, unsigned protocol)
{
	assert_int_equal(seen_wait(capture, b, calls), 0);
	assert_int_equal(b->client.sum.calls, calls);
	assert_int_equal(b->server.sum.calls, calls);
	assert_int_equal(b->client.sum.errors, errors);
	assert_int_equal(b->server.sum.errors, errors);
	assert_protocol(b, protocol);
	assert_int_equal(b->client.sum.peer_cgroup_id, back.id);
	assert_int_equal(b->server.sum.peer_cgroup_id, front.id);
}

/* Within what the client measured, and the server's end within the client's. */
static void assert_nested(const struct both *b)
{
	uint64_t asked = (uint64_t)talk->connections * talk->calls * strlen(talk->ask);

	assert_true(b->client.sum.latency.sum_ns <= talk->sum_ns);
	assert_true(b->server.sum.latency.sum_ns <= b->client.sum.latency.sum_ns);
	assert_true(b->server.sum.latency.sum_ns > 0);
	assert_int_equal(b->client.sum.bytes_sent, asked);
	assert_int_equal(b->server.sum.bytes_received, asked);
	assert_int_equal(b->client.sum.bytes_received, talk->received);
	assert_int_equal(b->server.sum.bytes_sent, talk->received);
}

/* ---- the facts */

static void keep_line(void *ctx, const char *feature, const char *how, const char *blind)
{
	(void)blind;
	if (!strcmp(feature, "capture: unix streams"))
		snprintf(ctx, 64, "%s", how);
}

static void whether_they_are_seen_is_said(void **state)
{
	bool seen = support_sees(capture_strategy(capture), SEES_UNIX);
	struct both b = seen_between(&front, &back, 0);
	char how[64] = "";

	(void)state;
	capture_support(capture, keep_line, how);
	assert_int_equal(strncmp(how, "no: ", 4) == 0, !seen);
	if (seen)
		return;
	run(socket_of(SERVICE_REDIS), "*1\r\n$4\r\nPING\r\n", "+PONG\r\n", 2, 10);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	traffic_pause_us(700000);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls + b.client.sum.unanswered, 0);
	assert_int_equal(b.server.sum.calls + b.server.sum.unanswered, 0);
}

static void redis_is_exact(void **state)
{
	struct both b = watched();

	(void)state;
	run(socket_of(SERVICE_REDIS), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "+OK\r\n", 4,
		100);
	assert_exact(&b, 400, 0, WIRE_REDIS);
	assert_nested(&b);
	b = seen_between(&front, &back, 0);
	run(socket_of(SERVICE_REDIS), "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n", "\r\n", 1, 7);
	assert_exact(&b, 7, 7, WIRE_REDIS);
	assert_nested(&b);
}

static void nginx_is_exact_with_a_connection_a_call(void **state)
{
	struct both b = watched();

	(void)state;
	run(socket_of(SERVICE_NGINX), ASK_HTTP, "ok\n", 1000, 1);
	assert_exact(&b, 1000, 0, WIRE_HTTP1);
	assert_nested(&b);
	b = seen_between(&front, &back, 0);
	run(socket_of(SERVICE_NGINX), "GET /bad HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"</html>\r\n", 9, 1);
	assert_exact(&b, 9, 9, WIRE_HTTP1);
}

static int run_queries(void *ctx)
{
	const struct service *s = ctx;
	PGconn *pg = NULL;
	char info[256];
	int bad = 0;

	snprintf(info, sizeof(info), "host=%s port=%u user=postgres dbname=postgres", s->dir,
		s->port);
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
	struct both b = watched();

	(void)state;
	(void)service_port(SERVICE_POSTGRESQL);
	assert_int_equal(
		traffic_wait(traffic_spawn(&front, run_queries, &service[SERVICE_POSTGRESQL])), 0);
	assert_int_equal(seen_wait(capture, &b, 30), 0);
	assert_protocol(&b, WIRE_POSTGRESQL);
	assert_int_equal(b.client.sum.calls, 30);
	assert_int_equal(b.server.sum.calls, 30);
	assert_true(b.client.sum.errors > 0);
	assert_int_equal(b.client.sum.errors, b.server.sum.errors);
}

/* A socket of the test's own, where the client dials from now on. */
static int listen_at_own_path(int backlog)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(talk->path, sizeof(talk->path), "/tmp/sage-unix-%d", getpid());
	memcpy(a.sun_path, talk->path, sizeof(a.sun_path));
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, backlog), 0);
	return listener;
}

#define DELAY_US 20000

/* Answers each request in two parts, after a while each. */
static int run_slow(void *ctx)
{
	int fd = accept(*(int *)ctx, NULL, NULL);
	char request[256];

	while (read(fd, request, sizeof(request)) > 0) {
		traffic_pause_us(DELAY_US);
		traffic_write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 38);
		traffic_pause_us(DELAY_US);
		traffic_write(fd, "ok\n", 3);
	}
	return 0;
}

static void an_answer_ends_at_its_last_byte(void **state)
{
	struct both b = watched();
	int listener = listen_at_own_path(1);
	pid_t server = traffic_spawn(&back, run_slow, &listener);
	char path[sizeof(talk->path)];

	(void)state;
	memcpy(path, talk->path, sizeof(path));
	run(path, ASK_HTTP, "\r\n\r\nok\n", 1, 10);
	assert_int_equal(traffic_wait(server), 0);
	close(listener);
	unlink(path);
	assert_exact(&b, 10, 0, WIRE_HTTP1);
	assert_nested(&b);
	assert_true(b.server.sum.latency.sum_ns >= 20 * DELAY_US * 1000ULL);
}

static int run_pair(void *ctx)
{
	char bytes[256];
	int fd[2];

	(void)ctx;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		return 1;
	for (int i = 0; i < 20; i++) {
		traffic_write(fd[0], ASK_HTTP, sizeof(ASK_HTTP) - 1);
		if (read(fd[1], bytes, sizeof(bytes)) <= 0)
			return 1;
		traffic_write(fd[1], "HTTP/1.1 200 OK\r\n\r\n", 19);
		if (read(fd[0], bytes, sizeof(bytes)) <= 0)
			return 1;
	}
	return 0;
}

static void a_socketpair_is_no_connection(void **state)
{
	struct both b = watched();

	(void)state;
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_pair, NULL)), 0);
	run(socket_of(SERVICE_NGINX), ASK_HTTP, "ok\n", 1, 5); /* these are */
	assert_exact(&b, 5, 0, WIRE_HTTP1);
}

/* ---- more connections than there is room for */

#define ROOM 8 /* one set */
#define MANY 20

/* A capture that has room for so many, beside the one under test, and watches senders. */
static struct capture *open_small(void)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.strategy = capture_strategy(capture),
		.max_connections = 4 * ROOM};
	struct capture *small;

	assert_int_equal(capture_open(&small, &o), 0);
	begin_watching(small);
	return small;
}

static void calls_of_connections_that_gave_way_are_counted(void **state)
{
	struct both b = watched();
	struct capture *small = open_small();

	(void)state;
	run(socket_of(SERVICE_NGINX), ASK_HTTP, "ok\n", 200, 1);
	assert_int_equal(seen_wait(small, &b, 200), 0);
	assert_int_equal(b.client.sum.calls, 200);
	assert_int_equal(b.server.sum.calls, 200);
	capture_close(small);
}

static int run_crowd(void *ctx)
{
	int fd[MANY];
	char answer[64];

	(void)ctx;
	for (int i = 0; i < MANY; i++) {
		fd[i] = dial();
		traffic_write(fd[i], ASK_HTTP, sizeof(ASK_HTTP) - 1);
	}
	for (int i = 0; i < MANY; i++)
		if (read(fd[i], answer, sizeof(answer)) <= 0)
			return 1;
	return 0;
}

/* Answers when all have asked. */
static int run_patient(void *ctx)
{
	char request[256];
	int fd[MANY];

	for (int i = 0; i < MANY; i++) {
		fd[i] = accept(*(int *)ctx, NULL, NULL);
		if (read(fd[i], request, sizeof(request)) <= 0)
			return 1;
	}
	for (int i = 0; i < MANY; i++)
		traffic_write(fd[i], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38);
	return 0;
}

/* Other connections of the machine take places too. */
static void open_calls_that_had_to_give_way_are_losses(void **state)
{
	uint64_t before[WIRE_LOSSES] = {0}, after[WIRE_LOSSES] = {0}, lost;
	struct both b = watched();
	struct capture *small = open_small();
	int listener = listen_at_own_path(MANY);
	pid_t server = traffic_spawn(&back, run_patient, &listener);

	(void)state;
	capture_losses(small, before);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_crowd, NULL)), 0);
	assert_int_equal(traffic_wait(server), 0);
	close(listener);
	unlink(talk->path);
	assert_int_equal(seen_wait(small, &b, 1), 0);
	traffic_pause_us(700000); /* the quiet that ends the last ones */
	assert_int_equal(capture_read(small, seen_add, &b), 0);
	capture_losses(small, after);
	lost = after[LOSS_CONNECTION_TABLE_FULL] - before[LOSS_CONNECTION_TABLE_FULL];
	assert_in_range(b.client.sum.calls, 1, ROOM);
	assert_int_equal(b.server.sum.calls, b.client.sum.calls);
	assert_true(b.client.sum.calls + lost >= MANY);
	capture_close(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whether_they_are_seen_is_said),
		cmocka_unit_test(redis_is_exact),
		cmocka_unit_test(nginx_is_exact_with_a_connection_a_call),
		cmocka_unit_test(postgresql_counts_queries_and_not_its_start),
		cmocka_unit_test(an_answer_ends_at_its_last_byte),
		cmocka_unit_test(a_socketpair_is_no_connection),
		cmocka_unit_test(calls_of_connections_that_gave_way_are_counted),
		cmocka_unit_test(open_calls_that_had_to_give_way_are_losses),
	};
	static const enum service_kind services[] = {
		SERVICE_NGINX, SERVICE_REDIS, SERVICE_POSTGRESQL};

	talk = mmap(NULL, sizeof(*talk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (talk == MAP_FAILED)
		return 1;
	return protocol_facts_run("capture_unix_test", tests, sizeof(tests) / sizeof(tests[0]),
		services, sizeof(services) / sizeof(services[0]));
}
