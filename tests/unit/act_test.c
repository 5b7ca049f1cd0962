/* The life of actions on a scripted clock, SLO and agent. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "analyzer/act.h"

#define WINDOW_S 5
#define TARGET 100.0
#define INCIDENT 9

struct scene {
	struct act *act;
	struct act_options options;
	struct plan plan;
	double now_s;
	double slo;
	struct wire_leases held; /* what the agent was given last */
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	act_options_default(&s->options);
	s->options.mode = ACT_ENFORCE;
	s->now_s = 1000000;
	s->slo = 400;
	s->plan.predicted = 60;
	*state = s;
	return act_open(&s->act, &s->options, s->now_s);
}

static int teardown(void **state)
{
	struct scene *s = *state;

	wire_leases_close(&s->held);
	act_close(s->act);
	free(s);
	return 0;
}

static void add_step(struct scene *s, const char *path, int64_t value)
{
	struct plan_lease *l = &s->plan.lease[s->plan.leases++];

	l->step = s->plan.steps++;
	snprintf(l->agent, sizeof(l->agent), "node1");
	snprintf(l->service, sizeof(l->service), "cart");
	snprintf(l->lease.path, sizeof(l->lease.path), "%s", path);
	snprintf(l->lease.reason, sizeof(l->lease.reason), "why");
	l->lease.cgroup_id = 5;
	l->lease.knob = KNOB_CPU_QUOTA;
	l->lease.expected = WIRE_ANY_RAISE;
	l->lease.value = value;
}

static int propose(struct scene *s)
{
	return act_plan(s->act, INCIDENT, "user->web", "client_p99_us", s->slo, &s->plan, s->now_s);
}

static double read_slo(void *ctx, const char *entity, const char *metric, double *target)
{
	struct scene *s = ctx;

	assert_string_equal(entity, "user->web");
	assert_string_equal(metric, "client_p99_us");
	*target = TARGET;
	return s->slo;
}

static void windows(struct scene *s, unsigned n, double slo)
{
	s->slo = slo;
	while (n--) {
		s->now_s += WINDOW_S;
		act_tick(s->act, read_slo, s, s->now_s);
	}
}

static const struct action *last(const struct scene *s)
{
	const struct action *x;
	size_t n = act_actions(s->act, &x);

	assert_true(n > 0);
	return &x[n - 1];
}

static void assert_state(const struct scene *s, uint64_t id, enum action_state state)
{
	const struct action *x = act_find(s->act, id);

	assert_non_null(x);
	assert_string_equal(action_state_name(x->state), action_state_name(state));
}

static void poll_leases(struct scene *s)
{
	wire_leases_close(&s->held);
	assert_int_equal(act_leases(s->act, "node1", &s->held), 0);
}

static uint64_t only_lease(struct scene *s)
{
	poll_leases(s);
	assert_int_equal(s->held.leases, 1);
	return s->held.lease[0].id;
}

static void assert_no_lease(struct scene *s)
{
	poll_leases(s);
	assert_int_equal(s->held.leases, 0);
}

static void answer(struct scene *s, uint64_t id, enum wire_lease_state state, int64_t value)
{
	struct wire_lease_report r = {
		.id = id, .state = (uint8_t)state, .old_value = 100, .value = value};

	snprintf(r.detail, sizeof(r.detail), "agent says");
	act_report(s->act, "node1", &r, s->now_s);
}

/* Plan with one step, sent and applied. Returns its id. */
static uint64_t applied(struct scene *s)
{
	uint64_t id;

	if (!s->plan.leases)
		add_step(s, "/shop/cart/app", 600);
	assert_true(propose(s) > 0);
	id = only_lease(s);
	answer(s, id, LEASE_APPLIED, 600);
	assert_state(s, id, ACTION_APPLIED);
	return id;
}

