#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/bpf/dns_facts.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

struct capture *capture;
struct traffic_cgroup front, back, above;
struct dns_client *client;

static void (*start)(void), (*stop)(void);

struct both dns_ends(uint16_t port)
{
	return seen_between(&front, &back, port);
}

int run_client(const struct dns_client *as)
{
	*client = *as;
	return traffic_wait(traffic_spawn(&front, dns_client_run, client));
}

void assert_seen(const struct both *b, uint64_t calls, uint64_t errors)
{
	assert_int_equal(b->client.sum.calls, calls);
	assert_int_equal(b->server.sum.calls, calls);
	assert_int_equal(b->client.sum.errors, errors);
	assert_int_equal(b->server.sum.errors, errors);
	assert_int_equal(b->client.sum.protocol, WIRE_DNS);
	assert_int_equal(b->server.sum.protocol, WIRE_DNS);
	assert_int_equal(b->client.sum.peer_cgroup_id, b->server.cgroup_id);
	assert_int_equal(b->server.sum.peer_cgroup_id, b->client.cgroup_id);
}

void assert_answered(struct both *b, uint64_t calls, uint64_t errors)
{
	assert_int_equal(seen_wait(capture, b, calls), 0);
	assert_seen(b, calls, errors);
}

void assert_nested(const struct both *b)
{
	assert_true(b->client.sum.latency.sum_ns <= client->sum_ns);
	assert_true(b->server.sum.latency.sum_ns <= b->client.sum.latency.sum_ns);
	assert_true(b->server.sum.latency.sum_ns > 0);
	assert_int_equal(b->client.sum.bytes_sent, client->sent);
	assert_int_equal(b->client.sum.bytes_received, client->received);
	assert_int_equal(b->server.sum.bytes_sent, client->received);
	assert_int_equal(b->server.sum.bytes_received, client->sent);
}

static int set_up(void **state)
{
	struct capture_options o = {
		.cgroup_subsys = traffic_cgroup_subsys(), .dns_port = {53, OTHER_PORT}};

	(void)state;
	client = mmap(
		NULL, sizeof(*client), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (client == MAP_FAILED || traffic_cgroup_open(&front, "front") ||
		traffic_cgroup_open(&back, "back") || traffic_cgroup_open(&above, "above"))
		return -1;
	if (start)
		start();
	return capture_open(&capture, &o);
}

static int tear_down(void **state)
{
	(void)state;
	capture_close(capture);
	if (stop)
		stop();
	traffic_cgroup_close(&front);
	traffic_cgroup_close(&back);
	traffic_cgroup_close(&above);
	munmap(client, sizeof(*client));
	return 0;
}

int dns_facts_run(const char *name, const struct CMUnitTest *tests, size_t count,
	void (*before)(void), void (*after)(void))
{
	log_init(name, LOG_INFO);
	if (geteuid() != 0) {
		printf("skipped: loading BPF programs needs root\n");
		return 77;
	}
	start = before;
	stop = after;
	return _cmocka_run_group_tests(name, tests, count, set_up, tear_down);
}
