/*
 * AMQP 0-9-1: frames of a type, a channel, a length and, for a method, its class and number.
 * Methods that wait for their -ok are calls. Once a connection publishes or consumes,
 * messages and confirmations pass either way unasked: a stream.
 */
#ifndef SAGE_BPF_PROTOCOL_AMQP_H
#define SAGE_BPF_PROTOCOL_AMQP_H

#include "bpf/protocol/glance.h"

enum amqp_class {
	AMQP_CONNECTION = 10,
	AMQP_CHANNEL = 20,
	AMQP_BASIC = 60,
	AMQP_CONFIRM = 85,
	AMQP_TX = 90,
};

enum amqp_method {
	AMQP_CLOSE_CHANNEL = 40,
	AMQP_CLOSE_CONNECTION = 50,
	/* of class basic */
	AMQP_QOS = 10,
	AMQP_CONSUME = 20,
	AMQP_CANCEL = 30,
	AMQP_PUBLISH = 40,
	AMQP_DELIVER = 60,
	AMQP_GET = 70,
};

/* Frame of a method, and both numbers in it are of the protocol's. */
static __always_inline bool amqp_is_method(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;
	__u32 class = be16(b + 7), method = be16(b + 9), length = be32(b + 3);

	return g->size >= 11 && b[0] == 1 && length >= 4 && length < 1U << 20 &&
	       class >= AMQP_CONNECTION && class <= AMQP_TX &&
	       (class % 10 == 0 || class == AMQP_CONFIRM) && method >= 10 && method <= 120;
}

/* Every frame ends with the same byte; where that is in view, it is evidence. */
static __always_inline bool amqp_ends(const struct rpc_glance *g)
{
	__u32 end = be32(g->byte + 3);

	if (end > RPC_GLANCE - 8)
		return false;
	end += 7;
	barrier_var(end);
	return end < g->size && end < RPC_GLANCE && g->byte[end] == 0xce;
}

static __always_inline enum rpc_verdict amqp_asked(__u32 class, __u32 method)
{
	switch (class) {
	case AMQP_CONNECTION: /* start-up and farewell */
		return RPC_NO_CALL;
	case AMQP_CHANNEL:
		return method == AMQP_CLOSE_CHANNEL + 1 ? RPC_NO_CALL : RPC_REQUEST;
	case AMQP_BASIC:
		if (method == AMQP_PUBLISH || method == AMQP_CONSUME)
			return RPC_STREAM;
		return method == AMQP_QOS || method == AMQP_CANCEL || method == AMQP_GET
			       ? RPC_REQUEST
			       : RPC_NO_CALL; /* acknowledgements */
	default:
		return RPC_REQUEST;
	}
}

/* A server closes what made a mistake instead of answering it. */
static __always_inline enum rpc_verdict amqp_answered(__u32 class, __u32 method)
{
	if (class == AMQP_BASIC && method == AMQP_DELIVER)
		return RPC_STREAM;
	if ((class == AMQP_CHANNEL && method == AMQP_CLOSE_CHANNEL) ||
		(class == AMQP_CONNECTION && method == AMQP_CLOSE_CONNECTION))
		return RPC_ERROR;
	return RPC_RESPONSE;
}

static __always_inline enum rpc_verdict glance_amqp(
	const struct rpc_glance *g, bool known, bool from_server)
{
	const __u8 *b = g->byte;
	__u32 class = be16(b + 7), method = be16(b + 9);

	if (g->size >= 8 && be32(b) == WORD('A', 'M', 'Q', 'P'))
		return be16(b + 4) == 0 && be16(b + 6) == 0x0901 ? RPC_NO_CALL : RPC_NOTHING;
	if (!known && !(amqp_is_method(g) && amqp_ends(g)))
		return RPC_NOTHING;
	if (!amqp_is_method(g)) /* content, or a sign of life */
		return from_server ? RPC_INTERIM : RPC_NO_CALL;
	return from_server ? amqp_answered(class, method) : amqp_asked(class, method);
}

#endif
