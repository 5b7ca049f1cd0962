/* DNS over UDP: every query is counted at both ends, with what became of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/dns_facts.h"

#define ANSWERED_NONE_NS 20000000000ULL

static void check_way(enum dns_way way, const char *address, unsigned queries)
{
	int fd = dns_bind(address, OTHER_PORT);
	pid_t responder = traffic_spawn(&back, dns_responder, &fd);
	struct both b = dns_ends(OTHER_PORT);
	struct dns_client as = {.server = dns_address(address, OTHER_PORT),
		.way = way,
		.queries = queries,
		.name = "a.test"};

	assert_int_equal(run_client(&as), 0);
	traffic_stop(responder);
	close(fd);
	assert_answered(&b, queries, 0);
	assert_nested(&b);
}

static void connected_sockets_are_exact(void **state)
{
	(void)state;
	check_way(DNS_CONNECTED, "127.0.0.1", 100);
}

static void unconnected_sockets_are_exact(void **state)
{
	(void)state;
	check_way(DNS_ADDRESSED, "127.0.0.1", 100);
}

static void queries_sent_together_are_told_apart(void **state)
{
	(void)state;
	check_way(DNS_MANY, "127.0.0.1", 200);
}

static void ipv6_is_exact(void **state)
{
	(void)state;
	check_way(DNS_CONNECTED, "::1", 50);
	check_way(DNS_MANY, "::1", 50);
}

static void a_call_lasts_until_its_answer(void **state)
{
	int fd = dns_bind("127.0.0.1", OTHER_PORT);
	pid_t responder = traffic_spawn(&back, dns_responder, &fd);
	struct both b = dns_ends(OTHER_PORT);
	struct dns_client as = {.server = dns_address("127.0.0.1", OTHER_PORT),
		.queries = 10,
		.name = "delayed.test"};

	(void)state;
	assert_int_equal(run_client(&as), 0);
	traffic_stop(responder);
	close(fd);
	assert_answered(&b, 10, 0);
	assert_nested(&b);
	assert_true(b.server.sum.latency.sum_ns >= 10 * DNS_DELAY_US * 1000ULL);
}

static void errors_are_those_of_the_server(void **state)
{
	static const struct {
		const char *name;
		unsigned errors;
	} rows[] = {{"nowhere.test", 0}, {"servfail.test", 5}};
	int fd = dns_bind("127.0.0.1", OTHER_PORT);
	pid_t responder = traffic_spawn(&back, dns_responder, &fd);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct both b = dns_ends(OTHER_PORT);
		struct dns_client as = {
			.server = dns_address("127.0.0.1", OTHER_PORT), .queries = 5};

		snprintf(as.name, sizeof(as.name), "%s", rows[i].name);
		assert_int_equal(run_client(&as), 0);
		assert_answered(&b, 5, rows[i].errors);
	}
	traffic_stop(responder);
	close(fd);
}

static void a_repeated_query_is_counted_each_time(void **state)
{
	int fd = dns_bind("127.0.0.1", OTHER_PORT);
	pid_t responder = traffic_spawn(&back, dns_responder, &fd);
	struct both b = dns_ends(OTHER_PORT);
	struct dns_client as = {.server = dns_address("127.0.0.1", OTHER_PORT),
		.queries = 6,
		.repeats = 2,
		.name = "third.test"};

	(void)state;
	assert_int_equal(run_client(&as), 0);
	traffic_stop(responder);
	close(fd);
	assert_int_equal(seen_wait(capture, &b, 6), 0);
	assert_int_equal(b.client.sum.calls, 6);
	assert_int_equal(b.client.sum.unanswered, 12);
	assert_int_equal(b.server.sum.calls, 6);
	/* until it first answers nobody knows that it serves */
	assert_true(b.server.sum.unanswered >= 10 && b.server.sum.unanswered <= 12);
	assert_true(b.client.sum.latency.sum_ns <= client->sum_ns);
}

static void what_gets_no_answer_is_unanswered(void **state)
{
	int fd = dns_bind("127.0.0.1", OTHER_PORT);
	pid_t responder = traffic_spawn(&back, dns_responder, &fd);
	uint64_t deadline = clock_monotonic_ns() + ANSWERED_NONE_NS;
	struct both b = dns_ends(OTHER_PORT);
	struct dns_client as = {
		.server = dns_address("127.0.0.1", OTHER_PORT), .queries = 1, .name = "a.test"};

	(void)state;
	assert_int_equal(run_client(&as), 0); /* makes it known */
	as.queries = 7;
	as.silent = true;
	snprintf(as.name, sizeof(as.name), "x.test");
	assert_int_equal(run_client(&as), 0);
	while (b.client.sum.unanswered < 7 && clock_monotonic_ns() < deadline) {
		assert_int_equal(capture_read(capture, seen_add, &b), 0);
		traffic_pause_us(50000);
	}
	traffic_stop(responder);
	close(fd);
	assert_int_equal(b.client.sum.unanswered, 7);
	assert_int_equal(b.server.sum.unanswered, 7);
	assert_int_equal(b.client.sum.calls, 1);
	assert_int_equal(b.server.sum.calls, 1);
}

