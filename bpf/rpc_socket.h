/*
 * For strategies that keep a connection's record in its socket: the record, what the socket
 * says of itself, the bytes a send is given, and the programs that all of them need.
 *
 * The object that includes this has defined, the way its kernels allow:
 *   struct tcp_sock *tcp_of(struct sock *sk)  loads through it are direct; NULL = no TCP
 *   __u64 sock_arrived(struct sock *sk)       as rpc_connection.h says
 *   struct iovec piece_at(const struct iovec *at)  reads one of the kernel's
 */
#ifndef SAGE_BPF_RPC_SOCKET_H
#define SAGE_BPF_RPC_SOCKET_H

#include "bpf/rpc_maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct rpc_connection);
} connections SEC(".maps");

static __always_inline struct rpc_connection *connection_find(struct sock *sk)
{
	return bpf_sk_storage_get(&connections, sk, NULL, 0);
}

static __always_inline struct rpc_connection *connection_make(struct sock *sk)
{
	struct rpc_connection *c = NULL;

	if (connections_open < max_connections)
		c = bpf_sk_storage_get(&connections, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (c)
		__sync_fetch_and_add(&connections_open, 1);
	else
		count_loss(RPC_LOSS_CONNECTIONS, 1);
	return c;
}

static __always_inline void connection_drop(struct sock *sk)
{
	if (bpf_sk_storage_delete(&connections, sk) == 0)
		__sync_fetch_and_add(&connections_open, (__u32)-1);
}

static __always_inline struct sock_now sock_now(struct sock *sk)
{
	struct tcp_sock *tcp = tcp_of(sk);
	struct sock_now now = {};

	if (!tcp)
		return now;
	now.sent = tcp->write_seq;
	now.received = tcp->copied_seq;
	now.retransmits = tcp->total_retrans;
	now.segments = tcp->segs_out;
	now.rtt_us = tcp->srtt_us >> 3;
	now.unread = tcp->rcv_nxt - tcp->copied_seq;
	return now;
}

#include "bpf/rpc_call.h"

static __always_inline bool is_tcp(const struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP &&
	       (sk->__sk_common.skc_family == AF_INET || sk->__sk_common.skc_family == AF_INET6);
}

/* ---- the bytes of a message in its process's memory */

static __always_inline void glance_user(struct rpc_glance *g, const void *from, __u64 size)
{
	__u32 bounded = size < RPC_GLANCE ? (__u32)size : RPC_GLANCE;

	barrier_var(bounded); /* the verifier must see the check that follows on the value itself */
	if (bounded && bounded <= RPC_GLANCE && bpf_probe_read_user(g->byte, bounded, from) == 0)
		g->size = bounded;
}

/* The kernel's iterator over them is at plain memory. */
static __always_inline bool is_plain(const struct msghdr *msg)
{
	return bpf_core_enum_value_exists(enum iter_type, ITER_UBUF) &&
	       msg->msg_iter.iter_type == bpf_core_enum_value(enum iter_type, ITER_UBUF);
}

static __always_inline const char *plain_memory(const struct msghdr *msg)
{
	const char *start = NULL;

	if (bpf_core_field_exists(msg->msg_iter.__ubuf_iovec))
		return msg->msg_iter.ubuf;
	bpf_core_read(&start, sizeof(start), &msg->msg_iter.ubuf); /* verified as if it was iov */
	return start;
}

static __always_inline bool is_pieces(const struct msghdr *msg)
{
	return msg->msg_iter.iter_type == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
}

static __always_inline const struct iovec *pieces(const struct msghdr *msg)
{
	const struct iov_iter___old *old = (const void *)&msg->msg_iter;

	return bpf_core_field_exists(msg->msg_iter.__iov) ? msg->msg_iter.__iov : old->iov;
}

/* Pieces of a send that are gone through to find the next message in it. */
#define MAX_PIECES 8

/* The next bytes a send will take, but for `skip`: plain memory, or one of several pieces. */
static __always_inline void glance_message(
	struct rpc_glance *g, struct sock *sk, const struct msghdr *msg, __u32 skip)
{
	struct tcp_sock *tcp = tcp_of(sk);
	__u64 offset = msg->msg_iter.iov_offset + skip;
	const struct iovec *at;
	struct iovec piece;

	if (!tcp)
		return;
	g->at = tcp->write_seq + skip;
	g->total = (__u32)msg->msg_iter.count - skip;
	if (is_plain(msg)) {
		glance_user(g, plain_memory(msg) + offset, g->total);
	} else if (is_pieces(msg)) {
		at = pieces(msg);
		piece = piece_at(at);
		for (int i = 0; i < MAX_PIECES && skip && offset >= piece.iov_len; i++) {
			offset -= piece.iov_len;
			piece = piece_at(++at);
		}
		if (offset < piece.iov_len)
			glance_user(
				g, (const char *)piece.iov_base + offset, piece.iov_len - offset);
	}
}

/* ---- programs */

/* Inside TCP, before it takes the message. */
static __always_inline int connection_sends(struct sock *sk, const struct msghdr *msg)
{
	struct rpc_connection *c = connection_of(sk);
	struct rpc_glance g = {};
	__u32 skip = 0;

	if (!c)
		return 0;
	if (msg && connection_wants_glance(c, true)) {
		glance_message(&g, sk, msg, 0);
		for (int i = 0; i < MAX_PASSED && connection_passes(c, &g, true, &skip); i++)
			glance_message(&g, sk, msg, skip);
	}
	connection_data(c, sk, true, bpf_ktime_get_ns(), &g);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(rpc_state, struct sock *sk, int from, int to)
{
	if (is_tcp(sk))
		connection_state(sk, from, to);
	return 0;
}

static __u32 counted; /* by the iteration that is under way */

/*
 * Besides flushing, count afresh what is open: a close that found its program busy on
 * that CPU would otherwise hold a place for ever.
 */
SEC("iter/bpf_sk_storage_map")
int rpc_flush(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct sock *sk = ctx->sk;
	struct rpc_connection *c;

	if (!sk) { /* the end */
		connections_open = counted;
		counted = 0;
		return 0;
	}
	counted++;
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (c)
		connection_flush(c, sk, bpf_ktime_get_ns());
	return 0;
}

#endif
