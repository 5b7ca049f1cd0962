/* The contract of acting: the life of a lease, from its write to its undo. */
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

static void lease_is_applied_and_reverted_when_it_leaves_the_set(void **state)
{
	struct scene *s = *state;
	struct wire_lease_report r;

	scene_put_quota(s, s->tree.app, 25000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_assert_quota(s, s->tree.app, 60000);
	r = scene_take(s);
	assert_int_equal(r.state, LEASE_APPLIED);
	assert_int_equal(r.old_value, 250);
	assert_int_equal(r.value, 600);

	scene_send(s);
	scene_assert_silent(s);
	s->set.leases = 0;
	scene_send(s);
	scene_assert_quota(s, s->tree.app, 25000);
	scene_assert_report(s, 1, LEASE_REVERTED, "analyzer");
}

static void lease_not_renewed_is_reverted(void **state)
{
	struct scene *s = *state;

	scene_put_quota(s, s->tree.app, 25000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	actuator_tick(s->a, s->now + 9 * SECOND);
	scene_assert_quota(s, s->tree.app, 60000);
	assert_true(actuator_tick(s->a, s->now + 10 * SECOND) == UINT64_MAX);
	scene_assert_quota(s, s->tree.app, 25000);
	scene_take(s);
	scene_assert_report(s, 1, LEASE_REVERTED, "not renewed");
	scene_send(s);
	scene_assert_silent(s);
	scene_assert_quota(s, s->tree.app, 25000);
}

static void renewal_extends_the_lease(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	s->now += 9 * SECOND;
	scene_send(s);
	actuator_tick(s->a, s->now + 9 * SECOND);
	scene_assert_quota(s, s->tree.app, 60000);
}

static void older_epoch_changes_nothing(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_take(s);
	s->set.epoch = 6;
	s->set.leases = 0;
	assert_int_equal(actuator_set(s->a, &s->set, s->now), -ESTALE);
	scene_assert_quota(s, s->tree.app, 60000);
	actuator_close(s->a);
	s->a = NULL;
	scene_start(s);
	assert_int_equal(actuator_set(s->a, &s->set, s->now), -ESTALE);
}

static void unexpected_value_is_refused(void **state)
{
	struct scene *s = *state;

	scene_put_quota(s, s->tree.app, 30000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600)->expected = 250;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "holds 300 where 250 was expected");
	scene_assert_quota(s, s->tree.app, 30000);
}

static void foreign_change_wins(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_take(s);
	scene_put_quota(s, s->tree.app, 44000);
	s->now += SECOND;
	actuator_tick(s->a, s->now);
	scene_assert_report(s, 1, LEASE_YIELDED, "somebody else");
	scene_send(s);
	scene_assert_silent(s);
	scene_assert_quota(s, s->tree.app, 44000);
}

static void parent_rises_before_child_and_falls_after_it(void **state)
{
	struct scene *s = *state;

	scene_put_quota(s, s->tree.pod, 25000);
	scene_put_quota(s, s->tree.app, 20000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_add(s, 2, s->tree.pod, 800);
	scene_send(s);
	assert_int_equal(scene_take(s).state, LEASE_APPLIED);
	assert_int_equal(scene_take(s).state, LEASE_APPLIED);
	scene_assert_quota(s, s->tree.pod, 80000);
	scene_assert_quota(s, s->tree.app, 60000);
	s->set.leases = 0;
	scene_send(s);
	scene_assert_quota(s, s->tree.pod, 25000);
	scene_assert_quota(s, s->tree.app, 20000);
	scene_assert_report(s, 1, LEASE_REVERTED, "");
	scene_assert_report(s, 2, LEASE_REVERTED, "");
}

static void chain_is_all_or_nothing(void **state)
{
	struct scene *s = *state;

	scene_put_quota(s, s->tree.pod, 25000);
	scene_put_quota(s, s->tree.app, 20000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600)->expected = 1;
	scene_add(s, 2, s->tree.pod, 800);
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "expected");
	scene_assert_report(s, 2, LEASE_REFUSED, "together with");
	scene_assert_quota(s, s->tree.pod, 25000);
	scene_assert_quota(s, s->tree.app, 20000);
}

static void raise_never_lowers(void **state)
{
	struct scene *s = *state;
	struct wire_lease_report r;

	scene_put_quota(s, s->tree.app, 25000);
	scene_start(s);
	scene_add(s, 1, s->tree.pod, 400)->expected = WIRE_ANY_RAISE;
	scene_add(s, 2, s->tree.app, 400)->expected = WIRE_ANY_RAISE;
	scene_send(s);
	scene_assert_quota(s, s->tree.pod, -1);
	scene_assert_quota(s, s->tree.app, 40000);
	r = scene_take(s);
	assert_int_equal(r.state, LEASE_APPLIED);
	assert_int_equal(r.old_value, -1);
	assert_int_equal(r.value, -1);
	assert_int_equal(scene_take(s).value, 400);
	scene_put_quota(s, s->tree.pod, 90000);
	s->set.leases = 0;
	scene_send(s);
	scene_assert_quota(s, s->tree.pod, 90000);
	scene_assert_quota(s, s->tree.app, 25000);
}

static void memory_is_only_raised(void **state)
{
	struct scene *s = *state;
	const char *file = scene_real ? "memory.limit_in_bytes" : "memory.max";
	struct wire_lease *l;

	cgroup_tree_put(&s->tree, KNOB_MEMORY, s->tree.app, file, "67108864");
	scene_start(s);
	l = scene_add(s, 1, s->tree.app, 32 << 20);
	l->knob = KNOB_MEMORY_HIGH;
	scene_send(s);
	scene_assert_report(s, 1, LEASE_REFUSED, "only ever raised");
	s->set.leases = 0;
	l = scene_add(s, 2, s->tree.app, 128 << 20);
	l->knob = KNOB_MEMORY_HIGH;
	scene_send(s);
	scene_assert_report(s, 2, LEASE_APPLIED, "");
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "134217728");
	s->set.leases = 0;
	scene_send(s);
	assert_string_equal(cgroup_tree_get(&s->tree, KNOB_MEMORY, s->tree.app, file), "67108864");
}

