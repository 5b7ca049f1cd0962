/*
 * RPC capture on the socket's own tracepoints.
 *
 * Two ways to see a send: inside TCP with the message at hand (rpc_send, Linux 6.16+),
 * or its length afterwards (rpc_sent, 6.3+); the agent leaves one of them out. A receive
 * is seen where its bytes are copied to the reader, with the segment at hand: peeked
 * bytes count as read. sendfile, splice and io_uring pass here like all others.
 */
#include "bpf/kernel.h"

#include "bpf/rpc_maps.h"
#include "bpf/rpc_packet.h"
#include "bpf/unix.h"

/* A socket reached from its segment allows no other cast. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
}

static __always_inline __u64 sock_arrived(struct sock *sk)
{
	struct tcp_sock *tcp = tcp_of(sk);

	return arrival_time(tcp->tcp_mstamp * 1000, tcp->inet_conn.icsk_ack.lrcvtime);
}

static __always_inline struct iovec piece_at(const struct iovec *at)
{
	return *(struct iovec *)bpf_rdonly_cast(at, bpf_core_type_id_kernel(struct iovec));
}

#include "bpf/rpc_socket.h"

/* The bytes a read gets next, but for `skip`; others before them may share the segment. */
static __always_inline void glance_segment(
	struct rpc_glance *g, const struct sk_buff *skb, struct sock *sk, __u32 skip)
{
	const struct tcp_skb_cb *segment =
		bpf_rdonly_cast(skb->cb, bpf_core_type_id_kernel(struct tcp_skb_cb));

	g->at = tcp_of(sk)->copied_seq + skip;
	glance_packet(g, skb, g->at - segment->seq);
}

SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(rpc_send, struct sock *sk, struct msghdr *msg)
{
	return connection_sends(sk, msg);
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

	if (!sk || length <= 0)
		return 0;
	if (!is_tcp(sk)) {
		bpf_tail_call(ctx, &unix_reads, 0);
		return 0;
	}
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

char LICENSE[] SEC("license") = "GPL";
