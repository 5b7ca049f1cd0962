/*
 * What the paths of docs/api.md answer. Handlers run on HTTP threads with the core's
 * lock held, fill the reply and change nothing but mode, targets and actions.
 */
#ifndef SAGE_ANALYZER_API_H
#define SAGE_ANALYZER_API_H

#include "analyzer/core.h"
#include "analyzer/http.h"

/* The http_handler; ctx is the core. */
void api_handle(void *core, const struct http_request *q, struct http_reply *r);

/* One path. `rest` is what follows the route's prefix, "" when nothing does. */
typedef void api_handler(
	struct core *c, const struct http_request *q, const char *rest, struct http_reply *r);

api_handler api_health, api_ready, api_metrics, api_status;     /* api_status.c, api_metrics.c */
api_handler api_graph, api_entity, api_series;                  /* api_graph.c, api_series.c */
api_handler api_operations;                                     /* api_operations.c */
api_handler api_slos, api_set_slo, api_incidents, api_incident; /* api_incidents.c */
api_handler api_actions, api_change_action, api_set_mode;       /* api_actions.c */

/* The metric in the newest window, NaN when absent. */
double api_newest(const struct core *c, uint32_t entity, const char *metric);

/* What the intake and the queue behind it counted since the start; all 0 without an intake. */
struct api_count {
	const char *name, *help;
	uint64_t value;
};

#define API_INTAKE_COUNTS 9

void api_intake_counts(const struct core *c, struct api_count out[API_INTAKE_COUNTS]);

/* limit=N of the query, 1..1000, 100 by default; 0 after filling in an error. */
size_t api_limit(const struct http_request *q, struct http_reply *r);

/* NaN-tolerant Unix time of the query; false after filling in an error. */
bool api_time(const struct http_request *q, const char *name, double *out, struct http_reply *r);

#endif
