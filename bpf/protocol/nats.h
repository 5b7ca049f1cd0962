/*
 * NATS: who publishes is not answered, and a reply is a publication to another subject. So there
 * is nothing to pair; the connection is recognised and left alone.
 */
#ifndef SAGE_BPF_PROTOCOL_NATS_H
#define SAGE_BPF_PROTOCOL_NATS_H

#include "bpf/protocol/glance.h"

static __always_inline enum rpc_verdict glance_nats(const struct rpc_glance *g)
{
	const __u8 *b = g->byte;

	switch (be32(b)) {
	case WORD('I', 'N', 'F', 'O'):
		return b[4] == ' ' && b[5] == '{' ? RPC_STREAM : RPC_NOTHING;
	case WORD('C', 'O', 'N', 'N'):
		return be32(b + 4) == WORD('E', 'C', 'T', ' ') && b[8] == '{' ? RPC_STREAM
									      : RPC_NOTHING;
	case WORD('H', 'P', 'U', 'B'):
	case WORD('H', 'M', 'S', 'G'):
		return b[4] == ' ' && printable(b[5]) ? RPC_STREAM : RPC_NOTHING;
	case WORD('P', 'U', 'B', ' '):
	case WORD('S', 'U', 'B', ' '):
	case WORD('M', 'S', 'G', ' '):
		return printable(b[4]) && b[4] != ' ' ? RPC_STREAM : RPC_NOTHING;
	default:
		return RPC_NOTHING;
	}
}

#endif
