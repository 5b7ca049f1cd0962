/*
 * Uplink and intake over loopback, as two processes where one of them dies.
 *
 * The program is its own helper: `uplink_test serve PORT FILE` is an analyzer that
 * appends what it stores to FILE, `uplink_test push DIR N` an agent without an
 * analyzer. nng forbids fork(), so helpers come by posix_spawn().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
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

#include "agent/spool.h"
#include "agent/uplink.h"
#include "analyzer/intake.h"
#include "common/clock.h"
#include "common/log.h"
#include "wire_sample.h"

#define DEADLINE_NS 30000000000ULL

static char dir[64];
static char *const program = "/proc/self/exe";

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sage-uplink-test-XXXXXX");
	return !mkdtemp(dir);
}

/* Run a program to its end, or leave it running and say its pid. */
static pid_t spawn(char *const arguments[])
{
	extern char **environ;
	pid_t child;

	assert_int_equal(posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ), 0);
	return child;
}

static void run(const char *command)
{
	char *arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
	int status;

	assert_int_equal(waitpid(spawn(arguments), &status, 0) < 0, 0);
	assert_int_equal(status, 0);
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf -- %s", dir);
	run(command);
	return 0;
}

/* ---- an analyzer in this process ------------------------------------- */

struct analyzer {
	pthread_mutex_t lock;
	pthread_cond_t happened;
	struct intake *intake;
	uint64_t windows, last_sequence, polls, reports, fail_batches;
	struct wire_lease lease[2];
	uint32_t leases;
	int fd; /* where `serve` keeps what it stored; -1 = nowhere */
};

static int on_batch(void *ctx, const struct wire_batch *b)
{
	struct analyzer *a = ctx;
	char line[64];
	int length = snprintf(
		line, sizeof(line), "%llu %u\n", (unsigned long long)b->sequence, b->windows);
	bool fail;

	pthread_mutex_lock(&a->lock);
	fail = a->fail_batches > 0;
	a->fail_batches -= fail;
	if (!fail) {
		a->windows += b->windows;
		a->last_sequence = b->sequence;
	}
	pthread_cond_broadcast(&a->happened);
	pthread_mutex_unlock(&a->lock);
	if (fail)
		return -ENOSPC;
	if (a->fd >= 0 && write(a->fd, line, (size_t)length) != length)
		return -EIO;
	return 0;
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

static void open_analyzer(struct analyzer *a, const char *url, struct net_tls tls)
{
	struct intake_options o = {.url = url,
		.tls = tls,
		.contexts = 2,
		.ctx = a,
		.batch = on_batch,
		.poll = on_poll,
		.last_sequence = on_last_sequence};

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->happened, NULL);
	assert_int_equal(intake_open(&a->intake, &o), 0);
}

static void close_analyzer(struct analyzer *a)
{
	intake_close(a->intake);
	pthread_cond_destroy(&a->happened);
	pthread_mutex_destroy(&a->lock);
}

/* Until a counter of the analyzer reaches a value. */
static void await_count(struct analyzer *a, const uint64_t *counter, uint64_t value)
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

/* ---- an agent in this process ---------------------------------------- */

static struct uplink *agent_to(int port, const char *spool_dir, const struct net_tls *tls)
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

static void push(struct uplink *u, unsigned n)
{
	struct wire_window w;

	for (unsigned i = 0; i < n; i++) {
		sample_window(&w, 2, 2, 10, i);
		assert_int_equal(uplink_push(u, &w), 0);
		wire_window_close(&w);
	}
}

static struct uplink_stats stats_of(struct uplink *u)
{
	struct uplink_stats s;

	uplink_stats(u, &s);
	assert_int_equal(s.produced + s.recovered, s.stored + s.dropped + s.pending);
	return s;
}

/* Until the uplink reports something; its leases, if any, in *out. */
static bool await_event(struct uplink *u, struct wire_leases *out)
{
	struct pollfd p = {.fd = uplink_fd(u), .events = POLLIN};

	assert_int_equal(poll(&p, 1, (int)(DEADLINE_NS / 1000000)), 1);
	return uplink_take_leases(u, out);
}

