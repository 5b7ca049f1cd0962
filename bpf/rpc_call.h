/*
 * From bytes to calls: the state machine of one end of one connection.
 *
 * Both ends run the same one. A call opens with the first byte of a request and its
 * answer grows with every byte that follows the other way; it is counted when the next
 * request comes, when the connection closes, or at a window's end when the answer has
 * been quiet for RPC_QUIET_NS. Silence between calls is never part of one.
 */
#ifndef SAGE_BPF_RPC_CALL_H
#define SAGE_BPF_RPC_CALL_H

#include "bpf/rpc_connection.h"
#include "bpf/rpc_message.h"
#include "bpf/rpc_reset.h"
#include "bpf/rpc_thread.h"

/* Count the answered call, if there is one and nobody else has. */
static __always_inline void connection_settle(struct rpc_connection *c)
{
	__u64 end = c->end_ns ? __sync_lock_test_and_set(&c->end_ns, 0) : 0;

	if (!end || !c->start_ns)
		return;
	rpc_count(c, c->start_ns, end);
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

/*
 * The open call is what was asked for last; `told` is whether that was the call's own request. Its
 * text is copied only where it differs, which a call that repeats the last one does not.
 */
static __always_inline void connection_name_call(struct rpc_connection *c, bool told)
{
	if (!edge_operations)
		return;
	if (!told)
		c->operation.tag = 0;
	else if (c->operation.tag != c->asked.tag)
		c->operation = c->asked;
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
	if (c->role == ROLE_SERVER && (v == RPC_REQUEST || v == RPC_MESSAGE))
		connection_name_call(c, true);
}

static __always_inline void connection_request(
	struct rpc_connection *c, __u64 now, enum rpc_verdict v)
{
	bool first = is_first(c, true), told = v == RPC_REQUEST || v == RPC_MESSAGE;
	__u64 last = c->end_ns > c->request_ns ? c->end_ns : c->request_ns;

	if (now < last) /* behind another on the same connection, not before that is done */
		now = last;
	if (first)
		connection_settle(c);
	if (v == RPC_NO_CALL) {
		connection_cancel(c, now);
		return;
	}
	if (first || told) /* or its head was read alone */
		connection_name_call(c, told);
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

/* connection_request() for all programs; not static, so that it is verified once. */
__noinline int rpc_request(struct rpc_connection *c, __u64 now, __u32 v)
{
	if (c)
		connection_request(c, now, v);
	return 0;
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
		rpc_request(c, now, v);
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
	rpc_count(c, start, end);
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
	if (role == ROLE_CLIENT)
		connection_own(c); /* who is refused sends nothing that would tell */
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
	if (for_good) {
		reset_expect(c, sk);
		connection_drop(sk);
	}
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
