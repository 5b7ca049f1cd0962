/*
 * A real server at saturation on loopback: redis under redis-benchmark, nginx under wrk. Server
 * and load each have a cgroup of their own and, where there are two CPUs, a CPU of their own.
 */
#ifndef SAGE_TESTS_BENCH_WORKLOAD_H
#define SAGE_TESTS_BENCH_WORKLOAD_H

#include <stdint.h>

#include "tests/bench/place.h"

#define WORKLOAD_CONNECTIONS 16

enum workload_kind { WORKLOAD_REDIS, WORKLOAD_NGINX, WORKLOADS };

struct workload {
	enum workload_kind kind;
	const struct place *place;
	unsigned seconds; /* of a run, about */
	char server_cgroup[PLACE_PATH], load_cgroup[PLACE_PATH], log[PLACE_PATH];
	char port[8], requests[24];
	pid_t server;
};

struct workload_result {
	uint64_t requests;
	double requests_per_s, p50_us, p99_us; /* as the load saw it */
};

const char *workload_name(enum workload_kind k); /* also the service's name: its cgroup */

/* Start the server and find out what it can do. Returns 0 or -errno, said on stderr. */
int workload_open(
	struct workload *w, enum workload_kind k, const struct place *p, unsigned seconds);
void workload_close(struct workload *w);

/* One run, in two halves. Returns 0; -errno or -EBADMSG, said on stderr. */
int workload_start(const struct workload *w, pid_t *load);
int workload_finish(const struct workload *w, pid_t load, struct workload_result *out);

#endif
