/*
 * Thrift: the binary protocol, strict, and the compact one; framed or not. All of a message's
 * types stand in its head; an exception is the transport's or the processor's, those that an
 * interface declares are ordinary replies.
 */
#ifndef SAGE_BPF_PROTOCOL_THRIFT_H
#define SAGE_BPF_PROTOCOL_THRIFT_H

#include "bpf/protocol/glance.h"

static __always_inline enum rpc_verdict thrift_type(__u32 type)
{
	switch (type) {
	case 1:
		return RPC_REQUEST;
	case 2:
		return RPC_RESPONSE;
	case 3:
		return RPC_ERROR;
	case 4:
		return RPC_NO_CALL;
	default:
		return RPC_NOTHING;
	}
}

/* 0x8001, 0, type; then the length of the name, which nobody makes 64 KB long. */
static __always_inline enum rpc_verdict thrift_binary(__u32 version, __u32 name)
{
	return version >> 8 == 0x800100 && name >> 16 == 0 ? thrift_type(version & 0xff)
							   : RPC_NOTHING;
}

/* 0x82, type and version 1; then the sequence number, a varint; the length of the name; the name.
 */
static __always_inline enum rpc_verdict thrift_compact(const __u8 *b)
{
	__u32 i = 2;

	if (b[0] != 0x82 || (b[1] & 0x1f) != 1)
		return RPC_NOTHING;
	while (i < 6 && b[i] & 0x80)
		i++;
	if (b[i] & 0x80 || b[i + 1] == 0 || b[i + 1] & 0x80 || !printable(b[i + 2]))
		return RPC_NOTHING;
	return thrift_type(b[1] >> 5);
}

static __always_inline enum rpc_verdict glance_thrift(const struct rpc_glance *g)
{
	__u32 first = be32(g->byte), second = be32(g->byte + 4), third = be32(g->byte + 8);
	bool framed = first >> 24 == 0 && g->size >= 8;
	enum rpc_verdict v;

	barrier_var(first);
	barrier_var(second);
	barrier_var(third);
	v = framed ? thrift_binary(second, third) : thrift_binary(first, second);
	if (v)
		return v;
	return framed ? thrift_compact(g->byte + 4) : thrift_compact(g->byte);
}

#endif
