/* Run-queue wait, I/O wait and reclaim of real processes. Needs root and BTF. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/probe.h"
#include "agent/sched.h"
#include "common/clock.h"
#include "tests/unit/cgroup_fixture.h"

#define FILE_BYTES (32U << 20)

struct world {
	struct fixture fixture;
	struct sched *sched;
	uint64_t id;
	struct sched_counters now;
	uint64_t before_ns, after_ns; /* the moment `now` was read lies between */
	bool (*enough)(const struct sched_counters *now);
};

static char file[64];

static int open_world(void **state)
{
	static struct world w;
	int subsys;

	memset(&w, 0, sizeof(w));
	*state = &w;
	if (!fixture_open(&w.fixture, "sched"))
		return -1;
	subsys = w.fixture.tree.v2 ? -1 : probe_kernel_enum("cgroup_subsys_id", "cpu_cgrp_id");
	return sched_open(&w.sched, subsys, 16);
}

static int close_world(void **state)
{
	struct world *w = *state;

	sched_close(w->sched);
	fixture_close(&w->fixture);
	return 0;
}

static const char *enter(struct world *w, const char *below)
{
	const char *path = fixture_make(&w->fixture, below);
	char full[512];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", cgroup_tree_root(&w->fixture.tree), path);
	assert_int_equal(stat(full, &st), 0);
	w->id = st.st_ino;
	assert_int_equal(sched_enter(w->sched, w->id), 0);
	return path;
}

static bool is_enough(void *ctx)
{
	struct world *w = ctx;
	int err;

	w->before_ns = clock_monotonic_ns();
	err = sched_read(w->sched, w->id, &w->now);
	w->after_ns = clock_monotonic_ns();
	return !err && w->enough(&w->now);
}

static void burn_on_one_cpu(const char *unused)
{
	cpu_set_t set;
	size_t first = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(first, &set))
		first++;
	CPU_ZERO(&set);
	CPU_SET(first, &set);
	sched_setaffinity(0, sizeof(set), &set);
	fixture_burn(unused);
}

static bool half_a_second_waited(const struct sched_counters *now)
{
	return now->runq_ns > 500000000;
}

static bool two_seconds_waited(const struct sched_counters *now)
{
	return now->runq_ns > 2000000000;
}

/*
 * Between two reads, when all three are there for certain. However late this test itself is
 * to look at a clock, the moments of the reads lie between their two.
 */
static void three_on_one_cpu_wait_two_thirds_of_the_time(void **state)
{
	struct world *w = *state, first;
	const char *path = enter(w, "/contended");
	double waited;

	for (int i = 0; i < 3; i++)
		fixture_spawn(&w->fixture, path, burn_on_one_cpu, NULL);
	w->enough = half_a_second_waited;
	assert_true(fixture_wait(is_enough, w, 20000));
	first = *w;
	w->enough = two_seconds_waited;
	assert_true(fixture_wait(is_enough, w, 20000));
	/* 2 when nobody else is on that CPU; what waits now is counted when it has waited */
	waited = (double)(w->now.runq_ns - first.now.runq_ns);
	assert_true(waited > 0.8 * (double)(w->before_ns - first.after_ns));
	assert_true(waited < 3.3 * (double)(w->after_ns - first.before_ns));
	assert_true(w->now.switches > 3);
	assert_true(w->now.iowait_ns < w->now.runq_ns / 10);
}

/* Once asleep, whatever the others wait. */
static void a_sleeper_does_not_wait(void **state)
{
	struct sched_counters first, slept;
	struct world *w = *state;
	uint64_t sleeper;

	fixture_spawn(&w->fixture, enter(w, "/asleep"), fixture_idle, NULL);
	sleeper = w->id;
	for (int i = 0; i < 2; i++)
		fixture_spawn(&w->fixture, enter(w, "/contended"), burn_on_one_cpu, NULL);
	w->enough = half_a_second_waited;
	assert_true(fixture_wait(is_enough, w, 20000));
	assert_int_equal(sched_read(w->sched, sleeper, &first), 0);
	w->enough = two_seconds_waited;
	assert_true(fixture_wait(is_enough, w, 20000));
	assert_int_equal(sched_read(w->sched, sleeper, &slept), 0);
	assert_int_equal(slept.runq_ns, first.runq_ns);
}

