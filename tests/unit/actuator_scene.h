/*
 * The scene of the tests of acting: a small tree of cgroups, an agent's state
 * directory, and an actuator that is sent sets of leases on a clock of the test's.
 * Each test runs twice: on files like cgroup v2's, and on real cgroups of v1.
 */
#ifndef SAGE_TESTS_UNIT_ACTUATOR_SCENE_H
#define SAGE_TESTS_UNIT_ACTUATOR_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/actuator.h"
#include "cgroup_tree.h"

#define SECOND 1000000000ULL
#define START (1000 * SECOND)

/* On real cgroups of v1 just now? */
extern bool scene_real;

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

/* cmocka's set-up and tear-down; the actuator is opened by scene_start(). */
int scene_open(void **state);
int scene_close(void **state);
#define SCENE(f) cmocka_unit_test_setup_teardown(f, scene_open, scene_close)

void scene_start(struct scene *s);

/* A cgroup's CPU quota as its file has it; put and compared in us a period of 100 ms, < 0 = none.
 */
const char *scene_quota(const struct scene *s, const char *path);
void scene_put_quota(const struct scene *s, const char *path, int us);
void scene_assert_quota(const struct scene *s, const char *path, int us);

/* Add a CPU quota lease to the set; send the set at the scene's time. */
struct wire_lease *scene_add(struct scene *s, uint64_t id, const char *path, int64_t value);
void scene_send(struct scene *s);

/* The next report, of which there must be one; what it must say; and that there is none. */
struct wire_lease_report scene_take(struct scene *s);
void scene_assert_report(
	struct scene *s, uint64_t id, enum wire_lease_state state, const char *detail);
void scene_assert_silent(struct scene *s);

/* Run the tests on both trees; main()'s status. */
int scene_run(const struct CMUnitTest *tests, size_t count);

#endif
