/* Real servers of names and their clients, over UDP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/dns_facts.h"

static struct service dnsmasq, unbound;

static struct both dnsmasq_ends(void)
{
	if (!dnsmasq.port) {
		print_message("skipped: dnsmasq is not installed\n");
		skip();
	}
	return dns_ends(dnsmasq.port);
}

static void need(const char *program)
{
	if (access(program, X_OK)) {
		print_message("skipped: %s is not installed\n", program);
		skip();
	}
}

#define NAMES 25

/* glibc asks for A and AAAA on one socket, both at once. */
static int resolve_names(void *ctx)
{
	const char *path = ctx;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL))
		return 99;
	for (int i = 0; i < NAMES; i++) {
		struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
		uint64_t start = clock_monotonic_ns();
		char name[64];

		snprintf(name, sizeof(name), "host%d.some.test", i);
		if (getaddrinfo(name, "80", &hints, &found))
			return 1;
		client->sum_ns += 2 * (clock_monotonic_ns() - start);
		freeaddrinfo(found);
	}
	return 0;
}

static void glibc_asks_dnsmasq_two_questions_a_name(void **state)
{
	struct both b = dnsmasq_ends();
	char path[200];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/resolv.conf", dnsmasq.dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "nameserver %s\n", dnsmasq.address);
	fclose(f);
	*client = (struct dns_client){0};
	assert_int_equal(traffic_wait(traffic_spawn(&front, resolve_names, path)), 0);
	assert_answered(&b, 2UL * NAMES, 0);
	assert_true(b.client.sum.latency.sum_ns <= client->sum_ns);
	assert_true(b.server.sum.latency.sum_ns <= b.client.sum.latency.sum_ns);
}

static void dig(const struct service *s, const char *name, const char *type)
{
	char server[20];

	snprintf(server, sizeof(server), "@%s", s->address);
	assert_int_equal(traffic_wait(traffic_exec(&front,
				 (char *[]){"dig", "+tries=1", "+nocookie", server,
					 (char *)(uintptr_t)name, (char *)(uintptr_t)type, NULL})),
		0);
}

static void dig_sees_the_errors_of_dnsmasq(void **state)
{
	struct both b = dnsmasq_ends();

	(void)state;
	need("/usr/bin/dig");
	dig(&dnsmasq, "a.none.test", "A"); /* NXDOMAIN */
	dig(&dnsmasq, "a.some.test", "A");
	assert_answered(&b, 2, 0);
	b = dnsmasq_ends();
	dig(&dnsmasq, "example.org", "A"); /* REFUSED: there is nobody to ask */
	assert_answered(&b, 1, 1);
}

static void what_is_cut_short_is_asked_again_over_tcp(void **state)
{
	struct both b = dnsmasq_ends();

	(void)state;
	need("/usr/bin/dig");
	dig(&dnsmasq, "big.test", "TXT");
	assert_answered(&b, 2, 0);
	assert_true(b.client.sum.bytes_received > 4000); /* the answer, by TCP */
	assert_true(b.server.sum.bytes_sent > 4000);
}

static void add_to_both(void *two, const struct capture_edge *e)
{
	seen_add((struct both *)two, e);
	seen_add((struct both *)two + 1, e);
}

static void a_forwarder_is_server_and_client(void **state)
{
	struct both hop[2] = {dnsmasq_ends()}, refused;

	(void)state;
	need("/usr/bin/dig");
	if (!unbound.port) {
		print_message("skipped: unbound is not installed\n");
		skip();
	}
	hop[1] = seen_between(&back, &above, unbound.port);
	for (int i = 0; i < 5; i++)
		dig(&dnsmasq, "a.up.test", "A");
	assert_int_equal(capture_read(capture, add_to_both, hop), 0);
	assert_seen(&hop[0], 5, 0);
	assert_seen(&hop[1], 5, 0);
	assert_true(hop[1].client.sum.latency.sum_ns <= hop[0].server.sum.latency.sum_ns);
	refused = seen_between(&front, &above, unbound.port);
	dig(&unbound, "b.refused", "A");
	assert_answered(&refused, 1, 1);
}

#define LINES 500
#define TIMES 4

static void dnsperf_is_counted_to_the_query(void **state)
{
	struct both b = dnsmasq_ends();
	char path[200];
	FILE *f;

	(void)state;
	need("/usr/bin/dnsperf");
	snprintf(path, sizeof(path), "%s/queries", dnsmasq.dir);
	f = fopen(path, "we");
	assert_non_null(f);
	for (int i = 0; i < LINES; i++)
		fprintf(f, "host%d.some.test A\n", i);
	fclose(f);
	assert_int_equal(traffic_wait(traffic_exec(
				 &front, (char *[]){"dnsperf", "-s", dnsmasq.address, "-d", path,
						 "-c", "4", "-q", "40", "-n", "4", NULL})),
		0);
	assert_answered(&b, LINES * TIMES, 0);
	assert_true(b.server.sum.latency.sum_ns <= b.client.sum.latency.sum_ns);
}

static void node_is_counted_to_the_query(void **state)
{
	struct both b = dnsmasq_ends();
	char script[300];

	(void)state;
	need("/usr/bin/node");
	snprintf(script, sizeof(script),
		"const r = new (require('dns').promises.Resolver)(); r.setServers(['%s']);"
		"(async () => { for (let i = 0; i < 30; i++)"
		" await Promise.all([r.resolve4(`n${i}.test`), r.resolve6(`n${i}.test`)]); })();",
		dnsmasq.address);
	assert_int_equal(
		traffic_wait(traffic_exec(&front, (char *[]){"node", "-e", script, NULL})), 0);
	assert_answered(&b, 60, 0);
}

static void start_servers(void)
{
	(void)service_start(&unbound, SERVICE_UNBOUND, &above);
	(void)service_start(&dnsmasq, SERVICE_DNSMASQ, &back);
}

static void stop_servers(void)
{
	service_stop(&dnsmasq);
	service_stop(&unbound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc_asks_dnsmasq_two_questions_a_name),
		cmocka_unit_test(dig_sees_the_errors_of_dnsmasq),
		cmocka_unit_test(what_is_cut_short_is_asked_again_over_tcp),
		cmocka_unit_test(a_forwarder_is_server_and_client),
		cmocka_unit_test(dnsperf_is_counted_to_the_query),
		cmocka_unit_test(node_is_counted_to_the_query),
	};

	return dns_facts_run("capture_resolver_test", tests, sizeof(tests) / sizeof(tests[0]),
		start_servers, stop_servers);
}
