/*
 * sage-loadgen: open-loop HTTP load. Requests arrive by a Poisson process
 * whether or not earlier ones were answered, and latency counts from the
 * arrival, so a stalled application cannot hide its stall (no coordinated
 * omission). What waits for a free connection is bounded; beyond, arrivals are
 * dropped and counted.
 *
 *   sage-loadgen TOPOLOGY SUBNET DIRECTORY [SEED]
 *
 * Writes DIRECTORY/load.csv (record.h) and obeys "rate FACTOR" on
 * DIRECTORY/control. One thread, one epoll set.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/testbed/arrivals.h"
#include "tests/testbed/control.h"
#include "tests/testbed/record.h"

#define WAITING 64 /* arrivals without a free connection */
#define SECOND_NS 1000000000ULL
#define HEADER 2048

struct connection {
	int fd;
	bool busy;
	uint64_t due_ns;  /* of the request under way */
	size_t body_left; /* of the answer, once its header is read */
	bool in_body, failed;
	size_t used;
	char header[HEADER];
};

struct loadgen {
	struct sockaddr_in front;
	struct arrivals arrivals;
	struct record_second second;
	FILE *record;
	int epoll, control;
	unsigned connections, idle;
	struct connection *connection; /* [connections] */
	unsigned *free_list;           /* [idle] */
	uint64_t waiting[WAITING];     /* ring */
	unsigned waiting_first, waiting_count;
};

static void hang_up(struct connection *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int dial(struct loadgen *g, struct connection *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(c->fd, (struct sockaddr *)&g->front, sizeof(g->front)) ||
		epoll_ctl(g->epoll, EPOLL_CTL_ADD, c->fd, &event)) {
		hang_up(c);
		return -errno;
	}
	return 0;
}

static void release(struct loadgen *g, struct connection *c)
{
	c->busy = false;
	g->free_list[g->idle++] = (unsigned)(c - g->connection);
}

/* Send on a free connection; there is one. */
static void send_request(struct loadgen *g, uint64_t due_ns)
{
	static const char text[] = "GET /timeline HTTP/1.1\r\nHost: testbed\r\n\r\n";
	struct connection *c = &g->connection[g->free_list[--g->idle]];

	g->second.sent++;
	if ((c->fd < 0 && dial(g, c)) ||
		send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(text) - 1) {
		g->second.errors++;
		hang_up(c);
		release(g, c);
		return;
	}
	c->busy = true;
	c->due_ns = due_ns;
	c->in_body = false;
	c->used = 0;
}

static void arrive(struct loadgen *g, uint64_t due_ns)
{
	if (g->idle) {
		send_request(g, due_ns);
		return;
	}
	if (g->waiting_count == WAITING) {
		g->second.dropped++;
		return;
	}
	g->waiting[(g->waiting_first + g->waiting_count++) % WAITING] = due_ns;
}

/* The connection is free again: give it the oldest waiting arrival. */
static void next_request(struct loadgen *g, struct connection *c)
{
	uint64_t due_ns;

	release(g, c);
	if (!g->waiting_count)
		return;
	due_ns = g->waiting[g->waiting_first];
	g->waiting_first = (g->waiting_first + 1) % WAITING;
	g->waiting_count--;
	send_request(g, due_ns);
}

static void finish(struct loadgen *g, struct connection *c, bool ok)
{
	if (!ok) {
		g->second.errors++;
	} else {
		g->second.done++;
		hist_add(&g->second.latency, clock_monotonic_ns() - c->due_ns);
	}
	next_request(g, c);
}

/* Once the header is whole, learn status and length. Returns 0 or -EBADMSG. */
static int parse_header(struct connection *c)
{
	char *end = memmem(c->header, c->used, "\r\n\r\n", 4);
	const char *length;
	unsigned status;

	if (!end)
		return c->used < sizeof(c->header) - 1 ? 0 : -EBADMSG;
	*end = 0;
	length = strcasestr(c->header, "\r\nContent-Length:");
	if (!length || sscanf(c->header, "HTTP/1.1 %3u", &status) != 1)
		return -EBADMSG;
	c->failed = status >= 400;
	c->body_left = strtoul(length + 17, NULL, 10);
	c->in_body = true;
	c->used -= (size_t)(end + 4 - c->header);
	return 0;
}

static int nothing_came(ssize_t n)
{
	if (!n)
		return -EPIPE;
	return errno == EAGAIN ? 0 : -errno;
}

/* Take what is there of an answer. Returns 1 when it is whole, 0 when not yet, or -errno. */
static int receive(struct connection *c)
{
	char body[16384];
	ssize_t n;

	if (!c->in_body) {
		n = recv(c->fd, c->header + c->used, sizeof(c->header) - 1 - c->used, MSG_DONTWAIT);
		if (n <= 0)
			return nothing_came(n);
		c->used += (size_t)n;
		c->header[c->used] = 0;
		if (parse_header(c))
			return -EBADMSG;
		if (!c->in_body)
			return 0;
		n = (ssize_t)c->used;
	} else {
		n = recv(c->fd, body, sizeof(body), MSG_DONTWAIT);
		if (n <= 0)
			return nothing_came(n);
	}
	if ((size_t)n > c->body_left)
		return -EBADMSG;
	c->body_left -= (size_t)n;
	return !c->body_left;
}

