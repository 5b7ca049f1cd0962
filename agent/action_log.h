/*
 * The append-only record of everything the actuator did or refused: one JSON object a
 * line in STATE/actions.log, kept in two files of at most a megabyte each. One thread.
 */
#ifndef SAGE_AGENT_ACTION_LOG_H
#define SAGE_AGENT_ACTION_LOG_H

#include "common/wire.h"

/* `dir` is the open state directory. Returns 0 or negative errno. */
int action_log_write(int dir, const struct wire_lease *l, const struct wire_lease_report *r);

#endif
