/*
 * A running simulation: discrete events, from the user's arrival to the answer. The way of a
 * request through a service is that of the testbed's tier:
 *
 *   connection - network - wait for a thread - CPU - pages and disk - lock - calls - CPU - network
 *
 * Everything that slows a request is a queue or a share it waits for. A fault changes a capacity
 * (struct service_state, host_state), never a latency. What is counted is what an agent sees: calls
 * at both ends, and each container's counters. One thread; the same app, seed and changes give the
 * same run.
 */
#ifndef SAGE_SIM_SIM_H
#define SAGE_SIM_SIM_H

#include "common/hist.h"
#include "tests/sim/app.h"
#include "tests/sim/cpu.h"
#include "tests/sim/events.h"
#include "tests/testbed/arrivals.h"

#define SIM_NONE UINT32_MAX
#define SIM_START_NS 1000000000ULL

enum call_stage {
	STAGE_CONNECT, /* waits for a connection, or before it is made again */
	STAGE_WAY,     /* on its way, or waiting for a thread */
	STAGE_WORK,
	STAGE_READ,
	STAGE_LOCK,
	STAGE_CALLS,
	STAGE_LATER, /* the work after the calls */
	STAGE_BACK,
};

/* One attempt at a call. */
struct call {
	uint32_t parent, made_by; /* call it was made for, or SIM_NONE; app.call */
	uint32_t next;            /* in whatever queue it waits */
	uint32_t generation;      /* of this slot: tells who waits for one long gone */
	uint32_t at;              /* next of app.call that its operation makes */
	uint16_t pending;         /* children of the step that are not settled */
	uint16_t outstanding;     /* of these, sent */
	uint8_t stage, attempt;
	bool failed, abandoned;
	uint32_t reads_left;
	uint64_t born_ns, sent_ns, arrived_ns;
	uint64_t since_ns;  /* children have been outstanding */
	uint64_t waited_ns; /* for children, so far */
};

struct queue {
	uint32_t first, last, length;
};

/* From and to a service; both directions alike. */
struct link_state {
	double mbit, loss; /* share of segments to the service */
	uint64_t in_free_ns, out_free_ns;
};

/* Sums since the start. */
struct service_counters {
	uint64_t requests, errors, faults, reads, received_bytes, sent_bytes;
	double read_wait_ns, read_stall_ns;
};

struct edge_counters {
	uint64_t calls, errors, segments, retransmits, sent_bytes, received_bytes, round_trips;
	double round_trip_ns;
};

struct service_state {
	struct cpu_group cpu;
	unsigned busy; /* threads */
	struct queue queue;
	struct link_state link;
	double memory_mb;           /* limit */
	double error_share;         /* of requests that fail by themselves */
	double slow_share, slow_ms; /* of requests that hold the lock, and how long */
	uint64_t lock_free_ns;
	double pause_every_s, pause_ms;
	uint64_t pause_due_ns; /* next begin or end; UINT64_MAX = none */
	unsigned reading;      /* threads that wait for the disk */
	uint64_t reading_since_ns;
	struct service_counters sum;
	struct hist server, self; /* of the window */
};

struct edge_state {
	unsigned pool, busy; /* connections */
	struct queue queue;
	struct edge_counters sum;
	struct hist client, server; /* of the window */
};

struct host_state {
	struct cpu cpu;
	uint64_t planned_ns; /* the event that will look at it */
	double away_ms;      /* how long its CPUs are taken at a time, on average; 0 = not at all */
	uint64_t steal_due_ns;
	bool dirty;
	uint64_t disk_free_ns;
	unsigned readers, readers_wanted; /* of a neighbour with large reads */
	double disk_busy_ns, disk_bytes;
};

struct deadline {
	uint64_t at_ns;
	uint32_t call, generation;
};

struct sim {
	const struct app *app;
	struct events events;
	struct random random;
	struct arrivals arrivals;
	double surge;           /* factor of the load */
	bool bursting, stopped; /* stopped: no more arrivals */
	bool retrying;          /* calls that failed are made again, where their edge does so */
	uint32_t phase;
	uint64_t now_ns;
	struct service_state *service; /* [app->services] owned */
	struct edge_state *edge;       /* [app->edges] owned */
	struct host_state *host;       /* [app->hosts] owned */
	struct call *call;             /* [calls] owned */
	uint32_t calls, capacity, free;
	uint32_t *dirty; /* [dirties] hosts to be planned anew; owned */
	uint32_t dirties;
	struct deadline *deadline; /* ring of calls sent, in order; owned */
	size_t deadlines, deadline_first, deadline_capacity;
	/* What users met, since the start. */
	uint64_t arrived, answered, failed, steps;
	uint32_t users;       /* requests in the system */
	double users_area_ns; /* integral of `users` */
	double users_sum_ns;  /* of the times of those that left */
	uint64_t users_ns;
	struct hist user; /* of the window, from when a request was due */
};

/* The app must outlive it. Aborts when out of memory. */
struct sim *sim_new(const struct app *a, uint64_t seed);
void sim_free(struct sim *s);

/* All that happens before `until_ns`; containers' counters are then as of that time. */
void sim_run(struct sim *s, uint64_t until_ns);

/* Changes of capacity; they take effect at once. */
void sim_set_quota(struct sim *s, uint32_t service, double cores);
void sim_set_neighbours(struct sim *s, uint32_t service, unsigned threads, double weight);
void sim_set_pauses(struct sim *s, uint32_t service, double every_s, double pause_ms);
void sim_set_steal(struct sim *s, uint32_t host, double away_ms);
void sim_set_readers(struct sim *s, uint32_t host, unsigned readers);
void sim_set_link(struct sim *s, uint32_t service, double mbit, double loss);
void sim_set_pool(struct sim *s, uint32_t edge, unsigned connections);
void sim_set_surge(struct sim *s, double factor);
void sim_set_retries(struct sim *s, bool on);

#endif
