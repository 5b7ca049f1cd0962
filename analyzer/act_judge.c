/* What agents report and what the SLO does afterwards: the transitions of an episode. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/act_state.h"

/* ---- reports ---- */

static void end_action(struct act *a, struct action *x, enum action_state state, double now_s)
{
	x->state = state;
	x->ending = ACTION_STATES;
	x->ended_s = now_s;
	a->revision++;
}

struct answers {
	unsigned waiting, failed, inert, applied;
};

static struct answers count_answers(const struct act *a, const struct episode *e)
{
	struct answers n = {0};

	for (size_t i = 0; i < a->actions; i++) {
		const struct action *x = &a->action[i];

		if (x->incident != e->incident || x->step != e->step)
			continue;
		n.waiting += x->state == ACTION_SENT && x->ending == ACTION_STATES;
		n.failed += x->state != ACTION_LIFTED && x->ended_s >= e->since_s;
		n.applied += x->state == ACTION_APPLIED && x->ending == ACTION_STATES;
		n.inert += x->state == ACTION_APPLIED && x->ending == ACTION_STATES &&
			   x->old_value == x->value;
	}
	return n;
}

/* Every lease of the step was answered: go on to judge it, or to the next one. */
static void take_answers(struct act *a, struct episode *e, double now_s)
{
	struct answers n = count_answers(a, e);

	if (n.waiting)
		return;
	if (!n.failed && n.applied > n.inert) {
		act_enter(a, e, PHASE_VERIFYING, now_s);
		return;
	}
	act_let_go(a, e, e->step, n.failed ? ACTION_REVERTED : ACTION_REFUSED,
		n.failed ? "undone: another action of its step was refused"
			 : "nothing to change: this much is granted already",
		now_s);
	act_next_step(a, e, now_s);
}

/* The agent let go of something that was meant to stay: somebody there knows better. */
static void take_loss(struct act *a, struct episode *e, double now_s)
{
	if (e->phase != PHASE_VERIFYING && e->phase != PHASE_HOLDING)
		return;
	act_let_go(a, e, ACT_ALL_STEPS, ACTION_REVERTED, "undone: a part of it was lost", now_s);
	act_withdraw(a, e->incident);
	act_enter(a, e, PHASE_OVER, now_s);
}

static struct action *find_reported(struct act *a, const char *agent, uint64_t id)
{
	for (size_t i = 0; i < a->actions; i++)
		if (a->action[i].id == id && !strcmp(a->action[i].agent, agent))
			return &a->action[i];
	return NULL;
}

void act_report(struct act *a, const char *agent, const struct wire_lease_report *r, double now_s)
{
	static const enum action_state becomes[WIRE_LEASE_STATES] = {
		[LEASE_APPLIED] = ACTION_APPLIED,
		[LEASE_REVERTED] = ACTION_REVERTED,
		[LEASE_REFUSED] = ACTION_REFUSED,
		[LEASE_YIELDED] = ACTION_YIELDED,
	};
	struct action *x = find_reported(a, agent, r->id);
	struct episode *e;
	bool unasked;

	if (!x || !action_is_out(x) || r->state >= WIRE_LEASE_STATES)
		return;
	unasked = x->ending == ACTION_STATES;
	x->old_value = r->old_value;
	if (isnan(x->applied_s)) /* what is reported at its end is what stands there then */
		x->value = r->value;
	if (unasked || r->state == LEASE_YIELDED)
		snprintf(x->detail, sizeof(x->detail), "%s", r->detail);
	if (r->state == LEASE_APPLIED) {
		x->state = ACTION_APPLIED;
		x->applied_s = now_s;
		a->revision++;
	} else {
		end_action(a, x,
			r->state == LEASE_REVERTED && !unasked ? x->ending : becomes[r->state],
			now_s);
	}
	e = act_episode(a, x->incident);
	if (!e)
		return;
	if (e->phase == PHASE_SENT)
		take_answers(a, e, now_s);
	else if (r->state != LEASE_APPLIED && unasked)
		take_loss(a, e, now_s);
}

/* ---- judgement ---- */

static void judge_actions(struct act *a, const struct episode *e, unsigned step, int verified)
{
	for (size_t i = 0; i < a->actions; i++) {
		struct action *x = &a->action[i];

		if (x->incident != e->incident || !action_is_live(x) ||
			(step != ACT_ALL_STEPS && x->step != step))
			continue;
		x->verified = verified;
		x->after = e->latest;
	}
}

static void fail_step(struct act *a, struct episode *e, const char *detail, double now_s)
{
	judge_actions(a, e, e->step, 0);
	act_let_go(a, e, e->step, ACTION_REVERTED, detail, now_s);
	act_next_step(a, e, now_s);
}

/* It closed at least half of the gap, and there is more to try: keep it and go on. */
static bool is_worth_keeping(const struct episode *e, double target)
{
	return e->step + 1 < e->steps && e->latest < e->before - 0.5 * (e->before - target);
}

static void judge_step(struct act *a, struct episode *e, double target, double now_s)
{
	const struct act_options *o = &a->options;

	if (e->windows <= o->settle_windows)
		e->good = e->bad = 0;
	if (e->good >= o->streak) {
		judge_actions(a, e, ACT_ALL_STEPS, 1);
		act_withdraw(a, e->incident);
		act_enter(a, e, PHASE_HOLDING, now_s);
	} else if (e->bad >= o->streak) {
		fail_step(a, e, "undone: the SLO became worse", now_s);
	} else if (e->windows >= o->settle_windows + o->verify_windows) {
		if (is_worth_keeping(e, target)) {
			judge_actions(a, e, e->step, -1);
			act_next_step(a, e, now_s);
		} else {
			fail_step(a, e, "undone: the SLO did not come back", now_s);
		}
	}
}

