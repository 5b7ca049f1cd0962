/* The contract of acting, line by line, on real cgroups (v1) and on files like v2's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/actuator.h"
#include "agent/journal.h"
#include "cgroup_tree.h"
#include "common/log.h"

#define SECOND 1000000000ULL
#define START (1000 * SECOND)

static bool real;

/* ---- a knob that fails once it is written (linked with --wrap) ---- */

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

/* ---- scene ---- */

struct scene {
	struct cgroup_tree tree;
	char state[64];
	struct actuator_options options;
	struct actuator *a;
	struct wire_lease lease[4];
	struct wire_leases set;
	uint64_t now;
	const char *allow[2];
};

static const char *quota(const struct scene *s, const char *path)
{
	return cgroup_tree_get(&s->tree, KNOB_CPU, path, real ? "cpu.cfs_quota_us" : "cpu.max");
}

static void put_quota(const struct scene *s, const char *path, int us)
{
	char text[32];

	snprintf(text, sizeof(text), real ? "%d" : "%d 100000", us);
	cgroup_tree_put(&s->tree, KNOB_CPU, path, real ? "cpu.cfs_quota_us" : "cpu.max", text);
}

static void assert_quota(const struct scene *s, const char *path, int us)
{
	char text[32];

	snprintf(text, sizeof(text), real ? "%d" : us < 0 ? "max 100000" : "%d 100000", us);
	assert_string_equal(quota(s, path), text);
}

static void start(struct scene *s)
{
	assert_int_equal(actuator_open(&s->a, &s->options), 0);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	if (real)
		cgroup_tree_real(&s->tree);
	else
		cgroup_tree_plain(&s->tree);
	snprintf(s->state, sizeof(s->state), "/tmp/sage-actuator-XXXXXX");
	if (!mkdtemp(s->state))
		return -1;
	s->allow[0] = "/sage-acting-*";
	s->options = (struct actuator_options){.state_dir = s->state,
		.mode = ACTUATOR_ENFORCE,
		.allow = s->allow,
		.layout = &s->tree.layout,
		.own_path = "/"};
	actuator_limits_default(&s->options.limits);
	s->options.limits.ceiling[KNOB_CPU_QUOTA] = 64000;
	s->options.limits.cooldown_ms = 0;
	s->now = START;
	s->set = (struct wire_leases){.epoch = 7, .lease = s->lease};
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {"journal", "lock", "actions.log", "hold"};
	struct scene *s = *state;
	char path[128];

	actuator_close(s->a);
	cgroup_tree_remove(&s->tree);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->state, files[i]);
		unlink(path);
	}
	rmdir(s->state);
	free(s);
	return 0;
}

/* Add a CPU quota lease to the set. */
static struct wire_lease *add(struct scene *s, uint64_t id, const char *path, int64_t value)
{
	struct wire_lease *l = &s->lease[s->set.leases++];

	*l = (struct wire_lease){.id = id,
		.epoch = 7,
		.cgroup_id = s->tree.app_id,
		.knob = KNOB_CPU_QUOTA,
		.expected = WIRE_ANY_VALUE,
		.value = value,
		.ttl_ms = 10000};
	snprintf(l->path, sizeof(l->path), "%s", path);
	snprintf(l->reason, sizeof(l->reason), "test");
	return l;
}

static void send_set(struct scene *s)
{
	assert_int_equal(actuator_set(s->a, &s->set, s->now), 0);
}

static struct wire_lease_report take(struct scene *s)
{
	struct wire_lease_report r;

	assert_int_equal(actuator_reports(s->a, &r, 1), 1);
	return r;
}

static void assert_report(
	struct scene *s, uint64_t id, enum wire_lease_state state, const char *detail)
{
	struct wire_lease_report r = take(s);

	assert_int_equal(r.id, id);
	assert_string_equal(wire_lease_state_name(r.state), wire_lease_state_name(state));
	if (!strstr(r.detail, detail))
		fail_msg("\"%s\" does not say \"%s\"", r.detail, detail);
}

static void assert_silent(struct scene *s)
{
	struct wire_lease_report r;

	assert_int_equal(actuator_reports(s->a, &r, 1), 0);
}

