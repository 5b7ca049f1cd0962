/*
 * What agent and analyzer say to each other: the structs on either side of the
 * wire, and the functions that turn them into bytes and back.
 *
 * The bytes are described in docs/protocol.md. Every message starts with a
 * version and a kind, is little-endian, written field by field, and decodes
 * into memory of bounded size; a decoder refuses what it does not understand
 * with -EBADMSG and leaves its output untouched. No thread, no policy here.
 */
#ifndef SAGE_COMMON_WIRE_H
#define SAGE_COMMON_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "common/hist.h"
#include "common/metric.h"

#define WIRE_VERSION 1
#define WIRE_VERSION_OPERATIONS 2   /* of a batch that has some */
#define WIRE_VERSION_CONNECTIONS 3  /* of one that tells of its edges' connections */
#define WIRE_MAX_MESSAGE (1U << 20) /* bytes on the wire, also NNG_OPT_RECVMAXSZ */
#define WIRE_MAX_INFLATED (16U << 20)
#define WIRE_MAX_CONTAINERS 4096  /* per window */
#define WIRE_MAX_EDGES 16384      /* per window */
#define WIRE_MAX_OPERATIONS 16384 /* likewise */
#define WIRE_MAX_WINDOWS 64       /* per batch */
#define WIRE_MAX_BATCH_CONTAINERS 16384
#define WIRE_MAX_BATCH_EDGES 16384
#define WIRE_MAX_BATCH_OPERATIONS 16384
#define WIRE_MAX_LEASES 256
#define WIRE_MAX_REPORTS 1024 /* per poll */
#define WIRE_NAME 128         /* longest name with its terminating zero */
#define WIRE_PATH 512
#define WIRE_OPERATION 64 /* likewise, of an operation */

enum wire_side { WIRE_CLIENT, WIRE_SERVER };

enum wire_protocol {
	WIRE_TCP, /* paired by direction flip alone */
	WIRE_HTTP1,
	WIRE_THRIFT,
	WIRE_REDIS,
	WIRE_MEMCACHED,
	WIRE_POSTGRESQL,
	WIRE_MYSQL,
	WIRE_MONGODB,
	WIRE_KAFKA,
	WIRE_AMQP,
	WIRE_NATS,
	WIRE_TLS, /* what is inside is not known */
	WIRE_DNS,
	WIRE_PROTOCOLS
};

/* "tcp", "http", "thrift", ... ; "unknown" past the last. */
const char *wire_protocol_name(unsigned protocol);

/* Who is sending: one boot of one agent on one node. */
struct wire_agent {
	char name[WIRE_NAME]; /* node name */
	uint8_t boot_id[16];  /* new at every start of the agent */
};

struct wire_container {
	uint64_t cgroup_id;              /* inode of the cgroup directory; unique on the node */
	char name[WIRE_NAME];            /* container: "app" */
	char service[WIRE_NAME];         /* workload it belongs to: "cart" */
	char group[WIRE_PATH];           /* the cgroup it shares with its siblings (its pod) */
	char path[WIRE_PATH];            /* cgroup path below the mount: "/sage-testbed/cart/app" */
	float metric[CONTAINER_METRICS]; /* NaN = absent; floats travel with 16 significant bits */
};

#define WIRE_NO_CONTAINER UINT32_MAX

/* The calls between one container and one peer, seen at one end, in one window. */
struct wire_edge {
	uint32_t container;      /* index into the window's containers: the end that saw this */
	uint32_t peer_container; /* the other end, if on this node, else WIRE_NO_CONTAINER */
	uint8_t side;            /* enum wire_side */
	uint8_t protocol;        /* enum wire_protocol */
	uint16_t port;           /* server's port, host byte order */
	uint8_t local_addr[16];  /* IPv4 as ::ffff:a.b.c.d */
	uint8_t peer_addr[16];
	uint32_t errors;     /* calls answered with an error status */
	uint32_t unanswered; /* connections that ended with a call open, DNS queries given up */
	uint64_t bytes_sent, bytes_received;
	uint32_t retransmits,
		segments_sent; /* TCP, this end; ratio = retransmits / segments_sent */
	uint32_t resets_sent, resets_received; /* connections that ended so, or were refused */
	uint16_t client_port; /* the greatest of its connections', host byte order; 0 = not told */
	float rtt_us;         /* smoothed, mean over connections; NaN = absent */
	float connect_us;     /* worst connect time in the window; NaN = absent */
	struct hist latency;  /* first request byte .. last response byte */
	struct hist self;     /* server side: latency less time waited on own calls; may be empty */
};

