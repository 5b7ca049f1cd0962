#include "analyzer/guarded.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/robust.h"
#include "analyzer/search.h"

#define ASKED 8          /* candidates the model is asked about, best first */
#define TRUST 0.5        /* how much of a score the model can take away */
#define LEAST_RELIEF 0.1 /* below that the model restores nothing */
#define LEAST_SHARE 0.5  /* of the rise above target, that evidence alone must explain then */
#define SURE_RELIEF 0.5  /* the model's favourite is named from here on */
#define CULPRITS 3

struct guard {
	struct diagnosis *d;
	struct search *s;
	double relief[ASKED]; /* of the candidates asked about, in the order of evidence; NaN = not
				 known */
	size_t asked;
	struct candidate favourite; /* of the model */
	double most;                /* its relief */
};

/* A surge is no state of a service: the model, which has no load, is not asked about it. */
static void ask_candidates(struct guard *a)
{
	a->most = -1;
	for (; a->asked < ASKED && a->asked < a->d->candidates; a->asked++) {
		const struct candidate *c = &a->d->candidate[a->asked];
		struct intervention one = {.service = c->service, .resource = RESOURCE_NONE};
		struct answer answer;

		a->relief[a->asked] = NAN;
		if (c->resource == RESOURCE_WORKLOAD || search_ask(a->s, &one, 1, &answer))
			continue;
		a->relief[a->asked] = search_relief(a->s, &answer);
		if (a->relief[a->asked] > a->most) {
			a->most = a->relief[a->asked];
			a->favourite = *c;
		}
	}
}

/* Scores and chances shrink by what the model does not confirm; the chances' sum never grows. */
static void weigh(struct guard *a)
{
	struct diagnosis *d = a->d;

	for (size_t i = 0; i < d->candidates; i++) {
		double relief = i < a->asked && !isnan(a->relief[i]) ? a->relief[i] : 1;
		double factor = 1 - TRUST + TRUST * relief;

		d->candidate[i].score *= factor;
		d->candidate[i].probability *= factor;
	}
	diagnosis_rank(d);
}

static size_t culprit_set(const struct diagnosis *d, struct intervention set[CULPRITS])
{
	size_t count = 0;

	for (size_t i = 0; i < d->candidates && count < CULPRITS; i++) {
		if (!d->candidate[i].culprit)
			continue;
		if (d->candidate[i].resource == RESOURCE_WORKLOAD)
			return 0;
		set[count++] = (struct intervention){.service = d->candidate[i].service};
	}
	return count;
}

static void append(struct diagnosis *d, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct diagnosis *d, const char *format, ...)
{
	size_t used = strlen(d->why);
	va_list args;

	va_start(args, format);
	vsnprintf(d->why + used, sizeof(d->why) - used, format, args);
	va_end(args);
}

/* Share of the rise above target that the evidence explains. */
static double explained(const struct diagnosis *d)
{
	const struct counterfactual *c = &d->counterfactual;

	return (c->observed - c->restored) / (c->observed - c->target);
}

/* The best one, and those near it that the evidence had chosen too. A surge stands alone. */
static void choose_culprits(struct diagnosis *d)
{
	const struct candidate *first = &d->candidate[0];

	for (size_t i = 1; i < d->candidates; i++) {
		struct candidate *c = &d->candidate[i];

		c->culprit = c->culprit && i < CULPRITS && c->score >= 0.5 * first->score &&
			     first->resource != RESOURCE_WORKLOAD &&
			     c->resource != RESOURCE_WORKLOAD;
	}
	d->candidate[0].culprit = true;
}

/* The counterfactual of the two that restores more, as each errs by missing what it has not seen.
 */
static void conclude(struct guard *a, const struct graph *g)
{
	struct diagnosis *d = a->d;
	struct intervention set[CULPRITS];
	size_t count = culprit_set(d, set);
	struct answer answer;
	double relief;

	if (!count || search_ask(a->s, set, count, &answer))
		return;
	relief = search_relief(a->s, &answer);
	if (relief < LEAST_RELIEF && explained(d) < LEAST_SHARE) {
		d->verdict = VERDICT_UNKNOWN;
		for (size_t i = 0; i < d->candidates; i++)
			d->candidate[i].culprit = false;
		snprintf(d->why, sizeof(d->why),
			"%.80s moved most, but nothing says that the target were met without it",
			g->entity[set[0].service].name);
		return;
	}
	if (answer.probability >= d->counterfactual.probability) {
		d->counterfactual.observed = a->s->observed;
		d->counterfactual.restored = answer.restored;
		d->counterfactual.probability = answer.probability;
	} else {
		d->counterfactual.probability =
			(d->counterfactual.probability + answer.probability) / 2;
	}
	if (a->most >= SURE_RELIEF && relief < SURE_RELIEF &&
		a->favourite.service != set[0].service)
		append(d, "; the model would rather blame %.60s",
			g->entity[a->favourite.service].name);
	else if (relief < SURE_RELIEF)
		append(d, "; the model does not confirm it: still %.2g times the target without",
			answer.restored / a->s->target);
	else
		append(d, "; the model says so too: %.2g times the target without, not %.2g",
			answer.restored / a->s->target, a->s->observed / a->s->target);
}

int guarded_search(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const struct model *m)
{
	struct diagnosis fresh;
	struct search s;
	struct guard a = {.d = &fresh, .s = &s};
	int err = robust_rank(&fresh, r, slo, from_s, to_s, use);

	if (err)
		return err;
	snprintf(fresh.method, sizeof(fresh.method), "guarded");
	if (fresh.verdict == VERDICT_DIAGNOSED && fresh.candidates) {
		err = search_open(&s, m, r, slo, from_s, to_s);
		if (!err) {
			ask_candidates(&a);
			weigh(&a);
			choose_culprits(&fresh);
			conclude(&a, &r->graph);
			search_close(&s);
		} else if (err == -ENODATA) {
			append(&fresh, "; the model was learnt for another target");
			err = 0;
		}
	}
	if (err)
		diagnosis_clear(&fresh);
	else
		*d = fresh;
	return err;
}
