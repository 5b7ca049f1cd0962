#include "analyzer/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVIDENCES 24
#define EXPLAINED 3 /* candidates */
#define ERROR_FLOOR_RATIO 0.005

const char *evidence_of_gap(const struct suspicion *s, uint32_t edge)
{
	const struct lens *l = &s->lens[0];

	if (!s->lenses || !l->network)
		return "error_ratio";
	return edge != GRAPH_NONE && s->seen[0].part[edge].derived ? l->client : l->network;
}

int evidence_begin(struct diagnosis *d)
{
	d->evidence = calloc(EVIDENCES, sizeof(*d->evidence));
	return d->evidence ? 0 : -ENOMEM;
}

void evidence_add(struct diagnosis *d, uint32_t entity, const char *metric, const struct shift *s)
{
	struct evidence *e;

	for (size_t i = 0; i < d->evidences; i++)
		if (d->evidence[i].entity == entity && !strcmp(d->evidence[i].metric, metric))
			return;
	if (d->evidences == EVIDENCES)
		return;
	e = &d->evidence[d->evidences++];
	*e = (struct evidence){.entity = entity,
		.normal = s->normal,
		.observed = s->observed,
		.sigmas = s->sigmas,
		.since_s = s->since_s};
	snprintf(e->metric, sizeof(e->metric), "%s", metric);
}

/* Evidence is what was measured: false when there is no such series. */
static bool add_series(struct diagnosis *d, const struct suspicion *s, uint32_t entity,
	const char *metric, double floor)
{
	float *value = metric ? malloc((s->f->total + 1) * sizeof(*value)) : NULL;
	struct shift shift;
	bool known = value && frame_gather(s->f, entity, metric, value) &&
		     frame_shift(s->f, value, floor, &shift);

	free(value);
	if (known)
		evidence_add(d, entity, metric, &shift);
	return known;
}

/* What a service's own part was worked out from: its latency, or what its callers see of it. */
static void add_latency(struct diagnosis *d, const struct suspicion *s, uint32_t service)
{
	const struct entity *e = &s->f->r->graph.entity[service];
	const struct lens *l = &s->lens[0];

	if (add_series(d, s, service, l->server, l->floor))
		return;
	for (uint32_t i = 0; i < e->ins; i++)
		if (add_series(d, s, e->in[i], l->server, l->floor) ||
			add_series(d, s, e->in[i], l->client, l->floor))
			return;
}

static void add_own_part(struct diagnosis *d, const struct suspicion *s, uint32_t service)
{
	const struct part *own = &s->seen[0].part[service];

	if (!own->known || own->weight <= 0)
		return;
	if (own->derived)
		add_latency(d, s, service);
	else
		evidence_add(d, service, s->lens[0].self, &own->shift);
}

static void add_gap(struct diagnosis *d, const struct suspicion *s, uint32_t edge)
{
	const struct part *gap = &s->seen[0].part[edge];
	const struct lens *l = &s->lens[0];

	if (!gap->known)
		return;
	if (!gap->derived) {
		evidence_add(d, edge, l->network, &gap->shift);
		return;
	}
	add_series(d, s, edge, l->client, l->floor);
	if (!add_series(d, s, edge, l->server, l->floor))
		add_series(d, s, s->f->r->graph.entity[edge].callee, l->server, l->floor);
}

static void add_service_evidence(struct diagnosis *d, const struct suspicion *s, uint32_t service)
{
	const struct suspect *p = &s->suspect[service];

	if (p->failures > 0)
		add_series(d, s, service, "error_ratio", ERROR_FLOOR_RATIO);
	if (s->lenses) {
		add_own_part(d, s, service);
		if (p->edge != GRAPH_NONE)
			add_gap(d, s, p->edge);
	}
	for (int i = 0; i < RESOURCES; i++)
		if (p->moved[i].strength > 0.05)
			evidence_add(d, p->moved[i].entity, p->moved[i].metric, &p->moved[i].shift);
}

int evidence_list(struct diagnosis *d, const struct suspicion *s, const struct shift *slo)
{
	if (evidence_begin(d))
		return -ENOMEM;
	evidence_add(d, d->slo_entity, d->slo_metric, slo);
	for (size_t i = 0; i < d->candidates && i < EXPLAINED; i++) {
		if (d->candidate[i].resource == RESOURCE_WORKLOAD)
			evidence_add(d, s->entry, "requests_per_s", &s->rate);
		else
			add_service_evidence(d, s, d->candidate[i].service);
	}
	return 0;
}
