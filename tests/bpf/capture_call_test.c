/* What is captured of calls, against the client's own record. Run once per strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/capture.h"
#include "common/clock.h"
#include "common/log.h"
#include "tests/bpf/nested.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/strategies.h"
#include "tests/bpf/traffic.h"

static const char *strategy;
static struct capture *capture;
static struct traffic_cgroup front, back, third;

/* ---- a client and a server that keep a record, in memory shared with the test */

#define CALLS_MAX 500

struct client {
	uint16_t port;
	unsigned calls;
	uint32_t idle_us; /* between calls */
	struct traffic_request request;
	struct hist record;
	uint64_t waited_ns;              /* what the server says it waited for own calls, summed */
	uint64_t asked_ns[CALLS_MAX];    /* before the client sent */
	uint64_t answered_ns[CALLS_MAX]; /* after the server had sent */
};

static int run_client(void *ctx)
{
	struct client *c = ctx;
	int fd = traffic_connect(c->port);

	for (unsigned i = 0; i < c->calls; i++) {
		if (i && c->idle_us)
			traffic_pause_us(c->idle_us);
		c->asked_ns[i] = clock_monotonic_ns();
		hist_add(&c->record, traffic_call(fd, &c->request, &c->waited_ns));
	}
	close(fd);
	return 0;
}

static struct client *share(const struct client *from)
{
	struct client *c = traffic_share(sizeof(*c));

	*c = *from;
	return c;
}

struct late_server {
	struct traffic_server server;
	const struct client *client;
	uint32_t late_us; /* after the client has begun, before it accepts and reads anything */
};

static int run_late_server(void *ctx)
{
	struct late_server *s = ctx;

	if (s->late_us) {
		while (!*(volatile const uint64_t *)&s->client->asked_ns[0])
			traffic_pause_us(1000);
		traffic_pause_us(s->late_us);
	}
	return traffic_serve(&s->server);
}

/* One client in `front`, one server in `back`; both are gone when this returns. */
static struct both run_pair_late(struct client *c, uint32_t late_us)
{
	struct late_server late = {
		.server = {.connections = 1, .answered_ns = c->answered_ns},
		.client = c,
		.late_us = late_us,
	};
	pid_t back_pid;
	struct both b;

	late.server.listener = traffic_listen(&c->port);
	back_pid = traffic_spawn(&back, run_late_server, &late);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_client, c)), 0);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(late.server.listener);
	b = seen_between(&front, &back, c->port);
	assert_int_equal(seen_wait_end(capture, &b, c->calls), 0);
	return b;
}

static struct both run_pair(struct client *c)
{
	return run_pair_late(c, 0);
}

/* No latency at either end is longer than those who talked there know. */
static void assert_nested(const struct both *b, const struct client *c)
{
	struct hist server = {0};

	for (unsigned i = 0; i < c->calls; i++)
		hist_add(&server, c->answered_ns[i] - c->asked_ns[i]);
	nested_assert("client", &b->client.sum.latency, &c->record, 0, 0);
	nested_assert("server", &b->server.sum.latency, &server, 0, nested_arrival_ns());
}

#define TRIES 12 /* for what only a machine that has a CPU to spare shows each time */

/*
 * No latency is shorter than the server sleeps for in each call. A client without a CPU for its
 * answer has that dated by the kernel's coarser clock, so there it may take a few runs.
 */
static void assert_slept(const struct client *like, uint64_t slept_ns)
{
	bool seen = false;

	for (int tries = 0; tries < TRIES && !seen; tries++) {
		struct client *c = share(like);
		struct both b = run_pair(c);

		assert_int_equal(b.client.sum.calls, c->calls);
		assert_int_equal(b.server.sum.calls, c->calls);
		assert_nested(&b, c);
		assert_int_equal(nested_below(&b.server.sum.latency, slept_ns), 0);
		seen = !nested_below(&b.client.sum.latency, slept_ns);
		munmap(c, sizeof(*c));
	}
	if (!seen)
		fail_msg("%s: the server slept %llu us, the client's latency is less", strategy,
			(unsigned long long)slept_ns / 1000);
}

static bool is_close(double got_ns, double want_ns)
{
	return fabs(got_ns - want_ns) <= fmax(want_ns * 0.05, 20000);
}

/* Runs of what only a machine that has nothing else to do shows each time. */
#define TRIES 12

/* ---- the facts */

static void every_call_is_counted_at_both_ends(void **state)
{
	struct client *c = share(&(struct client){.calls = 500, .request = {.chunks = 1}});
	struct both b = run_pair(c);

	(void)state;
	assert_int_equal(b.client.sum.calls, 500);
	assert_int_equal(b.server.sum.calls, 500);
	assert_int_equal(b.client.sum.unanswered + b.server.sum.unanswered, 0);
	assert_int_equal(b.client.sum.peer_cgroup_id, back.id);
	assert_int_equal(b.server.sum.peer_cgroup_id, front.id);
	assert_int_equal(b.client.sum.bytes_sent, 500 * sizeof(struct traffic_request));
	assert_int_equal(b.client.sum.bytes_received, 500 * sizeof(struct traffic_chunk));
	assert_int_equal(b.server.sum.bytes_sent, 500 * sizeof(struct traffic_chunk));
	assert_true(b.client.sum.rtt_us > 0);
	assert_true(b.client.sum.connect_us > 0);
	munmap(c, sizeof(*c));
}

