/*
 * sage-caller: calls one server through a real client library and keeps a record of
 * how long each call took. A thread per connection has one call under way at a time.
 *
 *   sage-caller PROTOCOL ADDRESS PORT CONNECTIONS RATE SECONDS FILE
 *
 * RATE is calls per second of all connections together, by a Poisson process; their
 * number is then RATE * SECONDS, unless that takes 30 s longer. RATE 0: without a pause, for
 * SECONDS. FILE gets one line of record.h, whose `rate` is what was reached. Latency counts from
 * the call, not from when it was due: the record is to be held against one of calls.
 *
 *   sage-caller PROTOCOL ADDRESS PORT fill
 *
 * Makes what the calls need at the server, and waits until it serves.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/testbed/peer.h"
#include "tests/testbed/record.h"

#define CONNECTIONS_MAX 256
#define VALUE_BYTES 100
#define PATIENCE_NS 10000000000ULL
#define PAUSE_NS 20000000
#define LATE_NS 30000000000ULL

struct caller {
	struct service server;
	const struct peer_protocol *protocol;
	char address[16];
	unsigned connections;
	double rate, seconds;
	pthread_barrier_t all_connected;
	_Atomic uint64_t start_ns; /* set by whoever passes the barrier first */
};

struct connection {
	struct caller *caller;
	struct peer *peer;
	struct random random;
	struct record_second record; /* of this connection alone */
	uint64_t end_ns;
};

static const struct {
	const char *name;
	const struct peer_protocol *peer;
	enum service_protocol protocol; /* which of those peer_rpc speaks */
} protocols[] = {
	{"http", &peer_rpc, PROTOCOL_HTTP},
	{"thrift", &peer_rpc, PROTOCOL_THRIFT},
	{"redis", &peer_redis, PROTOCOL_REDIS},
	{"memcached", &peer_memcached, PROTOCOL_MEMCACHED},
	{"postgresql", &peer_postgresql, PROTOCOL_POSTGRESQL},
	{"mysql", &peer_mysql, PROTOCOLS},
};

static void sleep_until(uint64_t at_ns)
{
	struct timespec t = {
		.tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

/* Returns 0 or -errno, after which the connection is of no use. */
static int call(struct connection *c)
{
	const struct peer_protocol *p = c->caller->protocol;
	struct record_second *r = &c->record;
	uint64_t start_ns = clock_monotonic_ns();
	bool ok = false;
	int err = p->send(c->peer, &c->random);

	if (!err)
		err = p->receive(c->peer, &ok);
	c->end_ns = clock_monotonic_ns();
	r->sent++;
	if (!err)
		hist_add(&r->latency, c->end_ns - start_ns);
	r->done += !err;
	r->errors += err || !ok;
	return err;
}

static void call_at_rate(struct connection *c, uint64_t start_ns)
{
	const struct caller *all = c->caller;
	double gap_ns = 1e9 * all->connections / all->rate;
	uint64_t calls = (uint64_t)(all->rate * all->seconds / all->connections);
	uint64_t until_ns = start_ns + (uint64_t)(all->seconds * 1e9) + LATE_NS;
	uint64_t due_ns = start_ns;

	for (uint64_t i = 0; i < calls && c->end_ns < until_ns; i++) {
		due_ns += (uint64_t)(gap_ns * random_exponential(&c->random));
		sleep_until(due_ns);
		if (call(c))
			return;
	}
}

static void call_without_pause(struct connection *c, uint64_t start_ns)
{
	uint64_t until_ns = start_ns + (uint64_t)(c->caller->seconds * 1e9);

	do
		if (call(c))
			return;
	while (c->end_ns < until_ns);
}

static void *serve(void *argument)
{
	struct connection *c = argument;
	struct caller *all = c->caller;

	if (pthread_barrier_wait(&all->all_connected) == PTHREAD_BARRIER_SERIAL_THREAD)
		all->start_ns = clock_monotonic_ns();
	pthread_barrier_wait(&all->all_connected);
	if (all->rate > 0)
		call_at_rate(c, all->start_ns);
	else
		call_without_pause(c, all->start_ns);
	all->protocol->close(c->peer);
	return NULL;
}

/* It may accept before it is ready. NULL when it is not within 10 s. */
static struct peer *open_peer(const struct caller *all)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct peer *p;

	while (!(p = all->protocol->open(&all->server, all->address)) &&
		clock_monotonic_ns() < deadline_ns)
		nanosleep(&pause, NULL);
	return p;
}

static int write_record(const struct record_second *sum, const char *path)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	record_write_header(f);
	record_write(f, sum);
	return fclose(f) ? -errno : 0;
}