static void lease_is_applied_and_reverted_when_it_leaves_the_set(void **state)
{
	struct scene *s = *state;
	struct wire_lease_report r;

	put_quota(s, s->tree.app, 25000);
	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	assert_quota(s, s->tree.app, 60000);
	r = take(s);
	assert_int_equal(r.state, LEASE_APPLIED);
	assert_int_equal(r.old_value, 250);
	assert_int_equal(r.value, 600);

	send_set(s);
	assert_silent(s);
	s->set.leases = 0;
	send_set(s);
	assert_quota(s, s->tree.app, 25000);
	assert_report(s, 1, LEASE_REVERTED, "analyzer");
}

static void lease_not_renewed_is_reverted(void **state)
{
	struct scene *s = *state;

	put_quota(s, s->tree.app, 25000);
	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	actuator_tick(s->a, s->now + 9 * SECOND);
	assert_quota(s, s->tree.app, 60000);
	assert_true(actuator_tick(s->a, s->now + 10 * SECOND) == UINT64_MAX);
	assert_quota(s, s->tree.app, 25000);
	take(s);
	assert_report(s, 1, LEASE_REVERTED, "not renewed");
	send_set(s);
	assert_silent(s);
	assert_quota(s, s->tree.app, 25000);
}

static void renewal_extends_the_lease(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	s->now += 9 * SECOND;
	send_set(s);
	actuator_tick(s->a, s->now + 9 * SECOND);
	assert_quota(s, s->tree.app, 60000);
}

static void nothing_allowed_means_nothing_is_touched(void **state)
{
	struct scene *s = *state;

	s->allow[0] = NULL;
	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	assert_quota(s, s->tree.app, -1);
	assert_report(s, 1, LEASE_REFUSED, "not allowed");
}

static void roots_system_slices_and_itself_are_refused(void **state)
{
	static const char *const paths[] = {"/", "", "/system.slice", "/system.slice/sshd.service",
		"/a\nb", "/user.slice", "/kubepods", "/kubepods/burstable", "/kubepods.slice",
		"/kubepods.slice/kubepods-burstable.slice", "/init.scope", "/../etc",
		"/x/../../etc", "/x/../user.slice", "/user.slice/", "/.", "/kubepods//x", "/x/.."};
	struct scene *s = *state;

	s->allow[0] = "*";
	s->options.own_path = s->tree.app;
	start(s);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		s->set.leases = 0;
		add(s, 1 + i, paths[i], 600);
		send_set(s);
		assert_int_equal(take(s).state, LEASE_REFUSED);
	}
	s->set.leases = 0;
	add(s, 100, s->tree.app, 600);
	add(s, 101, s->tree.pod, 600);
	send_set(s);
	assert_report(s, 100, LEASE_REFUSED, "own cgroup");
	assert_report(s, 101, LEASE_REFUSED, "own cgroup");
	assert_quota(s, s->tree.app, -1);
}

/* The patterns compare text: a second text for the same cgroup would walk around them. */
static void one_cgroup_has_one_path(void **state)
{
	static const char *const forms[] = {"%s/", "%s/.", "%s/../app", "/.%s", "/%s", "%s//"};
	struct scene *s = *state;
	char path[WIRE_PATH];

	s->allow[0] = "*";
	start(s);
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		const char *hole = strstr(forms[i], "%s");

		snprintf(path, sizeof(path), "%.*s%s%s", (int)(hole - forms[i]), forms[i],
			s->tree.app, hole + 2);
		s->set.leases = 0;
		add(s, 1 + i, path, 600);
		send_set(s);
		assert_report(s, 1 + i, LEASE_REFUSED, "malformed path");
		assert_quota(s, s->tree.app, -1);
	}
}

static void another_inode_is_refused(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.app, 600)->cgroup_id = s->tree.app_id + 1000000;
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "made anew");
	assert_quota(s, s->tree.app, -1);
}

static void group_is_known_by_its_child(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.pod, 600);
	send_set(s);
	assert_report(s, 1, LEASE_APPLIED, "");
	assert_quota(s, s->tree.pod, 60000);
}

