/*
 * From the one-second windows of many agents to the rows of one recording.
 *
 * live_add() sums what arrives into the model window it belongs to; a window is
 * closed when every agent lately heard from has shipped past its end, or
 * `patience_s` after it should have been complete. Closing resolves who called
 * whom, merges histograms per service edge and writes the canonical metrics
 * (live_row.c). What arrives for a window already closed opens it again and may only
 * fill columns that are still absent, so adding twice changes nothing, which is
 * what makes a restart from the store exact; such windows are counted in `late`.
 *
 * Owned by the analyzer's loop thread; others read under the core's lock.
 * Memory: LIVE_PENDING open windows of at most LIVE_MAX_EDGES edges, and
 * `keep` rows.
 */
#ifndef SAGE_ANALYZER_LIVE_H
#define SAGE_ANALYZER_LIVE_H

#include "analyzer/fleet.h"
#include "analyzer/operations.h"
#include "analyzer/recording.h"
#include "analyzer/resolve.h"
#include "analyzer/span.h"

#define LIVE_PENDING 16
#define LIVE_MAX_EDGES 262144
#define LIVE_CHUNK 256 /* containers */
#define LIVE_CHUNKS (FLEET_MAX_CONTAINERS / LIVE_CHUNK)
#define LIVE_MAX_ENTITIES 65536
#define LIVE_FUTURE_S 30 /* agents' clocks may be ahead by this much, not more */

struct live_options {
	double window_s;   /* length of a model window */
	double patience_s; /* how long to wait for agents that lag */
	size_t keep;       /* rows kept in memory */
};

#define LIVE_PORTS 8 /* of an edge, remembered while its window is open */

struct live_edge_key {
	uint32_t container, peer; /* numbers in the fleet; peer may be FLEET_NONE */
	uint16_t port;
	uint8_t side, protocol;
	uint8_t local_addr[16], peer_addr[16];
};

/* The calls of one container with one peer at one end, over a model window. */
struct live_edge {
	struct live_edge_key key;
	uint64_t errors, unanswered, bytes_sent, bytes_received, retransmits, segments, resets;
	double rtt_us_sum, rtt_calls;     /* mean = sum / calls */
	float connect_us;                 /* worst; NaN = absent */
	uint16_t client_port[LIVE_PORTS]; /* [ports] of some of its connections */
	uint8_t ports;
	struct span latency, self;
};

struct live_counters {
	bool seen;
	float sum[CONTAINER_METRICS];
	uint16_t count[CONTAINER_METRICS];
};

struct live_host {
	uint64_t covered_ns; /* of the window, by this agent; 0 = nothing came */
	float sum[HOST_METRICS];
	uint16_t count[HOST_METRICS];
};

/* A model window being summed up. */
struct live_window {
	uint64_t start_ns, end_ns; /* wall clock */
	uint64_t first_ns;         /* monotonic: when its first data came */
	bool reopened;
	struct live_edge **edge; /* [edges] */
	size_t edges;
	void *edge_index;
	struct live_counters *counters[LIVE_CHUNKS]; /* [LIVE_CHUNK] each, by container's number */
	struct live_host *host;                      /* [hosts] by agent number */
	uint32_t hosts;
};

struct live {
	struct live_options options;
	struct recording recording;
	struct fleet fleet;
	struct resolve resolve;
	struct operations operations;
	struct live_window *pending[LIVE_PENDING]; /* ascending by start */
	unsigned pendings;
	uint64_t closed_ns; /* end of the newest window closed */
	uint64_t late;      /* agents' windows that came after their model window closed */
	uint64_t future;    /* agents' windows from after now: a clock is wrong */
	uint64_t refused;   /* edges and services past the bounds; these, and windows of agents,
				 with a name nobody can read */
};

/* What live_close() closed. */
struct live_closed {
	size_t row;
	double start_s;
	bool fresh; /* false: a window closed before, its gaps filled */
};

void live_init(struct live *l, const struct live_options *o);
void live_clear(struct live *l);

/*
 * Sum one agent's window in. Returns 0 or -ENOMEM. `now_s` is Unix, `now_ns` monotonic. A
 * window older than the rows kept, or from the future, is only counted.
 */
int live_add(struct live *l, const struct wire_agent *agent, const struct wire_window *w,
	uint64_t now_ns, double now_s);

/*
 * Close the oldest window if it is due (clocks as for live_add()). `normal` says that no target is
 * missed now, so containers' counters may count as their normal. Returns 1 with *out filled, 0 when
 * none is due, -ENOMEM.
 */
int live_close(struct live *l, uint64_t now_ns, double now_s, bool normal, struct live_closed *out);

/* Every agent window that ends here or before is in a closed window. */
uint64_t live_settled_ns(const struct live *l);

/* Write a summed window into the recording. For live_close(). Returns the row or -ENOMEM. */
long live_write_row(struct live *l, const struct live_window *w, bool normal);

#endif
