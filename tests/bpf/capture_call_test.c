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
#include "common/log.h"
#include "tests/bpf/seen.h"
#include "tests/bpf/strategies.h"
#include "tests/bpf/traffic.h"

static const char *strategy;
static struct capture *capture;
static struct traffic_cgroup front, back, third;

/* ---- a client that keeps its own record, in memory shared with the test */

struct client {
	uint16_t port;
	unsigned calls;
	uint32_t idle_us; /* between calls */
	struct traffic_request request;
	struct hist record;
	uint64_t waited_ns; /* what the server says it waited for own calls, summed */
};

static int run_client(void *ctx)
{
	struct client *c = ctx;
	int fd = traffic_connect(c->port);

	for (unsigned i = 0; i < c->calls; i++) {
		if (i && c->idle_us)
			traffic_pause_us(c->idle_us);
		hist_add(&c->record, traffic_call(fd, &c->request, &c->waited_ns));
	}
	close(fd);
	return 0;
}

static struct client *share(const struct client *from)
{
	struct client *c =
		mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(c, MAP_FAILED);
	*c = *from;
	return c;
}

struct late_server {
	struct traffic_server server;
	uint32_t late_us; /* before it accepts and reads anything */
};

static int run_late_server(void *ctx)
{
	struct late_server *s = ctx;

	if (s->late_us)
		traffic_pause_us(s->late_us);
	return traffic_serve(&s->server);
}

/* One client in `front`, one server in `back`; both are gone when this returns. */
static struct both run_pair_late(struct client *c, uint32_t late_us)
{
	struct late_server late = {.server.connections = 1, .late_us = late_us};
	pid_t back_pid;
	struct both b;

	late.server.listener = traffic_listen(&c->port);
	back_pid = traffic_spawn(&back, run_late_server, &late);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_client, c)), 0);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(late.server.listener);
	b = seen_between(&front, &back, c->port);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	return b;
}

static struct both run_pair(struct client *c)
{
	return run_pair_late(c, 0);
}

static bool is_close(double got_ns, double want_ns)
{
	return fabs(got_ns - want_ns) <= fmax(want_ns * 0.05, 20000);
}

static void assert_close(const char *what, double got_ns, double want_ns)
{
	if (!is_close(got_ns, want_ns))
		fail_msg("%s: %s: captured %.1f us, the client measured %.1f us", strategy, what,
			got_ns / 1000, want_ns / 1000);
}

static void assert_same_median(const struct hist *got, const struct hist *want)
{
	assert_close(
		"p50", (double)hist_quantile_ns(got, 0.5), (double)hist_quantile_ns(want, 0.5));
}

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
 * not the call; on a busy machine that moves a p99, so the best of a few runs counts.
 */
static void latencies_are_those_the_client_measured(void **state)
{
	double got = 0, want = 0;

	(void)state;
	for (int tries = 0; tries < 5; tries++) {
		struct client *c = share(&(struct client){.calls = 500, .request = {.chunks = 1}});
		struct both b = run_pair(c);

		assert_same_median(&b.client.sum.latency, &c->record);
		got = (double)hist_quantile_ns(&b.client.sum.latency, 0.99);
		want = (double)hist_quantile_ns(&c->record, 0.99);
		munmap(c, sizeof(*c));
		if (is_close(got, want))
			return;
	}
	assert_close("p99", got, want);
}

static void a_servers_delay_is_in_both_latencies(void **state)
{
	static const uint32_t delay_us[] = {1000, 5000, 20000};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct client *c = share(&(struct client){
			.calls = 40, .request = {.chunks = 1, .delay_us = delay_us[i]}});
		struct both b = run_pair(c);

		assert_int_equal(b.client.sum.calls, 40);
		assert_same_median(&b.client.sum.latency, &c->record);
		assert_true(hist_quantile_ns(&b.server.sum.latency, 0.5) > delay_us[i] * 990ULL);
		assert_true(hist_mean_ns(&b.server.sum.latency) < hist_mean_ns(&c->record));
		munmap(c, sizeof(*c));
	}
}