static void bounds_of_the_node_hold(void **state)
{
	struct scene *s = *state;

	put_quota(s, s->tree.app, 25000);
	s->options.limits.floor[KNOB_CPU_QUOTA] = 100;
	s->options.limits.ceiling[KNOB_CPU_QUOTA] = 2000;
	s->options.limits.max_step = 4;
	start(s);
	add(s, 1, s->tree.app, 99);
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "floor of 100");
	s->set.leases = 0;
	add(s, 2, s->tree.app, 2001);
	send_set(s);
	assert_report(s, 2, LEASE_REFUSED, "ceiling of 2000");
	s->set.leases = 0;
	add(s, 3, s->tree.app, 1001);
	send_set(s);
	assert_report(s, 3, LEASE_REFUSED, "factor of 4");
	s->set.leases = 0;
	add(s, 4, s->tree.app, -1);
	send_set(s);
	assert_report(s, 4, LEASE_REFUSED, "ceiling");
	assert_quota(s, s->tree.app, 25000);
}

static void cooldown_defers_a_second_change(void **state)
{
	struct scene *s = *state;

	s->options.limits.cooldown_ms = 5000;
	put_quota(s, s->tree.app, 25000);
	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	take(s);
	s->set.leases = 0;
	add(s, 2, s->tree.app, 700);
	s->now += 2 * SECOND;
	send_set(s);
	assert_report(s, 1, LEASE_REVERTED, "");
	assert_silent(s);
	assert_quota(s, s->tree.app, 25000);
	s->now += 5 * SECOND;
	send_set(s);
	assert_report(s, 2, LEASE_APPLIED, "");
	assert_quota(s, s->tree.app, 70000);
}

static void node_holds_only_so_many_leases(void **state)
{
	struct scene *s = *state;

	s->options.limits.max_active = 1;
	start(s);
	add(s, 1, s->tree.app, 600);
	add(s, 2, s->tree.app, 200)->knob = KNOB_CPU_WEIGHT;
	send_set(s);
	assert_report(s, 1, LEASE_APPLIED, "");
	assert_report(s, 2, LEASE_REFUSED, "as many leases");
}

static void changes_per_minute_are_rationed(void **state)
{
	struct scene *s = *state;

	s->options.limits.max_changes_per_min = 1;
	start(s);
	add(s, 1, s->tree.app, 600);
	add(s, 2, s->tree.app, 200)->knob = KNOB_CPU_WEIGHT;
	send_set(s);
	assert_report(s, 1, LEASE_APPLIED, "");
	assert_silent(s);
	s->now += 60 * SECOND;
	send_set(s);
	assert_report(s, 2, LEASE_APPLIED, "");
}

static void older_epoch_changes_nothing(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	take(s);
	s->set.epoch = 6;
	s->set.leases = 0;
	assert_int_equal(actuator_set(s->a, &s->set, s->now), -ESTALE);
	assert_quota(s, s->tree.app, 60000);
	actuator_close(s->a);
	s->a = NULL;
	start(s);
	assert_int_equal(actuator_set(s->a, &s->set, s->now), -ESTALE);
}

static void unexpected_value_is_refused(void **state)
{
	struct scene *s = *state;

	put_quota(s, s->tree.app, 30000);
	start(s);
	add(s, 1, s->tree.app, 600)->expected = 250;
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "holds 300 where 250 was expected");
	assert_quota(s, s->tree.app, 30000);
}

static void foreign_change_wins(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	take(s);
	put_quota(s, s->tree.app, 44000);
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	assert_report(s, 1, LEASE_YIELDED, "somebody else");
	send_set(s);
	assert_silent(s);
	assert_quota(s, s->tree.app, 44000);
}

static void parent_rises_before_child_and_falls_after_it(void **state)
{
	struct scene *s = *state;

	put_quota(s, s->tree.pod, 25000);
	put_quota(s, s->tree.app, 20000);
	start(s);
	add(s, 1, s->tree.app, 600);
	add(s, 2, s->tree.pod, 800);
	send_set(s);
	assert_int_equal(take(s).state, LEASE_APPLIED);
	assert_int_equal(take(s).state, LEASE_APPLIED);
	assert_quota(s, s->tree.pod, 80000);
	assert_quota(s, s->tree.app, 60000);
	s->set.leases = 0;
	send_set(s);
	assert_quota(s, s->tree.pod, 25000);
	assert_quota(s, s->tree.app, 20000);
	assert_report(s, 1, LEASE_REVERTED, "");
	assert_report(s, 2, LEASE_REVERTED, "");
}

