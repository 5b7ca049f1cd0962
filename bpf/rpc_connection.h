/*
 * One end of one connection: who it is, between whom, and whose it is now.
 *
 * The object that includes this has defined, the way its strategy may:
 *   struct rpc_connection *connection_find(struct sock *sk)  NULL = none
 *   struct rpc_connection *connection_make(struct sock *sk)  zeroed; NULL = no room
 *   void connection_drop(struct sock *sk)
 *   struct sock_now sock_now(struct sock *sk)
 *   __u64 sock_arrived(struct sock *sk)  when what is read now had come
 */
#ifndef SAGE_BPF_RPC_CONNECTION_H
#define SAGE_BPF_RPC_CONNECTION_H

#include "bpf/rpc_edge.h"
#include "bpf/rpc_maps.h"

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6

/* include/net/tcp_states.h */
enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
};

static __always_inline void address_v4(__u8 *to, __be32 address)
{
	__builtin_memset(to, 0, 10);
	to[10] = to[11] = 0xff;
	__builtin_memcpy(to + 12, &address, 4);
}

/* Who talks to whom; stays the same while the connection lives. */
static __always_inline void connection_address(struct rpc_connection *c, struct sock *sk)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);

	c->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	c->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	c->netns = BPF_CORE_READ(net, ns.inum);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		address_v4(c->key.local_addr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		address_v4(c->key.peer_addr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		bpf_core_read(c->key.local_addr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(c->key.peer_addr, 16, &sk->__sk_common.skc_v6_daddr);
	}
}

static __always_inline void connection_set_role(struct rpc_connection *c, enum rpc_role role)
{
	c->role = role;
	c->key.port = role == ROLE_SERVER ? c->local_port : c->peer_port;
	c->epoch = 0;
}

static __always_inline void connection_set_protocol(struct rpc_connection *c, __u8 protocol)
{
	if (c->key.protocol == protocol)
		return;
	c->key.protocol = protocol;
	c->edge_epoch = 0; /* another edge */
	c->seen = 0;
}

static __always_inline void connection_mark(struct rpc_connection *c, const struct sock_now *now)
{
	c->sent = now->sent;
	c->received = now->received;
	c->retransmits = now->retransmits;
	c->segments = now->segments;
}

/*
 * A connection that was there before we were: a port that was listening is the server's.
 * Else this end has dialled, unless the listener is gone: then the bytes tell.
 */
static __always_inline struct rpc_connection *connection_adopt(struct sock *sk)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	struct rpc_connection *c;
	struct rpc_listener l = {};
	struct sock_now now;

	if (state == TCP_CLOSE || state == TCP_LISTEN || state == TCP_SYN_SENT)
		return NULL;
	c = connection_make(sk);
	if (!c)
		return NULL;
	connection_address(c, sk);
	now = sock_now(sk);
	connection_mark(c, &now);
	l.netns = c->netns;
	l.port = c->local_port;
	c->guessed = !bpf_map_lookup_elem(&listeners, &l);
	connection_set_role(c, c->guessed ? ROLE_CLIENT : ROLE_SERVER);
	return c;
}

/* This end is the current thread's. */
static __always_inline void connection_own(struct rpc_connection *c)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct cgroup *cgroup = task_cgroup(task, cgroup_subsystem);

	c->ignored = BPF_CORE_READ(cgroup, level) == 0;
	c->key.cgroup_id = BPF_CORE_READ(cgroup, kn, id);
}

/* Once per window: which cgroup the thread at this end is in now. */
static __always_inline void connection_refresh(struct rpc_connection *c)
{
	c->epoch = epoch;
	c->edge_epoch = 0;
	connection_own(c);
	c->key.peer_cgroup_id = 0;
	c->tries = 0;
	if (!c->ignored)
		ends_publish(c);
}

/* connection_refresh() for all programs; not static, so that it is verified once. */
__noinline int rpc_refresh(struct rpc_connection *c)
{
	if (c)
		connection_refresh(c);
	return 0;
}

/* The record of a socket that carries data now; NULL when it is not to be captured. */
static __always_inline struct rpc_connection *connection_of(struct sock *sk)
{
	struct rpc_connection *c = connection_find(sk);

	if (!c) {
		c = connection_adopt(sk);
		if (!c)
			return NULL;
	}
	if (c->epoch != epoch)
		rpc_refresh(c);
	return c->ignored || c->stream ? NULL : c;
}

#endif