static struct record_second add_up(const struct connection *connection, const struct caller *all)
{
	struct record_second sum = {0};
	uint64_t end_ns = all->start_ns;

	for (unsigned i = 0; i < all->connections; i++) {
		const struct record_second *r = &connection[i].record;

		sum.sent += r->sent;
		sum.done += r->done;
		sum.errors += r->errors;
		hist_merge(&sum.latency, &r->latency);
		if (connection[i].end_ns > end_ns)
			end_ns = connection[i].end_ns;
	}
	if (end_ns > all->start_ns)
		sum.rate = (double)sum.done * 1e9 / (double)(end_ns - all->start_ns);
	return sum;
}

static int run(struct caller *all, const char *path)
{
	static struct connection connection[CONNECTIONS_MAX];
	static pthread_t thread[CONNECTIONS_MAX];
	struct record_second sum;
	int err;

	for (unsigned i = 0; i < all->connections; i++) {
		connection[i] = (struct connection){.caller = all, .peer = open_peer(all)};
		random_init(&connection[i].random, i);
		if (!connection[i].peer) {
			log_error("%s port %u does not serve %s", all->address, all->server.port,
				all->server.name);
			return -ECONNREFUSED;
		}
	}
	pthread_barrier_init(&all->all_connected, NULL, all->connections);
	for (unsigned i = 0; i < all->connections; i++) {
		err = pthread_create(&thread[i], NULL, serve, &connection[i]);
		if (err) {
			log_error("thread %u: %s", i, strerror(err));
			return -err;
		}
	}
	for (unsigned i = 0; i < all->connections; i++)
		pthread_join(thread[i], NULL);
	sum = add_up(connection, all);
	err = write_record(&sum, path);
	if (err)
		log_error("%s: %s", path, strerror(-err));
	return err;
}

static int fill(const struct caller *all)
{
	struct peer *p = open_peer(all);
	int err = p && all->protocol->fill ? all->protocol->fill(p, &all->server) : 0;

	if (!p || err)
		log_error("%s port %u does not serve %s", all->address, all->server.port,
			all->server.name);
	all->protocol->close(p);
	return p ? err : -ECONNREFUSED;
}

static int set_server(struct caller *all, char **argv)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++) {
		if (strcmp(argv[0], protocols[i].name))
			continue;
		all->server = (struct service){.protocol = protocols[i].protocol,
			.port = (unsigned)strtoul(argv[2], NULL, 10),
			.reply_bytes = VALUE_BYTES};
		snprintf(all->server.name, sizeof(all->server.name), "%s", argv[0]);
		snprintf(all->address, sizeof(all->address), "%s", argv[1]);
		all->protocol = protocols[i].peer;
		return 0;
	}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	static struct caller all;
	bool filling = argc == 5 && !strcmp(argv[4], "fill");

	log_init("sage-caller", LOG_INFO);
	if (argc == 8) {
		all.connections = (unsigned)strtoul(argv[4], NULL, 10);
		all.rate = strtod(argv[5], NULL);
		all.seconds = strtod(argv[6], NULL);
	}
	if ((!filling && argc != 8) || set_server(&all, argv + 1) ||
		(!filling && (all.connections < 1 || all.connections > CONNECTIONS_MAX ||
				     all.rate < 0 || all.seconds <= 0))) {
		log_error("usage: sage-caller http|thrift|redis|memcached|postgresql|mysql ADDRESS "
			  "PORT "
			  "fill | 1..%d RATE SECONDS FILE",
			CONNECTIONS_MAX);
		return 2;
	}
	return (filling ? fill(&all) : run(&all, argv[7])) ? 1 : 0;
}