static void await_drained(struct uplink *u)
{
	while (stats_of(u).pending) {
		struct wire_leases l = {0};

		await_event(u, &l);
		wire_leases_close(&l);
	}
}

static struct wire_leases await_leases(struct uplink *u, uint32_t leases)
{
	struct wire_leases l = {0};

	do {
		wire_leases_close(&l);
		while (!await_event(u, &l))
			continue;
	} while (l.leases != leases);
	return l;
}

/* ---- tests ----------------------------------------------------------- */

static void windows_are_stored_once_and_acknowledged(void **state)
{
	struct analyzer a = {.fd = -1};
	struct intake_stats got;
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	push(u, 25);
	await_drained(u);
	assert_int_equal(stats_of(u).stored, 25);
	assert_true(stats_of(u).last_ack_ns > 0);
	assert_int_equal(a.windows, 25);
	intake_stats(a.intake, &got);
	assert_int_equal(got.windows, 25);
	assert_int_equal(got.duplicates + got.refused + got.deferred, 0);
	uplink_close(u);
	close_analyzer(&a);
}

static void a_batch_that_could_not_be_stored_is_sent_again(void **state)
{
	struct analyzer a = {.fd = -1, .fail_batches = 2};
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	push(u, 3);
	await_drained(u);
	assert_int_equal(a.windows, 3);
	assert_int_equal(stats_of(u).stored, 3);
	uplink_close(u);
	close_analyzer(&a);
}

static void without_an_analyzer_windows_are_kept_within_bounds(void **state)
{
	struct uplink *u = agent_to(0, NULL, NULL);

	(void)state;
	push(u, 3000);
	assert_int_equal(stats_of(u).produced, 3000);
	assert_true(stats_of(u).dropped > 0 && stats_of(u).pending > 0);
	assert_int_equal(stats_of(u).dropped, stats_of(u).loss[LOSS_SPOOL_FULL]);
	assert_true(stats_of(u).spool_bytes <= 1 << 20);
	uplink_close(u);
}

static void leases_arrive_when_they_change(void **state)
{
	struct analyzer a = {
		.fd = -1, .lease = {{.id = 5, .knob = KNOB_CPU_QUOTA, .ttl_ms = 60000}}};
	struct wire_leases l;
	struct uplink *u;
	uint64_t before;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	l = await_leases(u, 0);
	wire_leases_close(&l);
	await_count(&a, &a.polls, 2); /* the second poll is held */

	before = clock_monotonic_ns();
	pthread_mutex_lock(&a.lock);
	a.leases = 1;
	pthread_mutex_unlock(&a.lock);
	intake_wake(a.intake, "node-1");
	l = await_leases(u, 1);
	assert_true(clock_monotonic_ns() - before < INTAKE_HOLD_MS * 1000000ULL / 2);
	assert_int_equal(l.lease[0].id, 5);
	wire_leases_close(&l);
	uplink_close(u);
	close_analyzer(&a);
}

static void a_lease_is_renewed_within_a_third_of_its_time(void **state)
{
	struct analyzer a = {.fd = -1, .leases = 1, .lease = {{.id = 1, .ttl_ms = 900}}};
	struct wire_leases l;
	struct uplink *u;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t before = clock_monotonic_ns();

		l = await_leases(u, 1);
		wire_leases_close(&l);
		assert_true(clock_monotonic_ns() - before < 900000000ULL || !i);
	}
	uplink_close(u);
	close_analyzer(&a);
}

