/* What workload.c is made of: how each server is started, and how each load is run and read. */
#ifndef SAGE_TESTS_BENCH_WORKLOAD_PARTS_H
#define SAGE_TESTS_BENCH_WORKLOAD_PARTS_H

#include <stdbool.h>

#include "tests/bench/workload.h"

/* Start the server of w->kind at w->address, w->port. Pid or -errno. */
pid_t workload_server_start(const struct workload *w);

/* Start the load of w->kind. Pid or -errno. */
pid_t workload_load_start(const struct workload *w);

/* Have it store at the server what it will ask for, and learn how much fills the time. */
int workload_load_prepare(struct workload *w);

/* What a load that has ended reported. Returns whether there is a whole result. */
bool workload_load_read(const struct workload *w, struct workload_result *out);

/*
 * argv[0] taskset, where there are CPUs to choose from; then the program and its arguments,
 * ended by NULL. Output goes to the file `log`. Pid or -errno.
 */
pid_t workload_start_pinned(const struct place *p, const char *cgroup, const char *log, char *cpu,
	const char *const arguments[]);

#endif
