#include "analyzer/robust.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyzer/culprits.h"
#include "analyzer/evidence.h"
#include "analyzer/explanation.h"
#include "analyzer/premise.h"
#include "analyzer/stolen.h"

#define LISTED_SCORE 0.005

static void copy_name(char to[64], const char *from)
{
	snprintf(to, 64, "%s", from);
}

static void fill_candidate(struct candidate *c, const struct suspicion *s, uint32_t service)
{
	const struct suspect *p = &s->suspect[service];
	const struct symptom *moved = &p->moved[p->resource];

	*c = (struct candidate){.service = service,
		.resource = p->resource,
		.score = p->score,
		.restored = NAN,
		.met = NAN};
	if (p->fails)
		copy_name(c->metric, "error_ratio");
	else if (moved->strength > 0)
		copy_name(c->metric, moved->metric);
	else
		copy_name(c->metric,
			p->resource == RESOURCE_NETWORK ? evidence_of_gap(s, p->edge) : "latent");
}

/*
 * A surge slows everything it meets, most of all the service that saturates first, so it goes
 * before the services it explains; not before one that lost its quota or its link.
 */
static bool add_workload(struct candidate *c, const struct suspicion *s, double best)
{
	if (s->surge <= 0)
		return false;
	*c = (struct candidate){
		.service = s->front, .resource = RESOURCE_WORKLOAD, .restored = NAN, .met = NAN};
	copy_name(c->metric, "requests_per_s");
	c->score = s->surge * fmax(1.2 * best, 0.3);
	return true;
}

/* Under load all gaps and round-trip times grow; lost segments, memory and a cut quota tell more.
 */
static bool independent_of_load(const struct suspect *p)
{
	const struct symptom *network = &p->moved[RESOURCE_NETWORK];
	const struct symptom *cpu = &p->moved[RESOURCE_CPU];

	return (!strcmp(network->metric, "net_retransmit_ratio") && network->strength > 0.5) ||
	       p->moved[RESOURCE_MEMORY].strength > 0.5 ||
	       (!strcmp(cpu->metric, "cpu_limit_cores") && cpu->strength > 0.3);
}

/* Chances by how far the scores stand apart; part of it stays with causes not seen. */
static void give_chances(struct candidate *c, size_t count)
{
	double sum = 0.02, first = count ? c[0].score : 0;

	for (size_t i = 0; i < count; i++)
		sum += pow(c[i].score, 1.5);
	if (first < 1)
		sum += 0.1 * (1 - first);
	for (size_t i = 0; i < count; i++)
		c[i].probability = pow(c[i].score, 1.5) / sum;
}

static int list_candidates(struct diagnosis *d, const struct suspicion *s)
{
	const struct graph *g = &s->f->r->graph;
	double best = 0;
	uint32_t top = s->front;

	d->candidate = calloc((size_t)g->entities + 1, sizeof(*d->candidate));
	if (!d->candidate)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->entities; i++) {
		if (g->entity[i].kind == ENTITY_EDGE || !strcmp(g->entity[i].name, GRAPH_USER))
			continue;
		if (s->suspect[i].score < LISTED_SCORE)
			continue;
		fill_candidate(&d->candidate[d->candidates++], s, i);
		if (s->suspect[i].score > best) {
			best = s->suspect[i].score;
			top = i;
		}
	}
	if (!independent_of_load(&s->suspect[top]))
		d->candidates += add_workload(&d->candidate[d->candidates], s, best);
	diagnosis_rank(d);
	give_chances(d->candidate, d->candidates);
	return 0;
}

static void summarise(struct diagnosis *d, const struct suspicion *s)
{
	const struct candidate *c = &d->candidate[0];
	const struct suspect *p = &s->suspect[c->service];
	const char *name = s->f->r->graph.entity[c->service].name;

	if (c->resource == RESOURCE_WORKLOAD)
		snprintf(d->why, sizeof(d->why),
			"requests at %.80s rose from %.3g to %.3g per second", name, s->rate.normal,
			s->rate.observed);
	else if (s->f->r->graph.entity[c->service].kind == ENTITY_HOST)
		snprintf(d->why, sizeof(d->why),
			"%.80s lost %.0f %% of its CPU time to other machines of its hypervisor, "
			"usually "
			"%.0f %%; %u of its services are slower",
			name, 100 * p->moved[RESOURCE_CPU].shift.observed,
			100 * p->moved[RESOURCE_CPU].shift.normal, stolen_victims(s, c->service));
	else
		snprintf(d->why, sizeof(d->why),
			"%.80s explains %.0f %% of the rise: %.0f %% inside it, %.0f %% on the way "
			"of "
			"its calls; %s moved",
			name, 100 * fmin(1, p->own + p->between), 100 * p->own, 100 * p->between,
			c->metric[0] && strcmp(c->metric, "latent") ? c->metric : "no resource");
}

static int conclude(struct diagnosis *d, const struct suspicion *s, const struct premise *p)
{
	double explained;
	int error;

	if (!p->missed) {
		premise_healthy(d, p->slo.observed);
		return 0;
	}
	if (!d->candidates || d->candidate[0].score < CULPRITS_LEAST_SCORE) {
		diagnosis_unknown(d, "%s",
			s->lenses ? "no service's own time and no gap between services rose "
				    "enough to explain it"
				  : "no latencies along the calls, and no resource moved enough");
		return explanation_of_unknown(d, s);
	}
	error = culprits_choose(d, s, &p->slo, &explained);
	if (error)
		return error;
	d->verdict = VERDICT_DIAGNOSED;
	summarise(d, s);
	return explanation_complete(d, s, explained);
}

static int rank(struct diagnosis *d, const struct frame *f, const struct slo *slo)
{
	struct premise p;
	struct suspicion s;
	int error = premise_check(&p, d, f, slo);

	if (error <= 0)
		return error;
	error = suspicion_open(&s, f, slo);
	if (error)
		return error;
	error = list_candidates(d, &s);
	if (!error)
		error = evidence_list(d, &s, &p.slo);
	if (!error)
		error = conclude(d, &s, &p);
	suspicion_close(&s);
	return error;
}

int robust_rank(struct diagnosis *d, const struct recording *r, const struct slo *slo,
	double from_s, double to_s, const bool *use)
{
	struct diagnosis fresh;
	struct frame f;
	int error = frame_open(&f, r, slo, from_s, to_s, use);

	if (error)
		return error;
	diagnosis_begin(&fresh, "robust", slo, from_s, to_s);
	error = rank(&fresh, &f, slo);
	frame_close(&f);
	if (error)
		diagnosis_clear(&fresh);
	else
		*d = fresh;
	return error;
}
