/*
 * Calls on unix stream connections: one record for both ends, and counting what they took.
 *
 * A request begins as its client sends it, at both ends: it is in its server's queue at once.
 * Its answer ends at the server with the last byte sent and at the client with the last one
 * read; left unread for long it ended when it came, as over TCP.
 */
#ifndef SAGE_BPF_UNIX_CALL_H
#define SAGE_BPF_UNIX_CALL_H

#include "bpf/rpc_edge.h"
#include "bpf/rpc_glance.h"
#include "bpf/rpc_thread.h"

#define UNIX_LOOKS 6 /* glances in vain after which a connection is left alone */
#define UNIX_LEFT_UNREAD_NS 1000000ULL
#define UNIX_IDLE_NS 60000000000ULL      /* a record that nothing happens to is dropped */
#define UNIX_PATIENCE_NS 600000000000ULL /* a call that is open for longer is unanswered */

struct unix_connection {
	__u64 id;           /* unix_id(); another's or 0 = it is being emptied for that one */
	__u64 cookie;       /* of the server's socket; 0 = it had none yet */
	__u64 start_ns;     /* first byte of the open request; 0 = none is open */
	__u64 request_ns;   /* last byte so far of it */
	__u64 sent_ns;      /* last byte so far of its answer; 0 = none. Who clears it counts */
	__u64 read_ns;      /* the same at the client; 0 = unread */
	__u64 last_ns;      /* when anything happened */
	__u64 waiting_ns;   /* server: see struct rpc_connection */
	__u64 cgroup_id[2]; /* by enum rpc_side; 0 = not captured */
	__u64 bytes[2];     /* sent by that side, not added to an edge yet */
	__u32 window[2];    /* in which its cgroup was looked up */
	__u32 thread[2], serial[2];
	__u8 unread[2]; /* the first bytes that side sent have not been looked at */
	__u8 protocol;  /* enum rpc_protocol; RPC_TCP = not recognised: nothing is counted */
	__u8 looks;
	__u8 error;
	__u8 own;
	__u8 stream;
	__u8 pad0;
};

/*
 * Records of connections whose servers' sockets have addresses that are alike. Nothing tells of a
 * close, so a set fills up: who has been without a call for longest gives way.
 */
struct unix_set {
	__u64 server[UNIX_WAYS]; /* unix_id() of its socket; 0 = free */
	struct unix_connection connection[UNIX_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UNIX_SETS);
	__type(key, __u32);
	__type(value, struct unix_set);
} unix_sets SEC(".maps");

const volatile __u32 unix_set_count = UNIX_SETS;

static const struct unix_connection blank_unix;