/*
 * A client that loses its CPU between its own clock and its call has measured the machine and
 * not the call; on a busy machine that moves even the median, so the best of a few runs counts.
 */
static void latencies_are_those_the_client_measured(void **state)
{
	double got = 0, want = 0;

	(void)state;
	for (int tries = 0; tries < TRIES; tries++) {
		struct client *c =
			share(&(struct client){.calls = CALLS_MAX, .request = {.chunks = 1}});
		struct both b = run_pair(c);

		assert_nested(&b, c);
		got = (double)hist_quantile_ns(&b.client.sum.latency, 0.5);
		want = (double)hist_quantile_ns(&c->record, 0.5);
		munmap(c, sizeof(*c));
		if (is_close(got, want))
			return;
	}
	fail_msg("%s: p50: captured %.1f us, the client measured %.1f us", strategy, got / 1000,
		want / 1000);
}

static void a_servers_delay_is_in_both_latencies(void **state)
{
	static const uint32_t delay_us[] = {1000, 5000, 20000};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_slept(&(struct client){.calls = 40,
				     .request = {.chunks = 1, .delay_us = delay_us[i]}},
			delay_us[i] * 1000ULL);
}

/* Whether that is in the server's latency, and nothing but it in the client's. */
static bool is_the_servers_wait(uint32_t late_us)
{
	struct client *c = share(&(struct client){.calls = 1, .request = {.chunks = 1}});
	struct both b = run_pair_late(c, late_us);
	double server_ns = hist_mean_ns(&b.server.sum.latency);

	assert_int_equal(b.server.sum.calls, 1);
	assert_nested(&b, c);
	munmap(c, sizeof(*c));
	/* The coarse clock ticks at 100 Hz or faster. */
	return server_ns > late_us * 1000.0 / 2 &&
	       hist_mean_ns(&b.client.sum.latency) - server_ns < 12e6;
}

/*
 * Before and after TCP's delayed ack, which overwrites the finer of its two clocks. A request that
 * is itself late to arrive, for want of a CPU, has not waited there; it is tried again.
 */
static void a_wait_in_the_servers_receive_queue_is_the_servers(void **state)
{
	static const uint32_t late_us[] = {25000, 200000};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		bool seen = false;

		for (int tries = 0; tries < TRIES && !seen; tries++)
			seen = is_the_servers_wait(late_us[i]);
		if (!seen)
			fail_msg("%s: %u us late: not seen", strategy, late_us[i]);
	}
}

static int run_reader_in_turn(void *ctx)
{
	const struct client *c = ctx;
	const struct traffic_request slow = {.chunks = 1, .delay_us = 60000}, quick = {.chunks = 1};
	int first = traffic_connect(c->port), second = traffic_connect(c->port);
	struct traffic_chunk chunk;

	for (unsigned i = 0; i < c->calls; i++) {
		traffic_write(first, &slow, sizeof(slow));
		traffic_write(second, &quick, sizeof(quick));
		traffic_read(first, &chunk, sizeof(chunk));
		traffic_read(second, &chunk, sizeof(chunk));
	}
	close(first);
	close(second);
	return 0;
}

/* How many of the calls took as long as the slow ones. */
static uint64_t slow_when_read_in_turn(void)
{
	struct client c = {.calls = 10};
	struct traffic_server server = {.connections = 2};
	pid_t back_pid;
	struct both b;

	server.listener = traffic_listen(&c.port);
	back_pid = traffic_spawn(&back, traffic_serve, &server);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_reader_in_turn, &c)), 0);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(server.listener);
	b = seen_between(&front, &back, c.port);
	assert_int_equal(seen_wait_end(capture, &b, 2 * c.calls), 0);
	assert_int_equal(b.client.sum.calls, 2 * c.calls);
	return b.client.sum.calls - nested_below(&b.client.sum.latency, 40000000);
}

/*
 * Two calls at once, read in turn: the quick ones are not as slow as those read before them, but
 * for one that found its server without a CPU.
 */
static void an_answer_left_unread_ended_when_it_came(void **state)
{
	uint64_t slow = 0;

	(void)state;
	for (int tries = 0; tries < TRIES && slow != 10; tries++) {
		slow = slow_when_read_in_turn();
		assert_true(slow >= 10);
	}
	assert_int_equal(slow, 10);
}