static void reports_cut_a_waiting_poll_short(void **state)
{
	struct wire_lease_report r = {.id = 5, .state = LEASE_APPLIED};
	struct analyzer a = {.fd = -1};
	struct wire_leases l;
	struct uplink *u;
	uint64_t before;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), NULL, NULL);
	l = await_leases(u, 0);
	wire_leases_close(&l);
	await_count(&a, &a.polls, 2);
	before = clock_monotonic_ns();
	uplink_report(u, &r, 1);
	await_count(&a, &a.reports, 1);
	uplink_report(u, &r, 1);
	await_count(&a, &a.reports, 2);
	assert_true(clock_monotonic_ns() - before < INTAKE_HOLD_MS * 1000000ULL / 2);
	uplink_close(u);
	assert_int_equal(a.reports, 2);
	close_analyzer(&a);
}

static void reports_wait_for_an_analyzer(void **state)
{
	struct wire_lease_report r = {.id = 5, .state = LEASE_REVERTED};
	struct analyzer a = {.fd = -1}, b = {.fd = -1};
	struct uplink *u;
	char url[64];

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", intake_port(a.intake));
	u = agent_to(intake_port(a.intake), NULL, NULL);
	push(u, 1);
	await_drained(u);
	close_analyzer(&a);
	uplink_report(u, &r, 1);
	open_analyzer(&b, url, (struct net_tls){0});
	await_count(&b, &b.reports, 1);
	uplink_close(u);
	close_analyzer(&b);
}

/* ---- the other side dies --------------------------------------------- */

static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(at);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	close(fd);
	return ntohs(at.sin_port);
}

/* Lines of the helper's file: how many windows, and was any sequence stored twice. */
static uint64_t windows_in(const char *path, uint64_t *twice)
{
	unsigned long long sequence;
	uint64_t windows = 0, last = 0;
	FILE *f = fopen(path, "r");
	unsigned n;

	*twice = 0;
	while (f && fscanf(f, "%llu %u\n", &sequence, &n) == 2) {
		*twice += sequence <= last;
		last = sequence;
		windows += n;
	}
	if (f)
		fclose(f);
	return windows;
}

static void a_receiver_killed_again_and_again_loses_and_doubles_nothing(void **state)
{
	char port[16], file[128];
	char *serve[] = {program, "serve", port, file, NULL};
	uint64_t stored, twice;
	struct uplink *u;
	pid_t child;
	int status;

	(void)state;
	snprintf(port, sizeof(port), "%d", free_port());
	snprintf(file, sizeof(file), "%s/stored", dir);
	u = agent_to(atoi(port), NULL, NULL);
	for (unsigned kills = 0; kills < 5; kills++) {
		uint64_t before = stats_of(u).stored;

		child = spawn(serve);
		push(u, 200);
		while (stats_of(u).stored == before) {
			struct wire_leases l = {0};

			await_event(u, &l);
			wire_leases_close(&l);
			push(u, 1);
		}
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	child = spawn(serve);
	await_drained(u);
	stored = windows_in(file, &twice);
	kill(child, SIGTERM);
	waitpid(child, &status, 0);
	assert_int_equal(stats_of(u).dropped, 0);
	assert_int_equal(stats_of(u).stored, stats_of(u).produced);
	assert_int_equal(stored, stats_of(u).produced);
	assert_int_equal(twice, 0);
	uplink_close(u);
}

static void what_a_killed_agent_spooled_is_sent_by_the_next(void **state)
{
	char spool[128];
	char *pusher[] = {program, "push", spool, "40", NULL};
	struct analyzer a = {.fd = -1};
	struct uplink *u;
	int status;

	(void)state;
	snprintf(spool, sizeof(spool), "%s/spool", dir);
	waitpid(spawn(pusher), &status, 0);
	assert_true(WIFSIGNALED(status));
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), spool, NULL);
	assert_int_equal(stats_of(u).recovered, 40);
	push(u, 2);
	await_drained(u);
	assert_int_equal(stats_of(u).stored, 42);
	assert_int_equal(a.windows, 42);
	uplink_close(u);
	close_analyzer(&a);
}

