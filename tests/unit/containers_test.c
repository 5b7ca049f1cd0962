/* Containers born and gone, in cgroups of the test's own. Needs root. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "agent/containers.h"
#include "tests/unit/cgroup_fixture.h"

/* Linked with --wrap: a node that has no inotify instance left. */
static bool refuse_inotify;

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);

int __wrap_inotify_init1(int flags)
{
	if (!refuse_inotify)
		return __real_inotify_init1(flags);
	errno = EMFILE;
	return -1;
}

struct world {
	struct fixture fixture;
	struct cgroup_rules rules;
	char rule[128];
	struct containers *containers;
	unsigned joined, left;
};

static void count_joined(void *ctx, uint64_t cgroup_id)
{
	(void)cgroup_id;
	((struct world *)ctx)->joined++;
}

static void count_left(void *ctx, uint64_t cgroup_id)
{
	(void)cgroup_id;
	((struct world *)ctx)->left++;
}

static void open_containers(struct world *w, uint32_t max_containers)
{
	struct containers_options o = {.tree = &w->fixture.tree,
		.rules = &w->rules,
		.max_containers = max_containers,
		.max_cgroups = 4096,
		.joined = count_joined,
		.left = count_left,
		.ctx = w};

	w->joined = w->left = 0;
	assert_int_equal(containers_open(&w->containers, &o), 0);
}

static int open_world(void **state)
{
	static struct world w;
	const char *why;

	memset(&w, 0, sizeof(w));
	*state = &w;
	if (!fixture_open(&w.fixture, "containers"))
		return -1;
	snprintf(w.rule, sizeof(w.rule), "%s/{service}/{container}", w.fixture.root);
	return cgroup_rules_add(&w.rules, w.rule, &why);
}

static int close_world(void **state)
{
	struct world *w = *state;

	containers_close(w->containers);
	fixture_close(&w->fixture);
	return 0;
}

static uint64_t id_of(struct world *w, const char *path)
{
	char full[512];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", cgroup_tree_root(&w->fixture.tree), path);
	return stat(full, &st) ? 0 : st.st_ino;
}

static uint32_t find(struct world *w, const char *path)
{
	return containers_find(w->containers, id_of(w, path));
}

/* Only what inotify says: the deadline is far from the rescan's. */
static void take_events(struct world *w)
{
	struct pollfd fd = {.fd = containers_fd(w->containers), .events = POLLIN};

	assert_int_equal(poll(&fd, 1, 5000), 1);
	containers_events(w->containers);
}

static void a_container_there_at_the_start_is_found(void **state)
{
	struct world *w = *state;
	const char *pod = fixture_make(&w->fixture, "/cart"),
		   *app = fixture_make(&w->fixture, "/cart/app");
	const struct container *c;
	uint32_t slot;

	fixture_spawn(&w->fixture, app, fixture_idle, NULL);
	open_containers(w, 64);
	slot = find(w, app);
	assert_int_not_equal(slot, CONTAINERS_NONE);
	c = containers_at(w->containers, slot);
	assert_string_equal(c->name.service, "cart");
	assert_string_equal(c->name.container, "app");
	assert_string_equal(c->name.group, pod);
	assert_string_equal(c->path, app);
	assert_int_equal(find(w, pod), CONTAINERS_NONE);
	assert_int_equal(w->joined, 1);
}

static void a_container_is_born_and_goes(void **state)
{
	struct world *w = *state;
	const char *app;
	uint64_t id;
	pid_t pid;

	open_containers(w, 64);
	fixture_make(&w->fixture, "/cart");
	app = fixture_make(&w->fixture, "/cart/app");
	take_events(w);
	containers_refresh(w->containers, 1);
	id = id_of(w, app);
	assert_int_equal(containers_find(w->containers, id), CONTAINERS_NONE);
	pid = fixture_spawn(&w->fixture, app, fixture_idle, NULL);
	containers_refresh(w->containers, 1);
	assert_int_not_equal(containers_find(w->containers, id), CONTAINERS_NONE);
	fixture_stop(&w->fixture, pid);
	fixture_remove(&w->fixture, app);
	take_events(w);
	assert_int_equal(containers_find(w->containers, id), CONTAINERS_NONE);
	assert_int_equal(w->joined, 1);
	assert_int_equal(w->left, 1);
}

static void a_cgroup_inside_a_container_belongs_to_it(void **state)
{
	struct world *w = *state;
	const char *app, *inner;

	fixture_make(&w->fixture, "/cart");
	app = fixture_make(&w->fixture, "/cart/app");
	inner = fixture_make(&w->fixture, "/cart/app/worker");
	fixture_spawn(&w->fixture, inner, fixture_idle, NULL);
	open_containers(w, 64);
	assert_int_not_equal(find(w, inner), CONTAINERS_NONE);
	assert_int_equal(find(w, inner), find(w, app));
	assert_int_equal(w->joined, 2);
}