static void on_readable(struct loadgen *g, struct connection *c)
{
	int whole;

	if (!c->busy) {
		hang_up(c); /* the server closed an idle connection */
		return;
	}
	whole = receive(c);
	if (!whole)
		return;
	if (whole < 0)
		hang_up(c);
	finish(g, c, whole > 0 && !c->failed);
}

static void on_control(struct loadgen *g)
{
	char line[128];
	double factor;

	if (control_receive(g->control, line, sizeof(line)) <= 0)
		return;
	if (sscanf(line, "rate %lf", &factor) == 1 && factor > 0 && factor <= 100)
		g->arrivals.factor = factor;
	else
		log_warning("command '%s' not understood: 'rate FACTOR' is", line);
}

static void end_second(struct loadgen *g, uint64_t now_ns)
{
	g->second.rate = arrivals_rate(&g->arrivals, now_ns);
	record_write(g->record, &g->second);
	g->second = (struct record_second){.time = (double)(clock_wall_ns() / SECOND_NS)};
}

static void wait_until(struct loadgen *g, uint64_t deadline_ns)
{
	struct epoll_event event[32];
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	struct timespec left = {
		.tv_sec = (time_t)(left_ns / SECOND_NS), .tv_nsec = (long)(left_ns % SECOND_NS)};
	int n = epoll_pwait2(g->epoll, event, 32, &left, NULL);

	for (int i = 0; i < n; i++) {
		if (event[i].data.ptr)
			on_readable(g, event[i].data.ptr);
		else
			on_control(g);
	}
}

static void loop(struct loadgen *g)
{
	/* Lines end on whole wall-clock seconds, as the windows of the agent do. */
	uint64_t tick_ns = clock_monotonic_ns() + SECOND_NS - clock_wall_ns() % SECOND_NS;

	g->second.time = (double)(clock_wall_ns() / SECOND_NS);
	for (;;) {
		uint64_t next_ns = g->arrivals.next_ns;
		uint64_t now_ns;

		wait_until(g, next_ns < tick_ns ? next_ns : tick_ns);
		now_ns = clock_monotonic_ns();
		while (g->arrivals.next_ns <= now_ns)
			arrive(g, arrivals_take(&g->arrivals));
		if (now_ns >= tick_ns) {
			end_second(g, now_ns);
			tick_ns += SECOND_NS;
		}
	}
}

static int open_loadgen(struct loadgen *g, const struct topology *t, const char *subnet,
	const char *directory, uint64_t seed)
{
	struct epoll_event event = {.events = EPOLLIN};
	char path[512], address[16];

	*g = (struct loadgen){.connections = (unsigned)t->connections};
	snprintf(address, sizeof(address), "%.11s.10", subnet);
	g->front = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)t->service[0].port)};
	if (inet_pton(AF_INET, address, &g->front.sin_addr) != 1)
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/load.csv", directory);
	g->record = fopen(path, "we");
	if (!g->record)
		return -errno;
	record_write_header(g->record);
	snprintf(path, sizeof(path), "%s/control", directory);
	g->control = control_listen(path);
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	g->connection = calloc(g->connections, sizeof(*g->connection));
	g->free_list = calloc(g->connections, sizeof(*g->free_list));
	if (g->control < 0 || g->epoll < 0 || !g->connection || !g->free_list)
		return g->control < 0 ? g->control : -ENOMEM;
	for (unsigned i = 0; i < g->connections; i++) {
		g->connection[i].fd = -1;
		release(g, &g->connection[i]);
	}
	arrivals_init(&g->arrivals, t, clock_monotonic_ns(), seed);
	return epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->control, &event) ? -errno : 0;
}

int main(int argc, char **argv)
{
	static struct topology topology;
	static struct loadgen generator;
	char error[256];
	int err;

	log_init("sage-loadgen", LOG_INFO);
	if (argc < 4 || argc > 5) {
		log_error("usage: sage-loadgen TOPOLOGY SUBNET DIRECTORY [SEED]");
		return 2;
	}
	if (topology_load(&topology, argv[1], error, sizeof(error))) {
		log_error("%s", error);
		return 2;
	}
	err = open_loadgen(&generator, &topology, argv[2], argv[3],
		argc > 4 ? strtoull(argv[4], NULL, 10) : 1);
	if (err) {
		log_error("cannot start on %s in %s: %s", argv[2], argv[3], strerror(-err));
		return 1;
	}
	loop(&generator);
	return 0;
}