static void one_knob_has_one_lease(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_add(s, 2, s->tree.app, 700);
	scene_send(s);
	scene_assert_report(s, 1, LEASE_APPLIED, "");
	scene_assert_report(s, 2, LEASE_REFUSED, "another lease");
}

static void vanished_cgroup_is_yielded(void **state)
{
	struct scene *s = *state;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	scene_take(s);
	cgroup_tree_remove(&s->tree);
	actuator_tick(s->a, s->now + SECOND);
	scene_assert_report(s, 1, LEASE_YIELDED, "gone");
}

static void closing_reverts_all(void **state)
{
	struct scene *s = *state;

	scene_put_quota(s, s->tree.app, 25000);
	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_send(s);
	actuator_close(s->a);
	s->a = NULL;
	scene_assert_quota(s, s->tree.app, 25000);
}

static void everything_is_in_the_action_log(void **state)
{
	struct scene *s = *state;
	char path[128], text[2048];
	size_t n;
	FILE *f;

	scene_start(s);
	scene_add(s, 1, s->tree.app, 600);
	scene_add(s, 2, "/nowhere", 600);
	scene_send(s);
	s->set.leases = 0;
	scene_send(s);
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(lease_is_applied_and_reverted_when_it_leaves_the_set),
		SCENE(lease_not_renewed_is_reverted),
		SCENE(renewal_extends_the_lease),
		SCENE(older_epoch_changes_nothing),
		SCENE(unexpected_value_is_refused),
		SCENE(foreign_change_wins),
		SCENE(parent_rises_before_child_and_falls_after_it),
		SCENE(chain_is_all_or_nothing),
		SCENE(raise_never_lowers),
		SCENE(memory_is_only_raised),
		SCENE(one_knob_has_one_lease),
		SCENE(vanished_cgroup_is_yielded),
		SCENE(closing_reverts_all),
		SCENE(everything_is_in_the_action_log),
	};

	return scene_run(tests, sizeof(tests) / sizeof(*tests));
}
