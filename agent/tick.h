/*
 * A timer on the boundaries of the wall clock: every agent's windows start at the
 * same moments. A jump of the clock moves the next tick to a boundary again.
 */
#ifndef SAGE_AGENT_TICK_H
#define SAGE_AGENT_TICK_H

#include <stdint.h>

struct tick {
	int fd; /* -1 when closed */
	uint64_t interval_ns;
};

/* Returns 0 or -errno. */
int tick_open(struct tick *t, unsigned interval_ms);

/* Readable at every boundary. */
int tick_fd(const struct tick *t);

/* How many boundaries were passed since the last read, and the last of them in ns since 1970. */
uint64_t tick_read(struct tick *t, uint64_t *at_ns);

void tick_close(struct tick *t);

#endif
