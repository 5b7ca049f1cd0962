/*
 * What the first bytes of a message say: its protocol, and what kind of message it is.
 *
 * A message is looked at where something is to be learned (rpc_message.h decides):
 * while the protocol is unknown, at the first bytes of an answer (errors), and at the
 * first bytes of a request where a protocol has messages that get no answer, or where
 * operations are told apart. The protocols are in bpf/protocol/, a header each.
 */
#ifndef SAGE_BPF_RPC_GLANCE_H
#define SAGE_BPF_RPC_GLANCE_H

#include "bpf/event.h"
#include "bpf/protocol/amqp.h"
#include "bpf/protocol/dns.h"
#include "bpf/protocol/http1.h"
#include "bpf/protocol/kafka.h"
#include "bpf/protocol/memcached.h"
#include "bpf/protocol/mongodb.h"
#include "bpf/protocol/mysql.h"
#include "bpf/protocol/nats.h"
#include "bpf/protocol/postgresql.h"
#include "bpf/protocol/redis.h"
#include "bpf/protocol/thrift.h"

/* Protocols whose clients also send what gets no answer: each of their requests is looked at. */
#define RPC_MIXED_REQUESTS                                                                         \
	(1U << RPC_THRIFT | 1U << RPC_POSTGRESQL | 1U << RPC_MYSQL | 1U << RPC_MONGODB |           \
		1U << RPC_KAFKA | 1U << RPC_AMQP)

/* Of these every request is a call: there is only the operation to be learned from it. */
#define RPC_PLAIN_REQUESTS (1U << RPC_HTTP1 | 1U << RPC_REDIS | 1U << RPC_MEMCACHED)

/* What a message is on a connection that speaks `protocol`. */
static __always_inline enum rpc_verdict glance_known(
	const struct rpc_glance *g, bool from_server, __u32 protocol)
{
	switch (protocol) {
	case RPC_HTTP1:
		return glance_http1(g);
	case RPC_THRIFT:
		return glance_thrift(g);
	case RPC_REDIS:
		return glance_redis(g);
	case RPC_MEMCACHED:
		return glance_memcached(g);
	case RPC_POSTGRESQL:
		return glance_postgresql(g, true, from_server);
	case RPC_MYSQL:
		return glance_mysql(g, true, from_server);
	case RPC_MONGODB:
		return glance_mongodb(g);
	case RPC_KAFKA:
		return glance_kafka(g, true, from_server);
	case RPC_AMQP:
		return glance_amqp(g, true, from_server);
	case RPC_NATS:
		return glance_nats(g);
	case RPC_DNS:
		return glance_dns(g, true);
	default:
		return RPC_NOTHING;
	}
}

/*
 * What a message is on a connection nothing is known of; *protocol is set when it is recognised.
 * Those that give more evidence come first.
 */
static __always_inline enum rpc_verdict glance_new(
	const struct rpc_glance *g, bool from_server, __u32 *protocol)
{
	enum rpc_verdict v;

	if ((v = glance_http1(g)))
		*protocol = RPC_HTTP1;
	else if ((v = glance_nats(g)))
		*protocol = RPC_NATS;
	else if ((v = glance_thrift(g)))
		*protocol = RPC_THRIFT;
	else if ((v = glance_redis(g)))
		*protocol = RPC_REDIS;
	else if ((v = glance_memcached(g)))
		*protocol = RPC_MEMCACHED;
	else if ((v = glance_amqp(g, false, from_server)))
		*protocol = RPC_AMQP;
	else if ((v = glance_mongodb(g)))
		*protocol = RPC_MONGODB;
	else if ((v = glance_postgresql(g, false, from_server)))
		*protocol = RPC_POSTGRESQL;
	else if ((v = glance_mysql(g, false, from_server)))
		*protocol = RPC_MYSQL;
	else if ((v = glance_kafka(g, false, from_server)))
		*protocol = RPC_KAFKA;
	else if ((v = glance_dns(g, false)))
		*protocol = RPC_DNS;
	return v;
}

/* Bytes of a message that was recognised, or 0 where its head does not say. */
static __always_inline __u32 glance_length(const struct rpc_glance *g, __u32 protocol)
{
	const __u8 *b = g->byte;

	switch (protocol) {
	case RPC_THRIFT:
		return b[0] ? 0 : be32(b) + 4;
	case RPC_POSTGRESQL:
		return b[0] ? be32(b + 1) + 1 : be32(b);
	case RPC_MYSQL:
		return (le32(b) & 0xffffff) + 4;
	case RPC_MONGODB:
		return le32(b);
	case RPC_KAFKA:
		return be32(b) + 4;
	case RPC_AMQP:
		return b[0] == 'A' ? 8 : be32(b + 3) + 8;
	default:
		return 0;
	}
}

/*
 * What this message is. `protocol` is what is known of the connection, RPC_TCP if nothing;
 * when a protocol is recognised it is replaced.
 */
static __always_inline enum rpc_verdict glance_at(
	const struct rpc_glance *g, bool from_server, __u32 *protocol)
{
	return *protocol == RPC_TCP ? glance_new(g, from_server, protocol)
				    : glance_known(g, from_server, *protocol);
}

#endif
