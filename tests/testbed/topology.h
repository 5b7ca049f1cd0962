/*
 * The shape of the test application: which services there are, what each does
 * for one request, and whom it calls. Read from a text file:
 *
 *   load rate=80 swing=0.2 period_s=40 noise=0.05 connections=64
 *   service web kind=tier protocol=http cpu_us=250 quota=0.4 memory_mb=96
 *   call web home step=1 pick=0.6
 *
 * The first service is the front, the one the load generator calls. Calls of a
 * service run step after step; those of one step run in parallel. Of a step's
 * calls that carry a `pick`, one is made, chosen by weight; a `chance` makes a
 * call that often. Loading allocates nothing; a topology may be copied.
 */
#ifndef SAGE_TESTBED_TOPOLOGY_H
#define SAGE_TESTBED_TOPOLOGY_H

#include <stddef.h>

#define TOPOLOGY_SERVICES 32
#define TOPOLOGY_CALLS 16 /* of one service */
#define TOPOLOGY_NAME 32

enum service_kind { KIND_TIER, KIND_NGINX, KIND_REDIS, KIND_MEMCACHED, KIND_POSTGRESQL, KINDS };
enum service_protocol {
	PROTOCOL_HTTP,
	PROTOCOL_THRIFT,
	PROTOCOL_REDIS,
	PROTOCOL_MEMCACHED,
	PROTOCOL_POSTGRESQL,
	PROTOCOLS
};

struct service_call {
	unsigned callee; /* index of the service called */
	unsigned step;   /* calls of a lower step are answered first */
	double pick;     /* weight among the alternatives of its step; 0 = not one of them */
	double chance;   /* 0..1, for calls that are not alternatives */
};

struct service {
	char name[TOPOLOGY_NAME];
	enum service_kind kind;
	enum service_protocol protocol; /* it is called by */
	unsigned port;
	double cpu_us;      /* CPU burnt for a request, mean */
	double work_mb;     /* file-backed working set, mapped; 0 = none */
	double pages;       /* pages of it touched for a request */
	double reads;       /* direct disk reads of 4 KiB for a request */
	double reply_bytes; /* payload of an answer */
	double pool;        /* connections to each callee */
	double quota;       /* CPU quota of its pod, in cores */
	double memory_mb;   /* memory limit of its pod */
	size_t calls;
	struct service_call call[TOPOLOGY_CALLS];
};

struct topology {
	double rate;        /* requests per second, mean */
	double swing;       /* amplitude of the slow sine, as a share of the rate */
	double period_s;    /* of the sine */
	double noise;       /* standard deviation of the per-second factor */
	double connections; /* of the load generator */
	size_t services;
	struct service service[TOPOLOGY_SERVICES];
};

/*
 * Read a topology. On failure `error` says what is wrong, in which line.
 * Returns 0, -EINVAL for a bad line, or what opening the file said.
 */
int topology_load(struct topology *t, const char *path, char *error, size_t error_size);

/* The service of that name, or NULL. */
const struct service *topology_find(const struct topology *t, const char *name);

static inline unsigned topology_index(const struct topology *t, const struct service *s)
{
	return (unsigned)(s - t->service);
}

#endif