static void other_traffic_on_the_port_is_none(void **state)
{
	int fd = dns_bind("127.0.0.1", OTHER_PORT);
	struct both b = dns_ends(OTHER_PORT);
	int from = dns_bind("127.0.0.1", 0);
	struct sockaddr_storage to = dns_address("127.0.0.1", OTHER_PORT);
	uint8_t noise[64];

	(void)state;
	for (int i = 0; i < 100; i++) {
		memset(noise, 0x61 + i % 26, sizeof(noise));
		assert_int_equal(sendto(from, noise, sizeof(noise), 0, (struct sockaddr *)&to,
					 sizeof(struct sockaddr_in)),
			(ssize_t)sizeof(noise));
	}
	close(from);
	close(fd);
	assert_int_equal(capture_read(capture, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls + b.client.sum.unanswered, 0);
}

/* ---- namespaces */

#define SERVICE "10.97.9.6"
#define SERVER "10.97.8.2"

/*
 * Client, router and server in namespaces of their own, linked by veth; the router redirects
 * the service's address, as kube-proxy does. Neighbours are given, see docs/rationale.md.
 */
static const char network[] =
	"{ n=sage-dns-%1$d; for x in c r s; do ip netns add $n-$x || exit 1; done;"
	" for x in c s; do"
	"  ip link add veth0 netns $n-$x type veth peer name $x netns $n-r || exit 1;"
	"  ip -n $n-$x link set lo up; ip -n $n-r link set $x address 02:00:00:00:00:01;"
	"  ip -n $n-$x link set veth0 address 02:00:00:00:00:02;"
	"  ip -n $n-$x link set veth0 up; ip -n $n-r link set $x up; done;"
	" ip -n $n-c address add 10.97.7.2/24 dev veth0; ip -n $n-r address add 10.97.7.1/24 dev c;"
	" ip -n $n-s address add " SERVER
	"/24 dev veth0; ip -n $n-r address add 10.97.8.1/24 dev s;"
	" ip -n $n-c route add default via 10.97.7.1; ip -n $n-s route add default via 10.97.8.1;"
	" ip -n $n-c neigh add 10.97.7.1 lladdr 02:00:00:00:00:01 dev veth0 nud permanent;"
	" ip -n $n-s neigh add 10.97.8.1 lladdr 02:00:00:00:00:01 dev veth0 nud permanent;"
	" ip -n $n-r neigh add 10.97.7.2 lladdr 02:00:00:00:00:02 dev c nud permanent;"
	" ip -n $n-r neigh add " SERVER " lladdr 02:00:00:00:00:02 dev s nud permanent;"
	" ip netns exec $n-r sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward' &&"
	" ip netns exec $n-r nft 'add table ip sage;"
	" add chain ip sage in { type nat hook prerouting priority -100; };"
	" add rule ip sage in ip daddr " SERVICE " udp dport 53 dnat to " SERVER ":53'; }"
	" >/dev/null 2>&1";

static bool network_open(void)
{
	char command[4096];

	snprintf(command, sizeof(command), network, getpid());
	return system(command) == 0;
}

static void network_close(void)
{
	char command[256];

	snprintf(command, sizeof(command),
		"for x in c r s; do ip netns delete sage-dns-%d-$x; done >/dev/null 2>&1",
		getpid());
	(void)!system(command);
}

static void enter_netns(const char *end)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/sage-dns-%d-%s", getpid(), end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		abort();
	close(fd);
}

static void ask_through(const char *address)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;
	struct dns_client as = {
		.server = dns_address(address, 53), .queries = 10, .name = "delayed.test"};
	struct both b = dns_ends(53);
	pid_t responder;
	int bad;

	enter_netns("s");
	fd = dns_bind(SERVER, 53);
	responder = traffic_spawn(&back, dns_responder, &fd);
	enter_netns("c");
	bad = run_client(&as);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	traffic_stop(responder);
	close(fd);
	assert_int_equal(bad, 0);
	assert_answered(&b, 10, 0);
	assert_nested(&b);
}

static void containers_and_redirected_services_find_each_other(void **state)
{
	(void)state;
	if (!network_open()) {
		network_close();
		print_message("skipped: no veth, or no NAT by nftables here\n");
		skip();
	}
	ask_through(SERVER);
	ask_through(SERVICE);
	network_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connected_sockets_are_exact),
		cmocka_unit_test(unconnected_sockets_are_exact),
		cmocka_unit_test(queries_sent_together_are_told_apart),
		cmocka_unit_test(ipv6_is_exact),
		cmocka_unit_test(a_call_lasts_until_its_answer),
		cmocka_unit_test(errors_are_those_of_the_server),
		cmocka_unit_test(a_repeated_query_is_counted_each_time),
		cmocka_unit_test(what_gets_no_answer_is_unanswered),
		cmocka_unit_test(other_traffic_on_the_port_is_none),
		cmocka_unit_test(containers_and_redirected_services_find_each_other),
	};

	return dns_facts_run(
		"capture_dns_test", tests, sizeof(tests) / sizeof(tests[0]), NULL, network_close);
}
