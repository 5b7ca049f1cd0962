/* What the files of the engine share: the call's way calls these, they hand it back by events. */
#ifndef SAGE_SIM_SIM_PARTS_H
#define SAGE_SIM_SIM_PARTS_H

#include "tests/sim/sim.h"

enum event_kind {
	EVENT_USER,   /* a request is due */
	EVENT_ARRIVE, /* a call, at its callee */
	EVENT_ANSWER, /* its answer, at its caller */
	EVENT_GO_ON,  /* a call whose read, lock or pause before another attempt is over */
	EVENT_CPU,    /* of a host */
	EVENT_READER, /* a large read of a neighbour is done */
	EVENT_PAUSE,  /* of a service begins or ends */
	EVENT_STEAL,  /* a host's CPUs are taken or given back */
	EVENT_BURST,  /* of the load */
};

#define SECOND_NS 1e9

/* Bring a host's CPUs to now; it is planned anew once the event is through. */
void part_touch_cpu(struct sim *s, uint32_t host);
void part_cpu_event(struct sim *s, uint32_t host, uint64_t at_ns);
void part_plan(struct sim *s);

/* When a small read that is asked for now will be done. */
uint64_t part_read(struct sim *s, uint32_t host);
void part_reader_event(struct sim *s, uint32_t host);
void part_reading(struct sim *s, uint32_t service, int threads);

void part_pause_event(struct sim *s, uint32_t service, uint64_t at_ns);
void part_steal_event(struct sim *s, uint32_t host, uint64_t at_ns);

/* When bytes sent now from one service to another (either may be APP_USER) will be there. */
uint64_t part_send(
	struct sim *s, uint32_t from, uint32_t to, double bytes, struct edge_counters *e);

uint64_t part_after(const struct sim *s, double ns);

/* The life of a call (sim_call.c). */
void call_by_user(struct sim *s);
void call_arrive(struct sim *s, uint32_t id);
void call_answer(struct sim *s, uint32_t id);
void call_go_on(struct sim *s, uint32_t id);
void call_work_done(struct sim *s, uint32_t id);
void call_give_up(struct sim *s); /* the first deadline; the callee does not know and works on */
void call_freed_connection(struct sim *s, uint32_t edge);

#endif
