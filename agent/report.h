/*
 * What the agent tells on its control socket, as JSON. Values that are absent
 * are null; latencies are microseconds, ratios 0..1, rates per second. Each
 * function gives a new reference.
 */
#ifndef SAGE_AGENT_REPORT_H
#define SAGE_AGENT_REPORT_H

#include <jansson.h>

#include "common/wire.h"

/* {time, duration_s, host:{}, containers:[{..., metrics:{}}], edges:[...], losses:{}} */
json_t *report_window(const struct wire_window *w);

/* {cause: count} */
json_t *report_losses(const uint64_t loss[WIRE_LOSSES]);

#endif
