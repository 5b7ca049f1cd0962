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

static struct episode *new_episode(struct act *a, uint64_t incident)
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

/* ---- plans ---- */

static bool is_same_place(const struct action *x, const struct plan_lease *l)
{
	return x->knob == (enum wire_knob)l->lease.knob && !strcmp(x->agent, l->agent) &&
	       !strcmp(x->path, l->lease.path);
}

static bool is_about(int64_t a, int64_t b)
{
	return fabs((double)a - (double)b) <= 0.1 * fabs((double)b);
}

/* The agent found that much granted already: another amount will not help either. */
static bool was_inert(const struct action *x)
{
	return x->state == ACTION_REFUSED && x->old_value != WIRE_ANY_VALUE &&
	       x->old_value == x->value;
}

/* Held already, or known to have failed. */
static bool is_pointless(
	const struct act *a, uint64_t incident, const struct plan_lease *l, double now_s)
{
	for (size_t i = 0; i < a->actions; i++) {
		const struct action *x = &a->action[i];

		if (!is_same_place(x, l))
			continue;
		if (action_is_live(x))
			return true;
		if (x->incident == incident && was_inert(x))
			return true;
		if (!is_about(x->wanted, l->lease.value))
			continue;
		if (x->state > ACTION_APPLIED && x->incident == incident && x->verified != 1)
			return true;
		if (x->verified == 0 && now_s - x->ended_s < a->options.remember_s)
			return true;
	}
	return false;
}

/* A step goes whole or not at all. */
static bool is_pointless_step(
	const struct act *a, uint64_t incident, const struct plan *p, unsigned step, double now_s)
{
	bool any = false;

	for (unsigned i = 0; i < p->leases; i++)
		if (p->lease[i].step == step && !is_pointless(a, incident, &p->lease[i], now_s))
			any = true;
	return !any;
}

/* The refreshed plan says what is proposed already: keep it, with its ids. */
static bool is_proposed(const struct act *a, uint64_t incident, const struct plan *p)
{
	unsigned proposed = 0, found = 0;

	for (size_t i = 0; i < a->actions; i++) {
		const struct action *x = &a->action[i];

		if (x->incident != incident || x->state != ACTION_PROPOSED)
			continue;
		proposed++;
		for (unsigned j = 0; j < p->leases; j++)
			if (is_same_place(x, &p->lease[j]) &&
				is_about(x->wanted, p->lease[j].lease.value)) {
				found++;
				break;
			}
	}
	return proposed > 0 && found == proposed;
}

static int propose(struct act *a, const struct episode *e, const struct plan *p,
	const struct plan_lease *l, unsigned step, double now_s)
{
	struct action *x = act_new_action(a);

	if (!x)
		return -ENOMEM;
	x->incident = e->incident;
	x->step = step;
	x->created_s = now_s;
	x->before = e->before;
	x->predicted = p->predicted;
	x->cgroup_id = l->lease.cgroup_id;
	x->knob = (enum wire_knob)l->lease.knob;
	x->expected = l->lease.expected;
	x->wanted = l->lease.value;
	memcpy(x->agent, l->agent, sizeof(x->agent));
	memcpy(x->service, l->service, sizeof(x->service));
	memcpy(x->container, l->container, sizeof(x->container));
	memcpy(x->path, l->lease.path, sizeof(x->path));
	memcpy(x->reason, l->lease.reason, sizeof(x->reason));
	return 0;
}

/* The steps that are worth a try, numbered anew. Returns how many actions. */
static int propose_steps(struct act *a, struct episode *e, const struct plan *p, double now_s)
{
	int n = 0;

	e->step = e->steps = 0;
	for (unsigned step = 0; step < p->steps; step++) {
		if (is_pointless_step(a, e->incident, p, step, now_s))
			continue;
		for (unsigned i = 0; i < p->leases; i++) {
			if (p->lease[i].step != step)
				continue;
			if (propose(a, e, p, &p->lease[i], e->steps, now_s))
				return -ENOMEM;
			n++;
		}
		e->steps++;
	}
	return n;
}

/* Another incident's episode is busy with the same SLO. */
static bool is_tended(
	const struct act *a, uint64_t incident, const char *entity, const char *metric)
{
	for (size_t i = 0; i < a->episodes; i++) {
		const struct episode *e = &a->episode[i];

		if (e->incident != incident && !strcmp(e->entity, entity) &&
			!strcmp(e->metric, metric) &&
			(e->phase == PHASE_SENT || e->phase == PHASE_VERIFYING ||
				e->phase == PHASE_TRIAL))
			return true;
	}
	return false;
}

int act_plan(struct act *a, uint64_t incident, const char *entity, const char *metric,
	double before, const struct plan *p, double now_s)
{
	struct episode *e = act_episode(a, incident);
	int n;

	if (a->options.mode == ACT_OBSERVE || is_tended(a, incident, entity, metric))
		return 0;
	if (e && (e->by_hand || (e->phase != PHASE_PROPOSED && e->phase != PHASE_OVER)))
		return 0;
	if (e && e->phase == PHASE_PROPOSED && is_proposed(a, incident, p))
		return 0;
	if (!e)
		e = new_episode(a, incident);
	if (!e)
		return -ENOMEM;
	snprintf(e->entity, sizeof(e->entity), "%s", entity);
	snprintf(e->metric, sizeof(e->metric), "%s", metric);
	e->start = e->before = e->latest = before;
	act_withdraw(a, incident);
	n = propose_steps(a, e, p, now_s);
	if (n > 0 || e->phase != PHASE_OVER)
		act_enter(a, e, n > 0 ? PHASE_PROPOSED : PHASE_OVER, now_s);
	if (n > 0 && a->options.mode == ACT_ENFORCE)
		act_send_step(a, e, now_s);
	return n;
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