static int serve(const char *port, const char *path)
{
	struct analyzer a = {0};
	uint64_t sequence, n;
	FILE *f = fopen(path, "a+");
	sigset_t end;
	char url[64];
	int signal_number;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	while (fscanf(f, "%lu %lu\n", &sequence, &n) == 2)
		a.last_sequence = sequence;
	a.fd = fileno(f);
	snprintf(url, sizeof(url), "tcp://127.0.0.1:%s", port);
	open_analyzer(&a, url, (struct net_tls){0});
	sigwait(&end, &signal_number);
	_exit(0);
}

static int push_and_die(const char *spool, const char *n)
{
	struct uplink *u = agent_to(0, spool, NULL);

	push(u, (unsigned)atoi(n));
	return raise(SIGKILL);
}

/* ---- TLS and strangers ----------------------------------------------- */

static const char *in_dir(const char *name)
{
	static char path[8][128];
	static unsigned next;
	char *out = path[next++ % 8];

	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	return out;
}

/* Two CAs, and a certificate for each side from each. */
static void make_certificates(void)
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
		dir);
	run(command);
}

static struct net_tls tls_of(const char *ca, const char *cert, const char *key)
{
	return (struct net_tls){.ca_file = in_dir(ca),
		.cert_file = in_dir(cert),
		.key_file = in_dir(key),
		.server_name = "analyzer"};
}

static void mutual_tls_carries_windows(void **state)
{
	struct analyzer a = {.fd = -1};
	struct net_tls server, agent;
	struct uplink *u;

	(void)state;
	make_certificates();
	server = tls_of("agents.pem", "servers-node.pem", "servers-node.key");
	agent = tls_of("servers.pem", "agents-node.pem", "agents-node.key");
	open_analyzer(&a, "tls+tcp://127.0.0.1:0", server);
	u = agent_to(intake_port(a.intake), NULL, &agent);
	push(u, 5);
	await_drained(u);
	assert_int_equal(a.windows, 5);
	uplink_close(u);
	close_analyzer(&a);
}

/* A client's view of a failed call, for tests that speak below the uplink. */
struct outcome {
	pthread_mutex_t lock;
	pthread_cond_t happened;
	uint64_t done;
	int error;
	struct wire_ack ack;
};

static void on_state(void *arg, bool connected)
{
	(void)arg;
	(void)connected;
}

static void on_done(void *arg, int error, const void *answer, size_t size)
{
	struct outcome *o = arg;

	pthread_mutex_lock(&o->lock);
	o->error = error ? error : wire_decode_ack(answer, size, &o->ack);
	o->done++;
	pthread_cond_broadcast(&o->happened);
	pthread_mutex_unlock(&o->lock);
}

static void await_outcome(struct outcome *o, uint64_t done)
{
	uint64_t end = clock_monotonic_ns() + DEADLINE_NS;
	struct timespec until = {.tv_sec = (time_t)(end / 1000000000)};
	int late = 0;

	pthread_mutex_lock(&o->lock);
	while (o->done < done && !late)
		late = pthread_cond_clockwait(&o->happened, &o->lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&o->lock);
	assert_int_equal(late, 0);
}

static struct net_call *stranger(
	struct net_client **c, struct outcome *o, int port, const struct net_tls *tls)
{
	struct net_call *call;
	char why[NET_WHY], url[64];

	snprintf(url, sizeof(url), "%s://127.0.0.1:%d", tls ? "tls+tcp" : "tcp", port);
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->happened, NULL);
	assert_int_equal(net_client_open(c, url, tls, on_state, NULL, why), 0);
	assert_int_equal(net_call_open(&call, *c, on_done, o), 0);
	return call;
}

static void refuses_to_talk(struct net_tls server, struct net_tls agent)
{
	struct analyzer a = {.fd = -1};
	struct outcome o = {0};
	struct intake_stats got;
	struct net_client *c;
	struct net_call *call;

	open_analyzer(&a, "tls+tcp://127.0.0.1:0", server);
	call = stranger(&c, &o, intake_port(a.intake), &agent);
	assert_int_equal(net_call_start(call, "hello", 5, 1000), 0);
	await_outcome(&o, 1);
	assert_int_equal(o.error, -ENOTCONN);
	assert_non_null(strstr(net_client_trouble(c), "certificates"));
	intake_stats(a.intake, &got);
	assert_int_equal(got.bytes, 0);
	net_client_close(c);
	close_analyzer(&a);
}

