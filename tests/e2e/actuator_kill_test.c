/*
 * An agent that dies by SIGKILL leaves nothing changed for longer than until its next
 * start: on real cgroups, at whatever moment it died.
 */
#include <poll.h>
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

#include "agent/actuator.h"
#include "common/clock.h"
#include "common/log.h"
#include "unit/cgroup_tree.h"

#define DEADLINE_MS 10000
#define ROUNDS 25

struct scene {
	struct cgroup_tree tree;
	char state[64];
	const char *allow[2];
	struct actuator_options options;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	cgroup_tree_any(&s->tree);
	snprintf(s->state, sizeof(s->state), "/tmp/sage-kill-XXXXXX");
	if (!mkdtemp(s->state))
		return -1;
	s->allow[0] = "/sage-acting-*";
	s->options = (struct actuator_options){.state_dir = s->state,
		.mode = ACTUATOR_ENFORCE,
		.allow = s->allow,
		.layout = &s->tree.layout,
		.own_path = "/"};
	actuator_limits_default(&s->options.limits);
	s->options.limits.cooldown_ms = 0;
	s->options.limits.max_changes_per_min = 1000000;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {
		"journal", "journal.new", "lock", "actions.log", "actions.log.1"};
	struct scene *s = *state;
	char path[128];

	cgroup_tree_remove(&s->tree);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->state, files[i]);
		unlink(path);
	}
	rmdir(s->state);
	free(s);
	return 0;
}

static int quota(const struct scene *s, const char *path)
{
	return cgroup_tree_quota(&s->tree, path);
}

/* Pod and app are raised together. */
static void fill(const struct scene *s, struct wire_lease lease[2], uint64_t first_id)
{
	const char *paths[] = {s->tree.pod, s->tree.app};

	for (size_t i = 0; i < 2; i++) {
		lease[i] = (struct wire_lease){.id = first_id + i,
			.epoch = 1,
			.cgroup_id = s->tree.app_id,
			.knob = KNOB_CPU_QUOTA,
			.expected = WIRE_ANY_VALUE,
			.value = 600,
			.ttl_ms = 60000};
		snprintf(lease[i].path, sizeof(lease[i].path), "%s", paths[i]);
	}
}

/* The agent to be killed: says one byte after each set of leases it took. */
static void run_agent(const struct scene *s, int out, bool again_and_again)
{
	struct wire_lease lease[2];
	struct wire_leases set = {.epoch = 1, .lease = lease};
	struct actuator *a;

	if (actuator_open(&a, &s->options))
		_exit(1);
	for (uint64_t id = 1; id == 1 || again_and_again; id += 2) {
		fill(s, lease, id);
		set.leases = id % 4 == 1 ? 2 : 0;
		if (actuator_set(a, &set, clock_monotonic_ns()) || write(out, "", 1) != 1)
			_exit(1);
	}
	pause();
	_exit(0);
}

static pid_t start_agent(const struct scene *s, int *in, bool again_and_again)
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(ends[0]);
		run_agent(s, ends[1], again_and_again);
	}
	close(ends[1]);
	*in = ends[0];
	return pid;
}

static void wait_for_sets(int in, unsigned n)
{
	struct pollfd p = {.fd = in, .events = POLLIN};
	char byte;

	while (n--) {
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		assert_int_equal(read(in, &byte, 1), 1);
	}
}

static void kill_agent(pid_t pid, int in)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(in);
}

static struct actuator_stats restart(const struct scene *s)
{
	struct actuator_stats stats;
	struct actuator_action held;
	struct actuator *a;

	assert_int_equal(actuator_open(&a, &s->options), 0);
	actuator_stats(a, &stats);
	assert_int_equal(actuator_active(a, &held, 1), 0);
	actuator_close(a);
	return stats;
}

static void put(const struct scene *s, const char *path, int us)
{
	cgroup_tree_put_quota(&s->tree, path, us);
}

static void killed_agents_changes_are_reverted_by_the_next(void **state)
{
	struct scene *s = *state;
	struct actuator_stats stats;
	pid_t pid;
	int in;

	put(s, s->tree.pod, 25000);
	put(s, s->tree.app, 20001);
	pid = start_agent(s, &in, false);
	wait_for_sets(in, 1);
	kill_agent(pid, in);
	assert_int_equal(quota(s, s->tree.pod), 60000);
	assert_int_equal(quota(s, s->tree.app), 60000);
	stats = restart(s);
	assert_int_equal(quota(s, s->tree.pod), 25000);
	assert_int_equal(quota(s, s->tree.app), 20001);
	assert_int_equal(stats.replayed, 2);
	assert_int_equal(restart(s).replayed, 0);
}

static void value_changed_meanwhile_is_left_alone_and_counted(void **state)
{
	struct scene *s = *state;
	struct actuator_stats stats;
	pid_t pid;
	int in;

	put(s, s->tree.pod, -1);
	put(s, s->tree.app, 20000);
	pid = start_agent(s, &in, false);
	wait_for_sets(in, 1);
	kill_agent(pid, in);
	put(s, s->tree.app, 44000);
	stats = restart(s);
	assert_int_equal(quota(s, s->tree.pod), -1);
	assert_int_equal(quota(s, s->tree.app), 44000);
	assert_int_equal(stats.replayed, 1);
	assert_int_equal(stats.replay_foreign, 1);
}

static void observing_successor_reverts_too(void **state)
{
	struct scene *s = *state;
	pid_t pid;
	int in;

	put(s, s->tree.app, 20000);
	pid = start_agent(s, &in, false);
	wait_for_sets(in, 1);
	kill_agent(pid, in);
	s->options.mode = ACTUATOR_OBSERVE;
	s->allow[0] = NULL;
	restart(s);
	assert_int_equal(quota(s, s->tree.app), 20000);
}

/* Killed in the middle of applying and reverting, at a different place each round. */
static void any_moment_of_death_is_recovered_from(void **state)
{
	struct scene *s = *state;
	uint64_t caught = 0;

	put(s, s->tree.pod, 25000);
	put(s, s->tree.app, 20000);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct actuator_stats stats;
		pid_t pid;
		int in;

		pid = start_agent(s, &in, true);
		wait_for_sets(in, 1 + round % 7);
		kill_agent(pid, in);
		stats = restart(s);
		caught += stats.replayed;
		assert_int_equal(stats.replay_foreign, 0);
		assert_int_equal(quota(s, s->tree.pod), 25000);
		assert_int_equal(quota(s, s->tree.app), 20000);
	}
	assert_true(caught > 0);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(killed_agents_changes_are_reverted_by_the_next),
		SCENE(value_changed_meanwhile_is_left_alone_and_counted),
		SCENE(observing_successor_reverts_too),
		SCENE(any_moment_of_death_is_recovered_from),
	};
	struct cgroup_tree probe;
	bool real = cgroup_tree_any(&probe);

	cgroup_tree_remove(&probe);
	if (!real) {
		printf("skipped: no cgroup controllers that may be written\n");
		return 77;
	}
	log_init("actuator_kill_test", LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