/* Before and after TCP's delayed ack, which overwrites the finer of its two clocks. */
static void a_wait_in_the_servers_receive_queue_is_the_servers(void **state)
{
	static const uint32_t late_us[] = {25000, 200000};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct client *c = share(&(struct client){.calls = 1, .request = {.chunks = 1}});
		struct both b = run_pair_late(c, late_us[i]);
		double server_ns = hist_mean_ns(&b.server.sum.latency);

		assert_int_equal(b.server.sum.calls, 1);
		/* The coarse clock ticks at 100 Hz or faster. */
		if (server_ns < late_us[i] * 1000.0 / 2)
			fail_msg("%s: %u us late, the server was seen to take %.0f us", strategy,
				late_us[i], server_ns / 1000);
		/* By capture's own word, which leaves out how late the client was to read. */
		assert_true(hist_mean_ns(&b.client.sum.latency) - server_ns < 12e6);
		munmap(c, sizeof(*c));
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

/* Two calls at once, read in turn: the quick ones are not as slow as those read before them. */
static void an_answer_left_unread_ended_when_it_came(void **state)
{
	struct client c = {.calls = 10};
	struct traffic_server server = {.connections = 2};
	pid_t back_pid;
	uint32_t slow = 0;
	struct both b;

	(void)state;
	server.listener = traffic_listen(&c.port);
	back_pid = traffic_spawn(&back, traffic_serve, &server);
	assert_int_equal(traffic_wait(traffic_spawn(&front, run_reader_in_turn, &c)), 0);
	assert_int_equal(traffic_wait(back_pid), 0);
	close(server.listener);
	b = seen_between(&front, &back, c.port);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls, 20);
	for (unsigned i = hist_bucket(40000000); i < HIST_BUCKETS; i++)
		slow += b.client.sum.latency.count[i];
	assert_int_equal(slow, 10);
}

static void an_answer_ends_at_its_last_byte(void **state)
{
	struct client *c =
		share(&(struct client){.calls = 10, .request = {.chunks = 4, .gap_us = 5000}});
	struct both b = run_pair(c);

	(void)state;
	assert_int_equal(b.client.sum.calls, 10);
	assert_int_equal(b.server.sum.calls, 10);
	assert_same_median(&b.client.sum.latency, &c->record);
	assert_true(hist_quantile_ns(&b.server.sum.latency, 0.5) > 14900000);
	munmap(c, sizeof(*c));
}

static void silence_between_calls_is_not_latency(void **state)
{
	struct client *c =
		share(&(struct client){.calls = 4, .idle_us = 700000, .request = {.chunks = 1}});
	struct both b = run_pair(c);

	(void)state;
	assert_int_equal(b.client.sum.calls, 4);
	assert_true(hist_quantile_ns(&b.client.sum.latency, 1) < 100000000);
	assert_true(hist_quantile_ns(&b.server.sum.latency, 1) < 100000000);
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

/* front -> back -> third: what back waits for third is not back's own time. */
static void self_time_leaves_out_own_calls(uint16_t parallel)
{
	struct client *c = share(&(struct client){.calls = 5,
		.request = {.chunks = 1,
			.delay_us = 10000,
			.calls = 3,
			.call_us = 20000,
			.parallel = parallel}});
	struct traffic_server leaf = {.connections = 15};
	pid_t leaf_pid;
	struct both b;
	double self_ns;

	leaf.listener = traffic_listen(&c->request.port);
	leaf_pid = traffic_spawn(&third, traffic_serve, &leaf);
	b = run_pair(c);
	assert_int_equal(traffic_wait(leaf_pid), 0);
	close(leaf.listener);
	assert_int_equal(b.server.sum.self.total, 5);
	self_ns = hist_mean_ns(&b.server.sum.latency) - (double)c->waited_ns / 5;
	assert_true(fabs(hist_mean_ns(&b.server.sum.self) - self_ns) < fmax(self_ns * 0.05, 1e6));
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
		share(&(struct client){.calls = 2, .idle_us = 3000000, .request = {.chunks = 1}});
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
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.strategy = strategy,
		.max_operations = 64};

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
