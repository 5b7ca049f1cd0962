/*
 * Perf events of one container: what its threads made the CPUs do, counted per cgroup.
 *
 * One group of events per CPU (perf_event_open(2), PERF_FLAG_PID_CGROUP), read with one
 * read() each; where there are more groups than counters the kernel takes turns and the
 * counts are scaled up. The kernel switches the events with every switch between containers,
 * which is why they are counted only when asked for. On a machine without a PMU, such as
 * many VMs, the hardware events are absent and the software ones remain. One thread.
 */
#ifndef SAGE_AGENT_PERF_H
#define SAGE_AGENT_PERF_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/cgroup.h"
#include "common/metric.h"

enum perf_event {
	PERF_CYCLES,
	PERF_INSTRUCTIONS,
	PERF_LLC_REFERENCES,
	PERF_LLC_MISSES,
	PERF_SWITCHES, /* software, from here on */
	PERF_FAULTS,
	PERF_EVENTS
};

struct perf {
	int *fd; /* [cpus][PERF_EVENTS], -1 where there is none; memory of the caller's */
	unsigned cpus;
	bool primed;
	uint64_t last[PERF_EVENTS];
};

/* CPUs that may ever be there. */
unsigned perf_cpus(void);

/* Does this machine count cycles? */
bool perf_has_hardware(void);

/*
 * Count for a cgroup from now on. `fd` has room for perf_cpus() * PERF_EVENTS. Returns 0 or
 * -errno of the first event on the first CPU, and then counts nothing; later refusals cost
 * their event only.
 */
int perf_open(struct perf *p, int *fd, const struct cgroup_tree *t, const char *path);

/* Fill the metrics that come from here; those not counted stay as they are. */
void perf_read(struct perf *p, uint64_t elapsed_ns, float *metric);

/* Safe on a zeroed struct and twice. */
void perf_close(struct perf *p);

#endif
