/*
 * Counting a finished call into its operation, a part of its edge.
 *
 * A connection keeps the places of the operations it used last in this window at hand: one
 * that repeats them looks nothing up.
 */
#ifndef SAGE_BPF_RPC_OPERATION_H
#define SAGE_BPF_RPC_OPERATION_H

#include "bpf/rpc_maps.h"

/* The edge has another place, or it is another window's: what is at hand is of no use. */
static __always_inline void operations_forget(struct rpc_connection *c)
{
	if (edge_operations)
		__builtin_memset(c->at_hand, 0, sizeof(c->at_hand));
}

/* Take an empty place for `key`; two that race for it end up with the same. */
static __always_inline __u32 operation_take(const struct rpc_operation_key *key, struct rpc_edge *e)
{
	__u32 *at, fresh;

	if (e->operations >= edge_operations)
		return EDGE_HAS_ENOUGH;
	if (bpf_map_pop_elem(&operations_free, &fresh))
		return NO_OPERATION;
	if (bpf_map_update_elem(&operations, key, &fresh, BPF_NOEXIST) == 0) {
		__sync_fetch_and_add(&e->operations, 1);
		return fresh;
	}
	bpf_map_push_elem(&operations_free, &fresh, 0);
	at = bpf_map_lookup_elem(&operations, key);
	return at ? *at : NO_OPERATION;
}

/* The place of `c`'s operation in its edge, which is `e`. */
static __noinline __u32 operation_find(const struct rpc_connection *c, struct rpc_edge *e)
{
	struct rpc_operation_key key;
	__u32 *at;

	if (!e)
		return NO_OPERATION;
	key.epoch = c->edge_window;
	key.edge = c->edge;
	key.text = c->operation.text;
	at = bpf_map_lookup_elem(&operations, &key);
	return at ? *at : operation_take(&key, e);
}

static __always_inline __u32 operation_place(struct rpc_connection *c, struct rpc_edge *e)
{
	__u32 tag = c->operation.tag;
	struct rpc_place_at_hand *near = &c->at_hand[tag >> 1 & (OPERATIONS_AT_HAND - 1)];

	if (near->tag != tag) {
		near->place = operation_find(c, e);
		near->tag = tag;
	}
	return near->place;
}

/* The call that `e`, the edge of `c`, has been given in `bucket`. */
static __always_inline void operation_count(
	struct rpc_connection *c, struct rpc_edge *e, __u32 bucket, __u64 ns)
{
	struct rpc_operation_calls *o;
	__u32 place;

	if (!edge_operations || !c->operation.tag || bucket >= HIST_BUCKETS)
		return;
	place = operation_place(c, e);
	o = bpf_map_lookup_elem(&operation_values, &place);
	if (!o) {
		count_loss(
			place == EDGE_HAS_ENOUGH ? RPC_LOSS_EDGE_OPERATIONS : RPC_LOSS_OPERATIONS,
			1);
		return;
	}
	__sync_fetch_and_add(&o->count[bucket], 1);
	__sync_fetch_and_add(&o->sum_ns, ns);
	if (c->error)
		__sync_fetch_and_add(&o->errors, 1);
}

#endif
