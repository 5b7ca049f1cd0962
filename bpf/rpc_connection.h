/*
 * The state machine of one end of one connection.
 *
 * Both ends run the same one. A call opens with the first byte of a request and its
 * answer grows with every byte that follows the other way; it is counted when the next
 * request comes, when the connection closes, or at a window's end when the answer has
 * been quiet for RPC_QUIET_NS. Silence between calls is never part of one.
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
#include "bpf/rpc_glance.h"
#include "bpf/rpc_maps.h"
#include "bpf/rpc_thread.h"
#include "bpf/rpc_tls.h"

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

/* Glances in vain after which a connection is left to be `tcp`. */
#define MAX_LOOKS 6

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

/* Once per window: which cgroup the thread at this end is in now. */
static __always_inline void connection_refresh(struct rpc_connection *c)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct cgroup *cgroup = task_cgroup(task, cgroup_subsystem);

	c->epoch = epoch;
	c->edge_epoch = 0;
	c->ignored = BPF_CORE_READ(cgroup, level) == 0;
	c->key.cgroup_id = BPF_CORE_READ(cgroup, kn, id);
	c->key.peer_cgroup_id = 0;
	c->tries = 0;
	if (!c->ignored)
		ends_publish(c);
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
		connection_refresh(c);
	return c->ignored || c->stream ? NULL : c;
}

static __always_inline bool is_first(const struct rpc_connection *c, bool request)
{
	return request ? !c->start_ns || c->end_ns : c->start_ns && !c->end_ns;
}

/* Whether there is something to learn from the bytes that go by now. */
static __always_inline bool connection_wants_glance(const struct rpc_connection *c, bool sending)
{
	bool request = (c->role == ROLE_CLIENT) == sending;
	bool greeting = c->key.protocol == RPC_TCP && !c->looks; /* some servers speak first */

	if (!is_first(c, request) && !c->partial && !c->guessed && !greeting)
		return false;
	if (c->tls)
		return true;
	if (c->key.protocol == RPC_TCP)
		return c->looks < MAX_LOOKS;
	return !request || RPC_MIXED_REQUESTS >> c->key.protocol & 1;
}

/* Hold a guessed role against what a message says of it. */
static __always_inline void connection_check_role(
	struct rpc_connection *c, enum rpc_verdict v, bool sending)
{
	bool asks = v == RPC_REQUEST || v == RPC_NO_CALL;
	enum rpc_role role = asks == sending ? ROLE_CLIENT : ROLE_SERVER;

	if (v == RPC_NOTHING || v == RPC_MESSAGE || v == RPC_STREAM)
		return;
	c->guessed = 0;
	if (role == c->role)
		return;
	c->start_ns = 0;
	c->end_ns = 0;
	connection_set_role(c, role);
	connection_refresh(c);
}

/*
 * glance_at() for all programs: the verdict in the lowest byte, the protocol in the next, in the
 * upper half the message's length if it is told. Not static, so that it is verified once.
 */
__noinline __u64 rpc_look(const struct rpc_glance *g, __u32 protocol, bool from_server)
{
	enum rpc_verdict v;
	__u64 length = 0;

	if (!g)
		return 0;
	v = glance_at(g, from_server, &protocol);
	if (v == RPC_NO_CALL)
		length = glance_length(g, protocol);
	return v | protocol << 8 | length << 32;
}

/* Length of the message at `g` if it is no call and another begins behind it; else 0. */
__noinline __u32 rpc_pass(const struct rpc_glance *g, __u32 protocol)
{
	__u32 length;

	if (!g)
		return 0;
	length = glance_length(g, protocol);
	if (length >= g->total)
		return 0;
	return glance_known(g, false, protocol) == RPC_NO_CALL ? length : 0;
}

/* Messages that are no calls, before one that is, in what is sent or read at once. */
#define MAX_PASSED 32

/*
 * Whether what goes by begins with (the rest of) a message that is no call and goes on with
 * another; that one is to be looked at, *skip bytes from the start.
 */
static __always_inline bool connection_passes(
	struct rpc_connection *c, struct rpc_glance *g, bool sending, __u32 *skip)
{
	__u32 length;

