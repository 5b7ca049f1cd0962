/*
 * PostgreSQL's frontend/backend protocol 3.0. COPY to the server is one call, from the query to
 * its completion; a replica's connection is a stream.
 */
#ifndef SAGE_BPF_PROTOCOL_POSTGRESQL_H
#define SAGE_BPF_PROTOCOL_POSTGRESQL_H

#include "bpf/protocol/glance.h"

/*
 * A start-up packet has no type: a length, then the version 3.x and a parameter's name, or a
 * request for TLS, for encryption by GSS, or to cancel.
 */
static __always_inline bool postgresql_startup(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;
	__u32 version = be32(b + 4);

	if (b[0] != 0 || b[1] != 0 || g->size < 8)
		return false;
	return (version >> 16 == 3 && printable(b[8])) || version == 80877103 ||
	       version == 80877104 || version == 80877102;
}

/* The type byte of a message whose length is already found plausible, sent by `from_server`. */
static __always_inline enum rpc_verdict postgresql_message(const __u8 *b, bool from_server)
{
	switch (from_server ? b[0] | 0x100 : b[0]) {
	case 'E' | 0x100:
		return RPC_ERROR;
	case 'G' | 0x100: /* send your data */
		return RPC_INTERIM;
	case 'W' | 0x100: /* replication, both ways */
		return RPC_STREAM;
	case 'Q': /* query, parse, bind, execute, function call, describe, close, sync */
	case 'P':
	case 'B':
	case 'E':
	case 'F':
	case 'D':
	case 'C':
	case 'S':
		return RPC_REQUEST;
	default: /* from the client: password, copy data, terminate */
		return from_server ? RPC_RESPONSE : RPC_NO_CALL;
	}
}

/* Types that are hard to mistake, with what must follow each. */
static __always_inline enum rpc_verdict postgresql_new(const __u8 *b)
{
	__u32 length = be32(b + 1);

	switch (b[0]) {
	case 'Q':
		return b[5] >= '\t' && b[5] < 0x7f ? RPC_REQUEST : RPC_NOTHING;
	case 'P':
		return length > 7 ? RPC_REQUEST : RPC_NOTHING;
	case 'R':
		return length >= 8 && b[5] == 0 && b[6] == 0 ? RPC_RESPONSE : RPC_NOTHING;
	case '1':
	case '2':
		return length == 4 ? RPC_RESPONSE : RPC_NOTHING;
	case 'T':
		return length >= 6 && b[2] == 0 ? RPC_RESPONSE : RPC_NOTHING;
	case 'C':
		return length < 64 && upper(b[5]) && upper(b[6]) ? RPC_RESPONSE : RPC_NOTHING;
	case 'E':
		return b[5] == 'S' && upper(b[6]) ? RPC_ERROR : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict glance_postgresql(
	const struct rpc_glance *g, bool known, bool from_server)
{
	const __u8 *b = g->byte;

	if (postgresql_startup(g))
		return RPC_NO_CALL;
	if (g->size < 5 || b[1] != 0 || be32(b + 1) < 4)
		return RPC_NOTHING;
	return known ? postgresql_message(b, from_server) : postgresql_new(b);
}

#endif
