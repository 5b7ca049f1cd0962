/*
 * A model window while it is being closed: what live_row.c and closing.c share.
 *
 * The sums live as long as the call of live_write_row(). Loop thread, core's lock held.
 */
#ifndef SAGE_ANALYZER_CLOSING_H
#define SAGE_ANALYZER_CLOSING_H

#include "analyzer/live.h"

/* One end of a service edge or of a service. Rates are per second. */
struct calls {
	struct hist latency;
	double answered, errors, per_s, resets_per_s;
};

struct edge_sum {
	uint32_t edge; /* entity */
	struct calls client, server;
	double rtt_sum, rtt_calls, retransmits, segments, sent_per_s, received_per_s;
	float connect_us;
};

struct service_sum {
	uint32_t service; /* entity; GRAPH_NONE where none */
	struct calls server;
	struct hist self;
	double waited_us; /* on its own calls, summed over requests */
	double sum[CONTAINER_METRICS], worst[CONTAINER_METRICS];
	unsigned count[CONTAINER_METRICS];
	bool present;
};

struct closing {
	struct live *l;
	const struct live_window *w;
	size_t row;
	bool gaps_only;
	struct edge_sum **edge;       /* [capacity] by entity number, NULL where no calls */
	struct service_sum **service; /* [capacity] by entity number */
	uint32_t capacity;
};

/* Learn from this window's ends who is where. Returns 0 or -ENOMEM. */
int closing_learn(struct closing *c);

/* By number in the fleet; NULL when forgotten or FLEET_NONE. */
const struct fleet_container *closing_container(const struct closing *c, uint32_t number);

/* The service a container belongs to, made if new; GRAPH_NONE when it has none. */
uint32_t closing_service(struct closing *c, uint32_t container);

/* The service at the other end; GRAPH_NONE when it is one of ours, but which is unknown. */
uint32_t closing_peer(struct closing *c, const struct live_edge_key *k);

#endif
