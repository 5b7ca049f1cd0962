#include "tests/bpf/dns_traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/bpf/traffic.h"

#define MESSAGE 512
#define MOST 256
#define PATIENCE_MS 10000

static void refuse(const char *what)
{
	fprintf(stderr, "dns: %s: %s\n", what, strerror(errno));
	_exit(99);
}

struct sockaddr_storage dns_address(const char *address, uint16_t port)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
	} else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
	}
	return a;
}

static socklen_t address_size(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

int dns_bind(const char *address, uint16_t port)
{
	struct sockaddr_storage a = dns_address(address, port);
	int fd = socket(a.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, address_size(&a)))
		refuse("bind");
	return fd;
}

/* ---- the client */

/* One question, type A: header, labels, type, class. */
static size_t question(uint8_t *to, uint16_t id, const char *name)
{
	static const uint8_t head[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
	static const uint8_t tail[] = {0, 0, 1, 0, 1};
	size_t at = sizeof(head);

	memcpy(to, head, sizeof(head));
	to[0] = (uint8_t)(id >> 8);
	to[1] = (uint8_t)id;
	while (*name) {
		size_t label = strcspn(name, ".");

		to[at++] = (uint8_t)label;
		memcpy(to + at, name, label);
		at += label;
		name += label;
		name += *name == '.';
	}
	memcpy(to + at, tail, sizeof(tail));
	return at + sizeof(tail);
}

static void send_one(int fd, struct dns_client *c, const uint8_t *message, size_t size)
{
	ssize_t n = c->way == DNS_CONNECTED
			    ? send(fd, message, size, 0)
			    : sendto(fd, message, size, 0, (struct sockaddr *)&c->server,
				      address_size(&c->server));

	if (n != (ssize_t)size)
		refuse("send");
	c->sent += size;
}

/* The next answer; its id, or -1 when none comes. */
static int answer(int fd, struct dns_client *c)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	uint8_t message[MESSAGE];
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		return -1;
	n = recv(fd, message, sizeof(message), 0);
	if (n < 12 || !(message[2] & 0x80))
		return -1;
	c->received += (uint64_t)n;
	return message[0] << 8 | message[1];
}

static int one_by_one(int fd, struct dns_client *c)
{
	uint8_t message[MESSAGE];

	for (unsigned i = 0; i < c->queries; i++) {
		size_t size = question(message, (uint16_t)(i + 1), c->name);
		uint64_t start = clock_monotonic_ns();

		send_one(fd, c, message, size);
		for (unsigned k = 0; k < c->repeats; k++) {
			traffic_pause_us(20000);
			start = clock_monotonic_ns();
			send_one(fd, c, message, size);
		}
		if (c->silent)
			continue;
		if (answer(fd, c) != (int)(i + 1))
			return 1;
		c->sum_ns += clock_monotonic_ns() - start;
	}
	return 0;
}

static int all_at_once(int fd, struct dns_client *c)
{
	static uint8_t message[MOST][MESSAGE];
	struct mmsghdr many[MOST] = {0};
	struct iovec piece[MOST];
	uint64_t start;
	int left = (int)c->queries, at = 0;

	for (int i = 0; i < left; i++) {
		piece[i].iov_base = message[i];
		piece[i].iov_len = question(message[i], (uint16_t)(i + 1), c->name);
		many[i].msg_hdr.msg_iov = &piece[i];
		many[i].msg_hdr.msg_iovlen = 1;
		many[i].msg_hdr.msg_name = &c->server;
		many[i].msg_hdr.msg_namelen = address_size(&c->server);
		c->sent += piece[i].iov_len;
	}
	start = clock_monotonic_ns();
	while (at < left) {
		int n = sendmmsg(fd, many + at, (unsigned)(left - at), 0);

		if (n <= 0)
			refuse("sendmmsg");
		at += n;
	}
	for (; left; left--) {
		if (answer(fd, c) < 0)
			return 1;
		c->sum_ns += clock_monotonic_ns() - start;
	}
	return 0;
}

int dns_client_run(void *client)
{
	struct dns_client *c = client;
	int fd = socket(c->server.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), bad;

	if (fd < 0)
		refuse("socket");
	if (c->way == DNS_CONNECTED &&
		connect(fd, (struct sockaddr *)&c->server, address_size(&c->server)))
		refuse("connect");
	bad = c->way == DNS_MANY ? all_at_once(fd, c) : one_by_one(fd, c);
	close(fd);
	return bad;
}

/* ---- the responder */

/* Whether to answer the `times`th message of that name. */
static bool wanted(char letter, unsigned times)
{
	return letter != 'x' && (letter != 't' || times % 3 == 0);
}

static uint8_t rcode(char letter)
{
	return letter == 'n' ? 3 : letter == 's' ? 2 : 0;
}

int dns_responder(void *socket)
{
	int fd = *(int *)socket;
	unsigned times = 0;

	for (;;) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		uint8_t message[MESSAGE];
		ssize_t n =
			recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&from, &size);

		if (n < 17)
			return 1;
		if (!wanted((char)message[13], ++times))
			continue;
		if (message[13] == 'd')
			traffic_pause_us(DNS_DELAY_US);
		message[2] |= 0x80;
		message[3] = rcode((char)message[13]);
		if (sendto(fd, message, (size_t)n, 0, (struct sockaddr *)&from, size) != n)
			return 1;
	}
}
