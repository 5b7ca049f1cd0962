/*
 * The test application itself: requests flow, a fault is felt, its undoing
 * too, and nothing stays. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/testbed/fault.h"
#include "tests/testbed/record.h"
#include "tests/testbed/spawn.h"

#define DEADLINE_S 60
#define SPAN_S 3

static char name[24]; /* of this process, so that two can run side by side */
static pid_t application;
static struct site site;

static double now_s(void)
{
	return (double)clock_wall_ns() * 1e-9;
}

/* The p99 over SPAN_S whole seconds that end now, or 0 when there is no full record of them. */
static double p99_ms(double since)
{
	double to = (double)(long)now_s() - 1;
	struct record_second sum;
	char path[SITE_PATH];

	site_file(&site, SITE_USER, "load.csv", path);
	if (to - SPAN_S < since || record_read(path, to - SPAN_S, to, &sum) < SPAN_S || sum.errors)
		return 0;
	return (double)hist_quantile_ns(&sum.latency, 0.99) * 1e-6;
}

/* Wait until the p99 of what came after `since` lies in (low, high]. */
static double wait_for_p99(double since, double low, double high)
{
	const struct timespec pause = {.tv_nsec = 200000000};
	double end = now_s() + DEADLINE_S;

	while (now_s() < end) {
		double p99 = p99_ms(since);

		if (p99 > low && p99 <= high)
			return p99;
		nanosleep(&pause, NULL);
	}
	fail_msg("p99 not within %.1f..%.1f ms in %d s, last %.1f", low, high, DEADLINE_S,
		p99_ms(since));
	return 0;
}

static int start(void **state)
{
	char *argv[] = {SAGE_TOOLS "/sage-testbed", "up", "--name", name, "--topology",
		SAGE_TOPOLOGIES "/chain10.conf", NULL};
	const struct spawn how = {0};

	(void)state;
	application = spawn_start(&how, argv);
	if (application < 0 || site_open(&site, name))
		return -1;
	snprintf(site.tools, sizeof(site.tools), "%s", SAGE_TOOLS); /* not beside this test */
	return site_load(&site, SAGE_TOPOLOGIES "/chain10.conf");
}

static int stop(void **state)
{
	(void)state;
	if (application > 0) {
		kill(application, SIGTERM);
		waitpid(application, NULL, 0);
		application = 0;
	}
	return 0;
}

static void check_fault(enum fault_kind kind, const char *service)
{
	double base = wait_for_p99(now_s(), 0, 200);
	struct fault f;

	assert_int_equal(fault_apply(&f, &site, kind, topology_find(&site.topology, service)), 0);
	wait_for_p99(now_s(), 2 * base, 1e9);
	assert_int_equal(fault_undo(&f, &site), 0);
	wait_for_p99(now_s(), 0, 1.5 * base);
}

static void code_fault_is_felt_and_gone(void **state)
{
	(void)state;
	check_fault(FAULT_CODE, "s3");
}

static void loss_is_felt_and_gone(void **state)
{
	(void)state;
	check_fault(FAULT_LOSS, "s6");
}

static void antagonist_is_felt_and_gone(void **state)
{
	(void)state;
	check_fault(FAULT_ANTAGONIST, "s5");
}

static void a_busy_disk_is_felt_and_gone(void **state)
{
	(void)state;
	check_fault(FAULT_DISK, "s4");
}

static void second_of_the_same_name_is_refused(void **state)
{
	char *argv[] = {SAGE_TOOLS "/sage-testbed", "up", "--name", name, "--topology",
		SAGE_TOPOLOGIES "/chain10.conf", NULL};
	const struct spawn how = {.log = "/dev/null"};

	(void)state;
	assert_int_not_equal(spawn_run(&how, argv), 0);
}

static void is_gone(const char *directory, const char *suffix)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void stopping_removes_everything(void **state)
{
	stop(state);
	is_gone("/var/lib", "");
	is_gone("/run/netns", "-net");
	for (size_t i = 0; i < site.cgroups.mounts; i++)
		is_gone(site.cgroups.mount[i].path, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_fault_is_felt_and_gone),
		cmocka_unit_test(loss_is_felt_and_gone),
		cmocka_unit_test(antagonist_is_felt_and_gone),
		cmocka_unit_test(a_busy_disk_is_felt_and_gone),
		cmocka_unit_test(second_of_the_same_name_is_refused),
		cmocka_unit_test(stopping_removes_everything),
	};

	if (geteuid()) {
		printf("skipped: root is needed for cgroups and namespaces\n");
		return 77;
	}
	snprintf(name, sizeof(name), "sage-tbtest-%d", getpid());
	return cmocka_run_group_tests(tests, start, stop);
}
