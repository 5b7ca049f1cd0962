/* From a plan to proposed actions: what of it is worth a try, in which steps. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "analyzer/act_state.h"

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
		e = act_new_episode(a, incident);
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