static void chain_is_all_or_nothing(void **state)
{
	struct scene *s = *state;

	put_quota(s, s->tree.pod, 25000);
	put_quota(s, s->tree.app, 20000);
	start(s);
	add(s, 1, s->tree.app, 600)->expected = 1;
	add(s, 2, s->tree.pod, 800);
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "expected");
	assert_report(s, 2, LEASE_REFUSED, "together with");
	assert_quota(s, s->tree.pod, 25000);
	assert_quota(s, s->tree.app, 20000);
}

/* v1 refuses a child above its parent: the parent's own raise has to go back. */
static void failed_write_takes_its_chain_back(void **state)
{
	struct scene *s = *state;

	if (!real)
		skip();
	put_quota(s, s->tree.pod, 25000);
	put_quota(s, s->tree.app, 20000);
	start(s);
	add(s, 1, s->tree.app, 600);
	add(s, 2, s->tree.pod, 400);
	send_set(s);
	assert_quota(s, s->tree.pod, 25000);
	assert_quota(s, s->tree.app, 20000);
	assert_report(s, 1, LEASE_REFUSED, "write 600");
	assert_report(s, 2, LEASE_REVERTED, "together with");
	send_set(s);
	assert_silent(s);
}

static void raise_never_lowers(void **state)
{
	struct scene *s = *state;
	struct wire_lease_report r;

	put_quota(s, s->tree.app, 25000);
	start(s);
	add(s, 1, s->tree.pod, 400)->expected = WIRE_ANY_RAISE;
	add(s, 2, s->tree.app, 400)->expected = WIRE_ANY_RAISE;
	send_set(s);
	assert_quota(s, s->tree.pod, -1);
	assert_quota(s, s->tree.app, 40000);
	r = take(s);
	assert_int_equal(r.state, LEASE_APPLIED);
	assert_int_equal(r.old_value, -1);
	assert_int_equal(r.value, -1);
	assert_int_equal(take(s).value, 400);
	put_quota(s, s->tree.pod, 90000);
	s->set.leases = 0;
	send_set(s);
	assert_quota(s, s->tree.pod, 90000);
	assert_quota(s, s->tree.app, 25000);
}

static void memory_is_only_raised(void **state)
{
	struct scene *s = *state;
	const char *file = real ? "memory.limit_in_bytes" : "memory.max";
	struct wire_lease *l;

	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, file, "67108864");
	start(s);
	l = add(s, 1, s->tree.app, 32 << 20);
	l->knob = KNOB_MEMORY_HIGH;
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "only ever raised");
	s->set.leases = 0;
	l = add(s, 2, s->tree.app, 128 << 20);
	l->knob = KNOB_MEMORY_HIGH;
	send_set(s);
	assert_report(s, 2, LEASE_APPLIED, "");
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "134217728");
	s->set.leases = 0;
	send_set(s);
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "67108864");
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

/* v1 answers EBUSY when it cannot reclaim enough for the old, lower limit. */
static void undo_that_fails_is_tried_again(void **state)
{
	static const char *const file = "memory.limit_in_bytes";
	struct scene *s = *state;
	struct actuator_action held;
	pid_t pid;

	if (!real)
		skip();
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, file, "33554432");
	start(s);
	add(s, 1, s->tree.app, 128 << 20)->knob = KNOB_MEMORY_HIGH;
	send_set(s);
	assert_report(s, 1, LEASE_APPLIED, "");
	pid = start_holder(s, 64 << 20);
	s->set.leases = 0;
	send_set(s);
	assert_silent(s);
	assert_int_equal(actuator_active(s->a, &held, 1), 1);
	assert_true(held.stuck);
	assert_true(actuator_tick(s->a, s->now) == s->now + SECOND);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	assert_report(s, 1, LEASE_REVERTED, "analyzer");
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "33554432");
}

