/* The contract of acting: an undo that fails is neither forgotten nor harmful. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "actuator_scene.h"
#include "agent/journal.h"

/* Linked with --wrap: a knob that fails once it is written. */

static bool fail_when_written, failing;

int __real_knob_read(const struct knob *k, struct knob_value *out);
int __real_knob_write(const struct knob *k, int64_t value);
int __real_knob_restore(const struct knob *k, const char *text);
int __wrap_knob_read(const struct knob *k, struct knob_value *out);
int __wrap_knob_write(const struct knob *k, int64_t value);
int __wrap_knob_restore(const struct knob *k, const char *text);

int __wrap_knob_read(const struct knob *k, struct knob_value *out)
{
	return failing ? -EMFILE : __real_knob_read(k, out);
}

int __wrap_knob_write(const struct knob *k, int64_t value)
{
	int error = __real_knob_write(k, value);

	failing = fail_when_written;
	return error;
}

int __wrap_knob_restore(const struct knob *k, const char *text)
{
	return failing ? -EMFILE : __real_knob_restore(k, text);
}

/* A process that holds `bytes` of memory in the app's cgroup. */
static pid_t start_holder(const struct scene *s, size_t bytes)
{
	int ends[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char text[16];
		char *memory;

		snprintf(text, sizeof(text), "%d", (int)getpid());
		cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "cgroup.procs", text);
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (memory == MAP_FAILED || mlock(memory, bytes) || write(ends[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return pid;
}

/* v1 refuses a child above its parent: the parent's own raise has to go back. */
static void failed_write_takes_its_chain_back(void **state)
{
	struct scene *s = *state;

	if (!scene_real)
		skip();
	scene_put_quota(s, s->tree.pod, 25000);
	scene_put_quota(s, s->tree.app, 20000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_add(s, 2, s->tree.pod, 400);
	scene_send(s);
	scene_assert_quota(s, s->tree.pod, 25000);
	scene_assert_quota(s, s->tree.app, 20000);
	scene_assert_report(s, 1, LEASE_REFUSED, "write 600");
	scene_assert_report(s, 2, LEASE_REVERTED, "together with");
	scene_send(s);
	scene_assert_silent(s);
}

/* v1 answers EBUSY when it cannot reclaim enough for the old, lower limit. */
static void undo_that_fails_is_tried_again(void **state)
{
	static const char *const file = "memory.limit_in_bytes";
	struct scene *s = *state;
	struct actuator_action held;
	pid_t pid;

	if (!scene_real)
		skip();
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, file, "33554432");
	scene_start(s);
	scene_add(s, 1, s->tree.app, 128 << 20)->knob = KNOB_MEMORY_HIGH;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_APPLIED, "");
	pid = start_holder(s, 64 << 20);
	s->set.leases = 0;
	scene_send(s);
	scene_assert_silent(s);
	assert_int_equal(actuator_active(s->a, &held, 1), 1);
	assert_true(held.stuck);
	assert_true(actuator_tick(s->a, s->now) == s->now + SECOND);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	scene_assert_report(s, 1, LEASE_REVERTED, "analyzer");
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "33554432");
}

/* v2 would call the OOM killer for what does not fit into the old, lower limit. */
static void undo_waits_until_what_is_used_fits(void **state)
{
	static const char *const used = "memory.current";
	struct scene *s = *state;
	struct actuator_action held;

	if (scene_real)
		skip();
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max", "67108864");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.reclaim", "");
	scene_start(s);
	scene_add(s, 1, s->tree.app, 128 << 20)->knob = KNOB_MEMORY_HIGH;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_APPLIED, "");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, used, "104857600");
	s->set.leases = 0;
	scene_send(s);
	scene_assert_silent(s);
	assert_int_equal(actuator_active(s->a, &held, 1), 1);
	assert_true(held.stuck);
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max"), "134217728");
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.reclaim"), "37748736");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, used, "67108864");
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	scene_assert_report(s, 1, LEASE_REVERTED, "analyzer");
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max"), "67108864");
}

/* Raised past memory.high, memory.max is no longer the file that would be chosen. */
static void a_start_restores_the_file_that_was_changed(void **state)
{
	struct scene *s = *state;
	struct journal_change c = {.id = 1,
		.cgroup_id = s->tree.app_id,
		.knob = KNOB_MEMORY_HIGH,
		.old_value = 64 << 20,
		.value = 128 << 20,
		.old_text = "67108864",
		.file = "memory.max"};
	struct journal j;

	if (scene_real)
		skip();
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.high", "104857600");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max", "134217728");
	snprintf(c.path, sizeof(c.path), "%s", s->tree.app);
	assert_int_equal(journal_open(&j, s->state), 0);
	assert_int_equal(journal_begin(&j, &c), 0);
	journal_close(&j);
	scene_start(s);
	scene_assert_report(s, 1, LEASE_REVERTED, "died");
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max"), "67108864");
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.high"), "104857600");
}

/* Written, not readable, not to be taken back: still ours to undo. */
static void change_that_cannot_be_taken_back_is_tried_again(void **state)
{
	struct scene *s = *state;
	struct actuator_action held;

	scene_put_quota(s, s->tree.app, 25000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	fail_when_written = true;
	scene_send(s);
	fail_when_written = failing = false;
	scene_assert_silent(s);
	assert_int_equal(actuator_active(s->a, &held, 1), 1);
	assert_true(held.stuck);
	scene_assert_quota(s, s->tree.app, 60000);
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	scene_assert_report(s, 1, LEASE_REVERTED, "does not read back");
	scene_assert_quota(s, s->tree.app, 25000);
	scene_send(s);
	scene_assert_silent(s);
}

/* The controller is not there just now: that is not the end of what must be undone. */
static void what_cannot_be_opened_is_undone_by_a_later_start(void **state)
{
	struct scene *s = *state;
	const char *file = scene_real ? "memory.limit_in_bytes" : "memory.high";
	struct knob_layout without = s->tree.layout;
	struct journal_change c = {.id = 1,
		.cgroup_id = s->tree.app_id,
		.knob = KNOB_MEMORY_HIGH,
		.old_value = 64 << 20,
		.value = 128 << 20,
		.old_text = "67108864"};
	struct journal j;

	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, file, "134217728");
	snprintf(c.path, sizeof(c.path), "%s", s->tree.app);
	assert_int_equal(journal_open(&j, s->state), 0);
	assert_int_equal(journal_begin(&j, &c), 0);
	journal_close(&j);
	without.mount[KNOB_MEMORY].dir[0] = '\0';
	s->options.layout = &without;
	scene_start(s);
	scene_assert_silent(s);
	actuator_close(s->a);
	s->a = NULL;
	s->options.layout = &s->tree.layout;
	scene_start(s);
	scene_assert_report(s, 1, LEASE_REVERTED, "died");
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "67108864");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(failed_write_takes_its_chain_back),
		SCENE(undo_that_fails_is_tried_again),
		SCENE(undo_waits_until_what_is_used_fits),
		SCENE(a_start_restores_the_file_that_was_changed),
		SCENE(change_that_cannot_be_taken_back_is_tried_again),
		SCENE(what_cannot_be_opened_is_undone_by_a_later_start),
	};

	return scene_run(tests, sizeof(tests) / sizeof(*tests));
}
