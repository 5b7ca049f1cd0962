/*
 * HTTP/1 (RFC 9112). Bodies need no parsing: a response grows until the next request.
 * 100 and 103 precede the response; after 101 and CONNECT another protocol follows.
 */
#ifndef SAGE_BPF_PROTOCOL_HTTP1_H
#define SAGE_BPF_PROTOCOL_HTTP1_H

#include "bpf/protocol/glance.h"

static __always_inline enum rpc_verdict http1_status(const __u8 *b)
{
	switch (b[9]) {
	case '1':
		return b[10] == '0' && b[11] == '1' ? RPC_STREAM : RPC_INTERIM;
	case '2':
	case '3':
	case '4':
		return RPC_RESPONSE;
	case '5':
		return RPC_ERROR;
	default:
		return RPC_NOTHING;
	}
}

static __always_inline enum rpc_verdict glance_http1(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	switch (be32(b)) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'U', 'T', ' '):
		return RPC_REQUEST;
	case WORD('P', 'O', 'S', 'T'):
	case WORD('H', 'E', 'A', 'D'):
		return b[4] == ' ' ? RPC_REQUEST : RPC_NOTHING;
	case WORD('D', 'E', 'L', 'E'):
		return be32(b + 3) == WORD('E', 'T', 'E', ' ') ? RPC_REQUEST : RPC_NOTHING;
	case WORD('P', 'A', 'T', 'C'):
		return b[4] == 'H' && b[5] == ' ' ? RPC_REQUEST : RPC_NOTHING;
	case WORD('O', 'P', 'T', 'I'):
		return be32(b + 4) == WORD('O', 'N', 'S', ' ') ? RPC_REQUEST : RPC_NOTHING;
	case WORD('C', 'O', 'N', 'N'): /* NATS has one too, followed by { */
		return be32(b + 4) == WORD('E', 'C', 'T', ' ') && printable(b[8]) && b[8] != '{'
			       ? RPC_STREAM
			       : RPC_NOTHING;
	case WORD('H', 'T', 'T', 'P'):
		return b[4] == '/' && b[5] == '1' ? http1_status(b) : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

#endif
