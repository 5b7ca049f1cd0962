#include "analyzer/explanation.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/prospect.h"

#define CONSPICUOUS_SIGMAS 3 /* a latency that moved so far asks for a word */
#define OWN_TIME 0.02        /* share of the rise: less is nobody's */
#define TOLD 0.25            /* strength of a symptom worth a word */
#define VICTIMS (DIAGNOSIS_RULED_OUT / 2)
#define CLIMBED 32 /* services looked at on the way up from the cause */

static double own_share(const struct suspect *p)
{
	return fmin(1, p->own + p->between);
}

/* The target's metric in the frame's windows [total]; the caller frees it. NULL: no memory. */
static float *target_values(const struct diagnosis *d, const struct frame *f)
{
	float *value = malloc((f->total + 1) * sizeof(*value));

	if (value)
		frame_gather(f, d->slo_entity, d->slo_metric, value);
	return value;
}

/* ---- had it been normal ---- */

static int promise(struct promise *out, const struct diagnosis *d, const struct suspicion *s,
	const float *value, double chance, double share)
{
	return prospect_promise_share(out, s->f, value, chance, share, d->counterfactual.normal,
		d->counterfactual.target);
}

static int promise_of_candidates(struct diagnosis *d, const struct suspicion *s, const float *value)
{
	for (size_t i = 0; i < d->candidates && i < EXPLANATION_CANDIDATES; i++) {
		struct candidate *c = &d->candidate[i];
		double share =
			c->resource == RESOURCE_WORKLOAD ? 1 : own_share(&s->suspect[c->service]);
		struct promise p;
		int error = promise(&p, d, s, value, c->probability, share);

		if (error)
			return error;
		c->restored = p.spread.p50;
		c->met = p.within;
	}
	return 0;
}

static int promise_of_set(
	struct diagnosis *d, const struct suspicion *s, const float *value, double share)
{
	struct counterfactual *c = &d->counterfactual;
	struct promise p;
	int error = promise(&p, d, s, value, diagnosis_confidence(d), share);

	if (error)
		return error;
	c->explained = share;
	c->without = p.spread;
	c->restored = p.spread.p50;
	c->probability = p.within;
	return 0;
}

/* ---- who it was not ---- */

static const struct symptom *strongest(const struct suspect *p)
{
	const struct symptom *s = &p->moved[0];

	for (int i = 1; i < RESOURCES; i++)
		if (p->moved[i].strength > s->strength)
			s = &p->moved[i];
	return s;
}

/* Of a candidate: what is its own is told; a counter that moved without time is no cause. */
static void rule_out_candidate(struct diagnosis *d, const struct suspicion *s, uint32_t service)
{
	const struct suspect *p = &s->suspect[service];
	const struct symptom *moved = strongest(p);
	bool surge = d->candidate[0].culprit && d->candidate[0].resource == RESOURCE_WORKLOAD;
	char counter[96] = "";

	if (moved->strength >= TOLD)
		snprintf(counter, sizeof(counter), "%s moved by %.0f sigma", moved->metric,
			moved->shift.sigmas);
	if (own_share(p) >= OWN_TIME)
		diagnosis_rule_out(d, service,
			"%s%.0f %% of the rise is its own or on the way of its calls%s%s",
			surge ? "under the same surge; " : "", 100 * own_share(p),
			*counter ? "; " : "", counter);
	else if (*counter)
		diagnosis_rule_out(d, service, "%s, but no time was added there", counter);
}

/* A service that became slow, if it did: how much of that was its own? */
static void rule_out_victim(
	struct diagnosis *d, const struct suspicion *s, uint32_t service, float *scratch)
{
	struct shift shift;

	if (!frame_gather(s->f, service, s->lens[0].server, scratch) ||
		!frame_shift(s->f, scratch, s->lens[0].floor, &shift) ||
		shift.sigmas < CONSPICUOUS_SIGMAS || shift.normal <= 0)
		return;
	diagnosis_rule_out(d, service,
		"%s is %.2g times the usual, but through the calls it makes: %.0f %% of the rise "
		"is "
		"its own",
		s->lens[0].server, shift.observed / shift.normal,
		100 * own_share(&s->suspect[service]));
}

/* From the first culprit up to whoever waits for it. */
static void rule_out_callers(struct diagnosis *d, const struct suspicion *s, float *scratch)
{
	const struct graph *g = &s->f->r->graph;
	uint32_t way[CLIMBED] = {d->candidate[0].service};
	size_t count = 1;

	for (size_t at = 0; at < count; at++) {
		const struct entity *e = &g->entity[way[at]];

		for (uint32_t i = 0; i < e->ins && count < CLIMBED && d->ruled < VICTIMS; i++) {
			uint32_t caller = g->entity[e->in[i]].caller;
			bool seen = !strcmp(g->entity[caller].name, GRAPH_USER);

			for (size_t j = 0; j < count; j++)
				seen |= way[j] == caller;
			if (seen)
				continue;
			way[count++] = caller;
			if (own_share(&s->suspect[caller]) < OWN_TIME)
				rule_out_victim(d, s, caller, scratch);
		}
	}
}

/* Who waits for the first, for they look as slow, and then the other candidates. */
static void rule_out(struct diagnosis *d, const struct suspicion *s, float *scratch)
{
	if (s->lenses && d->candidates)
		rule_out_callers(d, s, scratch);
	for (size_t i = 0; i < d->candidates; i++)
		rule_out_candidate(d, s, d->candidate[i].service);
}

int explanation_complete(struct diagnosis *d, const struct suspicion *s, double share)
{
	float *value = target_values(d, s->f);
	int error = value ? prospect_observed(&d->counterfactual, s->f, value) : -ENOMEM;

	if (!error)
		error = promise_of_set(d, s, value, share);
	if (!error)
		error = promise_of_candidates(d, s, value);
	if (!error)
		rule_out(d, s, value);
	free(value);
	return error;
}

int explanation_of_unknown(struct diagnosis *d, const struct suspicion *s)
{
	float *value = target_values(d, s->f);
	int error = value ? prospect_observed(&d->counterfactual, s->f, value) : -ENOMEM;

	if (!error)
		rule_out(d, s, value);
	free(value);
	return error;
}