/* Once per window: which cgroup the thread at this end is in. */
static __always_inline void unix_refresh(struct unix_connection *u, enum rpc_side side)
{
	struct cgroup *cgroup;

	if (u->window[side] == epoch)
		return;
	u->window[side] = epoch;
	cgroup = task_cgroup((struct task_struct *)bpf_get_current_task(), cgroup_subsystem);
	u->cgroup_id[side] = BPF_CORE_READ(cgroup, level) ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

/* ---- counting */

static __noinline struct rpc_edge *unix_edge(const struct unix_connection *u, enum rpc_side side)
{
	bool client = side == RPC_CLIENT;
	struct rpc_edge_key key = {};

	if (!u)
		return NULL;
	key.cgroup_id = client ? u->cgroup_id[RPC_CLIENT] : u->cgroup_id[RPC_SERVER];
	key.peer_cgroup_id = client ? u->cgroup_id[RPC_SERVER] : u->cgroup_id[RPC_CLIENT];
	key.epoch = epoch;
	key.side = (__u8)side;
	key.protocol = u->protocol;
	if (!key.cgroup_id)
		return NULL;
	return edge_at(edge_look(&key));
}

static __always_inline void unix_count(
	const struct unix_connection *u, enum rpc_side side, __u64 ns, __u64 sent, __u64 received)
{
	struct rpc_edge *e = unix_edge(u, side);

	if (!e)
		return;
	edge_add(e, ns);
	if (u->error)
		__sync_fetch_and_add(&e->errors, 1);
	__sync_fetch_and_add(&e->bytes_sent, sent);
	__sync_fetch_and_add(&e->bytes_received, received);
}

/* Count the answered call, if there is one and nobody else has. */
static __always_inline void unix_count_answered(struct unix_connection *u)
{
	__u64 sent_ns = u->sent_ns ? __sync_lock_test_and_set(&u->sent_ns, 0) : 0;
	__u64 start_ns = u->start_ns, end_ns = u->read_ns, ns = sent_ns - start_ns;
	__u64 asked, said;
	struct rpc_edge *e;

	if (!sent_ns || !start_ns)
		return;
	u->start_ns = 0;
	u->read_ns = 0;
	asked = __sync_lock_test_and_set(&u->bytes[RPC_CLIENT], 0);
	said = __sync_lock_test_and_set(&u->bytes[RPC_SERVER], 0);
	if (u->protocol == RPC_TCP)
		return;
	if (end_ns < sent_ns || end_ns - sent_ns > UNIX_LEFT_UNREAD_NS)
		end_ns = sent_ns;
	unix_count(u, RPC_CLIENT, end_ns - start_ns, asked, said);
	unix_count(u, RPC_SERVER, ns, said, asked);
	if (!u->own)
		return;
	e = unix_edge(u, RPC_SELF);
	if (e)
		edge_add(e, ns > u->waiting_ns ? ns - u->waiting_ns : 0);
}

/* The same for all programs; not static, so that it is verified once. Likewise below. */
__noinline int unix_settle(struct unix_connection *u)
{
	if (u)
		unix_count_answered(u);
	return 0;
}

/* ---- threads, as rpc_thread.h wants to be told of them */

static __always_inline void unix_thread_calls(struct unix_connection *u, __u64 now)
{
	struct rpc_connection c = {};

	thread_call(&c, now);
	u->thread[RPC_CLIENT] = c.thread;
	u->serial[RPC_CLIENT] = c.serial;
}

static __always_inline void unix_thread_returned(struct unix_connection *u, __u64 now, bool first)
{
	struct rpc_connection c = {
		.thread = u->thread[RPC_CLIENT], .serial = u->serial[RPC_CLIENT]};

	if (c.thread)
		thread_returned(&c, now, first);
}

static __always_inline void unix_thread_serves(struct unix_connection *u, __u64 now)
{
	struct rpc_connection c = {};

	thread_request(&c, now);
	u->thread[RPC_SERVER] = c.thread;
	u->serial[RPC_SERVER] = c.serial;
	u->own = 0;
	u->waiting_ns = 0;
}

static __always_inline void unix_thread_answers(struct unix_connection *u, bool first)
{
	struct rpc_connection c = {.thread = u->thread[RPC_SERVER],
		.serial = u->serial[RPC_SERVER],
		.own = u->own,
		.waiting_ns = u->waiting_ns};

	if (!c.thread)
		return;
	thread_answer(&c, first);
	u->own = c.own;
	u->waiting_ns = c.waiting_ns;
}

/* Forget the open call without counting it. */
static __always_inline void unix_cancel(struct unix_connection *u, __u64 now)
{
	struct rpc_connection c = {
		.thread = u->thread[RPC_SERVER], .serial = u->serial[RPC_SERVER]};

	if (u->start_ns && !u->read_ns)
		unix_thread_returned(u, now, true);
	if (u->start_ns && !u->sent_ns && c.thread)
		thread_release(&c);
	u->start_ns = u->sent_ns = u->read_ns = 0;
	u->thread[RPC_CLIENT] = u->thread[RPC_SERVER] = 0;
}

/* ---- records */

/* Whether a call is lost with the record. One that was never looked at may be one. */
static __always_inline bool unix_is_asked(const struct unix_connection *u)
{
	return u->start_ns && !u->sent_ns && !u->stream && (u->protocol != RPC_TCP || !u->looks);
}

/* The open call, of a protocol that is known, gets no answer any more. */
static __always_inline void unix_give_up(struct unix_connection *u, __u64 now)
{
	struct rpc_edge *e = unix_edge(u, RPC_CLIENT);

	if (e)
		__sync_fetch_and_add(&e->unanswered, 1);
	unix_cancel(u, now);
}

/* Empty a record whose connection is gone, or has to give way to another (`evicted`). */
__noinline int unix_leave(struct unix_connection *u, __u32 evicted)
{
	__u64 now = bpf_ktime_get_ns();

	if (!u)
		return 0;
	unix_count_answered(u);
	if (evicted && unix_is_asked(u)) {
		count_loss(RPC_LOSS_CONNECTIONS, 1);
		unix_cancel(u, now);
	} else if (u->start_ns && u->protocol != RPC_TCP) {
		unix_give_up(u, now);
	}
	*u = blank_unix;
	return 0;
}

/* The verifier lets nothing be calculated from a kernel address but how far it is from another. */
static __always_inline __u64 unix_id(const struct unix_sock *server)
{
	__u64 id = (__u64)server - (__u64)&epoch;

	barrier_var(id);
	return id;
}

static __always_inline struct unix_set *unix_set_of(__u64 server)
{
	__u64 hash = (server >> 6) * 0x9e3779b97f4a7c15ULL >> 32;
	__u32 at = (__u32)(hash * unix_set_count >> 32);

	return bpf_map_lookup_elem(&unix_sets, &at);
}

/* Where in its set a server's socket has its record; UNIX_WAYS = nowhere. */
__noinline __u32 unix_way(const struct unix_set *set, __u64 server)
{
	for (__u32 i = 0; set && i < UNIX_WAYS; i++)
		if (set->server[i] == server)
			return i;
	return UNIX_WAYS;
}

/* Which place a new record gets: a free one, else the one idle for longest, an open call's last. */
__noinline __u32 unix_least(const struct unix_set *set)
{
	__u64 least = ~0ULL, rank;
	__u32 way = 0;

	for (__u32 i = 0; set && i < UNIX_WAYS; i++) {
		const struct unix_connection *u = &set->connection[i];

		rank = !set->server[i] ? 0 : u->last_ns | (__u64)unix_is_asked(u) << 63;
		if (rank >= least)
			continue;
		least = rank;
		way = i;
	}
	return way;
}

#define UNIX_TURNS 256

/* Both ends may want a new record at once: who does not empty it waits for who does. */
__noinline int unix_ready(const struct unix_connection *u, __u64 id)
{
	for (int i = 0; u && i < UNIX_TURNS; i++)
		if (*(volatile __u64 *)&u->id == id)
			return true;
	return false;
}

/* For the verifier, who does not see that a place is in bounds. */
static __always_inline __u32 unix_bound(__u32 way)
{
	barrier_var(way);
	return way % UNIX_WAYS;
}

/* The record of a server's socket; what another one left at its address is closed. */
static __always_inline struct unix_connection *unix_find(const struct unix_sock *server)
{
	__u64 id = unix_id(server), known, cookie;
	struct unix_set *set = unix_set_of(id);
	__u32 way = unix_way(set, id);
	struct unix_connection *u;

	if (!set || way >= UNIX_WAYS)
		return NULL;
	u = &set->connection[unix_bound(way)];
	if (!unix_ready(u, id))
		return NULL;
	known = *(volatile __u64 *)&u->cookie; /* before the socket's own, which was set first */
	cookie = *(volatile __u64 *)&server->sk.__sk_common.skc_cookie.counter;
	if (known && known != cookie) {
		if (__sync_val_compare_and_swap(&u->id, id, 0) == id) {
			unix_leave(u, false);
			__sync_lock_test_and_set(&u->id, id);
		} else if (!unix_ready(u, id)) {
			return NULL;
		}
	}
	u->cookie = cookie;
	return u;
}

/* Take a place for a server's socket; of two that race for it one wins, and both find its place. */
static __always_inline void unix_take(struct unix_set *set, __u64 server)
{
	__u32 way = unix_bound(unix_least(set));
	__u64 old = set->server[way];

	if (__sync_val_compare_and_swap(&set->server[way], old, server) != old)
		return;
	unix_leave(&set->connection[way], old != 0);
	__sync_lock_test_and_set(&set->connection[way].id, server);
	if (unix_way(set, server) != way)
		set->server[way] = 0;
}

static __always_inline struct unix_connection *unix_make(const struct unix_sock *server)
{
	struct unix_connection *u = unix_find(server);
	__u64 id = unix_id(server);
	struct unix_set *set;

	if (u)
		return u;
	set = unix_set_of(id);
	if (set)
		unix_take(set, id);
	u = unix_find(server);
	if (!u)
		count_loss(RPC_LOSS_CONNECTIONS, 1);
	return u;
}

/* ---- what happens */

static __always_inline void unix_client_sends(struct unix_connection *u, __u64 now)
{
	if (u->sent_ns)
		unix_settle(u);
	if (!u->start_ns) {
		u->error = 0;
		u->start_ns = now;
		u->unread[RPC_CLIENT] = 1;
		unix_thread_calls(u, now);
	} else if (now - u->request_ns > RPC_QUIET_NS) {
		u->start_ns = now; /* what came before was never to be answered */
	}
	u->request_ns = now;
}

/*
 * A server that was awake reads what its client has not been seen to send yet: `whole` of a send,
 * with no call open or one whose answer has been read. The client's thread is not known then.
 */
static __always_inline void unix_server_reads(struct unix_connection *u, bool whole, __u64 now)
{
	bool done = u->sent_ns && u->read_ns >= u->sent_ns;

	if (!whole || (u->start_ns && !done))
		return;
	unix_settle(u);
	u->error = 0;
	u->start_ns = now;
	u->request_ns = now;
	u->unread[RPC_CLIENT] = 1;
	u->thread[RPC_CLIENT] = 0;
}

static __always_inline void unix_server_sends(struct unix_connection *u, __u64 now)
{
	bool first = !u->sent_ns;

	if (!u->start_ns || (!first && now - u->sent_ns > RPC_QUIET_NS))
		return; /* said unasked, or counted already */
	u->sent_ns = now;
	if (first)
		u->unread[RPC_SERVER] = 1;
	unix_thread_answers(u, first);
}

/* What the bytes that are read now say of the call; false when there is none any more. */
static __always_inline bool unix_judge(
	struct unix_connection *u, enum rpc_verdict v, bool from_server, __u64 now)
{
	if (v == RPC_STREAM) {
		unix_cancel(u, now);
		u->stream = 1;
	}
	if (v == (from_server ? RPC_HANDSHAKE : RPC_NO_CALL))
		unix_cancel(u, now);
	if (v == RPC_ERROR && from_server)
		u->error = 1;
	if (v == RPC_INTERIM && from_server) {
		u->sent_ns = 0;
		return false;
	}
	return u->start_ns != 0;
}

#endif
