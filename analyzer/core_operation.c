/* Which operation of a culprit slowed: said beside a diagnosis, and no part of it. */
#include "analyzer/core.h"

#include <math.h>
#include <stdlib.h>

#include "common/json.h"

static json_t *period(const struct operation_period *p)
{
	return json_pack("{sI so so so so so}", "calls", (json_int_t)p->calls, "calls_per_s",
		json_number_or_null(p->calls_per_s), "error_ratio",
		json_number_or_null(p->calls ? (double)p->errors / (double)p->calls : NAN),
		"mean_us", json_number_or_null(p->mean_us), "p50_us",
		json_number_or_null(p->p50_us), "p99_us", json_number_or_null(p->p99_us));
}

json_t *core_operation_json(const struct operation_row *r)
{
	return json_pack("{ss ss ss ss sf so so}", "service", r->key.service, "name", r->key.name,
		"side", r->key.side == WIRE_SERVER ? "server" : "client", "protocol",
		wire_protocol_name(r->key.protocol), "added_us_per_s", r->added, "now",
		period(&r->now), "before", period(&r->before));
}

double core_open_since(const struct core *c)
{
	double since_s = NAN;

	for (size_t i = 0; i < c->incidents; i++)
		if (c->incident[i].state < INCIDENT_RECOVERED &&
			!(since_s <= c->incident[i].started_s))
			since_s = c->incident[i].started_s;
	return since_s;
}

/* The first culprit's; null where it has none that explains the rise. */
json_t *core_slowed_operation(
	const struct core *c, const struct core_incident *n, const struct diagnosis *d)
{
	const struct operation_row *slowed;
	struct operation_row *rows;
	json_t *json = NULL;
	size_t count, i = 0;

	while (i < d->candidates && !d->candidate[i].culprit)
		i++;
	if (i == d->candidates ||
		operations_of_service(&c->live.operations,
			c->live.recording.graph.entity[d->candidate[i].service].name,
			(uint64_t)(n->started_s * 1e9), &rows, &count))
		return json_null();
	slowed = operations_slowed(rows, count);
	if (slowed)
		json = core_operation_json(slowed);
	free(rows);
	return json ? json : json_null();
}