/* Those of an edge's calls that asked for the same. The rest asked for what is not known. */
struct wire_operation {
	uint32_t edge;             /* index into the window's edges */
	char name[WIRE_OPERATION]; /* printable ASCII: "GET /cart", "SELECT orders" */
	uint32_t errors;
	struct hist latency;
};

/* A histogram as it is received: a run of its window's buckets, those in use alone. */
struct wire_spread {
	uint64_t total, sum_ns;
	uint32_t first, buckets; /* where in the window's list, and how many */
};

struct wire_bucket {
	uint16_t number; /* ascending, below HIST_BUCKETS */
	uint32_t count;
};

/* An edge as it is received. Members are those of struct wire_edge. */
struct wire_flow {
	uint32_t container, peer_container;
	uint8_t side, protocol;
	uint16_t port;
	uint8_t local_addr[16], peer_addr[16];
	uint32_t errors, unanswered;
	uint64_t bytes_sent, bytes_received;
	uint32_t retransmits, segments_sent;
	uint32_t resets_sent, resets_received;
	uint16_t client_port;
	float rtt_us, connect_us;
	struct wire_spread latency, self;
};

/* An operation as it is received. */
struct wire_operation_flow {
	uint32_t edge;
	char name[WIRE_OPERATION];
	uint32_t errors;
	struct wire_spread latency;
};

/* Why samples were lost or not seen. Cumulative since the agent's boot. */
enum wire_loss {
	LOSS_EDGE_TABLE_FULL,
	LOSS_CONNECTION_TABLE_FULL,
	LOSS_CONTAINER_TABLE_FULL,
	LOSS_WINDOW_LATE,          /* the agent could not read the kernel in time */
	LOSS_SPOOL_FULL,           /* windows dropped, oldest first */
	LOSS_SPOOL_DAMAGED,        /* records that failed their checksum */
	LOSS_BLIND_IO_URING,       /* calls through hooks that are not seen */
	LOSS_WINDOW_TOO_BIG,       /* windows that would not fit a message */
	LOSS_PROBE_MISSED,         /* events on a CPU where the same program was interrupted */
	LOSS_OPERATION_TABLE_FULL, /* calls that are in their edge, and in none of its operations */
	LOSS_EDGE_OPERATIONS_FULL, /* likewise: their edge has as many as one may have */
	WIRE_LOSSES
};

const char *wire_loss_name(unsigned loss);

struct wire_window {
	uint64_t start_ns; /* wall clock, ns since 1970, start of the window */
	uint64_t duration_ns;
	float host[HOST_METRICS];
	uint64_t loss[WIRE_LOSSES];
	uint32_t containers, edges, operations;
	struct wire_container *container; /* [containers] owned */
	struct wire_edge *edge;           /* [edges] owned; where windows are made, else NULL */
	struct wire_flow *flow;           /* [edges] owned; where they are received, else NULL */
	struct wire_operation *operation; /* [operations] in order of their edges; like edge */
	struct wire_operation_flow *operation_flow; /* likewise; like flow */
	struct wire_bucket *bucket;                 /* of all flows; owned */
	uint32_t buckets;
};

/* Release what a window owns. Safe on a zeroed window and twice. */
void wire_window_close(struct wire_window *w);

/* ---- acting ---------------------------------------------------------- */

enum wire_knob {
	KNOB_CPU_QUOTA,  /* v2 cpu.max, v1 cpu.cfs_quota_us; value: quota per period in 1/1000 core,
			    -1 = none */
	KNOB_CPU_WEIGHT, /* v2 cpu.weight 1..10000; v1 cpu.shares converted */
	KNOB_MEMORY_HIGH, /* v2 memory.high (raise or lower), v1 memory.limit_in_bytes (raise only);
			     bytes, -1 = none */
	KNOB_IO_READ_BPS, /* v2 io.max rbps, v1 blkio.throttle.read_bps_device of the busiest
			     device; -1 = none */
	KNOB_IO_WRITE_BPS,
	KNOB_IO_READ_IOPS,
	KNOB_NET_RATE, /* tbf on the container's link; bytes/s, -1 = none */
	WIRE_KNOBS
};

const char *wire_knob_name(unsigned knob);

/* A change on loan. The agent undoes it when it is not renewed within ttl_ms. */
struct wire_lease {
	uint64_t id;    /* unique at the analyzer, never reused */
	uint64_t epoch; /* analyzer's term; a lower epoch than seen before is refused */
	uint64_t cgroup_id;
	char path[WIRE_PATH];
	uint8_t knob;     /* enum wire_knob */
	int64_t expected; /* value the analyzer believes is set; WIRE_ANY_VALUE skips the check */
	int64_t value;    /* value wanted */
	uint32_t ttl_ms;
	char reason[WIRE_NAME];
};