	if ((c->role == ROLE_CLIENT) != sending || c->partial || g->size < 8 || c->tls ||
		!(RPC_MIXED_REQUESTS >> c->key.protocol & 1))
		return false;
	length = c->passing ? c->passed - g->at : rpc_pass(g, c->key.protocol);
	if (c->passing && (__s32)length <= 0)
		length = rpc_pass(g, c->key.protocol);
	barrier_var(length);
	if (!length || length >= g->total)
		return false;
	c->passing = 0;
	*skip += length;
	__builtin_memset(g->byte, 0, sizeof(g->byte));
	g->size = 0;
	g->at += length;
	g->total -= length;
	return true;
}

/* Put the head that was read alone before what goes on from it. */
static __always_inline void connection_prepend_head(
	const struct rpc_connection *c, struct rpc_glance *whole, const struct rpc_glance *g)
{
	whole->size = g->size + 4 < RPC_GLANCE ? g->size + 4 : RPC_GLANCE;
	whole->at = g->at - 4;
	__builtin_memcpy(whole->byte, &c->head, 4);
	__builtin_memcpy(whole->byte + 4, g->byte, RPC_GLANCE - 4);
}

static __always_inline __u8 connection_partial(
	struct rpc_connection *c, const struct rpc_glance *g, bool sending)
{
	if (g->size != 4)
		return g->size < 8 ? RPC_PARTIAL : RPC_WHOLE;
	__builtin_memcpy(&c->head, g->byte, 4);
	return sending ? RPC_HEAD_SENT : RPC_HEAD_RECEIVED;
}

/* What a message under TLS is by its plaintext. */
static __always_inline enum rpc_verdict connection_look_inside(
	struct rpc_connection *c, const struct rpc_glance *plain, bool sending)
{
	__u32 known = c->key.protocol == RPC_TLS ? RPC_TCP : c->key.protocol;
	__u64 seen = rpc_look(plain, known, (c->role == ROLE_CLIENT) != sending);
	enum rpc_verdict v = seen & 0xff;

	if ((__u8)(seen >> 8) != RPC_TCP)
		connection_set_protocol(c, (__u8)(seen >> 8));
	if (c->guessed)
		connection_check_role(c, v, sending);
	return v;
}

/* By its plaintext where that is to be had, else by its records. */
static __always_inline enum rpc_verdict connection_glance_tls(
	struct rpc_connection *c, struct sock *sk, const struct rpc_glance *g, bool sending)
{
	bool wanted = connection_wants_glance(c, sending);
	struct rpc_glance said = {};
	enum rpc_verdict v;

	c->tls = 1;
	if (c->key.protocol == RPC_TCP)
		connection_set_protocol(c, RPC_TLS);
	if (tls_sent && sending && tls_take_said(&said) && wanted) {
		v = connection_look_inside(c, &said, sending);
		return v ? v : RPC_MESSAGE;
	}
	if (!g->size)
		return RPC_NOTHING;
	v = (c->role == ROLE_CLIENT) == sending ? tls_request(c, g) : tls_response(g);
	if (tls_received && !sending && v == RPC_MESSAGE)
		tls_await(c, sk);
	return v;
}

static __always_inline enum rpc_verdict connection_glance(
	struct rpc_connection *c, struct sock *sk, const struct rpc_glance *g, bool sending)
{
	bool request = (c->role == ROLE_CLIENT) == sending;
	struct rpc_glance whole;
	enum rpc_verdict v;
	__u64 seen;

	if (c->tls || tls_begins(c, g))
		return connection_glance_tls(c, sk, g, sending);
	if (!g->size)
		return RPC_NOTHING;
	if (c->passing && request) {
		if ((__s32)(g->at - c->passed) < 0)
			return RPC_NO_CALL; /* more of it */
		c->passing = 0;
	}
	if (c->partial == (sending ? RPC_HEAD_SENT : RPC_HEAD_RECEIVED)) {
		connection_prepend_head(c, &whole, g);
		g = &whole;
	}
	seen = rpc_look(g, c->key.protocol, !request);
	v = seen & 0xff;
	connection_set_protocol(c, (__u8)(seen >> 8));
	c->partial = v ? RPC_WHOLE : connection_partial(c, g, sending);
	if (v == RPC_NO_CALL && request && seen >> 32) {
		c->passed = g->at + (__u32)(seen >> 32);
		c->passing = 1;
	}
	if (!v && !c->partial && c->looks < MAX_LOOKS)
		c->looks++;
	if (c->guessed) {
		connection_check_role(c, v, sending);
		c->guessed = c->guessed && c->looks < MAX_LOOKS;
	}
	return v;
}

