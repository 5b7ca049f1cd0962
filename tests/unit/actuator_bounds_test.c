/* The contract of acting: what is refused, deferred, rationed and switched off. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "actuator_scene.h"

static void nothing_allowed_means_nothing_is_touched(void **state)
{
	struct scene *s = *state;

	s->allow[0] = NULL;
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_assert_quota(s, s->tree.app, -1);
	scene_assert_report(s, 1, LEASE_REFUSED, "not allowed");
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
	scene_start(s);
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		s->set.leases = 0;
		scene_add(s, 1 + i, paths[i], 600);
		scene_send(s);
		assert_int_equal(scene_take(s).state, LEASE_REFUSED);
	}
	s->set.leases = 0;
	scene_add(s, 100, s->tree.app, 600);
	scene_add(s, 101, s->tree.pod, 600);
	scene_send(s);
	scene_assert_report(s, 100, LEASE_REFUSED, "own cgroup");
	scene_assert_report(s, 101, LEASE_REFUSED, "own cgroup");
	scene_assert_quota(s, s->tree.app, -1);
}

/* The patterns compare text: a second text for the same cgroup would walk around them. */
static void one_cgroup_has_one_path(void **state)
{
	static const char *const forms[] = {"%s/", "%s/.", "%s/../app", "/.%s", "/%s", "%s//"};
	struct scene *s = *state;
	char path[WIRE_PATH];

	s->allow[0] = "*";
	scene_start(s);
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		const char *hole = strstr(forms[i], "%s");

		snprintf(path, sizeof(path), "%.*s%s%s", (int)(hole - forms[i]), forms[i],
			s->tree.app, hole + 2);
		s->set.leases = 0;
		scene_add(s, 1 + i, path, 600);
		scene_send(s);
		scene_assert_report(s, 1 + i, LEASE_REFUSED, "malformed path");
		scene_assert_quota(s, s->tree.app, -1);
	}
}

static void another_inode_is_refused(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600)->cgroup_id = s->tree.app_id + 1000000;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "made anew");
	scene_assert_quota(s, s->tree.app, -1);
}

static void group_is_known_by_its_child(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.pod, 600);
	scene_send(s);
	scene_assert_report(s, 1, LEASE_APPLIED, "");
	scene_assert_quota(s, s->tree.pod, 60000);
}

static void bounds_of_the_node_hold(void **state)
{
	struct scene *s = *state;

	scene_put_quota(s, s->tree.app, 25000);
	s->options.limits.floor[KNOB_CPU_QUOTA] = 100;
	s->options.limits.ceiling[KNOB_CPU_QUOTA] = 2000;
	s->options.limits.max_step = 4;
	scene_start(s);
	scene_add(s, 1, s->tree.app, 99);
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "floor of 100");
	s->set.leases = 0;
	scene_add(s, 2, s->tree.app, 2001);
	scene_send(s);
	scene_assert_report(s, 2, LEASE_REFUSED, "ceiling of 2000");
	s->set.leases = 0;
	scene_add(s, 3, s->tree.app, 1001);
	scene_send(s);
	scene_assert_report(s, 3, LEASE_REFUSED, "factor of 4");
	s->set.leases = 0;
	scene_add(s, 4, s->tree.app, -1);
	scene_send(s);
	scene_assert_report(s, 4, LEASE_REFUSED, "ceiling");
	scene_assert_quota(s, s->tree.app, 25000);
}

static void cooldown_defers_a_second_change(void **state)
{
	struct scene *s = *state;

	s->options.limits.cooldown_ms = 5000;
	scene_put_quota(s, s->tree.app, 25000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_take(s);
	s->set.leases = 0;
	scene_add(s, 2, s->tree.app, 700);
	s->now += 2 * SECOND;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REVERTED, "");
	scene_assert_silent(s);
	scene_assert_quota(s, s->tree.app, 25000);
	s->now += 5 * SECOND;
	scene_send(s);
	scene_assert_report(s, 2, LEASE_APPLIED, "");
	scene_assert_quota(s, s->tree.app, 70000);
}

static void node_holds_only_so_many_leases(void **state)
{
	struct scene *s = *state;

	s->options.limits.max_active = 1;
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_add(s, 2, s->tree.app, 200)->knob = KNOB_CPU_WEIGHT;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_APPLIED, "");
	scene_assert_report(s, 2, LEASE_REFUSED, "as many leases");
}

static void changes_per_minute_are_rationed(void **state)
{
	struct scene *s = *state;

	s->options.limits.max_changes_per_min = 1;
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_add(s, 2, s->tree.app, 200)->knob = KNOB_CPU_WEIGHT;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_APPLIED, "");
	scene_assert_silent(s);
	s->now += 60 * SECOND;
	scene_send(s);
	scene_assert_report(s, 2, LEASE_APPLIED, "");
}

static void other_modes_refuse_and_say_so(void **state)
{
	struct scene *s = *state;

	s->options.mode = ACTUATOR_OBSERVE;
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "only observes");
	scene_send(s);
	scene_assert_silent(s);
	actuator_close(s->a);
	s->options.mode = ACTUATOR_RECOMMEND;
	scene_start(s);
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "only recommends");
	scene_assert_quota(s, s->tree.app, -1);
}

static void kill_switch_reverts_all_and_refuses(void **state)
{
	struct scene *s = *state;
	char path[128];
	FILE *f;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_take(s);
	snprintf(path, sizeof(path), "%s/hold", s->state);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	actuator_tick(s->a, s->now + SECOND);
	scene_assert_quota(s, s->tree.app, -1);
	scene_assert_report(s, 1, LEASE_REVERTED, "kill switch");
	scene_add(s, 2, s->tree.app, 600);
	scene_send(s);
	scene_assert_report(s, 2, LEASE_REFUSED, "kill switch");
	scene_assert_quota(s, s->tree.app, -1);
}

static void released_leases_do_not_come_back(void **state)
{
	struct scene *s = *state;
	struct actuator_action held[2];

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_take(s);
	assert_int_equal(actuator_active(s->a, held, 2), 1);
	assert_int_equal(held[0].value, 600);
	assert_string_equal(held[0].path, s->tree.app);
	actuator_release(s->a, s->now);
	scene_assert_report(s, 1, LEASE_REVERTED, "released");
	scene_send(s);
	assert_int_equal(actuator_active(s->a, held, 2), 0);
	scene_assert_quota(s, s->tree.app, -1);
}

static void state_directory_has_one_agent(void **state)
{
	struct scene *s = *state;
	struct actuator *second = NULL;

	scene_start(s);
	assert_int_equal(actuator_open(&second, &s->options), -EBUSY);
	assert_null(second);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(nothing_allowed_means_nothing_is_touched),
		SCENE(roots_system_slices_and_itself_are_refused),
		SCENE(one_cgroup_has_one_path),
		SCENE(another_inode_is_refused),
		SCENE(group_is_known_by_its_child),
		SCENE(bounds_of_the_node_hold),
		SCENE(cooldown_defers_a_second_change),
		SCENE(node_holds_only_so_many_leases),
		SCENE(changes_per_minute_are_rationed),
		SCENE(other_modes_refuse_and_say_so),
		SCENE(kill_switch_reverts_all_and_refuses),
		SCENE(released_leases_do_not_come_back),
		SCENE(state_directory_has_one_agent),
	};

	return scene_run(tests, sizeof(tests) / sizeof(*tests));
}
