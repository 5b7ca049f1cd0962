#include "analyzer/act.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/act_state.h"

static const char *const mode_name[] = {"observe", "recommend", "enforce"};
static const char *const state_name[ACTION_STATES] = {
	[ACTION_PROPOSED] = "proposed",
	[ACTION_SENT] = "sent",
	[ACTION_APPLIED] = "applied",
	[ACTION_REFUSED] = "refused",
	[ACTION_YIELDED] = "yielded",
	[ACTION_REVERTED] = "reverted",
	[ACTION_LIFTED] = "lifted",
};

const char *act_mode_name(enum act_mode m)
{
	return m <= ACT_ENFORCE ? mode_name[m] : "unknown";
}

bool act_mode_parse(const char *name, enum act_mode *out)
{
	for (unsigned m = 0; m <= ACT_ENFORCE; m++)
		if (!strcmp(name, mode_name[m])) {
			*out = (enum act_mode)m;
			return true;
		}
	return false;
}

const char *action_state_name(enum action_state s)
{
	return s < ACTION_STATES ? state_name[s] : "unknown";
}

void act_options_default(struct act_options *o)
{
	*o = (struct act_options){
		.mode = ACT_RECOMMEND,
		.ttl_ms = 30000,
		.settle_windows = 1,
		.verify_windows = 4,
		.streak = 2,
		.worse_ratio = 1.25,
		.hold_s = 120,
		.max_hold_s = 3600,
		.trial_windows = 6,
		.answer_s = 60,
		.remember_s = 3600,
	};
}

int act_open(struct act **out, const struct act_options *o, double now_s)
{
	struct act *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->options = *o;
	a->epoch = (uint64_t)now_s;
	a->next_id = 1;
	*out = a;
	return 0;
}

void act_close(struct act *a)
{
	free(a);
}

/* ---- lists ---- */

struct episode *act_episode(struct act *a, uint64_t incident)
{
	for (size_t i = 0; i < a->episodes; i++)
		if (a->episode[i].incident == incident)
			return &a->episode[i];
	return NULL;
}

static void remove_action(struct act *a, size_t i)
{
	size_t after = --a->actions - i;

	memmove(&a->action[i], &a->action[i + 1], after * sizeof(*a->action));
	memmove(&a->letgo_s[i], &a->letgo_s[i + 1], after * sizeof(*a->letgo_s));
	a->revision++;
}

static bool forget_oldest_ended(struct act *a)
{
	for (size_t i = 0; i < a->actions; i++)
		if (a->action[i].state > ACTION_APPLIED) {
			remove_action(a, i);
			return true;
		}
	return false;
}

struct action *act_new_action(struct act *a)
{
	struct action *x;

	if (a->actions == ACT_MAX_ACTIONS && !forget_oldest_ended(a))
		return NULL;
	x = &a->action[a->actions++];
	*x = (struct action){.id = a->next_id++,
		.ending = ACTION_STATES,
		.old_value = WIRE_ANY_VALUE,
		.value = WIRE_ANY_VALUE,
		.applied_s = NAN,
		.ended_s = NAN,
		.before = NAN,
		.after = NAN,
		.predicted = NAN,
		.verified = -1};
	a->revision++;
	return x;
}

static bool has_actions_out(const struct act *a, uint64_t incident)
{
	for (size_t i = 0; i < a->actions; i++)
		if (a->action[i].incident == incident && action_is_out(&a->action[i]))
			return true;
	return false;
}

struct episode *act_new_episode(struct act *a, uint64_t incident)
{
	size_t i = 0;

	while (a->episodes == ACT_MAX_EPISODES && i < a->episodes) {
		if (a->episode[i].phase != PHASE_OVER ||
			has_actions_out(a, a->episode[i].incident)) {
			i++;
			continue;
		}
		a->episodes--;
		memmove(&a->episode[i], &a->episode[i + 1],
			(a->episodes - i) * sizeof(*a->episode));
	}
	if (a->episodes == ACT_MAX_EPISODES)
		return NULL;
	a->episode[a->episodes] = (struct episode){.incident = incident,
		.phase = PHASE_OVER,
		.start = NAN,
		.before = NAN,
		.latest = NAN,
		.healthy_s = NAN,
		.hold_s = a->options.hold_s};
	return &a->episode[a->episodes++];
}

void act_withdraw(struct act *a, uint64_t incident)
{
	for (size_t i = a->actions; i-- > 0;)
		if (a->action[i].incident == incident && a->action[i].state == ACTION_PROPOSED)
			remove_action(a, i);
}

static bool has_live_actions(const struct act *a, uint64_t incident)
{
	for (size_t i = 0; i < a->actions; i++)
		if (a->action[i].incident == incident && action_is_live(&a->action[i]))
			return true;
	return false;
}

/* ---- steps ---- */

void act_enter(struct act *a, struct episode *e, enum phase phase, double now_s)
{
	e->phase = phase;
	e->since_s = now_s;
	e->windows = e->good = e->bad = 0;
	a->revision++;
}

