/*
 * One connection from a tier to a service it calls, whatever that speaks. A
 * call is split in two, so that one thread can have several under way: send to
 * all, then receive from each. One thread uses a peer at a time.
 */
#ifndef SAGE_TESTBED_PEER_H
#define SAGE_TESTBED_PEER_H

#include <stdbool.h>

#include "tests/testbed/random.h"
#include "tests/testbed/topology.h"

#define PEER_KEYS 1000      /* keys a store is asked for */
#define PEER_WRITES 0.1     /* share of store calls that write */
#define PEER_VALUE_MAX 4096 /* bytes of a stored value */

struct peer;

struct peer_protocol {
	/* Connect to service `s` at an IPv4 address; NULL when that failed. */
	struct peer *(*open)(const struct service *s, const char *address);
	void (*close)(struct peer *p); /* takes NULL */
	/* Both return 0 or -errno; after a failure the connection must be closed. */
	int (*send)(struct peer *p, struct random *r);
	int (*receive)(struct peer *p, bool *ok);
	/* Store all that calls will ask a new server for; NULL where nothing is. 0 or -errno. */
	int (*fill)(struct peer *p, const struct service *s);
};

extern const struct peer_protocol peer_rpc, peer_redis, peer_memcached, peer_postgresql;
extern const struct peer_protocol peer_mysql; /* of sage-caller; no topology has it */

/* The way to talk to a service. */
const struct peer_protocol *peer_protocol_of(const struct service *s);

#endif
