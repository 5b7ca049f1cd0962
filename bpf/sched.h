/*
 * What bpf/sched.bpf.c and agent/sched.c share: the scheduler's counters of one
 * cgroup on one CPU. User space enters the cgroups it wants counted.
 */
#ifndef SAGE_BPF_SCHED_H
#define SAGE_BPF_SCHED_H

struct sched_counters {
	unsigned long long runq_ns;   /* runnable, not running: queued, preempted or throttled */
	unsigned long long iowait_ns; /* asleep in the kernel's I/O wait */
	unsigned long long switches;  /* times a thread was given the CPU */
	unsigned long long reclaimed; /* pages its threads reclaimed while they waited for memory */
};

#endif
