/*
 * RPC capture on the socket's own tracepoints; a connection's record lives in its socket.
 *
 * Two ways to see a send: inside TCP with the message at hand (rpc_send, Linux 6.16+),
 * or its length afterwards (rpc_sent, 6.3+); the agent leaves one of them out. A receive
 * is seen where its bytes are copied to the reader, with the segment at hand: peeked
 * bytes count as read. sendfile, splice and io_uring pass here like all others.
 */
#include "bpf/kernel.h"

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

extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym;
extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *out) __ksym;

/* Loads through this are direct; a socket reached from its segment allows no other cast. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
}

static __always_inline struct sock_now sock_now(struct sock *sk)
{
	struct tcp_sock *tcp = tcp_of(sk);
	struct sock_now now = {};

	now.sent = tcp->write_seq;
	now.received = tcp->copied_seq;
	now.retransmits = tcp->total_retrans;
	now.segments = tcp->segs_out;
	now.rtt_us = tcp->srtt_us >> 3;
	now.unread = tcp->rcv_nxt - tcp->copied_seq;
	return now;
}

static __always_inline __u64 sock_arrived(struct sock *sk)
{
	struct inet_connection_sock *icsk =
		bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct inet_connection_sock));

	return arrival_time(tcp_of(sk)->tcp_mstamp * 1000, icsk->icsk_ack.lrcvtime);
}

#include "bpf/rpc_connection.h"

static __always_inline bool is_tcp(const struct sock *sk)
{
	return sk->sk_protocol == IPPROTO_TCP &&
	       (sk->__sk_common.skc_family == AF_INET || sk->__sk_common.skc_family == AF_INET6);
}

static __always_inline void glance_user(struct rpc_glance *g, const void *from, __u64 size)
{
	if (size > RPC_GLANCE)
		size = RPC_GLANCE;
	if (size && bpf_probe_read_user(g->byte, (__u32)size, from) == 0)
		g->size = (__u32)size;
}

/* Pieces of a send that are gone through to find the next message in it. */
#define MAX_PIECES 8

/* The next bytes a send will take, but for `skip`: plain memory, or one of several pieces. */
static __always_inline void glance_message(
	struct rpc_glance *g, struct sock *sk, const struct msghdr *msg, __u32 skip)
{
	__u64 type = msg->msg_iter.iter_type, offset = msg->msg_iter.iov_offset + skip;
	const struct iovec *piece;

	g->at = tcp_of(sk)->write_seq + skip;
	g->total = (__u32)msg->msg_iter.count - skip;
	if (type == (__u64)bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		glance_user(g, (const char *)msg->msg_iter.ubuf + offset, g->total);
	} else if (type == (__u64)bpf_core_enum_value(enum iter_type, ITER_IOVEC)) {
		piece = msg->msg_iter.__iov;
		for (int i = 0; i < MAX_PIECES && skip && offset >= piece->iov_len; i++)
			offset -= piece++->iov_len;
		if (offset < piece->iov_len)
			glance_user(
				g, (const char *)piece->iov_base + offset, piece->iov_len - offset);
	}
}

/*
 * The bytes a read gets next, but for `skip`; others before them may share the segment. A function
 * of its own because the verifier lets nothing else use the stack slot of a dynptr.
 */
static __noinline void glance_segment(
	struct rpc_glance *g, const struct sk_buff *skb, struct sock *sk, __u32 skip)
{
	const struct tcp_skb_cb *segment =
		bpf_rdonly_cast(skb->cb, bpf_core_type_id_kernel(struct tcp_skb_cb));
	__u32 offset, size = skb->len;
	struct bpf_dynptr data;

	g->at = tcp_of(sk)->copied_seq + skip;
	offset = g->at - segment->seq;
	if (offset >= size || bpf_dynptr_from_skb((struct __sk_buff *)skb, 0, &data))
		return;
	size -= offset;
	if (size > RPC_GLANCE)
		size = RPC_GLANCE;
	if (bpf_dynptr_read(g->byte, size, &data, offset, 0) == 0)
		g->size = size;
}

SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(rpc_send, struct sock *sk, struct msghdr *msg)
{
	struct rpc_connection *c = connection_of(sk);
	struct rpc_glance g = {};
	__u32 skip = 0;

	if (!c)
		return 0;
	if (connection_wants_glance(c, true)) {
		glance_message(&g, sk, msg, 0);
		for (int i = 0; i < MAX_PASSED && connection_passes(c, &g, true, &skip); i++)
			glance_message(&g, sk, msg, skip);
	}
	connection_data(c, sk, true, bpf_ktime_get_ns(), &g);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(rpc_sent, struct sock *sk, int length)
{
	struct rpc_connection *c;
	struct rpc_glance g = {};
	struct tcp_sock *tcp;
	__u64 now;

	if (length <= 0 || !is_tcp(sk))
		return 0;
	c = connection_of(sk);
	if (!c)
		return 0;
	tcp = tcp_of(sk);
	now = send_time(c, tcp->tcp_wstamp_ns, tcp->write_seq - tcp->snd_nxt, bpf_ktime_get_ns());
	connection_data(c, sk, true, now, &g);
	return 0;
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(rpc_receive, struct sk_buff *skb, int length)
{
	struct sock *sk = skb->sk;
	struct rpc_connection *c;
	struct rpc_glance g = {};
	__u32 skip = 0;

	if (!sk || length <= 0 || !is_tcp(sk))
		return 0;
	c = connection_of(sk);
	if (!c)
		return 0;
	if (connection_wants_glance(c, false)) {
		g.total = (__u32)length;
		glance_segment(&g, skb, sk, 0);
		for (int i = 0; i < MAX_PASSED && connection_passes(c, &g, false, &skip); i++)
			glance_segment(&g, skb, sk, skip);
	}
	connection_data(c, sk, false, connection_read_time(c, sk), &g);
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

char LICENSE[] SEC("license") = "GPL";