static void what_is_granted_already_is_not_tried_again_with_another_amount(void **state)
{
	struct scene *s = *state;
	uint64_t id;

	add_step(s, "/shop/cart/app", 600);
	assert_true(propose(s) > 0);
	id = only_lease(s);
	answer(s, id, LEASE_APPLIED, 100); /* as it was */
	answer(s, id, LEASE_REVERTED, 100);
	assert_state(s, id, ACTION_REFUSED);
	s->plan.lease[0].lease.value = 900;
	assert_int_equal(propose(s), 0);
	assert_no_lease(s);
}

static void recommend_waits_for_a_person(void **state)
{
	struct scene *s = *state;
	uint64_t id;

	act_set_mode(s->act, ACT_RECOMMEND, s->now_s);
	add_step(s, "/shop/cart/app", 600);
	assert_int_equal(propose(s), 1);
	id = last(s)->id;
	assert_state(s, id, ACTION_PROPOSED);
	windows(s, 5, 400);
	assert_no_lease(s);
	assert_int_equal(act_apply(s->act, id, s->now_s), 0);
	assert_int_equal(only_lease(s), id);
	assert_int_equal(act_apply(s->act, id, s->now_s), -EINVAL);
	assert_int_equal(act_apply(s->act, 12345, s->now_s), -ENOENT);
}

static void observe_proposes_nothing(void **state)
{
	struct scene *s = *state;

	act_set_mode(s->act, ACT_OBSERVE, s->now_s);
	add_step(s, "/shop/cart/app", 600);
	assert_int_equal(propose(s), 0);
}

static void refreshed_plan_keeps_its_proposals(void **state)
{
	struct scene *s = *state;
	uint64_t id, revision;

	act_set_mode(s->act, ACT_RECOMMEND, s->now_s);
	add_step(s, "/shop/cart/app", 600);
	propose(s);
	id = last(s)->id;
	revision = act_revision(s->act);
	s->plan.lease[0].lease.value = 610;
	assert_int_equal(propose(s), 0);
	assert_int_equal(last(s)->id, id);
	assert_true(act_revision(s->act) == revision);
	s->plan.lease[0].lease.value = 900;
	assert_int_equal(propose(s), 1);
	assert_int_not_equal(last(s)->id, id);
}

static void lease_carries_what_the_agent_needs(void **state)
{
	struct scene *s = *state;

	applied(s);
	assert_true(s->held.epoch == 1000000);
	assert_true(s->held.lease[0].epoch == 1000000);
	assert_int_equal(s->held.lease[0].value, 600);
	assert_true(s->held.lease[0].expected == WIRE_ANY_RAISE);
	assert_int_equal(s->held.lease[0].ttl_ms, 30000);
	assert_string_equal(s->held.lease[0].path, "/shop/cart/app");
	wire_leases_close(&s->held);
	assert_int_equal(act_leases(s->act, "node2", &s->held), 0);
	assert_int_equal(s->held.leases, 0);
}

static void recovery_verifies_the_action(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	windows(s, 2, 60);
	assert_int_equal(act_find(s->act, id)->verified, -1);
	windows(s, 1, 60);
	assert_int_equal(act_find(s->act, id)->verified, 1);
	assert_true(act_find(s->act, id)->before == 400);
	assert_true(act_find(s->act, id)->after == 60);
	assert_int_equal(only_lease(s), id);
}

static void worse_is_undone_early(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	windows(s, 3, 900);
	assert_no_lease(s);
	assert_int_equal(act_find(s->act, id)->verified, 0);
	answer(s, id, LEASE_REVERTED, 100);
	assert_state(s, id, ACTION_REVERTED);
	assert_non_null(strstr(act_find(s->act, id)->detail, "worse"));
}

