/*
 * Who may be touched and how far: the node's own word, whatever the analyzer asks.
 *
 * Pure checks over a configuration; one thread. Both answer true, or false with the reason
 * in `why`.
 */
#ifndef SAGE_AGENT_GUARD_H
#define SAGE_AGENT_GUARD_H

#include "agent/actuator.h"

#define GUARD_WHY (WIRE_NAME * 2)
#define GUARD_PATTERNS 64

struct guard {
	char *allow[GUARD_PATTERNS]; /* [patterns] owned */
	size_t patterns;
	char own[WIRE_PATH]; /* the agent's cgroup; "/" = not in one, "" = unknown: touch nothing */
	struct actuator_limits limits;
};

/*
 * `mount` is where the cpu hierarchy is, in which the agent's own cgroup is looked for.
 * Returns 0, -EINVAL (too many patterns, path too long) or -ENOMEM.
 */
int guard_open(struct guard *g, const struct actuator_options *o, const char *mount);
void guard_close(struct guard *g);

/* May this cgroup be touched at all? */
bool guard_path(const struct guard *g, const char *path, char why[GUARD_WHY]);

/* May this knob, now at `old`, be set to `value`? */
bool guard_value(const struct guard *g, const struct knob *k, int64_t old, int64_t value,
	char why[GUARD_WHY]);

#endif
