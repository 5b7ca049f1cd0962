/*
 * The command line against a real agent that watches a real redis and its client,
 * each in a cgroup of the test's own. Needs root, redis-server and redis-benchmark.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "tests/unit/cgroup_fixture.h"

#define OUTPUT 65536

struct world {
	struct fixture fixture;
	char directory[64], socket[96], log[96], rule[128], state[96], port[8];
	char closed_port[8];
	pid_t agent;
	char output[OUTPUT]; /* of the last command */
	int status;
};

static struct world world;

/* Run `sage-agent ARGUMENTS` and keep what it printed, errors too. */
static int sage(struct world *w, const char *arguments)
{
	char command[1024];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "%s %s 2>&1", SAGE_AGENT, arguments);
	f = popen(command, "re");
	assert_non_null(f);
	n = fread(w->output, 1, sizeof(w->output) - 1, f);
	w->output[n] = 0;
	w->status = WEXITSTATUS(pclose(f));
	return w->status;
}

static int ask(struct world *w, const char *command)
{
	char arguments[512];

	snprintf(arguments, sizeof(arguments), "%s --control %s", command, w->socket);
	return sage(w, arguments);
}

/* Only of the test's own containers: the machine may have others. */
static int ask_own(struct world *w, const char *command)
{
	char arguments[256];

	snprintf(arguments, sizeof(arguments), "%s --filter %s/", command, w->fixture.root);
	return ask(w, arguments);
}

static pid_t start_agent(
	struct world *w, const char *log, const char *socket_path, const char *state)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!freopen(log, "w", stderr))
		_exit(126);
	execl(SAGE_AGENT, SAGE_AGENT, "run", "--control", socket_path, "--state", state,
		"--name-rule", w->rule, "--interval-ms", "500", "--operations", (char *)NULL);
	_exit(127);
}

static void read_file(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;

	text[n] = 0;
	if (f)
		fclose(f);
}

static void run_redis(const char *port)
{
	if (freopen("/dev/null", "w", stdout))
		execlp("redis-server", "redis-server", "--port", port, "--save", "", (char *)NULL);
}

/* Again and again until it is killed. */
static void run_benchmark(const char *port)
{
	pid_t parent = getpid(), pid;

	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
		return;
	for (;;) {
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent) /* killed before that was said */
				_exit(127);
			execlp("redis-benchmark", "redis-benchmark", "-p", port, "-c", "2", "-n",
				"10000", "-q", "GET", "x", (char *)NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
}

/* A port of the machine where nobody listens; again and again. */
static void run_refused(const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		(void)!connect(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
		poll(NULL, 0, 50);
	}
}

static bool can_use(int port, bool connects)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	err = connects ? connect(fd, (struct sockaddr *)&a, sizeof(a))
		       : bind(fd, (struct sockaddr *)&a, sizeof(a));
	close(fd);
	return !err;
}

/* A free one from `n` on, below those the kernel gives to clients: they must not take it. */
static void choose_port(char port[8], int n)
{
	while (!can_use(n, false))
		n++;
	snprintf(port, 8, "%u", (unsigned)n % 65536);
}

static bool server_listens(void *port)
{
	return can_use(atoi(port), true);
}

static int start_world(void **state)
{
	struct world *w = &world;
	const char *web;

	*state = w;
	if (!fixture_open(&w->fixture, "cli"))
		return -1;
	snprintf(w->directory, sizeof(w->directory), "/tmp/sage-cli-%d", getpid());
	snprintf(w->socket, sizeof(w->socket), "%.60s.sock", w->directory);
	snprintf(w->log, sizeof(w->log), "%.60s.log", w->directory);
	snprintf(w->state, sizeof(w->state), "%.60s.state", w->directory);
	snprintf(w->rule, sizeof(w->rule), "%.63s/{service}/{container}", w->fixture.root);
	choose_port(w->port, 12000 + getpid() % 10000);
	choose_port(w->closed_port, atoi(w->port) + 1);
	fixture_make(&w->fixture, "/store");
	fixture_make(&w->fixture, "/web");
	fixture_spawn(&w->fixture, fixture_make(&w->fixture, "/store/redis"), run_redis, w->port);
	if (!fixture_wait(server_listens, w->port, 10000))
		return -1;
	web = fixture_make(&w->fixture, "/web/app");
	fixture_spawn(&w->fixture, web, run_benchmark, w->port);
	fixture_spawn(&w->fixture, web, run_refused, w->closed_port);
	w->agent = start_agent(w, w->log, w->socket, w->state);
	return w->agent < 0;
}

