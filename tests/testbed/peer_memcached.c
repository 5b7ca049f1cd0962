#include "tests/testbed/peer.h"

#include <errno.h>
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer {
	memcached_st *cache;
	bool reading; /* a get is under way; a set is over when send returns */
	bool stored;
	size_t value_bytes;
	char value[PEER_VALUE_MAX];
};

static void cache_close(struct peer *p)
{
	if (!p)
		return;
	if (p->cache)
		memcached_free(p->cache);
	free(p);
}

static struct peer *cache_open(const struct service *s, const char *address)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->value_bytes = s->reply_bytes < PEER_VALUE_MAX ? (size_t)s->reply_bytes : PEER_VALUE_MAX;
	memset(p->value, 'x', sizeof(p->value));
	p->cache = memcached_create(NULL);
	if (!p->cache ||
		memcached_server_add(p->cache, address, (in_port_t)s->port) != MEMCACHED_SUCCESS) {
		cache_close(p);
		return NULL;
	}
	memcached_behavior_set(p->cache, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
	memcached_behavior_set(p->cache, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, 5000);
	return p;
}

static int cache_send(struct peer *p, struct random *r)
{
	char key[32];
	const char *keys = key;
	size_t size = (size_t)snprintf(key, sizeof(key), "key:%u", random_below(r, PEER_KEYS));
	memcached_return_t answer;

	p->reading = random_unit(r) >= PEER_WRITES;
	if (p->reading) {
		answer = memcached_mget(p->cache, &keys, &size, 1);
		return answer == MEMCACHED_SUCCESS ? 0 : -EIO;
	}
	answer = memcached_set(p->cache, key, size, p->value, p->value_bytes, 0, 0);
	p->stored = answer == MEMCACHED_SUCCESS;
	return p->stored ? 0 : -EIO;
}

static int cache_receive(struct peer *p, bool *ok)
{
	memcached_return_t answer;
	memcached_result_st *result;

	if (!p->reading) {
		*ok = p->stored;
		return 0;
	}
	/* The library wants to be asked until it says that there is no more. */
	while ((result = memcached_fetch_result(p->cache, NULL, &answer)))
		memcached_result_free(result);
	if (answer != MEMCACHED_END && answer != MEMCACHED_NOTFOUND && answer != MEMCACHED_SUCCESS)
		return -EIO;
	*ok = true;
	return 0;
}

static int cache_fill(struct peer *p, const struct service *s)
{
	char key[32];

	(void)s;
	for (unsigned i = 0; i < PEER_KEYS; i++) {
		size_t size = (size_t)snprintf(key, sizeof(key), "key:%u", i);

		if (memcached_set(p->cache, key, size, p->value, p->value_bytes, 0, 0) !=
			MEMCACHED_SUCCESS)
			return -EIO;
	}
	return 0;
}

const struct peer_protocol peer_memcached = {
	cache_open, cache_close, cache_send, cache_receive, cache_fill};
