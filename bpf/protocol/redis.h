/*
 * Redis: RESP2 and RESP3. A push (`>`) counts as part of the answer it precedes, and is
 * nobody's when no call is open; a subscriber's or a replica's connection is a stream.
 */
#ifndef SAGE_BPF_PROTOCOL_REDIS_H
#define SAGE_BPF_PROTOCOL_REDIS_H

#include "bpf/protocol/glance.h"

/* Whether the line after the type byte is a number: "$5\r\n", "*-1\r\n", ":100\r\n". */
static __always_inline bool redis_number(const __u8 *b)
{
	if (!digit(b[1]) && !(b[1] == '-' && digit(b[2])))
		return false;
	for (int i = 2; i < 12; i++) {
		if (b[i] == '\r')
			return b[i + 1] == '\n';
		if (!digit(b[i]))
			return false;
	}
	return false;
}

/* "*3\r\n$9\r\nsubscribe", "*3\r\n$10\r\npsubscribe", the answer of a server that will push. */
static __always_inline bool redis_subscribed(const __u8 *b)
{
	if ((b[0] != '*' && b[0] != '>') || b[1] != '3' || b[4] != '$')
		return false;
	return be32(b + 8) == WORD('s', 'u', 'b', 's') || be32(b + 9) == WORD('p', 's', 'u', 'b') ||
	       be32(b + 9) == WORD('s', 's', 'u', 'b');
}

/* "+OK", "+PONG", "+QUEUED"; "+FULLRESYNC ", "+CONTINUE" before replication. */
static __always_inline enum rpc_verdict redis_simple(const __u8 *b)
{
	switch (be32(b)) {
	case WORD('+', 'O', 'K', '\r'):
	case WORD('+', 'P', 'O', 'N'):
	case WORD('+', 'Q', 'U', 'E'):
		return RPC_RESPONSE;
	case WORD('+', 'F', 'U', 'L'):
	case WORD('+', 'C', 'O', 'N'):
		return RPC_STREAM;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict glance_redis(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	switch (b[0]) {
	case '*':
		if (!redis_number(b))
			return RPC_NOTHING;
		return redis_subscribed(b) ? RPC_STREAM : RPC_MESSAGE;
	case '>':
		if (!redis_number(b))
			return RPC_NOTHING;
		return redis_subscribed(b) ? RPC_STREAM : RPC_RESPONSE;
	case '$':
	case ':':
	case '%': /* RESP3: map, set, attribute, verbatim string */
	case '~':
	case '|':
	case '=':
		return redis_number(b) ? RPC_RESPONSE : RPC_NOTHING;
	case '!': /* an error of more than a line */
		return redis_number(b) ? RPC_ERROR : RPC_NOTHING;
	case '_': /* null, boolean */
		return b[1] == '\r' && b[2] == '\n' ? RPC_RESPONSE : RPC_NOTHING;
	case '#':
		return (b[1] == 't' || b[1] == 'f') && b[2] == '\r' ? RPC_RESPONSE : RPC_NOTHING;
	case '+':
		return redis_simple(b);
	case '-':
		return upper(b[1]) && upper(b[2]) && upper(b[3]) ? RPC_ERROR : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

#endif
