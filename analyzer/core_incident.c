/* From windows to incidents, and from incidents to diagnoses, plans and actions. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/core.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"

#define MARGIN_WINDOWS 3  /* around an incident that count as not normal either */
#define DIAGNOSIS_SHARE 4 /* rest this many times what a diagnosis took */
#define PLAN_TARGETS 1024

static bool is_over(const struct core_incident *n)
{
	return n->state == INCIDENT_RECOVERED || n->state == INCIDENT_CLOSED;
}

bool core_any_open(const struct core *c)
{
	for (size_t i = 0; i < c->incidents; i++)
		if (!is_over(&c->incident[i]))
			return true;
	return false;
}

static struct core_incident *find(struct core *c, int64_t id)
{
	for (size_t i = 0; i < c->incidents; i++)
		if (c->incident[i].id == id)
			return &c->incident[i];
	return NULL;
}

/* ---- as documents ------------------------------------------------------- */

static json_t *incident_json(const struct core_incident *n)
{
	return json_pack("{sI s{ss ss so} ss so so so so so sO?}", "id", (json_int_t)n->id, "slo",
		"entity", n->entity, "metric", n->metric, "target", json_number_or_null(n->target),
		"state", incident_state_name(n->state), "started",
		json_number_or_null(n->started_s), "detected", json_number_or_null(n->detected_s),
		"diagnosed", json_number_or_null(n->diagnosed_s), "ended",
		json_number_or_null(n->ended_s), "peak", json_number_or_null(n->peak), "diagnosis",
		n->diagnosis);
}

static void keep_incident(struct core *c, const struct core_incident *n)
{
	json_t *body = incident_json(n);

	if (!body || store_put(c->store, "incident", n->id, n->started_s, body))
		log_error("incident %lld not stored", (long long)n->id);
	json_decref(body);
}

json_t *core_incident_json(struct core *c, const json_t *stored)
{
	json_t *one = json_copy((json_t *)stored), *actions = json_array();
	uint64_t id = (uint64_t)json_integer_value(json_object_get(stored, "id"));
	const struct action *action;
	size_t n = act_actions(c->act, &action);

	if (!json_object_get(one, "diagnosis"))
		json_object_set_new(one, "diagnosis", json_null());
	for (size_t i = 0; i < n; i++)
		if (action[i].incident == id)
			json_array_append_new(actions, action_to_json(&action[i]));
	json_object_set_new(one, "actions", actions);
	return one;
}

