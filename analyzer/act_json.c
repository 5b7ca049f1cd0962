/* Actions and episodes as JSON: for the HTTP interface, and to be stored and read back. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/act_state.h"
#include "common/json.h"

/* JSON knows no NaN, and "no value" of a knob is not a number either. */
static json_t *knob_number(int64_t value)
{
	return value == WIRE_ANY_VALUE ? json_null() : json_integer(value);
}

static json_t *verified(int v)
{
	return v < 0 ? json_null() : json_boolean(v);
}

/* `value` is what is, was or will be set; wire's special values never stand there. */
json_t *action_to_json(const struct action *x)
{
	int64_t value = isnan(x->applied_s) ? x->wanted : x->value;

	return json_pack(
		"{s:I, s:I, s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:o, s:o, s:o, "
		"s:o, s:o, s:o, s:o}",
		"id", (json_int_t)x->id, "incident", (json_int_t)x->incident, "step", (int)x->step,
		"agent", x->agent, "service", x->service, "container", x->container, "path",
		x->path, "knob", wire_knob_name(x->knob), "old_value", knob_number(x->old_value),
		"value", knob_number(value), "reason", x->reason, "state",
		action_state_name(x->state), "detail", x->detail, "created",
		json_number_or_null(x->created_s), "applied", json_number_or_null(x->applied_s),
		"ended", json_number_or_null(x->ended_s), "before", json_number_or_null(x->before),
		"after", json_number_or_null(x->after), "predicted",
		json_number_or_null(x->predicted), "verified", verified(x->verified));
}

/* ---- saving: what the public object does not say ---- */

static json_t *save_action(const struct act *a, size_t i)
{
	const struct action *x = &a->action[i];
	json_t *o = action_to_json(x);
	json_t *more = json_pack("{s:I, s:i, s:I, s:I, s:o, s:i, s:i, s:o}", "cgroup_id",
		(json_int_t)x->cgroup_id, "knob_number", (int)x->knob, "expected",
		(json_int_t)x->expected, "wanted", (json_int_t)x->wanted, "value",
		knob_number(x->value), "state_number", (int)x->state, "ending", (int)x->ending,
		"letgo", json_number_or_null(x->ending == ACTION_STATES ? NAN : a->letgo_s[i]));

	if (o && json_object_update(o, more)) {
		json_decref(o);
		o = NULL;
	}
	json_decref(more);
	return o;
}

static json_t *save_episode(const struct episode *e)
{
	return json_pack(
		"{s:I, s:s, s:s, s:i, s:i, s:i, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:i, "
		"s:i}",
		"incident", (json_int_t)e->incident, "entity", e->entity, "metric", e->metric,
		"phase", (int)e->phase, "step", (int)e->step, "steps", (int)e->steps, "by_hand",
		e->by_hand, "start", json_number_or_null(e->start), "since",
		json_number_or_null(e->since_s), "before", json_number_or_null(e->before), "latest",
		json_number_or_null(e->latest), "healthy", json_number_or_null(e->healthy_s),
		"hold", json_number_or_null(e->hold_s), "windows", (int)e->windows, "good",
		(int)e->good, "bad", (int)e->bad);
}

json_t *act_save(const struct act *a)
{
	json_t *actions = json_array(), *episodes = json_array();
	int failed = !actions || !episodes;

	for (size_t i = 0; i < a->actions && !failed; i++)
		failed = json_array_append_new(actions, save_action(a, i));
	for (size_t i = 0; i < a->episodes && !failed; i++)
		failed = json_array_append_new(episodes, save_episode(&a->episode[i]));
	if (failed) {
		json_decref(actions);
		json_decref(episodes);
		return NULL;
	}
	return json_pack("{s:I, s:I, s:o, s:o}", "epoch", (json_int_t)a->epoch, "next_id",
		(json_int_t)a->next_id, "actions", actions, "episodes", episodes);
}

/* ---- loading ---- */

static bool take_text(const json_t *o, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (!s || strlen(s) >= size)
		return false;
	memcpy(out, s, strlen(s) + 1);
	return true;
}

static bool take_int(const json_t *o, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(o, key);

	*out = json_integer_value(v);
	return json_is_integer(v);
}

/* Null is NaN. */
static bool take_number(const json_t *o, const char *key, double *out)
{
	const json_t *v = json_object_get(o, key);

	*out = json_is_null(v) ? NAN : json_number_value(v);
	return json_is_null(v) || json_is_number(v);
}

static bool take_knob_number(const json_t *o, const char *key, int64_t *out)
{
	const json_t *v = json_object_get(o, key);

	*out = json_is_null(v) ? WIRE_ANY_VALUE : json_integer_value(v);
	return json_is_null(v) || json_is_integer(v);
}

/* A whole number 0 <= n < end. */
static bool take_below(const json_t *o, const char *key, int64_t end, int64_t *out)
{
	return take_int(o, key, out) && *out >= 0 && *out < end;
}

