/*
 * The pod watch against a small HTTP responder that streams what an API server
 * streams; no API server can be had from Debian.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/kubernetes.h"
#include "agent/pods.h"
#include "common/clock.h"
#include "common/log.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define POD(type, uid, name, extra, containers)                                                    \
	"{\"type\":\"" type "\",\"object\":{\"metadata\":{\"uid\":\"" uid "\",\"name\":\"" name    \
	"\",\"resourceVersion\":\"77\"" extra "},\"status\":{\"containerStatuses\":[" containers   \
	"]}}}"
#define RUNNING "{\"name\":\"app\",\"containerID\":\"containerd://" ID "\"}"
#define REPLICA_SET                                                                                \
	",\"labels\":{\"pod-template-hash\":\"7d4b9c\"},\"ownerReferences\":[{\"controller\":"     \
	"true,"                                                                                    \
	"\"kind\":\"ReplicaSet\",\"name\":\"cart-7d4b9c\"}]"

static enum pods_result feed(struct pods *p, const char *line)
{
	return pods_event(p, line, strlen(line));
}

static void a_deployments_pod_is_named_after_the_deployment(void **state)
{
	const struct pod_container *c;
	const struct pod *pod;
	struct pods p;

	(void)state;
	assert_int_equal(pods_open(&p, 4), 0);
	assert_int_equal(
		feed(&p, POD("ADDED", "u1", "cart-7d4b9c-x2x", REPLICA_SET, RUNNING)), PODS_TAKEN);
	pod = pods_find(&p, "0123456789ab", &c);
	assert_non_null(pod);
	assert_string_equal(pod->workload, "cart");
	assert_string_equal(c->name, "app");
	assert_string_equal(p.version, "77");
	pods_close(&p);
}

static void a_pod_made_by_hand_is_its_own_workload(void **state)
{
	const struct pod_container *c;
	struct pods p;

	(void)state;
	assert_int_equal(pods_open(&p, 4), 0);
	feed(&p, POD("ADDED", "u1", "debug", "", RUNNING));
	assert_string_equal(pods_find(&p, ID, &c)->workload, "debug");
	pods_close(&p);
}

static void a_deleted_pod_is_forgotten(void **state)
{
	const struct pod_container *c;
	struct pods p;

	(void)state;
	assert_int_equal(pods_open(&p, 4), 0);
	feed(&p, POD("ADDED", "u1", "debug", "", RUNNING));
	feed(&p, POD("DELETED", "u1", "debug", "", ""));
	assert_null(pods_find(&p, ID, &c));
	assert_int_equal(p.used, 0);
	pods_close(&p);
}

static void a_full_table_refuses_and_counts(void **state)
{
	struct pods p;

	(void)state;
	assert_int_equal(pods_open(&p, 1), 0);
	feed(&p, POD("ADDED", "u1", "a", "", ""));
	feed(&p, POD("ADDED", "u2", "b", "", ""));
	assert_int_equal(p.refused, 1);
	pods_close(&p);
}

static void nonsense_is_malformed_and_an_error_restarts(void **state)
{
	struct pods p;

	(void)state;
	assert_int_equal(pods_open(&p, 1), 0);
	assert_int_equal(feed(&p, "[]"), PODS_MALFORMED);
	assert_int_equal(feed(&p, "{\"type\":\"ADDED\",\"object\":{}}"), PODS_MALFORMED);
	assert_int_equal(feed(&p, "{\"type\":\"ADDED\""), PODS_MALFORMED);
	assert_int_equal(feed(&p, "{\"type\":\"ERROR\",\"object\":{\"code\":410}}"), PODS_RESTART);
	pods_close(&p);
}

struct responder {
	int listener;
	uint16_t port;
};

static struct responder listen_somewhere(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);
	struct responder r = {.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

	assert_int_equal(bind(r.listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(r.listener, 4), 0);
	assert_int_equal(getsockname(r.listener, (struct sockaddr *)&a, &size), 0);
	r.port = ntohs(a.sin_port);
	return r;
}

/* Accept while the watch runs, read the request's head into `head`. */
static int accept_request(struct responder *r, struct kubernetes *k, char *head, size_t size)
{
	uint64_t deadline = clock_monotonic_ns() + 5000000000ULL;
	struct pollfd p[2] = {
		{.fd = r->listener, .events = POLLIN}, {.fd = kubernetes_fd(k), .events = POLLIN}};
	size_t length = 0;
	int fd = -1;

	while (clock_monotonic_ns() < deadline) {
		poll(p, 2, 100);
		kubernetes_events(k);
		if (fd < 0 && (p[0].revents & POLLIN)) {
			fd = accept(r->listener, NULL, NULL);
			p[0].fd = fd;
			continue;
		}
		if (fd >= 0 && (p[0].revents & POLLIN)) {
			ssize_t n = read(fd, head + length, size - 1 - length);

			assert_true(n > 0);
			length += (size_t)n;
			head[length] = 0;
			if (strstr(head, "\r\n\r\n"))
				return fd;
		}
	}
	fail_msg("no request within 5 s");
	return -1;
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static bool named_within(struct kubernetes *k, const char *id, const char *service)
{
	uint64_t deadline = clock_monotonic_ns() + 5000000000ULL;
	struct pollfd p = {.fd = kubernetes_fd(k), .events = POLLIN};
	char s[WIRE_NAME], c[WIRE_NAME];

	while (clock_monotonic_ns() < deadline) {
		poll(&p, 1, 100);
		kubernetes_events(k);
		if (kubernetes_name(k, id, s, c) && !strcmp(s, service))
			return true;
	}
	return false;
}

static void the_watch_asks_for_its_own_node_and_follows_changes(void **state)
{
	struct responder r = listen_somewhere();
	struct kubernetes_options o = {.node = "node-7", .max_pods = 8};
	struct kubernetes *k;
	char server[64], head[2048];
	int fd;

	(void)state;
	snprintf(server, sizeof(server), "http://127.0.0.1:%u", r.port);
	o.server = server;
	assert_int_equal(kubernetes_open(&k, &o), 0);
	fd = accept_request(&r, k, head, sizeof(head));
	assert_non_null(strstr(head, "fieldSelector=spec.nodeName%3Dnode-7"));
	assert_non_null(strstr(head, "resourceVersion=0 "));
	send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
	/* Cut inside an event, as TCP may. */
	send_text(fd, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"u1\",\"na");
	send_text(fd, "me\":\"cart-0\",\"resourceVersion\":\"78\"},\"status\":"
		      "{\"containerStatuses\":[" RUNNING "]}}}\n");
	assert_true(named_within(k, ID, "cart-0"));
	close(fd);

	/* The stream ended: taken up again where it was. */
	fd = accept_request(&r, k, head, sizeof(head));
	assert_non_null(strstr(head, "resourceVersion=78 "));
	close(fd);
	kubernetes_close(k);
	close(r.listener);
}

/* A line too long to keep, cut off by the end of the stream: the next one is whole. */
static void a_cut_overlong_line_does_not_cost_the_next(void **state)
{
	struct responder r = listen_somewhere();
	struct kubernetes_options o = {.node = "n", .max_pods = 8};
	struct pollfd watch;
	struct kubernetes *k;
	char server[64], head[2048];
	static char part[65536];
	int fd;

	(void)state;
	snprintf(server, sizeof(server), "http://127.0.0.1:%u", r.port);
	o.server = server;
	assert_int_equal(kubernetes_open(&k, &o), 0);
	watch = (struct pollfd){.fd = kubernetes_fd(k), .events = POLLIN};
	fd = accept_request(&r, k, head, sizeof(head));
	send_text(fd, "HTTP/1.1 200 OK\r\n\r\n");
	memset(part, 'x', sizeof(part));
	for (int i = 0; i < 20; i++) { /* 1.25 MiB: past what a line may have */
		for (size_t sent = 0; sent < sizeof(part);) {
			ssize_t n = send(fd, part + sent, sizeof(part) - sent, MSG_DONTWAIT);

			sent += n > 0 ? (size_t)n : 0;
			poll(&watch, 1, n > 0 ? 0 : 10);
			kubernetes_events(k);
		}
	}
	close(fd);
	fd = accept_request(&r, k, head, sizeof(head));
	send_text(fd, "HTTP/1.1 200 OK\r\n\r\n"
		      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"u1\",\"name\":"
		      "\"cart-0\"},\"status\":{\"containerStatuses\":[" RUNNING "]}}}\n");
	assert_true(named_within(k, ID, "cart-0"));
	close(fd);
	kubernetes_close(k);
	close(r.listener);
}

static void a_refusing_server_is_told_once_and_tried_again(void **state)
{
	struct responder r = listen_somewhere();
	struct kubernetes_options o = {.node = "n", .max_pods = 8};
	struct kubernetes_stats stats;
	struct kubernetes *k;
	char server[64], head[2048];
	int fd;

	(void)state;
	snprintf(server, sizeof(server), "http://127.0.0.1:%u", r.port);
	o.server = server;
	assert_int_equal(kubernetes_open(&k, &o), 0);
	fd = accept_request(&r, k, head, sizeof(head));
	send_text(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	close(fd);
	fd = accept_request(&r, k, head, sizeof(head));
	kubernetes_stats(k, &stats);
	assert_non_null(strstr(stats.trouble, "403"));
	assert_int_equal(stats.reconnects, 1);
	close(fd);
	kubernetes_close(k);
	close(r.listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deployments_pod_is_named_after_the_deployment),
		cmocka_unit_test(a_pod_made_by_hand_is_its_own_workload),
		cmocka_unit_test(a_deleted_pod_is_forgotten),
		cmocka_unit_test(a_full_table_refuses_and_counts),
		cmocka_unit_test(nonsense_is_malformed_and_an_error_restarts),
		cmocka_unit_test(the_watch_asks_for_its_own_node_and_follows_changes),
		cmocka_unit_test(a_cut_overlong_line_does_not_cost_the_next),
		cmocka_unit_test(a_refusing_server_is_told_once_and_tried_again),
	};

	log_init("kubernetes_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
