/* What the calls of a service ask for. */
#include <math.h>
#include <stdlib.h>

#include "analyzer/api.h"

/* During an incident what is since it began is held against what was before. */
static uint64_t since_ns(const struct core *c)
{
	double started_s = core_open_since(c);

	return isnan(started_s) ? operations_recent_ns(&c->live.operations)
				: (uint64_t)(started_s * 1e9);
}

void api_operations(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r)
{
	const char *service = http_query(q, "service");
	size_t limit = api_limit(q, r), count;
	struct operation_row *rows;
	uint64_t from_ns;
	json_t *all;

	(void)rest;
	if (!limit)
		return;
	if (!service || graph_find(&c->live.recording.graph, service) == GRAPH_NONE) {
		http_fail(r, service ? 404 : 400,
			"service=%s: no such service; names are in /api/v1/graph",
			service ? service : "");
		return;
	}
	from_ns = since_ns(c);
	if (operations_of_service(&c->live.operations, service, from_ns, &rows, &count)) {
		http_fail(r, 503, "out of memory");
		return;
	}
	all = json_array();
	for (size_t i = 0; i < count && i < limit; i++)
		json_array_append_new(all, core_operation_json(&rows[i]));
	free(rows);
	r->json = json_pack("{ss sf so}", "service", service, "since", (double)from_ns / 1e9,
		"operations", all);
}
