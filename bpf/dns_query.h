/*
 * Queries: which are open, who asked and who answers, and counting what became of them.
 *
 * A query is one entry that both its ends on this node share, so each finds out who the other is:
 *
 *   leaves a socket, to a DNS port          asked: the client's call begins
 *   comes in the server's namespace         came: the server's begins
 *   answer leaves a socket                  answered: the server's ends
 *   answer comes in the client's namespace  received: the client's ends
 *
 * A repeated query begins anew, the one before was unanswered; so was what is open for
 * DNS_PATIENCE_NS. Edges are the tables of the RPC programs, shared by the agent.
 */
#ifndef SAGE_BPF_DNS_QUERY_H
#define SAGE_BPF_DNS_QUERY_H

#include "bpf/protocol/dns.h"
#include "bpf/rpc_edge.h"
#include "bpf/rpc_thread.h"

#define DNS_PATIENCE_NS 5000000000ULL
#define DNS_SAME_NS 1000000ULL /* sooner than any client repeats itself */

/* Without the server it is a word to the other end of a redirected query: ends_key_of_client(). */
struct dns_key {
	__u8 client_addr[16], server_addr[16];
	__u16 client_port, server_port;
	__u16 id;
	__u16 pad0;
	__u32 netns; /* of a loopback address, else 0 */
};

struct dns_query {
	__u64 open_ns[2]; /* since when, by enum rpc_side; 0 = not open at that end */
	__u64 cgroup_id[2];
	__u32 netns[2];       /* of the end's socket */
	__u32 thread, serial; /* the client's, see rpc_thread.h */
	__u32 bytes;
	__u32 pad0;
};

struct dns_server {
	__u8 addr[16];
	__u32 netns;
	__u16 port;
	__u16 pad0;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct dns_key);
	__type(value, struct dns_query);
} dns_queries SEC(".maps");

/* Who has answered: to know whose a query is that gets no answer. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct dns_server);
	__type(value, __u64); /* cgroup */
} dns_servers SEC(".maps");

/* False on loopback, where nothing is redirected. */
static __always_inline bool key_of_client(const struct dns_key *k, struct dns_key *client)
{
	if (k->netns)
		return false;
	*client = *k;
	__builtin_memset(client->server_addr, 0, sizeof(client->server_addr));
	client->server_port = 0;
	return true;
}

/*
 * The cgroup that sends on `sk`: the running thread's. A packet that had to wait for its
 * neighbour's address leaves later, while any thread runs, or none; one that cannot be the sender
 * is not believed. In v2 the socket knows who made it, in v1 nobody does.
 */
static __always_inline struct cgroup *sender_cgroup(struct sock *sk)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	if (BPF_CORE_READ(task, pid) &&
		BPF_CORE_READ(task, nsproxy, net_ns) == BPF_CORE_READ(sk, __sk_common.skc_net.net))
		return task_cgroup(task, cgroup_subsystem);
	if (cgroup_subsystem < 0 && bpf_core_field_exists(sk->sk_cgrp_data.cgroup))
		return BPF_CORE_READ(sk, sk_cgrp_data.cgroup);
	return NULL;
}

/* Its id; 0 = not known, or not to be captured. */
static __always_inline __u64 sender_of(struct sock *sk)
{
	struct cgroup *cgroup = sender_cgroup(sk);

	return cgroup && BPF_CORE_READ(cgroup, level) ? BPF_CORE_READ(cgroup, kn, id) : 0;
}

/* ---- entries and edges */

static const struct dns_query blank_query;

static __always_inline struct dns_query *query_make(const struct dns_key *k)
{
	struct dns_query *q = bpf_map_lookup_elem(&dns_queries, k);

	if (q)
		return q;
	bpf_map_update_elem(&dns_queries, k, &blank_query, BPF_NOEXIST);
	q = bpf_map_lookup_elem(&dns_queries, k);
	if (!q)
		count_loss(RPC_LOSS_CONNECTIONS, 1);
	return q;
}

