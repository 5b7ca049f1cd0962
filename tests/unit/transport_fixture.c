#include "transport_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "wire_sample.h"

char transport_dir[64];

int make_dir(void **state)
{
	(void)state;
	strcpy(transport_dir, "/tmp/sage-uplink-test-XXXXXX");
	return !mkdtemp(transport_dir);
}

/* Run a program to its end, or leave it running and say its pid. */
pid_t spawn_helper(char *const arguments[])
{
	extern char **environ;
	pid_t child;

	assert_int_equal(posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ), 0);
	return child;
}

void run_command(const char *command)
{
	char *arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
	int status;

	assert_int_equal(waitpid(spawn_helper(arguments), &status, 0) < 0, 0);
	assert_int_equal(status, 0);
}

int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	close(fd);
	return ntohs(a.sin_port);
}

const char *in_dir(const char *name)
{
	static char path[8][128];
	static unsigned next;
	char *out = path[next++ % 8];

	snprintf(out, sizeof(path[0]), "%s/%s", transport_dir, name);
	return out;
}

void make_certificates(void)
{
	char command[2048];

	snprintf(command, sizeof(command),
		"cd %s && exec 2>openssl.log && printf 'subjectAltName=DNS:analyzer' > ext && "
		"for ca in servers agents stranger; do "
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-keyout $ca.key -out $ca.pem -subj /CN=$ca -days 2 && "
		"openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
		"-keyout $ca-node.key -out $ca-node.csr -subj /CN=analyzer && "
		"openssl x509 -req -in $ca-node.csr -CA $ca.pem -CAkey $ca.key -CAcreateserial "
		"-out $ca-node.pem -days 2 -extfile ext || exit 1; done",
		transport_dir);
	run_command(command);
}

struct net_tls tls_of(const char *ca, const char *cert, const char *key)
{
	return (struct net_tls){.ca_file = in_dir(ca),
		.cert_file = in_dir(cert),
		.key_file = in_dir(key),
		.server_name = "analyzer"};
}

int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- %s", transport_dir);
	run_command(command);
	return 0;
}

static int keep_batch(struct analyzer *a, const struct intake_batch *b)
{
	char line[64];
	int length = snprintf(
		line, sizeof(line), "%llu %u\n", (unsigned long long)b->sequence, b->windows);

	return a->fd >= 0 && write(a->fd, line, (size_t)length) != length ? -EIO : 0;
}

static int on_batches(void *ctx, struct intake_batch *b, size_t n)
{
	struct analyzer *a = ctx;
	int error = 0;
	bool fail;

	pthread_mutex_lock(&a->lock);
	fail = a->fail_batches > 0;
	a->fail_batches -= fail;
	for (size_t i = 0; i < n && !fail; i++) {
		a->windows += b[i].windows;
		a->last_sequence = b[i].sequence;
	}
	pthread_cond_broadcast(&a->happened);
	pthread_mutex_unlock(&a->lock);
	if (fail)
		return -ENOSPC;
	for (size_t i = 0; i < n && !error; i++)
		error = keep_batch(a, &b[i]);
	return error;
}

static int on_poll(void *ctx, const struct wire_poll *p, struct wire_leases *out)
{
	struct analyzer *a = ctx;

	pthread_mutex_lock(&a->lock);
	a->polls++;
	a->reports += p->reports;
	out->epoch = 1;
	out->leases = a->leases;
	out->lease = calloc(2, sizeof(*out->lease));
	memcpy(out->lease, a->lease, sizeof(a->lease));
	pthread_cond_broadcast(&a->happened);
	pthread_mutex_unlock(&a->lock);
	return 0;
}

static uint64_t on_last_sequence(void *ctx, const struct wire_agent *agent)
{
	struct analyzer *a = ctx;

	(void)agent;
	return a->fd < 0 ? 0 : a->last_sequence; /* the helper only ever meets one boot */
}

void open_analyzer(struct analyzer *a, const char *url, struct net_tls tls)
{
	struct intake_options o = {.url = url,
		.tls = tls,
		.master = a->master,
		.contexts = 2,
		.ctx = a,
		.batches = on_batches,
		.poll = on_poll,
		.last_sequence = on_last_sequence};

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->happened, NULL);
	assert_int_equal(intake_open(&a->intake, &o), 0);
}

void close_analyzer(struct analyzer *a)
{
	intake_close(a->intake);
	pthread_cond_destroy(&a->happened);
	pthread_mutex_destroy(&a->lock);
}

/* Until a counter of the analyzer reaches a value. */
void await_count(struct analyzer *a, const uint64_t *counter, uint64_t value)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
	struct timespec until = {
		.tv_sec = (time_t)(end / 1000000000), .tv_nsec = (long)(end % 1000000000)};
	int late = 0;

	pthread_mutex_lock(&a->lock);
	while (*counter < value && !late)
		late = pthread_cond_clockwait(&a->happened, &a->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&a->lock);
	assert_int_equal(late, 0);
}

struct uplink *agent_to(int port, const char *spool_dir, const struct net_tls *tls)
{
	struct uplink_options o = {
		.node = "node-1", .spool_dir = spool_dir, .spool_bytes = 1 << 20};
	struct uplink *u = NULL;
	char url[64];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d", tls ? "tls+tcp" : "tcp", port);
	if (port)
		o.url = url;
	if (tls)
		o.tls = *tls;
	assert_int_equal(uplink_open(&u, &o), 0);
	return u;
}

void push_windows(struct uplink *u, unsigned n)
{
	struct wire_window w;

	for (unsigned i = 0; i < n; i++) {
		sample_window(&w, 2, 2, 10, i);
		assert_int_equal(uplink_push(u, &w), 0);
		wire_window_close(&w);
	}
}

struct uplink_stats stats_of(struct uplink *u)
{
	struct uplink_stats s;

	uplink_stats(u, &s);
	assert_int_equal(s.produced + s.recovered, s.stored + s.dropped + s.pending);
	return s;
}

/* Until the uplink reports something; its leases, if any, in *out. */
bool await_event(struct uplink *u, struct wire_leases *out)
{
	struct pollfd p = {.fd = uplink_fd(u), .events = POLLIN};

	assert_int_equal(poll(&p, 1, (int)(DEADLINE_NS / 1000000)), 1);
	return uplink_take_leases(u, out);
}

void await_drained(struct uplink *u)
{
	while (stats_of(u).pending) {
		struct wire_leases l = {0};

		await_event(u, &l);
		wire_leases_close(&l);
	}
}

struct wire_leases await_leases(struct uplink *u, uint32_t leases)
{
	struct wire_leases l = {0};

	do {
		wire_leases_close(&l);
		while (!await_event(u, &l))
			continue;
	} while (l.leases != leases);
	return l;
}
