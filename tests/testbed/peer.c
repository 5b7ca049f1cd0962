/* Connections to other tiers, and the choice among the kinds of peers. */
#include "tests/testbed/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/testbed/rpc.h"

struct peer {
	const struct rpc_protocol *protocol;
	struct rpc_call call;
	struct stream stream;
};

static struct peer *rpc_open(const struct service *s, const char *address)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->protocol = s->protocol == PROTOCOL_HTTP ? &rpc_http : &rpc_thrift;
	snprintf(p->call.method, sizeof(p->call.method), "%s", s->name);
	if (stream_connect(&p->stream, address, s->port)) {
		free(p);
		return NULL;
	}
	return p;
}

static void rpc_close(struct peer *p)
{
	if (!p)
		return;
	stream_close(&p->stream);
	free(p);
}

static int rpc_send(struct peer *p, struct random *r)
{
	(void)r;
	p->call.sequence = (p->call.sequence + 1) & 0x7fffffff;
	return p->protocol->send_call(&p->stream, &p->call);
}

static int rpc_receive(struct peer *p, bool *ok)
{
	return p->protocol->receive_reply(&p->stream, &p->call, ok);
}

const struct peer_protocol peer_rpc = {rpc_open, rpc_close, rpc_send, rpc_receive, NULL};

const struct peer_protocol *peer_protocol_of(const struct service *s)
{
	static const struct peer_protocol *const of[PROTOCOLS] = {
		[PROTOCOL_HTTP] = &peer_rpc,
		[PROTOCOL_THRIFT] = &peer_rpc,
		[PROTOCOL_REDIS] = &peer_redis,
		[PROTOCOL_MEMCACHED] = &peer_memcached,
		[PROTOCOL_POSTGRESQL] = &peer_postgresql,
	};

	return of[s->protocol];
}
