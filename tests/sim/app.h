/*
 * The application a simulation runs: hosts, services placed on them, what a request to each of
 * their operations costs, and whom it calls.
 *
 * Built by app_host(), app_service(), app_operation() and app_call() in any order that names
 * things before they are used, then made ready by app_finish(), after which only the engine's
 * faults change it. Operation 0 is the one users call. Times are what the thing takes when
 * nothing is in its way; queueing adds the rest. One owner; allocated memory is the app's.
 */
#ifndef SAGE_SIM_APP_H
#define SAGE_SIM_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/testbed/topology.h"

#define APP_USER UINT32_MAX /* the outside world, as a caller */
#define APP_NO_HOST UINT32_MAX
#define APP_NAME 32
#define APP_ALWAYS UINT32_MAX

enum app_spread {
	SPREAD_EVEN, /* 0.7 to 1.3 times the mean, as the testbed's */
	SPREAD_FIXED,
	SPREAD_EXPONENTIAL,
	SPREAD_LOGNORMAL, /* sigma 0.5 */
};

struct app_host {
	char name[APP_NAME];
	double cores;
	double read_us;           /* a read of 4 KiB, exponential */
	double disk_bytes_per_us; /* of large reads */
};

/* One container. */
struct app_service {
	char name[APP_NAME];
	uint32_t host;
	unsigned workers; /* threads, each with one request at a time */
	unsigned backlog; /* requests that may wait for one; the next is refused */
	double quota;     /* cores; 0 = none */
	double memory_mb; /* limit */
	double used_mb;   /* beside the working set */
	double work_mb;   /* working set: pages of it that do not fit come from the disk */
	double pause_every_s, pause_ms; /* stop-the-world pauses; 0 = none */
	uint32_t from, until;           /* phases it exists in: from <= phase < until */
	bool reads_disk;                /* some operation does */
};

struct app_operation {
	uint32_t service;
	double cpu_us; /* mean, of a request */
	enum app_spread spread;
	double later; /* share of it that is left for after the calls */
	double reads, pages;
	double request_bytes, reply_bytes;
	uint32_t first, calls; /* in app.call */
};

/* What an operation calls; calls of one step at the same time, steps one after the other. */
struct app_call {
	uint32_t caller, callee; /* operations; APP_USER */
	uint32_t edge;           /* filled by app_finish() */
	unsigned step;
	double pick;   /* weight among those of its step; 0 = not one of them */
	double chance; /* of a call that is no alternative: what a cache misses, say */
	bool queued;   /* a message: nobody waits for an answer */
	uint32_t from, until;
};

/* The calls between two services share connections. */
struct app_edge {
	uint32_t caller, callee; /* services; caller may be APP_USER */
	unsigned pool;           /* connections, each with one call at a time */
	unsigned retries;
};

struct app {
	struct app_host *host;
	struct app_service *service;
	struct app_operation *operation;
	struct app_call *call;
	struct app_edge *edge;
	uint32_t hosts, services, operations, calls, edges;
	struct topology load;   /* rate, swing, period_s, noise, connections */
	double burst;           /* requests during a burst, by the usual; 0 = no bursts */
	double burst_every_s;   /* mean time between two */
	double burst_s;         /* mean length */
	double way_us;          /* one way between two hosts; a fourth of it within one */
	double link_mbit;       /* of a service, either way */
	double timeout_ms;      /* of a call; 0 = none */
	double backoff_ms;      /* before a call is made again */
	unsigned pool, retries; /* of edges yet to be made */
	uint32_t phases;
};

void app_init(struct app *a);
void app_clear(struct app *a);

/* Each returns the number of what it added, with usual values the caller may change, or
 * aborts when out of memory: a simulation has no use for half an application. */
uint32_t app_host(struct app *a, double cores);
uint32_t app_service(struct app *a, uint32_t host, const char *name);
uint32_t app_operation(struct app *a, uint32_t service, double cpu_us);
uint32_t app_call(struct app *a, uint32_t caller, uint32_t callee, unsigned step);

/* Sort the calls, find the edges, add the user's. Call once. */
void app_finish(struct app *a);

/* The testbed's application: all on one host. */
void app_from_topology(struct app *a, const struct topology *t, double cores);

/* Requests per second that reach each operation, [operations], at the mean load in a phase. */
void app_rates(const struct app *a, uint32_t phase, double *rate);

/* Of its caller's requests, how many make a call in a phase. */
double app_share(const struct app *a, uint32_t call, uint32_t phase);

uint32_t app_find_service(const struct app *a, const char *name); /* APP_USER = none */

static inline bool app_exists(const struct app_service *s, uint32_t phase)
{
	return s->from <= phase && phase < s->until;
}

#endif
