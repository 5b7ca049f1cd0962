#include "tests/testbed/peer.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

struct peer {
	redisContext *redis;
	size_t value_bytes;
	char value[PEER_VALUE_MAX];
};

static void redis_close(struct peer *p)
{
	if (!p)
		return;
	if (p->redis)
		redisFree(p->redis);
	free(p);
}

static struct peer *redis_open(const struct service *s, const char *address)
{
	struct timeval patience = {.tv_sec = 5};
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->value_bytes = s->reply_bytes < PEER_VALUE_MAX ? (size_t)s->reply_bytes : PEER_VALUE_MAX;
	memset(p->value, 'x', sizeof(p->value));
	p->redis = redisConnectWithTimeout(address, (int)s->port, patience);
	if (!p->redis || p->redis->err || redisSetTimeout(p->redis, patience)) {
		redis_close(p);
		return NULL;
	}
	return p;
}

static int redis_send(struct peer *p, struct random *r)
{
	unsigned key = random_below(r, PEER_KEYS);
	int done = 0;

	if (random_unit(r) < PEER_WRITES)
		redisAppendCommand(p->redis, "SET key:%u %b", key, p->value, p->value_bytes);
	else
		redisAppendCommand(p->redis, "GET key:%u", key);
	while (!done)
		if (redisBufferWrite(p->redis, &done) != REDIS_OK)
			return -EIO;
	return 0;
}

static int redis_receive(struct peer *p, bool *ok)
{
	redisReply *reply = NULL;

	if (redisGetReply(p->redis, (void **)&reply) != REDIS_OK)
		return -EIO;
	*ok = reply->type != REDIS_REPLY_ERROR;
	freeReplyObject(reply);
	return 0;
}

static int redis_fill(struct peer *p, const struct service *s)
{
	(void)s;
	for (unsigned key = 0; key < PEER_KEYS; key++) {
		redisReply *reply =
			redisCommand(p->redis, "SET key:%u %b", key, p->value, p->value_bytes);

		if (!reply)
			return -EIO;
		freeReplyObject(reply);
	}
	return 0;
}

const struct peer_protocol peer_redis = {
	redis_open, redis_close, redis_send, redis_receive, redis_fill};
