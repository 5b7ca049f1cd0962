/*
 * The bytes of a packet that a reader is getting, for strategies that see it.
 */
#ifndef SAGE_BPF_RPC_PACKET_H
#define SAGE_BPF_RPC_PACKET_H

#include "bpf/protocol/glance.h"

extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym;
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *out) __ksym;

/*
 * Those from `offset` on. A function of its own because the verifier lets nothing else use the
 * stack slot of a dynptr.
 */
static __noinline void glance_packet(struct rpc_glance *g, const struct sk_buff *skb, __u32 offset)
{
	__u32 size = skb->len;
	struct bpf_dynptr data;

	if (offset >= size || bpf_dynptr_from_skb((struct __sk_buff *)skb, 0, &data))
		return;
	size -= offset;
	if (size > RPC_GLANCE)
		size = RPC_GLANCE;
	if (bpf_dynptr_read(g->byte, size, &data, offset, 0) == 0)
		g->size = size;
}

#endif
