/*
 * The counters of one container, from its cgroup's files and its network
 * namespace. Descriptors stay open; a read costs one pread each and allocates
 * nothing. Rates and shares are taken between two reads, so the first read
 * gives levels only. What cannot be read is NaN.
 *
 * Throttling: both cgroup versions sum the throttled time over CPUs, so it can
 * run N times as fast as the clock. The share reported is the smaller of that
 * time and of the periods in which throttling happened, over the window, at
 * most 1; of all levels from the container to the root the largest counts.
 */
#ifndef SAGE_AGENT_COUNTERS_H
#define SAGE_AGENT_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/cgroup.h"
#include "common/metric.h"

#define COUNTERS_LEVELS 8 /* the container and its nearest ancestors, without the root */
#define COUNTERS_PATH 512

struct counters_level {
	int stat;          /* cpu.stat, other levels than the own on v2 too */
	int quota, period; /* v1 two files; v2 cpu.max in `quota` */
	int mem_usage, mem_limit, mem_high;
	uint64_t throttled_ns, throttled_periods; /* at the last read */
};

struct counters {
	struct counters_level level[COUNTERS_LEVELS]; /* 0: the container's own */
	unsigned levels;
	int cpu_usage, mem_stat, mem_events, blk, psi[3], net;
	bool v2, primed, net_primed; /* primed: read once, so there is a difference to take */
	pid_t net_pid;               /* whose namespace `net` shows; 0: none of its own */
	uint64_t read_ns;            /* monotonic, of the last read */
	uint64_t cpu_ns, major_faults, reclaimed, blk_read, blk_write, oom_kills, psi_us[3], rx, tx;
};

/* Open what there is. Missing files cost their metrics only. Never fails. */
void counters_open(struct counters *c, const struct cgroup_tree *t, const char *path);

/*
 * Show this process's /proc/PID/net/dev in the network metrics when its network
 * namespace is not the host's; 0 forgets it. Returns the namespace's inode, or 0.
 */
uint64_t counters_set_net(struct counters *c, pid_t pid);

/* Fill metric[CONTAINER_METRICS] for the time since the last read; now_ns is monotonic. */
void counters_read(struct counters *c, uint64_t now_ns, float *metric);

/* Safe on a zeroed struct and twice. */
void counters_close(struct counters *c);

#endif
