/*
 * What the files of act share: the episodes behind struct act. For those files only; owner and
 * thread as in act.h.
 */
#ifndef SAGE_ANALYZER_ACT_STATE_H
#define SAGE_ANALYZER_ACT_STATE_H

#include "analyzer/act.h"

#define ACT_MAX_EPISODES 128

enum phase {
	PHASE_PROPOSED,  /* nothing sent; waits for a person, or for enforce */
	PHASE_SENT,      /* the step's leases are on their way */
	PHASE_VERIFYING, /* applied: does the SLO come back? */
	PHASE_HOLDING,   /* it did */
	PHASE_TRIAL,     /* lifted: does it stay? */
	PHASE_OVER,
	PHASES
};

/* An incident's plan being tried. */
struct episode {
	uint64_t incident;
	char entity[WIRE_NAME * 2], metric[64]; /* of the SLO */
	enum phase phase;
	unsigned step, steps;
	bool by_hand;       /* a person undid it: no new plan for this incident */
	double start;       /* the SLO's metric when the plan was made */
	double since_s;     /* when the phase began */
	double before;      /* the SLO's metric when the step was sent */
	double latest;      /* and in the newest window; NaN = never seen */
	double healthy_s;   /* met without a break since; NaN = missed now */
	double hold_s;      /* how long to hold before the next lift on trial */
	unsigned windows;   /* judged in this phase */
	unsigned good, bad; /* in a row, at the end of those */
};

struct act {
	struct act_options options;
	uint64_t epoch, next_id, revision;
	struct action action[ACT_MAX_ACTIONS]; /* [actions] oldest first */
	size_t actions;
	double letgo_s[ACT_MAX_ACTIONS]; /* beside action: when an agent's silence means it let go
					  */
	struct episode episode[ACT_MAX_EPISODES]; /* [episodes] oldest first */
	size_t episodes;
};

/* Leased out and meant to stay. */
static inline bool action_is_live(const struct action *x)
{
	return (x->state == ACTION_SENT || x->state == ACTION_APPLIED) &&
	       x->ending == ACTION_STATES;
}

/* The agent holds it or may hold it. */
static inline bool action_is_out(const struct action *x)
{
	return x->state == ACTION_SENT || x->state == ACTION_APPLIED;
}

/* NULL: none yet. */
struct episode *act_episode(struct act *a, uint64_t incident);

/* In place of those that are over, if need be; NULL when all are in use. */
struct episode *act_new_episode(struct act *a, uint64_t incident);

/* A new action with a new id at the end of the list; NULL when all are in use. */
struct action *act_new_action(struct act *a);

/* Begin a phase: counters start anew. */
void act_enter(struct act *a, struct episode *e, enum phase phase, double now_s);

/* Lease out the episode's current step. */
void act_send_step(struct act *a, struct episode *e, double now_s);

#define ACT_ALL_STEPS UINT32_MAX

/* Take back what is out of one step or of all; it becomes `ending` when the agent let go. */
void act_let_go(struct act *a, struct episode *e, unsigned step, enum action_state ending,
	const char *detail, double now_s);

/* The current step is done with, without success: on to the next one, or over. */
void act_next_step(struct act *a, struct episode *e, double now_s);

/* Remove what was proposed for the incident and never sent. */
void act_withdraw(struct act *a, uint64_t incident);

#endif