static double number(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool parse_incident(const json_t *stored, struct core_incident *n)
{
	const char *entity, *metric, *state;
	json_int_t id;

	memset(n, 0, sizeof(*n));
	if (json_unpack((json_t *)stored, "{sI s{ss ss sF} ss}", "id", &id, "slo", "entity",
		    &entity, "metric", &metric, "target", &n->target, "state", &state))
		return false;
	n->id = id;
	snprintf(n->entity, sizeof(n->entity), "%s", entity);
	snprintf(n->metric, sizeof(n->metric), "%s", metric);
	for (n->state = INCIDENT_OPEN; n->state < INCIDENT_CLOSED; n->state++)
		if (!strcmp(incident_state_name(n->state), state))
			break;
	n->started_s = number(stored, "started");
	n->detected_s = number(stored, "detected");
	n->diagnosed_s = number(stored, "diagnosed");
	n->ended_s = number(stored, "ended");
	n->peak = number(stored, "peak");
	n->diagnosis = json_incref(json_object_get(stored, "diagnosis"));
	return true;
}

/* ---- judging ------------------------------------------------------------ */

static struct core_incident *new_incident(struct core *c)
{
	if (c->incidents == CORE_INCIDENTS) {
		json_decref(c->incident[0].diagnosis);
		memmove(&c->incident[0], &c->incident[1],
			(CORE_INCIDENTS - 1) * sizeof(c->incident[0]));
		c->incidents--;
	}
	memset(&c->incident[c->incidents], 0, sizeof(c->incident[0]));
	return &c->incident[c->incidents++];
}

static void open_incident(struct core *c, size_t i)
{
	const struct slo *slo = &c->live.recording.slo[i];
	const char *entity = c->live.recording.graph.entity[slo->entity].name;
	struct core_incident *n = new_incident(c);

	n->id = store_last_id(c->store, "incident") + 1;
	snprintf(n->entity, sizeof(n->entity), "%s", entity);
	snprintf(n->metric, sizeof(n->metric), "%s", slo->metric);
	n->target = slo->target;
	n->started_s = c->watch[i].started_s;
	n->detected_s = clock_wall_s();
	n->diagnosed_s = n->ended_s = NAN;
	n->peak = c->watch[i].peak;
	c->watched[i] = n->id;
	log_info("incident %lld: %s of %s past its target %g", (long long)n->id, n->metric,
		n->entity, n->target);
	keep_incident(c, n);
}

static void update_incident(struct core *c, size_t i, enum incident_event event)
{
	struct core_incident *n = find(c, c->watched[i]);

	if (!n)
		return;
	n->peak = c->watch[i].peak;
	n->state = act_busy(c->act, (uint64_t)n->id) ? INCIDENT_ACTING : INCIDENT_OPEN;
	if (event == INCIDENT_RECOVERS) {
		n->state = INCIDENT_RECOVERED;
		n->ended_s = c->watch[i].ended_s;
		c->watched[i] = 0;
		log_info("incident %lld: recovered", (long long)n->id);
	}
	keep_incident(c, n);
}

static void judge_one(struct core *c, size_t i, const struct live_closed *w)
{
	const struct slo *slo = &c->live.recording.slo[i];
	double value = slo_value(&c->live.recording, slo, w->row);
	enum incident_event event = incident_judge(
		&c->watch[i], &c->rule, w->start_s, c->options.window_s, value, slo->target);

	if (event == INCIDENT_OPENS)
		open_incident(c, i);
	else if (event != INCIDENT_NONE)
		update_incident(c, i, event);
}

void core_judge(struct core *c, const struct live_closed *w)
{
	core_lock(c);
	for (size_t i = 0; i < c->live.recording.slos; i++)
		judge_one(c, i, w);
	c->judged_s = w->start_s;
	core_unlock(c);
}

static bool *rows_outside(const struct core *c, bool (*counts)(const struct core_incident *n))
{
	const struct series *s = &c->live.recording.series;
	double margin_s = MARGIN_WINDOWS * c->options.window_s;
	bool *use = malloc(s->windows ? s->windows * sizeof(*use) : 1);

	for (size_t i = 0; use && i < s->windows; i++)
		use[i] = true;
	for (size_t i = 0; use && i < c->incidents; i++) {
		const struct core_incident *n = &c->incident[i];
		double end_s = isfinite(n->ended_s) ? n->ended_s : INFINITY;
		size_t from, to;

		if (!counts(n))
			continue;
		series_range(s, n->started_s - margin_s, end_s + margin_s, &from, &to);
		for (size_t row = from; row < to; row++)
			use[row] = false;
	}
	return use;
}

static bool is_any(const struct core_incident *n)
{
	(void)n;
	return true;
}

static bool is_going_on(const struct core_incident *n)
{
	return !is_over(n);
}

bool *core_normal_rows(const struct core *c)
{
	return rows_outside(c, is_any);
}

bool *core_history_rows(const struct core *c)
{
	return rows_outside(c, is_going_on);
}

/* ---- diagnosing --------------------------------------------------------- */

static bool hosts_culprit(const struct core *c, const struct diagnosis *d, uint32_t agent)
{
	const struct fleet *f = &c->live.fleet;

	for (uint32_t i = 0; i < f->containers; i++) {
		const struct fleet_container *k = f->container[i];

		if (!k || k->agent != agent)
			continue;
		for (size_t j = 0; j < d->candidates; j++) {
			const char *name =
				c->live.recording.graph.entity[d->candidate[j].service].name;

			if (d->candidate[j].culprit && !strcmp(name, k->service))
				return true;
		}
	}
	return false;
}

static void fill_target(struct plan_target *t, const struct fleet_container *k, const char *agent)
{
	snprintf(t->agent, sizeof(t->agent), "%s", agent);
	snprintf(t->service, sizeof(t->service), "%s", k->service);
	snprintf(t->container, sizeof(t->container), "%s", k->name);
	snprintf(t->path, sizeof(t->path), "%s", k->path);
	snprintf(t->group, sizeof(t->group), "%s", k->group);
	t->cgroup_id = k->cgroup_id;
	t->serves = k->serves;
	memcpy(t->now, k->now, sizeof(t->now));
	fleet_normal(k, t->normal);
}

/* The containers of every agent that hosts a culprit, as the planner wants them. */
static struct plan_target *targets_of(
	const struct core *c, const struct diagnosis *d, size_t *count)
{
	const struct fleet *f = &c->live.fleet;
	struct plan_target *t = calloc(PLAN_TARGETS, sizeof(*t));
	size_t n = 0;

	for (uint32_t a = 0; t && a < f->agents; a++) {
		if (!hosts_culprit(c, d, a))
			continue;
		for (uint32_t i = 0; i < f->containers && n < PLAN_TARGETS; i++)
			if (f->container[i] && f->container[i]->agent == a)
				fill_target(&t[n++], f->container[i], f->agent[a].name);
	}
	*count = n;
	return t;
}

static void act_on(struct core *c, const struct core_incident *n, const struct diagnosis *d)
{
	const struct series *series = &c->live.recording.series;
	const float *value = series_values(series, d->slo_entity, d->slo_metric);
	double now = value && series->windows ? (double)value[series->windows - 1] : NAN;
	struct plan *plan = malloc(sizeof(*plan));
	size_t count;
	struct plan_target *t = targets_of(c, d, &count);

	if (plan && t) {
		plan_make(plan, d, &c->live.recording.graph, t, count);
		if (act_plan(c->act, (uint64_t)n->id, n->entity, n->metric, now, plan,
			    clock_wall_s()) < 0)
			log_error("incident %lld: out of memory planning, no action",
				(long long)n->id);
	}
	free(plan);
	free(t);
}

/* Who is blamed for what, without how sure it is: for telling whether the answer changed. */
static json_t *culprits_of(const json_t *diagnosis)
{
	const json_t *culprits = json_object_get(diagnosis, "culprits");
	json_t *all = json_array();

	for (size_t i = 0; i < json_array_size(culprits); i++) {
		const json_t *one = json_array_get(culprits, i);

		json_array_append_new(all, json_pack("[O?O?]", json_object_get(one, "service"),
						   json_object_get(one, "resource")));
	}
	return all;
}

static bool same_culprits(const json_t *before, const json_t *now)
{
	json_t *a = culprits_of(before), *b = culprits_of(now);
	bool same = json_is_object(before) && json_equal(a, b);

	json_decref(a);
	json_decref(b);
	return same;
}

static void take_diagnosis(struct core *c, int64_t id, const struct diagnosis *d)
{
	json_t *json = diagnosis_to_json(d, &c->live.recording.graph);
	struct core_incident *n;

	if (!json) {
		log_error("incident %lld: its diagnosis cannot be kept", (long long)id);
		return;
	}
	core_lock(c);
	n = find(c, id);
	if (n) {
		json_object_set_new(json, "operation", core_slowed_operation(c, n, d));
		if (!same_culprits(n->diagnosis, json))
			log_info("incident %lld: %s: %s", (long long)id, verdict_name(d->verdict),
				d->why);
		json_decref(n->diagnosis);
		n->diagnosis = json_incref(json);
		if (isnan(n->diagnosed_s))
			n->diagnosed_s = clock_wall_s();
		c->diagnoses++;
		keep_incident(c, n);
		act_on(c, n, d);
	}
	core_unlock(c);
	json_decref(json);
}

static void diagnose_one(struct core *c, size_t i)
{
	struct core_incident *n = find(c, c->watched[i]);
	double began_s = clock_monotonic_s(), to_s = c->judged_s + c->options.window_s;
	struct slo slo = c->live.recording.slo[i];
	struct diagnosis d;
	bool *use;
	int err;

	if (!n || began_s < n->next_s || to_s <= n->seen_s)
		return;
	use = core_normal_rows(c);
	err = use ? diagnose(&d, &c->live.recording, &slo, n->started_s, to_s, use, c->model.model,
			    c->options.method)
		  : -ENOMEM;
	free(use);
	if (err) {
		log_error("incident %lld: no diagnosis: %s, trying again", (long long)n->id,
			strerror(-err));
		return;
	}
	n->cost_s = clock_monotonic_s() - began_s;
	n->next_s = clock_monotonic_s() + n->cost_s * DIAGNOSIS_SHARE;
	n->seen_s = to_s;
	take_diagnosis(c, n->id, &d);
	diagnosis_clear(&d);
}

void core_diagnose(struct core *c)
{
	for (size_t i = 0; i < c->live.recording.slos; i++)
		if (c->watched[i] && c->watch[i].recent & 1 &&
			incident_ripe(&c->watch[i], &c->rule))
			diagnose_one(c, i);
}

/* ---- restoring ---------------------------------------------------------- */

/* False when its target is gone. */
static bool watch_again(struct core *c, const struct core_incident *n)
{
	const struct recording *r = &c->live.recording;

	for (size_t i = 0; i < r->slos; i++) {
		struct incident_watch *w = &c->watch[i];

		if (strcmp(r->graph.entity[r->slo[i].entity].name, n->entity) ||
			strcmp(r->slo[i].metric, n->metric))
			continue;
		w->open = true;
		w->late = c->rule.diagnose_windows;
		w->started_s = w->ended_s = n->started_s;
		w->peak = n->peak;
		c->watched[i] = n->id;
		return true;
	}
	return false;
}

int core_restore_incidents(struct core *c)
{
	json_t *all = store_newest(c->store, "incident", CORE_INCIDENTS);

	if (!all)
		return -ENOMEM;
	for (size_t i = json_array_size(all); i-- > 0;) {
		struct core_incident n;

		if (!parse_incident(json_array_get(all, i), &n))
			continue;
		if (!is_over(&n) && !watch_again(c, &n)) {
			n.state = INCIDENT_CLOSED;
			n.ended_s = isfinite(n.ended_s) ? n.ended_s : clock_wall_s();
			keep_incident(c, &n);
		}
		c->incident[c->incidents++] = n;
	}
	json_decref(all);
	return 0;
}
