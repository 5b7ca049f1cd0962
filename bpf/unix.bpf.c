/*
 * RPC over unix stream sockets, for strategies that see a receive's bytes in its packet.
 *
 * Both ends are on this node, and what one sends is what the other gets, so bytes are looked at
 * where they are read. The accepted end, which has its listener's address, is the server's; a
 * pair made by socketpair() has none and is nobody's.
 *
 *   unix_read  rpc_receive, which every read passes, goes on to it: TCP pays nothing
 *   unix_sent  as the reader is woken; TCP passes there too, so the agent attaches it while
 *              there is RPC to time, and nothing is counted without
 *
 * Only what is recognised is counted: most that talks over unix sockets is no RPC.
 */
#include "bpf/kernel.h"

#include "bpf/rpc_packet.h"
#include "bpf/unix.h"
#include "bpf/unix_call.h"

#define AF_UNIX 1
#define SOCK_STREAM 1

__u64 recognised; /* messages of protocols that are counted */
__u32 timing;     /* unix_sent is attached */

static __always_inline bool is_unix_stream(const struct sock *sk)
{
	return sk->__sk_common.skc_family == AF_UNIX && sk->sk_type == SOCK_STREAM;
}

/* Which end of its connection this is; false for what has no server, as a socketpair(). */
static __always_inline bool unix_role(
	const struct unix_sock *end, const struct unix_sock *peer, enum rpc_side *side)
{
	*side = end->addr ? RPC_SERVER : RPC_CLIENT;
	/* one that has closed has no peer any more; what a server sent is still read */
	return end->peer ? !peer->addr != !end->addr : end->addr != NULL;
}

static __always_inline const struct unix_sock *unix_of(const struct sock *sk)
{
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct unix_sock));
}

/* What of a packet has been read before. */
static __always_inline __u32 consumed_of(const struct sk_buff *skb)
{
	const struct unix_skb_parms *parms =
		bpf_rdonly_cast(skb->cb, bpf_core_type_id_kernel(struct unix_skb_parms));

	return parms->consumed;
}

/* The verdict, and the protocol in the next byte; not static, so that it is verified once. */
__noinline __u32 unix_look(const struct rpc_glance *g, __u32 protocol, bool from_server)
{
	enum rpc_verdict v;

	if (!g)
		return 0;
	v = glance_at(g, from_server, &protocol);
	return v | protocol << 8;
}

/* Before senders are watched: whether there is anything to watch them for. */
static __always_inline void notice(const struct sk_buff *skb, int length, bool from_server)
{
	struct rpc_glance g = {.total = (__u32)length};

	glance_packet(&g, skb, consumed_of(skb));
	if (unix_look(&g, RPC_TCP, from_server) >> 8 != RPC_TCP)
		__sync_fetch_and_add(&recognised, 1);
}

static __always_inline enum rpc_verdict recognise(
	struct unix_connection *u, const struct sk_buff *skb, int length, bool from_server)
{
	struct rpc_glance g = {.total = (__u32)length};
	__u32 seen;

	glance_packet(&g, skb, consumed_of(skb));
	seen = unix_look(&g, u->protocol, from_server);
	u->protocol = (__u8)(seen >> 8);
	if (u->protocol != RPC_TCP)
		__sync_fetch_and_add(&recognised, 1);
	else if (++u->looks > UNIX_LOOKS)
		u->stream = 1;
	return seen & 0xff;
}

static __always_inline void reads(
	struct unix_connection *u, const struct sk_buff *skb, int length, enum rpc_side sender)
{
	bool from_server = sender == RPC_SERVER, first;
	enum rpc_verdict v = RPC_NOTHING;
	__u64 now = bpf_ktime_get_ns();

