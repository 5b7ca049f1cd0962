/* The counters of real processes in cgroups of the test's own. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/counters.h"
#include "agent/host.h"
#include "agent/perf.h"
#include "agent/text.h"
#include "common/clock.h"
#include "tests/unit/cgroup_fixture.h"

#define MIB (1024.0 * 1024)

struct reading {
	struct counters counters;
	float metric[CONTAINER_METRICS];
	uint64_t start_ns;
	double cpu_wanted_s;
};

static void start_reading(struct reading *r, struct fixture *f, const char *path)
{
	memset(r, 0, sizeof(*r));
	counters_open(&r->counters, &f->tree, path);
	r->start_ns = clock_monotonic_ns();
	counters_read(&r->counters, r->start_ns, r->metric);
}

static bool half_a_second_passed(void *ctx)
{
	return clock_monotonic_ns() - ((struct reading *)ctx)->start_ns > 500000000;
}

static void finish_reading(struct reading *r)
{
	fixture_wait(half_a_second_passed, r, 2000);
	counters_read(&r->counters, clock_monotonic_ns(), r->metric);
	counters_close(&r->counters);
}

static int open_fixture(void **state)
{
	static struct fixture f;

	*state = &f;
	return fixture_open(&f, "counters") ? 0 : -1;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

static void a_quota_shows_as_limit_and_throttling(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_make(f, "/quota");
	struct reading r;

	assert_true(fixture_quota(f, path, 5));
	fixture_spawn(f, path, fixture_burn, NULL);
	start_reading(&r, f, path);
	finish_reading(&r);
	assert_float_equal(r.metric[METRIC_CPU_LIMIT_CORES], 0.05, 1e-6);
	assert_in_range((int)(r.metric[METRIC_CPU_CORES] * 1000), 25, 75);
	assert_in_range((int)(r.metric[METRIC_CPU_UTIL] * 100), 50, 150);
	assert_in_range((int)(r.metric[METRIC_CPU_THROTTLED] * 100), 40, 100);
}

static void a_quota_of_the_pod_counts_for_its_containers(void **state)
{
	struct fixture *f = *state;
	const char *pod = fixture_make(f, "/pod"), *app = fixture_make(f, "/pod/app");
	struct reading r;

	assert_true(fixture_quota(f, pod, 5));
	fixture_spawn(f, app, fixture_burn, NULL);
	start_reading(&r, f, app);
	finish_reading(&r);
	assert_float_equal(r.metric[METRIC_CPU_LIMIT_CORES], 0.05, 1e-6);
	assert_true(r.metric[METRIC_CPU_THROTTLED] > 0.4F);
}

static void without_a_quota_the_limit_is_the_machine(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_make(f, "/free");
	struct reading r;

	start_reading(&r, f, path);
	finish_reading(&r);
	assert_float_equal(
		r.metric[METRIC_CPU_LIMIT_CORES], (double)sysconf(_SC_NPROCESSORS_ONLN), 1e-6);
	assert_float_equal(r.metric[METRIC_CPU_CORES], 0, 1e-6);
	assert_float_equal(r.metric[METRIC_CPU_THROTTLED], 0, 1e-6);
}

static void touch_32_mib(const char *unused)
{
	char *memory = malloc(32U << 20);

	(void)unused;
	if (memory)
		memset(memory, 1, 32U << 20);
	fixture_idle(memory);
}

struct filling {
	struct counters counters;
	float metric[CONTAINER_METRICS];
};

static bool memory_is_filled(void *ctx)
{
	struct filling *f = ctx;

	counters_read(&f->counters, clock_monotonic_ns(), f->metric);
	return f->metric[METRIC_MEM_BYTES] >= 32 * (float)MIB;
}

static void memory_is_in_use_against_its_limit(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_make(f, "/memory");
	struct filling filling = {0};
	bool limited = f->tree.v2 ? fixture_write(f, CGROUP_MEMORY, path, "memory.max", "67108864")
				  : fixture_write(f, CGROUP_MEMORY, path, "memory.limit_in_bytes",
					    "67108864");

	if (!limited)
		skip();
	counters_open(&filling.counters, &f->tree, path);
	fixture_spawn(f, path, touch_32_mib, NULL);
	assert_true(fixture_wait(memory_is_filled, &filling, 5000));
	assert_true(filling.metric[METRIC_MEM_BYTES] < 40 * (float)MIB);
	assert_in_range((int)(filling.metric[METRIC_MEM_UTIL] * 100), 50, 63);
	assert_float_equal(filling.metric[METRIC_OOM_KILLS], 0, 1e-6);
	counters_close(&filling.counters);
}

/* Sixteen page faults between two sleeps. */
static void fault_and_sleep(const char *unused)
{
	size_t size = 16 * (size_t)sysconf(_SC_PAGESIZE);

	(void)unused;
	for (;;) {
		char *page = mmap(
			NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (size_t at = 0; at < size; at += size / 16)
			page[at] = 1;
		munmap(page, size);
		usleep(1000);
	}
}

struct counting {
	struct perf perf;
	uint64_t start_ns;
	float metric[CONTAINER_METRICS];
};

static bool open_counting(struct counting *c, struct fixture *f, const char *path)
{
	int *fd = calloc(perf_cpus() * PERF_EVENTS, sizeof(*fd));

	assert_non_null(fd);
	if (perf_open(&c->perf, fd, &f->tree, path)) {
		free(fd);
		return false;
	}
	c->start_ns = clock_monotonic_ns();
	for (int m = 0; m < CONTAINER_METRICS; m++)
		c->metric[m] = NAN;
	perf_read(&c->perf, 1, c->metric);
	assert_true(isnan(c->metric[METRIC_CPU_SWITCHES])); /* the first read gives no rate */
	return true;
}

static void close_counting(struct counting *c)
{
	int *fd = c->perf.fd;

	perf_close(&c->perf);
	free(fd);
}

static bool busy_was_counted(void *ctx)
{
	struct counting *c = ctx;

	perf_read(&c->perf, clock_monotonic_ns() - c->start_ns, c->metric);
	return c->metric[METRIC_CPU_SWITCHES] > 10 && c->metric[METRIC_MEM_FAULTS] > 160;
}

/* Hardware events are there exactly where the machine has them. */
static void perf_events_are_the_containers_own(void **state)
{
	struct fixture *f = *state;
	struct counting busy = {0}, idle = {0};
	bool hardware = perf_has_hardware();

	fixture_make(f, "/events");
	fixture_spawn(f, fixture_make(f, "/events/busy"), fault_and_sleep, NULL);
	fixture_spawn(f, fixture_make(f, "/events/idle"), fixture_idle, NULL);
	if (!open_counting(&busy, f, f->path[f->paths - 2])) {
		printf("skipped: the kernel or this user may not count perf events per cgroup\n");
		skip();
	}
	assert_true(open_counting(&idle, f, f->path[f->paths - 1]));
	assert_true(fixture_wait(busy_was_counted, &busy, 10000));
	perf_read(&idle.perf, clock_monotonic_ns() - idle.start_ns, idle.metric);
	assert_true(idle.metric[METRIC_CPU_SWITCHES] < 1);
	assert_true(idle.metric[METRIC_MEM_FAULTS] < 1);
	assert_int_equal(!isnan(busy.metric[METRIC_CPU_CYCLES]), hardware);
	assert_int_equal(!isnan(busy.metric[METRIC_CPU_IPC]), hardware);
	close_counting(&busy);
	close_counting(&idle);
}

static void what_cannot_be_read_is_absent_not_zero(void **state)
{
	struct reading r;

	start_reading(&r, *state, "/no-such-cgroup");
	finish_reading(&r);
	assert_true(isnan(r.metric[METRIC_CPU_CORES]));
	assert_true(isnan(r.metric[METRIC_CPU_THROTTLED]));
	assert_true(isnan(r.metric[METRIC_MEM_BYTES]));
	assert_true(isnan(r.metric[METRIC_BLK_READ_BYTES]));
	assert_true(isnan(r.metric[METRIC_NET_RX_BYTES]));
}

static void the_first_read_gives_levels_only(void **state)
{
	struct fixture *f = *state;
	const char *path = fixture_make(f, "/first");
	struct reading r;

	start_reading(&r, f, path);
	assert_true(r.metric[METRIC_CPU_LIMIT_CORES] > 0);
	assert_true(isnan(r.metric[METRIC_CPU_CORES]));
	assert_true(isnan(r.metric[METRIC_CPU_THROTTLED]));
	counters_close(&r.counters);
}

static void the_host_has_counters(void **state)
{
	struct reading clock = {.start_ns = clock_monotonic_ns()};
	float metric[HOST_METRICS];
	struct host h;

	(void)state;
	host_open(&h);
	host_read(&h, clock_monotonic_ns(), metric);
	assert_true(isnan(metric[HOST_CPU_UTIL]));
	assert_true(metric[HOST_MEM_UTIL] > 0 && metric[HOST_MEM_UTIL] < 1);
	fixture_wait(half_a_second_passed, &clock, 2000);
	host_read(&h, clock_monotonic_ns(), metric);
	assert_true(metric[HOST_CPU_UTIL] >= 0 && metric[HOST_CPU_UTIL] <= 1);
	assert_true(metric[HOST_CPU_STEAL] >= 0);
	assert_true(metric[HOST_CPU_STEAL] <= metric[HOST_CPU_UTIL]);
	assert_true(metric[HOST_CPU_LOAD] >= 0);
	assert_int_equal(!isnan(metric[HOST_PSI_CPU]), !access("/proc/pressure/cpu", R_OK));
	assert_false(metric[HOST_PSI_CPU] < 0 || metric[HOST_PSI_CPU] > 1);
	assert_false(metric[HOST_BLK_READ_BYTES] < 0 || metric[HOST_BLK_WRITE_BYTES] < 0);
	host_close(&h);
}

static void interface_bytes_are_summed_without_loopback(void **state)
{
	static const char text[] =
		"Inter-|   Receive                  |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes\n"
		"    lo:  900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n"
		"  eth0:  100 1 0 0 0 0 0 0  20 1 0 0 0 0 0 0\n"
		"  eth1:11 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0\n";
	uint64_t rx = 7, tx = 7;

	(void)state;
	assert_true(text_net_bytes(text, &rx, &tx));
	assert_int_equal(rx, 111);
	assert_int_equal(tx, 22);
	assert_false(text_net_bytes("eth0: 12", &rx, &tx));
	assert_false(text_net_bytes("", &rx, &tx));
	assert_int_equal(rx, 111);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interface_bytes_are_summed_without_loopback),
		cmocka_unit_test(the_host_has_counters),
		cmocka_unit_test(a_quota_shows_as_limit_and_throttling),
		cmocka_unit_test(a_quota_of_the_pod_counts_for_its_containers),
		cmocka_unit_test(without_a_quota_the_limit_is_the_machine),
		cmocka_unit_test(memory_is_in_use_against_its_limit),
		cmocka_unit_test(perf_events_are_the_containers_own),
		cmocka_unit_test(what_cannot_be_read_is_absent_not_zero),
		cmocka_unit_test(the_first_read_gives_levels_only),
	};
	struct fixture probe;

	if (!fixture_open(&probe, "probe"))
		return 77;
	fixture_close(&probe);
	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
