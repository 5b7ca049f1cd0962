/*
 * The agents that ask for leases, and the poll each may have waiting.
 *
 * The intake's thread owns a poller set; intake_wake() reaches it under the
 * intake's lock. Bounded: the longest-known agent without a waiting poll goes
 * when there are too many, and is greeted as new when it asks again.
 */
#ifndef SAGE_ANALYZER_POLLER_H
#define SAGE_ANALYZER_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "common/net.h"
#include "common/wire.h"

#define POLLERS_MAX 8192

struct poller {
	struct wire_agent agent; /* the key is the name */
	uint8_t mode;
	bool answered;               /* it has the set `hash` is of */
	bool woken;                  /* leases changed since it was last asked about */
	uint64_t hash;               /* of the leases it was told last */
	struct net_request *waiting; /* NULL = none */
	uint64_t due_ns;             /* monotonic: answer it then */
	UT_hash_handle hh;
};

struct pollers {
	struct poller *all; /* uthash head */
	uint32_t waiting;
	uint64_t next_due_ns; /* no poll is due earlier; UINT64_MAX = none */
};

void pollers_init(struct pollers *p);

/* Find or add, with name, boot id and mode brought up to date. NULL = no memory. */
struct poller *pollers_get(struct pollers *p, const struct wire_poll *from);

/* Have the agent's poll (NULL: everyone's) answered now. */
void pollers_wake(struct pollers *p, const char *name);

/* Let a poll wait; replaces none. */
void pollers_hold(struct pollers *p, struct poller *one, struct net_request *r, uint64_t due_ns);

/* Take back a waiting poll; NULL when none waits. */
struct net_request *pollers_release(struct pollers *p, struct poller *one);

/* One whose poll is due or was woken, or NULL. */
struct poller *pollers_due(struct pollers *p, uint64_t now_ns);

/* Frees the set, not the requests waiting in it. */
void pollers_clear(struct pollers *p);

#endif
