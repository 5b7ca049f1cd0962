/* Every kind of connection, at both ends and with the client's latency. Once per strategy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/capture.h"
#include "tests/bpf/exchange.h"

static const uint8_t loopback_v6[16] = {[15] = 1};
static const uint8_t loopback_v4[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

static void assert_addresses(const struct both *b, const uint8_t address[16])
{
	assert_memory_equal(b->client.sum.local_addr, address, 16);
	assert_memory_equal(b->client.sum.peer_addr, address, 16);
	assert_memory_equal(b->server.sum.local_addr, address, 16);
	assert_memory_equal(b->server.sum.peer_addr, address, 16);
}

/* ---- addresses */

static void connections_over_ipv6_are_seen(void **state)
{
	struct exchange *x = exchange_new(
		&(struct exchange){.family = AF_INET6, .connections = 1, .calls = 300});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET6);
	b = exchange_run(x, exchange_client, exchange_server);
	exchange_check(&b, x, 300);
	assert_addresses(&b, loopback_v6);
	exchange_free(x);
}

/* An IPv6 socket that serves IPv4 has the same address at both ends. */
static void mapped_addresses_are_those_of_ipv4(void **state)
{
	struct exchange *x =
		exchange_new(&(struct exchange){.family = AF_INET, .connections = 1, .calls = 300});
	struct both b;

	(void)state;
	exchange_listen(x, AF_UNSPEC);
	b = exchange_run(x, exchange_client, exchange_server);
	exchange_check(&b, x, 300);
	assert_addresses(&b, loopback_v4);
	exchange_free(x);
}

/* ---- lives of connections and descriptors */

static void a_thousand_connections_of_one_request_are_all_counted(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1000, .calls = 1});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, exchange_client, exchange_server);
	exchange_check(&b, x, 1000);
	exchange_free(x);
}

#define ROUNDS 20

static int run_two_in_turn(void *ctx)
{
	struct exchange *x = ctx; /* two of them */
	const struct traffic_request request = {.chunks = 1};
	uint64_t waited = 0;
	int first = -1;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = exchange_dial(&x[i % 2]);

		if (first >= 0 && fd != first)
			return 1;
		first = fd;
		(void)traffic_call(fd, &request, &waited);
		close(fd);
	}
	return 0;
}

/* The same number is one server's and then the other's. */
static void a_descriptor_used_again_is_another_connection(void **state)
{
	struct exchange two[2] = {{.connections = ROUNDS / 2}, {.connections = ROUNDS / 2}};
	struct both b;
	pid_t back[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		exchange_listen(&two[i], AF_INET);
		back[i] = traffic_spawn(&exchange_back, exchange_server, &two[i]);
	}
	assert_int_equal(traffic_wait(traffic_spawn(&exchange_front, run_two_in_turn, two)), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(traffic_wait(back[i]), 0);
		close(two[i].listener);
	}
	b = seen_between(&exchange_front, &exchange_back, two[0].port);
	assert_int_equal(capture_read(exchange_capture, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls, ROUNDS / 2);
	assert_int_equal(b.server.sum.calls, ROUNDS / 2);
}

static int run_client_of_two_descriptors(void *ctx)
{
	const struct traffic_request request = {.chunks = 1};
	struct exchange *x = ctx;
	struct traffic_chunk chunk;
	int out = exchange_dial(x), in = dup(out);

	for (unsigned i = 0; i < x->calls; i++) {
		traffic_write(out, &request, sizeof(request));
		traffic_read(in, &chunk, sizeof(chunk));
	}
	close(out);
	traffic_write(in, &request, sizeof(request)); /* lives on in the copy */
	traffic_read(in, &chunk, sizeof(chunk));
	close(in);
	return 0;
}

static void a_duplicated_descriptor_is_the_same_connection(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 50});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_client_of_two_descriptors, exchange_server);
	assert_int_equal(b.client.sum.calls, 51);
	assert_int_equal(b.server.sum.calls, 51);
	exchange_free(x);
}

/* ---- connections that change hands */