static bool load_texts(const json_t *o, struct action *x)
{
	return take_text(o, "agent", x->agent, sizeof(x->agent)) &&
	       take_text(o, "service", x->service, sizeof(x->service)) &&
	       take_text(o, "container", x->container, sizeof(x->container)) &&
	       take_text(o, "path", x->path, sizeof(x->path)) &&
	       take_text(o, "reason", x->reason, sizeof(x->reason)) &&
	       take_text(o, "detail", x->detail, sizeof(x->detail));
}

static bool load_numbers(const json_t *o, struct action *x, double *letgo_s)
{
	const json_t *v = json_object_get(o, "verified");

	x->verified = json_is_boolean(v) ? json_is_true(v) : -1;
	return take_number(o, "created", &x->created_s) &&
	       take_number(o, "applied", &x->applied_s) && take_number(o, "ended", &x->ended_s) &&
	       take_number(o, "before", &x->before) && take_number(o, "after", &x->after) &&
	       take_number(o, "predicted", &x->predicted) && take_number(o, "letgo", letgo_s) &&
	       take_int(o, "expected", &x->expected) && take_int(o, "wanted", &x->wanted) &&
	       take_knob_number(o, "old_value", &x->old_value) &&
	       take_knob_number(o, "value", &x->value);
}

static bool load_action(struct act *a, const json_t *o)
{
	struct action *x = &a->action[a->actions];
	int64_t id, incident, cgroup, knob, step, state, ending;

	if (a->actions == ACT_MAX_ACTIONS || !load_texts(o, x) ||
		!load_numbers(o, x, &a->letgo_s[a->actions]) ||
		!take_below(o, "id", (int64_t)a->next_id, &id) ||
		!take_int(o, "incident", &incident) || !take_int(o, "cgroup_id", &cgroup) ||
		!take_below(o, "knob_number", WIRE_KNOBS, &knob) ||
		!take_below(o, "step", PLAN_MAX_STEPS, &step) ||
		!take_below(o, "state_number", ACTION_STATES, &state) ||
		!take_below(o, "ending", ACTION_STATES + 1, &ending))
		return false;
	x->id = (uint64_t)id;
	x->incident = (uint64_t)incident;
	x->cgroup_id = (uint64_t)cgroup;
	x->knob = (enum wire_knob)knob;
	x->step = (unsigned)step;
	x->state = (enum action_state)state;
	x->ending = (enum action_state)ending;
	a->actions++;
	return true;
}

static bool load_episode(struct act *a, const json_t *o)
{
	struct episode *e = &a->episode[a->episodes];
	int64_t incident, phase, step, steps, windows, good, bad;

	if (a->episodes == ACT_MAX_EPISODES ||
		!take_text(o, "entity", e->entity, sizeof(e->entity)) ||
		!take_text(o, "metric", e->metric, sizeof(e->metric)) ||
		!take_int(o, "incident", &incident) || !take_below(o, "phase", PHASES, &phase) ||
		!take_below(o, "step", PLAN_MAX_STEPS, &step) ||
		!take_below(o, "steps", PLAN_MAX_STEPS + 1, &steps) ||
		!take_below(o, "windows", INT32_MAX, &windows) ||
		!take_below(o, "good", INT32_MAX, &good) ||
		!take_below(o, "bad", INT32_MAX, &bad) || !take_number(o, "start", &e->start) ||
		!take_number(o, "since", &e->since_s) || !take_number(o, "before", &e->before) ||
		!take_number(o, "latest", &e->latest) ||
		!take_number(o, "healthy", &e->healthy_s) || !take_number(o, "hold", &e->hold_s))
		return false;
	e->by_hand = json_is_true(json_object_get(o, "by_hand"));
	e->incident = (uint64_t)incident;
	e->phase = (enum phase)phase;
	e->step = (unsigned)step;
	e->steps = (unsigned)steps;
	e->windows = (unsigned)windows;
	e->good = (unsigned)good;
	e->bad = (unsigned)bad;
	a->episodes++;
	return true;
}

static bool load_all(struct act *a, const json_t *saved)
{
	int64_t epoch, next_id;
	const json_t *o;
	size_t i;

	if (!take_below(saved, "epoch", INT64_MAX, &epoch) ||
		!take_below(saved, "next_id", INT64_MAX, &next_id))
		return false;
	/* A new term, even when the clock went back. */
	if ((uint64_t)epoch >= a->epoch)
		a->epoch = (uint64_t)epoch + 1;
	a->next_id = (uint64_t)next_id;
	json_array_foreach(
		json_object_get(saved, "actions"), i, o) if (!load_action(a, o)) return false;
	json_array_foreach(
		json_object_get(saved, "episodes"), i, o) if (!load_episode(a, o)) return false;
	return true;
}

int act_load(struct act *a, const json_t *saved)
{
	struct act *fresh = malloc(sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	*fresh = *a;
	if (!load_all(fresh, saved)) {
		free(fresh);
		return -EBADMSG;
	}
	*a = *fresh;
	free(fresh);
	return 0;
}
