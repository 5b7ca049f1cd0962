/* The agent knows its own cgroup, in whatever namespaces it runs, and never touches it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/guard.h"
#include "agent/own_cgroup.h"
#include "tests/unit/cgroup_fixture.h"

/* What a child in a cgroup found out, in memory shared with it. */
struct finding {
	char mount[CGROUP_MOUNT];
	int namespaces; /* it gives itself */
	bool done;      /* the rest is there */
	int error;
	char told[WIRE_PATH];  /* by /proc/self/cgroup, of the unified hierarchy */
	char found[WIRE_PATH]; /* by us */
	bool may_touch_own, may_touch_parent, may_touch_sibling;
};

static struct finding *finding;
static struct fixture fixture;

static void ask_guard(struct finding *f)
{
	static const char *const allow[] = {"/sage-test-*", NULL};
	struct actuator_options o = {.allow = allow};
	char why[GUARD_WHY], other[WIRE_PATH + 8];
	struct guard g;

	if (guard_open(&g, &o, f->mount))
		return;
	f->may_touch_own = guard_path(&g, f->found, why);
	snprintf(other, sizeof(other), "%s-other", f->found);
	f->may_touch_sibling = guard_path(&g, other, why);
	snprintf(other, sizeof(other), "%s", f->found);
	*strrchr(other, '/') = '\0';
	f->may_touch_parent = guard_path(&g, other, why);
	guard_close(&g);
}

static void look(struct finding *f)
{
	char line[WIRE_PATH + 64];
	FILE *told = fopen("/proc/self/cgroup", "re");

	while (told && fgets(line, sizeof(line), told))
		sscanf(line, "0::%255s", f->told);
	if (told)
		fclose(told);
	f->error = own_cgroup_find(f->mount, f->found);
	if (!f->error)
		ask_guard(f);
}

static void find_out(const char *unused)
{
	pid_t pid;

	(void)unused;
	finding->error = finding->namespaces && unshare(finding->namespaces) ? -errno : 0;
	if (!finding->error) {
		pid = fork(); /* a process namespace begins with the children */
		if (!pid) {
			look(finding);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	finding->done = true;
	fixture_idle(NULL);
}

static bool is_done(void *unused)
{
	(void)unused;
	return finding->done;
}

static void assert_found(int namespaces)
{
	const char *path = fixture_make(&fixture, "/agent");

	assert_non_null(path);
	snprintf(finding->mount, sizeof(finding->mount), "%s", cgroup_tree_root(&fixture.tree));
	finding->namespaces = namespaces;
	assert_true(fixture_spawn(&fixture, path, find_out, NULL) > 0);
	assert_true(fixture_wait(is_done, NULL, 10000));
	assert_int_equal(finding->error, 0);
	assert_string_equal(finding->found, path);
	assert_false(finding->may_touch_own);
	assert_false(finding->may_touch_parent);
	assert_true(finding->may_touch_sibling);
}

static void found_on_the_host(void **state)
{
	(void)state;
	assert_found(0);
}

static void found_in_a_cgroup_namespace_of_its_own(void **state)
{
	(void)state;
	assert_found(CLONE_NEWCGROUP);
	assert_string_equal(finding->told, "/");
}

static void found_in_a_process_namespace_too(void **state)
{
	(void)state;
	assert_found(CLONE_NEWCGROUP | CLONE_NEWPID);
}

static void without_knowing_nothing_is_touched(void **state)
{
	static const char *const allow[] = {"*", NULL};
	struct actuator_options o = {.allow = allow};
	char path[WIRE_PATH], why[GUARD_WHY];
	struct guard g;

	(void)state;
	assert_int_equal(own_cgroup_find("/proc/self/fd", path), -ENOENT);
	assert_int_equal(guard_open(&g, &o, "/proc/self/fd"), 0);
	assert_false(guard_path(&g, "/pods/cart", why));
	assert_non_null(strstr(why, "its own"));
	guard_close(&g);
}

static int set_up(void **state)
{
	(void)state;
	finding = mmap(
		NULL, sizeof(*finding), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return finding == MAP_FAILED || !fixture_open(&fixture, "own") ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_close(&fixture);
	munmap(finding, sizeof(*finding));
	return 0;
}

#define IN_CGROUPS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		IN_CGROUPS(found_on_the_host),
		IN_CGROUPS(found_in_a_cgroup_namespace_of_its_own),
		IN_CGROUPS(found_in_a_process_namespace_too),
		cmocka_unit_test(without_knowing_nothing_is_touched),
	};

	if (!fixture_open(&fixture, "own"))
		return 77;
	fixture_close(&fixture);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
