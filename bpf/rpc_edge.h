/*
 * Counting a finished call into its edge, and finding out who is at the other end.
 *
 * The object that includes this has defined `struct sock_now sock_now(sk)`, which
 * reads the socket's own counters the way its strategy may.
 */
#ifndef SAGE_BPF_RPC_EDGE_H
#define SAGE_BPF_RPC_EDGE_H

#include "bpf/rpc_maps.h"
#include "bpf/rpc_operation.h"

/* Lookups of a peer that is not known yet, per connection and window. */
#define PEER_TRIES 3

/* log2 of a value below 2^27, rounded down. */
static __always_inline __u32 log2_floor(__u32 v)
{
	__u32 r = 0;

	if (v >= 1U << 16) {
		v >>= 16;
		r += 16;
	}
	if (v >= 1U << 8) {
		v >>= 8;
		r += 8;
	}
	if (v >= 1U << 4) {
		v >>= 4;
		r += 4;
	}
	if (v >= 1U << 2) {
		v >>= 2;
		r += 2;
	}
	return r + (v >> 1);
}

/* hist_bucket() of common/hist.c without the instruction BPF lacks. */
static __always_inline __u32 bucket_of(__u64 value_ns)
{
	__u64 unit = value_ns >> HIST_UNIT_SHIFT;
	__u32 octave;

	if (unit < HIST_SUB)
		return (__u32)unit;
	if (unit >= 1ULL << (HIST_SUB_BITS + HIST_OCTAVES))
		return HIST_BUCKETS - 1;
	octave = log2_floor((__u32)unit) - HIST_SUB_BITS;
	return HIST_SUB + octave * HIST_SUB + ((__u32)(unit >> octave) & (HIST_SUB - 1));
}

/* Gives the bucket. */
static __always_inline __u32 edge_add(struct rpc_edge *e, __u64 ns)
{
	__u32 bucket = bucket_of(ns);

	barrier_var(bucket); /* the verifier must see the check that follows on the index itself */
	if (bucket >= HIST_BUCKETS)
		return bucket;
	__sync_fetch_and_add(&e->count[bucket], 1);
	__sync_fetch_and_add(&e->sum_ns, ns);
	return bucket;
}

static __always_inline bool is_loopback(const __u8 *a)
{
	if (a[10] == 0xff && a[11] == 0xff)
		return a[12] == 127;
	return a[0] == 0 && a[15] == 1;
}

static __always_inline void ends_key(const struct rpc_connection *c, struct rpc_ends_key *k)
{
	bool client = c->role == ROLE_CLIENT;

	__builtin_memcpy(k->client_addr, client ? c->key.local_addr : c->key.peer_addr, 16);
	__builtin_memcpy(k->server_addr, client ? c->key.peer_addr : c->key.local_addr, 16);
	k->client_port = client ? c->local_port : c->peer_port;
	k->server_port = client ? c->peer_port : c->local_port;
	k->netns = is_loopback(k->server_addr) ? c->netns : 0;
}

/*
 * The client's half of that. Where a service's address is redirected (DNAT) the two ends name
 * different servers, and agree on the client only. False on loopback, which is not redirected.
 */
static __always_inline bool ends_key_of_client(struct rpc_ends_key *k)
{
	if (is_loopback(k->server_addr))
		return false;
	__builtin_memset(k->server_addr, 0, sizeof(k->server_addr));
	k->server_port = 0;
	return true;
}

static __always_inline void ends_put(const struct rpc_ends_key *k, enum rpc_role role, __u64 id)
{
	struct rpc_ends fresh = {};
	struct rpc_ends *e;
	bool server = role == ROLE_SERVER;

	fresh.cgroup_id[0] = server ? 0 : id;
	fresh.cgroup_id[1] = server ? id : 0;
	e = bpf_map_lookup_elem(&ends, k);
	if (!e) {
		if (bpf_map_update_elem(&ends, k, &fresh, BPF_NOEXIST) == 0)
			return;
		e = bpf_map_lookup_elem(&ends, k);
	}
	if (!e)
		return;
	if (server)
		e->cgroup_id[1] = id;
	else
		e->cgroup_id[0] = id;
}

/* Leave word for the other end of who is at this one. */
static __always_inline void ends_publish(const struct rpc_connection *c)
{
	struct rpc_ends_key k;

	ends_key(c, &k);
	ends_put(&k, c->role, c->key.cgroup_id);
	if (ends_key_of_client(&k))
		ends_put(&k, c->role, c->key.cgroup_id);
}

/* A client's port begins a new life: who answered it before does not count. */
static __always_inline void ends_forget(const struct rpc_connection *c)
{
	struct rpc_ends_key k;

	ends_key(c, &k);
	if (ends_key_of_client(&k))
		bpf_map_delete_elem(&ends, &k);
}

static __always_inline __u64 ends_peer(const struct rpc_ends_key *k, enum rpc_role role)
{
	struct rpc_ends *e = bpf_map_lookup_elem(&ends, k);

	return !e ? 0 : role == ROLE_SERVER ? e->cgroup_id[0] : e->cgroup_id[1];
}

static __always_inline void ends_resolve(struct rpc_connection *c)
{
	struct rpc_ends_key k;

	if (c->key.peer_cgroup_id || c->tries >= PEER_TRIES)
		return;
	c->tries++;
	ends_key(c, &k);
	c->key.peer_cgroup_id = ends_peer(&k, c->role);
	if (!c->key.peer_cgroup_id && ends_key_of_client(&k))
		c->key.peer_cgroup_id = ends_peer(&k, c->role);
}

