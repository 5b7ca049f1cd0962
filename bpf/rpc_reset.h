/*
 * Connections that are reset, counted at the end that sends the reset and at the one it reaches.
 *
 * A port that is closed has no socket, so a refused connection counts at its client alone. So
 * does one that is reset before its server's process has moved a byte: whose it is is not known.
 */
#ifndef SAGE_BPF_RPC_RESET_H
#define SAGE_BPF_RPC_RESET_H

#include "bpf/rpc_connection.h"

/*
 * A socket that is closed with bytes unread, or told not to linger, is in TCP_CLOSE and forgotten
 * when its reset leaves, a moment later and by the same thread: whose it was.
 */
struct rpc_leaving {
	__u64 socket; /* 0 = free */
	__u64 thread;
	struct rpc_edge_key key;
};

#define RPC_LEAVING 256 /* a power of two */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RPC_LEAVING);
	__type(key, __u32);
	__type(value, struct rpc_leaving);
} leaving SEC(".maps");

static __always_inline struct rpc_leaving *leaving_of(__u64 thread)
{
	__u32 place = (__u32)thread & (RPC_LEAVING - 1);

	return bpf_map_lookup_elem(&leaving, &place);
}

/*
 * The connection ends now. One that no process has any more ends in order, one with an error was
 * told of it: on loopback a reset reaches its other end before its sender is said to have sent it.
 */
static __always_inline void reset_expect(struct rpc_connection *c, struct sock *sk)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct rpc_leaving *l;

	if (c->ignored || !c->key.cgroup_id || !BPF_CORE_READ(sk, sk_socket) ||
		BPF_CORE_READ(sk, sk_err))
		return;
	l = leaving_of(thread);
	if (!l)
		return;
	ends_resolve(c);
	l->thread = thread;
	l->key = c->key;
	l->key.side = c->role == ROLE_SERVER ? RPC_SERVER : RPC_CLIENT;
	l->socket = (__u64)sk;
}

static __always_inline struct rpc_edge *reset_edge(const struct sock *sk)
{
	struct rpc_connection *c = connection_find((struct sock *)sk);
	__u64 thread = bpf_get_current_pid_tgid();
	struct rpc_leaving *l;

	if (c)
		return c->ignored || !c->key.cgroup_id ? NULL : edge_of(c);
	l = leaving_of(thread);
	if (!l || l->socket != (__u64)sk || l->thread != thread)
		return NULL;
	l->socket = 0;
	l->key.epoch = epoch;
	return edge_at(edge_look(&l->key));
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(rpc_reset_sent, const struct sock *sk)
{
	struct rpc_edge *e = sk ? reset_edge(sk) : NULL;

	if (e)
		__sync_fetch_and_add(&e->resets_sent, 1);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(rpc_reset_received, struct sock *sk)
{
	struct rpc_edge *e = reset_edge(sk);

	if (e)
		__sync_fetch_and_add(&e->resets_received, 1);
	return 0;
}

#endif
