/*
 * The life of actions: proposed, sent to an agent as a lease, applied, verified against
 * the SLO, held, lifted on trial, or undone.
 *
 * For each incident with a plan there is an episode. It tries the plan's steps in order: a
 * step that is refused or does not help is undone before the next one is tried. A step
 * that brought the SLO back is held, then lifted on trial; if the trouble returns it is
 * applied again and held twice as long. What failed is remembered for an hour and not proposed
 * again. In mode recommend nothing is sent until act_apply(); in observe nothing is proposed.
 *
 * Pure logic: no thread, no clock (times are Unix seconds handed in), no I/O. One owner at a
 * time. Whenever act_revision() changed, agents' lease sets may have changed: wake
 * the polls, and store act_save().
 */
#ifndef SAGE_ANALYZER_ACT_H
#define SAGE_ANALYZER_ACT_H

#include <jansson.h>

#include "analyzer/plan.h"
#include "common/wire.h"

#define ACT_MAX_ACTIONS 512 /* kept; the oldest ended ones are forgotten first */

struct act;

enum act_mode { ACT_OBSERVE, ACT_RECOMMEND, ACT_ENFORCE };

const char *act_mode_name(enum act_mode m);
bool act_mode_parse(const char *name, enum act_mode *out);

enum action_state {
	ACTION_PROPOSED,
	ACTION_SENT,
	ACTION_APPLIED,
	ACTION_REFUSED,
	ACTION_YIELDED,
	ACTION_REVERTED,
	ACTION_LIFTED,
	ACTION_STATES
};

const char *action_state_name(enum action_state s);

struct action {
	uint64_t id; /* also the lease's */
	uint64_t incident;
	char agent[WIRE_NAME], service[WIRE_NAME], container[WIRE_NAME];
	char path[WIRE_PATH];
	uint64_t cgroup_id;
	enum wire_knob knob;
	int64_t expected, wanted; /* as leased */
	int64_t old_value, value; /* found, and set: as reported; WIRE_ANY_VALUE until then */
	char reason[WIRE_NAME];
	char detail[WIRE_NAME * 2];
	unsigned step;
	enum action_state state;
	enum action_state ending; /* what it becomes once the agent let go; else ACTION_STATES */
	double created_s, applied_s, ended_s; /* NaN until then */
	double before, after, predicted;      /* the SLO's metric; NaN = not known */
	int verified;                         /* -1 not yet, 0 no, 1 yes */
};

struct act_options {
	enum act_mode mode;
	uint32_t ttl_ms;         /* of each lease: 30,000; polls must come more often */
	unsigned settle_windows; /* 1: not judged after a change */
	unsigned verify_windows; /* 4: time a step has to bring the SLO back */
	unsigned streak;         /* 2: windows in a row that decide better or worse */
	double worse_ratio;      /* 1.25: past this times the value before = worse */
	double hold_s;           /* 120: healthy this long before a lift on trial; doubles */
	double max_hold_s;       /* 3600 */
	unsigned trial_windows;  /* 6: healthy this long without the lease = over */
	double answer_s;         /* 60: an agent that says nothing this long is given up */
	double remember_s;       /* 3600: how long a failed action is not proposed again */
};

void act_options_default(struct act_options *o);

/* `now_s` makes the epoch, which is higher than any earlier one. Returns 0 or -ENOMEM. */
int act_open(struct act **out, const struct act_options *o, double now_s);
void act_close(struct act *a);

enum act_mode act_mode(const struct act *a);

/* observe withdraws what is proposed; leaving enforce keeps what is applied until undone. */
void act_set_mode(struct act *a, enum act_mode m, double now_s);

/*
 * A diagnosis was made or refreshed. Proposes the plan's leases; ignored while an earlier
 * plan of the incident is being tried. `entity`, `metric`: the SLO's; `before`: its value
 * now. Returns how many actions were proposed, or -ENOMEM.
 */
int act_plan(struct act *a, uint64_t incident, const char *entity, const char *metric,
	double before, const struct plan *p, double now_s);

/* The SLO's metric in the newest window, NaN if it has none, and its target. */
typedef double act_slo_fn(void *ctx, const char *entity, const char *metric, double *target);

/* Once per model window. */
void act_tick(struct act *a, act_slo_fn *slo, void *ctx, double now_s);

/* What an agent did. Unknown ids are ignored. */
void act_report(struct act *a, const char *agent, const struct wire_lease_report *r, double now_s);

/* The agent's full set now; release with wire_leases_close(). Returns 0 or -ENOMEM. */
int act_leases(const struct act *a, const char *agent, struct wire_leases *out);

/*
 * By hand. apply: sends the action's whole step; undo: takes its whole step back and
 * ends the episode. Return 0, -ENOENT (no such action), -EINVAL (not in a state for this).
 */
int act_apply(struct act *a, uint64_t id, double now_s);
int act_undo(struct act *a, uint64_t id, double now_s);

/* Changes whenever anything below changed. */
uint64_t act_revision(const struct act *a);

/* Oldest first; valid until the next call that changes anything. */
size_t act_actions(const struct act *a, const struct action **out);
const struct action *act_find(const struct act *a, uint64_t id);

/* True while an action of the incident is sent or applied: its state is "acting". */
bool act_busy(const struct act *a, uint64_t incident);

/* The object of docs/api.md. NULL when out of memory. */
json_t *action_to_json(const struct action *x);

/* All of it but the mode. load: into a fresh struct act; returns 0, -EBADMSG (then nothing is
 * taken), -ENOMEM.
 */
json_t *act_save(const struct act *a);
int act_load(struct act *a, const json_t *saved);

#endif
