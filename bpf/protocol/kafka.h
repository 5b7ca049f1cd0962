/*
 * Kafka: a length, then (request) which API in which version, correlation id, client's name;
 * (response) the correlation id. Responses come in the order of requests and do not say
 * whether they report failure. Fetch and the group calls wait by design for something to
 * happen, so they are no calls; neither is a Produce that asks for no acknowledgement.
 */
#ifndef SAGE_BPF_PROTOCOL_KAFKA_H
#define SAGE_BPF_PROTOCOL_KAFKA_H

#include "bpf/protocol/glance.h"

enum kafka_api {
	KAFKA_PRODUCE = 0,
	KAFKA_FETCH = 1,
	KAFKA_JOIN_GROUP = 11,
	KAFKA_SYNC_GROUP = 14,
	KAFKA_APIS = 96,
};

#define KAFKA_VERSIONS 24
#define KAFKA_MAX_LENGTH (100U << 20)
#define KAFKA_HEAD 14 /* up to the client's name */

/* Where in the first bytes acks of a Produce stands, if it does; 0 = further on. */
static __always_inline __u32 kafka_acks(const __u8 *b, __u32 size, __u32 version)
{
	__u32 name = be16(b + 12), at = KAFKA_HEAD;

	if (name != 0xffff)
		at += name;
	if (version >= 9)
		at += 2; /* tagged fields, and a transaction's name as one byte if there is none */
	else if (version >= 3)
		at += 2;
	return at + 2 <= size ? at : 0;
}

static __always_inline enum rpc_verdict kafka_request(const struct rpc_glance *g)
{
	__u32 api = be16(g->byte + 4), acks;

	if (api == KAFKA_FETCH || api == KAFKA_JOIN_GROUP || api == KAFKA_SYNC_GROUP)
		return RPC_NO_CALL;
	if (api != KAFKA_PRODUCE)
		return RPC_REQUEST;
	acks = kafka_acks(g->byte, g->size, be16(g->byte + 6));
	barrier_var(acks);
	if (!acks || acks > RPC_GLANCE - 2)
		return RPC_REQUEST;
	return g->byte[acks] == 0 && g->byte[acks + 1] == 0 ? RPC_NO_CALL : RPC_REQUEST;
}

/* A client's name is short and legible; what is seen of it must be. */
static __always_inline bool kafka_head(const struct rpc_glance *g, __u32 length)
{
	const __u8 *b = g->byte;
	__u32 name = be16(b + 12);

	if (g->size < KAFKA_HEAD || be16(b + 4) >= KAFKA_APIS || be16(b + 6) >= KAFKA_VERSIONS ||
		b[8] & 0x80)
		return false;
	if (name == 0xffff)
		return true;
	if (!name || name > 249 || name + 10 > length)
		return false;
	for (__u32 i = 0; i < 8; i++)
		if (i < name && KAFKA_HEAD + i < g->size && !printable(b[KAFKA_HEAD + i]))
			return false;
	return true;
}

static __always_inline enum rpc_verdict glance_kafka(
	const struct rpc_glance *g, bool known, bool from_server)
{
	__u32 length = be32(g->byte);

	if (g->size < 8 || length < 4 || length > KAFKA_MAX_LENGTH)
		return RPC_NOTHING;
	if (from_server)
		return known ? RPC_RESPONSE : RPC_NOTHING;
	return kafka_head(g, length) ? kafka_request(g) : RPC_NOTHING;
}

#endif
