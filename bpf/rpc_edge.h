/*
 * Counting a finished call into its edge, and finding out who is at the other end.
 *
 * The object that includes this has defined `struct sock_now sock_now(sk)`, which
 * reads the socket's own counters the way its strategy may.
 */
#ifndef SAGE_BPF_RPC_EDGE_H
#define SAGE_BPF_RPC_EDGE_H

#include "bpf/rpc_maps.h"

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

static __always_inline struct rpc_edge *edge_get(const struct rpc_edge_key *key)
{
	struct rpc_edge *e = bpf_map_lookup_elem(&edges, key);
	__u32 zero = 0;
	void *blank;

	if (e)
		return e;
	blank = bpf_map_lookup_elem(&blank_edge, &zero);
	if (blank)
		bpf_map_update_elem(&edges, key, blank, BPF_NOEXIST);
	e = bpf_map_lookup_elem(&edges, key);
	if (!e)
		count_loss(RPC_LOSS_EDGES, 1);
	return e;
}

static __always_inline void edge_add(struct rpc_edge *e, __u64 ns)
{
	__u32 bucket = bucket_of(ns);

	barrier_var(bucket); /* the verifier must see the check that follows on the index itself */
	if (bucket >= HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&e->count[bucket], 1);
	__sync_fetch_and_add(&e->sum_ns, ns);
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

/* What the socket has counted since it was last asked. */
static __always_inline void edge_add_socket(
	struct rpc_edge *e, struct rpc_connection *c, const struct sock_now *now)
{
	__u32 retransmits = now->retransmits - c->retransmits;

	__sync_fetch_and_add(&e->bytes_sent, (__u64)(__u32)(now->sent - c->sent));
	__sync_fetch_and_add(&e->bytes_received, (__u64)(__u32)(now->received - c->received));
	__sync_fetch_and_add(&e->segments, now->segments - c->segments);
	if (retransmits)
		__sync_fetch_and_add(&e->retransmits, retransmits);
	if (now->rtt_us) {
		__sync_fetch_and_add(&e->rtt_us, (__u64)now->rtt_us);
		__sync_fetch_and_add(&e->rtt_samples, 1);
	}
	c->sent = now->sent;
	c->received = now->received;
	c->retransmits = now->retransmits;
	c->segments = now->segments;
	if (c->connect_us > e->connect_us)
		e->connect_us = c->connect_us;
	c->connect_us = 0;
}

/* Where this end's calls are counted in this window. */
static __always_inline struct rpc_edge *edge_of(struct rpc_connection *c)
{
	ends_resolve(c);
	c->key.epoch = epoch;
	c->key.side = c->role == ROLE_SERVER ? RPC_SERVER : RPC_CLIENT;
	return edge_get(&c->key);
}

/* Count the call start_ns .. end_ns on `c`. */
static __always_inline void edge_count(
	struct rpc_connection *c, const struct sock_now *now, __u64 start_ns, __u64 end_ns)
{
	struct rpc_edge *e = edge_of(c);
	struct rpc_edge_key self;
	__u64 ns = end_ns - start_ns;

	if (!e)
		return;
	edge_add(e, ns);
	edge_add_socket(e, c, now);
	if (c->error)
		__sync_fetch_and_add(&e->errors, 1);
	if (c->role != ROLE_SERVER || !c->own)
		return;
	self = c->key;
	self.side = RPC_SELF;
	e = edge_get(&self);
	if (e)
		edge_add(e, ns > c->waiting_ns ? ns - c->waiting_ns : 0);
}

#endif
