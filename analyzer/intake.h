/*
 * The analyzer's end of the line: takes batches once, acknowledges what is
 * durable, and answers agents' polls for leases late.
 *
 * One thread of the intake's own ("intake") decodes and makes every callback, so
 * callbacks never overlap; they may take as long as a commit takes. A batch is a
 * duplicate when its sequence is not above the highest stored for that agent's
 * boot id. Callbacks must not call intake_close().
 *
 * A poll is held up to INTAKE_HOLD_MS, or a third of the shortest lease if that is
 * less, and answered at once when intake_wake() says leases changed, when it
 * carries reports, or when the agent does not yet have the current set.
 */
#ifndef SAGE_ANALYZER_INTAKE_H
#define SAGE_ANALYZER_INTAKE_H

#include <stdint.h>

#include "common/identity.h"
#include "common/net.h"
#include "common/wire.h"

#define INTAKE_HOLD_MS 10000

struct intake;

/* A batch as it came and as it was understood. */
struct intake_batch {
	struct wire_agent agent;
	uint64_t sequence;
	uint32_t windows;
	struct wire_batch batch; /* owned by the intake; what the callback keeps it zeroes */
	const void *message;     /* the whole WIRE_BATCH; for the call only */
	size_t size;
};

struct intake_options {
	const char *url;                   /* tcp://ADDRESS:PORT or tls+tcp://ADDRESS:PORT */
	struct net_tls tls;                /* all NULL for tcp:// */
	const struct identity_key *master; /* take sealed messages only; NULL = all. Copied */
	unsigned contexts;                 /* requests received side by side; 0 = 64 */
	void *ctx;                         /* given to the callbacks */

	/*
	 * Make batches durable, all or none: 0, or -errno: the agents keep them and send them
	 * again. What came together is handed on together, no two batches of one agent.
	 */
	int (*batches)(void *ctx, struct intake_batch *b, size_t n);

	/*
	 * Fill the full set of leases this agent should hold (arrays malloc'd, the intake
	 * closes it). Called again for the same agent, without reports, when a held poll
	 * is answered. On -errno the agent is told nothing and its leases run out.
	 */
	int (*poll)(void *ctx, const struct wire_poll *p, struct wire_leases *out);

	/* Highest sequence durably stored for this boot id, 0 = none. NULL = nothing survives. */
	uint64_t (*last_sequence)(void *ctx, const struct wire_agent *a);
};

struct intake_stats {
	uint64_t batches, windows; /* stored */
	uint64_t duplicates;       /* batches known already */
	uint64_t refused;          /* messages that could not be understood */
	uint64_t strangers;        /* messages without the seal of the agent they name */
	uint64_t deferred;         /* batches the callback could not store */
	uint64_t polls;            /* answered */
	uint64_t held;             /* polls waiting now */
	uint64_t bytes;            /* received */
};

/* 0 or -errno, the reason logged. */
int intake_open(struct intake **out, const struct intake_options *o);

/* The leases of an agent changed (NULL: of all). Any thread, also from callbacks. */
void intake_wake(struct intake *i, const char *agent_name);

/* Any thread. */
void intake_stats(struct intake *i, struct intake_stats *out);

/* The TCP port listened on. */
int intake_port(const struct intake *i);

/* Waits for a running callback. What was not acknowledged stays with the agents. */
void intake_close(struct intake *i);

#endif
