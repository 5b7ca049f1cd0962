/*
 * A real server at saturation on loopback: redis under redis-benchmark, nginx under wrk,
 * memcached and a Thrift tier of the testbed under sage-caller. Server and load each have a
 * cgroup of their own and, where there are two CPUs, a CPU of their own.
 */
#ifndef SAGE_TESTS_BENCH_WORKLOAD_H
#define SAGE_TESTS_BENCH_WORKLOAD_H

#include <stdint.h>

#include "tests/bench/place.h"

#define WORKLOAD_CONNECTIONS 16

enum workload_kind {
	WORKLOAD_REDIS,
	WORKLOAD_NGINX,
	WORKLOAD_MEMCACHED,
	WORKLOAD_THRIFT,
	WORKLOADS
};

struct workload {
	enum workload_kind kind;
	const struct place *place;
	unsigned seconds; /* of a run, about */
	double rate;      /* requests per second, of the loads of sage-caller; 0: saturation */
	char server_cgroup[PLACE_PATH], load_cgroup[PLACE_PATH], log[PLACE_PATH];
	char address[16], port[8];
	char requests[24]; /* of a run of redis-benchmark, which takes no time */
	pid_t server;
	uint64_t cpu_ns; /* of the server when the run began */
};

struct workload_result {
	uint64_t requests;
	double requests_per_s, p50_us, p99_us; /* as the load saw it */
	double server_cpu_us; /* CPU time of the server per request; NaN: unknown */
};

const char *workload_name(enum workload_kind k); /* also the service's name: its cgroup */

/* Whether server and load can be had here; `why` says why not. */
bool workload_there(enum workload_kind k, const char **why);

/* Start the server and find out what it can do. Returns 0 or -errno, said on stderr. */
int workload_open(
	struct workload *w, enum workload_kind k, const struct place *p, unsigned seconds);
void workload_close(struct workload *w);

/* One run, in two halves. Returns 0; -errno or -EBADMSG, said on stderr. */
int workload_start(struct workload *w, pid_t *load);
int workload_finish(struct workload *w, pid_t load, struct workload_result *out);

#endif