/* v2 would call the OOM killer for what does not fit into the old, lower limit. */
static void undo_waits_until_what_is_used_fits(void **state)
{
	static const char *const used = "memory.current";
	struct scene *s = *state;
	struct actuator_action held;

	if (real)
		skip();
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max", "67108864");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.reclaim", "");
	start(s);
	add(s, 1, s->tree.app, 128 << 20)->knob = KNOB_MEMORY_HIGH;
	send_set(s);
	assert_report(s, 1, LEASE_APPLIED, "");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, used, "104857600");
	s->set.leases = 0;
	send_set(s);
	assert_silent(s);
	assert_int_equal(actuator_active(s->a, &held, 1), 1);
	assert_true(held.stuck);
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max"), "134217728");
	assert_string_equal(
		cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, "memory.reclaim"), "37748736");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, used, "67108864");
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	assert_report(s, 1, LEASE_REVERTED, "analyzer");
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

	if (real)
		skip();
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.high", "104857600");
	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, "memory.max", "134217728");
	snprintf(c.path, sizeof(c.path), "%s", s->tree.app);
	assert_int_equal(journal_open(&j, s->state), 0);
	assert_int_equal(journal_begin(&j, &c), 0);
	journal_close(&j);
	start(s);
	assert_report(s, 1, LEASE_REVERTED, "died");
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

	put_quota(s, s->tree.app, 25000);
	start(s);
	add(s, 1, s->tree.app, 600);
	fail_when_written = true;
	send_set(s);
	fail_when_written = failing = false;
	assert_silent(s);
	assert_int_equal(actuator_active(s->a, &held, 1), 1);
	assert_true(held.stuck);
	assert_quota(s, s->tree.app, 60000);
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	assert_report(s, 1, LEASE_REVERTED, "does not read back");
	assert_quota(s, s->tree.app, 25000);
	send_set(s);
	assert_silent(s);
}

/* The controller is not there just now: that is not the end of what must be undone. */
static void what_cannot_be_opened_is_undone_by_a_later_start(void **state)
{
	struct scene *s = *state;
	const char *file = real ? "memory.limit_in_bytes" : "memory.high";
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
	start(s);
	assert_silent(s);
	actuator_close(s->a);
	s->a = NULL;
	s->options.layout = &s->tree.layout;
	start(s);
	assert_report(s, 1, LEASE_REVERTED, "died");
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "67108864");
}

static void other_modes_refuse_and_say_so(void **state)
{
	struct scene *s = *state;

	s->options.mode = ACTUATOR_OBSERVE;
	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "only observes");
	send_set(s);
	assert_silent(s);
	actuator_close(s->a);
	s->options.mode = ACTUATOR_RECOMMEND;
	start(s);
	send_set(s);
	assert_report(s, 1, LEASE_REFUSED, "only recommends");
	assert_quota(s, s->tree.app, -1);
}

static void kill_switch_reverts_all_and_refuses(void **state)
{
	struct scene *s = *state;
	char path[128];
	FILE *f;

	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	take(s);
	snprintf(path, sizeof(path), "%s/hold", s->state);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	actuator_tick(s->a, s->now + SECOND);
	assert_quota(s, s->tree.app, -1);
	assert_report(s, 1, LEASE_REVERTED, "kill switch");
	add(s, 2, s->tree.app, 600);
	send_set(s);
	assert_report(s, 2, LEASE_REFUSED, "kill switch");
	assert_quota(s, s->tree.app, -1);
}

static void released_leases_do_not_come_back(void **state)
{
	struct scene *s = *state;
	struct actuator_action held[2];

	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	take(s);
	assert_int_equal(actuator_active(s->a, held, 2), 1);
	assert_int_equal(held[0].value, 600);
	assert_string_equal(held[0].path, s->tree.app);
	actuator_release(s->a, s->now);
	assert_report(s, 1, LEASE_REVERTED, "released");
	send_set(s);
	assert_int_equal(actuator_active(s->a, held, 2), 0);
	assert_quota(s, s->tree.app, -1);
}

