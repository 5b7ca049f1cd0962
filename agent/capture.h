/*
 * The latency of every call over TCP, and of DNS over UDP, at whichever of its ends are
 * on this node.
 *
 * The kernel half (bpf/rpc*.bpf.c) pairs requests with responses on each socket and
 * counts into one histogram per edge: {container, peer, server port, side, protocol}.
 * The agent reads the histograms once per window; no event leaves the kernel.
 *
 * Use: capture_open(), then capture_read() once per window, capture_close(). One
 * thread. Needs root, or CAP_BPF + CAP_PERFMON + CAP_SYS_PTRACE while opening.
 * All memory is taken by capture_open(); what does not fit is counted by cause.
 */
#ifndef SAGE_AGENT_CAPTURE_H
#define SAGE_AGENT_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/hist.h"
#include "common/wire.h"

#define CAPTURE_DNS_PORTS 4

struct capture;

struct capture_options {
	unsigned max_edges; /* of one window, 3 KB each, a server with own calls two; 0 = 8,192 */
	unsigned max_operations;  /* parts of edges, likewise; 0 = none are told apart */
	unsigned max_connections; /* sockets tracked at a time; 0 = 16,384 */
	bool tls;                 /* look into TLS where a library allows it, see tls.h */
	bool tls_sent_only;       /* at what is sent */
	bool no_dns;              /* leave DNS over UDP out */
	uint16_t dns_port[CAPTURE_DNS_PORTS]; /* where its servers are, host byte order; all 0 = 53
					       */
	int cgroup_subsys;    /* number of the v1 controller whose cgroups count; -1 = v2 */
	const char *strategy; /* by name; NULL = the first that loads */
};

/* A part of an edge's calls: those that asked for the same. */
struct capture_operation {
	char name[WIRE_OPERATION]; /* see operation.h */
	uint64_t errors;
	struct hist latency;
};

/* What one end saw of the calls between a container and a peer in one window. */
struct capture_edge {
	uint64_t cgroup_id;
	uint64_t peer_cgroup_id; /* 0 = not on this node */
	uint8_t side;            /* enum wire_side */
	uint8_t protocol;        /* enum wire_protocol */
	uint16_t port;           /* server's port, host byte order */
	uint8_t local_addr[16];  /* IPv4 as ::ffff:a.b.c.d */
	uint8_t peer_addr[16];
	uint64_t calls;
	uint64_t errors;     /* as the protocol tells them: capture_protocols.c */
	uint64_t unanswered; /* connections that ended with a call open, DNS queries given up */
	uint64_t bytes_sent, bytes_received;
	uint32_t retransmits, segments_sent;
	uint32_t resets_sent, resets_received; /* connections that ended so, or were refused */
	uint16_t client_port; /* the greatest of its connections', host byte order; 0 = not known */
	float rtt_us;         /* smoothed, mean over connections; NaN = absent */
	float connect_us;     /* worst in the window; NaN = no connection was opened */
	struct hist latency;  /* first request byte .. last response byte */
	struct hist self;     /* server: latency less own calls, of calls where that is known */
	uint32_t operations;  /* calls of none of these asked for what could not be told or kept */
	const struct capture_operation *operation; /* [operations] */
};

/* Name of the strategy at `rank`, 0 = the best; NULL past the last. */
const char *capture_strategy_at(size_t rank);

/* What this kernel lacks for the strategy at `rank`; NULL = nothing. */
const char *capture_strategy_lacks(size_t rank);

/* What that needs of a kernel, "tracepoints a, b; functions c", and what it cannot see. */
void capture_strategy_needs(size_t rank, char *to, size_t size);
const char *capture_strategy_blind(size_t rank);

/*
 * Load and attach the best strategy this kernel takes. Logs which were refused and
 * why. Returns 0, -EINVAL for an unknown strategy, -EPERM, or what the last one said.
 */
int capture_open(struct capture **c, const struct capture_options *o);

/*
 * End a window: hand each edge that had calls since the last read to `each`, whose
 * pointer is good during that call only. A call whose response ended less than half a
 * second ago may still grow and is counted in the next window, unless another request
 * followed it. Blocks for some ms (an RCU grace period). Returns 0 or -errno.
 */
int capture_read(
	struct capture *c, void (*each)(void *ctx, const struct capture_edge *e), void *ctx);

/* Add up what was not captured since capture_open() into the causes that are capture's. */
void capture_losses(const struct capture *c, uint64_t loss[WIRE_LOSSES]);

/* One line per feature: how it is seen on this kernel, and what that way cannot see. */
void capture_support(const struct capture *c,
	void (*line)(void *ctx, const char *feature, const char *how, const char *blind),
	void *ctx);

/* Name of the strategy in use. */
const char *capture_strategy(const struct capture *c);

/* Detach and release. Takes NULL. */
void capture_close(struct capture *c);

#endif
