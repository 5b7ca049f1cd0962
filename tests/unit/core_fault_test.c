/*
 * Whichever write of the database fails, or is the last before a kill: what was acknowledged is
 * there after a restart, once.
 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "analyzer/core.h"
#include "common/clock.h"
#include "faulty_vfs.h"
#include "made_window.h"

#define WINDOW_S 2
#define SECONDS 12
#define CALLS 10
#define TRIES 100 /* of an agent that is told to send again */

static char dir[64];
static uint64_t start_s;

static void remove_files(void)
{
	static const char *const name[] = {"sage.db", "sage.db-wal", "sage.db-shm"};
	char path[128];

	for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, name[i]);
		unlink(path);
	}
}

static int make_dir(void **state)
{
	(void)state;
	/* in memory if there is one: hundreds of databases are made and synced */
	snprintf(dir, sizeof(dir), "%s/sage-fault-XXXXXX",
		access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	start_s = clock_wall_ns() / 1000000000ULL / WINDOW_S * WINDOW_S - 600;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	remove_files();
	return rmdir(dir);
}

static struct core *open_core(void)
{
	struct core_options o = {.data = dir,
		.window_s = WINDOW_S,
		.keep_s = 7200,
		.retain_s = 7200,
		.retain_bytes = 1 << 30,
		.train_after = 1000000,
		.retrain_s = 1e6,
		.method = METHOD_ROBUST,
		.mode = ACT_RECOMMEND};
	struct core *c = NULL;
	char why[512] = "";

	if (core_open(&c, &o, why, sizeof(why)))
		fail_msg("%s", why);
	return c;
}

/* Calls of second `i`: each another number, so that one lost for another would be noticed. */
static unsigned calls_in(unsigned i)
{
	return CALLS + i * i;
}

static int ship(struct core *c, unsigned i)
{
	struct wire_window w;
	struct intake_batch b;
	int err;

	made_front_window(&w, start_s + i, calls_in(i), 1000);
	b = made_arrival("a", i + 1, &w);
	err = core_batches(c, &b, 1);
	made_arrival_close(&b);
	return err;
}

/* As an agent does: send until it is acknowledged, one after the other. */
static bool ship_until_taken(struct core *c, unsigned i)
{
	for (unsigned n = 0; n < TRIES; n++) {
		if (!ship(c, i))
			return true;
		core_step(c, 0);
	}
	return false;
}

/* Every window of the first `seconds` is there with its own calls, and nothing else. */
static void check_rows(const struct core *c, unsigned seconds, unsigned where)
{
	const struct recording *r = &c->live.recording;
	uint32_t edge = graph_find(&r->graph, "user->front");
	const float *rate;

	if (r->series.windows != seconds / WINDOW_S)
		fail_msg("fault at %u: %zu windows, not %u", where, r->series.windows,
			seconds / WINDOW_S);
	rate = series_values(&r->series, edge, "requests_per_s");
	assert_non_null(rate);
	for (unsigned i = 0; i < seconds / WINDOW_S; i++) {
		double wanted = (calls_in(2 * i) + calls_in(2 * i + 1)) / (double)WINDOW_S;

		if (r->series.start_s[i] != (double)(start_s + i * WINDOW_S) ||
			fabs((double)rate[i] - wanted) > 0.01)
			fail_msg("fault at %u: window %u has %g calls/s, not %g", where, i,
				(double)rate[i], wanted);
	}
}

/* A fresh start on what is on disk; then once more on what that left. */
static void check_disk(unsigned seconds, unsigned where)
{
	for (int i = 0; i < 2; i++) {
		struct core *c = open_core();

		core_step(c, 0);
		check_rows(c, seconds, where);
		core_close(c);
	}
}

/* Returns whether the fault was met. */
static bool run_with_failure(unsigned first, unsigned many, int code)
{
	struct core *c = open_core();
	bool met;

	faulty_vfs_fail(first, many, code);
	for (unsigned i = 0; i < SECONDS; i++) {
		assert_true(ship_until_taken(c, i));
		core_step(c, 0);
	}
	met = faulty_vfs_heal();
	check_rows(c, SECONDS, first);
	core_close(c);
	check_disk(SECONDS, first);
	remove_files();
	return met;
}

static void fail_everywhere(unsigned many, int code, unsigned stride)
{
	unsigned first = 0;

	while (run_with_failure(first, many, code))
		first += stride;
	assert_true(first > 50);
}

static void a_single_failed_write_loses_nothing(void **state)
{
	(void)state;
	fail_everywhere(1, SQLITE_IOERR_WRITE, 1);
}

static void a_disk_full_for_a_while_loses_nothing(void **state)
{
	(void)state;
	fail_everywhere(25, SQLITE_FULL, 3);
}

static void serve_until_killed(unsigned first, volatile unsigned *taken)
{
	struct core *c = open_core();

	faulty_vfs_kill(first);
	for (unsigned i = 0; i < SECONDS; i++) {
		if (ship(c, i))
			_exit(1);
		*taken = i + 1;
		core_step(c, 0);
	}
	_exit(0);
}

/* The agent that lives on sends what was not acknowledged. Returns whether the kill was met. */
static bool run_with_kill(unsigned first, volatile unsigned *taken)
{
	pid_t child;
	struct core *c;
	int status;

	*taken = 0;
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		serve_until_killed(first, taken);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	c = open_core();
	for (unsigned i = *taken; i < SECONDS; i++)
		assert_int_equal(ship(c, i), 0);
	core_step(c, 0);
	check_rows(c, SECONDS, first);
	core_close(c);
	check_disk(SECONDS, first);
	remove_files();
	return WIFSIGNALED(status);
}

static void a_kill_at_any_write_loses_nothing(void **state)
{
	unsigned first = 0, *taken = mmap(NULL, sizeof(*taken), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(taken != MAP_FAILED);
	while (run_with_kill(first, taken))
		first += 3;
	assert_true(first > 50);
	munmap(taken, sizeof(*taken));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_single_failed_write_loses_nothing, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_disk_full_for_a_while_loses_nothing, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			a_kill_at_any_write_loses_nothing, make_dir, remove_dir),
	};

	if (faulty_vfs_install()) {
		fputs("SQLite takes no other file system\n", stderr);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