static void pass(int to, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(fd))] = {0};
	struct iovec piece = {&byte, 1};
	struct msghdr m = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(to, &m, 0) != 1)
		_exit(98);
}

static int take(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec piece = {&byte, 1};
	struct msghdr m = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(from, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		_exit(98);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static int run_worker(void *ctx)
{
	int fd = take(*(int *)ctx);

	traffic_serve_connection(fd);
	return 0;
}

/* Accepts in one cgroup; a process in another serves. */
static int run_passing_server(void *ctx)
{
	const struct exchange *x = ctx;
	int pipe[2], fd;
	pid_t worker;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pipe))
		return 1;
	worker = traffic_spawn(&exchange_third, run_worker, &pipe[1]);
	fd = accept(x->listener, NULL, NULL);
	pass(pipe[0], fd);
	close(fd);
	return traffic_wait(worker);
}

static void a_passed_connection_is_the_receivers(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 100});
	struct both b;
	pid_t back;

	(void)state;
	exchange_listen(x, AF_INET);
	back = traffic_spawn(&exchange_back, run_passing_server, x);
	b = seen_between(&exchange_front, &exchange_third, x->port);
	assert_int_equal(traffic_wait(traffic_spawn(&exchange_front, exchange_client, x)), 0);
	assert_int_equal(traffic_wait(back), 0);
	close(x->listener);
	assert_int_equal(capture_read(exchange_capture, seen_add, &b), 0);
	exchange_check(&b, x, 100);
	exchange_free(x);
}

static int run_forking_server(void *ctx)
{
	const struct exchange *x = ctx;
	struct traffic_server s = {.listener = x->listener, .connections = x->connections};

	return traffic_serve(&s);
}

static void a_child_serves_what_it_inherits(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 10, .calls = 20});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, exchange_client, run_forking_server);
	exchange_check(&b, x, 200);
	exchange_free(x);
}

/* The answer of cat is the request. */
static int run_client_of_cat(void *ctx)
{
	struct exchange *x = ctx;
	char text[32] = "no protocol starts like this", back[32];
	int fd = exchange_dial(x);

	for (unsigned i = 0; i < x->calls; i++) {
		traffic_write(fd, text, sizeof(text));
		traffic_read(fd, back, sizeof(back));
	}
	close(fd);
	return 0;
}

static int become_cat(void *ctx)
{
	const struct exchange *x = ctx;
	int fd = accept(x->listener, NULL, NULL);

	dup2(fd, 0);
	dup2(fd, 1);
	execlp("cat", "cat", NULL);
	return 127;
}

static void a_program_started_with_a_connection_is_seen(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 40});
	struct both b;

	(void)state;
	exchange_listen(x, AF_INET);
	b = exchange_run(x, run_client_of_cat, become_cat);
	assert_int_equal(b.client.sum.calls, 40);
	assert_int_equal(b.server.sum.calls, 40);
	exchange_free(x);
}

/* ---- older than the agent, with nobody listening any more */