/* Who was at the other end; behind a redirection by the word it left. */
static __always_inline __u64 peer_of(
	const struct dns_key *k, const struct dns_query *q, enum rpc_side peer)
{
	struct dns_query *word;
	struct dns_key client;

	if (q->cgroup_id[peer] || !key_of_client(k, &client))
		return q->cgroup_id[peer];
	word = bpf_map_lookup_elem(&dns_queries, &client);
	return word ? word->cgroup_id[peer] : 0;
}

static __noinline struct rpc_edge *edge_of_query(
	const struct dns_key *k, const struct dns_query *q, enum rpc_side side)
{
	bool client = side == RPC_CLIENT;
	struct rpc_edge_key key = {};

	if (!k || !q)
		return NULL;
	key.cgroup_id = client ? q->cgroup_id[RPC_CLIENT] : q->cgroup_id[RPC_SERVER];
	key.peer_cgroup_id = peer_of(k, q, client ? RPC_SERVER : RPC_CLIENT);
	__builtin_memcpy(key.local_addr, client ? k->client_addr : k->server_addr, 16);
	__builtin_memcpy(key.peer_addr, client ? k->server_addr : k->client_addr, 16);
	key.epoch = epoch;
	key.port = k->server_port;
	key.side = (__u8)side;
	key.protocol = RPC_DNS;
	return edge_at(edge_look(&key));
}

static __always_inline void count_answer(const struct dns_key *k, const struct dns_query *q,
	enum rpc_side side, __u64 ns, const struct dns_packet *answer, enum rpc_verdict v)
{
	struct rpc_edge *e = edge_of_query(k, q, side);

	if (!e)
		return;
	edge_add(e, ns);
	if (v == RPC_ERROR)
		__sync_fetch_and_add(&e->errors, 1);
	__sync_fetch_and_add(&e->bytes_sent, side == RPC_CLIENT ? q->bytes : answer->size);
	__sync_fetch_and_add(&e->bytes_received, side == RPC_CLIENT ? answer->size : q->bytes);
}

static __always_inline void count_unanswered(
	const struct dns_key *k, const struct dns_query *q, enum rpc_side side)
{
	struct rpc_edge *e = edge_of_query(k, q, side);

	if (e)
		__sync_fetch_and_add(&e->unanswered, 1);
}

/* What a server leaves unanswered is its own if it has answered others before. */
static __always_inline void count_server_unanswered(const struct dns_key *k, struct dns_query *q)
{
	struct dns_server server = {.netns = q->netns[RPC_SERVER], .port = k->server_port};
	__u64 *cgroup_id;

	__builtin_memcpy(server.addr, k->server_addr, 16);
	cgroup_id = bpf_map_lookup_elem(&dns_servers, &server);
	if (!cgroup_id)
		return;
	q->cgroup_id[RPC_SERVER] = *cgroup_id;
	count_unanswered(k, q, RPC_SERVER);
}

/* The waits of a thread that serves and asks, as rpc_thread.h wants to be told of them. */
static __always_inline void thread_asks(struct dns_query *q, __u64 now)
{
	struct rpc_connection c = {};

	thread_call(&c, now);
	q->thread = c.thread;
	q->serial = c.serial;
}

static __always_inline void thread_answered(struct dns_query *q, __u64 now)
{
	struct rpc_connection c = {.thread = q->thread, .serial = q->serial};

	if (q->thread)
		thread_returned(&c, now, true);
	q->thread = 0;
}

/* ---- the four events */

/* Open anew at one end, unless it is the same packet at another device of a stack. */
static __always_inline bool query_open(const struct dns_key *k, struct dns_query *q,
	enum rpc_side side, __u32 netns, __u32 bytes, __u64 now)
{
	__u64 since = q->open_ns[side];