/* Count the answered call, if there is one and nobody else has. */
static __always_inline void connection_settle(struct rpc_connection *c)
{
	__u64 end = c->end_ns ? __sync_lock_test_and_set(&c->end_ns, 0) : 0;

	if (!end || !c->start_ns)
		return;
	edge_count(c, c->start_ns, end);
	c->start_ns = 0;
}

/* Once per window, and before the socket is gone: reading its counters costs more than a call. */
static __always_inline void connection_add_socket(struct rpc_connection *c, struct sock *sk)
{
	struct sock_now now;

	if (!c->counted)
		return;
	now = sock_now(sk);
	edge_add_socket(c, &now);
}

/* Forget the open call without counting it. */
static __always_inline void connection_cancel(struct rpc_connection *c, __u64 now)
{
	if (c->start_ns && !c->end_ns && c->thread) {
		if (c->role == ROLE_SERVER)
			thread_release(c);
		else
			thread_returned(c, now, true);
	}
	c->start_ns = 0;
	c->end_ns = 0;
	c->thread = 0;
	c->own = 0;
}

/* The plaintext of the message that was read last, if it has come by now. */
static __always_inline void connection_hear(struct rpc_connection *c, struct sock *sk, __u64 now)
{
	__u64 key = (__u64)sk;
	struct rpc_glance *g;
	enum rpc_verdict v;

	if (!tls_received || !c->tls_awaited)
		return;
	g = bpf_map_lookup_elem(&tls_heard, &key);
	if (!g)
		return;
	c->tls_awaited = 0;
	v = connection_look_inside(c, g, false);
	bpf_map_delete_elem(&tls_heard, &key);
	if (v == RPC_STREAM || v == RPC_NO_CALL)
		connection_cancel(c, now);
	if (v == RPC_STREAM)
		c->stream = 1;
	if (v == RPC_ERROR)
		c->error = 1;
	if (v == RPC_INTERIM)
		c->end_ns = 0;
}

static __always_inline void connection_request(
	struct rpc_connection *c, __u64 now, enum rpc_verdict v)
{
	bool first = is_first(c, true);
	__u64 last = c->end_ns > c->request_ns ? c->end_ns : c->request_ns;

	if (now < last) /* behind another on the same connection, not before that is done */
		now = last;
	if (first)
		connection_settle(c);
	if (v == RPC_NO_CALL) {
		connection_cancel(c, now);
		return;
	}
	if (first) {
		c->error = 0;
		c->start_ns = now;
		if (c->role == ROLE_SERVER)
			thread_request(c, now);
		else
			thread_call(c, now);
	} else if (now - c->request_ns > RPC_QUIET_NS) {
		c->start_ns = now; /* what came before was never to be answered */
	}
	c->request_ns = now;
}

#define LEFT_UNREAD_NS 1000000ULL

/*
 * A response ends when its client reads it; left unread for long, because the client waits for
 * another call first or has no CPU, it ended when it came: that wait is not the callee's.
 */
static __always_inline __u64 response_end(
	const struct rpc_connection *c, struct sock *sk, __u64 now)
{
	__u64 came;

	if (c->role != ROLE_CLIENT || now - c->request_ns <= LEFT_UNREAD_NS)
		return now;
	came = sock_arrived(sk);
	if (came < c->request_ns) /* by a coarse clock */
		came = c->request_ns;
	return now - came > LEFT_UNREAD_NS ? came : now;
}

static __always_inline void connection_response(
	struct rpc_connection *c, struct sock *sk, __u64 now, enum rpc_verdict v)
{
	bool first = is_first(c, false);
	__u64 end = c->end_ns;

	if (!c->start_ns || v == RPC_INTERIM)
		return;
	if (v == RPC_HANDSHAKE) {
		connection_cancel(c, now);
		return;
	}
	if (v == RPC_ERROR)
		c->error = 1;
	if (!first && (!end || now - end > RPC_QUIET_NS))
		return; /* counted already, or said unasked */
	c->end_ns = response_end(c, sk, now);
	if (c->role == ROLE_SERVER)
		thread_answer(c, first);
	else
		thread_returned(c, now, first);
}

/*
 * The time of a read that is under way. A request begins at its server when it comes, not when a
 * thread gets round to reading it: a server that is out of threads or of CPU leaves requests in
 * the receive queue, and that wait is its own, not the network's.
 */
static __always_inline __u64 connection_read_time(const struct rpc_connection *c, struct sock *sk)
{
	return c->role == ROLE_SERVER ? sock_arrived(sk) : bpf_ktime_get_ns();
}

