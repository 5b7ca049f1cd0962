/*
 * MongoDB's wire protocol: four little-endian numbers, length, request id, which request is
 * answered, kind of message. An unacknowledged write is no call, nor is what a driver's
 * monitor sends to be told of changes: its answers come when there is something to tell.
 */
#ifndef SAGE_BPF_PROTOCOL_MONGODB_H
#define SAGE_BPF_PROTOCOL_MONGODB_H

#include "bpf/protocol/glance.h"

enum mongodb_kind {
	MONGODB_REPLY = 1,
	MONGODB_UPDATE = 2001,
	MONGODB_INSERT = 2002,
	MONGODB_QUERY = 2004,
	MONGODB_DELETE = 2006,
	MONGODB_KILL_CURSORS = 2007,
	MONGODB_COMPRESSED = 2012,
	MONGODB_MSG = 2013,
};

#define MONGODB_MAX_LENGTH 50000000
#define MONGODB_MORE_TO_COME 2
#define MONGODB_EXHAUST_ALLOWED 0x10000

/* The answer's document begins {ok: 0.0 where a command failed; `b` is at its length. */
static __always_inline bool mongodb_failed(const __u8 *b)
{
	return be32(b + 4) == WORD(1, 'o', 'k', 0) && be32(b + 8) == 0 && be32(b + 12) == 0;
}

static __always_inline enum rpc_verdict mongodb_message(const struct rpc_glance *g, bool answers)
{
	const __u8 *b = g->byte;
	__u32 flags = le32(b + 16);

	if (g->size < 20)
		return answers ? RPC_RESPONSE : RPC_REQUEST;
	if (answers && flags & MONGODB_MORE_TO_COME)
		return RPC_STREAM;
	if (answers)
		return g->size >= 37 && b[20] == 0 && mongodb_failed(b + 21) ? RPC_ERROR
									     : RPC_RESPONSE;
	return flags & (MONGODB_MORE_TO_COME | MONGODB_EXHAUST_ALLOWED) ? RPC_NO_CALL : RPC_REQUEST;
}

static __always_inline enum rpc_verdict glance_mongodb(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;
	__u32 length = le32(b);
	bool answers = le32(b + 8) != 0;

	if (g->size < 16 || length < 16 || length > MONGODB_MAX_LENGTH)
		return RPC_NOTHING;
	switch (le32(b + 12)) {
	case MONGODB_MSG:
		return mongodb_message(g, answers);
	case MONGODB_COMPRESSED:
		return answers ? RPC_RESPONSE : RPC_REQUEST;
	case MONGODB_QUERY:
		return answers ? RPC_NOTHING : RPC_REQUEST;
	case MONGODB_REPLY:
		return answers && length >= 36 ? RPC_RESPONSE : RPC_NOTHING;
	case MONGODB_UPDATE:
	case MONGODB_INSERT:
	case MONGODB_DELETE:
	case MONGODB_KILL_CURSORS:
		return answers ? RPC_NOTHING : RPC_NO_CALL;
	default:
		return RPC_NOTHING;
	}
}

#endif
