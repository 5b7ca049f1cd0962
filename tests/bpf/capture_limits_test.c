/* Connections older than the agent, full tables, and who is left out. Once per strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "common/log.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/strategies.h"
#include "tests/bpf/traffic.h"

static const char *strategy;
static struct traffic_cgroup front, back;

static struct capture *open_capture(struct capture_options o)
{
	struct capture *c = NULL;

	o.cgroup_subsys = traffic_cgroup_subsys();
	o.strategy = strategy;
	assert_int_equal(capture_open(&c, &o), 0);
	return c;
}

/* ---- a client that waits for a word before each round of calls */

struct rounds {
	uint16_t port;
	unsigned connections, calls; /* in parallel; per connection and round */
	int pipe[2];                 /* the test's end and the client's, a byte per step */
};

static void answer(int fd)
{
	traffic_write(fd, "", 1);
}

static int run_rounds(void *ctx)
{
	const struct rounds *r = ctx;
	struct traffic_request request = {.chunks = 1};
	uint64_t waited = 0;
	int fd[64];
	char step;

	close(r->pipe[0]);
	for (unsigned i = 0; i < r->connections; i++)
		fd[i] = traffic_connect(r->port);
	while (read(r->pipe[1], &step, 1) == 1) {
		for (unsigned i = 0; i < r->connections * r->calls; i++)
			(void)traffic_call(fd[i % r->connections], &request, &waited);
		answer(r->pipe[1]);
	}
	return 0;
}

struct pair {
	struct rounds rounds;
	struct traffic_server server;
	pid_t front, back;
};

static void pair_start(struct pair *p, unsigned connections, unsigned calls)
{
	memset(p, 0, sizeof(*p));
	p->server.connections = p->rounds.connections = connections;
	p->rounds.calls = calls;
	p->server.listener = traffic_listen(&p->rounds.port);
	p->back = traffic_spawn(&back, traffic_serve, &p->server);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->rounds.pipe), 0);
	p->front = traffic_spawn(&front, run_rounds, &p->rounds);
	close(p->rounds.pipe[1]);
}

static void pair_round(struct pair *p)
{
	char done;

	traffic_write(p->rounds.pipe[0], "", 1);
	traffic_read(p->rounds.pipe[0], &done, 1);
}

static void pair_end(struct pair *p)
{
	close(p->rounds.pipe[0]);
	assert_int_equal(traffic_wait(p->front), 0);
	assert_int_equal(traffic_wait(p->back), 0);
	close(p->server.listener);
}

/* ---- the facts */

static void connections_older_than_the_agent_are_counted(void **state)
{
	struct capture *c;
	struct pair p;
	struct both b;

	(void)state;
	pair_start(&p, 3, 5);
	pair_round(&p);
	c = open_capture((struct capture_options){0});
	pair_round(&p);
	pair_end(&p);
	b = seen_between(&front, &back, p.rounds.port);
	assert_int_equal(seen_wait(c, &b, 15), 0);
	assert_int_equal(b.client.sum.calls, 15);
	assert_int_equal(b.server.sum.calls, 15);
	assert_int_equal(b.client.sum.peer_cgroup_id, back.id);
	assert_int_equal(b.server.sum.peer_cgroup_id, front.id);
	capture_close(c);
}

static void a_full_edge_table_refuses_and_counts(void **state)
{
	uint64_t loss[WIRE_LOSSES] = {0};
	struct capture *c = open_capture((struct capture_options){.max_edges = 1});
	struct both b;
	struct pair p;

	(void)state;
	pair_start(&p, 1, 100);
	pair_round(&p);
	pair_end(&p);
	b = seen_between(&front, &back, p.rounds.port);
	assert_int_equal(capture_read(c, seen_add, &b), 0);
	capture_losses(c, loss);
	/* Other traffic of the machine may have taken the one place, and lose calls too. */
	assert_true(b.client.sum.calls + b.server.sum.calls + loss[LOSS_EDGE_TABLE_FULL] >= 200);
	assert_true(loss[LOSS_EDGE_TABLE_FULL] > 0);
	capture_close(c);
}

static void a_full_connection_table_counts_and_the_rest_works(void **state)
{
	uint64_t loss[WIRE_LOSSES] = {0};
	struct capture *c = open_capture((struct capture_options){.max_connections = 8});
	struct both b;
	struct pair p;

	(void)state;
	pair_start(&p, 20, 2);
	pair_round(&p);
	pair_end(&p);
	b = seen_between(&front, &back, p.rounds.port);
	assert_int_equal(capture_read(c, seen_add, &b), 0);
	capture_losses(c, loss);
	assert_true(loss[LOSS_CONNECTION_TABLE_FULL] >= 32);
	assert_true(b.client.sum.calls + b.server.sum.calls <= 16);
	capture_close(c);

	c = open_capture((struct capture_options){.max_connections = 256});
	memset(loss, 0, sizeof(loss));
	for (int i = 0; i < 8; i++) { /* closed connections give their place back */
		pair_start(&p, 20, 1);
		pair_round(&p);
		pair_end(&p);
	}
	capture_losses(c, loss);
	assert_int_equal(loss[LOSS_CONNECTION_TABLE_FULL], 0);
	capture_close(c);
}

static void the_root_cgroup_is_left_out(void **state)
{
	struct capture *c = open_capture((struct capture_options){0});
	struct traffic_cgroup root = {.path = "", .id = 1};
	struct traffic_request request = {.chunks = 1};
	struct traffic_server server = {.connections = 1};
	uint64_t waited = 0;
	struct both b;
	uint16_t port;
	pid_t pid;
	int fd;

	(void)state;
	server.listener = traffic_listen(&port);
	pid = traffic_spawn(&back, traffic_serve, &server);
	fd = traffic_connect(port); /* this process lives in the root */
	(void)traffic_call(fd, &request, &waited);
	close(fd);
	assert_int_equal(traffic_wait(pid), 0);
	close(server.listener);
	b = seen_between(&root, &back, port);
	assert_int_equal(capture_read(c, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls, 0);
	assert_int_equal(b.server.sum.calls, 1);
	capture_close(c);
}

static void an_unknown_strategy_is_refused(void **state)
{
	struct capture_options o = {.strategy = "telepathy"};
	struct capture *c = NULL;

	(void)state;
	assert_int_equal(capture_open(&c, &o), -EINVAL);
	assert_null(c);
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_older_than_the_agent_are_counted),
		cmocka_unit_test(a_full_edge_table_refuses_and_counts),
		cmocka_unit_test(a_full_connection_table_counts_and_the_rest_works),
		cmocka_unit_test(the_root_cgroup_is_left_out),
		cmocka_unit_test(an_unknown_strategy_is_refused),
	};

	strategy = name;
	return cmocka_run_group_tests_name(strategy, tests, NULL, NULL);
}

int main(void)
{
	int failed;

	log_init("capture_limits_test", LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	if (traffic_cgroup_open(&front, "front") || traffic_cgroup_open(&back, "back"))
		return 1;
	failed = strategies_run(run, NULL);
	traffic_cgroup_close(&front);
	traffic_cgroup_close(&back);
	return failed;
}