	if (since && q->netns[side] == netns) {
		if (now - since < DNS_SAME_NS)
			return false;
		if (side == RPC_CLIENT)
			count_unanswered(k, q, side);
		else
			count_server_unanswered(k, q);
	}
	q->open_ns[side] = now;
	q->netns[side] = netns;
	q->bytes = bytes;
	return true;
}

static __always_inline void asked(
	struct sock *sk, const struct dns_key *k, __u32 netns, __u32 bytes)
{
	__u64 client = sender_of(sk), now = bpf_ktime_get_ns();
	struct dns_key of_client;
	struct dns_query *q;

	q = client ? query_make(k) : NULL;
	if (!q || !query_open(k, q, RPC_CLIENT, netns, bytes, now))
		return;
	q->cgroup_id[RPC_CLIENT] = client;
	thread_answered(q, now);
	thread_asks(q, now);
	if (!key_of_client(k, &of_client))
		return;
	q = query_make(&of_client);
	if (!q)
		return;
	q->open_ns[RPC_CLIENT] = now; /* its age */
	q->cgroup_id[RPC_CLIENT] = client;
	q->cgroup_id[RPC_SERVER] = 0;
}

static __always_inline void came(const struct dns_key *k, __u32 netns, __u32 bytes)
{
	struct dns_query *q = query_make(k);

	if (q)
		query_open(k, q, RPC_SERVER, netns, bytes, bpf_ktime_get_ns());
}

static __always_inline void answered(struct sock *sk, const struct dns_key *k, __u32 netns,
	const struct dns_packet *answer, enum rpc_verdict v)
{
	struct dns_query *q = bpf_map_lookup_elem(&dns_queries, k), *word;
	struct dns_server server = {.netns = netns, .port = k->server_port};
	__u64 cgroup_id = sender_of(sk), since;
	struct dns_key client;

	if (!q || q->netns[RPC_SERVER] != netns)
		return;
	since = __sync_lock_test_and_set(&q->open_ns[RPC_SERVER], 0);
	if (since && cgroup_id) {
		q->cgroup_id[RPC_SERVER] = cgroup_id;
		__builtin_memcpy(server.addr, k->server_addr, 16);
		bpf_map_update_elem(&dns_servers, &server, &cgroup_id, BPF_ANY);
		word = key_of_client(k, &client) ? bpf_map_lookup_elem(&dns_queries, &client)
						 : NULL;
		if (word)
			word->cgroup_id[RPC_SERVER] = cgroup_id;
		count_answer(k, q, RPC_SERVER, bpf_ktime_get_ns() - since, answer, v);
	}
	if (!q->open_ns[RPC_CLIENT])
		bpf_map_delete_elem(&dns_queries, k);
}

static __always_inline void received(
	const struct dns_key *k, __u32 netns, const struct dns_packet *answer, enum rpc_verdict v)
{
	struct dns_query *q = bpf_map_lookup_elem(&dns_queries, k);
	__u64 now = bpf_ktime_get_ns(), since;
	struct dns_key client;

	if (!q || q->netns[RPC_CLIENT] != netns) /* on its way through another namespace */
		return;
	since = __sync_lock_test_and_set(&q->open_ns[RPC_CLIENT], 0);
	if (!since)
		return;
	thread_answered(q, now);
	count_answer(k, q, RPC_CLIENT, now - since, answer, v);
	if (key_of_client(k, &client))
		bpf_map_delete_elem(&dns_queries, &client);
	if (!q->open_ns[RPC_SERVER])
		bpf_map_delete_elem(&dns_queries, k);
}

/* Whether it is open for too long, once. */
static __always_inline bool gives_up(struct dns_query *q, enum rpc_side side, __u64 now)
{
	__u64 since = *(volatile __u64 *)&q->open_ns[side];

	return since && now > since && now - since > DNS_PATIENCE_NS &&
	       __sync_val_compare_and_swap(&q->open_ns[side], since, 0) == since;
}

#endif