#define WIRE_ANY_VALUE INT64_MIN
/* Instead of `expected`: any value, but only ever raise (or lower) it. A target that already
 * grants as much (as little) is left as it is and the lease counts as applied. */
#define WIRE_ANY_RAISE (INT64_MIN + 1)
#define WIRE_ANY_LOWER (INT64_MIN + 2)

enum wire_lease_state {
	LEASE_APPLIED,  /* written and read back */
	LEASE_REVERTED, /* the old value is back: asked for, expired or agent stopping */
	LEASE_REFUSED,  /* never written; `detail` says why */
	LEASE_YIELDED,  /* somebody else changed the value meanwhile; left as it is */
	WIRE_LEASE_STATES
};

const char *wire_lease_state_name(unsigned state);

struct wire_lease_report {
	uint64_t id;
	uint8_t state;            /* enum wire_lease_state */
	int64_t old_value, value; /* before, and now */
	uint64_t at_ns;           /* wall clock */
	char detail[WIRE_NAME * 2];
};

/* ---- messages -------------------------------------------------------- */

enum wire_kind {
	WIRE_BATCH = 1,  /* agent -> analyzer: windows */
	WIRE_ACK = 2,    /* answer to a batch */
	WIRE_POLL = 3,   /* agent -> analyzer: give me my leases; carries reports. Answered late. */
	WIRE_LEASES = 4, /* answer to a poll: ALL leases this agent should hold now */
	WIRE_REFUSAL = 5, /* answer to either: not from this agent, and why */
	WIRE_SEALED = 6   /* a batch or poll with its sender's seal before it; common/identity.h */
};

/* The kind of a message without decoding it, or -EBADMSG. */
int wire_kind(const void *message, size_t size);

struct wire_batch {
	struct wire_agent agent;
	uint64_t sequence; /* 1, 2, ... per boot id; a resent batch keeps its number */
	uint32_t windows;
	struct wire_window *window; /* [windows] owned */
};

struct wire_ack {
	uint64_t sequence; /* highest batch stored durably for this boot id */
	uint32_t credit;   /* batches the analyzer takes now; 0 = keep spooling */
};

struct wire_poll {
	struct wire_agent agent;
	uint8_t mode; /* 0 observe, 1 recommend, 2 enforce: what this agent will do with leases */
	uint32_t reports;
	struct wire_lease_report *report; /* [reports] owned */
};

struct wire_leases {
	uint64_t epoch;
	uint32_t leases;
	struct wire_lease *lease; /* [leases] owned */
};

/*
 * Encoders allocate *out (free() it) and set *size. Return 0, -ENOMEM, -E2BIG
 * when the message would pass WIRE_MAX_MESSAGE, -EINVAL when a bound is broken.
 */
int wire_encode_batch(const struct wire_batch *b, void **out, size_t *size);
int wire_encode_ack(const struct wire_ack *a, void **out, size_t *size);
int wire_encode_poll(const struct wire_poll *p, void **out, size_t *size);
int wire_encode_leases(const struct wire_leases *l, void **out, size_t *size);

/*
 * Decoders fill a caller's struct; release it with the close function.
 * Return 0, -EBADMSG (malformed, truncated, out of bounds, other version),
 * -ENOMEM.
 */
int wire_decode_batch(const void *message, size_t size, struct wire_batch *b);
int wire_decode_ack(const void *message, size_t size, struct wire_ack *a);
int wire_decode_poll(const void *message, size_t size, struct wire_poll *p);
int wire_decode_leases(const void *message, size_t size, struct wire_leases *l);

/* The reason for people, of WIRE_NAME bytes. */
int wire_encode_refusal(const char *why, void **out, size_t *size);
int wire_decode_refusal(const void *message, size_t size, char why[WIRE_NAME]);

/* Who says to have sent a batch or a poll. 0 or -EBADMSG. */
int wire_sender(const void *message, size_t size, struct wire_agent *out);

/* Whose batch, and its number, without unfolding it: enough to know a duplicate. */
int wire_decode_batch_head(
	const void *message, size_t size, struct wire_agent *agent, uint64_t *sequence);

/* What a received batch occupies in memory, in bytes. */
size_t wire_batch_bytes(const struct wire_batch *b);

void wire_batch_close(struct wire_batch *b);
void wire_poll_close(struct wire_poll *p);
void wire_leases_close(struct wire_leases *l);

#endif
