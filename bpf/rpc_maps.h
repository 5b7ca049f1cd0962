/*
 * The memory of the RPC programs: knobs set before loading, connections, edges, threads.
 *
 * Where a connection's record is kept differs by strategy: in the socket itself, or in
 * a hash by the socket's address. Each object says which before it includes this.
 */
#ifndef SAGE_BPF_RPC_MAPS_H
#define SAGE_BPF_RPC_MAPS_H

#include "bpf/event.h"
#include "bpf/kernel.h"
#include "bpf/protocol/operation.h"

/* ---- knobs */

const volatile __u32 max_connections = 16384;
const volatile __s32 cgroup_subsystem = -1; /* of which v1 controller; -1 = v2 */
const volatile __u8 tls_sent, tls_received; /* tls.bpf.c sees what a library is given, and gives */
const volatile __u32 tick_ns;               /* a jiffy; 0 = unknown */
const volatile __u32 edge_operations;       /* that an edge is broken down into; 0 = off */

/* ---- counters the agent reads and the window's number it writes, live */

__u32 epoch = 1;
__u32 connections_open;
__u64 losses[RPC_LOSSES];

static __always_inline void count_loss(enum rpc_loss loss, __u64 n)
{
	__sync_fetch_and_add(&losses[loss], n);
}

enum rpc_role { ROLE_CLIENT, ROLE_SERVER };

/* Readers often take a message's length, four bytes, before the rest. */
enum rpc_partial { RPC_WHOLE, RPC_PARTIAL, RPC_HEAD_RECEIVED, RPC_HEAD_SENT };

/* A place in `edge_values` that is none. */
#define NO_EDGE 0xffffffffU

/* Places in `operation_values` that are none. */
#define NO_OPERATION 0xffffffffU
#define EDGE_HAS_ENOUGH 0xfffffffeU

/* Operations of a connection whose places it keeps at hand; a power of two. */
#define OPERATIONS_AT_HAND 4

struct rpc_place_at_hand {
	__u32 tag; /* of the operation; 0 = free */
	__u32 place;
};

/*
 * One end of a TCP connection. Written under the socket's lock, but for what a window's
 * end claims. What every call needs comes first: a cache line, with the socket's storage.
 */
struct rpc_connection {
	__u64 start_ns; /* first byte of the open request; 0 = none is open */
	__u64 end_ns;   /* last byte so far of its response; 0 = none came. Who clears it counts */
	__u64 request_ns; /* last byte so far of the open request */
	__u32 epoch;      /* window in which cgroup and peer were last looked up */
	__u32 edge_epoch; /* window in which `edge` and `self_edge` are good */
	__u32 edge;       /* place in `edge_values` */
	__u32 thread; /* that read the request (server) or made the call while serving (client) */
	__u32 serial; /* which of that thread's requests */
	__u8 role;    /* enum rpc_role */
	__u8 looks;   /* glances taken in vain */
	__u8 tries;   /* lookups of the peer in this window */
	__u8 ignored; /* its cgroup is not to be captured */
	__u8 stream;  /* the server speaks unasked: nothing to pair */
	__u8 error;   /* the open call failed */
	__u8 partial; /* enum rpc_partial: the last message was too short to be recognised */
	__u8 own;     /* `waiting_ns` is this call's */
	__u8 guessed; /* nobody said which role; a message that does corrects it */
	__u8 counted; /* a call, since the socket's counters were last added to an edge */
	__u8 passing; /* what goes to the server up to `passed` is no call */
	__u8 tls;     /* its bytes are records */
	struct rpc_edge_key key;
	__u64 waiting_ns; /* server: what its thread waited for own calls meanwhile */
	__u64 connect_ns; /* when connect() began */
	__u32 connect_us; /* how long it took; counted once */
	__u32 self_edge;  /* place in `edge_values`; NO_EDGE = not looked up */
	__u32 sent, received, retransmits, segments; /* the socket's counters when last added */
	__u32 passed;                                /* sequence number */
	__u32 head; /* a message's first four bytes that were read alone, for RPC_HEAD_* */
	__u16 local_port, peer_port;
	__u32 netns;
	__u8 tls_changed; /* the client has changed its cipher: its next record is no call */
	__u8 tls_awaited; /* the plaintext of the last message has not come */
	__u8 pad0[2];
	__u32 edge_window; /* window in which `edge` was looked up */
	/* Operations; of no use, and not touched, when they are off. */
	__u64 seen; /* hash of the first bytes of the request `asked` was read from; 0 = none */
	struct rpc_place_at_hand at_hand[OPERATIONS_AT_HAND]; /* by tag; good in `edge_epoch` */
	struct rpc_operation operation;                       /* of the open call */
	struct rpc_operation asked;                           /* of the last request looked at */
};