static void step_without_effect_gives_way_to_the_next(void **state)
{
	struct scene *s = *state;
	uint64_t first, second;

	add_step(s, "/shop/cart/sidecar", 50);
	add_step(s, "/shop/cart/app", 600);
	first = applied(s);
	windows(s, 5, 395);
	second = only_lease(s);
	assert_int_not_equal(first, second);
	answer(s, first, LEASE_REVERTED, 100);
	answer(s, second, LEASE_APPLIED, 600);
	windows(s, 3, 60);
	assert_int_equal(act_find(s->act, first)->verified, 0);
	assert_int_equal(act_find(s->act, second)->verified, 1);
}

static void partial_help_is_kept_while_the_next_is_tried(void **state)
{
	struct scene *s = *state;
	uint64_t first;

	add_step(s, "/shop/cart/sidecar", 50);
	add_step(s, "/shop/cart/app", 600);
	first = applied(s);
	windows(s, 5, 180);
	poll_leases(s);
	assert_int_equal(s->held.leases, 2);
	answer(s, s->held.lease[1].id, LEASE_APPLIED, 600);
	windows(s, 5, 175);
	assert_int_equal(only_lease(s), first);
	windows(s, 10, 180);
	assert_int_equal(only_lease(s), first);
	windows(s, 4, 450);
	assert_no_lease(s);
}

static void partial_help_outlives_a_refused_next_step(void **state)
{
	struct scene *s = *state;
	uint64_t first;

	add_step(s, "/shop/cart/sidecar", 50);
	add_step(s, "/shop/cart/app", 600);
	first = applied(s);
	windows(s, 5, 180);
	poll_leases(s);
	assert_int_equal(s->held.leases, 2);
	answer(s, s->held.lease[1].id, LEASE_REFUSED, 100);
	assert_int_equal(only_lease(s), first);
}

static void refused_step_gives_way_to_the_next(void **state)
{
	struct scene *s = *state;
	uint64_t first;

	add_step(s, "/shop/cart/sidecar", 50);
	add_step(s, "/shop/cart/app", 600);
	propose(s);
	first = only_lease(s);
	answer(s, first, LEASE_REFUSED, 100);
	assert_state(s, first, ACTION_REFUSED);
	assert_string_equal(act_find(s->act, first)->detail, "agent says");
	assert_int_not_equal(only_lease(s), first);
	assert_int_equal(propose(s), 0);
}

static void nothing_to_change_gives_way_to_the_next(void **state)
{
	struct scene *s = *state;
	uint64_t first;

	add_step(s, "/shop/cart/app", 50);
	add_step(s, "/shop/cart/app", 600);
	propose(s);
	first = only_lease(s);
	answer(s, first, LEASE_APPLIED, 100);
	assert_int_not_equal(only_lease(s), first);
}

/* What stands there after the end says nothing of what was done. */
static void ended_action_says_what_it_had_set(void **state)
{
	static const int64_t set[] = {600, 100}; /* changed it; found it granted */
	struct scene *s = *state;
	const struct action *x;
	uint64_t id[2];

	add_step(s, "/shop/cart", 600);
	add_step(s, "/shop/cart/app", 600);
	s->plan.lease[1].step = 0;
	s->plan.steps = 1;
	propose(s);
	assert_int_equal(act_actions(s->act, &x), 2);
	for (size_t i = 0; i < 2; i++) {
		id[i] = x[i].id;
		answer(s, id[i], LEASE_APPLIED, set[i]);
	}
	act_undo(s->act, id[0], s->now_s);
	for (size_t i = 0; i < 2; i++) {
		json_t *o;

		answer(s, id[i], LEASE_REVERTED, 100);
		assert_state(s, id[i], ACTION_REVERTED);
		o = action_to_json(act_find(s->act, id[i]));
		assert_int_equal(json_integer_value(json_object_get(o, "value")), set[i]);
		json_decref(o);
	}
}

static void failed_action_is_not_proposed_again_for_an_hour(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	windows(s, 5, 400);
	answer(s, id, LEASE_REVERTED, 100);
	assert_int_equal(propose(s), 0);
	assert_int_equal(act_plan(s->act, INCIDENT + 1, "user->web", "client_p99_us", 400, &s->plan,
				 s->now_s),
		0);
	s->now_s += 3601;
	assert_int_equal(act_plan(s->act, INCIDENT + 2, "user->web", "client_p99_us", 400, &s->plan,
				 s->now_s),
		1);
}