static void certificates_of_another_ca_are_refused(void **state)
{
	(void)state;
	make_certificates();
	/* the server's certificate is not from the CA the agent believes */
	refuses_to_talk(tls_of("agents.pem", "stranger-node.pem", "stranger-node.key"),
		tls_of("servers.pem", "agents-node.pem", "agents-node.key"));
	/* the agent's is not from the one the server believes */
	refuses_to_talk(tls_of("agents.pem", "servers-node.pem", "servers-node.key"),
		tls_of("servers.pem", "stranger-node.pem", "stranger-node.key"));
}

static void the_servers_name_is_checked(void **state)
{
	struct net_tls agent;

	(void)state;
	make_certificates();
	agent = tls_of("servers.pem", "agents-node.pem", "agents-node.key");
	agent.server_name = "somebody-else";
	refuses_to_talk(tls_of("agents.pem", "servers-node.pem", "servers-node.key"), agent);
}

static void a_missing_file_is_named(void **state)
{
	struct net_tls tls = {"/nowhere/ca.pem", "/nowhere/cert.pem", "/nowhere/key.pem", NULL};
	struct net_client *c = NULL;
	char why[NET_WHY];

	(void)state;
	assert_int_equal(
		net_client_open(&c, "tls+tcp://127.0.0.1:1", &tls, on_state, NULL, why), -ENOENT);
	assert_non_null(strstr(why, "/nowhere/ca.pem"));
	assert_int_equal(
		net_client_open(&c, "tcp://127.0.0.1:1", &tls, on_state, NULL, why), -EINVAL);
	assert_int_equal(net_client_open(&c, "ipc:///tmp/x", NULL, on_state, NULL, why), -EINVAL);
	assert_non_null(strstr(why, "tcp://HOST:PORT"));
}

static void rubbish_is_answered_and_counted(void **state)
{
	static const char *const rubbish[] = {
		"", "x", "\1\1 not a batch", "\1\2 an ack", "\2\1 newer"};
	struct analyzer a = {.fd = -1};
	struct outcome o = {0};
	struct intake_stats got;
	struct net_client *c;
	struct net_call *call;

	(void)state;
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	call = stranger(&c, &o, intake_port(a.intake), NULL);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(net_call_start(call, rubbish[i], strlen(rubbish[i]), 5000), 0);
		await_outcome(&o, i + 1);
		assert_int_equal(o.error, 0);
		assert_int_equal(o.ack.sequence, 0);
	}
	intake_stats(a.intake, &got);
	assert_int_equal(got.refused, 5);
	assert_int_equal(a.windows, 0);
	net_client_close(c);
	close_analyzer(&a);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_are_stored_once_and_acknowledged),
		cmocka_unit_test(a_batch_that_could_not_be_stored_is_sent_again),
		cmocka_unit_test(without_an_analyzer_windows_are_kept_within_bounds),
		cmocka_unit_test(leases_arrive_when_they_change),
		cmocka_unit_test(a_lease_is_renewed_within_a_third_of_its_time),
		cmocka_unit_test(reports_cut_a_waiting_poll_short),
		cmocka_unit_test(reports_wait_for_an_analyzer),
		IN_DIR(a_receiver_killed_again_and_again_loses_and_doubles_nothing),
		IN_DIR(what_a_killed_agent_spooled_is_sent_by_the_next),
		IN_DIR(mutual_tls_carries_windows),
		IN_DIR(certificates_of_another_ca_are_refused),
		IN_DIR(the_servers_name_is_checked),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(rubbish_is_answered_and_counted),
	};
	int failed;

	log_init("uplink_test", LOG_ERROR);
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "push"))
		return push_and_die(argv[2], argv[3]);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed != 0); /* net.h: nng cannot be left in another way */
}