static void closing_reverts_all(void **state)
{
	struct scene *s = *state;

	put_quota(s, s->tree.app, 25000);
	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	actuator_close(s->a);
	s->a = NULL;
	assert_quota(s, s->tree.app, 25000);
}

static void one_knob_has_one_lease(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.app, 600);
	add(s, 2, s->tree.app, 700);
	send_set(s);
	assert_report(s, 1, LEASE_APPLIED, "");
	assert_report(s, 2, LEASE_REFUSED, "another lease");
}

static void state_directory_has_one_agent(void **state)
{
	struct scene *s = *state;
	struct actuator *second = NULL;

	start(s);
	assert_int_equal(actuator_open(&second, &s->options), -EBUSY);
	assert_null(second);
}

static void vanished_cgroup_is_yielded(void **state)
{
	struct scene *s = *state;

	start(s);
	add(s, 1, s->tree.app, 600);
	send_set(s);
	take(s);
	cgroup_tree_remove(&s->tree);
	actuator_tick(s->a, s->now + SECOND);
	assert_report(s, 1, LEASE_YIELDED, "gone");
}

static void everything_is_in_the_action_log(void **state)
{
	struct scene *s = *state;
	char path[128], text[2048];
	size_t n;
	FILE *f;

	start(s);
	add(s, 1, s->tree.app, 600);
	add(s, 2, "/nowhere", 600);
	send_set(s);
	s->set.leases = 0;
	send_set(s);
	snprintf(path, sizeof(path), "%s/actions.log", s->state);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	assert_non_null(strstr(text, "\"state\":\"applied\""));
	assert_non_null(strstr(text, "\"state\":\"refused\""));
	assert_non_null(strstr(text, "\"state\":\"reverted\""));
	assert_non_null(strstr(text, s->tree.app));
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(lease_is_applied_and_reverted_when_it_leaves_the_set),
		SCENE(lease_not_renewed_is_reverted),
		SCENE(renewal_extends_the_lease),
		SCENE(nothing_allowed_means_nothing_is_touched),
		SCENE(roots_system_slices_and_itself_are_refused),
		SCENE(one_cgroup_has_one_path),
		SCENE(another_inode_is_refused),
		SCENE(group_is_known_by_its_child),
		SCENE(bounds_of_the_node_hold),
		SCENE(cooldown_defers_a_second_change),
		SCENE(node_holds_only_so_many_leases),
		SCENE(changes_per_minute_are_rationed),
		SCENE(older_epoch_changes_nothing),
		SCENE(unexpected_value_is_refused),
		SCENE(foreign_change_wins),
		SCENE(parent_rises_before_child_and_falls_after_it),
		SCENE(chain_is_all_or_nothing),
		SCENE(failed_write_takes_its_chain_back),
		SCENE(raise_never_lowers),
		SCENE(memory_is_only_raised),
		SCENE(undo_that_fails_is_tried_again),
		SCENE(undo_waits_until_what_is_used_fits),
		SCENE(a_start_restores_the_file_that_was_changed),
		SCENE(change_that_cannot_be_taken_back_is_tried_again),
		SCENE(what_cannot_be_opened_is_undone_by_a_later_start),
		SCENE(other_modes_refuse_and_say_so),
		SCENE(kill_switch_reverts_all_and_refuses),
		SCENE(released_leases_do_not_come_back),
		SCENE(closing_reverts_all),
		SCENE(one_knob_has_one_lease),
		SCENE(state_directory_has_one_agent),
		SCENE(vanished_cgroup_is_yielded),
		SCENE(everything_is_in_the_action_log),
	};
	struct cgroup_tree probe;
	int failed;

	log_init("actuator_test", LOG_ERROR);
	failed = cmocka_run_group_tests_name("files like cgroup v2", tests, NULL, NULL);
	real = cgroup_tree_real(&probe);
	cgroup_tree_remove(&probe);
	if (real)
		failed += cmocka_run_group_tests_name("real cgroup v1", tests, NULL, NULL);
	else
		print_message("real cgroup v1: skipped, no v1 controllers that may be written\n");
	return failed;
}