/* ---- places */

/* Take an empty place for `key`; two that race for it end up with the same. */
static __always_inline __u32 edge_place(const struct rpc_edge_key *key)
{
	__u32 *at, fresh;

	if (bpf_map_pop_elem(&edges_free, &fresh) == 0) {
		if (bpf_map_update_elem(&edges, key, &fresh, BPF_NOEXIST) == 0)
			return fresh;
		bpf_map_push_elem(&edges_free, &fresh, 0);
	}
	at = bpf_map_lookup_elem(&edges, key);
	return at ? *at : NO_EDGE;
}

/* The place of `key`; NO_EDGE, counted, when there is no room. */
static __always_inline __u32 edge_look(const struct rpc_edge_key *key)
{
	__u32 *at = bpf_map_lookup_elem(&edges, key);
	__u32 place = at ? *at : edge_place(key);

	if (place == NO_EDGE)
		count_loss(RPC_LOSS_EDGES, 1);
	return place;
}

/* That of one side of `c` in window `window`. */
static __noinline __u32 edge_find(const struct rpc_connection *c, __u32 window, enum rpc_side side)
{
	struct rpc_edge_key key = c->key;

	key.epoch = window;
	key.side = (__u8)side;
	return edge_look(&key);
}

static __always_inline struct rpc_edge *edge_at(__u32 place)
{
	return bpf_map_lookup_elem(&edge_values, &place);
}

/*
 * Of an edge's connections the one with the greatest client port is told: both ends of it do, and
 * the greatest of all that a redirected address leads to is that of those that came to one server.
 */
static __always_inline void edge_add_port(const struct rpc_connection *c)
{
	__u16 port = c->role == ROLE_CLIENT ? c->local_port : c->peer_port;
	struct rpc_edge *e = edge_at(c->edge);

	if (e && port > e->client_port)
		e->client_port = port;
}

/* Where this end's calls are counted in this window; NULL when there is no room. */
static __always_inline struct rpc_edge *edge_of(struct rpc_connection *c)
{
	__u32 window = epoch;

	if (c->edge_epoch != window) {
		ends_resolve(c);
		c->edge = edge_find(c, window, c->role == ROLE_SERVER ? RPC_SERVER : RPC_CLIENT);
		c->self_edge = NO_EDGE;
		c->edge_window = window;
		operations_forget(c);
		edge_add_port(c);
		if (c->edge != NO_EDGE && (c->key.peer_cgroup_id || c->tries >= PEER_TRIES))
			c->edge_epoch = window;
	}
	return edge_at(c->edge);
}

/* Where the server's own share is; after edge_of(). */
static __always_inline struct rpc_edge *edge_of_self(struct rpc_connection *c)
{
	if (c->self_edge == NO_EDGE)
		c->self_edge = edge_find(c, epoch, RPC_SELF);
	return edge_at(c->self_edge);
}

/* ---- counting */

/* Count the call start_ns .. end_ns on `c`. */
static __always_inline void edge_count(struct rpc_connection *c, __u64 start_ns, __u64 end_ns)
{
	struct rpc_edge *e = edge_of(c);
	__u64 ns = end_ns - start_ns;

	if (!e)
		return;
	operation_count(c, e, edge_add(e, ns), ns);
	c->counted = 1;
	if (c->error)
		__sync_fetch_and_add(&e->errors, 1);
	if (c->role != ROLE_SERVER || !c->own)
		return;
	e = edge_of_self(c);
	if (e)
		edge_add(e, ns > c->waiting_ns ? ns - c->waiting_ns : 0);
}

/* edge_count() for all programs; not static, so that it is verified once. */
__noinline int rpc_count(struct rpc_connection *c, __u64 start_ns, __u64 end_ns)
{
	if (c)
		edge_count(c, start_ns, end_ns);
	return 0;
}

/*
 * What a counter has grown by since it was last added. A connection that closes and a window's
 * end may both ask; who comes second with the older value gets a negative rest.
 */
static __always_inline __u64 counter_growth(__u32 *last, __u32 now)
{
	return (__u64)(__s64)(__s32)(now - __sync_lock_test_and_set(last, now));
}

/* Add what the socket has counted; calls have been, so its edge has a place. */
static __always_inline void edge_add_socket(struct rpc_connection *c, const struct sock_now *now)
{
	struct rpc_edge *e = edge_of(c);

	c->counted = 0;
	if (!e)
		return;
	__sync_fetch_and_add(&e->bytes_sent, counter_growth(&c->sent, now->sent));
	__sync_fetch_and_add(&e->bytes_received, counter_growth(&c->received, now->received));
	__sync_fetch_and_add(&e->segments, (__u32)counter_growth(&c->segments, now->segments));
	__sync_fetch_and_add(
		&e->retransmits, (__u32)counter_growth(&c->retransmits, now->retransmits));
	if (now->rtt_us) {
		__sync_fetch_and_add(&e->rtt_us, (__u64)now->rtt_us);
		__sync_fetch_and_add(&e->rtt_samples, 1);
	}
	if (c->connect_us > e->connect_us)
		e->connect_us = c->connect_us;
	c->connect_us = 0;
}

#endif