static int stop_world(void **state)
{
	struct world *w = *state;
	char command[128];

	if (w->agent > 0) {
		kill(w->agent, SIGKILL);
		waitpid(w->agent, NULL, 0);
	}
	fixture_close(&w->fixture);
	snprintf(command, sizeof(command), "rm -rf %s.*", w->directory);
	return system(command);
}

/* ---- what is shown ----------------------------------------------------------------- */

static json_t *answer(struct world *w)
{
	json_error_t error;

	return w->status ? NULL : json_loads(w->output, 0, &error);
}

static json_t *find_edge(json_t *edges, const char *service, const char *side)
{
	json_t *e;
	size_t i;

	json_array_foreach(edges, i, e)
	{
		if (!strcmp(json_string_value(json_object_get(e, "service")), service) &&
			!strcmp(json_string_value(json_object_get(e, "side")), side))
			return e;
	}
	return NULL;
}

static bool both_ends_are_there(void *ctx)
{
	struct world *w = ctx;
	json_t *edges;
	bool both;

	ask(w, "edges --json");
	edges = answer(w);
	both = find_edge(edges, "web", "client") && find_edge(edges, "store", "server");
	json_decref(edges);
	return both;
}

static void both_ends_of_an_edge_are_shown(void **state)
{
	struct world *w = *state;
	json_t *edges, *client, *server;

	assert_true(fixture_wait(both_ends_are_there, w, 20000));
	edges = answer(w);
	client = find_edge(edges, "web", "client");
	server = find_edge(edges, "store", "server");
	assert_string_equal(json_string_value(json_object_get(client, "peer")), "store");
	assert_string_equal(json_string_value(json_object_get(server, "peer")), "web");
	assert_string_equal(json_string_value(json_object_get(client, "protocol")), "redis");
	assert_int_equal(json_integer_value(json_object_get(client, "port")), atoi(w->port));
	assert_true(json_number_value(json_object_get(client, "p99_us")) >=
		    json_number_value(json_object_get(client, "p50_us")));
	assert_true(json_number_value(json_object_get(client, "p50_us")) > 0);
	json_decref(edges);
}

/* Nearly all that the benchmark asks for is GET; what else there is has no name or another. */
static void what_is_asked_for_is_shown_below_its_edge(void **state)
{
	struct world *w = *state;
	json_t *edges, *one, *get = NULL;
	double calls = 0;
	size_t i;

	assert_true(fixture_wait(both_ends_are_there, w, 20000));
	edges = answer(w);
	json_array_foreach(
		json_object_get(find_edge(edges, "store", "server"), "operations"), i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));

		calls += json_number_value(json_object_get(one, "calls"));
		if (name && !strcmp(name, "GET"))
			get = one;
	}
	assert_non_null(get);
	assert_float_equal(calls,
		json_number_value(json_object_get(find_edge(edges, "store", "server"), "calls")),
		0.1);
	assert_true(json_number_value(json_object_get(get, "calls")) > calls / 2);
	assert_true(json_number_value(json_object_get(get, "p50_us")) > 0);
	json_decref(edges);
	assert_int_equal(ask(w, "edges --operations"), 0);
	assert_non_null(strstr(w->output, "\n      GET "));
	assert_int_equal(ask(w, "edges"), 0);
	assert_null(strstr(w->output, "\n      GET "));
}

/* The line below that of the calls to nobody; NULL when they are not shown. */
static char *below_refused_edge(struct world *w)
{
	char peer[32], *edge;

	snprintf(peer, sizeof(peer), "\n  > 127.0.0.1:%s ", w->closed_port);
	edge = strstr(w->output, peer);
	return edge ? strchr(edge + 1, '\n') : NULL;
}

static bool a_refused_edge_is_there(void *ctx)
{
	return !ask(ctx, "edges") && below_refused_edge(ctx);
}

static void refused_connections_are_shown_below_their_edge(void **state)
{
	struct world *w = *state;
	char *below;

	assert_true(fixture_wait(a_refused_edge_is_there, w, 20000));
	below = below_refused_edge(w);
	assert_ptr_equal(strstr(below, "\n      connections reset: 0 by it, "), below);
	for (char *line = strtok(w->output, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 0, 80);
}

static void containers_have_their_counters(void **state)
{
	struct world *w = *state;
	json_t *containers, *c;
	size_t i, found = 0;

	ask_own(w, "containers --json");
	containers = answer(w);
	json_array_foreach(containers, i, c)
	{
		json_t *m = json_object_get(c, "metrics");

		found++;
		assert_true(json_number_value(json_object_get(m, "cpu_cores")) > 0);
		assert_true(json_number_value(json_object_get(m, "mem_bytes")) > 0);
		assert_true(json_is_number(json_object_get(m, "cpu_runq_ratio")));
		assert_true(json_number_value(json_object_get(m, "net_rx_bytes_per_s")) > 0);
		assert_true(json_is_null(json_object_get(m, "cpu_instructions_per_cycle")));
	}
	assert_int_equal(found, 2);
	json_decref(containers);
}

static void top_fits_80_columns(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, "top --once --sort p99"), 0);
	assert_non_null(strstr(w->output, "store/redis"));
	assert_non_null(strstr(w->output, "> store"));
	for (char *line = strtok(w->output, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 0, 80);
}