/* Held while it helps; healthy long enough, it is lifted to see whether it is needed still. */
static void judge_hold(struct act *a, struct episode *e, double now_s)
{
	if (e->bad >= 2 * a->options.streak) {
		act_let_go(
			a, e, ACT_ALL_STEPS, ACTION_REVERTED, "undone: it stopped helping", now_s);
		act_enter(a, e, PHASE_OVER, now_s);
	} else if (!isnan(e->healthy_s) && now_s - fmax(e->healthy_s, e->since_s) >= e->hold_s) {
		act_let_go(a, e, ACT_ALL_STEPS, ACTION_LIFTED, "lifted: the SLO is met", now_s);
		act_enter(a, e, PHASE_TRIAL, now_s);
	}
}

/* New leases for what was lifted: an agent never takes up an old one again. */
static void apply_again(struct act *a, struct episode *e, double now_s)
{
	double lifted_s = e->since_s;
	size_t n = a->actions;

	for (size_t i = 0; i < n; i++) {
		struct action old = a->action[i], *x;
		size_t before = a->actions;

		if (old.incident != e->incident || old.state != ACTION_LIFTED ||
			old.ended_s < lifted_s)
			continue;
		x = act_new_action(a);
		if (!x)
			break;
		/* Making room moved the list by one. */
		if (a->actions == before) {
			i--;
			n--;
		}
		old.id = x->id;
		old.state = ACTION_PROPOSED;
		old.created_s = now_s;
		old.applied_s = old.ended_s = old.after = NAN;
		old.old_value = old.value = WIRE_ANY_VALUE;
		old.verified = -1;
		old.step = e->step;
		snprintf(old.detail, sizeof(old.detail), "applied again: the trouble came back");
		*x = old;
	}
	e->hold_s = fmin(2 * e->hold_s, a->options.max_hold_s);
	e->steps = e->step + 1;
	act_send_step(a, e, now_s);
}

static void judge_trial(struct act *a, struct episode *e, double now_s)
{
	if (act_busy(a, e->incident))
		e->windows = e->good = e->bad = 0;
	else if (e->windows <= a->options.settle_windows)
		e->good = e->bad = 0;
	else if (e->bad >= a->options.streak)
		apply_again(a, e, now_s);
	else if (e->good >= a->options.trial_windows)
		act_enter(a, e, PHASE_OVER, now_s);
}

/* What counts against an episode: where it acts "worse than before", else a missed target. */
static bool is_bad(const struct act *a, const struct episode *e, double value, double target)
{
	if (e->phase == PHASE_VERIFYING)
		return value > a->options.worse_ratio * e->before;
	if (e->phase == PHASE_HOLDING)
		return value > target && value >= e->start;
	return value > target;
}

static void count_window(
	struct act *a, struct episode *e, double value, double target, double now_s)
{
	bool good = value <= target, bad;

	/* A method that gives no observed value leaves the first window to compare with. */
	if (isnan(e->start))
		e->start = e->before = value;
	bad = is_bad(a, e, value, target);
	e->latest = value;
	e->windows++;
	e->good = good ? e->good + 1 : 0;
	e->bad = bad ? e->bad + 1 : 0;
	if (!good)
		e->healthy_s = NAN;
	else if (isnan(e->healthy_s))
		e->healthy_s = now_s;
}

static void judge(struct act *a, struct episode *e, double target, double now_s)
{
	switch (e->phase) {
	case PHASE_PROPOSED:
		if (e->good < 3 * a->options.streak)
			break;
		act_withdraw(a, e->incident);
		act_enter(a, e, PHASE_OVER, now_s);
		break;
	case PHASE_VERIFYING:
		judge_step(a, e, target, now_s);
		break;
	case PHASE_HOLDING:
		judge_hold(a, e, now_s);
		break;
	case PHASE_TRIAL:
		judge_trial(a, e, now_s);
		break;
	case PHASE_SENT:
	case PHASE_OVER:
	case PHASES:
		break;
	}
}

/* Agents that say nothing: a lease they were to drop has expired there by now. */
static void give_up_waiting(struct act *a, double now_s)
{
	for (size_t i = 0; i < a->actions; i++) {
		struct action *x = &a->action[i];

		if (action_is_out(x) && x->ending != ACTION_STATES && now_s >= a->letgo_s[i])
			end_action(a, x, x->ending, now_s);
	}
	for (size_t i = 0; i < a->episodes; i++) {
		struct episode *e = &a->episode[i];

		if (e->phase != PHASE_SENT || now_s - e->since_s < a->options.answer_s)
			continue;
		act_let_go(a, e, e->step, ACTION_REFUSED, "the agent did not answer", now_s);
		act_next_step(a, e, now_s);
	}
}

void act_tick(struct act *a, act_slo_fn *slo, void *ctx, double now_s)
{
	give_up_waiting(a, now_s);
	for (size_t i = 0; i < a->episodes; i++) {
		struct episode *e = &a->episode[i];
		double target = NAN, value;

		if (e->phase == PHASE_OVER)
			continue;
		value = slo(ctx, e->entity, e->metric, &target);
		if (isnan(value) || isnan(target))
			continue;
		count_window(a, e, value, target, now_s);
		judge(a, e, target, now_s);
	}
}