static void healthy_hold_is_lifted_on_trial(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	windows(s, 3, 60);
	windows(s, 23, 60);
	assert_int_equal(only_lease(s), id);
	windows(s, 1, 60);
	assert_no_lease(s);
	answer(s, id, LEASE_REVERTED, 100);
	assert_state(s, id, ACTION_LIFTED);
	windows(s, 10, 60);
	assert_no_lease(s);
	assert_int_equal(act_find(s->act, id)->verified, 1);
	assert_false(act_busy(s->act, INCIDENT));
}

static void trouble_that_returns_is_treated_again_for_longer(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s), again;

	windows(s, 3, 60);
	windows(s, 24, 60);
	assert_no_lease(s);
	answer(s, id, LEASE_REVERTED, 100);
	windows(s, 3, 400);
	again = only_lease(s);
	assert_int_not_equal(again, id);
	assert_int_equal(act_plan(s->act, INCIDENT + 1, "user->web", "client_p99_us", 400, &s->plan,
				 s->now_s),
		0);
	answer(s, again, LEASE_APPLIED, 600);
	windows(s, 3, 60);
	assert_int_equal(act_find(s->act, again)->verified, 1);
	windows(s, 47, 60);
	assert_int_equal(only_lease(s), again);
	windows(s, 1, 60);
	assert_no_lease(s);
}

static void action_that_stops_helping_is_undone(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	windows(s, 3, 60);
	windows(s, 4, 500);
	assert_no_lease(s);
	answer(s, id, LEASE_REVERTED, 100);
	assert_state(s, id, ACTION_REVERTED);
}

static void undo_by_hand_ends_the_episode(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	assert_int_equal(act_undo(s->act, id, s->now_s), 0);
	assert_no_lease(s);
	assert_int_equal(act_undo(s->act, id, s->now_s), -EINVAL);
	answer(s, id, LEASE_REVERTED, 100);
	assert_state(s, id, ACTION_REVERTED);
	windows(s, 3, 400);
	assert_int_equal(propose(s), 0);
	assert_no_lease(s);
}

static void foreign_change_ends_it(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	answer(s, id, LEASE_YIELDED, 333);
	assert_state(s, id, ACTION_YIELDED);
	assert_no_lease(s);
	assert_false(act_busy(s->act, INCIDENT));
}

static void silent_agent_is_given_up(void **state)
{
	struct scene *s = *state;
	uint64_t id;

	add_step(s, "/shop/cart/app", 600);
	propose(s);
	id = only_lease(s);
	windows(s, 12, 400);
	assert_no_lease(s);
	windows(s, 12, 400);
	assert_state(s, id, ACTION_REFUSED);
}

static void proposals_go_when_the_slo_recovers_by_itself(void **state)
{
	struct scene *s = *state;
	const struct action *x;

	act_set_mode(s->act, ACT_RECOMMEND, s->now_s);
	add_step(s, "/shop/cart/app", 600);
	propose(s);
	windows(s, 6, 60);
	assert_int_equal(act_actions(s->act, &x), 0);
}

static void missing_windows_decide_nothing(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);

	windows(s, 20, NAN);
	assert_int_equal(only_lease(s), id);
	assert_int_equal(act_find(s->act, id)->verified, -1);
}