void act_send_step(struct act *a, struct episode *e, double now_s)
{
	if (!isnan(e->latest))
		e->before = e->latest;
	for (size_t i = 0; i < a->actions; i++) {
		struct action *x = &a->action[i];

		if (x->incident != e->incident || x->step != e->step || x->state != ACTION_PROPOSED)
			continue;
		x->state = ACTION_SENT;
		x->before = e->before;
	}
	act_enter(a, e, PHASE_SENT, now_s);
}

void act_let_go(struct act *a, struct episode *e, unsigned step, enum action_state ending,
	const char *detail, double now_s)
{
	for (size_t i = 0; i < a->actions; i++) {
		struct action *x = &a->action[i];

		if (x->incident != e->incident || !action_is_live(x) ||
			(step != ACT_ALL_STEPS && x->step != step))
			continue;
		x->ending = ending;
		a->letgo_s[i] = now_s + 2.0 * a->options.ttl_ms / 1000;
		snprintf(x->detail, sizeof(x->detail), "%s", detail);
	}
	a->revision++;
}

void act_next_step(struct act *a, struct episode *e, double now_s)
{
	if (e->step + 1 >= e->steps) {
		/* What helped in part stays as long as it helps. */
		act_enter(
			a, e, has_live_actions(a, e->incident) ? PHASE_HOLDING : PHASE_OVER, now_s);
		return;
	}
	e->step++;
	if (a->options.mode == ACT_ENFORCE)
		act_send_step(a, e, now_s);
	else
		act_enter(a, e, PHASE_PROPOSED, now_s);
}

/* ---- by hand ---- */

enum act_mode act_mode(const struct act *a)
{
	return a->options.mode;
}

void act_set_mode(struct act *a, enum act_mode m, double now_s)
{
	a->options.mode = m;
	a->revision++;
	for (size_t i = 0; i < a->episodes; i++) {
		struct episode *e = &a->episode[i];

		if (e->phase != PHASE_PROPOSED)
			continue;
		if (m == ACT_ENFORCE)
			act_send_step(a, e, now_s);
		if (m != ACT_OBSERVE)
			continue;
		act_withdraw(a, e->incident);
		act_enter(a, e, PHASE_OVER, now_s);
	}
}

const struct action *act_find(const struct act *a, uint64_t id)
{
	for (size_t i = 0; i < a->actions; i++)
		if (a->action[i].id == id)
			return &a->action[i];
	return NULL;
}

int act_apply(struct act *a, uint64_t id, double now_s)
{
	const struct action *x = act_find(a, id);
	struct episode *e = x ? act_episode(a, x->incident) : NULL;

	if (!x)
		return -ENOENT;
	if (!e || x->state != ACTION_PROPOSED ||
		(e->phase != PHASE_PROPOSED && e->phase != PHASE_OVER))
		return -EINVAL;
	e->step = x->step;
	act_send_step(a, e, now_s);
	return 0;
}

int act_undo(struct act *a, uint64_t id, double now_s)
{
	const struct action *x = act_find(a, id);
	struct episode *e = x ? act_episode(a, x->incident) : NULL;

	if (!x)
		return -ENOENT;
	if (!e || !action_is_live(x))
		return -EINVAL;
	act_let_go(a, e, ACT_ALL_STEPS, ACTION_REVERTED, "undone by hand", now_s);
	act_withdraw(a, e->incident);
	act_enter(a, e, PHASE_OVER, now_s);
	e->by_hand = true;
	return 0;
}

/* ---- reading ---- */

int act_leases(const struct act *a, const char *agent, struct wire_leases *out)
{
	struct wire_lease *lease = calloc(WIRE_MAX_LEASES, sizeof(*lease));
	uint32_t n = 0;

	if (!lease)
		return -ENOMEM;
	for (size_t i = 0; i < a->actions && n < WIRE_MAX_LEASES; i++) {
		const struct action *x = &a->action[i];
		struct wire_lease *l = &lease[n];

		if (!action_is_live(x) || strcmp(x->agent, agent))
			continue;
		n++;
		*l = (struct wire_lease){.id = x->id,
			.epoch = a->epoch,
			.cgroup_id = x->cgroup_id,
			.knob = (uint8_t)x->knob,
			.expected = x->expected,
			.value = x->wanted,
			.ttl_ms = a->options.ttl_ms};
		memcpy(l->path, x->path, sizeof(l->path));
		memcpy(l->reason, x->reason, sizeof(l->reason));
	}
	*out = (struct wire_leases){.epoch = a->epoch, .leases = n, .lease = lease};
	return 0;
}

uint64_t act_revision(const struct act *a)
{
	return a->revision;
}

size_t act_actions(const struct act *a, const struct action **out)
{
	*out = a->action;
	return a->actions;
}

bool act_busy(const struct act *a, uint64_t incident)
{
	return has_actions_out(a, incident);
}
