/*
 * Short-lived containers: a cgroup, a process in it that makes a few calls of a server, and
 * both are gone. Main thread only; never waits.
 */
#ifndef SAGE_TESTS_BENCH_CHURN_H
#define SAGE_TESTS_BENCH_CHURN_H

#include <stdint.h>

#include "tests/bench/workload.h"

#define CHURN_LIVE 64

struct churn {
	const struct workload *server; /* that is called by sage-caller */
	uint64_t every_ns;             /* a new one; 0: none */
	uint64_t next_ns;
	unsigned started, ended, failed;
	uint64_t calls; /* that those which ended made */
	struct churn_one {
		pid_t pid; /* 0: a free slot */
		char cgroup[PLACE_PATH], record[PLACE_PATH];
	} one[CHURN_LIVE];
};

/* Start those that are due, at most one a call, and take away those that have ended. */
void churn_tick(struct churn *c, uint64_t now_ns);

/* Wait for those under way. */
void churn_close(struct churn *c);

#endif
