/*
 * The connections of a tier to one callee: opened when first needed, at most
 * `limit` of them, handed to one thread at a time. A thread that finds all
 * busy waits. Any thread.
 */
#ifndef SAGE_TESTBED_POOL_H
#define SAGE_TESTBED_POOL_H

#include <pthread.h>

#include "tests/testbed/peer.h"

#define POOL_MAX 256

struct pool {
	const struct service *service;
	const struct peer_protocol *protocol;
	char address[16];
	pthread_mutex_t lock;
	pthread_cond_t returned;
	unsigned limit, busy, idle;
	struct peer *rest[POOL_MAX]; /* [idle] */
};

void pool_init(struct pool *p, const struct service *callee, const char *address, unsigned limit);

/* A connection to use, or NULL when the callee cannot be reached. */
struct peer *pool_take(struct pool *p);

/* Give it back; a broken one is closed. */
void pool_give(struct pool *p, struct peer *peer, int broken);

#endif
