#include "analyzer/guarded.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/prospect.h"
#include "analyzer/robust.h"
#include "analyzer/search.h"

#define ASKED 8          /* candidates the model is asked about, best first */
#define TRUST 0.5        /* how much of a score the model can take away */
#define LEAST_RELIEF 0.1 /* below that the model restores nothing */
#define LEAST_SHARE 0.5  /* of the rise above target, that evidence alone must explain then */
#define SURE_RELIEF 0.5  /* the model's favourite is named from here on */
#define NEAR 0.5         /* of the first one's score */
#define CULPRITS 3

struct guard {
	struct diagnosis *d;
	struct search *s;
	const struct frame *f;
	const float *slo;     /* [total of the frame] the target's metric */
	double relief[ASKED]; /* of the candidates asked about, in the order of evidence; NaN = not
				 known */
	size_t asked;
	struct candidate favourite; /* of the model */
	double most;                /* its relief */
};

/* With the chance that these are the whole cause, else as the model drew it. */
static int promise_of_model(const struct guard *a, double chance, struct promise *out)
{
	return prospect_promise(out, a->f, a->slo, chance, a->s->draw, a->s->draws, a->s->target);
}

/* The same, else as the evidence has it: the incident's windows less what was found there. */
static int promise_of_evidence(const struct guard *a, double chance, struct promise *out)
{
	const struct counterfactual *c = &a->d->counterfactual;

	return prospect_promise_share(
		out, a->f, a->slo, chance, c->explained, c->normal, c->target);
}

/* What the model does not confirm counts less. */
static double trust(double relief)
{
	return isnan(relief) ? 1 : 1 - TRUST + TRUST * relief;
}

static void ask_candidates(struct guard *a, const struct graph *g)
{
	a->most = -1;
	for (; a->asked < ASKED && a->asked < a->d->candidates; a->asked++) {
		const struct candidate *c = &a->d->candidate[a->asked];
		struct intervention one = {.service = c->service, .resource = RESOURCE_NONE};
		struct answer answer;

		a->relief[a->asked] = NAN;
		if (diagnosis_is_common(c, g) || search_ask(a->s, &one, 1, &answer))
			continue;
		a->relief[a->asked] = search_relief(a->s, &answer);
		if (a->relief[a->asked] > a->most) {
			a->most = a->relief[a->asked];
			a->favourite = *c;
		}
	}
}

/* What the model leaves of the score of the i'th candidate by evidence. */
static double factor_of(const struct guard *a, size_t i)
{
	return trust(i < a->asked ? a->relief[i] : NAN);
}

/*
 * Who is as suspect as the first by evidence, and by the model no more, is no culprit. Of one that
 * was chosen though its part is small the model, asked about all of the rise, cannot tell.
 */
static void drop_unconfirmed(struct guard *a)
{
	struct diagnosis *d = a->d;
	double first = d->candidate[0].score, most = 0;

	for (size_t i = 0; i < d->candidates; i++)
		most = fmax(most, d->candidate[i].score * factor_of(a, i));
	for (size_t i = 0; i < d->candidates; i++) {
		struct candidate *c = &d->candidate[i];

		if (c->score >= NEAR * first && c->score * factor_of(a, i) < NEAR * most)
			c->culprit = false;
	}
}

/* Scores and chances shrink by what the model does not confirm; the chances' sum never grows. */
static void weigh(struct guard *a)
{
	struct diagnosis *d = a->d;

	for (size_t i = 0; i < d->candidates; i++) {
		d->candidate[i].score *= factor_of(a, i);
		d->candidate[i].probability *= factor_of(a, i);
	}
	diagnosis_rank(d);
}

