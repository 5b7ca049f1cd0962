/*
 * sage-tier: one service of the test application, as its topology describes
 * it. A thread per connection reads a request, works, calls the callees step
 * by step, and answers.
 *
 *   sage-tier TOPOLOGY SERVICE SUBNET DIRECTORY
 *
 * SUBNET is the first three numbers of the addresses ("10.88.0"): service i
 * listens at SUBNET.(10 + i). DIRECTORY holds its files and its control socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/testbed/control.h"
#include "tests/testbed/pool.h"
#include "tests/testbed/rpc.h"
#include "tests/testbed/work.h"

#define THREAD_STACK (512 << 10)

struct tier {
	struct topology topology;
	const struct service *self;
	const struct rpc_protocol *protocol;
	struct work work;
	struct pool pool[TOPOLOGY_CALLS]; /* [self->calls] */
};

struct connection {
	struct tier *tier;
	struct random random;
	struct stream stream;
};

/* Which calls of the step at `first` are made; returns the end of the step. */
static size_t choose(const struct service *s, size_t first, bool *made, struct random *r)
{
	double weight = 0, draw;
	size_t end = first;

	for (; end < s->calls && s->call[end].step == s->call[first].step; end++)
		weight += s->call[end].pick;
	draw = random_unit(r) * weight;
	for (size_t i = first; i < end; i++) {
		const struct service_call *c = &s->call[i];

		if (c->pick <= 0) {
			made[i] = random_unit(r) < c->chance;
			continue;
		}
		made[i] = draw >= 0 && draw < c->pick;
		draw -= c->pick;
	}
	return end;
}

/* Send to all callees of a step, then hear each. Returns whether all went well. */
static bool call_step(struct tier *t, size_t first, size_t end, const bool *made, struct random *r)
{
	struct peer *peer[TOPOLOGY_CALLS] = {0};
	bool all = true;

	for (size_t i = first; i < end; i++) {
		if (!made[i])
			continue;
		peer[i] = pool_take(&t->pool[i]);
		if (peer[i] && t->pool[i].protocol->send(peer[i], r)) {
			pool_give(&t->pool[i], peer[i], 1);
			peer[i] = NULL;
		}
		all = all && peer[i];
	}
	for (size_t i = first; i < end; i++) {
		bool ok = false;
		int err;

		if (!peer[i])
			continue;
		err = t->pool[i].protocol->receive(peer[i], &ok);
		pool_give(&t->pool[i], peer[i], err);
		all = all && !err && ok;
	}
	return all;
}

static bool call_all(struct tier *t, struct random *r)
{
	bool made[TOPOLOGY_CALLS];
	bool all = true;

	for (size_t first = 0; first < t->self->calls;) {
		size_t end = choose(t->self, first, made, r);

		all = call_step(t, first, end, made, r) && all;
		first = end;
	}
	return all;
}

static void *serve(void *argument)
{
	struct connection *c = argument;
	struct tier *t = c->tier;
	struct rpc_call call;

	while (!t->protocol->receive_call(&c->stream, &call)) {
		bool ok;

		work_do(&t->work, &c->random);
		ok = call_all(t, &c->random);
		if (t->protocol->send_reply(&c->stream, &call, (size_t)t->self->reply_bytes, ok))
			break;
	}
	stream_close(&c->stream);
	free(c);
	return NULL;
}

static void accept_one(struct tier *t, int listener, const pthread_attr_t *attributes)
{
	pthread_t thread;
	struct connection *c;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return;
	}
	c->tier = t;
	random_init(&c->random, clock_monotonic_ns());
	stream_init(&c->stream, fd);
	if (pthread_create(&thread, attributes, serve, c)) {
		stream_close(&c->stream);
		free(c);
	}
}

static int listen_at(const char *address, unsigned port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1, err, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	inet_pton(AF_INET, address, &at.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 512)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void loop(struct tier *t, int listener, int control)
{
	struct pollfd wait[] = {{listener, POLLIN, 0}, {control, POLLIN, 0}};
	pthread_attr_t attributes;
	char line[128];

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	while (poll(wait, 2, -1) >= 0 || errno == EINTR) {
		if (wait[0].revents)
			accept_one(t, listener, &attributes);
		if (wait[1].revents && control_receive(control, line, sizeof(line)) > 0 &&
			work_command(&t->work, line))
			log_warning("command '%s' not understood: 'slow SHARE WAIT_MS' is", line);
	}
}

static void make_address(const struct topology *t, const struct service *s, const char *subnet,
	char *to, size_t size)
{
	snprintf(to, size, "%.11s.%u", subnet, 10 + topology_index(t, s));
}

static void open_pools(struct tier *t, const char *subnet)
{
	char address[16];

	for (size_t i = 0; i < t->self->calls; i++) {
		const struct service *callee = &t->topology.service[t->self->call[i].callee];

		make_address(&t->topology, callee, subnet, address, sizeof(address));
		pool_init(&t->pool[i], callee, address, (unsigned)t->self->pool);
	}
}

int main(int argc, char **argv)
{
	static struct tier tier;
	char error[256], path[512], address[16];
	int listener, control, err;

	log_init("sage-tier", LOG_INFO);
	if (argc != 5) {
		log_error("usage: sage-tier TOPOLOGY SERVICE SUBNET DIRECTORY");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (topology_load(&tier.topology, argv[1], error, sizeof(error))) {
		log_error("%s", error);
		return 2;
	}
	tier.self = topology_find(&tier.topology, argv[2]);
	if (!tier.self || tier.self->kind != KIND_TIER) {
		log_error("%s: %s has no tier of that name", argv[2], argv[1]);
		return 2;
	}
	tier.protocol = tier.self->protocol == PROTOCOL_HTTP ? &rpc_http : &rpc_thrift;
	open_pools(&tier, argv[3]);
	err = work_open(&tier.work, tier.self, argv[4]);
	if (err) {
		log_error("files in %s: %s", argv[4], strerror(-err));
		return 1;
	}
	snprintf(path, sizeof(path), "%s/control", argv[4]);
	control = control_listen(path);
	make_address(&tier.topology, tier.self, argv[3], address, sizeof(address));
	listener = listen_at(address, tier.self->port);
	if (control < 0 || listener < 0) {
		log_error("cannot listen at %s port %u or %s: %s", address, tier.self->port, path,
			strerror(control < 0 ? -control : -listener));
		return 1;
	}
	loop(&tier, listener, control);
	return 1;
}
