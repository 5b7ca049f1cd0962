/*
 * How what was captured of calls compares with the record of the client that made them:
 * a real client library in a process of its own (tests/testbed/caller.c), a real server.
 */
#ifndef SAGE_TESTS_ACCURACY_H
#define SAGE_TESTS_ACCURACY_H

#include <stdbool.h>

#include "tests/bpf/seen.h"
#include "tests/bpf/service.h"
#include "tests/testbed/record.h"

/* What can be called here, by its protocol. A new one is a row. */
struct accuracy_server {
	const char *name; /* as sage-caller knows it */
	enum service_kind kind;
	unsigned protocol; /* enum wire_protocol that capture is to see */
	bool starts_up;    /* a connection begins with messages that are no call */
};

#define ACCURACY_SERVERS 6
extern const struct accuracy_server accuracy_server[ACCURACY_SERVERS];

struct accuracy_load {
	unsigned connections;
	double rate; /* calls per second, so that their number is fixed; 0: without a pause */
	double seconds;
	int cpu; /* the client is kept to; -1: any */
};

struct accuracy {
	struct record_second client; /* its record; `rate` is what was reached */
	struct both seen;            /* everything between the two while it ran */
};

/*
 * Let the client run before all else that wants its CPU (SCHED_FIFO): waiting between its
 * clock and its call it would measure the machine, not the call. Returns 0, or -errno where
 * a cgroup of v1 gets no such time; the client then runs as any other.
 */
int accuracy_prefer(const struct traffic_cgroup *front);

/* Start the server in `back` and store what it will be asked for. 0, -ENOENT: not installed. */
int accuracy_start(
	struct service *s, const struct accuracy_server *server, const struct traffic_cgroup *back);

/*
 * Have it called from `front`, reading windows of a second meanwhile, until both ends
 * have been quiet. Returns 0, -EIO when the client failed, or -errno of a read.
 */
int accuracy_run(struct capture *c, const struct service *s, const struct accuracy_server *server,
	const struct traffic_cgroup *front, const struct traffic_cgroup *back,
	const struct accuracy_load *load, struct accuracy *out);

#define ACCURACY_NEAR_NS 20000 /* the budget */

/*
 * A quantile as captured at the client's end less the client's own, ns: negative where less
 * was captured. Returns whether it is within 5 % or near_ns.
 */
bool accuracy_near(const struct accuracy *a, double quantile, double near_ns, double *error_ns);

#endif
