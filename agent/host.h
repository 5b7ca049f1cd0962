/*
 * The host's own counters, from /proc. Like counters.h: descriptors stay open,
 * the first read gives levels only, what cannot be read is NaN. One thread.
 */
#ifndef SAGE_AGENT_HOST_H
#define SAGE_AGENT_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/metric.h"

#define HOST_DISKS 64

struct host_disk {
	uint64_t device; /* major << 32 | minor */
	bool physical;   /* no partition, no mapping onto other disks: its bytes count */
	uint64_t busy_ms, read_sectors, written_sectors; /* at the last read */
};

struct host {
	int stat, meminfo, diskstats, net, load, psi[3];
	bool primed;
	uint64_t read_ns; /* monotonic, of the last read */
	uint64_t cpu_busy, cpu_all, cpu_steal, rx, tx, psi_us[3];
	struct host_disk disk[HOST_DISKS];
	unsigned disks;
};

/* Never fails: a missing file costs its metrics. */
void host_open(struct host *h);

/* Fill metric[HOST_METRICS] for the time since the last read; now_ns is monotonic. */
void host_read(struct host *h, uint64_t now_ns, float *metric);

void host_close(struct host *h);

#endif
