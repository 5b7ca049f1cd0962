/*
 * What looking into TLS adds to a read and a write: a process passes small records between
 * the two ends of a TLS session in its own memory, with nothing attached and with the
 * agent's programs. CPU time of that process, so that a busy machine matters little.
 */
#include <argp.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/capture.h"
#include "common/log.h"
#include "tests/bench/arguments.h"
#include "tests/bench/output.h"
#include "tests/bpf/traffic.h"

#define RECORDS 2000
#define TEXT 100 /* bytes of a record */
#define MAX_ROUNDS 50

/* ---- libssl, at run time: nothing else here needs its headers */

static struct {
	void *(*method)(void), *(*memory)(void);
	void *(*context_new)(const void *method), *(*session_new)(void *context);
	void *(*bio_new)(const void *memory);
	int (*ciphers)(void *context, const char *list);
	long (*control)(void *context, int command, long value, void *unused);
	void (*set_bio)(void *session, void *in, void *out);
	void (*connect_state)(void *session), (*accept_state)(void *session);
	int (*handshake)(void *session);
	int (*write)(void *session, const void *text, int size);
	int (*read)(void *session, void *text, int size);
	int (*up_ref)(void *bio);
} ssl;

static bool load_library(void)
{
	static const struct {
		void *to;
		const char *name;
	} function[] = {{&ssl.method, "TLS_method"}, {&ssl.memory, "BIO_s_mem"},
		{&ssl.context_new, "SSL_CTX_new"}, {&ssl.session_new, "SSL_new"},
		{&ssl.bio_new, "BIO_new"}, {&ssl.ciphers, "SSL_CTX_set_cipher_list"},
		{&ssl.control, "SSL_CTX_ctrl"}, {&ssl.set_bio, "SSL_set_bio"},
		{&ssl.connect_state, "SSL_set_connect_state"},
		{&ssl.accept_state, "SSL_set_accept_state"}, {&ssl.handshake, "SSL_do_handshake"},
		{&ssl.write, "SSL_write"}, {&ssl.read, "SSL_read"}, {&ssl.up_ref, "BIO_up_ref"}};
	void *library = dlopen("libssl.so.3", RTLD_NOW);

	for (size_t i = 0; library && i < sizeof(function) / sizeof(function[0]); i++) {
		void *address = dlsym(library, function[i].name);

		if (!address)
			return false;
		memcpy(function[i].to, &address, sizeof(address));
	}
	return library;
}

#define SSL_CTRL_SET_MAX_PROTO_VERSION 124
#define TLS1_2_VERSION 0x0303

/* Two ends that agree without certificates, which TLS 1.2 can. */
static bool open_session(void **client, void **server)
{
	void *context = ssl.context_new(ssl.method());
	void *to = ssl.bio_new(ssl.memory()), *fro = ssl.bio_new(ssl.memory());

	if (!context || !to || !fro || ssl.ciphers(context, "AECDH-AES256-SHA:@SECLEVEL=0") != 1 ||
		!ssl.control(context, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_2_VERSION, NULL))
		return false;
	*client = ssl.session_new(context);
	*server = ssl.session_new(context);
	ssl.up_ref(to);
	ssl.up_ref(fro);
	ssl.set_bio(*client, fro, to);
	ssl.set_bio(*server, to, fro);
	ssl.connect_state(*client);
	ssl.accept_state(*server);
	for (int i = 0; i < 10; i++)
		if (ssl.handshake(*client) == 1 && ssl.handshake(*server) == 1)
			return true;
		else
			(void)ssl.handshake(*server);
	return false;
}

/* ---- the process under watch: an answer for every byte that asks */

struct sample {
	double write_ns, read_ns; /* of one call */
};

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct sample measure(void *client, void *server)
{
	char text[TEXT] = "GET / HTTP/1.1\r\n";
	double start = cpu_ns(), middle;

	for (int i = 0; i < RECORDS; i++)
		if (ssl.write(client, text, TEXT) != TEXT)
			_exit(1);
	middle = cpu_ns();
	for (int i = 0; i < RECORDS; i++)
		if (ssl.read(server, text, TEXT) != TEXT)
			_exit(1);
	return (struct sample){(middle - start) / RECORDS, (cpu_ns() - middle) / RECORDS};
}