/* Bytes go by on `c`. `g` is what was seen of them, size 0 if they were not looked at. */
static __always_inline void connection_data(struct rpc_connection *c, struct sock *sk, bool sending,
	__u64 now, const struct rpc_glance *g)
{
	enum rpc_verdict v;

	connection_hear(c, sk, now);
	v = connection_glance(c, sk, g, sending);
	if (v == RPC_STREAM) {
		connection_settle(c);
		connection_cancel(c, now);
		c->stream = 1;
		return;
	}
	if ((c->role == ROLE_CLIENT) == sending)
		connection_request(c, now, v);
	else
		connection_response(c, sk, now, v);
}

/* Count the call whose answer has been quiet, unless its owner just did. */
static __always_inline void connection_settle_quiet(struct rpc_connection *c, __u64 now)
{
	__u64 end = *(volatile __u64 *)&c->end_ns;
	__u64 start = *(volatile __u64 *)&c->start_ns;

	if (!end || !start || now < end || now - end < RPC_QUIET_NS)
		return;
	if (__sync_val_compare_and_swap(&c->end_ns, end, 0) != end)
		return;
	__sync_val_compare_and_swap(&c->start_ns, start, 0);
	edge_count(c, start, end);
}

/* At a window's end. */
static __always_inline void connection_flush(struct rpc_connection *c, struct sock *sk, __u64 now)
{
	connection_hear(c, sk, now);
	connection_settle_quiet(c, now);
	connection_add_socket(c, sk);
}

static __always_inline void connection_opened(struct sock *sk, enum rpc_role role, __u64 now)
{
	struct rpc_connection *c = connection_make(sk);
	struct sock_now counters;

	if (!c)
		return;
	connection_address(c, sk);
	counters = sock_now(sk);
	connection_mark(c, &counters);
	connection_set_role(c, role);
	c->connect_ns = role == ROLE_CLIENT ? now : 0;
}

/* The handshake is done; the client's own port and address are known only now. */
static __always_inline void connection_connected(struct sock *sk, __u64 now)
{
	struct rpc_connection *c = connection_find(sk);
	struct sock_now counters;

	if (!c)
		return;
	connection_address(c, sk);
	counters = sock_now(sk);
	connection_mark(c, &counters);
	ends_forget(c);
	if (c->connect_ns)
		c->connect_us = (__u32)((now - c->connect_ns) / 1000) + 1;
}

/*
 * A client that has half-closed loses its connection as the server closes: the answer that
 * waits in the receive queue will be read unseen. It ended when it came.
 */
static __always_inline void connection_left_unread(
	struct rpc_connection *c, struct sock *sk, __u64 now)
{
	if (c->role != ROLE_CLIENT || !c->start_ns || c->end_ns || sock_now(sk).unread <= 1)
		return;
	c->end_ns = now;
	thread_returned(c, now, true);
}

static __always_inline void connection_closed(struct sock *sk, bool for_good, __u64 now)
{
	struct rpc_connection *c = connection_find(sk);
	struct rpc_edge *e;

	if (!c)
		return;
	if (!c->ignored && c->key.cgroup_id) {
		connection_hear(c, sk, now);
		if (for_good)
			connection_left_unread(c, sk, now);
		connection_settle(c);
		connection_add_socket(c, sk);
		if (for_good && c->start_ns) {
			e = edge_of(c);
			if (e)
				__sync_fetch_and_add(&e->unanswered, 1);
			connection_cancel(c, now);
		}
	}
	if (for_good)
		connection_drop(sk);
}

/* inet_sock_set_state: how connections begin and end. */
static __always_inline void connection_state(struct sock *sk, int from, int to)
{
	__u64 now = bpf_ktime_get_ns();

	if (from == TCP_CLOSE && to == TCP_SYN_SENT)
		connection_opened(sk, ROLE_CLIENT, now);
	else if (from == TCP_SYN_SENT && to == TCP_ESTABLISHED)
		connection_connected(sk, now);
	else if (from == TCP_SYN_RECV && to == TCP_ESTABLISHED)
		connection_opened(sk, ROLE_SERVER, now);
	else if (to == TCP_FIN_WAIT1 || to == TCP_LAST_ACK)
		connection_closed(sk, false, now);
	else if (to == TCP_CLOSE)
		connection_closed(sk, true, now);
}

#endif