static void an_answer_ends_at_its_last_byte(void **state)
{
	(void)state;
	assert_slept(&(struct client){.calls = 10, .request = {.chunks = 4, .gap_us = 5000}},
		3 * 5000000);
}

static void silence_between_calls_is_not_latency(void **state)
{
	struct client *c =
		share(&(struct client){.calls = 4, .idle_us = 700000, .request = {.chunks = 1}});
	struct both b = run_pair(c);

	(void)state;
	assert_int_equal(b.client.sum.calls, 4);
	assert_int_equal(b.server.sum.calls, 4);
	assert_nested(&b, c);
	munmap(c, sizeof(*c));
}

static void a_call_that_is_never_answered_is_counted_as_such(void **state)
{
	struct client *c = share(&(struct client){.calls = 1, .request = {.chunks = 0}});
	struct both b = run_pair(c);

	(void)state;
	assert_int_equal(b.client.sum.calls, 0);
	assert_int_equal(b.client.sum.unanswered, 1);
	assert_int_equal(b.server.sum.unanswered, 1);
	munmap(c, sizeof(*c));
}

/*
 * front -> back -> third: what back waits for third is not back's own time. That wait is no longer
 * than back's own record of it, and no shorter than third slept.
 */
static void self_time_leaves_out_own_calls(uint16_t parallel)
{
	struct client *c = share(&(struct client){.calls = 5,
		.request = {.chunks = 1,
			.delay_us = 10000,
			.calls = 3,
			.call_us = 20000,
			.parallel = parallel}});
	uint64_t slept_ns = (parallel ? 5 : 15) * 20000000ULL;
	struct traffic_server leaf = {.connections = 15};
	pid_t leaf_pid;
	struct both b;
	uint64_t all_ns, self_ns;

	leaf.listener = traffic_listen(&c->request.port);
	leaf_pid = traffic_spawn(&third, traffic_serve, &leaf);
	b = run_pair(c);
	assert_int_equal(traffic_wait(leaf_pid), 0);
	close(leaf.listener);
	assert_int_equal(b.server.sum.self.total, 5);
	all_ns = b.server.sum.latency.sum_ns;
	self_ns = b.server.sum.self.sum_ns;
	assert_in_range(self_ns, all_ns - c->waited_ns, all_ns - slept_ns);
	munmap(c, sizeof(*c));
}

static void self_time_is_latency_less_calls_in_turn(void **state)
{
	(void)state;
	self_time_leaves_out_own_calls(0);
}

static void calls_in_parallel_are_waited_for_once(void **state)
{
	(void)state;
	self_time_leaves_out_own_calls(1);
}

/* The connection stays open and silent: the window's end counts the last call. */
static void the_last_call_before_silence_is_counted(void **state)
{
	struct client *c =
		share(&(struct client){.calls = 2, .idle_us = 60000000, .request = {.chunks = 1}});
	struct traffic_server server = {.connections = 1};
	pid_t client, back_pid;
	struct both b;

	(void)state;
	server.listener = traffic_listen(&c->port);
	back_pid = traffic_spawn(&back, traffic_serve, &server);
	client = traffic_spawn(&front, run_client, c);
	b = seen_between(&front, &back, c->port);
	assert_int_equal(seen_wait(capture, &b, 1), 0);
	assert_int_equal(c->record.total, 1);
	assert_int_equal(b.client.sum.calls, 1);
	assert_int_equal(b.server.sum.calls, 1);
	traffic_stop(client);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(server.listener);
	munmap(c, sizeof(*c));
}

static int set_up(void **state)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(), .strategy = strategy};

	(void)state;
	if (traffic_cgroup_open(&front, "front") || traffic_cgroup_open(&back, "back") ||
		traffic_cgroup_open(&third, "third"))
		return -1;
	return capture_open(&capture, &o);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(capture);
	traffic_cgroup_close(&front);
	traffic_cgroup_close(&back);
	traffic_cgroup_close(&third);
	return 0;
}

static int run(const char *name)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_is_counted_at_both_ends),
		cmocka_unit_test(latencies_are_those_the_client_measured),
		cmocka_unit_test(a_servers_delay_is_in_both_latencies),
		cmocka_unit_test(a_wait_in_the_servers_receive_queue_is_the_servers),
		cmocka_unit_test(an_answer_left_unread_ended_when_it_came),
		cmocka_unit_test(an_answer_ends_at_its_last_byte),
		cmocka_unit_test(silence_between_calls_is_not_latency),
		cmocka_unit_test(a_call_that_is_never_answered_is_counted_as_such),
		cmocka_unit_test(self_time_is_latency_less_calls_in_turn),
		cmocka_unit_test(calls_in_parallel_are_waited_for_once),
		cmocka_unit_test(the_last_call_before_silence_is_counted),
	};

	strategy = name;
	return cmocka_run_group_tests_name(strategy, tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	log_init("capture_call_test", LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	return strategies_run(run, argc > 1 ? argv[1] : NULL);
}