static void what_is_shown_can_be_sorted_and_filtered(void **state)
{
	struct world *w = *state;
	json_t *containers;
	char *first;

	assert_int_equal(ask(w, "containers --sort name"), 0);
	first = strstr(w->output, "store/redis");
	assert_non_null(first);
	assert_true(first < strstr(w->output, "web/app"));
	assert_int_equal(ask_own(w, "containers --sort mem --json"), 0);
	containers = answer(w);
	assert_int_equal(json_array_size(containers), 2);
	assert_true(
		json_number_value(json_object_get(
			json_object_get(json_array_get(containers, 0), "metrics"), "mem_bytes")) >=
		json_number_value(json_object_get(
			json_object_get(json_array_get(containers, 1), "metrics"), "mem_bytes")));
	json_decref(containers);
	assert_int_equal(ask(w, "edges --filter web/app"), 0);
	assert_null(strstr(w->output, "store")); /* no name has that */
	assert_int_equal(ask(w, "top --once --filter web"), 0);
	assert_non_null(strstr(w->output, "> store"));
	assert_int_equal(ask(w, "containers --filter redis"), 0); /* by its edges, too */
	assert_non_null(strstr(w->output, "web/app"));
}

/* As `| head` does it: a pipe nobody reads any more, by a parent that ignores SIGPIPE. */
static void a_reader_that_leaves_ends_a_command_quietly(void **state)
{
	struct world *w = *state;
	char log[128], text[256];
	int ends[2], status;
	pid_t pid;

	snprintf(log, sizeof(log), "%s.pipe", w->directory);
	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_IGN);
		if (dup2(ends[1], STDOUT_FILENO) >= 0 && freopen(log, "w", stderr))
			execl(SAGE_AGENT, SAGE_AGENT, "containers", "--control", w->socket,
				(char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
	read_file(log, text, sizeof(text));
	assert_string_equal(text, "");
}

/* Read a terminal until its text has `wanted`. */
static bool reads(int terminal, const char *wanted, char *text, size_t size)
{
	struct pollfd fd = {.fd = terminal, .events = POLLIN};
	size_t length = 0;

	text[0] = 0;
	while (!strstr(text, wanted) && length + 1 < size && poll(&fd, 1, 10000) == 1) {
		ssize_t n = read(terminal, text + length, size - 1 - length);

		if (n <= 0)
			return false;
		length += (size_t)n;
		text[length] = 0;
	}
	return strstr(text, wanted) != NULL;
}

static void top_lives_in_a_terminal_that_changes_its_size(void **state)
{
	struct winsize wide = {.ws_row = 24, .ws_col = 80}, narrow = {.ws_row = 6, .ws_col = 40};
	struct world *w = *state;
	static char text[1 << 20];
	int terminal, status;
	pid_t pid = forkpty(&terminal, NULL, NULL, &wide);

	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(SAGE_AGENT, SAGE_AGENT, "top", "--control", w->socket, (char *)NULL);
		_exit(127);
	}
	assert_true(reads(terminal, "\033[4mc\033[24mpu", text, sizeof(text)));
	assert_non_null(strstr(text, "store/redis"));
	assert_int_equal(ioctl(terminal, TIOCSWINSZ, &narrow), 0);
	assert_true(reads(terminal, "q quit\033[K", text, sizeof(text)));
	assert_int_equal(ioctl(terminal, TIOCSWINSZ, &wide), 0);
	assert_int_equal(write(terminal, "n", 1), 1);
	assert_true(reads(terminal, "\033[1m \033[4mn\033[24mame", text, sizeof(text)));
	assert_int_equal(write(terminal, "q", 1), 1);
	assert_true(
		reads(terminal, "\033[?1049l", text, sizeof(text))); /* the screen is given back */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(terminal);
}

static void status_counts_windows(void **state)
{
	struct world *w = *state;
	json_t *status, *uplink;

	assert_int_equal(ask(w, "status --json"), 0);
	status = answer(w);
	uplink = json_object_get(status, "uplink");
	assert_true(json_integer_value(json_object_get(uplink, "produced")) > 0);
	assert_true(json_is_false(json_object_get(uplink, "connected")));
	assert_true(json_is_object(json_object_get(status, "losses")));
	json_decref(status);
}