static void a_full_table_refuses_and_counts(void **state)
{
	struct world *w = *state;
	char below[32];

	for (int i = 0; i < 3; i++) {
		snprintf(below, sizeof(below), "/s%d", i);
		fixture_make(&w->fixture, below);
		snprintf(below, sizeof(below), "/s%d/app", i);
		fixture_spawn(&w->fixture, fixture_make(&w->fixture, below), fixture_idle, NULL);
	}
	open_containers(w, 2);
	containers_refresh(w->containers, 1);
	assert_int_equal(w->joined, 2);
	assert_int_equal(containers_refused(w->containers), 1);
}

/* In a tree of the test's own, so that nobody else's cgroups come and go in it. */
static void a_cgroup_without_room_counts_once(void **state)
{
	struct world *w = *state;
	struct cgroup_tree own = w->fixture.tree;
	struct cgroup_rules rules = {0};
	struct containers_options o = {
		.tree = &own, .rules = &rules, .max_containers = 1, .max_cgroups = 2};
	char *root = own.mount[CGROUP_CPU];

	for (int i = 0; i < 3; i++) {
		char below[32];

		snprintf(below, sizeof(below), "/s%d", i);
		fixture_make(&w->fixture, below);
	}
	snprintf(root + strlen(root), CGROUP_MOUNT - strlen(root), "%s", w->fixture.root);
	assert_int_equal(containers_open(&w->containers, &o), 0);
	assert_int_equal(containers_refused(w->containers), 2); /* the root and one have room */
	for (uint64_t second = 1; second < 60; second++)
		containers_refresh(w->containers, second * 1000000000);
	assert_int_equal(containers_refused(w->containers), 2);
	fixture_make(&w->fixture, "/s3");
	take_events(w);
	assert_int_equal(containers_refused(w->containers), 3);
	containers_refresh(w->containers, UINT64_MAX / 2);
	assert_int_equal(containers_refused(w->containers), 3);
}

static void a_rescan_finds_what_went_unnoticed(void **state)
{
	struct world *w = *state;
	const char *app;
	uint64_t id;

	fixture_make(&w->fixture, "/cart");
	app = fixture_make(&w->fixture, "/cart/app");
	fixture_stop(&w->fixture, fixture_spawn(&w->fixture, app, fixture_idle, NULL));
	fixture_spawn(&w->fixture, app, fixture_idle, NULL);
	open_containers(w, 64);
	id = id_of(w, app);
	assert_int_not_equal(containers_find(w->containers, id), CONTAINERS_NONE);
	fixture_stop(&w->fixture, w->fixture.child[0]);
	fixture_remove(&w->fixture, app);
	fixture_make(&w->fixture, "/cart/app");
	containers_refresh(w->containers, 1);
	containers_refresh(w->containers, UINT64_MAX / 2);
	assert_int_equal(containers_find(w->containers, id), CONTAINERS_NONE);
	assert_int_equal(w->left, 1);
}

/* The table holds the parent first: it must not take the child's leaving with it. */
static void a_rescan_tells_of_the_cgroups_inside(void **state)
{
	struct world *w = *state;
	const char *app, *inner;

	fixture_make(&w->fixture, "/cart");
	app = fixture_make(&w->fixture, "/cart/app");
	inner = fixture_make(&w->fixture, "/cart/app/worker");
	fixture_spawn(&w->fixture, inner, fixture_idle, NULL);
	refuse_inotify = true;
	open_containers(w, 64);
	refuse_inotify = false;
	containers_refresh(w->containers, 1);
	assert_int_equal(w->joined, 2);
	fixture_stop(&w->fixture, w->fixture.child[0]);
	fixture_remove(&w->fixture, inner);
	fixture_remove(&w->fixture, app);
	containers_refresh(w->containers, UINT64_MAX / 2);
	assert_int_equal(w->left, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_container_there_at_the_start_is_found, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_container_is_born_and_goes, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_cgroup_inside_a_container_belongs_to_it, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_full_table_refuses_and_counts, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_cgroup_without_room_counts_once, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_rescan_finds_what_went_unnoticed, open_world, close_world),
		cmocka_unit_test_setup_teardown(
			a_rescan_tells_of_the_cgroups_inside, open_world, close_world),
	};
	struct fixture probe;

	if (!fixture_open(&probe, "probe"))
		return 77;
	fixture_close(&probe);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
