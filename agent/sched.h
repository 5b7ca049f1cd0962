/*
 * Run-queue wait, I/O wait and reclaim of containers, by bpf/sched.bpf.c.
 *
 * Run-queue wait is the time threads were runnable and not running, throttling
 * included: a throttled thread is runnable. A wait is accounted when it ends.
 * Only the cgroups entered by sched_enter() are counted. One thread.
 */
#ifndef SAGE_AGENT_SCHED_H
#define SAGE_AGENT_SCHED_H

#include <stdint.h>

#include "bpf/sched.h"

struct sched;

/*
 * Load and attach. `subsys` is the cpu controller's id on cgroup v1, -1 on v2;
 * `max_cgroups` sizes the map. Returns 0 or -errno, after saying what the
 * kernel refused; -ENOTSUP without kernel BTF.
 */
int sched_open(struct sched **s, int subsys, uint32_t max_cgroups);

/* Count a cgroup from now on. Returns 0 or -errno (-E2BIG: full). */
int sched_enter(struct sched *s, uint64_t cgroup_id);
void sched_leave(struct sched *s, uint64_t cgroup_id);

/* Sums over CPUs since the cgroup was entered. Returns 0, -ENOENT or another -errno. */
int sched_read(struct sched *s, uint64_t cgroup_id, struct sched_counters *sum);

/* Events not counted because the same program was interrupted on that CPU, since open. */
uint64_t sched_missed(const struct sched *s);

/* Whether reclaim is counted too: its tracepoints are not on every kernel. */
int sched_sees_reclaim(const struct sched *s);

/* Safe on NULL. */
void sched_close(struct sched *s);

#endif