static void support_says_how_and_what_not(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, "support"), 0);
	assert_non_null(strstr(w->output, "run queue"));
	assert_non_null(strstr(w->output, "blind:"));
	assert_int_equal(sage(w, "support --table"), 0);
	assert_non_null(strstr(w->output, "\n| redis "));
	assert_int_equal(sage(w, "support --table --json"), 0);
}

static void the_agent_keeps_no_capability_it_does_not_need(void **state)
{
	struct world *w = *state;
	unsigned long long effective = ~0ULL;
	char path[64], text[4096], *line;

	snprintf(path, sizeof(path), "/proc/%d/status", w->agent);
	read_file(path, text, sizeof(text));
	line = strstr(text, "CapEff:");
	assert_non_null(line);
	assert_int_equal(sscanf(line, "CapEff: %llx", &effective), 1);
	/* CAP_SYS_PTRACE 19, CAP_PERFMON 38, CAP_BPF 39 */
	assert_true((effective & ~(1ULL << 19 | 1ULL << 38 | 1ULL << 39)) == 0);
}

/* ---- what goes wrong ----------------------------------------------------------------- */

static void a_second_agent_is_told_of_the_first(void **state)
{
	struct world *w = *state;
	char log[128], text[2048];
	int status;
	pid_t second;

	snprintf(log, sizeof(log), "%s.second", w->directory);
	second = start_agent(w, log, w->socket, w->state);
	assert_int_equal(waitpid(second, &status, 0), second);
	assert_int_equal(WEXITSTATUS(status), 1);
	read_file(log, text, sizeof(text));
	assert_non_null(strstr(text, "another agent answers there"));
	assert_int_equal(ask(w, "status"), 0);
}

static void wrong_words_are_answered_with_the_right_ones(void **state)
{
	struct world *w = *state;

	assert_int_equal(sage(w, "run --name-rule apps/x"), 64);
	assert_non_null(strstr(w->output, "must start with '/'"));
	assert_int_equal(sage(w, "run --mode wild"), 64);
	assert_non_null(strstr(w->output, "enforce"));
	assert_int_equal(sage(w, "run --interval-ms 7"), 64);
	assert_int_equal(sage(w, "run --strategy telepathy"), 64);
	assert_non_null(strstr(w->output, "one of socket"));
	assert_int_equal(sage(w, "run --no-such-flag"), 64);
	assert_int_equal(sage(w, "fly"), 64);
	assert_non_null(strstr(w->output, "no such command"));
	assert_int_equal(ask(w, "top --once --sort colour"), 64);
}

static void without_an_agent_the_commands_say_so(void **state)
{
	struct world *w = *state;

	assert_int_equal(sage(w, "status --control /tmp/sage-no-such.sock"), 1);
	assert_non_null(strstr(w->output, "no agent runs there"));
}

static void sigterm_ends_it_and_removes_the_socket(void **state)
{
	struct world *w = *state;
	int status;

	kill(w->agent, SIGTERM);
	assert_int_equal(waitpid(w->agent, &status, 0), w->agent);
	w->agent = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_not_equal(access(w->socket, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_of_an_edge_are_shown),
		cmocka_unit_test(what_is_asked_for_is_shown_below_its_edge),
		cmocka_unit_test(refused_connections_are_shown_below_their_edge),
		cmocka_unit_test(containers_have_their_counters),
		cmocka_unit_test(top_fits_80_columns),
		cmocka_unit_test(what_is_shown_can_be_sorted_and_filtered),
		cmocka_unit_test(a_reader_that_leaves_ends_a_command_quietly),
		cmocka_unit_test(top_lives_in_a_terminal_that_changes_its_size),
		cmocka_unit_test(status_counts_windows),
		cmocka_unit_test(support_says_how_and_what_not),
		cmocka_unit_test(the_agent_keeps_no_capability_it_does_not_need),
		cmocka_unit_test(a_second_agent_is_told_of_the_first),
		cmocka_unit_test(wrong_words_are_answered_with_the_right_ones),
		cmocka_unit_test(without_an_agent_the_commands_say_so),
		cmocka_unit_test(sigterm_ends_it_and_removes_the_socket),
	};

	if (geteuid() || access("/sys/kernel/btf/vmlinux", R_OK) ||
		system("command -v redis-server redis-benchmark >/dev/null")) {
		printf("skipped: needs root, /sys/kernel/btf/vmlinux, redis-server, "
		       "redis-benchmark\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, start_world, stop_world);
}