static int run_watched(int pipe)
{
	void *client, *server;
	char ask;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!load_library() || !open_session(&client, &server) || write(pipe, "", 1) != 1)
		return 77;
	while (read(pipe, &ask, 1) == 1) {
		struct sample s = measure(client, server);

		if (write(pipe, &s, sizeof(s)) != sizeof(s))
			return 1;
	}
	return 0;
}

/* ---- rounds */

enum mode { NOTHING, SENT, BOTH, MODES };

static const char *const mode_names[MODES] = {"nothing", "--tls=sent", "--tls"};

static int run_once(int pipe, enum mode mode, struct sample *s)
{
	struct capture_options o = {.cgroup_subsys = traffic_cgroup_subsys(),
		.tls = true,
		.tls_sent_only = mode == SENT};
	struct capture *c = NULL;
	int err = mode == NOTHING ? 0 : capture_open(&c, &o);

	if (!err && (write(pipe, "", 1) != 1 || read(pipe, s, sizeof(*s)) != sizeof(*s)))
		err = -EIO;
	capture_close(c);
	return err;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *value, unsigned n)
{
	qsort(value, n, sizeof(*value), by_value);
	return value[n / 2];
}

static json_t *print_results(struct sample sample[MODES][MAX_ROUNDS], unsigned rounds)
{
	double base[2] = {0};
	json_t *all = json_object();

	printf("ns of CPU a call; median of %u rounds of %d\n\n", rounds, RECORDS);
	printf("%-12s %10s %10s %10s %10s\n", "", "SSL_write", "added", "SSL_read", "added");
	for (int m = 0; m < MODES; m++) {
		double value[2], column[MAX_ROUNDS];

		for (int k = 0; k < 2; k++) {
			for (unsigned r = 0; r < rounds; r++)
				column[r] = k ? sample[m][r].read_ns : sample[m][r].write_ns;
			value[k] = median(column, rounds);
			if (m == NOTHING)
				base[k] = value[k];
		}
		printf("%-12s %10.0f %10.0f %10.0f %10.0f\n", mode_names[m], value[0],
			value[0] - base[0], value[1], value[1] - base[1]);
		json_object_set_new(all, mode_names[m],
			json_pack("{s:f, s:f}", "write_ns", value[0], "read_ns", value[1]));
	}
	return all;
}

struct options {
	const char *json;
	unsigned rounds;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'r':
		o->rounds = (unsigned)argument_number(state, text, 1, MAX_ROUNDS);
		return 0;
	default:
		return argument_common(key, text, state, &o->json);
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option option[] = {
		ARGUMENT_JSON, {"rounds", 'r', "N", 0, "rounds, 1..50 (7)", 0}, {0}};
	static const struct argp argp = {
		option, parse, NULL, "Measure what looking into TLS adds.", NULL, NULL, NULL};
	static struct sample sample[MODES][MAX_ROUNDS];
	struct options o = {.rounds = 7};
	int pipe[2], err = 0;
	char ready;
	json_t *all;
	pid_t pid;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	log_init("tls_bench", LOG_ERROR);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipe))
		return 1;
	pid = fork();
	if (pid == 0) {
		close(pipe[0]);
		_exit(run_watched(pipe[1]));
	}
	close(pipe[1]);
	if (read(pipe[0], &ready, 1) != 1)
		err = -ENOENT;
	for (unsigned r = 0; r < o.rounds && !err; r++)
		for (enum mode m = 0; m < MODES && !err; m++)
			err = run_once(pipe[0], m, &sample[m][r]);
	close(pipe[0]);
	(void)waitpid(pid, NULL, 0);
	if (err) {
		fprintf(stderr, "tls_bench: %s\n",
			err == -ENOENT ? "no libssl.so.3 here" : strerror(-err));
		return 1;
	}
	all = print_results(sample, o.rounds);
	if (o.json)
		err = output_json(o.json, "tls", all);
	json_decref(all);
	return err ? 1 : 0;
}
