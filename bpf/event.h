/*
 * What the kernel half and the agent share: keys, counters and knobs' meaning.
 *
 * Fixed-width types, no implicit padding, sizes asserted: the same bytes are read
 * on both sides of a map. Included by bpf/ and by agent/, by nobody else.
 */
#ifndef SAGE_BPF_EVENT_H
#define SAGE_BPF_EVENT_H

#include <linux/types.h>

#include "common/hist.h"

/* ---- RPC capture */

enum rpc_side {
	RPC_CLIENT,
	RPC_SERVER,
	RPC_SELF
}; /* RPC_SELF: the server's own share of its time */

/* The same numbers as enum wire_protocol, which the kernel half cannot include. */
enum rpc_protocol {
	RPC_TCP,
	RPC_HTTP1,
	RPC_THRIFT,
	RPC_REDIS,
	RPC_MEMCACHED,
	RPC_POSTGRESQL,
	RPC_MYSQL,
	RPC_MONGODB,
	RPC_KAFKA,
	RPC_AMQP,
	RPC_NATS,
	RPC_TLS, /* what is inside is not known */
	RPC_DNS,
	RPC_PROTOCOLS
};

enum rpc_loss {
	RPC_LOSS_EDGES,
	RPC_LOSS_CONNECTIONS,
	RPC_LOSS_IO_URING,
	RPC_LOSS_OPERATIONS,      /* calls that no operation has for lack of room, in all */
	RPC_LOSS_EDGE_OPERATIONS, /* or in their edge */
	RPC_LOSSES
};

/*
 * A pause that ends a response (or a request) for lack of other evidence. Longer
 * than a server's stall between two chunks, shorter than the silence a client keeps
 * between two publications it is only listening to.
 */
#define RPC_QUIET_NS 500000000ULL

/* Places for the connections of unix sockets come in sets: see bpf/unix_call.h. */
#define UNIX_WAYS 8
#define UNIX_SETS 512 /* unless the agent says otherwise */

struct rpc_edge_key {
	__u64 cgroup_id;
	__u64 peer_cgroup_id; /* 0 = not on this node, or not known yet */
	__u8 local_addr[16];  /* IPv4 as ::ffff:a.b.c.d */
	__u8 peer_addr[16];
	__u32 epoch; /* number of the window; the agent reads and deletes the last one's */
	__u16 port;  /* server's, host byte order */
	__u8 side;   /* enum rpc_side */
	__u8 protocol;
};

struct rpc_edge {
	__u64 sum_ns;
	__u64 bytes_sent, bytes_received;
	__u64 rtt_us; /* summed over rtt_samples */
	__u32 rtt_samples;
	__u32 errors;
	__u32 unanswered;
	__u32 retransmits, segments;
	__u32 connect_us; /* worst; 0 = no connection was opened */
	__u32 operations; /* that it was broken down into */
	__u32 resets_sent,
		resets_received; /* connections that ended so, by this end and by the other */
	__u16 client_port;       /* the greatest of its connections', host byte order; 0 = none */
	__u16 pad0;
	__u32 count[HIST_BUCKETS];
};

/* What bpf/protocol/operation.h reads in a request; zero behind its end. */
#define RPC_OPERATION 40

struct rpc_operation_text {
	__u8 byte[RPC_OPERATION];
};

/* A part of an edge's calls. */
struct rpc_operation_key {
	__u32 epoch; /* of the edge */
	__u32 edge;  /* its place */
	struct rpc_operation_text text;
};

struct rpc_operation_calls {
	__u64 sum_ns;
	__u32 errors;
	__u32 pad0;
	__u32 count[HIST_BUCKETS];
};

/* A listening port when the agent started: which end of an older connection is the server. */
struct rpc_listener {
	__u32 netns; /* inode number of the network namespace */
	__u16 port;  /* host byte order */
	__u16 pad0;
};

_Static_assert(sizeof(struct rpc_edge_key) == 56, "read on both sides of a map");
_Static_assert(sizeof(struct rpc_edge) == 72 + 4 * HIST_BUCKETS, "read on both sides of a map");
_Static_assert(sizeof(struct rpc_operation_key) == 48, "read on both sides of a map");
_Static_assert(
	sizeof(struct rpc_operation_calls) == 16 + 4 * HIST_BUCKETS, "read on both sides of a map");
_Static_assert(sizeof(struct rpc_listener) == 8, "read on both sides of a map");

#endif