/* Written before anyone reads it, and out of the page cache. */
static bool make_file(void)
{
	static char block[1 << 20];
	int fd;

	snprintf(file, sizeof(file), "/var/tmp/sage-sched-%d", getpid());
	fd = open(file, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	for (unsigned i = 0; i < FILE_BYTES / sizeof(block); i++) {
		memset(block, (int)i, sizeof(block));
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			break;
	}
	fsync(fd);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return true;
}

static void read_past_the_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	char *block = aligned_alloc(4096, 1 << 16);

	for (off_t at = 0; fd >= 0 && block; at = (at + (1 << 16)) % FILE_BYTES) {
		if (pread(fd, block, 1 << 16, at) <= 0)
			break;
	}
	fixture_idle(NULL);
}

static bool waited_for_io(const struct sched_counters *now)
{
	return now->iowait_ns > 20000000;
}

static void reading_a_disk_is_io_wait(void **state)
{
	struct world *w = *state;

	if (!make_file() || open(file, O_RDONLY | O_DIRECT | O_CLOEXEC) < 0) {
		printf("skipped: %s: no file with O_DIRECT\n", file);
		unlink(file);
		skip();
	}
	fixture_spawn(&w->fixture, enter(w, "/disk"), read_past_the_cache, file);
	w->enough = waited_for_io;
	assert_true(fixture_wait(is_enough, w, 10000));
	unlink(file);
}

static void read_through_the_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	static char block[1 << 16];

	for (off_t at = 0; fd >= 0; at = (at + (1 << 16)) % FILE_BYTES) {
		if (pread(fd, block, sizeof(block), at) <= 0)
			break;
	}
	fixture_idle(NULL);
}

static bool reclaimed_some(const struct sched_counters *now)
{
	return now->reclaimed > 100;
}

static void a_memory_limit_makes_reclaim(void **state)
{
	struct world *w = *state;
	const char *path = enter(w, "/squeezed"),
		   *limit = w->fixture.tree.v2 ? "memory.max" : "memory.limit_in_bytes";

	if (!sched_sees_reclaim(w->sched) ||
		!fixture_write(&w->fixture, CGROUP_MEMORY, path, limit, "8388608") ||
		!make_file()) {
		printf("skipped: no reclaim tracepoints, memory controller or file\n");
		skip();
	}
	fixture_spawn(&w->fixture, path, read_through_the_cache, file);
	w->enough = reclaimed_some;
	assert_true(fixture_wait(is_enough, w, 10000));
	unlink(file);
}

static void only_entered_cgroups_are_counted(void **state)
{
	struct world *w = *state;
	struct sched_counters sum;

	enter(w, "/left");
	sched_leave(w->sched, w->id);
	assert_int_equal(sched_read(w->sched, w->id, &sum), -ENOENT);
}

static void a_full_map_refuses(void **state)
{
	struct world *w = *state;
	int err = 0;

	for (uint64_t id = 1ULL << 60; !err && id < (1ULL << 60) + 64; id++)
		err = sched_enter(w->sched, id);
	assert_int_equal(err, -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			three_on_one_cpu_wait_two_thirds_of_the_time, open_world, close_world),
		cmocka_unit_test_setup_teardown(a_sleeper_does_not_wait, open_world, close_world),
		cmocka_unit_test_setup_teardown(reading_a_disk_is_io_wait, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_memory_limit_makes_reclaim, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			only_entered_cgroups_are_counted, open_world, close_world),
		cmocka_unit_test_setup_teardown(a_full_map_refuses, open_world, close_world),
	};
	struct fixture probe;

	if (geteuid() || access("/sys/kernel/btf/vmlinux", R_OK)) {
		printf("skipped: needs root and /sys/kernel/btf/vmlinux\n");
		return 77;
	}
	if (!fixture_open(&probe, "probe"))
		return 77;
	fixture_close(&probe);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