static size_t culprit_set(
	const struct diagnosis *d, const struct graph *g, struct intervention set[CULPRITS])
{
	size_t count = 0;

	for (size_t i = 0; i < d->candidates && count < CULPRITS; i++) {
		if (!d->candidate[i].culprit)
			continue;
		if (diagnosis_is_common(&d->candidate[i], g))
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
static double explained(const struct counterfactual *c)
{
	return c->explained * (c->observed - c->normal) / (c->observed - c->target);
}

/* The best one, and those that the evidence had chosen too, unless one stands for all. */
static void choose_culprits(struct diagnosis *d, const struct graph *g)
{
	bool alone = diagnosis_is_common(&d->candidate[0], g);

	for (size_t i = 1; i < d->candidates; i++)
		d->candidate[i].culprit = d->candidate[i].culprit && !alone &&
					  !diagnosis_is_common(&d->candidate[i], g);
	d->candidate[0].culprit = true;
}

/* What the model and the evidence say of each other, in words. */
static void compare(
	struct guard *a, const struct answer *answer, uint32_t first, const struct graph *g)
{
	struct diagnosis *d = a->d;
	double relief = search_relief(a->s, answer);

	if (a->most >= SURE_RELIEF && relief < SURE_RELIEF && a->favourite.service != first)
		append(d, "; the model would rather blame %.60s",
			g->entity[a->favourite.service].name);
	else if (relief < SURE_RELIEF)
		append(d, "; the model does not confirm it: still %.2g times the target without",
			answer->restored / a->s->target);
	else
		append(d, "; the model says so too: %.2g times the target without, not %.2g",
			answer->restored / a->s->target, a->s->observed / a->s->target);
}

/*
 * What each candidate alone would bring is the evidence's, for the model restores much with
 * services that did not move. Of a culprit alone in the answer it is that of the answer.
 */
static void agree_alone(struct diagnosis *d, size_t culprits)
{
	for (size_t i = 0; culprits == 1 && i < d->candidates; i++)
		if (d->candidate[i].culprit) {
			d->candidate[i].restored = d->counterfactual.restored;
			d->candidate[i].met = d->counterfactual.probability;
		}
}

/* The counterfactual of the two that restores more, as each errs by missing what it has not seen.
 */
static int conclude(struct guard *a, const struct graph *g)
{
	struct diagnosis *d = a->d;
	struct counterfactual *c = &d->counterfactual;
	struct intervention set[CULPRITS];
	size_t count = culprit_set(d, g, set);
	struct promise model, evidence;
	struct answer answer;

	if (!count || search_ask(a->s, set, count, &answer))
		return 0;
	if (search_relief(a->s, &answer) < LEAST_RELIEF && explained(c) < LEAST_SHARE) {
		for (size_t i = 0; i < d->candidates; i++)
			d->candidate[i].culprit = false;
		diagnosis_unknown(d,
			"%.80s moved most, but nothing says that the target were met without it",
			g->entity[set[0].service].name);
		return 0;
	}
	if (promise_of_model(a, diagnosis_confidence(d), &model) ||
		promise_of_evidence(a, diagnosis_confidence(d), &evidence))
		return -ENOMEM;
	if (model.within < evidence.within)
		model = evidence;
	c->without = model.spread;
	c->restored = model.spread.p50;
	c->probability = model.within;
	agree_alone(d, count);
	compare(a, &answer, set[0].service, g);
	return 0;
}

static int ask_model(struct guard *a, const struct recording *r)
{
	ask_candidates(a, &r->graph);
	drop_unconfirmed(a);
	weigh(a);
	choose_culprits(a->d, &r->graph);
	return conclude(a, &r->graph);
}

/* Weigh the evidence's answer by the model. Returns 0, -ENODATA (of another target) or -ENOMEM. */
static int guard(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	const bool *use, const struct model *m)
{
	struct search s;
	struct frame f;
	struct guard a = {.d = d, .s = &s, .f = &f};
	float *value = NULL;
	int err = search_open(&s, m, r, slo, d->from_s, d->to_s);

	if (err)
		return err;
	err = frame_open(&f, r, slo, d->from_s, d->to_s, use);
	if (!err) {
		value = malloc((f.total + 1) * sizeof(*value));
		err = value ? 0 : -ENOMEM;
		if (value) {
			frame_gather(&f, slo->entity, slo->metric, value);
			a.slo = value;
			err = ask_model(&a, r);
		}
		free(value);
		frame_close(&f);
	}
	search_close(&s);
	return err;
}

int guarded_search(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use, const struct model *m)
{
	struct diagnosis fresh;
	int err = robust_rank(&fresh, r, slo, from_s, to_s, use);

	if (err)
		return err;
	snprintf(fresh.method, sizeof(fresh.method), "guarded");
	if (fresh.verdict == VERDICT_DIAGNOSED && fresh.candidates)
		err = guard(&fresh, r, slo, use, m);
	if (err == -ENODATA) {
		append(&fresh, "; the model was learnt for another target");
		err = 0;
	}
	if (err)
		diagnosis_clear(&fresh);
	else
		*d = fresh;
	return err;
}
