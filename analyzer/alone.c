#include "analyzer/alone.h"

#include <math.h>
#include <stdio.h>

#define TAIL_OF_WAITS 1.5 /* own time by that is more: quantiles do not add up */

static const struct {
	const char *name;
	double tail;
} quantiles[] = {{"p99", 0.01}, {"p95", 0.05}, {"p90", 0.1}, {"p50", 0.5}};

#define QUANTILES (sizeof(quantiles) / sizeof(*quantiles))

/* One service's sum on its way. */
struct sum {
	const struct suspicion *s;
	const struct exclusive *tail, *mean; /* mean: NULL where it is not known */
	float *scratch;                      /* [total of the frame] */
};

static double rise_of(const struct part *p)
{
	return fmax(0, p->shift.observed - p->shift.normal);
}

/* The rise of a quantile; NaN where there is no such column. */
static double rise_of_quantile(const struct sum *m, uint32_t entity, const char *kind, size_t i)
{
	char metric[32];
	struct shift s;

	snprintf(metric, sizeof(metric), "%s_%s_us", kind, quantiles[i].name);
	if (!frame_gather(m->s->f, entity, metric, m->scratch) ||
		!frame_shift(m->s->f, m->scratch, 1, &s))
		return NAN;
	return fmax(0, s.observed - s.normal);
}

/* What `tail` of the requests exceed, on a line over its logarithm between known quantiles. */
static double rise_at(const struct sum *m, uint32_t entity, const char *kind, double tail)
{
	double rise = NAN, at = tail;

	for (size_t i = 0; i < QUANTILES; i++) {
		double next = rise_of_quantile(m, entity, kind, i), part;

		if (isnan(next))
			continue;
		if (!isnan(rise) && quantiles[i].tail > tail) {
			part = log(tail / at) / log(quantiles[i].tail / at);
			return rise + part * (next - rise);
		}
		rise = next;
		at = quantiles[i].tail;
		if (at >= tail)
			return rise;
	}
	return rise;
}

/*
 * Where a tenth of the requests come by, a hundredth of all of them is a tenth of those: the
 * share of a part's rise that the target's quantile sees.
 */
static double seen_of_tail(const struct sum *m, uint32_t entity, const char *kind, double calls)
{
	double tail = m->s->lens[0].tail, all, seen;

	if (calls >= 1 || calls <= 0)
		return 1;
	all = rise_at(m, entity, kind, tail);
	seen = rise_at(m, entity, kind, tail / calls);
	return all > 0 && !isnan(seen) ? fmin(1, seen / all) : 1;
}

/* A tail is met once by a request, by its other calls the mean. */
static double add_part(const struct sum *m, uint32_t entity, const char *kind)
{
	const struct part *p = &m->tail->part[entity];
	double added, calls;

	if (!p->known || p->weight <= 0)
		return 0;
	added = p->weight * p->added;
	if (!m->mean || m->tail->visits[entity] <= 0)
		return added;
	calls = m->mean->visits[entity];
	added = added / m->tail->visits[entity] * seen_of_tail(m, entity, kind, calls);
	return calls > 1 ? added + (calls - 1) * rise_of(&m->mean->part[entity]) : added;
}

/* Time that a caller waited because others failed was put down to them; so much is left. */
static double kept_share(const struct suspicion *s, uint32_t service)
{
	const struct suspect *p = &s->suspect[service];

	return p->measured > 0 ? fmin(1, fmax(0, p->own - p->failures) / p->measured) : 0;
}

static double add_up(const struct sum *m, uint32_t service)
{
	const struct suspect *p = &m->s->suspect[service];
	const struct part *own = &m->tail->part[service];
	double added =
		kept_share(m->s, service) * add_part(m, service, own->derived ? "server" : "self");

	if (p->edge != GRAPH_NONE && p->between > 0)
		added +=
			add_part(m, p->edge, m->tail->part[p->edge].derived ? "client" : "network");
	return added;
}

double alone_added(const struct suspicion *s, uint32_t service, float *scratch)
{
	struct sum m = {.s = s, .tail = &s->seen[0], .scratch = scratch};

	if (!s->lenses || !s->lens[0].self)
		return 0;
	if (s->lenses > 1 && s->lens[0].tail < 1)
		m.mean = &s->seen[1];
	return add_up(&m, service);
}

/* How the calls of a service rose: all its latency less its own time. NaN where not measured. */
static double rise_of_waits(
	const struct suspicion *s, size_t lens, uint32_t service, float *scratch)
{
	const struct part *own = &s->seen[lens].part[service];
	struct shift shift;

	if (!own->known || own->derived ||
		!frame_gather(s->f, service, s->lens[lens].server, scratch) ||
		!frame_shift(s->f, scratch, 1, &shift))
		return NAN;
	return shift.observed - shift.normal - rise_of(own);
}

bool alone_outweighs_waits(const struct suspicion *s, uint32_t service, float *scratch)
{
	if (s->lenses < 2)
		return false;
	return rise_of(&s->seen[0].part[service]) >
		       TAIL_OF_WAITS * rise_of_waits(s, 0, service, scratch) &&
	       rise_of(&s->seen[1].part[service]) < rise_of_waits(s, 1, service, scratch);
}