	u->last_ns = now;
	unix_refresh(u, from_server ? RPC_CLIENT : RPC_SERVER);
	if (!from_server)
		unix_server_reads(u, !consumed_of(skb), now);
	else if (!u->sent_ns && !consumed_of(skb)) /* likewise, the answer */
		unix_server_sends(u, now);
	__sync_fetch_and_add(&u->bytes[sender], (__u64)length);
	first = u->unread[sender];
	u->unread[sender] = 0;
	if (first)
		v = recognise(u, skb, length, from_server);
	if (!unix_judge(u, v, from_server, now))
		return;
	if (from_server) {
		u->read_ns = now;
		unix_thread_returned(u, now, first);
	} else if (first) {
		unix_thread_serves(u, now);
	}
}

SEC("tp_btf/skb_copy_datagram_iovec")
int BPF_PROG(unix_read, struct sk_buff *skb, int length)
{
	struct sock *sk = skb->sk; /* the sender */
	const struct unix_sock *end, *peer;
	struct unix_connection *u;
	enum rpc_side side;

	if (!sk || length <= 0 || !is_unix_stream(sk))
		return 0;
	end = unix_of(sk);
	peer = unix_of(end->peer);
	if (!unix_role(end, peer, &side))
		return 0;
	if (!timing) {
		notice(skb, length, side == RPC_SERVER);
		return 0;
	}
	u = side == RPC_SERVER ? unix_find(end) : unix_make(peer);
	if (u && !u->stream)
		reads(u, skb, length, side);
	return 0;
}

SEC("tp_btf/sk_data_ready")
int BPF_PROG(unix_sent, struct sock *sk)
{
	const struct unix_sock *end, *peer;
	struct unix_connection *u;
	enum rpc_side side; /* the receiver */
	__u64 now;

	if (!is_unix_stream(sk) || !sk->sk_receive_queue.qlen) /* empty: it has been read by now */
		return 0;
	end = unix_of(sk);
	peer = unix_of(end->peer);
	if (!end->peer || !unix_role(end, peer, &side))
		return 0;
	if (side == RPC_SERVER)
		(void)bpf_get_socket_cookie(sk); /* only a socket at hand can be given one */
	u = side == RPC_SERVER ? unix_make(end) : unix_find(peer);
	if (!u || u->stream)
		return 0;
	now = bpf_ktime_get_ns();
	u->last_ns = now;
	unix_refresh(u, side == RPC_SERVER ? RPC_CLIENT : RPC_SERVER);
	if (side == RPC_SERVER)
		unix_client_sends(u, now);
	else
		unix_server_sends(u, now);
	return 0;
}

/* At a window's end; whether nothing has happened for so long that the record can go. */
__noinline int unix_pass(struct unix_connection *u, __u64 now)
{
	__u64 idle;

	if (!u || now < u->last_ns)
		return false;
	idle = now - u->last_ns;
	if (u->sent_ns && idle > RPC_QUIET_NS)
		unix_settle(u);
	if (u->start_ns && u->protocol != RPC_TCP && idle > UNIX_PATIENCE_NS)
		unix_give_up(u, now);
	return idle > UNIX_IDLE_NS && (!u->start_ns || u->protocol == RPC_TCP);
}

static __always_inline void unix_drop(struct unix_set *set, int way)
{
	struct unix_connection *u = &set->connection[way];
	__u64 id = set->server[way];

	if (__sync_val_compare_and_swap(&u->id, id, 0) != id)
		return;
	unix_leave(u, false);
	__sync_val_compare_and_swap(&set->server[way], id, 0); /* unless another has taken it */
}

SEC("iter/bpf_map_elem")
int unix_flush(struct bpf_iter__bpf_map_elem *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	const __u32 *at = ctx->key;
	struct unix_set *set;
	__u32 number;

	if (!at)
		return 0;
	number = *at;
	set = bpf_map_lookup_elem(&unix_sets, &number);
	if (!set)
		return 0;
	for (int way = 0; way < UNIX_WAYS; way++)
		if (set->server[way] && unix_pass(&set->connection[way], now))
			unix_drop(set, way);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
