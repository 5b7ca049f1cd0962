/*
 * Uplink and intake as two processes where one of them dies.
 *
 * The program is its own helper: `serve PORT FILE` is an analyzer that appends what
 * it stores to FILE, `push DIR N` an agent without an analyzer.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "transport_fixture.h"

static char *const program = "/proc/self/exe";

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
	snprintf(file, sizeof(file), "%s/stored", transport_dir);
	u = agent_to(atoi(port), NULL, NULL);
	for (unsigned kills = 0; kills < 5; kills++) {
		uint64_t before = stats_of(u).stored;

		child = spawn_helper(serve);
		push_windows(u, 200);
		while (stats_of(u).stored == before) {
			struct wire_leases l = {0};

			await_event(u, &l);
			wire_leases_close(&l);
			push_windows(u, 1);
		}
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	child = spawn_helper(serve);
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
	snprintf(spool, sizeof(spool), "%s/spool", transport_dir);
	waitpid(spawn_helper(pusher), &status, 0);
	assert_true(WIFSIGNALED(status));
	open_analyzer(&a, "tcp://127.0.0.1:0", (struct net_tls){0});
	u = agent_to(intake_port(a.intake), spool, NULL);
	assert_int_equal(stats_of(u).recovered, 40);
	push_windows(u, 2);
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

	push_windows(u, (unsigned)atoi(n));
	return raise(SIGKILL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_receiver_killed_again_and_again_loses_and_doubles_nothing, make_dir,
			remove_dir),
		cmocka_unit_test_setup_teardown(
			what_a_killed_agent_spooled_is_sent_by_the_next, make_dir, remove_dir),
	};
	int failed;

	log_init("test", LOG_ERROR);
	if (argc == 4 && !strcmp(argv[1], "serve"))
		return serve(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "push"))
		return push_and_die(argv[2], argv[3]);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(NULL);
	_exit(failed != 0);
}