/* A socket's own counters, cumulative. */
struct sock_now {
	__u32 sent, received; /* sequence numbers: bytes, modulo 2^32 */
	__u32 retransmits, segments;
	__u32 rtt_us; /* smoothed; 0 = not measured */
	__u32 unread; /* waiting for the reader; the other end's FIN counts as one */
};

/*
 * When a send that has returned put its bytes on the wire. By then the other end may
 * have run, answered even; TCP's own stamp is from before. It is of this send if it is
 * newer than all else and nothing is held back (Nagle, full window).
 */
static __always_inline __u64 send_time(
	const struct rpc_connection *c, __u64 stamp, __u32 held, __u64 now)
{
	__u64 last = c->end_ns > c->request_ns ? c->end_ns : c->request_ns;

	return !held && stamp > last && stamp <= now ? stamp : now;
}

/*
 * When the bytes a reader gets now had come. TCP stamps each segment (`stamp_ns`), but stamps
 * anew when a delayed ack leaves and when a read ends; where the coarse time of the last data
 * (`data_jiffies`) says clearly more, that is believed.
 */
static __always_inline __u64 arrival_time(__u64 stamp_ns, __u32 data_jiffies)
{
	__u32 ticks = (__u32)bpf_jiffies64() - data_jiffies;
	__u64 now, waited;

	if (!tick_ns || ticks <= 2)
		return stamp_ns;
	now = bpf_ktime_get_ns();
	waited = (__u64)ticks * tick_ns;
	return waited < now && waited > now - stamp_ns + 2ULL * tick_ns ? now - waited : stamp_ns;
}

/* A thread that serves. */
struct rpc_thread {
	__u64 waiting_ns; /* union of its own calls' times since the request it serves */
	__u64 wait_from;  /* up to where that is summed */
	__u64 request_ns; /* when it last read one */
	__u32 serial;     /* of the request it serves */
	__u32 open;       /* requests read and not answered */
	__u32 calls;      /* own calls outstanding */
	__u8 mixed;       /* more than one was open: whose call is whose cannot be told */
	__u8 pad0[3];
};

#define THREAD_SETS 2048 /* a power of two */
#define THREAD_WAYS 4

/* Threads whose ids are alike modulo THREAD_SETS. */
struct rpc_thread_set {
	__u32 id[THREAD_WAYS]; /* 0 = free */
	struct rpc_thread thread[THREAD_WAYS];
};

/* Both ends of a connection as they present themselves. */
struct rpc_ends_key {
	__u8 client_addr[16], server_addr[16];
	__u16 client_port, server_port;
	__u32 netns; /* of a loopback address, else 0 */
};

struct rpc_ends {
	__u64 cgroup_id[2]; /* by enum rpc_side */
};

/*
 * Where an edge is counted. A connection looks its place up once per window and keeps the
 * number. The agent empties the places of the last window and gives them back.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct rpc_edge_key);
	__type(value, __u32); /* place in `edge_values` */
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct rpc_edge);
} edge_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 8192);
	__type(value, __u32); /* places in `edge_values` that are empty */
} edges_free SEC(".maps");

/* Likewise for the operations of edges. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct rpc_operation_key);
	__type(value, __u32); /* place in `operation_values` */
} operations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct rpc_operation_calls);
} operation_values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 1024);
	__type(value, __u32); /* places in `operation_values` that are empty */
} operations_free SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, THREAD_SETS);
	__type(key, __u32);
	__type(value, struct rpc_thread_set);
} threads SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct rpc_ends_key);
	__type(value, struct rpc_ends);
} ends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct rpc_listener);
	__type(value, __u8);
} listeners SEC(".maps");

#endif
