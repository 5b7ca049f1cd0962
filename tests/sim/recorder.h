/*
 * Writes what a simulation's agents would have measured as a recording in the import format
 * (docs/operations.md), window after window. One thread; lines in the order of time, entity and
 * metric, so the same run gives the same bytes.
 */
#ifndef SAGE_SIM_RECORDER_H
#define SAGE_SIM_RECORDER_H

#include <stdbool.h>
#include <zlib.h>

#include "tests/sim/sim.h"

#define RECORDER_EPOCH_S 1700000000.0 /* of the first window */

/* What the recording is to lack. Names may be "random"; NULL = nothing. */
struct omission {
	double history;     /* share of services that are measured during incidents only */
	const char *edge;   /* "CALLER->CALLEE": not in the graph either */
	const char *entity; /* a service without an agent: only its peers' ends of calls are seen */
	const char *metric; /* all whose names begin so */
};

struct recorder {
	const struct sim *sim;
	const char *directory;
	gzFile metrics;
	double window_s;
	unsigned windows;
	/* Cumulative counters as of the last window; owned. */
	struct service_counters *service; /* [services] */
	struct edge_counters *edge;       /* [edges] */
	struct cpu_group *cpu;            /* [services] without their jobs */
	struct host_state *host;          /* [hosts] */
	bool *young;                      /* [services] without history */
	uint32_t lost_edge, lost_service; /* SIM_NONE */
	const char *lost_metric;
};

/* Make the directory, write graph and placement, begin metrics.csv.gz. Returns 0 or -errno. */
int recorder_open(struct recorder *r, const struct sim *s, const char *directory, double window_s,
	const struct omission *o, uint64_t seed);

/* The window that has just ended; `incident` tells whether a fault was on. */
void recorder_window(struct recorder *r, bool incident);

/* The same, but nothing of it is written: a gap. */
void recorder_skip(struct recorder *r);

/* Unix time at which window `number` begins. */
double recorder_time(const struct recorder *r, unsigned number);

/* Returns 0 or -errno: what went wrong with the writing so far. Safe on a zeroed struct. */
int recorder_close(struct recorder *r);

/* Forget what the window's histograms hold. */
void recorder_clear_window(struct sim *s);

#endif
