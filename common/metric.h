/*
 * The counters of a container and of a host, as they travel and as they are
 * named in recordings. A value that could not be read is NaN, never zero.
 */
#ifndef SAGE_COMMON_METRIC_H
#define SAGE_COMMON_METRIC_H

enum container_metric {
	METRIC_CPU_CORES,       /* CPU time used / window, in cores */
	METRIC_CPU_LIMIT_CORES, /* the tightest quota on the way to the root; CPUs if none */
	METRIC_CPU_UTIL,        /* cpu_cores / cpu_limit_cores */
	METRIC_CPU_THROTTLED,   /* share of the window spent throttled, own or by an ancestor */
	METRIC_CPU_RUNQ,        /* run-queue wait of its threads / window; may exceed 1 */
	METRIC_MEM_BYTES,
	METRIC_MEM_UTIL,          /* in use / limit; absent without a limit */
	METRIC_MEM_MAJOR_FAULTS,  /* per second */
	METRIC_MEM_RECLAIM_PAGES, /* per second */
	METRIC_BLK_READ_BYTES,    /* per second */
	METRIC_BLK_WRITE_BYTES,   /* per second */
	METRIC_BLK_WAIT,          /* time its threads waited for block I/O / window; may exceed 1 */
	METRIC_NET_RX_BYTES,      /* per second */
	METRIC_NET_TX_BYTES,      /* per second */
	METRIC_PSI_CPU,           /* share of the window with some task stalled, 0..1 */
	METRIC_PSI_MEM,
	METRIC_PSI_IO,
	METRIC_CPU_IPC,            /* instructions per cycle */
	METRIC_CPU_LLC_MISSES,     /* per second */
	METRIC_OOM_KILLS,          /* in the window */
	METRIC_CPU_CYCLES,         /* per second */
	METRIC_CPU_LLC_REFERENCES, /* per second */
	METRIC_CPU_SWITCHES,       /* context switches of its threads, per second */
	METRIC_MEM_FAULTS,         /* page faults, major and minor, per second */
	CONTAINER_METRICS
};

enum host_metric {
	HOST_CPU_UTIL,     /* 0..1 of all CPUs */
	HOST_MEM_UTIL,     /* 0..1 */
	HOST_BLK_UTIL,     /* busiest block device's busy share, 0..1 */
	HOST_NET_RX_BYTES, /* per second */
	HOST_NET_TX_BYTES,
	HOST_CPU_LOAD, /* mean over a minute of tasks that run or wait; not per CPU */
	HOST_PSI_CPU,  /* share of the window with some task stalled, 0..1 */
	HOST_PSI_MEM,
	HOST_PSI_IO,
	HOST_BLK_READ_BYTES, /* per second, of all disks */
	HOST_BLK_WRITE_BYTES,
	HOST_CPU_STEAL, /* share of CPU time that the hypervisor gave to others, 0..1 */
	HOST_METRICS
};

/* Canonical names (`cpu_throttled_ratio`), by number. */
extern const char *const container_metric_name[CONTAINER_METRICS];
extern const char *const host_metric_name[HOST_METRICS];

#endif