static void restart_goes_on_in_a_new_term(void **state)
{
	struct scene *s = *state;
	uint64_t id = applied(s);
	struct act *again = NULL;
	json_t *saved;

	windows(s, 1, 60);
	saved = act_save(s->act);
	assert_non_null(saved);
	assert_int_equal(act_open(&again, &s->options, s->now_s - 500), 0);
	assert_int_equal(act_load(again, saved), 0);
	act_close(s->act);
	s->act = again;
	json_decref(saved);
	assert_int_equal(only_lease(s), id);
	assert_true(s->held.epoch == 1000001);
	windows(s, 2, 60);
	assert_int_equal(act_find(s->act, id)->verified, 1);
	s->plan.lease[0].lease.value = 2000;
	snprintf(s->plan.lease[0].lease.path, WIRE_PATH, "/else");
	act_plan(s->act, INCIDENT + 1, "user->web", "client_p99_us", 400, &s->plan, s->now_s);
	assert_true(last(s)->id > id);
}

static void damaged_save_is_refused_whole(void **state)
{
	struct scene *s = *state;
	struct act *again = NULL;
	const struct action *x;
	json_t *saved;

	applied(s);
	saved = act_save(s->act);
	json_object_set_new(json_array_get(json_object_get(saved, "actions"), 0), "knob_number",
		json_integer(99));
	assert_int_equal(act_open(&again, &s->options, s->now_s), 0);
	assert_int_equal(act_load(again, saved), -EBADMSG);
	assert_int_equal(act_actions(again, &x), 0);
	act_close(again);
	json_decref(saved);
}

static void json_has_the_fields_of_the_interface(void **state)
{
	static const char *const keys[] = {"id", "incident", "step", "agent", "service",
		"container", "path", "knob", "old_value", "value", "reason", "state", "detail",
		"created", "applied", "ended", "before", "after", "predicted", "verified"};
	struct scene *s = *state;
	json_t *o;

	applied(s);
	o = action_to_json(last(s));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_non_null(json_object_get(o, keys[i]));
	assert_int_equal(json_object_size(o), sizeof(keys) / sizeof(*keys));
	assert_true(json_is_null(json_object_get(o, "verified")));
	json_decref(o);
}

static void list_stays_bounded(void **state)
{
	struct scene *s = *state;
	const struct action *x;

	add_step(s, "/shop/cart/app", 600);
	for (uint64_t i = 0; i < 2 * ACT_MAX_ACTIONS; i++) {
		s->now_s += 4000;
		assert_int_equal(
			act_plan(s->act, i, "user->web", "client_p99_us", 400, &s->plan, s->now_s),
			1);
		answer(s, only_lease(s), LEASE_REFUSED, 100);
	}
	assert_true(act_actions(s->act, &x) <= ACT_MAX_ACTIONS);
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCENE(what_is_granted_already_is_not_tried_again_with_another_amount),
		SCENE(recommend_waits_for_a_person),
		SCENE(observe_proposes_nothing),
		SCENE(refreshed_plan_keeps_its_proposals),
		SCENE(lease_carries_what_the_agent_needs),
		SCENE(recovery_verifies_the_action),
		SCENE(worse_is_undone_early),
		SCENE(step_without_effect_gives_way_to_the_next),
		SCENE(partial_help_is_kept_while_the_next_is_tried),
		SCENE(partial_help_outlives_a_refused_next_step),
		SCENE(refused_step_gives_way_to_the_next),
		SCENE(nothing_to_change_gives_way_to_the_next),
		SCENE(ended_action_says_what_it_had_set),
		SCENE(failed_action_is_not_proposed_again_for_an_hour),
		SCENE(healthy_hold_is_lifted_on_trial),
		SCENE(trouble_that_returns_is_treated_again_for_longer),
		SCENE(action_that_stops_helping_is_undone),
		SCENE(undo_by_hand_ends_the_episode),
		SCENE(foreign_change_ends_it),
		SCENE(silent_agent_is_given_up),
		SCENE(proposals_go_when_the_slo_recovers_by_itself),
		SCENE(missing_windows_decide_nothing),
		SCENE(restart_goes_on_in_a_new_term),
		SCENE(damaged_save_is_refused_whole),
		SCENE(json_has_the_fields_of_the_interface),
		SCENE(list_stays_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
