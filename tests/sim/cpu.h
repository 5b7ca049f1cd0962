/*
 * The CPUs of a host and the containers that share them.
 *
 * A container's jobs share what it is given equally (processor sharing), up to a core each;
 * containers share the host by weight, each up to what its jobs can use. A quota is a budget
 * for every period of 100 ms: once it is used up the container stands still until the
 * period is over. Between two changes all rates are constant, so the state is moved
 * forward in one step, and a job is due when its container's virtual time, the work each job has
 * got so far, reaches what the job came in at plus its work. One owner.
 *
 * Time is in ns, work in ns of one core.
 */
#ifndef SAGE_SIM_CPU_H
#define SAGE_SIM_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_NEVER UINT64_MAX

struct cpu_job {
	double due; /* virtual time */
	uint32_t id;
};

struct cpu_group {
	struct cpu_job *job; /* [jobs], a heap by due; owned */
	size_t jobs, capacity;
	double weight;       /* 1 */
	double quota;        /* cores; 0 = none */
	unsigned neighbours; /* busy threads beside it, under the same quota: they get up to half */
	bool paused;         /* its threads stand still and want no CPU */

	double virtual_ns, rate; /* rate: cores given, neighbours included */
	double budget_ns;
	uint64_t period_ns; /* start of the present one */
	bool throttled;

	/* Since the start, in ns: used by its jobs, by neighbours, throttled, summed wait of
	 * runnable jobs, and time in which some job waited. */
	double used, neighbours_used, throttled_for, waited, stalled;
};

struct cpu {
	double cores;
	struct cpu_group **group; /* [groups] owned array, of groups that are others' */
	size_t groups, capacity;
	uint64_t now_ns, next_ns; /* state is as of now; nothing is due before next */
	double used;
	bool stolen; /* the hypervisor runs another machine: all stands still, and none of it knows
		      */
	double stolen_for;
};

void cpu_init(struct cpu *c, double cores);
void cpu_clear(struct cpu *c);
void cpu_join(struct cpu *c, struct cpu_group *g);
void cpu_group_init(struct cpu_group *g, double quota);
void cpu_group_clear(struct cpu_group *g);

/* Let time pass; then change what is to change, then cpu_plan(). */
void cpu_advance(struct cpu *c, uint64_t now_ns);
void cpu_start(struct cpu_group *g, uint32_t id, double work_ns);
void cpu_set_quota(struct cpu_group *g, double cores);

/* Take a job of the group that is done. False when none is. */
bool cpu_take_done(struct cpu_group *g, uint32_t *id);

/* Share out anew. Returns when something is due next: a job, a throttling, the end of one. */
uint64_t cpu_plan(struct cpu *c);

#endif