static const char ask[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static int run_waiting_client(void *ctx)
{
	struct exchange *x = ctx;
	char answer[sizeof(reply)], go;
	int fd = exchange_dial(x);

	traffic_write(fd, ask, sizeof(ask));
	traffic_read(fd, answer, sizeof(answer));
	traffic_write(x->pipe[1], "", 1);
	traffic_read(x->pipe[1], &go, 1);
	for (unsigned i = 0; i < x->calls; i++) {
		traffic_write(fd, ask, sizeof(ask));
		traffic_read(fd, answer, sizeof(answer));
	}
	close(fd);
	return 0;
}

static int run_server_without_listener(void *ctx)
{
	const struct exchange *x = ctx;
	int fd = accept(x->listener, NULL, NULL);
	char request[sizeof(ask)];

	close(x->listener);
	for (unsigned i = 0; i < x->calls + 1; i++) {
		traffic_read(fd, request, sizeof(request));
		traffic_write(fd, reply, sizeof(reply));
	}
	close(fd);
	return 0;
}

static void an_older_connection_without_a_listener_tells_its_ends_by_its_bytes(void **state)
{
	struct capture_options o = {
		.cgroup_subsys = traffic_cgroup_subsys(), .strategy = exchange_strategy};
	struct exchange *x = exchange_new(&(struct exchange){.connections = 1, .calls = 20});
	struct capture *late = NULL;
	pid_t front, back;
	struct both b;
	char ready;

	(void)state;
	exchange_listen(x, AF_INET);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, x->pipe), 0);
	back = traffic_spawn(&exchange_back, run_server_without_listener, x);
	front = traffic_spawn(&exchange_front, run_waiting_client, x);
	close(x->listener);
	traffic_read(x->pipe[0], &ready, 1);
	assert_int_equal(capture_open(&late, &o), 0);
	traffic_write(x->pipe[0], "", 1);
	assert_int_equal(traffic_wait(front), 0);
	assert_int_equal(traffic_wait(back), 0);
	b = seen_between(&exchange_front, &exchange_back, x->port);
	assert_int_equal(capture_read(late, seen_add, &b), 0);
	assert_int_equal(b.client.sum.calls, 20);
	assert_int_equal(b.server.sum.calls, 20);
	assert_int_equal(b.client.sum.protocol, WIRE_HTTP1);
	assert_int_equal(b.server.sum.protocol, WIRE_HTTP1);
	capture_close(late);
	close(x->pipe[0]);
	close(x->pipe[1]);
	exchange_free(x);
}

/* ---- a service address that is redirected */

#define SERVICE_PORT 80

/* 10.98.7.6:80 is dialled, a port of 10.98.7.5 answers: what kube-proxy does, on one node. */
static int redirect(uint16_t port)
{
	char command[512];

	snprintf(command, sizeof(command),
		"{ ip link set lo up && ip address add 10.98.7.5/32 dev lo &&"
		" ip route add 10.98.7.6 dev lo src 10.98.7.5 &&"
		" nft 'add table ip sage;"
		" add chain ip sage out { type nat hook output priority -100; };"
		" add rule ip sage out ip daddr 10.98.7.6 tcp dport %u dnat to 10.98.7.5:%u'; }"
		" >/dev/null 2>&1",
		SERVICE_PORT, port);
	return system(command);
}

static void the_ends_of_a_redirected_connection_find_each_other(void **state)
{
	struct exchange *x = exchange_new(&(struct exchange){.connections = 20, .calls = 5});
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	pid_t front, back;
	struct both b;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	exchange_listen(x, AF_UNSPEC);
	if (redirect(x->port)) {
		assert_int_equal(setns(home, CLONE_NEWNET), 0);
		print_message("skipped: no NAT by nftables here\n");
		skip();
	}
	b = seen_between(&exchange_front, &exchange_back, x->port);
	b.client.port = SERVICE_PORT;
	back = traffic_spawn(&exchange_back, exchange_server, x);
	x->dialled.s_addr = inet_addr("10.98.7.6");
	x->port = SERVICE_PORT;
	front = traffic_spawn(&exchange_front, exchange_client, x);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	assert_int_equal(traffic_wait(front), 0);
	assert_int_equal(traffic_wait(back), 0);
	close(x->listener);
	assert_int_equal(capture_read(exchange_capture, seen_add, &b), 0);
	exchange_check(&b, x, 100);
	exchange_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_over_ipv6_are_seen),
		cmocka_unit_test(mapped_addresses_are_those_of_ipv4),
		cmocka_unit_test(a_thousand_connections_of_one_request_are_all_counted),
		cmocka_unit_test(a_descriptor_used_again_is_another_connection),
		cmocka_unit_test(a_duplicated_descriptor_is_the_same_connection),
		cmocka_unit_test(a_passed_connection_is_the_receivers),
		cmocka_unit_test(a_child_serves_what_it_inherits),
		cmocka_unit_test(a_program_started_with_a_connection_is_seen),
		cmocka_unit_test(
			an_older_connection_without_a_listener_tells_its_ends_by_its_bytes),
		cmocka_unit_test(the_ends_of_a_redirected_connection_find_each_other),
	};

	return exchange_main("capture_connection_test", tests, sizeof(tests) / sizeof(tests[0]));
}
