/*
 * RPC capture at the entry and return of TCP's functions, for kernels whose socket
 * tracepoints do not show the bytes (before Linux 6.16).
 *
 * A send is seen as TCP takes it, under the socket's lock; a receive when it has returned
 * with the reader's memory filled, no longer under the lock: two threads that read and
 * write one connection at the same instant may blur one call. sendfile and io_uring pass
 * here like all others; splice and the kernel's own readers (TLS) take another way in.
 * bpf_get_func_ret needs Linux 5.17.
 */
#include "bpf/kernel.h"

#include "bpf/rpc_maps.h"

static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	return bpf_skc_to_tcp_sock(sk);
}

/* The read that has ended has overwritten TCP's finer stamp. */
static __always_inline __u64 sock_arrived(struct sock *sk)
{
	struct tcp_sock *tcp = tcp_of(sk);
	__u64 now = bpf_ktime_get_ns();

	return tcp ? arrival_time(now, tcp->inet_conn.icsk_ack.lrcvtime) : now;
}

static __always_inline struct iovec piece_at(const struct iovec *at)
{
	struct iovec piece = {};

	bpf_probe_read_kernel(&piece, sizeof(piece), at);
	return piece;
}

#include "bpf/rpc_socket.h"

/* The first of `size` bytes that end where the iterator stands now. */
static __always_inline void glance_filled(
	struct rpc_glance *g, const struct msghdr *msg, __u64 size)
{
	__u64 offset = msg->msg_iter.iov_offset;
	const struct iovec *at;
	struct iovec piece = {};

	if (is_plain(msg)) {
		glance_user(g, plain_memory(msg) + offset - size, size);
		return;
	}
	if (!is_pieces(msg))
		return;
	at = pieces(msg);
	for (int i = 0; i <= MAX_PIECES; i++) {
		__u64 filled = offset;

		if (i || offset) {
			piece = piece_at(at - i);
			filled = i ? piece.iov_len : offset;
		}
		if (filled >= size) {
			glance_user(g, (const char *)piece.iov_base + filled - size, size);
			return;
		}
		size -= filled;
	}
}

SEC("fentry/tcp_sendmsg_locked")
int BPF_PROG(rpc_send, struct sock *sk, struct msghdr *msg)
{
	return connection_sends(sk, msg);
}

/* sendfile, before Linux 6.5. */
SEC("fentry/do_tcp_sendpages")
int BPF_PROG(rpc_send_pages, struct sock *sk)
{
	return connection_sends(sk, NULL);
}

#define MSG_PEEK 2
#define MSG_ERRQUEUE 0x2000

SEC("fexit/tcp_recvmsg")
int BPF_PROG(rpc_received, struct sock *sk, struct msghdr *msg, size_t room, int flags)
{
	struct rpc_connection *c;
	struct rpc_glance g = {};
	struct tcp_sock *tcp;
	__u64 size = 0;

	if (bpf_get_func_ret(ctx, &size) || (__s32)size <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	c = connection_of(sk);
	tcp = tcp_of(sk);
	if (!c || !tcp)
		return 0;
	if (connection_wants_glance(c, false)) {
		g.total = (__u32)size;
		g.at = tcp->copied_seq - g.total;
		glance_filled(&g, msg, g.total);
	}
	connection_data(c, sk, false, connection_read_time(c, sk), &g);
	return 0;
}

/*
 * A receive that was under way, waiting, when the agent came does not return through its
 * programs: the first bytes of a connection not known yet are seen inside.
 */
SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(rpc_first_read, struct sock *sk)
{
	struct rpc_connection *c;
	struct rpc_glance g = {};

	if (connection_find(sk))
		return 0;
	c = connection_of(sk);
	if (c)
		connection_data(c, sk, false, connection_read_time(c, sk), &g);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
